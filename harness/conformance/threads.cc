// One putter and one getter per channel, and channels that do not know of each other.
#include <thread>
#include <vector>

#include "harness/conformance/pair.h"

namespace conformance {

TEST_P(Threads, SecondGetterIsTurnedAway) {
  uint8_t byte = 0;
  Doing getting([&] { return rc_get(ch_, &byte, 1, kPatience, nullptr); });
  getting.wait_until_inside();
  Buffer bytes(10);
  rc_span piece = {bytes.data(), 10};
  rc_const_span spans[2];
  size_t n = 0;
  EXPECT_RC(RC_E_BUSY, rc_get(ch_, bytes.data(), 10, 0, &n));
  EXPECT_RC(RC_E_BUSY, rc_get_some(ch_, bytes.data(), 10, 0, &n));
  EXPECT_RC(RC_E_BUSY, rc_try_get(ch_, bytes.data(), 10));
  EXPECT_RC(RC_E_BUSY, rc_getv(ch_, &piece, 1, 0, &n));
  EXPECT_RC(RC_E_BUSY, rc_recv(ch_, bytes.data(), 10, &n, nullptr, nullptr, 0));
  EXPECT_RC(RC_E_BUSY, rc_peek(ch_, 1, 0, spans));
  EXPECT_RC(RC_E_BUSY, rc_release(ch_, 0));
  EXPECT_RC(RC_E_BUSY, rc_ready(ch_, &n, nullptr));
  put(5);  // the put side is free
  EXPECT_FAR(RC_OK, 5u, far().get(5));
  EXPECT_FAR(RC_OK, 1u, far().put(1));
  EXPECT_DONE(RC_OK, getting);
  EXPECT_EQ(pattern_byte(kFarToNear, 0), byte);
  in_.move(1);
  EXPECT_FAR(RC_OK, 10u, far().put(10));
  get(10);
}

TEST_P(Threads, SecondPutterIsTurnedAway) {
  fill();
  Buffer waiting = out_.next(1), bytes = out_.next(10);
  Doing putting([&] { return rc_put(ch_, waiting.data(), 1, kPatience, nullptr); });
  putting.wait_until_inside();
  rc_const_span piece = {bytes.data(), 10};
  rc_span spans[2];
  size_t n = 0;
  EXPECT_RC(RC_E_BUSY, rc_put(ch_, bytes.data(), 10, 0, &n));
  EXPECT_RC(RC_E_BUSY, rc_put_more(ch_, bytes.data(), 10, 0, &n));
  EXPECT_RC(RC_E_BUSY, rc_put_some(ch_, bytes.data(), 10, &n));
  EXPECT_RC(RC_E_BUSY, rc_try_put(ch_, bytes.data(), 10));
  EXPECT_RC(RC_E_BUSY, rc_putv(ch_, &piece, 1, 0, &n));
  EXPECT_RC(RC_E_BUSY, rc_send(ch_, bytes.data(), 10, nullptr, 0, &n));
  EXPECT_RC(RC_E_BUSY, rc_reserve(ch_, 1, 0, spans));
  EXPECT_RC(RC_E_BUSY, rc_commit(ch_, 0));
  EXPECT_RC(RC_E_BUSY, rc_flush(ch_));
  EXPECT_RC(RC_E_BUSY, rc_sync(ch_, 0));
  EXPECT_RC(RC_E_BUSY, rc_ready(ch_, nullptr, &n));
  EXPECT_FAR(RC_OK, 3u, far().put(3));
  get(3);  // the get side is free
  EXPECT_FAR(RC_OK, kCapacity + 1, far().get(kCapacity + 1));
  EXPECT_DONE(RC_OK, putting);
  expect_drained();
}

// Somebody drives the channel, too: the second thread must not wait for the first one's getting, either.
TEST_P(Threads, WithADescriptorThereIsOneForBothSides) {
  if (!backend().has_descriptor) GTEST_SKIP() << "this channel has none";
  int32_t fd = -1;
  uint8_t byte = 0;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  ASSERT_RC(RC_OK, rc_progress_all(ctx_));
  {
    Doing getting([&] { return rc_get(ch_, &byte, 1, kPatience, nullptr); });
    getting.wait_until_inside();
    EXPECT_RC_NAMES(RC_E_BUSY, "descriptor", rc_put(ch_, "x", 1, 0, nullptr));
    EXPECT_FAR(RC_OK, 1u, far().put(1));
    EXPECT_DONE(RC_OK, getting);
  }
  in_.move(1);
  fill();
  Buffer waiting = out_.next(1);
  Doing putting([&] { return rc_put(ch_, waiting.data(), 1, kPatience, nullptr); });
  putting.wait_until_inside();
  EXPECT_RC(RC_E_BUSY, rc_get(ch_, &byte, 1, 0, nullptr));
  EXPECT_FAR(RC_OK, kCapacity + 1, far().get(kCapacity + 1));
  EXPECT_DONE(RC_OK, putting);
}

// It is made for one thread, so nobody else may be inside meanwhile.
TEST_P(Threads, ADescriptorIsNotMadeWhileSomebodyIsInside) {
  if (!backend().has_descriptor) GTEST_SKIP() << "this channel has none";
  int32_t fd = -1;
  fill();
  Buffer waiting = out_.next(1);
  Doing putting([&] { return rc_put(ch_, waiting.data(), 1, kPatience, nullptr); });
  putting.wait_until_inside();
  EXPECT_RC(RC_E_BUSY, rc_channel_fd(ch_, &fd));
  EXPECT_EQ(-1, fd);
  EXPECT_FAR(RC_OK, kCapacity + 1, far().get(kCapacity + 1));
  EXPECT_DONE(RC_OK, putting);
  EXPECT_RC(RC_OK, rc_channel_fd(ch_, &fd));
}

TEST_P(Threads, InfoAndCountersAreForAnyThread) {
  uint8_t byte = 0;
  Doing getting([&] { return rc_get(ch_, &byte, 1, kPatience, nullptr); });
  getting.wait_until_inside();
  rc_info info = {};
  info.size = sizeof info;
  rc_counters counters = {};
  counters.size = sizeof counters;
  EXPECT_RC(RC_OK, rc_channel_info(ch_, &info));
  EXPECT_RC(RC_OK, rc_channel_counters(ch_, &counters));
  EXPECT_FAR(RC_OK, 1u, far().put(1));
  EXPECT_DONE(RC_OK, getting);
}

TEST_P(Threads, SidesMayMoveFromThreadToThread) {
  for (int i = 0; i < 5; ++i) {
    Buffer out = out_.next(20), in(20);
    Doing putting([&] { return rc_put(ch_, out.data(), 20, kPatience, nullptr); });
    EXPECT_DONE(RC_OK, putting);
    out_.move(20);
    EXPECT_FAR(RC_OK, 20u, far().get(20));
    EXPECT_FAR(RC_OK, 20u, far().put(20));
    Doing getting([&] { return rc_get(ch_, in.data(), 20, kPatience, nullptr); });
    EXPECT_DONE(RC_OK, getting);
    EXPECT_TRUE(right(in, 20));
  }
}

TEST_P(Threads, ReasonsAreOfTheirThread) {
  EXPECT_RC(RC_E_INVALID, rc_put(ch_, nullptr, 1, 0, nullptr));
  std::string mine = rc_reason();
  std::string first, later;
  std::thread other([&] {
    first = rc_reason();
    rc_commit(ch_, 1);
    later = rc_reason();
  });
  other.join();
  EXPECT_EQ("", first);
  EXPECT_NE("", later);
  EXPECT_NE(mine, later);
  EXPECT_EQ(mine, rc_reason());
}

TEST_P(Threads, CloseAndGetMayRace) {
  for (int i = 0; i < 20; ++i) {
    uint8_t byte;
    Doing getting([&] { return rc_get(ch_, &byte, 1, kPatience, nullptr); });
    EXPECT_RC(RC_OK, rc_channel_close(ch_));
    Outcome outcome = getting.outcome();
    // Before the close it waits, after it the handle is gone.
    EXPECT_TRUE(outcome.code == RC_E_CLOSING || outcome.code == RC_E_HANDLE) << outcome.code << " " << outcome.reason;
    EXPECT_FAR(RC_OK, 0u, far().close_channel());
    connect();
  }
}

RC_CONFORMANCE(Threads);

}  // namespace conformance
