// Which place a region takes among those that the NIC knows. Needs no RDMA: nothing is registered really.
#include "backends/rdma/registrations.h"

#include <gtest/gtest.h>

#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include "core/result.h"

namespace {

ibv_mr g_mr;
int g_registered;

class RdmaRegistrations : public testing::Test {
 protected:
  RdmaRegistrations() {
    g_registered = 0;
    rc::g_verbs.reg_mr = [](ibv_pd*, void*, size_t, int) noexcept {
      ++g_registered;
      return &g_mr;
    };
    rc::g_verbs.dereg_mr = [](ibv_mr*) noexcept {
      --g_registered;
      return 0;
    };
  }
  rc::Code enter(uint64_t region) { return all_.enter("channel", nullptr, region, &g_mr, 1, 0, &last_); }

  rc::Registrations all_ = {};
  rc::Registration* last_ = nullptr;
};

// Every operation looks its region up, from the front.
TEST_F(RdmaRegistrations, FillThePlacesFromTheFront) {
  for (uint64_t region = 1; region <= rc::kRegistrationsMost; ++region) {
    ASSERT_EQ(rc::kOk, enter(region));
    EXPECT_EQ(&all_.of[region - 1], last_);
  }
  EXPECT_EQ(int{rc::kRegistrationsMost}, g_registered);
}

TEST_F(RdmaRegistrations, TakeAFreePlaceBeforeThatOfAnIdleRegion) {
  enter(1);
  enter(2);
  enter(3);
  all_.forget(2);
  ASSERT_EQ(rc::kOk, enter(4));
  EXPECT_EQ(&all_.of[1], last_);
  EXPECT_NE(nullptr, all_.find(1));
}

TEST_F(RdmaRegistrations, ReplaceAnIdleOneAndNoneThatIsInUse) {
  for (uint64_t region = 1; region <= rc::kRegistrationsMost; ++region) {
    enter(region);
    last_->requests = region != 7;
  }
  ASSERT_EQ(rc::kOk, enter(100));
  EXPECT_EQ(nullptr, all_.find(7));
  EXPECT_EQ(int{rc::kRegistrationsMost}, g_registered);
  last_->requests = 1;
  EXPECT_EQ(rc::kPool, enter(101));
  EXPECT_EQ(rc::kOk, enter(100));
}

}  // namespace
#endif
