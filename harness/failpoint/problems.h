// Every single call fails once, and what went wrong at which faults.
#ifndef HARNESS_FAILPOINT_PROBLEMS_H_
#define HARNESS_FAILPOINT_PROBLEMS_H_

#include <gtest/gtest.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>

#include "harness/failpoint/fault.h"
#include "harness/failpoint/scene.h"

namespace failpoint {

// Problems with the faults that led to them: one defect shows at many faults.
class Problems {
 public:
  void add(const std::string& problem, const Fault& fault) {
    Seen& s = seen_[problem];
    if (++s.count == 1) s.first = fault.text();
  }
  ~Problems() {
    for (auto& [problem, s] : seen_)
      ADD_FAILURE() << problem << "\n  first when " << s.first << ", " << s.count << " times in all";
  }

 private:
  struct Seen {
    std::string first;
    int count = 0;
  };
  std::map<std::string, Seen> seen_;
};

inline constexpr unsigned kWatchdogS = 30;  // for one play, which takes milliseconds

// Plays once without a fault, then with every plausible failure of every call that was made; tcp: whose failures. Of
// one call's at most so many.
template <class F>
void fail_every_call_once(bool tcp, uint32_t nth_most, F play_with) {
  Problems problems;
  alarm(kWatchdogS);
  Verdict plain = play_with(Fault{});
  for (const std::string& p : plain.problems) problems.add(p, Fault{});
  ASSERT_TRUE(plain.problems.empty());
  int plays = 0, faults = 0;
  for (auto& [call, count] : plain.calls) {
    for (int error : plausible_errors(call, tcp)) {
      // A fault changes what comes after it: go on until it finds no call any more. A few calls more or fewer are
      // timing.
      for (uint32_t nth = 1; nth <= std::min(2 * count + 4, nth_most); ++nth) {
        alarm(kWatchdogS);
        Fault fault = {call, nth, error, false};
        Verdict v = play_with(fault);
        ++plays;
        if (!v.happened) break;
        ++faults;
        for (const std::string& p : v.problems) problems.add(p, fault);
      }
    }
  }
  alarm(0);
  printf("%d faults in %d plays; calls of one:", faults, plays);
  for (auto& [call, count] : plain.calls) printf(" %s %u", call.c_str(), count);
  printf("\n");
  EXPECT_GT(faults, 40);
}

}  // namespace failpoint

#endif  // HARNESS_FAILPOINT_PROBLEMS_H_
