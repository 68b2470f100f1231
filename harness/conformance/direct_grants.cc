// Direct grants: what can be granted so, what its owner keeps, and how it ends.
#include <string.h>

#include <vector>

#include "harness/conformance/direct_pair.h"
#include "harness/conformance/doing.h"

namespace conformance {

class DirectElsewhere : public MemoryPair {};

TEST_P(DirectElsewhere, IsRefusedNotReplaced) {
  if (backend().direct) GTEST_SKIP() << backend().scheme << " can do it";
  rc_grant grant{99};
  rc_mr mine{0};
  EXPECT_RC(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &mine));
  EXPECT_RC_NAMES(RC_E_UNSUPPORTED, backend().scheme,
                  rc_mr_grant(ch_, mine, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant));
  EXPECT_EQ(0u, grant.id);
  EXPECT_EQ(0u, about(mine).grants);
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, mine, 0, kBytes, kAll, 0, &grant));
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
  EXPECT_RC(RC_OK, rc_mr_free(mine));
}

TEST_P(Direct, TheBytesStayTheOwnersBeforeAndAfter) {
  memset(local(), 3, 2 * kBytes);
  rc_grant grant = give(local_, 2 * kBytes);
  EXPECT_EQ(3, local()[0]);
  EXPECT_EQ(3, local()[2 * kBytes - 1]);
  Reply add = far_operates(Operation::kAdd, 8, 1);
  EXPECT_EQ(RC_OK, add.code) << add.reason;
  EXPECT_EQ(UINT64_C(0x0303030303030303), add.value);
  EXPECT_EQ(4, local()[8]);
  local()[9] = 5;
  EXPECT_EQ(UINT64_C(0x0303030303030504), far_operates(Operation::kAdd, 8, 1).value);
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
  EXPECT_RC(RC_E_HANDLE, rc_grant_revoke(grant));
  EXPECT_EQ(5, local()[8]);
  EXPECT_EQ(5, local()[9]);
  EXPECT_EQ(3, local()[2 * kBytes - 1]);
  EXPECT_EQ(0u, about(local_).grants);
  EXPECT_EQ(RC_E_REVOKED, far_operates(Operation::kAdd, 8, 1).code);
  EXPECT_EQ(5, local()[8]);
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

TEST_P(Direct, WhatCannotBeGrantedDirectlyIsNot) {
  if (by_nic()) GTEST_SKIP() << "these are the limits of pages";
  rc_grant grant{99}, other{0};
  rc_mr odd{0}, registered{0};
  alignas(4096) static uint8_t mine[8192];
  EXPECT_RC(RC_OK, rc_mr_alloc(ctx_, 5000, 0, &odd));
  EXPECT_RC(RC_OK, rc_mr_reg(ctx_, mine, sizeof mine, kAll, &registered));
  auto direct = [&](rc_mr mr, uint64_t offset, uint64_t n, uint32_t rights, int64_t lease_ns) {
    return rc_mr_grant(ch_, mr, offset, n, rights | RC_MR_DIRECT, lease_ns, &grant);
  };
  EXPECT_RC(RC_E_INVALID, direct(odd, 0, 5000, kAll, -2));
  EXPECT_RC(RC_E_LIMIT, direct(odd, 0, 5000, kAll, RC_LEASE_MAX + 1));
  EXPECT_RC(RC_E_INVALID, direct(odd, 0, 5000, 0, RC_LEASE_NONE));
  EXPECT_RC(RC_E_INVALID, direct(odd, 0, 5000, kAll | RC_MR_BY_TOKEN, RC_LEASE_NONE));
  EXPECT_RC(RC_E_INVALID, rc_mr_grant(ch_, odd, 0, 5000, kAll, RC_LEASE_NONE, &grant));
  EXPECT_RC(RC_E_RIGHTS, direct(odd, 0, 5000, RC_MR_WRITE, RC_LEASE_NONE));
  EXPECT_RC(RC_E_RIGHTS, direct(odd, 0, 5000, RC_MR_READ | RC_MR_ATOMIC, RC_LEASE_NONE));
  EXPECT_RC(RC_E_ALIGNMENT, direct(odd, 0, 4999, kAll, RC_LEASE_NONE));
  EXPECT_RC(RC_E_ALIGNMENT, direct(odd, 8, 4096, RC_MR_READ, RC_LEASE_NONE));
  EXPECT_RC(RC_E_RANGE, direct(odd, 4096, 4096, RC_MR_READ, RC_LEASE_NONE));
  EXPECT_RC_NAMES(RC_E_UNSUPPORTED, "registered", direct(registered, 0, 4096, kAll, RC_LEASE_NONE));
  EXPECT_EQ(0u, grant.id);
  EXPECT_EQ(0u, about(odd).grants);
  // Alone or not at all.
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, odd, 0, 8, kAll, 0, &other));
  EXPECT_RC(RC_E_IN_USE, direct(odd, 0, 5000, kAll, RC_LEASE_NONE));
  EXPECT_RC(RC_OK, rc_grant_revoke(other));
  EXPECT_RC(RC_OK, direct(odd, 0, 5000, kAll, RC_LEASE_NONE));
  rc_grant first = grant;
  EXPECT_RC(RC_E_IN_USE, direct(odd, 0, 5000, kAll, RC_LEASE_NONE));
  EXPECT_RC(RC_E_IN_USE, rc_mr_grant(ch_, odd, 0, 8, RC_MR_READ, 0, &other));
  EXPECT_RC_NAMES(RC_E_IN_USE, "1 grants", rc_mr_free(odd));
  EXPECT_EQ(1u, about(odd).grants);
  EXPECT_RC(RC_OK, rc_grant_revoke(first));
  EXPECT_RC(RC_OK, direct(odd, 4096, 904, RC_MR_READ, RC_LEASE_NONE));
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
  EXPECT_RC(RC_OK, rc_mr_free(odd));
  EXPECT_RC(RC_OK, rc_mr_free(registered));
}

