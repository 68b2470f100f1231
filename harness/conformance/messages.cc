// rc_send and rc_recv.
#include <random>

#include "harness/conformance/pair.h"

namespace conformance {
namespace {

constexpr size_t kHeader = 16;  // "if n + 16 is at most half the ring nothing was sent"

}  // namespace

TEST_P(Messages, OfAnySizeArriveWhole) {
  for (size_t n :
       {size_t{1}, size_t{0}, size_t{8}, size_t{48}, kHalf, kCapacity - kHeader, kCapacity, 10 * kCapacity}) {
    SCOPED_TRACE(n);
    far().start(Far::bytes(Op::kRecv, 10 * kCapacity));
    Buffer bytes = out_.next(n);
    size_t done = 99;
    EXPECT_RC(RC_OK, rc_send(ch_, bytes.data(), n, nullptr, kPatience, &done));
    EXPECT_EQ(n, done);
    out_.move(n);
    EXPECT_FAR(RC_OK, n, far().finish());

    far().start(Far::bytes(Op::kSend, n));
    Buffer got(n);
    size_t size = 99;
    EXPECT_RC(RC_OK, rc_recv(ch_, got.data(), n, &size, nullptr, nullptr, kPatience));  // exactly its size is enough
    EXPECT_EQ(n, size);
    EXPECT_TRUE(right(got, n));
    EXPECT_FAR(RC_OK, n, far().finish());
  }
}

TEST_P(Messages, CarryAnImmediate) {
  for (uint32_t imm : {0u, 1u, 0xffffffffu}) {
    Buffer bytes = out_.next(8);
    EXPECT_RC(RC_OK, rc_send(ch_, bytes.data(), 8, &imm, kPatience, nullptr));
    out_.move(8);
    Reply reply = far().recv(8);
    EXPECT_FAR(RC_OK, 8u, reply);
    EXPECT_EQ(1u, reply.has_imm);
    EXPECT_EQ(imm, reply.imm);
  }
  Buffer bytes = out_.next(8);
  EXPECT_RC(RC_OK, rc_send(ch_, bytes.data(), 8, nullptr, kPatience, nullptr));
  out_.move(8);
  Reply reply = far().recv(8);
  EXPECT_FAR(RC_OK, 8u, reply);
  EXPECT_EQ(0u, reply.has_imm);

  Call send = Far::bytes(Op::kSend, 0);
  send.has_imm = 1;
  send.imm = 77;
  EXPECT_FAR(RC_OK, 0u, far().call(send));
  size_t size = 99;
  uint32_t imm = 0, has_imm = 0;
  EXPECT_RC(RC_OK, rc_recv(ch_, bytes.data(), 0, &size, &imm, &has_imm, kPatience));
  EXPECT_EQ(0u, size);
  EXPECT_EQ(1u, has_imm);
  EXPECT_EQ(77u, imm);
}

TEST_P(Messages, KeepTheirBoundaries) {
  constexpr int kCount = 40;
  Doing sending([&] {
    std::mt19937 sizes(6);
    for (int i = 0; i < kCount; ++i) {
      size_t n = sizes() % 300;
      Buffer bytes = out_.next(n);
      uint32_t imm = static_cast<uint32_t>(i);
      int32_t code = rc_send(ch_, bytes.data(), n, i % 3 == 0 ? &imm : nullptr, kPatience, nullptr);
      if (code != RC_OK) return code;
      out_.move(n);
    }
    return RC_OK;
  });
  std::mt19937 sizes(6);
  for (int i = 0; i < kCount; ++i) {
    SCOPED_TRACE(i);
    Reply reply = far().recv(300);
    ASSERT_FAR(RC_OK, sizes() % 300, reply);
    EXPECT_EQ(i % 3 == 0, reply.has_imm == 1);
    if (reply.has_imm != 0) {
      EXPECT_EQ(static_cast<uint32_t>(i), reply.imm);
    }
  }
  EXPECT_DONE(RC_OK, sending);
}

TEST_P(Messages, NoneIsNothing) {
  uint8_t byte;
  size_t n = 0;
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_recv(ch_, &byte, 1, &n, nullptr, nullptr, 0));
  EXPECT_RC(RC_E_TIMEOUT, rc_recv(ch_, &byte, 1, &n, nullptr, nullptr, kShort));
}

TEST_P(Messages, RecvWaitsForAMessage) {
  Buffer bytes(20);
  size_t n = 0;
  Doing receiving([&] { return rc_recv(ch_, bytes.data(), 20, &n, nullptr, nullptr, kPatience); });
  receiving.wait_until_inside();
  EXPECT_FAR(RC_OK, 20u, far().send(20));
  EXPECT_DONE(RC_OK, receiving);
  EXPECT_EQ(20u, n);
  EXPECT_TRUE(right(bytes, 20));
}

