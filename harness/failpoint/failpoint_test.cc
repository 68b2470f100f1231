// Fault 10 of the proof: every single system call of the library fails once, in every way it plausibly can. The call of
// rc.h that made it succeeds or gives a documented code and a reason; nothing is lost, nothing hangs, everything works
// afterwards.
#include <errno.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <string>

#include "harness/failpoint/fault.h"
#include "harness/failpoint/manual.h"
#include "harness/failpoint/scene.h"

namespace failpoint {
namespace {

constexpr unsigned kWatchdogS = 30;  // for one play, which takes milliseconds

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

class EverySingleCall : public testing::TestWithParam<Scenario> {};

TEST_P(EverySingleCall, FailsOnce) {
  Problems problems;
  alarm(kWatchdogS);
  Verdict plain = play(GetParam(), Fault{});
  for (const std::string& p : plain.problems) problems.add(p, Fault{});
  ASSERT_TRUE(plain.problems.empty());
  int plays = 0, faults = 0;
  for (auto& [call, count] : plain.calls) {
    for (int error : plausible_errors(call)) {
      // A fault changes what comes after it: go on until it finds no call any more. A few calls more or fewer are
      // timing.
      for (uint32_t nth = 1; nth <= 2 * count + 4; ++nth) {
        alarm(kWatchdogS);
        Fault fault = {call, nth, error, false};
        Verdict v = play(GetParam(), fault);
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

INSTANTIATE_TEST_SUITE_P(, EverySingleCall, testing::ValuesIn(all_scenarios()),
                         [](const testing::TestParamInfo<Scenario>& i) { return i.param.name; });

TEST(ManualOfCodes, IsReadFromTheHeader) {
  const Manual& manual = Manual::shipped();
  EXPECT_GT(manual.functions(), 35u);
  EXPECT_EQ(1u, manual.codes("rc_accept").count("RC_E_NO_SPACE"));
  EXPECT_EQ(0u, manual.codes("rc_accept").count("RC_E_VERSION"));
  EXPECT_EQ(1u, manual.codes("rc_put_more").count("RC_E_PEER_DEAD")) << "\"as rc_put\" is followed";
  EXPECT_NE("", manual.complaint("rc_stop", RC_E_TIMEOUT));
  EXPECT_EQ("", manual.complaint("rc_stop", RC_OK));
}

}  // namespace
}  // namespace failpoint
