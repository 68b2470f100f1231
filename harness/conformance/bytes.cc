// rc_put, rc_get and rc_get_some: the stream of bytes.
#include <vector>

#include "harness/conformance/pair.h"

namespace conformance {
namespace {

// Around nothing, the sizes of inline copies, the tail line, a line, half the ring and the ring.
const size_t kFitting[] = {0,  1,  2,  3,  4,  7,  8,   9,   15,  16,  17,  31,  32,
                           47, 48, 49, 63, 64, 65, 128, 499, 500, 501, 999, 1000};

}  // namespace

TEST_P(Bytes, PutIsGotExactly) {
  for (size_t n : kFitting) {
    SCOPED_TRACE(n);
    put(n);
    EXPECT_FAR(RC_OK, n, far().get(n));
    EXPECT_FAR(RC_OK, n, far().put(n));
    get(n);
  }
  EXPECT_EQ(0u, readable());
}

TEST_P(Bytes, LargerThanTheRingStreams) {
  for (size_t n : {kCapacity + 1, 2 * kCapacity, 3 * kCapacity + 7, 20 * kCapacity}) {
    SCOPED_TRACE(n);
    far().start(Far::bytes(Op::kGet, n));
    put(n);
    EXPECT_FAR(RC_OK, n, far().finish());
    far().start(Far::bytes(Op::kPut, n));
    get(n);
    EXPECT_FAR(RC_OK, n, far().finish());
  }
}

TEST_P(Bytes, PiecesOfAnySizeArriveInOrder) {
  constexpr size_t kAll = 20 * kCapacity;
  far().start(Far::pieces(Op::kGetPieces, kAll, 2 * kCapacity, 7));
  uint32_t random = 1;
  for (size_t left = kAll; left > 0;) {
    random = random * 1103515245 + 12345;
    size_t n = std::min<size_t>(left, 1 + (random >> 16) % (kCapacity + 200));
    put(n);
    left -= n;
  }
  EXPECT_FAR(RC_OK, kAll, far().finish());

  far().start(Far::pieces(Op::kPutPieces, kAll, kCapacity + 200, 8));
  for (size_t left = kAll; left > 0;) {
    random = random * 1103515245 + 12345;
    size_t n = std::min<size_t>(left, 1 + (random >> 16) % (2 * kCapacity));
    get(n);
    left -= n;
  }
  EXPECT_FAR(RC_OK, kAll, far().finish());
}

TEST_P(Bytes, BothDirectionsAtOnce) {
  constexpr size_t kAll = 20 * kCapacity;
  far().start(Far::pieces(Op::kEcho, kAll, 300));
  Pattern echoed{kNearToFar};
  Doing putting([this] {
    for (size_t left = kAll; left > 0;) {
      size_t n = std::min<size_t>(left, 777);
      Buffer bytes = out_.next(n);
      int32_t code = rc_put(ch_, bytes.data(), n, kPatience, nullptr);
      if (code != RC_OK) return code;
      out_.move(n);
      left -= n;
    }
    return RC_OK;
  });
  for (size_t left = kAll; left > 0;) {
    size_t n = std::min<size_t>(left, 555);
    Buffer bytes(n);
    ASSERT_RC(RC_OK, rc_get(ch_, bytes.data(), n, kPatience, nullptr));
    ASSERT_EQ(n, echoed.wrong(bytes.data(), n));
    echoed.move(n);
    left -= n;
  }
  EXPECT_DONE(RC_OK, putting);
  EXPECT_FAR(RC_OK, kAll, far().finish());
}

// The newest bytes of an answer travel in the tail line: every size of them, and read in one piece or in two.
TEST_P(Bytes, RoundTripOfEverySmallSize) {
  for (size_t n = 1; n <= 66; ++n) {
    SCOPED_TRACE(n);
    far().start(Far::pieces(Op::kEcho, 3 * n, n));
    for (int i = 0; i < 3; ++i) {
      Buffer bytes = out_.next(n);
      ASSERT_RC(RC_OK, rc_put(ch_, bytes.data(), n, kPatience, nullptr));
      out_.move(n);
      Buffer back(n);
      size_t first = i == 2 ? n / 2 : n;
      ASSERT_RC(RC_OK, rc_get(ch_, back.data(), first, kPatience, nullptr));
      ASSERT_RC(RC_OK, rc_get(ch_, back.data() + first, n - first, kPatience, nullptr));
      for (size_t k = 0; k < n; ++k) ASSERT_EQ(bytes[k], back[k]) << "byte " << k << " in round " << i;
    }
    EXPECT_FAR(RC_OK, 3 * n, far().finish());
  }
}

TEST_P(Bytes, NoBytesNeedNoWaiting) {
  uint8_t byte = 0;
  size_t done = 99;
  EXPECT_RC(RC_OK, rc_get(ch_, &byte, 0, 0, &done));  // nothing is there
  EXPECT_EQ(0u, done);
  fill();
  done = 99;
  EXPECT_RC(RC_OK, rc_put(ch_, &byte, 0, 0, &done));  // nothing fits
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_OK, rc_put(ch_, &byte, 0, 0, nullptr));
  EXPECT_FAR(RC_OK, kCapacity, far().get(kCapacity));
}

