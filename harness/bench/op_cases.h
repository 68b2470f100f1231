// Operations on memory that the other end grants: one end asks, the other one only serves.
#ifndef HARNESS_BENCH_OP_CASES_H_
#define HARNESS_BENCH_OP_CASES_H_

#include <stdint.h>

#include <string>

#include "harness/bench/loops.h"
#include "harness/bench/pair.h"
#include "harness/bench/placement.h"

namespace rcbench {

enum class Op { kWrite, kRead, kAdd };

// One operation of job.bytes after the other, each waited for. `flags` go to rc_mr_grant beside the rights: 0 is a
// carried grant, whose server spins; RC_MR_DIRECT one that the backend may not have, which skips the sample, and whose
// server sleeps, as perftest's does.
Sample op_latency(const Placement& placement, const std::string& backend, uint32_t flags, Op op, const Job& job);

// Writes of job.bytes, several under way, round and round through job.ring_bytes of the other end's memory.
Sample op_stream(const Placement& placement, const std::string& backend, uint32_t flags, const Job& job);

}  // namespace rcbench

#endif  // HARNESS_BENCH_OP_CASES_H_
