#include "harness/bench/perftest.h"

#include <fmt/format.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "capi/rc.h"
#include "harness/bench/clock.h"
#include "harness/bench/program.h"
#include "harness/bench/report.h"

namespace rcbench {
namespace {

constexpr int kProgramS = 60;
constexpr uint64_t kUpNs = 10'000'000'000;

bool listens(int port) {
  std::string wanted = fmt::format(":{:04X}", port);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream in(table);
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string number, local, remote, state;
      words >> number >> local >> remote >> state;
      bool here = local.size() > 5 && local.compare(local.size() - 5, 5, wanted) == 0;
      if (here && state == "0A") return true;
    }
  }
  return false;
}

bool installed(const std::string& program) {
  for (const char* folder : {"/usr/bin/", "/usr/local/bin/"}) {
    if (access((folder + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

// The numbers of the line below the one that begins with #bytes.
std::vector<double> figures_of(const std::string& output) {
  std::istringstream in(output);
  std::string line;
  while (std::getline(in, line) && line.find("#bytes") == std::string::npos) {
  }
  std::vector<double> figures;
  if (!std::getline(in, line)) return figures;
  std::istringstream words(line);
  for (double figure; words >> figure;) figures.push_back(figure);
  return figures;
}

// perftest's latency of a SEND or WRITE is one way, half of a round trip, that of a READ or atomic is all of it, and
// ours is all of it.
Sample latency_of(const std::vector<double>& figures, bool one_way) {
  enum { kBytes, kCount, kMin, kMax, kTypical, kAverage, kDeviation, kP99, kP999, kAll };
  if (figures.size() < kAll) return Sample::failure("");
  double ways = one_way ? 2 : 1;
  Sample sample;
  sample.ok = true;
  sample.count = static_cast<uint64_t>(figures[kCount]);
  sample.seconds = ways * figures[kAverage] * figures[kCount] / 1e6;
  sample.p50 = ways * 1000 * figures[kTypical];
  sample.p99 = ways * 1000 * figures[kP99];
  sample.p999 = ways * 1000 * figures[kP999];
  return sample;
}

Sample bandwidth_of(const std::vector<double>& figures) {
  enum { kBytes, kCount, kPeakMib, kAverageMib, kMillions, kAll };
  if (figures.size() < kAll || figures[kAverageMib] <= 0) return Sample::failure("");
  Sample sample;
  sample.ok = true;
  sample.count = static_cast<uint64_t>(figures[kCount]);
  sample.seconds = figures[kBytes] * figures[kCount] / (figures[kAverageMib] * 1048576);
  return sample;
}

Sample perftest_once(const std::string& limit, const Placement& placement, const Job& job) {
  std::istringstream words(limit);
  std::vector<std::string> argv;
  for (std::string word; words >> word;) argv.push_back(word);
  if (!installed(argv[0])) return Sample::skip(argv[0] + " is not installed (Debian: perftest)");
  RdmaPort at = rdma_port();
  int port = fresh_port();
  for (const std::string& word :
       {std::string("-d"), at.device, std::string("-i"), std::to_string(at.port), std::string("-x"),
        std::to_string(at.gid_index), std::string("-F"), std::string("-n"),
        std::to_string(std::max<uint64_t>(job.count, 5)), std::string("-p"), std::to_string(port)}) {
    argv.push_back(word);
  }
  if (limit != kAtomicLat) {  // its words have 8 bytes
    argv.push_back("-s");
    argv.push_back(std::to_string(job.bytes));
  }
  Program server(argv, placement.cpu[1]);
  for (uint64_t until = monotonic_ns() + kUpNs; !listens(port);) {
    if (monotonic_ns() > until) return Sample::failure(limit + " does not listen");
    usleep(10000);
  }
  argv.push_back(at.address);
  Program client(argv, placement.cpu[0]);  // it writes or asks, as our end 0 does
  if (!client.finish(kProgramS)) return Sample::failure(client.why());
  if (!server.finish(kProgramS)) return Sample::failure(server.why());
  std::vector<double> figures = figures_of(client.output());
  Sample sample =
      limit == kWriteBw ? bandwidth_of(figures) : latency_of(figures, limit != kReadLat && limit != kAtomicLat);
  if (!sample.ok) sample.why = limit + " printed something else than its figures: " + client.output();
  return sample;
}

// On a machine that is busy perftest may not find out how fast its clock runs, and prints "inf".
Sample perftest_sample(const std::string& limit, const Placement& placement, const Job& job) {
  Sample sample = perftest_once(limit, placement, job);
  for (int again = 0; again < 2 && !sample.ok && !sample.skipped; ++again)
    sample = perftest_once(limit, placement, job);
  return sample;
}

// How long a client takes from its start to its end; 0: it failed.
double rping_seconds(const Placement& placement, const RdmaPort& at, size_t bytes, uint64_t count) {
  int port = fresh_port();
  std::vector<std::string> argv = {
      "rping", "-a", at.address, "-p", std::to_string(port), "-S", std::to_string(bytes), "-C", std::to_string(count)};
  std::vector<std::string> serving = argv, asking = argv;
  serving.push_back("-s");
  asking.push_back("-c");
  Program server(serving, placement.cpu[0]);
  // Nothing shows when it listens: a client that comes too early is refused and comes again.
  for (uint64_t until = monotonic_ns() + kUpNs; monotonic_ns() < until; usleep(50000)) {
    uint64_t start = monotonic_ns();
    Program client(asking, placement.cpu[1]);
    if (client.finish(kProgramS)) return static_cast<double>(monotonic_ns() - start) / 1e9;
  }
  return 0;
}

// It tells no times. What a program's start and a connection cost is in both of two runs.
Sample rping_sample(const Placement& placement, const Job& job) {
  if (!installed("rping")) return Sample::skip("rping is not installed (Debian: rdmacm-utils)");
  constexpr uint64_t kFew = 10;
  RdmaPort at = rdma_port();
  double few = rping_seconds(placement, at, job.bytes, kFew);
  double all = rping_seconds(placement, at, job.bytes, kFew + job.count);
  if (few == 0 || all == 0) return Sample::failure("rping failed");
  Sample sample;
  sample.ok = true;
  sample.count = job.count;
  sample.seconds = std::max(all - few, 1e-6);
  sample.p50 = sample.seconds / static_cast<double>(job.count) * 1e9;
  return sample;
}

}  // namespace

int fresh_port() {
  uint16_t random;
  if (getrandom(&random, sizeof random, 0) != sizeof random) throw std::runtime_error("getrandom failed");
  return 20000 + random % 12000;
}

RdmaPort rdma_port() {
  static const uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255};
  rc_device device = {};
  device.size = sizeof device;
  for (uint32_t i = 0; rc_device_info(i, &device) == RC_OK; ++i) {
    if (device.active == 0 || memcmp(device.gid, kMapped, sizeof kMapped) != 0) continue;
    const uint8_t* ip = device.gid + sizeof kMapped;
    return {device.name, fmt::format("{}.{}.{}.{}", ip[0], ip[1], ip[2], ip[3]), device.port, device.gid_index};
  }
  throw std::runtime_error(
      "no RDMA port with an IPv4 address is up here (rdma link show); harness/run takes a guest then");
}

Lane perftest_lane(const char* program, const Placement& placement) {
  auto run = [=, &placement](const Job& job) { return perftest_sample(program, placement, job); };
  return {Lane::Role::kLimit, program, run, 0, {}, "", false};
}

Lane rping_lane(const Placement& placement) {
  auto run = [&placement](const Job& job) { return rping_sample(placement, job); };
  return {Lane::Role::kPeer, "rping, mean", run, 0, {}, "", false};
}

}  // namespace rcbench
