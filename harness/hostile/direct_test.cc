// What an honest end meets with direct grants, whoever gave them: no descriptor, no address space, large ones, a revoke
// in the middle. Between two ends, one of which the test could take over.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>
#include <vector>

#include "harness/hostile/direct_grants.h"

namespace hostile {
namespace {

// It is no use to somebody who has not got it, and not ours to lose: out of descriptors, it comes later.
TEST_F(DirectGrants, WithoutADescriptorItIsTakenLater) {
  rc_mr theirs{0};
  rc_grant grant{0};
  ASSERT_EQ(RC_OK, rc_mr_alloc(peer_ctx_, kBytes, 0, &theirs));
  ASSERT_EQ(RC_OK, rc_mr_grant(peer_, theirs, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant)) << rc_reason();
  rlimit before = {}, few = {};
  ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
  few = {256, before.rlim_max};
  ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
  std::vector<Fd> taken;
  for (;;) {
    Fd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd.ok()) break;
    taken.push_back(std::move(fd));
  }
  rc_remote remote{0};
  EXPECT_EQ(RC_E_NO_DESCRIPTORS, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
  taken.clear();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
  rc_request request{0};
  EXPECT_EQ(RC_OK, rc_write(mine_, 0, remote, 0, 8, &request));
  EXPECT_EQ(RC_OK, rc_request_test(request, nullptr));
  EXPECT_EQ(kUntouched, bytes_of(theirs)[7]);
}

// What cannot be mapped is not in the way of others for ever: its handle comes with the error, and can be released.
TEST_F(DirectGrants, WhatCannotBeMappedCanBeRefused) {
  rc_mr theirs[2];
  rc_grant grants[2];
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(RC_OK, rc_mr_alloc(peer_ctx_, kBytes, 0, &theirs[i]));
    bytes_of(theirs[i])[0] = static_cast<uint8_t>(i + 1);
    ASSERT_EQ(RC_OK, rc_mr_grant(peer_, theirs[i], 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grants[i]))
        << rc_reason();
  }
  rlimit before = {}, none = {};
  ASSERT_EQ(0, getrlimit(RLIMIT_AS, &before));
  none = {4096, before.rlim_max};
  rc_remote refused{0}, again{0}, remote{0};
  ASSERT_EQ(0, setrlimit(RLIMIT_AS, &none));
  int32_t first = rc_remote_get(honest_, kPatience, &refused), second = rc_remote_get(honest_, 0, &again);
  setrlimit(RLIMIT_AS, &before);
  EXPECT_EQ(RC_E_NO_MEMORY, first) << rc_reason();
  EXPECT_EQ(RC_E_NO_MEMORY, second) << rc_reason();
  EXPECT_NE(0u, refused.id);
  EXPECT_EQ(refused.id, again.id) << "it may be tried again";
  ASSERT_EQ(RC_OK, rc_remote_release(refused)) << rc_reason();
  EXPECT_EQ(RC_E_HANDLE, rc_remote_release(refused));
  uint8_t token[RC_TOKEN_BYTES];
  rc_request request{0};
  ASSERT_EQ(RC_OK, rc_grant_token(grants[0], token)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_remote_open(honest_, token, &remote)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_read(mine_, 0, remote, 0, 8, &request)) << rc_reason();
  rc_progress(peer_);
  EXPECT_EQ(RC_E_REVOKED, rc_request_wait(request, kPatience, nullptr)) << "the owner knows, too";
  ASSERT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_read(mine_, 0, remote, 0, 8, &request)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_request_test(request, nullptr)) << rc_reason();
  EXPECT_EQ(2, bytes_of(mine_)[0]);
  for (rc_grant grant : grants) EXPECT_EQ(RC_OK, rc_grant_revoke(grant)) << rc_reason();
}

