// rc_put_more, rc_flush and rc_sync.
#include "harness/conformance/pair.h"

namespace conformance {

TEST_P(Batch, StagedBytesAreSeenAfterFlush) {
  for (int i = 0; i < 3; ++i) {
    Buffer bytes = out_.next(5);
    size_t done = 0;
    EXPECT_RC(RC_OK, rc_put_more(ch_, bytes.data(), 5, at_once(), &done));
    EXPECT_EQ(5u, done);
    out_.move(5);
  }
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  settle();
  EXPECT_FAR(RC_OK, 15u, far().try_get(15));
  expect_drained();
}

// rc.h lets a peer see staged bytes early; a small batch that it did see early would be no batch.
TEST_P(Batch, StagedBytesAreNotSeenBefore) {
  Buffer bytes = out_.next(5);
  EXPECT_RC(RC_OK, rc_put_more(ch_, bytes.data(), 5, at_once(), nullptr));
  out_.move(5);
  EXPECT_FAR(RC_E_WOULD_BLOCK, 0u, far().get_some(10, 0));
  EXPECT_EQ(kCapacity - 5, writable());  // they take room, though
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  EXPECT_FAR(RC_OK, 5u, far().get(5));
}

TEST_P(Batch, NextPutPublishes) {
  Buffer bytes = out_.next(12);
  EXPECT_RC(RC_OK, rc_put_more(ch_, bytes.data(), 5, at_once(), nullptr));
  EXPECT_RC(RC_OK, rc_put(ch_, bytes.data() + 5, 7, at_once(), nullptr));
  out_.move(12);
  EXPECT_FAR(RC_OK, 12u, far().get(12));

  bytes = out_.next(12);
  EXPECT_RC(RC_OK, rc_put_more(ch_, bytes.data(), 5, at_once(), nullptr));
  EXPECT_RC(RC_OK, soon([&] { return rc_try_put(ch_, bytes.data() + 5, 7); }));
  out_.move(12);
  EXPECT_FAR(RC_OK, 12u, far().get(12));
}

TEST_P(Batch, CloseOfTheChannelPublishes) {
  Buffer bytes = out_.next(5);
  EXPECT_RC(RC_OK, rc_put_more(ch_, bytes.data(), 5, at_once(), nullptr));
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  EXPECT_FAR(RC_OK, 5u, far().get(5));
  EXPECT_FAR(RC_E_CLOSED, 0u, far().get_some(1));
}

TEST_P(Batch, LargerThanTheRingPublishesWhenItWaits) {
  constexpr size_t kAll = 7 * kCapacity;
  far().start(Far::bytes(Op::kGet, kAll));
  for (size_t left = kAll; left > 0;) {
    size_t n = std::min<size_t>(left, 2 * kCapacity + 100);
    Buffer bytes = out_.next(n);
    size_t done = 0;
    ASSERT_RC(RC_OK, rc_put_more(ch_, bytes.data(), n, kPatience, &done));
    ASSERT_EQ(n, done);
    out_.move(n);
    left -= n;
  }
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  EXPECT_FAR(RC_OK, kAll, far().finish());
}

TEST_P(Batch, SmallPiecesFillTheRingAndWait) {
  constexpr size_t kAll = 3 * kCapacity;
  far().start(Far::bytes(Op::kGet, kAll));
  for (size_t left = kAll; left > 0; left -= 30) {
    Buffer bytes = out_.next(30);
    ASSERT_RC(RC_OK, rc_put_more(ch_, bytes.data(), 30, kPatience, nullptr));
    out_.move(30);
  }
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  EXPECT_FAR(RC_OK, kAll, far().finish());
}

TEST_P(Batch, StagingThatTimesOutKeepsWhatWasStaged) {
  fill(100);
  Buffer bytes = out_.next(101);
  EXPECT_RC(RC_OK, rc_put_more(ch_, bytes.data(), 60, at_once(), nullptr));
  out_.move(60);
  bytes = out_.next(41);
  size_t done = 99;
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_put_more(ch_, bytes.data(), 41, 0, &done));
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_E_TIMEOUT, rc_put_more(ch_, bytes.data(), 41, kShort, &done));
  EXPECT_EQ(0u, done);
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  EXPECT_FAR(RC_OK, kCapacity - 40, far().get(kCapacity - 40));
  expect_drained();
}

TEST_P(Batch, FlushOfNothingSucceeds) {
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  put(3);
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  EXPECT_FAR(RC_OK, 3u, far().get(3));
  fill();
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
}

TEST_P(Batch, SyncSucceedsAtOnceWhenNothingIsUnderWay) {
  EXPECT_RC(RC_OK, rc_sync(ch_, 0));
  put(3);
  EXPECT_FAR(RC_OK, 3u, far().get(3));
  EXPECT_RC(RC_OK, sync());
  EXPECT_RC(RC_OK, rc_sync(ch_, 0));
}

TEST_P(Batch, SyncedBytesAreInThePeersMemory) {
  Buffer bytes = out_.next(kCapacity);
  EXPECT_RC(RC_OK, rc_put(ch_, bytes.data(), kCapacity, kPatience, nullptr));
  out_.move(kCapacity);
  EXPECT_RC(RC_OK, sync());
  EXPECT_FAR(RC_OK, kCapacity, far().try_get(kCapacity));
}

TEST_P(Batch, SyncDoesNotWaitForTheReader) {
  fill();
  EXPECT_RC(RC_OK, sync());
  EXPECT_FAR(RC_OK, kCapacity, far().get(kCapacity));
}

RC_CONFORMANCE(Batch);

}  // namespace conformance
