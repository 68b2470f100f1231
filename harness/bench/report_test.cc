#include "harness/bench/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace rcbench {
namespace {

Sample latency(double p50, double p99, double p999) {
  Sample sample;
  sample.ok = true;
  sample.count = 10;
  sample.seconds = 1;
  sample.p50 = p50;
  sample.p99 = p99;
  sample.p999 = p999;
  return sample;
}

Sample rate(uint64_t count) {
  Sample sample = latency(0, 0, 0);
  sample.count = count;
  return sample;
}

Lane lane(Lane::Role role, const std::string& name, std::vector<Sample> samples) {
  Lane made = {role, name, {}, 0, {}, "", false};
  made.samples = std::move(samples);
  return made;
}

Case pingpong_case() {
  Case c = {"pingpong", 8, pingpong_metrics(), {}};
  c.lanes.push_back(lane(Lane::Role::kLimit, kFlag, {latency(100, 200, 300), latency(200, 300, 400)}));
  c.lanes.push_back(lane(Lane::Role::kOurs, kOurs, {latency(110, 220, 330), latency(260, 390, 520)}));
  return c;
}

const Row* find(const std::vector<Row>& rows, const std::string& backend, const std::string& metric,
                const std::string& limit) {
  for (const Row& row : rows) {
    if (row.backend == backend && row.metric == metric && row.limit_name == limit) return &row;
  }
  return nullptr;
}

TEST(Median, OfOddAndEvenNumbers) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(median({}), 0);
}

TEST(Rows, TellTheMedianAndTheMedianOfTheRoundsRatios) {
  std::vector<Row> rows = rows_of(pingpong_case());
  ASSERT_EQ(rows.size(), 3u);
  const Row* row = find(rows, kOurs, "p50_ns", kFlag);
  ASSERT_NE(row, nullptr);
  EXPECT_DOUBLE_EQ(*row->value, 185);
  EXPECT_DOUBLE_EQ(*row->limit, 150);
  EXPECT_DOUBLE_EQ(*row->ratio, 1.2) << "the rounds' ratios are 1.1 and 1.3";
}

TEST(Rows, APeerIsComparedWithOursRoundByRound) {
  Case c = {"stream", 64, stream_metrics(64), {}};
  c.lanes.push_back(lane(Lane::Role::kLimit, kHandOver, {rate(1000), rate(1000)}));
  c.lanes.push_back(lane(Lane::Role::kOurs, kOurs, {rate(400), rate(600)}));
  c.lanes.push_back(lane(Lane::Role::kPeer, kBoost, {rate(100), rate(100)}));
  std::vector<Row> rows = rows_of(c);
  const Row* row = find(rows, kBoost, "msgs_per_s", kHandOver);
  ASSERT_NE(row, nullptr);
  EXPECT_DOUBLE_EQ(*row->ours_to_this, 5);
  EXPECT_DOUBLE_EQ(*row->ratio, 0.1);
}

TEST(Rows, FromFourKibibytesOnAStreamIsCountedInBytes) {
  EXPECT_STREQ(stream_metrics(1024)[0].name, "msgs_per_s");
  ASSERT_STREQ(stream_metrics(4096)[0].name, "gb_per_s");
  EXPECT_DOUBLE_EQ(stream_metrics(4096)[0].value(rate(1000000), 4096), 4.096);
}

TEST(Rows, ALaneThatCouldNotRunIsNamedWithItsReason) {
  Case c = pingpong_case();
  c.lanes.push_back(lane(Lane::Role::kPeer, "left-pad", {}));
  c.lanes.back().why = "not installed";
  c.lanes.back().skipped = true;
  std::vector<Row> rows = rows_of(c);
  const Row* row = find(rows, "left-pad", "skipped", "");
  ASSERT_NE(row, nullptr);
  EXPECT_FALSE(row->value);
  EXPECT_EQ(row->why, "not installed");
  EXPECT_NE(tables_of(rows).find("skipped: left-pad (pingpong 8 B): not installed"), std::string::npos);
}

