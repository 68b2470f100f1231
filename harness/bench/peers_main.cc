// harness/bench:peers, called by harness/bench:bench. One sample, or the list of the peers, as JSON on stdout.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "harness/bench/clock.h"
#include "harness/bench/peers.h"

namespace rcbench {
namespace {

std::vector<Peer> all_peers() {
  std::vector<Peer> all;
  for (auto peers : {boost_peers(), dpdk_peers(), ucx_peers(), zeromq_peers(), kernel_peers()}) {
    all.insert(all.end(), peers.begin(), peers.end());
  }
  return all;
}

nlohmann::json list() {
  nlohmann::json out = nlohmann::json::array();
  for (const Peer& peer : all_peers()) {
    out.push_back(
        {{"name", peer.name}, {"missing", peer.missing}, {"cases", peer.cases}, {"max_bytes", peer.max_bytes}});
  }
  return out;
}

Sample run(const std::string& name, const std::string& case_name, const Job& job) {
  for (const Peer& peer : all_peers()) {
    if (peer.name != name) continue;
    if (!peer.missing.empty()) return Sample::skip(peer.missing);
    calibrate_clock();
    return peer.run(choose_placement(), case_name, job);
  }
  return Sample::failure(fmt::format("there is no peer \"{}\"", name));
}

}  // namespace
}  // namespace rcbench

int main(int argc, char** argv) {
  bool list = false;
  std::string name, case_name = "pingpong";
  rcbench::Job job = {8, 1000, 10, size_t{4} << 20};
  CLI::App app("Measures one peer of ringchan once; bench --peers calls it.", "peers");
  app.add_flag("--list", list, "list the peers");
  app.add_option("--run", name, "measure this one");
  app.add_option("--case", case_name)->check(CLI::IsMember({"pingpong", "stream", "wake"}));
  app.add_option("--bytes", job.bytes)->check(CLI::Range(size_t{8}, size_t{1} << 30));
  app.add_option("--count", job.count);
  app.add_option("--warm-up", job.warm_up);
  app.add_option("--ring", job.ring_bytes);
  CLI11_PARSE(app, argc, argv);
  if (list) {
    fmt::print("{}\n", rcbench::list().dump());
    return 0;
  }
  rcbench::Sample sample = rcbench::run(name, case_name, job);
  nlohmann::json answer = {{"ok", sample.ok},       {"skipped", sample.skipped}, {"why", sample.why},
                           {"count", sample.count}, {"seconds", sample.seconds}, {"p50", sample.p50},
                           {"p99", sample.p99},     {"p999", sample.p999}};
  fmt::print("{}\n", answer.dump());
  return 0;
}
