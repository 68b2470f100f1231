// Grants: rights, leases, revoking, tokens, memory of the peer's, giving back.
#include <algorithm>
#include <vector>

#include "harness/conformance/memory_pair.h"

namespace conformance {
namespace {

// The layout of a token is nobody's business but the library's; a forger finds it out.
constexpr size_t kTokenSlot = 8, kTokenUse = 10, kTokenSecret = 16, kTokenBytes = 32, kTokenRights = 48;

std::string altered(std::string token, size_t at, uint64_t value, size_t bytes) {
  memcpy(&token[at], &value, bytes);
  return token;
}

}  // namespace

// Scenario C3: the client's region is handed over and the server reads it.
TEST_P(Grants, WhatIsGrantedIsReadByThePeer) {
  lend();
  far().call(on(Op::kMrFill, 4, 4, 2));
  EXPECT_RC(RC_OK, read(0, 8));
  for (int i = 0; i < 8; ++i) EXPECT_EQ(i < 4 ? kFarByte : 2, local()[i]);
}

TEST_P(Grants, ArriveInOrderWithWhatTheyAre) {
  for (uint32_t item = 0; item < 3; ++item) {
    EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrAlloc, 4096, 0, item, item)));
    Call grant = on(Op::kGrant, 100 + item, item, 0, item);
    grant.rights = 1 + item;
    grant.lease_ns = INT64_C(1000000000) * (1 + item);
    EXPECT_FAR(RC_OK, 0u, far().call(grant));
  }
  for (uint32_t item = 0; item < 3; ++item) {
    rc_remote remote = next_remote();
    rc_lease lease = {};
    lease.size = sizeof lease;
    EXPECT_RC(RC_OK, rc_remote_info(remote, &lease));
    EXPECT_EQ(1 + item, lease.rights);
    EXPECT_EQ(100u + item, lease.bytes);
    EXPECT_LE(lease.left_ns, INT64_C(1000000000) * (1 + item));
  }
  rc_remote none{99};
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_remote_get(ch_, 0, &none));
  EXPECT_RC(RC_E_TIMEOUT, rc_remote_get(ch_, kShort, &none));
  EXPECT_EQ(0u, none.id);
}

// Scenario C8. The near end knows its rights and refuses at once.
TEST_P(Grants, LesserRightsAreRefused) {
  lend(kBytes, RC_MR_READ);
  EXPECT_RC(RC_E_RIGHTS, rc_write(local_, 0, remote_, 0, 8, nullptr));
  EXPECT_RC(RC_E_RIGHTS, rc_write_imm(local_, 0, remote_, 0, 8, 1, nullptr));
  EXPECT_RC(RC_E_RIGHTS, rc_fetch_add(remote_, 0, 1, nullptr));
  EXPECT_RC(RC_E_RIGHTS, rc_compare_swap(remote_, 0, 0, 1, nullptr));
  EXPECT_RC(RC_OK, read(0, 8));
  lend(kBytes, RC_MR_WRITE, 0, 1);
  EXPECT_RC(RC_E_RIGHTS, rc_read(local_, 0, remote_, 0, 8, nullptr));
  expect_far_untouched();
}

// One that does not know, or does not want to: the owner refuses.
TEST_P(Grants, AForgedTokenOpensNothing) {
  std::string token = lend(kBytes, RC_MR_READ | RC_MR_BY_TOKEN);
  struct {
    const char* what;
    std::string token;
    int32_t code;
  } cases[] = {
      {"more rights", altered(token, kTokenRights, kAll, 4), RC_E_RIGHTS},
      {"more bytes", altered(altered(token, kTokenRights, kAll, 4), kTokenBytes, kBytes * 2, 8), RC_E_RIGHTS},
      {"another secret", altered(token, kTokenSecret, 12345, 8), RC_E_REVOKED},
      {"the other half of it", altered(token, kTokenSecret + 8, 12345, 8), RC_E_REVOKED},
      {"another slot", altered(token, kTokenSlot, 5, 2), RC_E_REVOKED},
      {"a slot that there is not", altered(token, kTokenSlot, 60000, 2), RC_E_REVOKED},
      {"another use", altered(token, kTokenUse, 77, 2), RC_E_REVOKED},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    remote_ = open(altered(c.token, kTokenRights, kAll, 4));
    EXPECT_RC(c.code, write(0, 8));
    rc_request add{0}, imm{0};
    EXPECT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, &add));
    EXPECT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &imm));
    EXPECT_RC(c.code, finish(add));
    EXPECT_RC(c.code, finish(imm));
  }
  memset(local(), 1, kBytes);
  remote_ = open(altered(token, kTokenBytes, 2 * kBytes, 8));
  EXPECT_RC(RC_E_RANGE, read(0, kBytes + 1));
  EXPECT_RC(RC_E_RANGE, read(kBytes, 8));
  EXPECT_EQ(1, local()[0]);
  expect_far_untouched();
  Call imm = on(Op::kImmGet);
  imm.timeout_ns = 0;
  EXPECT_EQ(RC_E_WOULD_BLOCK, far().call(imm).code) << "a refused write tells nothing";
}

