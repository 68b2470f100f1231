#include <stdio.h>

#include <vector>

#include "capi/rc.h"
#include "harness/bench/clock.h"
#include "harness/bench/limits.h"
#include "harness/bench/perftest.h"
#include "harness/bench/placement.h"
#include "harness/bench/plan.h"
#include "harness/bench/report.h"
#include "harness/bench/ringchan_cases.h"
#include "harness/demo/parts.h"

namespace demo {
namespace {

using rcbench::Case;
using rcbench::Job;
using rcbench::Lane;
using rcbench::Placement;
using rcbench::Sample;
using rcbench::Test;

constexpr size_t kRing = size_t{4} << 20;

Lane limit(const char* name, Sample (*run)(const Placement&, const Job&), const Placement& placement) {
  return {Lane::Role::kLimit, name, [=, &placement](const Job& job) { return run(placement, job); }, 0, {}, "", false};
}

Lane ours(const std::string& backend, Test test, const Placement& placement) {
  auto run = [=, &placement](const Job& job) {
    return rcbench::ringchan_sample(placement, backend, test, job, RC_WAIT_SPIN);
  };
  return {Lane::Role::kOurs, "ringchan", run, 0, {}, "", false};
}

// Measures a case and prints its rows: ours, the limit's name and value, and how the two compare. False: no figure.
bool show(Case c, const rcbench::Effort& effort, const char* unit, const char* what) {
  rcbench::measure(c, kRing, effort);
  bool good = true;
  for (const rcbench::Row& row : rcbench::rows_of(c)) {
    if (row.backend != "ringchan") continue;
    if (!row.value || !row.limit || !row.ratio) {
      printf("   %-22s not measured: %s\n", what, row.why.c_str());
      good = false;
      continue;
    }
    std::string metric = row.metric == "p50_ns"    ? "p50"
                         : row.metric == "p99_ns"  ? "p99"
                         : row.metric == "p999_ns" ? "p99.9"
                                                   : "";
    bool time = unit[0] == 'n';
    printf("   %-16s %-6s %9.*f %-5s %9.*f %-5s %-15s %6.2f x\n", what, metric.c_str(), time ? 0 : 2, *row.value, unit,
           time ? 0 : 2, *row.limit, unit, row.limit_name.c_str(), *row.ratio);
    what = "";
  }
  return good;
}

}  // namespace

bool table(const std::string& backend) {
  printf("3. How fast, and what the machine allows\n");
  rcbench::calibrate_clock();
  Placement placement = rcbench::choose_placement();
  printf("   %s\n", placement.note.c_str());
  printf("   %-23s %9s       %9s                       %s\n", "", "ringchan", "limit", "ratio");
  fflush(stdout);
  bool tcp = backend == "tcp", rdma = backend == "rdma";
  Case round_trip = {"pingpong", 8, rcbench::pingpong_metrics(), {}};
  round_trip.lanes = {rdma  ? rcbench::perftest_lane(rcbench::kWriteLat, placement)
                      : tcp ? limit("bare TCP", rcbench::bare_tcp_pingpong, placement)
                            : limit("flag ping-pong", rcbench::flag_pingpong, placement),
                      ours(backend, Test::kPingPong, placement)};
  const rcbench::Effort round_trips = rdma ? rcbench::Effort{3, 0, 0.05} : rcbench::Effort{21, 0, 0.01};
  const rcbench::Effort streams = rdma ? round_trips : rcbench::Effort{5, 0, 0.05};
  bool good = show(std::move(round_trip), round_trips, "ns", "round trip 8 B");
  for (size_t bytes : {size_t{64} << 10, size_t{1} << 20}) {
    Case stream = {"stream", bytes, rcbench::stream_metrics(bytes), {}};
    stream.lanes = {rdma  ? rcbench::perftest_lane(rcbench::kWriteBw, placement)
                    : tcp ? limit("bare TCP", rcbench::bare_tcp_stream, placement)
                          : limit("memcpy", rcbench::private_memcpy, placement),
                    ours(backend, Test::kStream, placement)};
    good = show(std::move(stream), streams, "GB/s", bytes < 1 << 20 ? "stream 64 KiB" : "stream 1 MiB") && good;
  }
  return good;
}

}  // namespace demo
