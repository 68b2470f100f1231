// The forms that do not wait, several pieces at once, and what rc_ready tells.
#include <vector>

#include "harness/conformance/pair.h"

namespace conformance {

TEST_P(Bytes, TryPutIsAllOrNothing) {
  Buffer bytes = out_.next(kCapacity);
  EXPECT_RC(RC_OK, soon([&] { return rc_try_put(ch_, bytes.data(), kCapacity); }));  // the whole ring
  out_.move(kCapacity);
  bytes = out_.next(kCapacity + 1);
  EXPECT_RC_NAMES(RC_E_WOULD_BLOCK, "the ring", rc_try_put(ch_, bytes.data(), 1));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_put(ch_, bytes.data(), kCapacity));
  EXPECT_FAR(RC_OK, kCapacity, far().get(kCapacity));
  EXPECT_TRUE(eventually([this] { return writable() == kCapacity; }));
  EXPECT_RC(RC_OK, soon([&] { return rc_try_put(ch_, bytes.data(), kCapacity - 9); }));
  out_.move(kCapacity - 9);
  bytes = out_.next(10);
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_put(ch_, bytes.data(), 10));
  EXPECT_RC(RC_OK, soon([&] { return rc_try_put(ch_, bytes.data(), 9); }));
  out_.move(9);
  EXPECT_RC(RC_OK, rc_try_put(ch_, bytes.data(), 0));
  EXPECT_FAR(RC_OK, kCapacity, far().get(kCapacity));
  expect_drained();
}

TEST_P(Bytes, TryGetIsAllOrNothing) {
  Buffer bytes(kCapacity + 1);
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(ch_, bytes.data(), 1));
  EXPECT_RC(RC_OK, rc_try_get(ch_, bytes.data(), 0));
  EXPECT_FAR(RC_OK, 5u, far().put(5));
  EXPECT_TRUE(eventually([this] { return readable() == 5; }));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(ch_, bytes.data(), 6));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(ch_, bytes.data(), kCapacity));
  EXPECT_RC(RC_OK, rc_try_get(ch_, bytes.data(), 3));
  EXPECT_TRUE(right(bytes, 3));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(ch_, bytes.data(), 3));
  EXPECT_RC(RC_OK, rc_try_get(ch_, bytes.data(), 2));
  EXPECT_TRUE(right(bytes, 2));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(ch_, bytes.data(), 1));  // gives the last credit back
  EXPECT_FAR(RC_OK, kCapacity, far().put(kCapacity));
  EXPECT_RC(RC_OK, soon([&] { return rc_try_get(ch_, bytes.data(), kCapacity); }));  // the whole ring
  EXPECT_TRUE(right(bytes, kCapacity));
}

TEST_P(Bytes, TriesAboveTheCapacityAreRefused) {
  Buffer bytes = out_.next(kCapacity + 1);
  EXPECT_RC_NAMES(RC_E_SIZE, "1001", rc_try_put(ch_, bytes.data(), kCapacity + 1));
  EXPECT_RC_NAMES(RC_E_SIZE, "1001", rc_try_get(ch_, bytes.data(), kCapacity + 1));
  EXPECT_RC(RC_E_SIZE, rc_try_put(ch_, bytes.data(), SIZE_MAX));
  EXPECT_RC(RC_E_SIZE, rc_try_get(ch_, bytes.data(), SIZE_MAX));
  put(10);
  EXPECT_FAR(RC_OK, 10u, far().get(10));
  expect_drained();
}

TEST_P(Bytes, RepeatedTriesOfHalfTheRingSucceed) {
  // Every offset of the ring, with a reader that only ever tries too.
  for (int i = 0; i < 7; ++i) {
    Buffer bytes = out_.next(kHalf);
    EXPECT_TRUE(eventually([&] {
      int32_t code = rc_try_put(ch_, bytes.data(), kHalf);
      if (code == RC_OK) return true;
      Reply some = far().get_some(93, 0);
      EXPECT_EQ(some.done, some.wrong);
      return false;
    }));
    out_.move(kHalf);
  }
}

TEST_P(Bytes, PutSomePutsWhatFits) {
  Buffer bytes = out_.next(2 * kCapacity);
  size_t done = 99;
  EXPECT_RC(RC_OK, rc_put_some(ch_, bytes.data(), 0, &done));
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_OK, soon([&] { return rc_put_some(ch_, bytes.data(), kCapacity - 7, &done); }));
  EXPECT_EQ(kCapacity - 7, done);
  out_.move(done);
  bytes = out_.next(2 * kCapacity);
  EXPECT_RC(RC_OK, soon([&] { return rc_put_some(ch_, bytes.data(), 2 * kCapacity, &done); }));
  EXPECT_EQ(7u, done);
  out_.move(done);
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_put_some(ch_, bytes.data(), 1, &done));
  EXPECT_EQ(0u, done);
  EXPECT_FAR(RC_OK, kCapacity, far().get(kCapacity));
  expect_drained();
}

TEST_P(Bytes, PiecesArePutAsOne) {
  Buffer bytes = out_.next(1 + 60 + 9);
  rc_const_span spans[] = {
      {bytes.data(), 1}, {nullptr, 0}, {bytes.data() + 1, 60}, {bytes.data() + 61, 0}, {bytes.data() + 61, 9}};
  size_t done = 0;
  EXPECT_RC(RC_OK, rc_putv(ch_, spans, 5, kPatience, &done));
  EXPECT_EQ(70u, done);
  out_.move(70);
  settle();
  EXPECT_FAR(RC_OK, 70u, far().try_get(70));
  expect_drained();

  // All or nothing as one put of the sum.
  fill(30);
  bytes = out_.next(31);
  rc_const_span two[] = {{bytes.data(), 20}, {bytes.data() + 20, 11}};
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_putv(ch_, two, 2, 0, &done));
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_E_TIMEOUT, rc_putv(ch_, two, 2, kShort, &done));
  EXPECT_EQ(0u, done);
  EXPECT_FAR(RC_OK, kCapacity - 30, far().get(kCapacity - 30));
  expect_drained();
}