TEST(Measure, RunsEveryLaneInEveryRoundAndDropsOneThatFails) {
  Case c = {"pingpong", 8, pingpong_metrics(), {}};
  int good_runs = 0, bad_runs = 0;
  auto good = [&](const Job&) { return ++good_runs, latency(1, 2, 3); };
  auto bad = [&](const Job&) { return ++bad_runs, Sample::failure("broken"); };
  c.lanes.push_back({Lane::Role::kOurs, "good", good, 0, {}, "", false});
  c.lanes.push_back({Lane::Role::kPeer, "bad", bad, 0, {}, "", false});
  measure(c, 4096, {5, 5, 1.0});
  EXPECT_EQ(c.lanes[0].samples.size(), 5u);
  EXPECT_EQ(c.lanes[1].why, "broken");
  EXPECT_EQ(bad_runs, 1);
}

TEST(Measure, PeersTakePartInTheFirstRoundsOnly) {
  Case c = {"pingpong", 8, pingpong_metrics(), {}};
  auto good = [](const Job&) { return latency(1, 2, 3); };
  c.lanes.push_back({Lane::Role::kOurs, kOurs, good, 0, {}, "", false});
  c.lanes.push_back({Lane::Role::kPeer, "peer", good, 0, {}, "", false});
  measure(c, 4096, {5, 2, 1.0});
  EXPECT_EQ(c.lanes[0].samples.size(), 5u);
  EXPECT_EQ(c.lanes[1].samples.size(), 2u);
}

TEST(Measure, FindsHowManyMessagesTakeTheTime) {
  Case c = {"stream", 64, stream_metrics(64), {}};
  auto million_a_second = [](const Job& job) {
    Sample sample = rate(job.count);
    sample.seconds = static_cast<double>(job.count) / 1e6;
    return sample;
  };
  c.lanes.push_back({Lane::Role::kOurs, kOurs, million_a_second, 0, {}, "", false});
  measure(c, 4096, {1, 1, 0.5});
  EXPECT_NEAR(static_cast<double>(c.lanes[0].count), 500000, 50000);
}

TEST(Machine, InterruptionsAreThoseOfOurOwnLanesPerSecond) {
  Case c = pingpong_case();  // four samples of a second each
  c.lanes[0].samples[0].interruptions = 10;
  c.lanes[1].samples[1].interruptions = 30;
  c.lanes.push_back(lane(Lane::Role::kPeer, "peer", {latency(1, 2, 3)}));
  EXPECT_DOUBLE_EQ(interruptions_per_s({c}), 10);
  EXPECT_EQ(interruptions_per_s({}), 0);
}

TEST(Json, HasTheKeysThatAreAgreedUpon) {
  Machine machine;
  machine.cpu = "a \"quoted\" processor";
  nlohmann::json all = nlohmann::json::parse(json_of(rows_of(pingpong_case()), machine));
  std::set<std::string> top;
  for (auto& item : all.items()) top.insert(item.key());
  EXPECT_EQ(top, (std::set<std::string>{"cases", "machine"}));
  ASSERT_EQ(all["cases"].size(), 3u);
  std::set<std::string> keys;
  for (auto& item : all["cases"][0].items()) keys.insert(item.key());
  EXPECT_EQ(keys,
            (std::set<std::string>{"backend", "case", "bytes", "metric", "value", "limit", "limit_name", "ratio"}));
  EXPECT_EQ(all["cases"][0]["metric"], "p50_ns");
  EXPECT_EQ(all["cases"][0]["bytes"], 8);
  EXPECT_DOUBLE_EQ(all["cases"][0]["ratio"].get<double>(), 1.2);
  EXPECT_EQ(all["machine"]["cpu"], machine.cpu);
}

TEST(Acceptance, JudgesWhatWasMeasuredAndLeavesOutTheRest) {
  std::vector<Demand> demands = demands_of(rows_of(pingpong_case()));
  EXPECT_EQ(std::count_if(demands.begin(), demands.end(), [](const Demand& d) { return d.measured.has_value(); }), 2);
  const Demand& p50 = demands[0];
  EXPECT_DOUBLE_EQ(*p50.measured, 1.2);
  EXPECT_TRUE(p50.reached());
  Demand missed = p50;
  missed.measured = 1.26;
  EXPECT_FALSE(missed.reached());
  missed.measured = std::nullopt;
  EXPECT_FALSE(missed.reached());
  std::string text = acceptance_of({p50, {"too slow", false, 5, 2.0}});
  EXPECT_NE(text.find("NOT REACHED"), std::string::npos);
  EXPECT_EQ(acceptance_of({missed}), "") << "nothing of it was measured";
}

}  // namespace
}  // namespace rcbench