TEST_P(Messages, TooLargeForTheBufferStay) {
  for (size_t size : {size_t{100}, 3 * kCapacity}) {
    SCOPED_TRACE(size);
    far().start(Far::bytes(Op::kSend, size));
    Buffer bytes(size);
    size_t n = 0;
    EXPECT_RC(RC_E_TRUNCATED, rc_recv(ch_, bytes.data(), size - 1, &n, nullptr, nullptr, kPatience));
    EXPECT_EQ(size, n);
    n = 0;
    EXPECT_RC(RC_E_TRUNCATED, rc_recv(ch_, bytes.data(), 0, &n, nullptr, nullptr, kPatience));
    EXPECT_EQ(size, n);
    EXPECT_RC(RC_OK, rc_recv(ch_, bytes.data(), size, &n, nullptr, nullptr, kPatience));
    EXPECT_EQ(size, n);
    EXPECT_TRUE(right(bytes, size));
    EXPECT_FAR(RC_OK, size, far().finish());
  }
}

TEST_P(Messages, SendThatTimesOutSendsNothingIfItIsSmall) {
  // Leave less room than the message needs, with messages only.
  constexpr size_t kSize = 200;
  size_t sent = 0;
  Buffer bytes = out_.next(kSize);
  while (writable() >= kSize + kHeader) {
    bytes = out_.next(kSize);
    ASSERT_RC(RC_OK, rc_send(ch_, bytes.data(), kSize, nullptr, kPatience, nullptr));
    out_.move(kSize);
    ++sent;
  }
  bytes = out_.next(kSize);
  size_t done = 99;
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_send(ch_, bytes.data(), kSize, nullptr, 0, &done));
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_E_TIMEOUT, rc_send(ch_, bytes.data(), kSize, nullptr, kShort, &done));
  EXPECT_EQ(0u, done);
  // Another message than that may follow, since nothing of it was sent.
  for (size_t i = 0; i < sent; ++i) EXPECT_FAR(RC_OK, kSize, far().recv(kSize));
  EXPECT_RC(RC_OK, rc_send(ch_, bytes.data(), 33, nullptr, kPatience, nullptr));
  out_.move(33);
  EXPECT_FAR(RC_OK, 33u, far().recv(kSize));
}

TEST_P(Messages, SendThatTimesOutGoesOnIfItIsLarge) {
  constexpr size_t kSize = 4 * kCapacity;
  Buffer bytes = out_.next(kSize);
  size_t done = 0;
  uint32_t imm = 5;
  EXPECT_RC(RC_E_TIMEOUT, rc_send(ch_, bytes.data(), kSize, &imm, kShort, &done));
  EXPECT_LT(done, kCapacity);
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_send(ch_, bytes.data(), kSize, &imm, 0, &done));
  if (done > 0) {  // half sent: nothing else may come between
    rc_const_span piece = {bytes.data(), 1};
    rc_span spans[2];
    size_t n;
    EXPECT_RC(RC_E_STATE, rc_put(ch_, bytes.data(), 1, 0, &n));
    EXPECT_RC(RC_E_STATE, rc_put_more(ch_, bytes.data(), 1, 0, &n));
    EXPECT_RC(RC_E_STATE, rc_try_put(ch_, bytes.data(), 1));
    EXPECT_RC(RC_E_STATE, rc_put_some(ch_, bytes.data(), 1, &n));
    EXPECT_RC(RC_E_STATE, rc_putv(ch_, &piece, 1, 0, &n));
    EXPECT_RC(RC_E_STATE, rc_reserve(ch_, 1, 0, spans));
    EXPECT_RC(RC_E_STATE, rc_send(ch_, bytes.data(), kSize - 1, &imm, 0, &n));
  }
  far().start(Far::bytes(Op::kRecv, kSize));
  EXPECT_RC(RC_OK, rc_send(ch_, bytes.data(), kSize, &imm, kPatience, &done));
  EXPECT_EQ(kSize, done);
  Reply reply = far().finish();
  EXPECT_FAR(RC_OK, kSize, reply);
  EXPECT_EQ(5u, reply.imm);
}

TEST_P(Messages, RecvThatTimesOutGoesOn) {
  constexpr size_t kSize = 4 * kCapacity;
  Call part = Far::bytes(Op::kSend, kSize, kShort);
  Buffer bytes(kSize);
  size_t n = 0;
  EXPECT_EQ(RC_E_TIMEOUT, far().call(part).code);
  EXPECT_RC(RC_E_TIMEOUT, rc_recv(ch_, bytes.data(), kSize, &n, nullptr, nullptr, kShort));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_recv(ch_, bytes.data(), kSize, &n, nullptr, nullptr, 0));
  // Half received: nothing else may come between.
  uint8_t byte;
  rc_span piece = {&byte, 1};
  rc_const_span spans[2];
  size_t got;
  EXPECT_RC(RC_E_STATE, rc_get(ch_, &byte, 1, 0, &got));
  EXPECT_RC(RC_E_STATE, rc_try_get(ch_, &byte, 1));
  EXPECT_RC(RC_E_STATE, rc_get_some(ch_, &byte, 1, 0, &got));
  EXPECT_RC(RC_E_STATE, rc_getv(ch_, &piece, 1, 0, &got));
  EXPECT_RC(RC_E_STATE, rc_peek(ch_, 1, 0, spans));
  far().start(Far::bytes(Op::kSend, kSize));
  EXPECT_RC(RC_OK, rc_recv(ch_, bytes.data(), kSize, &n, nullptr, nullptr, kPatience));
  EXPECT_EQ(kSize, n);
  EXPECT_TRUE(right(bytes, kSize));
  EXPECT_FAR(RC_OK, kSize, far().finish());
}

