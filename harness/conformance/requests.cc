// Requests: many, none, cancelled, and what ends them.
#include "harness/conformance/memory_pair.h"

namespace conformance {

TEST_P(Requests, TooManyInFlightIsAPoolThatIsFull) {
  lend();
  std::vector<rc_request> requests(64);
  for (rc_request& request : requests) ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request));
  rc_request one_more{99};
  EXPECT_RC_NAMES(RC_E_POOL, "requests_max", rc_write(local_, 0, remote_, 0, 8, &one_more));
  EXPECT_EQ(0u, one_more.id);
  EXPECT_EQ(64u, about(local_).requests);
  ASSERT_RC(RC_OK, finish(requests[40]));
  EXPECT_RC(RC_OK, rc_read(local_, 0, remote_, 0, 8, &requests[40]));
  for (rc_request request : requests) ASSERT_RC(RC_OK, finish(request));
  EXPECT_EQ(0u, about(local_).requests);
}

TEST_P(Requests, NobodyNeedsToWaitForARequestWithoutAHandle) {
  lend();
  memset(local(), 3, 8);
  for (int i = 0; i < 1000; ++i) {
    int32_t code = RC_E_POOL;
    eventually([&] {
      code = rc_write(local_, 0, remote_, 0, 8, nullptr);
      if (code == RC_E_POOL) far().progress();
      if (code == RC_E_POOL) rc_progress(ch_);
      return code != RC_E_POOL;
    });
    ASSERT_EQ(RC_OK, code) << rc_reason();
  }
  EXPECT_TRUE(eventually(
      [this] { return far().progress().code == RC_OK && rc_progress(ch_) == RC_OK && about(local_).requests == 0; }));
  EXPECT_EQ(8u, far_count(0, 8, 3));
}

TEST_P(Requests, WaitForAnyOfMany) {
  lend();
  rc_request requests[8];
  for (rc_request& request : requests) EXPECT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, &request));
  std::vector<rc_request> left(requests, requests + 8);
  while (!left.empty()) {
    uint32_t index = 99;
    int32_t code = RC_E_WOULD_BLOCK;
    eventually([&] {
      code = rc_request_wait_any(left.data(), static_cast<uint32_t>(left.size()), 0, &index, nullptr);
      if (code == RC_E_WOULD_BLOCK) far().progress();
      return code != RC_E_WOULD_BLOCK;
    });
    ASSERT_EQ(RC_OK, code) << rc_reason();
    ASSERT_LT(index, left.size());
    EXPECT_RC(RC_E_HANDLE, rc_request_test(left[index], nullptr));
    left.erase(left.begin() + index);
  }
  uint32_t index = 0;
  EXPECT_RC(RC_E_INVALID, rc_request_wait_any(requests, 0, 0, &index, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_request_wait_any(requests, 8, 0, &index, nullptr));
}

TEST_P(Requests, CancelTakesBackWhatHasNotLeft) {
  constexpr uint64_t kLarge = 200000;  // more than the op ring
  lend(kLarge);
  memset(local(), 1, kLarge);
  rc_request large{0}, queued{0};
  EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge, &large));
  EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 1, &queued));
  EXPECT_EQ(2u, about(local_).requests);
  EXPECT_RC(RC_E_STATE, rc_request_cancel(large));
  EXPECT_RC(RC_OK, rc_request_cancel(queued));
  EXPECT_RC(RC_E_HANDLE, rc_request_test(queued, nullptr));
  EXPECT_EQ(1u, about(local_).requests);
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(local_));
  EXPECT_RC(RC_OK, finish(large));
  EXPECT_RC(RC_E_HANDLE, rc_request_cancel(large));
  EXPECT_EQ(kLarge, far_count(0, kLarge, 1));
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