TEST_P(Grants, ATokenIsAsGoodAsAnAnnouncement) {
  std::string token = lend(kBytes, kAll | RC_MR_BY_TOKEN);
  rc_remote none{0};
  settle();
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_remote_get(ch_, 0, &none));
  remote_ = open(token);
  memset(local(), 4, 8);
  EXPECT_RC(RC_OK, write(0, 8));
  EXPECT_EQ(8u, far_count(0, 8, 4));
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kRevoke)));
  EXPECT_RC(RC_E_REVOKED, write(0, 8));
  remote_ = open(token);  // replayed
  EXPECT_RC(RC_E_REVOKED, write(0, 8));
  uint8_t garbage[RC_TOKEN_BYTES] = {1, 2, 3};
  EXPECT_RC(RC_E_INVALID, rc_remote_open(ch_, garbage, &none));
}

TEST_P(Grants, ATokenOfAnotherConnectionOpensNothing) {
  if (backend().other_process) GTEST_SKIP() << "the far end of the other connection has the same slots";
  std::string token = lend();
  rc_channel other = connect_another(0, 1);
  rc_remote remote{0};
  rc_request request{0};
  EXPECT_RC(RC_OK, rc_remote_open(other, reinterpret_cast<const uint8_t*>(token.data()), &remote));
  EXPECT_RC(RC_OK, rc_write(local_, 0, remote, 0, 8, &request));
  int32_t code = RC_E_WOULD_BLOCK;
  Call progress{Op::kProgress};
  progress.slot = 1;
  EXPECT_TRUE(eventually([&] {
    far().call(progress);
    return (code = rc_request_test(request, nullptr)) != RC_E_WOULD_BLOCK;
  }));
  EXPECT_EQ(RC_E_REVOKED, code);
  expect_far_untouched();
}

TEST_P(Grants, RevokingTakesAccessAway) {
  lend();
  rc_request posted{0}, large{0};
  EXPECT_RC(RC_OK, write(0, 8));
  far().call(on(Op::kMrFill, 8, 0, kFarByte));
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kRevoke)));
  EXPECT_EQ(RC_E_HANDLE, far().call(on(Op::kRevoke)).code);
  EXPECT_EQ(RC_OK, far().call(on(Op::kMrFill, kBytes, 0, kFarByte)).code);
  int32_t code = rc_write(local_, 0, remote_, 0, 8, &posted);  // the news may not be here yet
  EXPECT_EQ(RC_E_REVOKED, code == RC_OK ? finish(posted) : code);
  EXPECT_TRUE(eventually([&] { return rc_read(local_, 0, remote_, 0, 8, &large) == RC_E_REVOKED; }));
  rc_lease lease = {};
  lease.size = sizeof lease;
  EXPECT_RC(RC_E_REVOKED, rc_remote_info(remote_, &lease));
  EXPECT_RC(RC_E_REVOKED, rc_remote_give_back(remote_, kPatience));
  EXPECT_RC(RC_OK, rc_remote_release(remote_));
  EXPECT_RC(RC_E_HANDLE, rc_remote_release(remote_));
  expect_far_untouched();
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
}

// The owner may do anything with its memory after that, whatever was under way.
TEST_P(Grants, RevokingEndsWhatIsUnderWay) {
  constexpr uint64_t kLarge = 200000;
  lend(kLarge);
  memset(local(), 1, kLarge);
  rc_request request{0};
  EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge, &request));  // half of it waits for room
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kRevoke)));
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFill, kLarge, 0, kFarByte)));
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrAlloc, kLarge, 0, kFarByte)));  // the same place
  EXPECT_RC(RC_E_REVOKED, finish(request));
  expect_far_untouched(kLarge);
}