TEST_P(Bytes, DoneMayBeNull) {
  Buffer bytes = out_.next(5);
  EXPECT_RC(RC_OK, rc_put(ch_, bytes.data(), 5, kPatience, nullptr));
  out_.move(5);
  EXPECT_FAR(RC_OK, 5u, far().get(5));
  EXPECT_FAR(RC_OK, 5u, far().put(5));
  Buffer got(5);
  EXPECT_RC(RC_OK, rc_get(ch_, got.data(), 5, kPatience, nullptr));
  EXPECT_TRUE(right(got, 5));
}

TEST_P(Bytes, AnyNegativeTimeoutIsForever) {
  Buffer bytes = out_.next(2 * kCapacity);
  far().start(Far::bytes(Op::kGet, 2 * kCapacity));
  EXPECT_RC(RC_OK, rc_put(ch_, bytes.data(), 2 * kCapacity, -5, nullptr));
  EXPECT_FAR(RC_OK, 2 * kCapacity, far().finish());
  far().start(Far::bytes(Op::kPut, 2 * kCapacity));
  Buffer got(2 * kCapacity);
  EXPECT_RC(RC_OK, rc_get(ch_, got.data(), 2 * kCapacity, INT64_MIN, nullptr));
  EXPECT_FAR(RC_OK, 2 * kCapacity, far().finish());
  EXPECT_TRUE(right(got, 2 * kCapacity));
}

TEST_P(Bytes, LongestTimeoutIsAccepted) {
  far().start(Far::bytes(Op::kPut, 10));
  Buffer got(10);
  EXPECT_RC(RC_OK, rc_get(ch_, got.data(), 10, INT64_MAX, nullptr));
  EXPECT_FAR(RC_OK, 10u, far().finish());
}

TEST_P(Bytes, PutOfAtMostHalfTheRingIsAllOrNothing) {
  for (size_t n : {size_t{1}, size_t{60}, kHalf}) {
    SCOPED_TRACE(n);
    fill(n - 1);
    Buffer bytes = out_.next(n);
    size_t done = 99;
    EXPECT_RC(RC_E_WOULD_BLOCK, rc_put(ch_, bytes.data(), n, 0, &done));
    EXPECT_EQ(0u, done);
    done = 99;
    EXPECT_RC(RC_E_TIMEOUT, rc_put(ch_, bytes.data(), n, kShort, &done));
    EXPECT_EQ(0u, done);
    // What was there before is there, nothing else, and the channel works.
    EXPECT_FAR(RC_OK, kCapacity - n + 1, far().get(kCapacity - n + 1));
    expect_drained();
    put(n);
    EXPECT_FAR(RC_OK, n, far().get(n));
    expect_drained();
  }
}

TEST_P(Bytes, PutOfMoreThanHalfTheRingTellsWhatWentIn) {
  for (int64_t timeout : {int64_t{0}, kShort}) {
    for (size_t n : {kHalf + 1, kCapacity + 1, 5 * kCapacity}) {
      SCOPED_TRACE(n);
      size_t before = n <= kCapacity ? kHalf : 0;  // so that it does not fit
      put(before);
      Buffer bytes = out_.next(n);
      size_t done = 99999;
      EXPECT_RC(timeout == 0 ? RC_E_WOULD_BLOCK : RC_E_TIMEOUT, rc_put(ch_, bytes.data(), n, timeout, &done));
      ASSERT_LE(done, kCapacity - before);
      out_.move(done);
      EXPECT_FAR(RC_OK, before + done, far().get(before + done));
      expect_drained();
    }
  }
}

