// rc_reserve and rc_commit, rc_peek and rc_release: bytes without a copy.
#include <string.h>

#include "harness/conformance/pair.h"

namespace conformance {
namespace {

template <class Span>
size_t sum(const Span spans[2]) {
  return spans[0].bytes + spans[1].bytes;
}

void fill_spans(const rc_span spans[2], const Buffer& bytes, size_t n) {
  size_t first = std::min(n, spans[0].bytes);
  memcpy(spans[0].data, bytes.data(), first);
  if (n > first) memcpy(spans[1].data, bytes.data() + first, n - first);
}

Buffer copy_spans(const rc_const_span spans[2]) {
  Buffer bytes(sum(spans));
  memcpy(bytes.data(), spans[0].data, spans[0].bytes);
  if (spans[1].bytes != 0) memcpy(bytes.data() + spans[0].bytes, spans[1].data, spans[1].bytes);
  return bytes;
}

}  // namespace

TEST_P(InPlace, ReserveGivesAllThatIsFree) {
  rc_span spans[2];
  EXPECT_RC(RC_OK, rc_reserve(ch_, 1, at_once(), spans));
  EXPECT_EQ(kCapacity, sum(spans));
  EXPECT_RC(RC_OK, rc_commit(ch_, 0));
  put(300);
  EXPECT_RC(RC_OK, rc_reserve(ch_, 1, at_once(), spans));
  EXPECT_EQ(kCapacity - 300, sum(spans));
  EXPECT_RC(RC_OK, rc_commit(ch_, 0));
  EXPECT_FAR(RC_OK, 300u, far().get(300));
  expect_drained();
  // The free bytes lie around the end of the ring now.
  EXPECT_RC(RC_OK, rc_reserve(ch_, kCapacity, kPatience, spans));
  EXPECT_EQ(kCapacity, sum(spans));
  EXPECT_EQ(kCapacity - 300, spans[0].bytes);
  EXPECT_EQ(300u, spans[1].bytes);
  EXPECT_RC(RC_OK, rc_commit(ch_, 0));
}

TEST_P(InPlace, CommittedBytesAreGot) {
  for (size_t n : {size_t{1}, size_t{400}, size_t{999}, size_t{3}, kCapacity}) {
    SCOPED_TRACE(n);
    rc_span spans[2];
    ASSERT_RC(RC_OK, rc_reserve(ch_, n, kPatience, spans));
    ASSERT_GE(sum(spans), n);
    fill_spans(spans, out_.next(n), n);
    EXPECT_RC(RC_OK, rc_commit(ch_, n));
    out_.move(n);
    EXPECT_FAR(RC_OK, n, far().get(n));
    expect_drained();
  }
}

TEST_P(InPlace, ReservedBytesAreNotSeenBeforeCommit) {
  rc_span spans[2];
  EXPECT_RC(RC_OK, rc_reserve(ch_, 9, at_once(), spans));
  fill_spans(spans, out_.next(9), 9);
  expect_drained();
  EXPECT_RC(RC_OK, rc_commit(ch_, 9));
  EXPECT_FAR(RC_OK, 9u, far().get(9));
}

TEST_P(InPlace, CommitOfNothingGivesUpTheReservation) {
  rc_span spans[2];
  EXPECT_RC(RC_OK, rc_reserve(ch_, 9, at_once(), spans));
  EXPECT_RC(RC_OK, rc_commit(ch_, 0));
  EXPECT_RC(RC_E_STATE, rc_commit(ch_, 0));
  put(4);
  EXPECT_FAR(RC_OK, 4u, far().get(4));
  expect_drained();
}

TEST_P(InPlace, ReserveNeedsASizeThatFits) {
  rc_span spans[2];
  EXPECT_RC(RC_E_SIZE, rc_reserve(ch_, 0, 0, spans));
  EXPECT_RC_NAMES(RC_E_SIZE, "1001", rc_reserve(ch_, kCapacity + 1, 0, spans));
  EXPECT_RC(RC_E_STATE, rc_commit(ch_, 0));  // nothing was reserved
  put(3);
  EXPECT_FAR(RC_OK, 3u, far().get(3));
}

TEST_P(InPlace, ReserveThatTimesOutReservesNothing) {
  fill(20);
  rc_span spans[2];
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_reserve(ch_, 21, 0, spans));
  EXPECT_RC(RC_E_TIMEOUT, rc_reserve(ch_, 21, kShort, spans));
  EXPECT_RC(RC_E_STATE, rc_commit(ch_, 1));
  put(20);
  EXPECT_FAR(RC_OK, kCapacity, far().get(kCapacity));
}