// Scenario C9.
TEST_P(Grants, AfterItsLeaseAGrantIsWorthNothing) {
  lend(kBytes, kAll, 1000000);  // 1 ms
  rc_lease lease = {};
  lease.size = sizeof lease;
  EXPECT_TRUE(eventually([&] { return rc_remote_info(remote_, &lease) == RC_OK && lease.left_ns == 0; }));
  rc_request add{0};
  EXPECT_RC(RC_E_EXPIRED, write(0, 8));
  EXPECT_RC(RC_E_EXPIRED, read(0, 8));
  EXPECT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, &add));
  EXPECT_RC(RC_E_EXPIRED, finish(add));
  expect_far_untouched();
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree))) << "an expired grant keeps nothing";
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kRevoke)));
}

TEST_P(Grants, WithinItsLeaseAGrantWorks) {
  lend(kBytes, kAll, kPatience);
  memset(local(), 6, 8);
  EXPECT_RC(RC_OK, write(0, 8));
  EXPECT_EQ(8u, far_count(0, 8, 6));
  rc_lease lease = {};
  lease.size = sizeof lease;
  EXPECT_RC(RC_OK, rc_remote_info(remote_, &lease));
  EXPECT_GT(lease.left_ns, 0);
  EXPECT_LE(lease.left_ns, kPatience);
}

TEST_P(Grants, WhatCannotBeGrantedIsNot) {
  rc_grant grant{99};
  uint64_t bytes = about(local_).bytes;
  EXPECT_RC(RC_E_RANGE, rc_mr_grant(ch_, local_, 0, bytes + 1, kAll, 0, &grant));
  EXPECT_RC(RC_E_RANGE, rc_mr_grant(ch_, local_, 1, UINT64_MAX, kAll, 0, &grant));
  EXPECT_RC(RC_E_RANGE, rc_mr_grant(ch_, local_, 0, 0, kAll, 0, &grant));
  EXPECT_RC(RC_E_INVALID, rc_mr_grant(ch_, local_, 0, 8, 0, 0, &grant));
  EXPECT_RC(RC_E_INVALID, rc_mr_grant(ch_, local_, 0, 8, 64, 0, &grant));
  EXPECT_RC(RC_E_INVALID, rc_mr_grant(ch_, local_, 0, 8, kAll, -1, &grant));
  EXPECT_RC(RC_E_LIMIT, rc_mr_grant(ch_, local_, 0, 8, kAll, RC_LEASE_MAX + 1, &grant));
  EXPECT_EQ(0u, grant.id);
  EXPECT_EQ(0u, about(local_).grants);
  alignas(8) uint8_t mine[64] = {};
  rc_mr readable{0};
  EXPECT_RC(RC_OK, rc_mr_reg(ctx_, mine, sizeof mine, RC_MR_READ, &readable));
  EXPECT_RC(RC_E_RIGHTS, rc_mr_grant(ch_, readable, 0, 8, RC_MR_WRITE, 0, &grant));
  lend();
  EXPECT_RC(RC_E_RIGHTS, rc_read(readable, 0, remote_, 0, 8, nullptr));
  EXPECT_RC(RC_OK, rc_mr_free(readable));
}

TEST_P(Grants, AGrantedRegionIsBusy) {
  rc_grant grants[64];
  rc_grant one_more{0};
  for (rc_grant& grant : grants) ASSERT_RC(RC_OK, rc_mr_grant(ch_, local_, 0, 8, kAll, 0, &grant));
  EXPECT_RC(RC_E_POOL, rc_mr_grant(ch_, local_, 0, 8, kAll, 0, &one_more));
  EXPECT_EQ(64u, about(local_).grants);
  EXPECT_RC_NAMES(RC_E_IN_USE, "64 grants", rc_mr_free(local_));
  for (rc_grant grant : grants) ASSERT_RC(RC_OK, rc_grant_revoke(grant));
  EXPECT_EQ(0u, about(local_).grants);
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

TEST_P(Grants, SlotsAreGivenAgain) {
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrAlloc, kBytes, 0, kFarByte)));
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(RC_OK, far_soon(on(Op::kGrant, 8)).code);
    remote_ = next_remote();
    ASSERT_RC(RC_OK, read(0, 8));
    ASSERT_FAR(RC_OK, 0u, far().call(on(Op::kRevoke)));
  }
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
}

