// What the hardware and the kernel allow: the least that any channel between two processes must pay.
#ifndef HARNESS_BENCH_LIMITS_H_
#define HARNESS_BENCH_LIMITS_H_

#include "harness/bench/loops.h"
#include "harness/bench/pair.h"
#include "harness/bench/placement.h"

namespace rcbench {

// Two words on two cache lines in a shared mapping; the word is the payload, whatever job.bytes says. Both sides spin
// with acquire loads.
Sample flag_pingpong(const Placement& placement, const Job& job);

// The same flags, and beside each a shared buffer into and out of which the payload is copied with memcpy.
Sample flag_memcpy_pingpong(const Placement& placement, const Job& job);

// A buffer as large as the ring: one side writes the content right into it, piece by piece, the other reads it there.
// No copy, no length known at run time only; count is in messages of job.bytes.
Sample hand_over(const Placement& placement, const Job& job);

// One process copies a private message into a private area as large as the ring, and on and on.
Sample private_memcpy(const Placement& placement, const Job& job);

// Two shared words with FUTEX_WAIT and FUTEX_WAKE: both sides sleep between messages.
Sample futex_wake(const Placement& placement, const Job& job);

// A unix socket pair with blocking send and recv of 8 bytes.
Sample socket_wake(const Placement& placement, const Job& job);

// A TCP connection over 127.0.0.1 with TCP_NODELAY and nothing else: one send per message, and a receiver that calls
// recv until something comes, or sleeps in it.
Sample bare_tcp_pingpong(const Placement& placement, const Job& job);
Sample bare_tcp_stream(const Placement& placement, const Job& job);
Sample bare_tcp_wake(const Placement& placement, const Job& job);

}  // namespace rcbench

#endif  // HARNESS_BENCH_LIMITS_H_
