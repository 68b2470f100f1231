// A thousand channels in one context: they cost nothing while idle, and none is forgotten while all are active.
#include <gtest/gtest.h>
#include <stdio.h>

#include "harness/scale/run.h"

namespace scale {
namespace {

#ifdef RC_SANITIZED
constexpr uint32_t kChannels = 200;
#else
constexpr uint32_t kChannels = 1000;
#endif
// Of one second, in which one processor has 1,000,000. Not what it takes (about a hundred), but far below what a
// single busy loop, or one look at each channel per millisecond, would.
constexpr uint64_t kIdleCpuUs = 20'000;
// Channels that behave are served alike; by turns, not by luck.
constexpr uint64_t kFair = 4;

void expect_all_served(const Options& options) {
  Result r = run(options);
  printf("%s", r.summary().c_str());
  if (!r.skipped.empty()) GTEST_SKIP() << r.skipped;
  EXPECT_EQ("", r.problem);
  EXPECT_EQ(0u, r.lost);
  EXPECT_LT(r.client.idle_cpu_us, kIdleCpuUs);
  EXPECT_LT(r.server.idle_cpu_us, kIdleCpuUs);
  EXPECT_GT(r.least, 0u) << "somebody was starved";
  EXPECT_GE(r.least * kFair, r.median);
  EXPECT_LE(r.client.footprint_bytes / options.channels, 9u * 1024) << "of the context, per channel, without rings";
}

class Scale : public testing::TestWithParam<const char*> {};

TEST_P(Scale, IdleCostsNothingAndAllAreServed) {
  Options options;
  options.backend = GetParam();
  options.channels = kChannels;
  expect_all_served(options);
}

TEST_P(Scale, TheSameWithProgressThreads) {
  Options options;
  options.backend = GetParam();
  options.channels = kChannels;
  options.progress_thread = true;
  expect_all_served(options);
}

INSTANTIATE_TEST_SUITE_P(Over, Scale, testing::Values("tcp", "shm"), [](const auto& test) { return test.param; });

}  // namespace
}  // namespace scale