// ------------------------------------------------------------------------------------------------- memory of the
// peer's

// Scenario C4.
TEST_P(RemoteMemory, IsAskedForWrittenAndGivenBack) {
  ASSERT_EQ(RC_OK, ask(8, kReadWrite)) << rc_reason();
  memset(local(), 1, 8);
  rc_request request{0};
  EXPECT_RC(RC_OK, rc_write(local_, 4, remote_, 4, 4, &request));
  EXPECT_RC(RC_OK, give_back());
  EXPECT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_write(local_, 0, remote_, 0, 8, nullptr));
  Reply reply = far_soon(on(Op::kTakeBack));
  EXPECT_EQ(RC_OK, reply.code) << reply.reason;
  EXPECT_EQ(4u, far_count(0, 8, 0));
  EXPECT_EQ(4u, far_count(4, 4, 1));
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
}

// Scenario C5.
TEST_P(RemoteMemory, IsGivenBackAfterAnImmediate) {
  ASSERT_EQ(RC_OK, ask(8, kReadWrite)) << rc_reason();
  memset(local(), 1, 8);
  EXPECT_RC(RC_OK, rc_write_imm(local_, 4, remote_, 4, 4, 4, nullptr));
  EXPECT_RC(RC_OK, give_back());
  Reply imm = far_soon(on(Op::kImmGet));
  EXPECT_EQ(RC_OK, imm.code);
  EXPECT_EQ(4u, imm.imm);
  EXPECT_EQ(RC_OK, far_soon(on(Op::kTakeBack)).code);
  EXPECT_EQ(1u, far_count(3, 1, 0));
  EXPECT_EQ(1u, far_count(4, 1, 1));
}

TEST_P(RemoteMemory, WhatWasGrantedComesBackToo) {
  lend();
  EXPECT_EQ(RC_OK, far().call(on(Op::kMrFill, 1, 0, 1)).code);
  EXPECT_RC(RC_OK, give_back());
  EXPECT_EQ(RC_E_IN_USE, far().call(on(Op::kMrFree)).code) << "it waits to be taken";
  EXPECT_EQ(RC_E_STATE, far().call(on(Op::kRevoke)).code);
  EXPECT_EQ(RC_OK, far_soon(on(Op::kTakeBack)).code);
  EXPECT_EQ(1u, far_count(0, 1, 1));
  EXPECT_EQ(RC_E_HANDLE, far().call(on(Op::kRevoke)).code);
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
}

// What was posted before is read, and what is put afterwards is got when the grant has ended.
TEST_P(RemoteMemory, GoesBackBehindItsReads) {
  for (uint64_t n : {uint64_t{8}, uint64_t{200000}}) {
    for (bool given_back : {true, false}) {
      SCOPED_TRACE(std::to_string(n) + (given_back ? " bytes, given back" : " bytes, given up"));
      lend(n);
      memset(local(), 1, n);
      rc_request request{0};
      far().start(Far::bytes(Op::kGet, 1));
      ASSERT_RC(RC_OK, rc_read(local_, 0, remote_, 0, n, &request));
      ASSERT_RC(RC_OK, given_back ? rc_remote_give_back(remote_, kPatience) : rc_remote_release(remote_));
      put(1);
      EXPECT_FAR(RC_OK, 1u, far().finish());
      if (given_back) {
        EXPECT_EQ(RC_OK, far_soon(on(Op::kTakeBack)).code);
      }
      EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
      EXPECT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
      EXPECT_EQ(static_cast<ptrdiff_t>(n), std::count(local(), local() + n, kFarByte));
    }
  }
}

