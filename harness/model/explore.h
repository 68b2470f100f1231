// Runs a Relacy suite under a scheduler and tells what came out of it, for GoogleTest.
// RC_MODEL_SCHEDULES sets how many random schedules each test runs; 1000000 is the long form.
#ifndef HARNESS_MODEL_EXPLORE_H_
#define HARNESS_MODEL_EXPLORE_H_

#include <gtest/gtest.h>
#include <stdint.h>
#include <stdlib.h>

#include <iostream>
#include <streambuf>

#include "harness/model/relacy_atomics.h"

namespace rc_model {

inline constexpr uint64_t kShortSchedules = 40000;
inline constexpr uint64_t kLongSchedules = 1000000;

inline uint64_t schedules_per_test() {
  const char* wanted = getenv("RC_MODEL_SCHEDULES");
  uint64_t n = wanted != nullptr ? strtoull(wanted, nullptr, 10) : 0;
  return n != 0 ? n : kShortSchedules;
}

// Counts the schedules that were really begun: a suite derives from it instead of from rl::test_suite.
template <class Derived, rl::thread_id_t kThreads>
struct CountedSuite : rl::test_suite<Derived, kThreads> {
  inline static uint64_t begun = 0;
  CountedSuite() { ++begun; }
};

// A random walk over schedules, or every schedule with at most `switches` voluntary context switches.
struct Search {
  rl::scheduler_type_e scheduler;
  unsigned switches;
};
inline constexpr Search kRandom{rl::sched_random, 0};
// One switch more in the long form.
inline Search up_to_switches(unsigned n) {
  return Search{rl::sched_bound, schedules_per_test() >= kLongSchedules ? n + 1 : n};
}

struct Explored {
  rl::test_result_e result;
  uint64_t schedules;  // begun; a failing one is run twice, the second time for its history
  uint64_t last;       // the number of the last one
};

// Keeps the beginning of what Relacy writes. It must not allocate: during a run Relacy owns operator new.
class HeldText : public std::streambuf {
 public:
  HeldText() { setp(text_, text_ + sizeof text_); }
  void print() { std::cerr.write(pbase(), pptr() - pbase()) << std::endl; }

 protected:
  int overflow(int c) override { return traits_type::not_eof(c); }

 private:
  char text_[1 << 16];
};

template <class Suite>
Explored explore(Search search, uint64_t schedules, rl::test_result_e expected) {
  HeldText text;
  HeldText progress_text;
  std::ostream output(&text);
  std::ostream progress(&progress_text);
  rl::test_params params;
  params.search_type = search.scheduler;
  params.context_bound = search.switches;
  params.iteration_count = schedules;
  params.execution_depth_limit = 5000;
  params.output_stream = &output;
  params.progress_stream = &progress;
  Suite::begun = 0;
  rl::simulate<Suite>(params);
  if (params.test_result != expected) text.print();
  return Explored{params.test_result, Suite::begun, params.stop_iteration};
}

// Every schedule tried must pass; a random search must have tried as many as were asked for.
template <class Suite>
void expect_sound(Search search) {
  uint64_t wanted = schedules_per_test();
  Explored out = explore<Suite>(search, wanted, rl::test_result_success);
  EXPECT_EQ(out.result, rl::test_result_success) << rl::test_result_str(out.result);
  EXPECT_GT(out.schedules, 0u) << "nothing was run";
  if (search.scheduler == rl::sched_random) {
    EXPECT_EQ(out.schedules, wanted);
  }
  std::cout << "    " << out.schedules << " schedules\n";
}

// The checker must fail the suite, in the way that the planted fault leads to.
template <class Suite>
void expect_found(Search search, rl::test_result_e failure) {
  Explored out = explore<Suite>(search, kLongSchedules, failure);
  EXPECT_GT(out.schedules, 0u) << "nothing was run";
  EXPECT_EQ(out.result, failure) << "wanted " << rl::test_result_str(failure) << ", got "
                                 << rl::test_result_str(out.result);
  std::cout << "    found in schedule " << out.last << ": " << rl::test_result_str(out.result) << "\n";
}

}  // namespace rc_model

#endif  // HARNESS_MODEL_EXPLORE_H_
