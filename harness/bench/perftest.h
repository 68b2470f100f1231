// Debian's perftest and rping, which ringchan over rdma is measured beside, on the first RDMA port that is up.
#ifndef HARNESS_BENCH_PERFTEST_H_
#define HARNESS_BENCH_PERFTEST_H_

#include <stdint.h>

#include <string>

#include "harness/bench/placement.h"
#include "harness/bench/plan.h"

namespace rcbench {

// A port that ringchan would take, and its IPv4 address. Throws if there is none, and says what to do.
struct RdmaPort {
  std::string device, address;
  uint32_t port, gid_index;
};
RdmaPort rdma_port();

// Below those that the system hands out; one of a connection that has just ended stays taken for a while.
int fresh_port();

// A program of perftest, by its name here, as the limit of a round trip or a stream. Skipped, by its name, where it is
// not installed.
Lane perftest_lane(const char* program, const Placement& placement);

// Its round trip is SEND, READ, SEND, WRITE, SEND, and it tells no times: the mean is taken from outside.
Lane rping_lane(const Placement& placement);

}  // namespace rcbench

#endif  // HARNESS_BENCH_PERFTEST_H_
