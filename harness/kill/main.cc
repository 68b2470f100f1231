// kill: the long form of the kill tests (faults 1 and 2 of the proof).
#include <fmt/format.h>
#include <stdio.h>

#include <CLI/CLI.hpp>

#include "core/deadline.h"
#include "harness/kill/campaign.h"

namespace {

using namespace killing;  // NOLINT: this file is that namespace's program

struct Options {
  std::string backend = "shm";
  uint64_t count = 20000;
  uint32_t occurrences = 20;
  uint64_t instructions = 200;
  uint32_t stops = 200;
  uint64_t seed = 1;
};

class Run {
 public:
  explicit Run(const Options& options)
      : options_(options), begun_ns_(rc::now_ns()), campaign_([this](const Tally& t) { show(t); }) {}

  int all() {
    phase("every crash point");
    each([&](const Setup& s) { campaign_.every_step(s, options_.occurrences, true); });
    phase("single instructions");
    instructions();
    phase("stops");
    uint64_t setups = 2 * all_scripts().size(), seed = options_.seed;
    each([&](const Setup& s) {
      if (s.script == Script::kInPlace || s.script == Script::kBatches) return;  // as kPingPongAsleep and kPuts
      campaign_.stops(s, static_cast<uint32_t>((options_.stops + 11) / 12), seed++);
    });
    phase("random moments");
    each([&](const Setup& s) { campaign_.at_random(s, (2 * options_.count + setups - 1) / setups, seed++); });
    Tally& tally = campaign_.tally();
    printf("\n%s", tally.summary().c_str());
    for (const std::string& p : tally.problems) printf("PROBLEM %s\n", p.c_str());
    return tally.problems.empty() ? 0 : 1;
  }

 private:
  // Every script, with the victim in either role, names and paths in turn.
  template <class F>
  void each(F f) {
    for (Script script : all_scripts()) {
      for (bool serves : {false, true}) {
        Setup s;
        s.uri = options_.backend == "tcp" ? fresh_port() : ++setups_ % 2 == 0 ? fresh_path() : fresh_name();
        s.script = script;
        s.victim_serves = serves;
        f(s);
      }
    }
  }

  void instructions() {
    each([&](const Setup& s) {
      for (const char* function : functions(s.script)) {
        if (!campaign_.every_instruction(s, function, 2, options_.instructions))
          printf("skipped: ptrace is forbidden here\n");
      }
      const char* once[] = {s.victim_serves ? "rc_accept" : "rc_connect", "rc_channel_close"};
      for (const char* function : once) campaign_.every_instruction(s, function, 1, options_.instructions);
    });
  }

  static std::vector<const char*> functions(Script script) {
    switch (script) {
      case Script::kPuts:
        return {"rc_put"};
      case Script::kGets:
        return {"rc_get"};
      case Script::kInPlace:
        return {"rc_reserve", "rc_commit", "rc_peek", "rc_release"};
      case Script::kBatches:
        return {"rc_put_more", "rc_flush"};
      case Script::kMessages:
        return {"rc_send", "rc_recv"};
      case Script::kDescriptor:
        return {"rc_try_put", "rc_try_get"};
      case Script::kOperations:
        return {"rc_mr_grant",  "rc_remote_get", "rc_write",        "rc_read",
                "rc_write_imm", "rc_imm_get",    "rc_request_wait", "rc_grant_revoke"};
      default:
        return {"rc_put", "rc_get"};
    }
  }

  void phase(const char* name) {
    printf("\n%s\n", name);
    fflush(stdout);
  }

  void show(const Tally& t) {
    int64_t s = (rc::now_ns() - begun_ns_) / 1000000000;
    printf("\r%4ld s  %lu victims, %lu died as planned, %lu stops, %lu problems ", static_cast<long>(s), t.victims,
           t.died, t.stops, t.problems.size());
    fflush(stdout);
  }

  Options options_;
  int64_t begun_ns_;
  uint64_t setups_ = 0;
  Campaign campaign_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Kills one end of a channel over and over, and looks at what the other end gets.");
  app.add_option("--backend", options.backend, "what the ends talk over")
      ->check(CLI::IsMember({"shm", "tcp"}))
      ->capture_default_str();
  app.add_option("--count", options.count, "random kills of clients, and as many of servers")->capture_default_str();
  app.add_option("--occurrences", options.occurrences, "kills per crash point and setup")->capture_default_str();
  app.add_option("--instructions", options.instructions, "kills inside each function, at most")->capture_default_str();
  app.add_option("--stops", options.stops, "stops of 10 to 300 ms")->capture_default_str();
  app.add_option("--seed", options.seed, "of the random moments")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return Run(options).all();
}
