// The long form of the hostile tests: an honest end works while its peers write everything they can.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <random>

#include "harness/hostile/ordeal.h"

int main(int argc, char** argv) {
  double seconds = 60;
  uint32_t seed = std::random_device{}();
  std::string backend = "shm";
  CLI::App app(
      "An honest end works while its peers, in processes of their own, write everything they can: random and "
      "targeted. Over tcp, strangers crowd at the listener's port, too.");
  app.add_option("--seconds", seconds, "how long")->capture_default_str();
  app.add_option("--backend", backend)->check(CLI::IsMember({"shm", "tcp"}))->capture_default_str();
  app.add_option("--seed", seed, "of the first round; the next ones count up from it (default: a random one)");
  CLI11_PARSE(app, argc, argv);

  fmt::print("{}, seed {}, {:.0f} s\n", backend, seed, seconds);
  auto tell = [](const hostile::OrdealReport& r) {
    fmt::print(
        "  {} rounds, {} calls, {} bytes put, {} bytes and {} messages got, longest call {:.1f} ms, memory "
        "grown by {} KB, {} failures\n",
        r.rounds, r.calls, r.bytes_put, r.bytes_got, r.messages_got, static_cast<double>(r.longest_ns) / 1e6,
        r.grown_kb, r.failures.size());
    std::fflush(stdout);
  };
  hostile::OrdealReport report =
      hostile::endure(backend == "tcp" ? hostile::Over::kTcp : hostile::Over::kShm, seconds, seed, tell);
  tell(report);
  for (const auto& [code, times] : report.codes) fmt::print("  {:<20} {}\n", code, times);
  for (const std::string& failure : report.failures) fmt::print("FAILED {}\n", failure);
  bool good = report.failures.empty() && report.rounds != 0;
  fmt::print("{}\n", good ? "endured" : "NOT endured");
  return good ? 0 : 1;
}