// An operation has no clock of its own: the deadline is the wait's, and cancel says what has become of the operation.
TEST_P(Requests, ADeadlineEndsTheWaitAndCancelTellsWhetherItLeft) {
  constexpr uint64_t kLarge = 200000;  // more than the op ring
  lend(kLarge);
  memset(local(), 1, kLarge);
  rc_request gone{0}, waiting{0};
  ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge, &gone));
  ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &waiting));
  uint32_t index = 9;
  const rc_request both[] = {gone, waiting};
  EXPECT_RC(RC_E_TIMEOUT, rc_request_wait(waiting, kShort, nullptr));  // the far end serves nobody
  EXPECT_RC(RC_E_TIMEOUT, rc_request_wait_any(both, 2, kShort, &index, nullptr));
  EXPECT_RC(RC_OK, rc_request_cancel(waiting));
  EXPECT_RC_NAMES(RC_E_STATE, "on its way", rc_request_cancel(gone));
  EXPECT_RC(RC_E_HANDLE, rc_request_wait(waiting, kShort, nullptr));
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(local_));  // a deadline gives back no memory that is still read
  EXPECT_RC(RC_OK, finish(gone));
  EXPECT_EQ(kLarge, far_count(0, kLarge, 1));
  rc_request last{0};
  ASSERT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &last));
  EXPECT_RC(RC_E_TIMEOUT, rc_request_wait(last, kShort, nullptr));
  EXPECT_RC(RC_OK, rc_channel_close(ch_));  // which is what is left against an owner that never answers
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

TEST_P(Requests, APutThatOperationsHoldBackSaysSo) {
  constexpr uint64_t kLarge = 200000;  // more than the op ring
  lend(kLarge);
  rc_request large{0};
  ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge, &large));
  EXPECT_RC_NAMES(RC_E_WOULD_BLOCK, "posted before", rc_try_put(ch_, "x", 1));
  EXPECT_RC_NAMES(RC_E_TIMEOUT, "posted before", rc_put(ch_, "x", 1, kShort, nullptr));
  EXPECT_RC(RC_OK, finish(large));
}

// Whoever is granted a region may change it, or see it half read.
TEST_P(Requests, ARegionInFlightCannotBeGranted) {
  lend();
  rc_request request{0};
  rc_grant grant{99};
  EXPECT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &request));  // over when the immediate has been taken
  EXPECT_RC_NAMES(RC_E_IN_USE, "requests in flight", rc_mr_grant(ch_, local_, 64, 8, RC_MR_READ, 0, &grant));
  EXPECT_EQ(0u, grant.id);
  EXPECT_RC(RC_E_IN_USE, rc_mr_grant(ch_, local_, 64, 8, RC_MR_READ | RC_MR_BY_TOKEN, 0, &grant));
  EXPECT_EQ(0u, about(local_).grants);
  EXPECT_EQ(RC_OK, far_soon(on(Op::kImmGet)).code);
  EXPECT_RC(RC_OK, finish(request));
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, local_, 64, 8, RC_MR_READ, 0, &grant));
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
}

// Each waits for the other, and nobody calls anything else.
TEST_P(Requests, TwoEndsThatOnlyWaitServeEachOther) {
  constexpr uint64_t kLarge = 300000;
  lend(kLarge);
  rc_grant grant{0};
  rc_mr lent{0};
  EXPECT_RC(RC_OK, rc_mr_alloc(ctx_, kLarge, 0, &lent));
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, lent, 0, kLarge, kAll, 0, &grant));
  EXPECT_EQ(RC_OK, far_soon(on(Op::kRemoteGet)).code);
  for (uint64_t round = 0; round < rounds(20); ++round) {
    for (Operation what : {Operation::kRead, Operation::kWrite, Operation::kAdd}) {
      Call call = on(Op::kOperate, kLarge, 0, 1);
      call.operation = what;
      call.has_imm = 1;
      far().start(call);
      rc_request request{0};
      EXPECT_RC(RC_OK, what == Operation::kRead ? rc_write(local_, 0, remote_, 0, kLarge, &request)
                                                : rc_read(local_, 0, remote_, 0, kLarge, &request));
      EXPECT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
      char byte = 'k';  // neither leaves before the other is served
      EXPECT_RC(RC_OK, rc_put(ch_, &byte, 1, kPatience, nullptr));
      EXPECT_RC(RC_OK, rc_get(ch_, &byte, 1, kPatience, nullptr));
      Reply reply = far().finish();
      EXPECT_EQ(RC_OK, reply.code) << reply.reason;
    }
  }
}

