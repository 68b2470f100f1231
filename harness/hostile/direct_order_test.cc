// The order of things around direct grants: slots that are given again, handles that are older than what they lead to.
#include <vector>

#include "harness/hostile/direct_grants.h"

namespace hostile {
namespace {

constexpr int kSlots = 64;  // grants of one channel
constexpr uint64_t kPage = 4096;

class DirectOrder : public DirectGrants {
 public:
  // The peer grants a page of its own; the honest end has seen that, if it looks.
  rc_grant give(rc_mr mr, uint32_t rights = kAll) {
    rc_grant grant{0};
    int64_t lease_ns = (rights & RC_MR_DIRECT) != 0 ? RC_LEASE_NONE : 0;
    EXPECT_EQ(RC_OK, rc_mr_grant(peer_, mr, 0, kPage, rights, lease_ns, &grant)) << rc_reason();
    return grant;
  }
  rc_mr page_of_peer() {
    rc_mr mr{0};
    EXPECT_EQ(RC_OK, rc_mr_alloc(peer_ctx_, kPage, 0, &mr)) << rc_reason();
    return mr;
  }
  rc_remote take() {
    rc_remote remote{0};
    EXPECT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
    return remote;
  }
};

// Its slot leads to another grant by the time the operation has looked at what arrived.
TEST_F(DirectOrder, AnOldHandleDoesNotReachTheNextGrantOfItsSlot) {
  std::vector<rc_grant> grants;
  std::vector<rc_remote> remotes;
  for (int i = 0; i < kSlots; ++i) {
    grants.push_back(give(page_of_peer(), kAll | RC_MR_DIRECT));
    remotes.push_back(take());
  }
  rc_mr next = page_of_peer();
  ASSERT_EQ(RC_OK, rc_grant_revoke(grants[5])) << rc_reason();
  give(next, kAll | RC_MR_DIRECT);
  EXPECT_EQ(RC_E_REVOKED, rc_write(mine_, 0, remotes[5], 0, 64, nullptr));
  for (int i = 0; i < 10; ++i) {
    rc_progress(peer_);
    rc_progress(honest_);
  }
  EXPECT_EQ(0, bytes_of(next)[0]);
  rc_request request{0};
  ASSERT_EQ(RC_OK, rc_write(mine_, 0, take(), 0, 64, &request));
  EXPECT_EQ(RC_OK, rc_request_test(request, nullptr));
  EXPECT_EQ(kUntouched, bytes_of(next)[63]);
}

// Grants that are revoked before they were taken, until their slots come again.
TEST_F(DirectOrder, WhatWasRevokedUnreadKeepsNoPlace) {
  for (uint32_t direct : {0u, RC_MR_DIRECT}) {
    SCOPED_TRACE(direct);
    rc_mr first = page_of_peer(), second = page_of_peer(), other = page_of_peer();
    bytes_of(first)[0] = 1;
    bytes_of(second)[0] = 2;
    auto come_and_go = [&] {
      rc_grant grant = give(other, RC_MR_READ | direct);
      rc_progress(honest_);
      ASSERT_EQ(RC_OK, rc_grant_revoke(grant)) << rc_reason();
      rc_progress(honest_);
    };
    come_and_go();
    rc_grant one = give(first, RC_MR_READ | direct);
    rc_progress(honest_);
    for (int i = 0; i < kSlots - 2; ++i) come_and_go();
    rc_grant two = give(second, RC_MR_READ | direct);  // by the slot of the one that came and went first
    for (uint8_t value : {1, 2}) {
      rc_remote remote = take();
      rc_request request{0};
      ASSERT_EQ(RC_OK, rc_read(mine_, 0, remote, 0, 8, &request)) << rc_reason();
      rc_progress(peer_);
      EXPECT_EQ(RC_OK, rc_request_wait(request, kPatience, nullptr)) << rc_reason();
      EXPECT_EQ(value, bytes_of(mine_)[0]);
      if (HasFailure()) return;
    }
    for (rc_grant grant : {one, two}) EXPECT_EQ(RC_OK, rc_grant_revoke(grant));
  }
}

}  // namespace
}  // namespace hostile
