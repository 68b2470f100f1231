#include "harness/bench/peer_lanes.h"

#include <fmt/format.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/bench/program.h"

namespace rcbench {
namespace {

constexpr int kSampleDeadlineS = 90;

// RC_BENCH_PEERS, or `peers` in this program's folder.
std::string peers_program() {
  if (const char* named = getenv("RC_BENCH_PEERS")) return named;
  char path[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
  std::string folder(path, n > 0 ? static_cast<size_t>(n) : 0);
  return folder.substr(0, folder.rfind('/') + 1) + "peers";
}

Row unfit(const std::string& name, const char* metric, const std::string& why) {
  Row row;
  row.backend = name;
  row.case_name = "all";
  row.metric = metric;
  row.why = why;
  return row;
}

Sample run_peer(const std::string& program, const std::string& name, const std::string& case_name, const Job& job) {
  Program peer({program, "--run", name, "--case", case_name, "--bytes", std::to_string(job.bytes), "--count",
                std::to_string(job.count), "--warm-up", std::to_string(job.warm_up), "--ring",
                std::to_string(job.ring_bytes)});
  if (!peer.finish(kSampleDeadlineS)) return Sample::failure(peer.why());
  nlohmann::json answer = nlohmann::json::parse(peer.output(), nullptr, false);
  if (!answer.is_object()) return Sample::failure("peers gave no answer");
  Sample sample;
  sample.ok = answer.value("ok", false);
  sample.skipped = answer.value("skipped", false);
  sample.why = answer.value("why", "");
  sample.count = answer.value("count", uint64_t{0});
  sample.seconds = answer.value("seconds", 0.0);
  sample.p50 = answer.value("p50", 0.0);
  sample.p99 = answer.value("p99", 0.0);
  sample.p999 = answer.value("p999", 0.0);
  return sample;
}

}  // namespace

std::vector<Row> PeerLanes::look_for() {
  program_ = peers_program();
  Program list({program_, "--list"});
  if (!list.finish(30)) return {unfit("peers", "failed", list.why())};
  nlohmann::json answer = nlohmann::json::parse(list.output(), nullptr, false);
  if (!answer.is_array()) return {unfit("peers", "failed", "peers --list gave no list")};
  std::vector<Row> rows;
  for (const auto& peer : answer) {
    std::string name = peer.at("name");
    std::string missing = peer.at("missing");
    if (missing.empty()) {
      peers_.push_back({name, peer.at("cases"), peer.at("max_bytes")});
    } else {
      rows.push_back(unfit(name, "skipped", missing));
    }
  }
  return rows;
}

void PeerLanes::add_to(Case& c) const {
  for (const Peer& peer : peers_) {
    bool fits = std::count(peer.cases.begin(), peer.cases.end(), c.name) != 0 && c.bytes <= peer.max_bytes;
    if (!fits) continue;
    auto run = [program = program_, name = peer.name, case_name = c.name](const Job& job) {
      return run_peer(program, name, case_name, job);
    };
    c.lanes.push_back({Lane::Role::kPeer, peer.name, run, 0, {}, "", false});
  }
}

}  // namespace rcbench
