// The completion queue of a channel: how requests end, told in the order in which they did, many at a time.
#include <poll.h>

#include <set>
#include <utility>

#include "harness/conformance/memory_pair.h"

namespace conformance {
namespace {

bool shows(int fd, int timeout_ms) {
  pollfd wait = {fd, POLLIN, 0};
  return poll(&wait, 1, timeout_ms) == 1;
}

}  // namespace

TEST_P(Completions, ComeInTheOrderInWhichTheRequestsEnded) {
  lend();
  rc_request late{0}, first{0}, second{0};
  ASSERT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &late));  // over when the immediate has been taken
  ASSERT_RC(RC_OK, rc_request_queue(late, 30));
  ASSERT_RC(RC_OK, rc_fetch_add(remote_, 8, 5, &first));
  ASSERT_RC(RC_OK, rc_request_queue(first, UINT64_MAX));
  std::vector<rc_completion> got = told(1);
  ASSERT_RC(RC_OK, rc_fetch_add(remote_, 8, 1, &second));
  ASSERT_RC(RC_OK, rc_request_queue(second, 0));
  for (const rc_completion& completion : told(1)) got.push_back(completion);
  EXPECT_EQ(RC_OK, far_soon(on(Op::kImmGet)).code);
  for (const rc_completion& completion : told(1)) got.push_back(completion);
  ASSERT_EQ(3u, got.size());
  constexpr uint64_t kWord = UINT64_C(0x0101010101010101) * kFarByte;
  EXPECT_EQ(first.id, got[0].request.id);
  EXPECT_EQ(UINT64_MAX, got[0].tag);
  EXPECT_EQ(kWord, got[0].value);
  EXPECT_EQ(second.id, got[1].request.id);
  EXPECT_EQ(0u, got[1].tag);
  EXPECT_EQ(kWord + 5, got[1].value);
  EXPECT_EQ(late.id, got[2].request.id);
  EXPECT_EQ(30u, got[2].tag);
  for (const rc_completion& completion : got) {
    EXPECT_EQ(RC_OK, completion.code);
    EXPECT_STREQ("", completion.reason);
    EXPECT_RC(RC_E_HANDLE, rc_request_test(completion.request, nullptr));
    EXPECT_RC(RC_E_HANDLE, rc_request_queue(completion.request, 0));
  }
}

TEST_P(Completions, SayHowEachRequestFailed) {
  lend(kBytes, RC_MR_READ | RC_MR_ATOMIC);
  rc_request requests[2];
  ASSERT_RC(RC_OK, rc_fetch_add(remote_, 1, 1, &requests[0]));
  ASSERT_RC(RC_OK, rc_fetch_add(remote_, 8, 1, &requests[1]));
  for (uint64_t i = 0; i < 2; ++i) EXPECT_RC(RC_OK, rc_request_queue(requests[i], i));
  std::vector<rc_completion> got = told(2);
  ASSERT_EQ(2u, got.size());
  if (got[0].tag != 0) std::swap(got[0], got[1]);  // answers may come in any order
  EXPECT_EQ(RC_E_ALIGNMENT, got[0].code);
  EXPECT_NE(nullptr, strstr(got[0].reason, "multiple of 8")) << got[0].reason;
  EXPECT_EQ(RC_OK, got[1].code);
}

TEST_P(Completions, AreToldByNothingElse) {
  lend();
  rc_request queued{0}, other{0};
  ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &queued));
  ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &other));
  EXPECT_RC(RC_OK, rc_request_queue(queued, 1));
  EXPECT_RC_NAMES(RC_E_STATE, "already", rc_request_queue(queued, 2));
  EXPECT_RC_NAMES(RC_E_STATE, "rc_completions_get", rc_request_test(queued, nullptr));
  EXPECT_RC(RC_OK, finish(other));
  EXPECT_RC(RC_E_STATE, rc_request_wait(queued, kPatience, nullptr));
  uint32_t index = 9;
  EXPECT_RC(RC_E_STATE, rc_request_wait_any(&queued, 1, kPatience, &index, nullptr));
  EXPECT_EQ(0u, index);
  std::vector<rc_completion> got = told(1);
  ASSERT_EQ(1u, got.size());
  EXPECT_EQ(1u, got[0].tag);
}