TEST_P(Requests, AnEndThatSleepsInAGetServes) {
  lend();
  rc_grant grant{0};
  memset(local(), 9, 64);
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, local_, 0, 64, kAll, 0, &grant));
  EXPECT_EQ(RC_OK, far_soon(on(Op::kRemoteGet)).code);
  Doing sleeping([this] {
    char byte;
    return rc_get(ch_, &byte, 1, kPatience, nullptr);
  });
  sleeping.wait_until_inside();
  for (int i = 0; i < 200; ++i) {  // more than the times that a sleeper may be woken for nothing
    Call call = on(Op::kOperate, 0, 0, 1);
    call.operation = Operation::kAdd;
    Reply reply = far().call(call);
    EXPECT_EQ(RC_OK, reply.code) << reply.reason;
    EXPECT_EQ(UINT64_C(0x0909090909090909) + static_cast<uint64_t>(i), reply.value);
  }
  EXPECT_FAR(RC_OK, 1u, far().put(1));
  EXPECT_DONE(RC_OK, sleeping);
}

TEST_P(Requests, TheEndOfTheChannelEndsRequests) {
  lend();
  rc_request first{0}, second{0};
  EXPECT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &first));  // nobody will take it
  EXPECT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &second));
  settle();
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  EXPECT_RC(RC_E_CLOSED, rc_request_wait(first, kPatience, nullptr));
  EXPECT_RC(RC_E_CLOSED, rc_request_test(second, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_request_test(first, nullptr));
  EXPECT_RC(RC_E_CLOSED, rc_write(local_, 0, remote_, 0, 8, &first));
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

TEST_P(Requests, AKilledPeerEndsRequestsAndGrants) {
  if (!backend().notices_death && !backend().other_process) GTEST_SKIP() << "the far end lives in this process";
  lend();
  rc_grant grant{0};
  rc_request request{0};
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, local_, 0, 64, kAll, 0, &grant));
  EXPECT_RC(RC_OK, rc_read(local_, 0, remote_, 0, 8, &request));
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(local_));
  far().kill();
  EXPECT_RC(RC_E_PEER_DEAD, rc_request_wait(request, kPatience, nullptr));
  EXPECT_EQ(0u, about(local_).requests);
  EXPECT_EQ(0u, about(local_).grants);
  EXPECT_RC(RC_OK, rc_mr_free(local_));
  EXPECT_RC(RC_E_PEER_DEAD, rc_mr_take_back(ch_, kPatience, &local_));
}

TEST_P(Requests, ClosingTheChannelGivesRegionsFree) {
  lend();
  rc_grant grant{0};
  rc_request request{0};
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, local_, 0, 64, kAll, 0, &grant));
  EXPECT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &request));
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  EXPECT_RC(RC_E_HANDLE, rc_request_test(request, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_grant_revoke(grant));
  EXPECT_RC(RC_E_HANDLE, rc_remote_release(remote_));
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

TEST_P(Requests, StaleAndForgedHandlesAreRefused) {
  lend();
  rc_request request{0};
  EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request));
  rc_request stale = request;
  EXPECT_RC(RC_OK, finish(request));
  EXPECT_RC(RC_E_HANDLE, rc_request_wait(stale, 0, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_request_cancel(stale));
  for (uint64_t id : {uint64_t{0}, ~uint64_t{0}, ch_.id, ctx_.id, local_.id ^ (uint64_t{1} << 30),
                      remote_.id ^ (uint64_t{1} << 40), uint64_t{3} << 16, uint64_t{7} << 26}) {
    SCOPED_TRACE(id);
    EXPECT_RC(RC_E_HANDLE, rc_mr_free({id}));
    EXPECT_RC(RC_E_HANDLE, rc_request_wait({id}, 0, nullptr));
    EXPECT_RC(RC_E_HANDLE, rc_grant_revoke({id}));
    EXPECT_RC(RC_E_HANDLE, rc_remote_release({id}));
    EXPECT_RC(RC_E_HANDLE, rc_write(local_, 0, {id}, 0, 8, nullptr));
    EXPECT_RC(RC_E_HANDLE, rc_write({id}, 0, remote_, 0, 8, nullptr));
  }
  EXPECT_RC(RC_E_HANDLE, rc_mr_free({remote_.id}));
  EXPECT_RC(RC_E_HANDLE, rc_remote_release({local_.id}));
}

RC_CONFORMANCE_OF_MEMORY(Requests);

}  // namespace conformance
