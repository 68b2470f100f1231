#include "harness/bench/plan.h"

#include <algorithm>

namespace rcbench {
namespace {

bool is_stream(const Case& c) { return c.name == "stream" || c.name == "op stream"; }

Job job_of(const Case& c, uint64_t count, size_t ring_bytes) {
  Job job = {c.bytes, count, 0, ring_bytes, c.ready};
  if (is_stream(c)) {
    // Two laps around the ring, so that the measured part finds it as it always is.
    job.warm_up = std::min(std::max<uint64_t>(2 * ring_bytes / c.bytes, 2), std::max<uint64_t>(count, 2));
  } else {
    job.warm_up = std::min<uint64_t>(count / 10 + 10, 2000);
  }
  return job;
}

void give_up(Lane& lane, const Sample& sample) {
  lane.why = sample.why;
  lane.skipped = sample.skipped;
}

// How many messages take about `seconds`.
void probe(const Case& c, Lane& lane, size_t ring_bytes, double seconds) {
  uint64_t count = is_stream(c) ? std::max<uint64_t>((size_t{1} << 20) / c.bytes, 8) : 50;
  for (int turn = 0; turn < 5; ++turn) {
    Sample sample = lane.run(job_of(c, count, ring_bytes));
    if (!sample.ok) return give_up(lane, sample);
    double factor = std::clamp(seconds / sample.seconds, 0.05, 100.0);
    count = std::max<uint64_t>(static_cast<uint64_t>(static_cast<double>(count) * factor), 4);
    if (factor < 2) break;
  }
  lane.count = count;
}

}  // namespace

std::vector<Metric> wake_metrics() {
  return {{"p50_ns", [](const Sample& s, size_t) { return s.p50; }},
          {"p99_ns", [](const Sample& s, size_t) { return s.p99; }}};
}

std::vector<Metric> pingpong_metrics() {
  std::vector<Metric> metrics = wake_metrics();
  metrics.push_back({"p999_ns", [](const Sample& s, size_t) { return s.p999; }});
  return metrics;
}

std::vector<Metric> stream_metrics(size_t bytes) {
  if (bytes < 4096) {
    return {{"msgs_per_s", [](const Sample& s, size_t) { return static_cast<double>(s.count) / s.seconds; }}};
  }
  return {{"gb_per_s", [](const Sample& s, size_t n) {
             return static_cast<double>(s.count) * static_cast<double>(n) / s.seconds / 1e9;
           }}};
}

void measure(Case& c, size_t ring_bytes, const Effort& effort) {
  for (Lane& lane : c.lanes) probe(c, lane, ring_bytes, effort.seconds);
  for (int round = 0; round < effort.rounds; ++round) {
    for (size_t i = 0; i < c.lanes.size(); ++i) {
      Lane& lane = c.lanes[(i + static_cast<size_t>(round)) % c.lanes.size()];
      bool rests = lane.role == Lane::Role::kPeer && round >= effort.peer_rounds;
      if (rests || !lane.why.empty()) continue;
      Sample sample = lane.run(job_of(c, lane.count, ring_bytes));
      if (sample.ok) {
        lane.samples.push_back(sample);
      } else {
        give_up(lane, sample);
      }
    }
  }
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

namespace {

std::vector<double> values_of(const Lane& lane, const Metric& metric, size_t bytes) {
  std::vector<double> values;
  for (const Sample& sample : lane.samples) values.push_back(metric.value(sample, bytes));
  return values;
}

std::optional<double> median_ratio(const std::vector<double>& above, const std::vector<double>& below) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(above.size(), below.size()); ++i) {
    if (below[i] > 0) ratios.push_back(above[i] / below[i]);
  }
  return ratios.empty() ? std::nullopt : std::optional(median(ratios));
}

Row row_of(const Case& c, const Lane& lane, const Lane* limit, const Lane* ours, const Metric& metric) {
  Row row;
  row.backend = lane.name;
  row.case_name = c.name;
  row.bytes = c.bytes;
  row.metric = metric.name;
  std::vector<double> values = values_of(lane, metric, c.bytes);
  row.value = median(values);
  if (limit != nullptr && !limit->samples.empty()) {
    std::vector<double> limits = values_of(*limit, metric, c.bytes);
    row.limit = median(limits);
    row.limit_name = limit->name;
    row.ratio = median_ratio(values, limits);
  }
  if (ours != nullptr && &lane != ours) row.ours_to_this = median_ratio(values_of(*ours, metric, c.bytes), values);
  return row;
}

}  // namespace

std::vector<Row> rows_of(const Case& c) {
  std::vector<const Lane*> limits;
  const Lane* ours = nullptr;
  for (const Lane& lane : c.lanes) {
    if (lane.role == Lane::Role::kLimit) limits.push_back(&lane);
    if (lane.role == Lane::Role::kOurs) ours = &lane;
  }
  if (limits.empty()) limits.push_back(nullptr);
  std::vector<Row> rows;
  for (const Lane& lane : c.lanes) {
    if (lane.role == Lane::Role::kLimit && lane.why.empty()) continue;
    if (!lane.why.empty() || lane.samples.empty()) {
      Row row;
      row.backend = lane.name;
      row.case_name = c.name;
      row.bytes = c.bytes;
      row.metric = lane.skipped ? "skipped" : "failed";
      row.why = lane.why.empty() ? "no round was run" : lane.why;
      rows.push_back(row);
      continue;
    }
    for (const Metric& metric : c.metrics) {
      if (median(values_of(lane, metric, c.bytes)) == 0) continue;  // the lane does not tell
      for (const Lane* limit : limits) rows.push_back(row_of(c, lane, limit, ours, metric));
    }
  }
  return rows;
}

}  // namespace rcbench
