// The short form of hostile_peer.
#include <gtest/gtest.h>

#include <random>

#include "harness/hostile/ordeal.h"

// tsan takes the connect that resets a tcp connection, while the other side may be in send, for the making of another
// descriptor.
extern "C" const char* __tsan_default_suppressions() { return "race:rc::reset_connection\n"; }

namespace hostile {
namespace {

constexpr double kSeconds = 5;

class Ordeals : public testing::TestWithParam<Over> {};
INSTANTIATE_TEST_SUITE_P(Over, Ordeals, testing::Values(Over::kShm, Over::kTcp),
                         [](const auto& each) { return each.param == Over::kShm ? "Shm" : "Tcp"; });

TEST_P(Ordeals, HonestEndEnduresThem) {
  const uint32_t seed = std::random_device{}();
  OrdealReport report = endure(GetParam(), kSeconds, seed, [](const OrdealReport&) {});
  for (const std::string& failure : report.failures) ADD_FAILURE() << failure;
  EXPECT_GT(report.rounds, 0u);
  EXPECT_GT(report.bytes_put, 0u);
  EXPECT_GT(report.bytes_got, 0u);
  RecordProperty("rounds", static_cast<int>(report.rounds));
  RecordProperty("calls", std::to_string(report.calls));
}

}  // namespace
}  // namespace hostile
