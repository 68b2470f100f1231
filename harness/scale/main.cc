// scale: many channels between two processes, as many as you like, for as long as you like.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "harness/scale/run.h"

int main(int argc, char** argv) {
  scale::Options options;
  CLI::App app(
      "Opens many channels between two processes; shows what they cost when idle, and whether all are served.");
  app.add_option("--backend", options.backend)->capture_default_str()->check(CLI::IsMember({"tcp", "shm"}));
  app.add_option("--channels", options.channels)->capture_default_str()->check(CLI::Range(1, 65536));
  app.add_option("--idle-seconds", options.idle_seconds)->capture_default_str();
  app.add_option("--seconds", options.seconds, "of messages")->capture_default_str();
  app.add_option("--greedy", options.greedy, "channels with many messages under way")->capture_default_str();
  app.add_option("--window", options.greedy_window, "so many")->capture_default_str()->check(CLI::Range(1, 32));
  app.add_flag("--progress-thread", options.progress_thread, "both contexts have one");
  CLI11_PARSE(app, argc, argv);
  scale::Result result = scale::run(options);
  fmt::print("{}", result.summary());
  return result.problem.empty() && result.skipped.empty() ? 0 : 1;
}