TEST_P(InPlace, ReserveWaitsForRoom) {
  fill();
  rc_span spans[2];
  Doing reserving([&] { return rc_reserve(ch_, 600, kPatience, spans); });
  reserving.wait_until_inside();
  EXPECT_FAR(RC_OK, kCapacity, far().get(kCapacity));
  EXPECT_FAR(RC_E_WOULD_BLOCK, 0u, far().get_some(1, 0));
  EXPECT_DONE(RC_OK, reserving);
  EXPECT_GE(sum(spans), 600u);
  fill_spans(spans, out_.next(600), 600);
  EXPECT_RC(RC_OK, rc_commit(ch_, 600));
  EXPECT_FAR(RC_OK, 600u, far().get(600));
}

TEST_P(InPlace, CommitOfMoreThanReservedKeepsTheReservation) {
  put(100);
  rc_span spans[2];
  EXPECT_RC(RC_OK, rc_reserve(ch_, 5, at_once(), spans));
  EXPECT_RC(RC_E_SIZE, rc_commit(ch_, sum(spans) + 1));
  EXPECT_RC(RC_E_SIZE, rc_commit(ch_, SIZE_MAX));
  fill_spans(spans, out_.next(5), 5);
  EXPECT_RC(RC_OK, rc_commit(ch_, 5));
  EXPECT_FAR(RC_OK, 105u, far().get(105));
}

TEST_P(InPlace, PutsBetweenReserveAndCommitAreRefused) {
  Buffer bytes = out_.next(10);
  rc_span spans[2], again[2];
  rc_const_span piece = {bytes.data(), 1};
  size_t done = 99;
  EXPECT_RC(RC_OK, rc_reserve(ch_, 5, at_once(), spans));
  EXPECT_RC(RC_E_STATE, rc_reserve(ch_, 5, 0, again));
  EXPECT_RC(RC_E_STATE, rc_put(ch_, bytes.data(), 1, 0, &done));
  EXPECT_RC(RC_E_STATE, rc_put_more(ch_, bytes.data(), 1, 0, &done));
  EXPECT_RC(RC_E_STATE, rc_try_put(ch_, bytes.data(), 1));
  EXPECT_RC(RC_E_STATE, rc_put_some(ch_, bytes.data(), 1, &done));
  EXPECT_RC(RC_E_STATE, rc_putv(ch_, &piece, 1, 0, &done));
  EXPECT_RC(RC_E_STATE, rc_send(ch_, bytes.data(), 1, nullptr, 0, &done));
  // The get side is another matter.
  EXPECT_FAR(RC_OK, 4u, far().put(4));
  get(4);
  fill_spans(spans, bytes, 5);
  EXPECT_RC(RC_OK, rc_commit(ch_, 5));
  out_.move(5);
  put(5);
  EXPECT_FAR(RC_OK, 10u, far().get(10));
  expect_drained();
}

TEST_P(InPlace, CommitWithoutReserveIsRefused) { EXPECT_RC(RC_E_STATE, rc_commit(ch_, 0)); }

TEST_P(InPlace, ReleaseWithoutPeekIsRefused) {
  EXPECT_RC(RC_E_STATE, rc_release(ch_, 0));
  EXPECT_FAR(RC_OK, 2u, far().put(2));
  EXPECT_RC(RC_E_STATE, rc_release(ch_, 2));
  get(2);
}