TEST_P(Direct, WhatIsGivenBackIsTheOwnersAlone) {
  lend_direct();
  memset(local(), 6, 8);
  EXPECT_RC(RC_OK, write_alone(0, 8, 8));
  far().start(Far::bytes(Op::kGet, 1));
  EXPECT_RC(RC_OK, rc_remote_give_back(remote_, kPatience));
  put(1);
  EXPECT_FAR(RC_OK, 1u, far().finish());
  EXPECT_EQ(RC_E_IN_USE, far().call(on(Op::kMrFree)).code);
  EXPECT_EQ(RC_E_STATE, far().call(on(Op::kRevoke)).code);
  EXPECT_EQ(RC_OK, far_soon(on(Op::kTakeBack)).code);
  EXPECT_EQ(8u, far_count(8, 8, 6));
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
  // One that is only given up stays shared until its owner says so.
  lend_direct();
  EXPECT_RC(RC_OK, rc_remote_release(remote_));
  settle();
  EXPECT_EQ(RC_OK, far().progress().code);
  EXPECT_EQ(RC_E_IN_USE, far().call(on(Op::kMrFree)).code);
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kRevoke)));
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
}

TEST_P(Direct, AKilledPeersGrantStaysUntilItsOwnerEndsIt) {
  if (!backend().notices_death) GTEST_SKIP() << "the far end lives in this process";
  rc_mr other{0};
  EXPECT_RC(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &other));
  memset(local(), 8, kBytes);
  rc_grant grant = give(local_, kBytes), second = give(other, kBytes);
  int before = mapped_files();
  far().kill();
  char byte;
  EXPECT_RC(RC_E_PEER_DEAD, rc_get(ch_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ(1u, about(local_).grants);
  EXPECT_EQ(before, mapped_files());
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
  EXPECT_EQ(0u, about(local_).grants);
  EXPECT_EQ(8, local()[kBytes - 1]);
  EXPECT_RC(RC_OK, rc_mr_free(other));
  EXPECT_EQ(before - (by_nic() ? 0 : 2), mapped_files());
  EXPECT_RC(RC_OK, rc_grant_revoke(second));
}

TEST_P(Direct, ClosingTheChannelTakesItBack) {
  memset(local(), 8, kBytes);
  int before = mapped_files();
  rc_grant grant = give(local_, kBytes);
  const int files = by_nic() ? 0 : 1 + (backend().other_process ? 0 : 1);
  EXPECT_EQ(before + files, mapped_files());
  lend_direct();
  EXPECT_RC(RC_OK, write_alone(0, 0, 8));
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  EXPECT_EQ(8, local()[0]);
  EXPECT_RC(RC_E_HANDLE, rc_grant_revoke(grant));
  EXPECT_EQ(0u, about(local_).grants);
  EXPECT_RC(RC_OK, rc_mr_free(local_));
  EXPECT_EQ(RC_OK, far().close_channel().code);
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
}

TEST_P(Direct, GrantedManyTimesLeavesNothing) {
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrAlloc, kBytes, 0, kFarByte)));
  int before = mapped_files();
  Call grant = on(Op::kGrant, kBytes);
  grant.rights = kAll | RC_MR_DIRECT;
  grant.lease_ns = RC_LEASE_NONE;
  for (int i = 0; i < (by_nic() ? 20 : 300); ++i) {
    Reply reply = far_soon(grant);
    ASSERT_EQ(RC_OK, reply.code) << reply.reason;
    if (i % 3 != 0) {  // the others are never taken
      remote_ = next_remote();
      ASSERT_RC(RC_OK, read_alone(0, 0, 8));
    }
    ASSERT_FAR(RC_OK, 0u, far().call(on(Op::kRevoke)));
  }
  EXPECT_TRUE(eventually([&] { return rc_read(local_, 0, remote_, 0, 8, nullptr) == RC_E_REVOKED; }));
  EXPECT_EQ(before, mapped_files());
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
}

RC_CONFORMANCE_OF_MEMORY(DirectElsewhere);

}  // namespace conformance
