// What went wrong at which faults.
#ifndef HARNESS_FAILPOINT_PROBLEMS_H_
#define HARNESS_FAILPOINT_PROBLEMS_H_

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "harness/failpoint/fault.h"

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

}  // namespace failpoint

#endif  // HARNESS_FAILPOINT_PROBLEMS_H_