TEST_P(Completions, ARequestThatIsOverCanStillBeQueued) {
  lend();
  rc_request early{0};
  ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &early));
  ASSERT_TRUE(serve_until_over());
  ASSERT_RC(RC_OK, rc_request_queue(early, 7));
  rc_completion completion = {};
  uint32_t count = 0;
  ASSERT_RC(RC_OK, rc_completions_get(ch_, &completion, 1, 0, &count));
  EXPECT_EQ(1u, count);
  EXPECT_EQ(7u, completion.tag);
}

// So the queue cannot overflow: it has room for all requests that there may be.
TEST_P(Completions, ARequestHasItsPlaceUntilItsEndIsTold) {
  lend();
  rc_request request{0};
  for (uint64_t i = 0; i < 64; ++i) {
    ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request));
    ASSERT_RC(RC_OK, rc_request_queue(request, i));
  }
  ASSERT_TRUE(serve_until_over());
  EXPECT_RC(RC_E_POOL, rc_write(local_, 0, remote_, 0, 8, &request));
  rc_completion completions[100];
  uint32_t count = 0;
  ASSERT_RC(RC_OK, rc_completions_get(ch_, completions, 1, 0, &count));
  EXPECT_EQ(1u, count);
  EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, nullptr));  // of which nobody is told
  ASSERT_RC(RC_OK, rc_completions_get(ch_, completions + 1, 99, 0, &count));
  ASSERT_EQ(63u, count);
  std::set<uint64_t> tags;
  for (uint32_t i = 0; i < 64; ++i) tags.insert(completions[i].tag);
  EXPECT_EQ(64u, tags.size());
  EXPECT_EQ(63u, *tags.rbegin());
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_completions_get(ch_, completions, 1, 0, &count));
  EXPECT_EQ(0u, count);
}

TEST_P(Completions, AWaitEndsWithTheFirst) {
  lend();
  rc_request request{0};
  rc_completion completion = {};
  uint32_t count = 9;
  EXPECT_RC(RC_E_TIMEOUT, rc_completions_get(ch_, &completion, 1, kShort, &count));
  EXPECT_EQ(0u, count);
  ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request));
  ASSERT_RC(RC_OK, rc_request_queue(request, 4));
  far().start(Far::bytes(Op::kGet, 1));  // it serves meanwhile
  EXPECT_RC(RC_OK, rc_completions_get(ch_, &completion, 1, kPatience, &count));
  EXPECT_EQ(1u, count);
  EXPECT_EQ(4u, completion.tag);
  put(1);
  EXPECT_FAR(RC_OK, 1u, far().finish());
}

TEST_P(Completions, TheDescriptorShowsThem) {
  int32_t fd = -1;
  if (!backend().has_descriptor) GTEST_SKIP() << "over " << backend().name << " there is no descriptor";
  lend();
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  rc_request request{0};
  rc_completion completion = {};
  uint32_t count = 0;
  for (uint64_t round = 0; round < 3; ++round) {
    ASSERT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, &request));
    ASSERT_RC(RC_OK, rc_request_queue(request, round));
    far().start(Far::bytes(Op::kGet, 1));
    // Whatever woke us, the loop of a program looks again until the descriptor is silent.
    ASSERT_TRUE(eventually([&] {
      if (!shows(fd, 1000)) return false;
      return rc_completions_get(ch_, &completion, 1, 0, &count) == RC_OK;
    })) << rc_reason();
    EXPECT_EQ(round, completion.tag);
    EXPECT_EQ(RC_E_WOULD_BLOCK, rc_completions_get(ch_, &completion, 1, 0, &count));
    put(1);
    EXPECT_FAR(RC_OK, 1u, far().finish());
    eventually([&] { return rc_progress(ch_) == RC_OK && !shows(fd, 0); });
    EXPECT_FALSE(shows(fd, 0));
    // One that is there keeps it readable, until it is taken.
    ASSERT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, &request));
    ASSERT_RC(RC_OK, rc_request_queue(request, 100));
    EXPECT_TRUE(eventually([&] {
      far().progress();
      rc_progress(ch_);
      return about(local_).requests == 0 && shows(fd, 0);
    }));
    EXPECT_TRUE(shows(fd, 0));
    ASSERT_EQ(1u, told(1).size());
    eventually([&] { return rc_progress(ch_) == RC_OK && !shows(fd, 0); });
    EXPECT_FALSE(shows(fd, 0));
  }
}