TEST_P(InPlace, PeekGivesWhatHasArrived) {
  rc_const_span spans[2];
  EXPECT_FAR(RC_OK, 700u, far().put(700));
  get(600);
  EXPECT_FAR(RC_OK, 500u, far().put(500));  // around the end
  EXPECT_RC(RC_OK, rc_peek(ch_, 600, kPatience, spans));
  EXPECT_EQ(600u, sum(spans));
  EXPECT_EQ(kCapacity - 600, spans[0].bytes);
  EXPECT_TRUE(in_.wrong(copy_spans(spans).data(), 600) == 600);
  EXPECT_RC(RC_OK, rc_release(ch_, 600));
  in_.move(600);
  EXPECT_EQ(0u, readable());
}

TEST_P(InPlace, ReleaseConsumesItsPart) {
  rc_const_span spans[2];
  EXPECT_FAR(RC_OK, 50u, far().put(50));
  EXPECT_RC(RC_OK, rc_peek(ch_, 50, kPatience, spans));
  EXPECT_RC(RC_OK, rc_release(ch_, 20));
  in_.move(20);
  EXPECT_RC(RC_E_STATE, rc_release(ch_, 1));
  get(30);
}

TEST_P(InPlace, ReleaseOfNothingEndsTheView) {
  rc_const_span spans[2];
  EXPECT_FAR(RC_OK, 5u, far().put(5));
  EXPECT_RC(RC_OK, rc_peek(ch_, 5, kPatience, spans));
  EXPECT_RC(RC_OK, rc_release(ch_, 0));
  get(5);
}

TEST_P(InPlace, ReleaseOfMoreThanPeekedKeepsTheView) {
  rc_const_span spans[2];
  EXPECT_FAR(RC_OK, 5u, far().put(5));
  EXPECT_RC(RC_OK, rc_peek(ch_, 5, kPatience, spans));
  EXPECT_RC(RC_E_SIZE, rc_release(ch_, 6));
  EXPECT_RC(RC_E_SIZE, rc_release(ch_, SIZE_MAX));
  EXPECT_TRUE(in_.wrong(copy_spans(spans).data(), 5) == 5);
  EXPECT_RC(RC_OK, rc_release(ch_, 5));
  EXPECT_EQ(0u, readable());
}

TEST_P(InPlace, PeekMayBeRepeatedAndThenGivesMore) {
  rc_const_span spans[2];
  EXPECT_FAR(RC_OK, 5u, far().put(5));
  EXPECT_RC(RC_OK, rc_peek(ch_, 5, kPatience, spans));
  EXPECT_EQ(5u, sum(spans));
  EXPECT_FAR(RC_OK, 7u, far().put(7));
  EXPECT_RC(RC_OK, rc_peek(ch_, 12, kPatience, spans));
  EXPECT_EQ(12u, sum(spans));
  EXPECT_TRUE(in_.wrong(copy_spans(spans).data(), 12) == 12);
  EXPECT_RC(RC_OK, rc_release(ch_, 12));
}

TEST_P(InPlace, GetsBetweenPeekAndReleaseAreRefused) {
  EXPECT_FAR(RC_OK, 30u, far().put(30));
  Buffer bytes(30);
  rc_span piece = {bytes.data(), 1};
  rc_const_span spans[2];
  size_t n = 0;
  EXPECT_RC(RC_OK, rc_peek(ch_, 30, kPatience, spans));
  EXPECT_RC(RC_E_STATE, rc_get(ch_, bytes.data(), 1, 0, &n));
  EXPECT_RC(RC_E_STATE, rc_try_get(ch_, bytes.data(), 1));
  EXPECT_RC(RC_E_STATE, rc_get_some(ch_, bytes.data(), 1, 0, &n));
  EXPECT_RC(RC_E_STATE, rc_getv(ch_, &piece, 1, 0, &n));
  EXPECT_RC(RC_E_STATE, rc_recv(ch_, bytes.data(), 30, &n, nullptr, nullptr, 0));
  put(3);  // the put side is another matter
  EXPECT_RC(RC_OK, rc_release(ch_, 1));
  in_.move(1);
  get(29);
  EXPECT_FAR(RC_OK, 3u, far().get(3));
}

