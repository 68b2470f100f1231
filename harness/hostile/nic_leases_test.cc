// How direct grants by NIC begin and end: registered, leased, taken back, closed over.
#include <chrono>
#include <mutex>
#include <thread>

#include "harness/hostile/soft_nic.h"

namespace hostile {
namespace {

constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kBrief = 50 * kMs;

// More often than there are grants.
TEST_F(Nic, AGrantThatTheNicCannotRegisterTakesNothing) {
  g_nic->shares = false;
  for (uint32_t i = 0; i <= rc::kGrantsMax; ++i) {
    ASSERT_EQ(RC_E_NO_MEMORY, rc_mr_grant(owner_, granted_, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant_));
    EXPECT_STREQ("no memory may be locked", rc_reason());
    EXPECT_EQ(0u, grant_.id);
  }
  EXPECT_EQ(RC_E_WOULD_BLOCK, rc_remote_get(asker_, 0, &remote_)) << "none is announced";
  EXPECT_EQ(0u, g_nic->deregistered);
  g_nic->shares = true;
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  rc_request request{0};
  word(local_) = 5;
  ASSERT_EQ(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_request_wait(request, kPatience, nullptr)) << rc_reason();
  EXPECT_EQ(5u, word(granted_));
  EXPECT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_mr_free(granted_)) << rc_reason();
}

// Two threads take one grant back: it is deregistered once, and the link stays until it is.
TEST_F(Nic, AChannelsCloseWaitsForAFreeBesideIt) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  ASSERT_EQ(RC_OK, rc_channel_close(asker_)) << rc_reason();
  rc_remote none{0};
  ASSERT_EQ(RC_E_CLOSED, rc_remote_get(owner_, kPatience, &none));
  g_nic->closed = false;  // that was the asker's
  g_nic->waits_for_close = true;
  int32_t freed = RC_E_STATE;
  std::thread freeing([&] { freed = rc_mr_free(granted_); });
  {
    std::unique_lock<std::mutex> lock(g_nic->mutex);
    EXPECT_TRUE(
        g_nic->changed.wait_for(lock, std::chrono::nanoseconds(kPatience), [] { return g_nic->deregistering; }));
  }
  EXPECT_EQ(RC_OK, rc_channel_close(owner_)) << rc_reason();
  freeing.join();
  EXPECT_FALSE(g_nic->closed_meanwhile);
  EXPECT_EQ(1u, g_nic->deregistered);
  EXPECT_EQ(RC_OK, freed);
  rc_region region = {};
  region.size = sizeof region;
  EXPECT_EQ(RC_E_HANDLE, rc_mr_info(granted_, &region));
}

TEST_F(Nic, TheEndOfALeaseWaitsForTheAskersAnswer) {
  g_nic->completes = false;
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  rc_request request{0};
  bool late = rc_write(local_, 0, remote_, 0, 8, &request) != RC_OK;  // on a slow machine the lease is over
  let_pass(kBrief);
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  EXPECT_EQ(RC_OK, rc_progress(asker_));  // it has something under way, so it does not answer
  EXPECT_EQ(RC_E_EXPIRED, rc_write(local_, 0, remote_, 0, 8, nullptr));
  if (!late) {
    EXPECT_TRUE(left() > 0 || g_nic->deregistered == 1);  // which is never said before it is so
    g_nic->completed = g_nic->posted;
    EXPECT_EQ(RC_OK, rc_request_wait(request, kPatience, nullptr)) << rc_reason();
  }
  EXPECT_EQ(RC_OK, rc_progress(asker_));
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  EXPECT_EQ(1u, g_nic->deregistered);
  EXPECT_EQ(0, left());
  EXPECT_EQ(RC_E_EXPIRED, rc_write(local_, 0, remote_, 0, 8, nullptr));
  // Another one in its place, after the handle is gone.
  EXPECT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason();
  g_nic->completes = true;
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  ASSERT_EQ(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_request_wait(request, kPatience, nullptr)) << rc_reason();
}

