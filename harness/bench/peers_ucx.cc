// UCX by its own program, ucx_perftest: tag matching over posix shared memory. It does not touch the content.
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "harness/bench/clock.h"
#include "harness/bench/peers.h"
#include "harness/bench/program.h"

namespace rcbench {
namespace {

constexpr int kDeadlineS = 40;

bool is_on_path(const std::string& name) {
  const char* path = getenv("PATH");
  std::stringstream folders(path != nullptr ? path : "/usr/bin");
  std::string folder;
  while (std::getline(folders, folder, ':')) {
    if (access(fmt::format("{}/{}", folder, name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

// Whether the kernel lists a listener on this port: to ask the listener itself would use up its only client.
bool somebody_listens(unsigned port) {
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(table);
    std::string line;
    while (std::getline(file, line)) {
      std::stringstream fields(line);
      std::string slot, local, remote, state;
      fields >> slot >> local >> remote >> state;
      size_t colon = local.rfind(':');
      if (state == "0A" && colon != std::string::npos && local.substr(colon + 1) == fmt::format("{:04X}", port)) {
        return true;
      }
    }
  }
  return false;
}

bool await_listener(unsigned port) {
  uint64_t deadline = monotonic_ns() + 10'000'000'000;
  while (!somebody_listens(port)) {
    if (monotonic_ns() > deadline) return false;
    timespec pause = {0, 2'000'000};
    nanosleep(&pause, nullptr);
  }
  return true;
}

// The figures of ucx_perftest -f -v: a header line, then
// iterations, percentile, average and overall latency (us, one way), average and overall MB/s, and messages/s.
struct Figures {
  bool ok = false;
  std::string why;
  double iterations = 0, percentile_us = 0, overall_us = 0, overall_rate = 0;
};

Figures parse(const std::string& output) {
  Figures figures;
  std::stringstream lines(output);
  std::string line;
  while (std::getline(lines, line)) {
    double average_us, average_mb, overall_mb, average_rate;
    int fields =
        sscanf(line.c_str(), "%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf", &figures.iterations, &figures.percentile_us,
               &average_us, &figures.overall_us, &average_mb, &overall_mb, &average_rate, &figures.overall_rate);
    figures.ok = fields == 8 && figures.overall_rate > 0;
    if (figures.ok) return figures;
  }
  figures.why = fmt::format("cannot read ucx_perftest's output: {}", output);
  return figures;
}

Figures perftest(const Placement& placement, const char* test, const Job& job, double percentile) {
  uint16_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) return {};
  unsigned port = 20000 + random % 12000;  // below the ports that the kernel gives out by itself
  std::string port_text = std::to_string(port);
  std::vector<std::string> environment = {"UCX_TLS=posix,self", "UCX_LOG_LEVEL=error"};
  Program server({"ucx_perftest", "-p", port_text, "-f", "-v"}, placement.cpu[1], environment);
  Figures figures;
  if (!await_listener(port)) {
    figures.why = "ucx_perftest did not listen";
    return figures;
  }
  Program client(
      {"ucx_perftest", "127.0.0.1", "-p", port_text, "-t", test, "-s", std::to_string(job.bytes), "-n",
       std::to_string(job.count), "-w", std::to_string(job.warm_up), "-R", fmt::format("{}", percentile), "-f", "-v"},
      placement.cpu[0], environment);
  if (!client.finish(kDeadlineS)) {
    figures.why = client.why();
    return figures;
  }
  return parse(client.output());
}

Sample run(const Placement& placement, const std::string& case_name, const Job& job) {
  bool stream = case_name == "stream";
  Sample sample;
  for (double percentile : {50.0, 99.0}) {
    Figures figures = perftest(placement, stream ? "tag_bw" : "tag_lat", job, percentile);
    if (!figures.ok) return Sample::failure(figures.why);
    sample.count = static_cast<uint64_t>(figures.iterations);
    sample.seconds =
        stream ? figures.iterations / figures.overall_rate : figures.iterations * figures.overall_us * 2e-6;
    if (stream) break;
    (percentile == 50 ? sample.p50 : sample.p99) = figures.percentile_us * 2000;
  }
  sample.ok = sample.seconds > 0;
  return sample;
}

}  // namespace

std::vector<Peer> ucx_peers() {
  std::string missing = is_on_path("ucx_perftest") ? "" : "ucx_perftest is not installed (Debian: ucx-utils)";
  return {{"UCX posix shm (content untouched)", missing, {"pingpong", "stream"}, SIZE_MAX, run}};
}

}  // namespace rcbench
