// How a channel ends: closed or dead on the far side, closed here by another thread, stopped.
#include "harness/conformance/pair.h"

namespace conformance {

TEST_P(Ending, WhatArrivedIsGotThenClosed) {
  EXPECT_FAR(RC_OK, 10u, far().put(10));
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  get(3);
  Buffer bytes(8);
  size_t done = 99;
  // More than is left: what is left is copied and consumed.
  EXPECT_RC(RC_E_CLOSED, rc_get(ch_, bytes.data(), 8, kPatience, &done));
  EXPECT_EQ(7u, done);
  EXPECT_TRUE(right(bytes, 7));
  for (int i = 0; i < 2; ++i) {  // for good
    EXPECT_RC(RC_E_CLOSED, rc_get(ch_, bytes.data(), 1, kPatience, &done));
    EXPECT_EQ(0u, done);
    EXPECT_RC(RC_E_CLOSED, rc_get(ch_, bytes.data(), 1, 0, &done));
    EXPECT_RC(RC_E_CLOSED, rc_try_get(ch_, bytes.data(), 1));
    EXPECT_RC(RC_E_CLOSED, rc_get_some(ch_, bytes.data(), 1, kPatience, &done));
    EXPECT_EQ(0u, done);
  }
}

TEST_P(Ending, TryGetAtTheEndConsumesNothing) {
  EXPECT_FAR(RC_OK, 10u, far().put(10));
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  Buffer bytes(11);
  EXPECT_TRUE(eventually([&] { return rc_try_get(ch_, bytes.data(), 11) == RC_E_CLOSED; }));
  EXPECT_RC(RC_E_CLOSED, rc_try_get(ch_, bytes.data(), 11));
  EXPECT_RC(RC_OK, rc_try_get(ch_, bytes.data(), 4));
  EXPECT_TRUE(right(bytes, 4));
  size_t done = 0;
  EXPECT_RC(RC_OK, rc_get_some(ch_, bytes.data(), 11, 0, &done));
  EXPECT_EQ(6u, done);
  EXPECT_TRUE(right(bytes, 6));
  EXPECT_RC(RC_E_CLOSED, rc_get_some(ch_, bytes.data(), 11, 0, &done));
}

TEST_P(Ending, GetvAtTheEndTakesWhatIsLeft) {
  EXPECT_FAR(RC_OK, 10u, far().put(10));
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  Buffer bytes(20);
  rc_span spans[] = {{bytes.data(), 6}, {bytes.data() + 6, 14}};
  size_t done = 0;
  EXPECT_RC(RC_E_CLOSED, rc_getv(ch_, spans, 2, kPatience, &done));
  EXPECT_EQ(10u, done);
  EXPECT_TRUE(right(bytes, 10));
}

TEST_P(Ending, PutsToAClosedPeerAreRefused) {
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  Buffer bytes = out_.next(10);
  rc_const_span piece = {bytes.data(), 1};
  rc_span spans[2];
  size_t done = 99;
  EXPECT_TRUE(eventually([&] { return rc_progress(ch_) == RC_E_CLOSED; }));
  EXPECT_RC(RC_E_CLOSED, rc_put(ch_, bytes.data(), 1, kPatience, &done));
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_E_CLOSED, rc_put_more(ch_, bytes.data(), 1, 0, &done));
  EXPECT_RC(RC_E_CLOSED, rc_try_put(ch_, bytes.data(), 1));
  EXPECT_RC(RC_E_CLOSED, rc_put_some(ch_, bytes.data(), 1, &done));
  EXPECT_RC(RC_E_CLOSED, rc_putv(ch_, &piece, 1, kPatience, &done));
  EXPECT_RC(RC_E_CLOSED, rc_reserve(ch_, 1, kPatience, spans));
  EXPECT_RC(RC_E_CLOSED, rc_send(ch_, bytes.data(), 1, nullptr, kPatience, &done));
}

// Closed under a call that waits: get, get_some, peek, recv, and with a full ring put, putv, reserve, send.
TEST_P(Ending, CloseOfThePeerWakesGets) {
  for (int which = 0; which < 5; ++which) {
    SCOPED_TRACE(which);
    Buffer bytes(10);
    rc_span piece = {bytes.data(), 10};
    rc_const_span spans[2];
    size_t n = 99;
    Doing waiting([&]() -> int32_t {
      switch (which) {
        case 0:
          return rc_get(ch_, bytes.data(), 10, RC_FOREVER, &n);
        case 1:
          return rc_get_some(ch_, bytes.data(), 10, RC_FOREVER, &n);
        case 2:
          return rc_peek(ch_, 10, RC_FOREVER, spans);
        case 3:
          return rc_recv(ch_, bytes.data(), 10, &n, nullptr, nullptr, RC_FOREVER);
        default:
          return rc_getv(ch_, &piece, 1, RC_FOREVER, &n);
      }
    });
    waiting.wait_until_inside();
    EXPECT_FAR(RC_OK, 0u, far().close_channel());
    EXPECT_DONE(RC_E_CLOSED, waiting);
    EXPECT_RC(RC_OK, rc_channel_close(ch_));
    connect();
  }
}