// By whatever call, with no other before it.
TEST_F(Nic, HalfASecondAfterTheEndOfALeaseNobodyIsWaitedFor) {
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  let_pass(kBrief + 500 * kMs);
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  EXPECT_EQ(1u, g_nic->deregistered);
  EXPECT_EQ(RC_OK, rc_mr_free(granted_)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason();
  EXPECT_EQ(RC_E_EXPIRED, rc_write(local_, 0, remote_, 0, 8, nullptr));
}

// The asker has not answered, and never will.
TEST_F(Nic, ARegionIsFreedWhoseChannelEndedAfterItsLease) {
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  let_pass(kBrief);
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  g_nic->broken = rc::kNoDevice;
  char byte;
  EXPECT_EQ(RC_E_NO_DEVICE, rc_get(owner_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ(RC_OK, rc_mr_free(granted_)) << rc_reason();
  EXPECT_EQ(1u, g_nic->deregistered);
}

// Its writes are done when they are posted, so nothing but the news makes it look around.
TEST_F(NicOfAQueue, WhoOnlyPostsSeesARevoke) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  std::thread revoking([this] { EXPECT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason(); });
  auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kPatience);
  int32_t code = RC_OK;
  while (code == RC_OK && std::chrono::steady_clock::now() < end) code = rc_write(local_, 0, remote_, 0, 8, nullptr);
  EXPECT_EQ(RC_E_REVOKED, code) << rc_reason();
  revoking.join();
  EXPECT_EQ(RC_OK, rc_put(asker_, "x", 1, kPatience, nullptr)) << rc_reason();
}

// Nothing of what it waits for happens meanwhile.
TEST_F(NicOfAQueue, ASyncEndsALease) {
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  g_nic->delivers = false;
  std::thread syncing([this] { EXPECT_EQ(RC_OK, rc_sync(owner_, kPatience)) << rc_reason(); });
  {
    std::unique_lock<std::mutex> lock(g_nic->mutex);
    EXPECT_TRUE(g_nic->changed.wait_for(lock, std::chrono::nanoseconds(kPatience / 4),
                                        [] { return g_nic->deregistered == 1; }));
  }
  g_nic->delivers = true;
  EXPECT_EQ(RC_OK, rc_put(asker_, "x", 1, kPatience, nullptr)) << rc_reason();  // wakes it
  syncing.join();
}

TEST_F(Nic, ARevokeAfterTheEndOfALeaseEndsItAsEver) {
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  let_pass(kBrief);
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  EXPECT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason();
  EXPECT_EQ(1u, g_nic->deregistered);
  EXPECT_EQ(RC_E_HANDLE, rc_grant_revoke(grant_));
  EXPECT_EQ(RC_OK, rc_mr_free(granted_)) << rc_reason();
  EXPECT_EQ(RC_E_EXPIRED, rc_write(local_, 0, remote_, 0, 8, nullptr));
  for (int i = 0; i < 200; ++i) {  // no slot is lost
    ASSERT_EQ(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &granted_));
    ASSERT_EQ(RC_OK, grant(1)) << i << rc_reason();
    EXPECT_EQ(RC_OK, rc_progress(owner_));
    EXPECT_EQ(RC_OK, rc_progress(asker_));
    EXPECT_EQ(RC_OK, rc_progress(owner_));
    EXPECT_EQ(RC_OK, rc_progress(owner_));
    ASSERT_EQ(RC_OK, rc_mr_free(granted_)) << i << rc_reason();
    ASSERT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_remote_release(remote_));
  }
}

// It had found no room in the NIC's queue when its lease ended.
TEST_F(Nic, WhatHasNotBeenPostedWhenTheLeaseEndsIsNot) {
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  g_nic->room = 0;
  rc_request request{0};
  int32_t code = rc_write(local_, 0, remote_, 0, 8, &request);
  let_pass(kBrief);
  g_nic->room = kAnyRoom;
  if (code == RC_OK) code = rc_request_wait(request, kPatience, nullptr);
  EXPECT_EQ(RC_E_EXPIRED, code) << rc_reason();
  EXPECT_EQ(0u, g_nic->posted);
}

}  // namespace
}  // namespace hostile