TEST_P(InPlace, PeekNeedsASizeThatFits) {
  rc_const_span spans[2];
  EXPECT_RC(RC_E_SIZE, rc_peek(ch_, 0, 0, spans));
  EXPECT_RC_NAMES(RC_E_SIZE, "1001", rc_peek(ch_, kCapacity + 1, 0, spans));
  EXPECT_RC(RC_E_STATE, rc_release(ch_, 0));
}

TEST_P(InPlace, PeekThatTimesOutIsNoView) {
  rc_const_span spans[2];
  EXPECT_FAR(RC_OK, 4u, far().put(4));
  EXPECT_TRUE(eventually([this] { return readable() == 4; }));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_peek(ch_, 5, 0, spans));
  EXPECT_RC(RC_E_TIMEOUT, rc_peek(ch_, 5, kShort, spans));
  EXPECT_RC(RC_E_STATE, rc_release(ch_, 0));
  get(4);
}

TEST_P(InPlace, PeekWaitsForBytes) {
  rc_const_span spans[2];
  Doing peeking([&] { return rc_peek(ch_, 10, kPatience, spans); });
  peeking.wait_until_inside();
  EXPECT_FAR(RC_OK, 9u, far().put(9));
  EXPECT_FAR(RC_OK, 1u, far().put(1));
  EXPECT_DONE(RC_OK, peeking);
  EXPECT_TRUE(in_.wrong(copy_spans(spans).data(), 10) == 10);
  EXPECT_RC(RC_OK, rc_release(ch_, 10));
}

TEST_P(InPlace, PeekOfTheWholeRing) {
  rc_const_span spans[2];
  EXPECT_FAR(RC_OK, kCapacity, far().put(kCapacity));
  EXPECT_RC(RC_OK, rc_peek(ch_, kCapacity, kPatience, spans));
  EXPECT_EQ(kCapacity, sum(spans));
  EXPECT_RC(RC_OK, rc_release(ch_, kCapacity));
  in_.move(kCapacity);
  EXPECT_FAR(RC_OK, kCapacity, far().put(kCapacity));
  get(kCapacity);
}

TEST_P(InPlace, PeekAfterTheEndGivesWhatIsLeft) {
  rc_const_span spans[2];
  EXPECT_FAR(RC_OK, 8u, far().put(8));
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  EXPECT_RC(RC_E_CLOSED, rc_peek(ch_, 9, kPatience, spans));
  EXPECT_RC(RC_OK, rc_peek(ch_, 8, kPatience, spans));
  EXPECT_TRUE(in_.wrong(copy_spans(spans).data(), 8) == 8);
  EXPECT_RC(RC_OK, rc_release(ch_, 8));
  EXPECT_RC(RC_E_CLOSED, rc_peek(ch_, 1, kPatience, spans));
}

TEST_P(InPlace, StreamsThroughPlacesOfTheRing) {
  constexpr size_t kAll = 20 * kCapacity;
  far().start(Far::pieces(Op::kGetPieces, kAll, kCapacity, 3));
  for (size_t left = kAll; left > 0;) {
    rc_span spans[2];
    ASSERT_RC(RC_OK, rc_reserve(ch_, std::min<size_t>(left, 321), kPatience, spans));
    size_t n = std::min(left, sum(spans));
    fill_spans(spans, out_.next(n), n);
    ASSERT_RC(RC_OK, rc_commit(ch_, n));
    out_.move(n);
    left -= n;
  }
  EXPECT_FAR(RC_OK, kAll, far().finish());

  far().start(Far::pieces(Op::kPutPieces, kAll, kCapacity, 4));
  for (size_t left = kAll; left > 0;) {
    rc_const_span spans[2];
    ASSERT_RC(RC_OK, rc_peek(ch_, std::min<size_t>(left, 123), kPatience, spans));
    Buffer bytes = copy_spans(spans);
    size_t n = std::min<size_t>(bytes.size(), 456);
    ASSERT_RC(RC_OK, rc_release(ch_, n));
    ASSERT_TRUE(right(bytes, n));
    left -= n;
  }
  EXPECT_FAR(RC_OK, kAll, far().finish());
}

RC_CONFORMANCE(InPlace);

}  // namespace conformance
