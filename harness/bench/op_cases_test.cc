// The cases of operations do what they say, over backends that are everywhere.
#include "harness/bench/op_cases.h"

#include <gtest/gtest.h>

#include "capi/rc.h"
#include "harness/bench/clock.h"
#include "harness/bench/ringchan_cases.h"

namespace rcbench {
namespace {

constexpr size_t kRing = size_t{1} << 20;

class OpCases : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { calibrate_clock(); }
  Placement placement_ = choose_placement();
};

TEST_P(OpCases, InStep) {
  for (Op op : {Op::kWrite, Op::kRead, Op::kAdd}) {
    Sample sample =
        op_latency(placement_, GetParam(), 0, op, {op == Op::kAdd ? size_t{8} : size_t{64}, 200, 20, kRing});
    ASSERT_TRUE(sample.ok) << sample.why;
    EXPECT_EQ(sample.count, 200u);
    EXPECT_GT(sample.p50, 0);
    EXPECT_GT(sample.seconds, 0);
  }
}

TEST_P(OpCases, WritesUnderWay) {
  for (uint64_t count : {1, 5, 100}) {
    Sample sample = op_stream(placement_, GetParam(), 0, {65536, count, 20, kRing});
    ASSERT_TRUE(sample.ok) << sample.why;
    EXPECT_EQ(sample.count, count);
    EXPECT_GT(sample.seconds, 0);
  }
}

// The content is checked by the loops.
TEST_P(OpCases, AStreamInPlace) {
  Sample sample = ringchan_in_place_sample(placement_, GetParam(), {65536, 100, 40, kRing}, RC_WAIT_SPIN);
  ASSERT_TRUE(sample.ok) << sample.why;
  EXPECT_EQ(sample.count, 100u);
  Sample odd = ringchan_in_place_sample(placement_, GetParam(), {65536 - 8, 100, 40, kRing}, RC_WAIT_SPIN);
  EXPECT_FALSE(odd.ok) << "a message wraps";
  // Who finds it out closes, and the other one may be the first to tell.
  bool told = odd.why.find("one piece") != std::string::npos || odd.why.find("RC_E_CLOSED") != std::string::npos;
  EXPECT_TRUE(told) << odd.why;
}

INSTANTIATE_TEST_SUITE_P(Over, OpCases, testing::Values("shm", "tcp"));

TEST(DirectOps, AreSkippedWhereTheBackendHasNone) {
  calibrate_clock();
  Placement placement = choose_placement();
  Sample direct = op_latency(placement, "shm", RC_MR_DIRECT, Op::kWrite, {64, 50, 5, kRing});
  EXPECT_TRUE(direct.ok) << direct.why;
  Sample none = op_latency(placement, "tcp", RC_MR_DIRECT, Op::kWrite, {64, 50, 5, kRing});
  EXPECT_FALSE(none.ok);
  EXPECT_TRUE(none.skipped);
  EXPECT_NE(none.why, "");
}

}  // namespace
}  // namespace rcbench
