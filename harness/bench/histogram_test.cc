#include "harness/bench/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace rcbench {
namespace {

TEST(Histogram, CellsTileAllValuesWithoutGapOrOverlap) {
  size_t last = Histogram::index_of(UINT64_MAX);
  uint64_t next = 0;
  for (size_t i = 0; i <= last; ++i) {
    ASSERT_EQ(Histogram::lowest_in(i), next) << i;
    ASSERT_EQ(Histogram::index_of(next), i) << next;
    uint64_t highest = next + (Histogram::width_of(i) - 1);
    ASSERT_EQ(Histogram::index_of(highest), i) << highest;
    next = highest + 1;
  }
  EXPECT_EQ(next, 0u) << "the last cell ends with 2^64 - 1";
}

TEST(Histogram, ACellIsNarrowerThanOnePercentOfItsValues) {
  for (size_t i = 0; i <= Histogram::index_of(UINT64_MAX); ++i) {
    if (Histogram::width_of(i) == 1) continue;
    ASSERT_LT(static_cast<double>(Histogram::width_of(i)), 0.01 * static_cast<double>(Histogram::lowest_in(i))) << i;
  }
}

TEST(Histogram, EmptyGivesZero) {
  Histogram histogram;
  EXPECT_EQ(histogram.percentile(50), 0);
  EXPECT_EQ(histogram.count(), 0u);
}

TEST(Histogram, OneValueIsEveryPercentile) {
  Histogram histogram;
  histogram.add(123456789);
  for (double percent : {0.0, 50.0, 99.9, 100.0}) EXPECT_EQ(histogram.percentile(percent), 123456789) << percent;
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (uint64_t value = 1; value <= 100; ++value) histogram.add(value);
  EXPECT_EQ(histogram.percentile(50), 50);
  EXPECT_EQ(histogram.percentile(99), 99);
  EXPECT_EQ(histogram.percentile(99.9), 100);
  EXPECT_EQ(histogram.percentile(1), 1);
}

TEST(Histogram, PercentilesAreWithinOnePercentOfTheSortedValues) {
  std::mt19937_64 random(20240607);
  std::lognormal_distribution<double> distribution(6, 2);  // round trips: a body and a long tail
  std::vector<uint64_t> values;
  Histogram histogram;
  for (int i = 0; i < 200000; ++i) {
    auto value = static_cast<uint64_t>(distribution(random));
    values.push_back(value);
    histogram.add(value);
  }
  std::sort(values.begin(), values.end());
  for (double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 99.99}) {
    auto rank = static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
    auto exact = static_cast<double>(values[rank - 1]);
    EXPECT_NEAR(histogram.percentile(percent), exact, 0.01 * exact) << percent;
  }
  EXPECT_EQ(histogram.percentile(100), static_cast<double>(values.back()));
  EXPECT_EQ(histogram.max(), values.back());
}

TEST(Histogram, ClearForgets) {
  Histogram histogram;
  histogram.add(7);
  histogram.clear();
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.percentile(99), 0);
}

}  // namespace
}  // namespace rcbench
