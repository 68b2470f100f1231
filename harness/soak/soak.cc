// soak: the data integrity run (fault 13 of the proof), for as long as you like.
#include <fmt/format.h>
#include <stdio.h>

#include <CLI/CLI.hpp>

#include "harness/soak/run.h"

namespace {

constexpr double kMemoryGrowth = 1 << 20;  // what a process may touch for the first time later than we look

void show(double seconds, uint64_t bytes) {
  fmt::print("\r{:6.0f} s  {:10.2f} GB  {:6.2f} GB/s ", seconds, static_cast<double>(bytes) / 1e9,
             static_cast<double>(bytes) / 1e9 / seconds);
  fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  soak::Options options;
  CLI::App app("Sends stamped bytes and messages through several shm channels both ways, and checks every byte.");
  app.add_option("--seconds", options.seconds, "how long (default 60, unless --bytes is given)");
  app.add_option("--bytes", options.bytes, "how many bytes, all directions together; 10G and the like are understood")
      ->transform(CLI::AsSizeValue(true));
  app.add_option("--channels", options.channels, "at once; every other one carries messages")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  app.add_option("--ring", options.ring_bytes, "bytes of a ring")
      ->capture_default_str()
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--seed", options.seed, "of sizes and contents")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (options.seconds == 0 && options.bytes == 0) options.seconds = 60;
  soak::Result result = soak::run(options, show);
  double growth = static_cast<double>(result.resident_last) - static_cast<double>(result.resident_first);
  if (result.problem.empty() && growth > kMemoryGrowth) result.problem = "memory grows";
  fmt::print("\n{}", result.summary());
  return result.problem.empty() ? 0 : 1;
}