TEST_P(Ending, CloseOfThePeerWakesPuts) {
  for (int which = 0; which < 5; ++which) {
    SCOPED_TRACE(which);
    fill();
    Buffer bytes = out_.next(10);
    rc_const_span piece = {bytes.data(), 10};
    rc_span spans[2];
    size_t n = 99;
    Doing waiting([&]() -> int32_t {
      switch (which) {
        case 0:
          return rc_put(ch_, bytes.data(), 10, RC_FOREVER, &n);
        case 1:
          return rc_put_more(ch_, bytes.data(), 10, RC_FOREVER, &n);
        case 2:
          return rc_reserve(ch_, 10, RC_FOREVER, spans);
        case 3:
          return rc_send(ch_, bytes.data(), 10, nullptr, RC_FOREVER, &n);
        default:
          return rc_putv(ch_, &piece, 1, RC_FOREVER, &n);
      }
    });
    waiting.wait_until_inside();
    EXPECT_FAR(RC_OK, 0u, far().close_channel());
    EXPECT_DONE(RC_E_CLOSED, waiting);
    EXPECT_RC(RC_OK, rc_channel_close(ch_));
    connect();
  }
}

TEST_P(Ending, StreamIsAPrefixWhenThePeerCloses) {
  far().start(Far::bytes(Op::kPut, 3 * kCapacity + 11));
  Buffer bytes(9 * kCapacity);
  get(2 * kCapacity);
  Doing getting([&] {
    size_t done = 0;
    int32_t code = rc_get(ch_, bytes.data(), bytes.size(), kPatience, &done);
    EXPECT_EQ(kCapacity + 11, done);
    EXPECT_TRUE(right(bytes, done));
    return code;
  });
  EXPECT_FAR(RC_OK, 3 * kCapacity + 11, far().finish());
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  EXPECT_DONE(RC_E_CLOSED, getting);
}

TEST_P(Ending, CloseOfThePeersContextIsAClose) {
  if (backend().one_context) GTEST_SKIP() << "both ends are of one context";
  EXPECT_FAR(RC_OK, 4u, far().put(4));
  EXPECT_FAR(RC_OK, 0u, far().call(Call{Op::kClose}));
  get(4);
  uint8_t byte;
  EXPECT_RC(RC_E_CLOSED, rc_get(ch_, &byte, 1, kPatience, nullptr));
}

TEST_P(Ending, CloseHereWakesAGetOfAnotherThread) {
  uint8_t byte;
  Doing getting([&] { return rc_get(ch_, &byte, 1, RC_FOREVER, nullptr); });
  getting.wait_until_inside();
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  EXPECT_DONE(RC_E_CLOSING, getting);
  EXPECT_RC(RC_E_HANDLE, rc_get(ch_, &byte, 1, 0, nullptr));
  EXPECT_FAR(RC_E_CLOSED, 0u, far().get_some(1));
}

TEST_P(Ending, CloseHereWakesAPutOfAnotherThread) {
  fill();
  Buffer bytes = out_.next(10);
  Doing putting([&] { return rc_put(ch_, bytes.data(), 10, RC_FOREVER, nullptr); });
  putting.wait_until_inside();
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  EXPECT_DONE(RC_E_CLOSING, putting);
  EXPECT_FAR(RC_OK, kCapacity, far().get(kCapacity));
  EXPECT_FAR(RC_E_CLOSED, 0u, far().get_some(1));
}

TEST_P(Ending, CloseHereWakesBothSidesAtOnce) {
  fill();
  Buffer bytes = out_.next(10);
  uint8_t byte;
  Doing putting([&] { return rc_put(ch_, bytes.data(), 10, RC_FOREVER, nullptr); });
  Doing getting([&] { return rc_get(ch_, &byte, 1, RC_FOREVER, nullptr); });
  putting.wait_until_inside();
  getting.wait_until_inside();
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  EXPECT_DONE(RC_E_CLOSING, putting);
  EXPECT_DONE(RC_E_CLOSING, getting);
}

TEST_P(Ending, CloseOfTheContextWakesItsCalls) {
  if (backend().one_context) {
    EXPECT_FAR(RC_OK, 4u, far().put(4));
    get(4);
  }
  uint8_t byte;
  Doing getting([&] { return rc_get(ch_, &byte, 1, RC_FOREVER, nullptr); });
  getting.wait_until_inside();
  rc_ctx closing = ctx_;
  ctx_ = rc_ctx{0};
  EXPECT_RC(RC_OK, rc_close(closing));
  Outcome outcome = getting.outcome();
  // With both ends in this context the far one may be the first to go.
  if (!backend().one_context || outcome.code != RC_E_CLOSED) {
    EXPECT_EQ(RC_E_CLOSING, outcome.code) << outcome.reason;
  }
}