// In pieces, between which the lock is free: all of it, and nothing that is revoked meanwhile.
TEST_F(DirectGrants, LargerThanAPiece) {
  constexpr uint64_t kLarge = (9 << 20) + 5;
  rc_mr theirs{0}, local{0};
  rc_grant grant{0};
  rc_remote remote{0};
  rc_request request{0};
  ASSERT_EQ(RC_OK, rc_mr_alloc(peer_ctx_, kLarge, 0, &theirs));
  ASSERT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, kLarge, 0, &local));
  ASSERT_EQ(RC_OK, rc_mr_grant(peer_, theirs, 0, kLarge, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
  uint8_t* at = bytes_of(local);
  for (uint64_t i = 0; i < kLarge; ++i) at[i] = static_cast<uint8_t>(i * 7 + i / 256);
  ASSERT_EQ(RC_OK, rc_write(local, 0, remote, 0, kLarge, &request));
  ASSERT_EQ(RC_OK, rc_request_test(request, nullptr));
  EXPECT_EQ(0, memcmp(at, bytes_of(theirs), kLarge));
  memset(at, 0, kLarge);
  ASSERT_EQ(RC_OK, rc_read(local, 0, remote, 0, kLarge, &request));
  ASSERT_EQ(RC_OK, rc_request_test(request, nullptr));
  EXPECT_EQ(0, memcmp(at, bytes_of(theirs), kLarge));
  // A thread of the honest end's get side that learns of the revoke in the middle of a write.
  std::atomic<bool> done{false};
  std::thread serving([&] {
    while (!done) rc_progress(honest_);
  });
  std::thread revoking([&] { EXPECT_EQ(RC_OK, rc_grant_revoke(grant)) << rc_reason(); });
  int32_t code = RC_OK;
  while (code == RC_OK) {
    code = rc_write(local, 0, remote, 0, kLarge, &request);
    if (code == RC_OK) code = rc_request_test(request, nullptr);
  }
  revoking.join();
  EXPECT_EQ(RC_E_REVOKED, code) << rc_reason();
  done = true;
  serving.join();
  memset(bytes_of(theirs), kUntouched, kLarge);
  EXPECT_EQ(RC_E_REVOKED, rc_write(local, 0, remote, 0, kLarge, nullptr));
  EXPECT_EQ(kUntouched, bytes_of(theirs)[kLarge - 1]);
  EXPECT_EQ(RC_OK, rc_mr_free(local)) << rc_reason();
}

// The region that was written from last is freed like any other.
TEST_F(DirectGrants, WhatWasLookedUpIsNotInUse) {
  rc_mr theirs{0}, local{0};
  rc_grant grant{0};
  rc_remote remote{0};
  ASSERT_EQ(RC_OK, rc_mr_alloc(peer_ctx_, kBytes, 0, &theirs));
  ASSERT_EQ(RC_OK, rc_mr_grant(peer_, theirs, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, kBytes, 0, &local));
    ASSERT_EQ(RC_OK, rc_write(local, 0, remote, 0, 8, nullptr));
    ASSERT_EQ(RC_OK, rc_write(i % 2 == 0 ? local : mine_, 0, remote, 0, 8, nullptr));
    ASSERT_EQ(RC_OK, rc_mr_free(local)) << rc_reason();
    ASSERT_EQ(RC_E_HANDLE, rc_write(local, 0, remote, 0, 8, nullptr));
  }
  static uint8_t readable[64];
  rc_mr registered{0};
  ASSERT_EQ(RC_OK, rc_mr_reg(honest_ctx_, readable, sizeof readable, RC_MR_READ, &registered));
  EXPECT_EQ(RC_OK, rc_write(registered, 0, remote, 0, 64, nullptr));
  EXPECT_EQ(RC_E_RIGHTS, rc_read(registered, 0, remote, 0, 64, nullptr));
  EXPECT_EQ(RC_E_RANGE, rc_write(registered, 1, remote, 0, 64, nullptr));
  EXPECT_EQ(RC_OK, rc_write(registered, 0, remote, 0, 64, nullptr));
  EXPECT_EQ(RC_OK, rc_mr_free(registered)) << rc_reason();
}

}  // namespace
}  // namespace hostile
