// ringchan itself, through the C ABI.
#ifndef HARNESS_BENCH_RINGCHAN_CASES_H_
#define HARNESS_BENCH_RINGCHAN_CASES_H_

#include <stdint.h>

#include "harness/bench/loops.h"
#include "harness/bench/pair.h"
#include "harness/bench/placement.h"

namespace rcbench {

// A test over a fresh `shm:` channel of a random name, rings of job.ring_bytes; `wait` is one of RC_WAIT_*.
Sample ringchan_sample(const Placement& placement, Test test, const Job& job, uint32_t wait);

// A stream whose reader takes all that has arrived, up to 64 KiB a call, with rc_get_some.
Sample ringchan_batch_sample(const Placement& placement, const Job& job, uint32_t wait);

}  // namespace rcbench

#endif  // HARNESS_BENCH_RINGCHAN_CASES_H_
