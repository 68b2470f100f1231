// What is measured against what, and how samples become the figures of the report.
#ifndef HARNESS_BENCH_PLAN_H_
#define HARNESS_BENCH_PLAN_H_

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/bench/loops.h"
#include "harness/bench/pair.h"

namespace rcbench {

// One way of doing a case.
struct Lane {
  // kVariant: ours too, used in another way; what is called "ours" is the one of kOurs.
  enum class Role { kLimit, kOurs, kVariant, kPeer };
  Role role;
  std::string name;  // the backend, or the limit's name
  std::function<Sample(const Job&)> run;

  uint64_t count = 0;           // messages per sample, found by probing
  std::vector<Sample> samples;  // one per round
  std::string why;              // not measured, because
  bool skipped = false;
};

struct Metric {
  const char* name;  // as in the JSON
  double (*value)(const Sample& sample, size_t bytes);
};

// A case is measured in rounds; in each round every lane runs once, so that what the machine does meanwhile hits all
// of them. The first limit lane is the one that a reader should look at.
struct Case {
  std::string name;  // pingpong, stream, wake
  size_t bytes;
  std::vector<Metric> metrics;
  std::vector<Lane> lanes;
  bool ready = false;  // Job's
};

std::vector<Metric> pingpong_metrics();
std::vector<Metric> wake_metrics();
std::vector<Metric> stream_metrics(size_t bytes);  // messages below 4 KiB, bytes from there on

struct Effort {
  int rounds;
  int peer_rounds;  // peers take part in the first so many
  double seconds;   // per sample
};

// Finds each lane's count, then runs the rounds, each beginning with another lane.
void measure(Case& c, size_t ring_bytes, const Effort& effort);

// One line of the report.
struct Row {
  std::string backend, case_name;
  size_t bytes = 0;
  std::string metric;
  std::optional<double> value;  // median over the rounds
  std::optional<double> limit;  // median over the rounds
  std::string limit_name;
  std::optional<double> ratio;         // median of the rounds' value / limit
  std::optional<double> ours_to_this;  // peers: median of the rounds' ours / value
  std::string why;                     // no value, because
};

std::vector<Row> rows_of(const Case& c);

double median(std::vector<double> values);

}  // namespace rcbench

#endif  // HARNESS_BENCH_PLAN_H_