TEST_P(Bytes, PiecesAreFilledInOrder) {
  EXPECT_FAR(RC_OK, 70u, far().put(70));
  EXPECT_TRUE(eventually([this] { return readable() == 70; }));
  Buffer bytes(71);
  rc_span spans[] = {{bytes.data(), 2}, {nullptr, 0}, {bytes.data() + 2, 50}, {bytes.data() + 52, 18}};
  size_t done = 99;
  rc_span too_many[] = {{bytes.data(), 2}, {bytes.data() + 2, 69}};
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_getv(ch_, too_many, 2, 0, &done));
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_E_TIMEOUT, rc_getv(ch_, too_many, 2, kShort, &done));
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_OK, rc_getv(ch_, spans, 4, 0, &done));
  EXPECT_EQ(70u, done);
  EXPECT_TRUE(right(bytes, 70));
}

TEST_P(Bytes, PiecesLargerThanTheRingStream) {
  constexpr size_t kPiece = 700;
  constexpr size_t kAll = 5 * kPiece;
  far().start(Far::bytes(Op::kGet, kAll));
  Buffer bytes = out_.next(kAll);
  std::vector<rc_const_span> out;
  std::vector<rc_span> in;
  for (size_t i = 0; i < 5; ++i) out.push_back({bytes.data() + i * kPiece, kPiece});
  size_t done = 0;
  EXPECT_RC(RC_OK, rc_putv(ch_, out.data(), 5, kPatience, &done));
  EXPECT_EQ(kAll, done);
  EXPECT_FAR(RC_OK, kAll, far().finish());

  far().start(Far::bytes(Op::kPut, kAll));
  for (size_t i = 0; i < 5; ++i) in.push_back({bytes.data() + i * kPiece, kPiece});
  EXPECT_RC(RC_OK, rc_getv(ch_, in.data(), 5, kPatience, &done));
  EXPECT_EQ(kAll, done);
  EXPECT_TRUE(right(bytes, kAll));
  EXPECT_FAR(RC_OK, kAll, far().finish());
}

TEST_P(Bytes, PiecesAreCounted) {
  Buffer bytes = out_.next(1024);
  std::vector<rc_const_span> out;
  std::vector<rc_span> in;
  for (size_t i = 0; i < 1025; ++i) {
    out.push_back({bytes.data() + i % 1024, i % 5 == 0});
    in.push_back({bytes.data() + i % 1024, i % 5 == 0});
  }
  size_t done = 99;
  EXPECT_RC_NAMES(RC_E_INVALID, "1025", rc_putv(ch_, out.data(), 1025, 0, &done));
  EXPECT_RC_NAMES(RC_E_INVALID, "1025", rc_getv(ch_, in.data(), 1025, 0, &done));
  EXPECT_RC(RC_E_INVALID, rc_putv(ch_, out.data(), UINT32_MAX, 0, &done));
  // The sum overflows.
  rc_const_span huge_out[] = {{bytes.data(), SIZE_MAX - 3}, {bytes.data(), 4}};
  rc_span huge_in[] = {{bytes.data(), SIZE_MAX - 3}, {bytes.data(), 4}};
  EXPECT_RC(RC_E_INVALID, rc_putv(ch_, huge_out, 2, 0, &done));
  EXPECT_RC(RC_E_INVALID, rc_getv(ch_, huge_in, 2, 0, &done));
  expect_drained();

  EXPECT_RC(RC_OK, rc_putv(ch_, out.data(), 1024, at_once(), &done));
  EXPECT_EQ(205u, done);
  EXPECT_RC(RC_OK, rc_putv(ch_, out.data(), 0, 0, &done));
  EXPECT_EQ(0u, done);
  settle();
  EXPECT_EQ(RC_OK, far().try_get(205).code);
  EXPECT_FAR(RC_OK, 205u, far().put(205));
  EXPECT_RC(RC_OK, rc_getv(ch_, in.data(), 1024, kPatience, &done));
  EXPECT_EQ(205u, done);
}

TEST_P(Bytes, ReadyTellsWhatTriesCanDo) {
  EXPECT_EQ(0u, readable());
  EXPECT_EQ(kCapacity, writable());
  put(300);
  EXPECT_EQ(kCapacity - 300, writable());
  EXPECT_FAR(RC_OK, 200u, far().put(200));
  EXPECT_TRUE(eventually([this] { return readable() == 200; }));
  get(150);
  EXPECT_EQ(50u, readable());
  size_t in = 0, out = 0;
  EXPECT_RC(RC_OK, rc_ready(ch_, &in, &out));
  EXPECT_EQ(50u, in);
  EXPECT_EQ(kCapacity - 300, out);
  EXPECT_RC(RC_OK, rc_ready(ch_, nullptr, nullptr));
  EXPECT_FAR(RC_OK, 300u, far().get(300));
  expect_drained();  // comes up short, so credit returns
  EXPECT_TRUE(eventually([this] { return writable() == kCapacity; }));
  get(50);
}

}  // namespace conformance
