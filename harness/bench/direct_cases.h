// Operations on directly granted memory beside the same loads and stores without a library.
#ifndef HARNESS_BENCH_DIRECT_CASES_H_
#define HARNESS_BENCH_DIRECT_CASES_H_

#include "harness/bench/loops.h"
#include "harness/bench/pair.h"
#include "harness/bench/placement.h"

namespace rcbench {

// Round trips of up to 64 B, whose bytes themselves tell that they have come. Each side looks at them in its own memory
// (kWrite: the other has written; kSwap: 8 B, put there by compare-and-swap), or in the other's (kRead).
enum class Reach { kWrite, kRead, kSwap };

Sample direct_pingpong(const Placement& placement, Reach reach, const Job& job);
Sample bare_pingpong(const Placement& placement, Reach reach, const Job& job);

// One side writes messages into the memory of the other, round and round through job.ring_bytes.
Sample direct_stream(const Placement& placement, const Job& job);
Sample bare_stream(const Placement& placement, const Job& job);

}  // namespace rcbench

#endif  // HARNESS_BENCH_DIRECT_CASES_H_