// Repeated non-blocking calls on both sides bring any message through.
TEST_P(Messages, TriesGoOn) {
  constexpr size_t kSize = 3 * kCapacity;
  Buffer bytes(kSize);
  size_t n = 0;
  bool sent = false, received = false;
  EXPECT_TRUE(eventually([&] {
    if (!sent) {
      Reply reply = far().call(Far::bytes(Op::kSend, kSize, 0));
      EXPECT_TRUE(reply.code == RC_OK || reply.code == RC_E_WOULD_BLOCK) << reply.reason;
      sent = reply.code == RC_OK;
    }
    if (!received) {
      int32_t code = rc_recv(ch_, bytes.data(), kSize, &n, nullptr, nullptr, 0);
      EXPECT_TRUE(code == RC_OK || code == RC_E_WOULD_BLOCK) << rc_reason();
      received = code == RC_OK;
    }
    return sent && received;
  }));
  EXPECT_EQ(kSize, n);
  EXPECT_TRUE(right(bytes, kSize));
}

TEST_P(Messages, RawBytesBetweenThemAreCorruption) {
  EXPECT_FAR(RC_OK, 10u, far().send(10));
  EXPECT_FAR(RC_OK, 40u, far().put(40));
  EXPECT_FAR(RC_OK, 10u, far().send(10));
  Buffer bytes(100);
  size_t n = 0;
  EXPECT_RC(RC_OK, rc_recv(ch_, bytes.data(), 100, &n, nullptr, nullptr, kPatience));
  EXPECT_EQ(10u, n);
  EXPECT_RC(RC_E_CORRUPT, rc_recv(ch_, bytes.data(), 100, &n, nullptr, nullptr, kPatience));
  EXPECT_RC(RC_E_CORRUPT, rc_recv(ch_, bytes.data(), 100, &n, nullptr, nullptr, kPatience));  // for good
  rc_info info = {};
  info.size = sizeof info;
  EXPECT_RC(RC_OK, rc_channel_info(ch_, &info));
  EXPECT_EQ(RC_E_CORRUPT, info.state);
}

// Sixteen zero bytes look like an empty message, but not like the next one.
TEST_P(Messages, RawBytesThatLookLikeOneAreCorruption) {
  const uint8_t zeros[16] = {};
  EXPECT_RC(RC_OK, rc_send(ch_, "x", 0, nullptr, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_put(ch_, zeros, sizeof zeros, kPatience, nullptr));
  EXPECT_FAR(RC_OK, 0u, far().recv(100));
  EXPECT_FAR(RC_E_CORRUPT, 0u, far().recv(100));
}

TEST_P(Messages, ThatArrivedBeforeTheEndCanBeReceived) {
  EXPECT_FAR(RC_OK, 10u, far().send(10));
  EXPECT_FAR(RC_OK, 0u, far().send(0));
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  Buffer bytes(100);
  size_t n = 99;
  EXPECT_RC(RC_OK, rc_recv(ch_, bytes.data(), 100, &n, nullptr, nullptr, kPatience));
  EXPECT_EQ(10u, n);
  EXPECT_RC(RC_OK, rc_recv(ch_, bytes.data(), 100, &n, nullptr, nullptr, kPatience));
  EXPECT_EQ(0u, n);
  EXPECT_RC(RC_E_CLOSED, rc_recv(ch_, bytes.data(), 100, &n, nullptr, nullptr, kPatience));
}

TEST_P(Messages, HalfOneLeftAtTheEndIsTheEnd) {
  Call part = Far::bytes(Op::kSend, 4 * kCapacity, kShort);
  EXPECT_EQ(RC_E_TIMEOUT, far().call(part).code);
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  Buffer bytes(4 * kCapacity);
  size_t n = 99;
  EXPECT_RC(RC_E_CLOSED, rc_recv(ch_, bytes.data(), bytes.size(), &n, nullptr, nullptr, kPatience));
}

TEST_P(Messages, FlushBetweenThemIsHarmless) {
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  Buffer bytes = out_.next(6);
  EXPECT_RC(RC_OK, rc_send(ch_, bytes.data(), 6, nullptr, kPatience, nullptr));
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  EXPECT_RC(RC_OK, sync());
  EXPECT_FAR(RC_OK, 6u, far().recv(6));
}

RC_CONFORMANCE(Messages);

}  // namespace conformance