TEST_P(Ending, StopWakesAGetAndEndsWaitsFromNowOn) {
  uint8_t byte;
  size_t done = 99;
  Doing getting([&] { return rc_get(ch_, &byte, 1, RC_FOREVER, &done); });
  getting.wait_until_inside();
  EXPECT_RC(RC_OK, rc_stop(ctx_));
  EXPECT_DONE(RC_E_STOPPED, getting);
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_E_STOPPED, rc_get(ch_, &byte, 1, kPatience, &done));
  EXPECT_RC(RC_E_STOPPED, rc_get_some(ch_, &byte, 1, kPatience, &done));
  size_t n = 0;
  EXPECT_RC(RC_E_STOPPED, rc_recv(ch_, &byte, 1, &n, nullptr, nullptr, kPatience));
  rc_const_span spans[2];
  EXPECT_RC(RC_E_STOPPED, rc_peek(ch_, 1, kPatience, spans));
  EXPECT_RC(RC_OK, rc_stop(ctx_));  // again
}

TEST_P(Ending, StopWakesAPut) {
  fill();
  Buffer bytes = out_.next(kHalf);
  size_t done = 99;
  Doing putting([&] { return rc_put(ch_, bytes.data(), kHalf, RC_FOREVER, &done); });
  putting.wait_until_inside();
  EXPECT_RC(RC_OK, rc_stop(ctx_));
  EXPECT_DONE(RC_E_STOPPED, putting);
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_E_STOPPED, rc_put(ch_, bytes.data(), 1, kPatience, &done));
  EXPECT_RC(RC_E_STOPPED, rc_send(ch_, bytes.data(), 1, nullptr, kPatience, &done));
  rc_span spans[2];
  EXPECT_RC(RC_E_STOPPED, rc_reserve(ch_, 1, kPatience, spans));
  EXPECT_EQ(RC_OK, far().get(kCapacity, at_once()).code);
}

TEST_P(Ending, WhatNeedsNoWaitingWorksAfterStop) {
  if (!backend().lands_alone) GTEST_SKIP() << "nothing is sure not to wait on " << backend().name;
  EXPECT_FAR(RC_OK, 5u, far().put(5));
  EXPECT_RC(RC_OK, rc_stop(ctx_));
  put(5);
  get(5);
  Buffer bytes = out_.next(3);
  EXPECT_RC(RC_OK, rc_try_put(ch_, bytes.data(), 3));
  out_.move(3);
  EXPECT_FAR(RC_OK, 8u, far().get(8, at_once()));
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  EXPECT_RC(RC_OK, rc_sync(ch_, kPatience));
}

TEST_P(Ending, KilledPeerIsDeadAfterItsBytesAreGot) {
  if (!backend().notices_death) GTEST_SKIP() << "on " << backend().name << " the peer does not die alone";
  EXPECT_FAR(RC_OK, 7u, far().put(7));
  far().kill();
  Buffer bytes(8);
  size_t done = 0;
  get(3);
  EXPECT_RC(RC_E_PEER_DEAD, rc_get(ch_, bytes.data(), 8, kPatience, &done));
  EXPECT_EQ(4u, done);
  EXPECT_TRUE(right(bytes, 4));
  EXPECT_RC(RC_E_PEER_DEAD, rc_get_some(ch_, bytes.data(), 8, kPatience, &done));
  EXPECT_RC(RC_E_PEER_DEAD, rc_put(ch_, bytes.data(), 8, kPatience, &done));
  EXPECT_RC(RC_E_PEER_DEAD, rc_put(ch_, bytes.data(), 8, kPatience, &done));
  rc_info info = {};
  info.size = sizeof info;
  EXPECT_RC(RC_OK, rc_channel_info(ch_, &info));
  EXPECT_EQ(RC_E_PEER_DEAD, info.state);
}

TEST_P(Ending, DeathOfThePeerWakesAGet) {
  if (!backend().notices_death) GTEST_SKIP() << "on " << backend().name << " the peer does not die alone";
  uint8_t byte;
  Doing getting([&] { return rc_get(ch_, &byte, 1, RC_FOREVER, nullptr); });
  getting.wait_until_inside();
  far().kill();
  EXPECT_DONE(RC_E_PEER_DEAD, getting);
}

TEST_P(Ending, DeathOfThePeerIsNoticedBySync) {
  if (!backend().notices_death) GTEST_SKIP() << "on " << backend().name << " the peer does not die alone";
  far().kill();
  EXPECT_TRUE(eventually([&] { return rc_sync(ch_, 0) == RC_E_PEER_DEAD; }));
}

TEST_P(Ending, DeathOfThePeerWakesAPut) {
  if (!backend().notices_death) GTEST_SKIP() << "on " << backend().name << " the peer does not die alone";
  fill();
  Buffer bytes = out_.next(5);
  Doing putting([&] { return rc_put(ch_, bytes.data(), 5, RC_FOREVER, nullptr); });
  putting.wait_until_inside();
  far().kill();
  EXPECT_DONE(RC_E_PEER_DEAD, putting);
}

TEST_P(Ending, ExitWithoutCloseIsADeath) {
  if (!backend().notices_death) GTEST_SKIP() << "on " << backend().name << " the peer does not die alone";
  far().start(Call{Op::kExit});
  uint8_t byte;
  EXPECT_RC(RC_E_PEER_DEAD, rc_get(ch_, &byte, 1, kPatience, nullptr));
  far().finish();
}

RC_CONFORMANCE(Ending);

}  // namespace conformance
