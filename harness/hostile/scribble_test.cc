// The short form of hostile_peer.
#include <gtest/gtest.h>

#include <random>

#include "harness/hostile/ordeal.h"

namespace hostile {
namespace {

constexpr double kSeconds = 5;

TEST(Scribbler, HonestEndEnduresIt) {
  const uint32_t seed = std::random_device{}();
  OrdealReport report = endure(kSeconds, seed, [](const OrdealReport&) {});
  for (const std::string& failure : report.failures) ADD_FAILURE() << failure;
  EXPECT_GT(report.rounds, 0u);
  EXPECT_GT(report.bytes_put, 0u);
  EXPECT_GT(report.bytes_got, 0u);
  RecordProperty("rounds", static_cast<int>(report.rounds));
  RecordProperty("calls", std::to_string(report.calls));
}

}  // namespace
}  // namespace hostile