TEST_P(Bytes, GetOfAtMostHalfTheRingIsAllOrNothing) {
  for (size_t n : {size_t{1}, size_t{2}, size_t{60}, kHalf}) {
    SCOPED_TRACE(n);
    EXPECT_FAR(RC_OK, n - 1, far().put(n - 1));
    EXPECT_TRUE(eventually([&] { return readable() == n - 1; }));
    Buffer bytes(n);
    size_t done = 99;
    EXPECT_RC(RC_E_WOULD_BLOCK, rc_get(ch_, bytes.data(), n, 0, &done));
    EXPECT_EQ(0u, done);
    done = 99;
    EXPECT_RC(RC_E_TIMEOUT, rc_get(ch_, bytes.data(), n, kShort, &done));
    EXPECT_EQ(0u, done);
    EXPECT_FAR(RC_OK, 1u, far().put(1));
    get(n);
  }
}

TEST_P(Bytes, GetOfMoreThanHalfTheRingTellsWhatItTook) {
  for (int64_t timeout : {int64_t{0}, kShort}) {
    for (size_t n : {kHalf + 1, kCapacity, 3 * kCapacity}) {
      SCOPED_TRACE(n);
      EXPECT_FAR(RC_OK, kHalf, far().put(kHalf));
      EXPECT_TRUE(eventually([&] { return readable() == kHalf; }));
      Buffer bytes(n);
      size_t done = 99999;
      EXPECT_RC(timeout == 0 ? RC_E_WOULD_BLOCK : RC_E_TIMEOUT, rc_get(ch_, bytes.data(), n, timeout, &done));
      ASSERT_LE(done, kHalf);
      EXPECT_TRUE(right(bytes, done));
      get(kHalf - done);  // the rest was not consumed
      EXPECT_EQ(0u, readable());
    }
  }
}

TEST_P(Bytes, BlockedGetEndsWhenTheBytesCome) {
  Buffer bytes(kCapacity);
  Doing getting([&] { return rc_get(ch_, bytes.data(), 40, kPatience, nullptr); });
  getting.wait_until_inside();
  EXPECT_FAR(RC_OK, 30u, far().put(30));
  EXPECT_FAR(RC_OK, 10u, far().put(10));
  EXPECT_DONE(RC_OK, getting);
  EXPECT_TRUE(right(bytes, 40));
}

TEST_P(Bytes, BlockedPutEndsWhenThereIsRoom) {
  fill();
  Buffer bytes = out_.next(40);
  Doing putting([&] { return rc_put(ch_, bytes.data(), 40, kPatience, nullptr); });
  putting.wait_until_inside();
  EXPECT_FAR(RC_OK, kCapacity + 40, far().get(kCapacity + 40));
  EXPECT_DONE(RC_OK, putting);
}

// Asleep between any two messages, on both sides in turn: no wake-up is lost.
TEST_P(Bytes, SleepersAreWokenEveryTime) {
  constexpr int kRounds = 50;
  far().start(Far::pieces(Op::kEcho, kRounds * 8, 8));
  for (int i = 0; i < kRounds; ++i) {
    Buffer bytes = out_.next(8);
    ASSERT_RC(RC_OK, rc_put(ch_, bytes.data(), 8, kPatience, nullptr)) << "round " << i;
    out_.move(8);
    ASSERT_RC(RC_OK, rc_get(ch_, bytes.data(), 8, kPatience, nullptr)) << "round " << i;
  }
  EXPECT_FAR(RC_OK, kRounds * 8u, far().finish());
}

TEST_P(Bytes, WrapsAroundManyTimes) {
  for (int i = 0; i < 50; ++i) {
    put(333);
    EXPECT_FAR(RC_OK, 333u, far().get(333));
  }
}