TEST_P(Completions, ACancelledRequestIsNotTold) {
  constexpr uint64_t kLarge = 200000;  // more than the op ring
  lend(kLarge);
  rc_request large{0}, cancelled{0};
  ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge, &large));
  ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 1, &cancelled));
  ASSERT_RC(RC_OK, rc_request_queue(large, 1));
  ASSERT_RC(RC_OK, rc_request_queue(cancelled, 2));
  EXPECT_RC(RC_E_STATE, rc_request_cancel(large));
  EXPECT_RC(RC_OK, rc_request_cancel(cancelled));
  EXPECT_RC(RC_E_HANDLE, rc_request_cancel(cancelled));
  std::vector<rc_completion> got = told(1);
  ASSERT_EQ(1u, got.size());
  EXPECT_EQ(1u, got[0].tag);
  EXPECT_EQ(0u, about(local_).requests);
}

TEST_P(Completions, TheEndOfTheChannelTellsThemAll) {
  lend();
  rc_request request{0};
  for (uint64_t i = 0; i < 5; ++i) {
    ASSERT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &request));  // nobody will take it
    ASSERT_RC(RC_OK, rc_request_queue(request, i));
  }
  settle();
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  rc_completion completions[8];
  uint32_t count = 0;
  ASSERT_RC(RC_OK, rc_completions_get(ch_, completions, 8, kPatience, &count));
  ASSERT_EQ(5u, count);
  for (uint64_t i = 0; i < 5; ++i) {
    EXPECT_EQ(i, completions[i].tag);
    EXPECT_EQ(RC_E_CLOSED, completions[i].code);
    EXPECT_NE(nullptr, strstr(completions[i].reason, "closed")) << completions[i].reason;
  }
  EXPECT_RC(RC_E_CLOSED, rc_completions_get(ch_, completions, 8, kPatience, &count));
  EXPECT_EQ(0u, count);
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

TEST_P(Completions, AKilledPeerTellsThemAll) {
  if (!backend().notices_death && !backend().other_process) GTEST_SKIP() << "the far end lives in this process";
  lend();
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_read(local_, 0, remote_, 0, 8, &request));
  ASSERT_RC(RC_OK, rc_request_queue(request, 3));
  far().kill();
  rc_completion completion = {};
  uint32_t count = 0;
  ASSERT_RC(RC_OK, rc_completions_get(ch_, &completion, 1, kPatience, &count));
  EXPECT_EQ(3u, completion.tag);
  EXPECT_EQ(RC_E_PEER_DEAD, completion.code);
  EXPECT_RC(RC_E_PEER_DEAD, rc_completions_get(ch_, &completion, 1, kPatience, &count));
}

TEST_P(Completions, WrongCallsAreRefused) {
  rc_completion completion = {};
  uint32_t count = 9;
  EXPECT_RC(RC_E_INVALID, rc_completions_get(ch_, nullptr, 1, 0, &count));
  EXPECT_EQ(0u, count);
  EXPECT_RC(RC_E_INVALID, rc_completions_get(ch_, &completion, 0, 0, &count));
  EXPECT_RC(RC_E_INVALID, rc_completions_get(ch_, &completion, 1, 0, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_completions_get({ch_.id ^ 1}, &completion, 1, 0, &count));
  EXPECT_RC(RC_E_HANDLE, rc_request_queue({0}, 1));
  EXPECT_RC(RC_E_HANDLE, rc_request_queue({ch_.id}, 1));
}

RC_CONFORMANCE_OF_MEMORY(Completions);

}  // namespace conformance