TEST_P(RemoteMemory, ThePolicyOfThePeerHolds) {
  EXPECT_EQ(RC_E_LIMIT, ask(kPeerBytes + 1, kReadWrite)) << reason_;
  EXPECT_NE(std::string::npos, reason_.find("peer_mr_bytes")) << reason_;
  EXPECT_EQ(RC_E_LIMIT, ask(UINT64_MAX, kReadWrite));
  EXPECT_NE(std::string::npos, reason_.find("peer_mr_bytes")) << reason_;
  EXPECT_EQ(RC_E_LIMIT, ask(8, RC_MR_ATOMIC));
  EXPECT_NE(std::string::npos, reason_.find("peer_rights")) << reason_;
  EXPECT_EQ(RC_E_LIMIT, ask(8, RC_MR_READ, RC_LEASE_MAX + 1));
  EXPECT_EQ(RC_E_SIZE, ask(0, kReadWrite));
  EXPECT_EQ(0u, remote_.id);
  EXPECT_EQ(RC_OK, ask(kPeerBytes, kReadWrite));
  rc_remote first = remote_;
  EXPECT_EQ(RC_OK, ask(kPeerBytes, kReadWrite));
  EXPECT_EQ(RC_E_LIMIT, ask(1, kReadWrite)) << "two of the largest are all";
  EXPECT_NE(std::string::npos, reason_.find("peer_mr_total")) << reason_;
  EXPECT_RC(RC_OK, rc_remote_release(first));
  EXPECT_EQ(RC_OK, ask(1, kReadWrite));
  EXPECT_RC(RC_E_RIGHTS, rc_fetch_add(remote_, 0, 1, nullptr));
}

TEST_P(RemoteMemory, AnAnswerThatComesTooLateIsReleased) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_RC(RC_E_WOULD_BLOCK, rc_remote_alloc(ch_, kPeerBytes, kReadWrite, 0, 0, &remote_));
    EXPECT_TRUE(eventually([this] {
      return far().progress().code == RC_OK && rc_progress(ch_) == RC_OK &&
             (ask(kPeerTotal / 2, kReadWrite) == RC_OK || rc_progress(ch_) != RC_OK);
    }));
    EXPECT_RC(RC_OK, rc_remote_release(remote_));
    EXPECT_EQ(RC_OK, far().progress().code);
  }
}

TEST_P(RemoteMemory, AnExpiredLeaseFreesWhatWasMadeForThePeer) {
  for (int i = 0; i < 5; ++i) {
    int32_t code = RC_E_LIMIT;
    EXPECT_TRUE(eventually([&] { return (code = ask(kPeerBytes, kReadWrite, 1000)) != RC_E_LIMIT; }));
    EXPECT_EQ(RC_OK, code) << rc_reason();
    rc_remote mine = remote_;
    rc_lease lease = {};
    lease.size = sizeof lease;
    EXPECT_TRUE(eventually([&] {
      EXPECT_RC(RC_OK, rc_remote_info(mine, &lease));
      return lease.left_ns == 0;
    }));
    remote_ = mine;
    EXPECT_EQ(RC_E_EXPIRED, give_back());
  }
}

// Before it sees the request the owner has freed the memory, and given up its key, or it has not.
TEST_P(RemoteMemory, AnExpiredLeaseIsToldAsThatWhoeverNoticesFirst) {
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrAlloc, kBytes, 0, kFarByte)));
  for (bool owner_first : {false, true}) {
    SCOPED_TRACE(owner_first);
    ASSERT_EQ(RC_OK, ask(8, kReadWrite, 1000)) << rc_reason();
    rc_lease lease = {};
    lease.size = sizeof lease;
    EXPECT_TRUE(eventually([&] { return rc_remote_info(remote_, &lease) == RC_OK && lease.left_ns == 0; }));
    auto freed = [this] { return far().call(on(Op::kGrant, 8)).code; };  // it looks for slots
    int32_t code = owner_first ? freed() : RC_OK;
    EXPECT_EQ(RC_OK, code);
    rc_request request{0};
    int32_t posted = rc_write(local_, 0, remote_, 0, 8, &request);  // the news may not be here yet
    if (!owner_first) code = freed();
    EXPECT_EQ(RC_OK, code);
    EXPECT_EQ(RC_E_EXPIRED, posted == RC_OK ? finish(request) : posted);
    code = rc_write(local_, 0, remote_, 0, 8, &request);
    EXPECT_EQ(RC_E_EXPIRED, code != RC_OK ? code : finish(request));
    EXPECT_EQ(RC_E_EXPIRED, give_back());
    EXPECT_RC(RC_OK, rc_remote_info(remote_, &lease));
    EXPECT_EQ(0, lease.left_ns);
    EXPECT_RC(RC_OK, rc_remote_release(remote_));
  }
}

RC_CONFORMANCE_OF_MEMORY(Grants);
RC_CONFORMANCE_OF_MEMORY(RemoteMemory);

}  // namespace conformance