// A ring smaller than a line, put and got in pieces that do not divide it: nothing deadlocks (put 5, get 4 at 10 would
// if credit only came back at half a ring).
TEST_P(Bytes, SmallRingsMakeProgress) {
  disconnect();
  for (size_t capacity : {1, 3, 10}) {
    connect(capacity);
    for (auto [out, in] :
         std::vector<std::pair<size_t, size_t>>{{5, 4}, {4, 5}, {1, 10}, {10, 1}, {7, 7}, {11, 3}, {3, 11}}) {
      SCOPED_TRACE(testing::Message() << "capacity " << capacity << ", put " << out << ", get " << in);
      size_t all = out * in;
      Call getting = Far::bytes(Op::kEcho, all);
      getting.piece = in;
      far().start(getting);
      Doing putting([&, out = out] {
        for (size_t left = all; left > 0; left -= out) {
          Buffer bytes = out_.next(out);
          int32_t code = rc_put(ch_, bytes.data(), out, kPatience, nullptr);
          if (code != RC_OK) return code;
          out_.move(out);
        }
        return RC_OK;
      });
      for (size_t left = all; left > 0; left -= in) {
        Buffer bytes(in);
        ASSERT_RC(RC_OK, rc_get(ch_, bytes.data(), in, kPatience, nullptr));
      }
      EXPECT_DONE(RC_OK, putting);
      EXPECT_FAR(RC_OK, all, far().finish());
    }
    disconnect();
  }
}

TEST_P(Bytes, GetSomeTakesWhatIsThere) {
  Buffer bytes(kCapacity);
  size_t done = 99;
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_get_some(ch_, bytes.data(), 10, 0, &done));
  EXPECT_EQ(0u, done);
  done = 99;
  EXPECT_RC(RC_E_TIMEOUT, rc_get_some(ch_, bytes.data(), 10, kShort, &done));
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_OK, rc_get_some(ch_, bytes.data(), 0, 0, &done));
  EXPECT_EQ(0u, done);

  EXPECT_FAR(RC_OK, 5u, far().put(5));
  EXPECT_TRUE(eventually([this] { return readable() == 5; }));
  EXPECT_RC(RC_OK, rc_get_some(ch_, bytes.data(), 3, 0, &done));  // fewer than are there
  EXPECT_EQ(3u, done);
  EXPECT_TRUE(right(bytes, 3));
  EXPECT_RC(RC_OK, rc_get_some(ch_, bytes.data(), kCapacity, 0, &done));  // more than are there
  EXPECT_EQ(2u, done);
  EXPECT_TRUE(right(bytes, 2));
}

TEST_P(Bytes, GetSomeWaitsForTheFirstByte) {
  Buffer bytes(kCapacity);
  size_t done = 0;
  Doing getting([&] { return rc_get_some(ch_, bytes.data(), kCapacity, kPatience, &done); });
  getting.wait_until_inside();
  EXPECT_FAR(RC_OK, 7u, far().put(7));
  EXPECT_DONE(RC_OK, getting);
  EXPECT_EQ(7u, done);
  EXPECT_TRUE(right(bytes, 7));
}

TEST_P(Bytes, NullDataIsInvalidAndChangesNothing) {
  size_t done = 0;
  put(3);
  EXPECT_FAR(RC_OK, 3u, far().put(3));
  EXPECT_TRUE(eventually([this] { return readable() == 3; }));
  EXPECT_RC(RC_E_INVALID, rc_put(ch_, nullptr, 1, 0, &done));
  EXPECT_RC(RC_E_INVALID, rc_put_more(ch_, nullptr, 1, 0, &done));
  EXPECT_RC(RC_E_INVALID, rc_try_put(ch_, nullptr, 1));
  EXPECT_RC(RC_E_INVALID, rc_put_some(ch_, nullptr, 1, &done));
  EXPECT_RC(RC_E_INVALID, rc_get(ch_, nullptr, 1, 0, &done));
  EXPECT_RC(RC_E_INVALID, rc_try_get(ch_, nullptr, 1));
  EXPECT_RC(RC_E_INVALID, rc_get_some(ch_, nullptr, 1, 0, &done));
  EXPECT_RC(RC_E_INVALID, rc_send(ch_, nullptr, 1, nullptr, 0, &done));
  rc_const_span out = {nullptr, 1};
  rc_span in = {nullptr, 1};
  EXPECT_RC(RC_E_INVALID, rc_putv(ch_, &out, 1, 0, &done));
  EXPECT_RC(RC_E_INVALID, rc_getv(ch_, &in, 1, 0, &done));
  EXPECT_RC(RC_E_INVALID, rc_putv(ch_, nullptr, 1, 0, &done));
  EXPECT_RC(RC_E_INVALID, rc_getv(ch_, nullptr, 1, 0, &done));
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  get(3);
  EXPECT_FAR(RC_OK, 3u, far().get(3));
  expect_drained();
}

RC_CONFORMANCE(Bytes);

}  // namespace conformance
