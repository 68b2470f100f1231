// ringchan itself, through the C ABI.
#ifndef HARNESS_BENCH_RINGCHAN_CASES_H_
#define HARNESS_BENCH_RINGCHAN_CASES_H_

#include <stdint.h>

#include <string>

#include "harness/bench/loops.h"
#include "harness/bench/pair.h"
#include "harness/bench/placement.h"

namespace rcbench {

// A test over a fresh channel of this backend ("shm", "tcp" or "rdma", over this machine), rings of job.ring_bytes;
// `wait` is one of RC_WAIT_*.
Sample ringchan_sample(const Placement& placement, const std::string& backend, Test test, const Job& job,
                       uint32_t wait);

// A stream whose reader takes all that has arrived, up to 64 KiB a call, with rc_get_some.
Sample ringchan_batch_sample(const Placement& placement, const std::string& backend, const Job& job, uint32_t wait);

// A stream whose messages are written and read where they lie in the ring: rc_reserve, rc_commit, rc_peek, rc_release.
Sample ringchan_in_place_sample(const Placement& placement, const std::string& backend, const Job& job, uint32_t wait);

// Where two processes of this machine can meet over the backend, and nobody else does; sleeps: as ends that sleep must.
// Throws if there is no such one.
std::string fresh_uri(const std::string& backend, bool sleeps = false);

}  // namespace rcbench

#endif  // HARNESS_BENCH_RINGCHAN_CASES_H_
