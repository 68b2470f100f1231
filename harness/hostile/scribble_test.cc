// The short form of hostile_peer.
#include <gtest/gtest.h>

#include <random>

#include "harness/hostile/ordeal.h"

#if defined(__SANITIZE_THREAD__)
#define RC_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RC_TSAN 1
#endif
#endif

namespace hostile {
namespace {

constexpr double kSeconds = 5;

class Ordeals : public testing::TestWithParam<Over> {};
INSTANTIATE_TEST_SUITE_P(Over, Ordeals, testing::Values(Over::kShm, Over::kTcp),
                         [](const auto& each) { return each.param == Over::kShm ? "Shm" : "Tcp"; });

TEST_P(Ordeals, HonestEndEnduresThem) {
#ifdef RC_TSAN
  if (GetParam() == Over::kTcp)
    GTEST_SKIP() << "tsan takes the connect that resets a connection, while the other side may be in send, for a race";
#endif
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
