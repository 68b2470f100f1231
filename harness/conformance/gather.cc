// rc_writev and rc_readv: several slices of regions in one operation.
#include "harness/conformance/memory_pair.h"

namespace conformance {

namespace {

rc_slice slice_of(rc_mr mr, uint64_t begin, uint64_t end) {
  rc_slice slice = {};
  EXPECT_RC(RC_OK, rc_mr_slice(mr, begin, end, &slice));
  return slice;
}

uint8_t pattern_at(uint64_t i) { return static_cast<uint8_t>(i * 7 + i / 251); }

}  // namespace

TEST_P(Lists, AGatheredWriteIsOneWrite) {
  lend();
  rc_mr other{0};
  ASSERT_RC(RC_OK, rc_mr_alloc(ctx_, 4096, 0, &other));
  memset(local(), 1, 4096);
  memset(bytes_of(other), 2, 4096);
  // Lengths that are no multiple of 8, one region twice, out of order.
  rc_slice slices[] = {slice_of(local_, 100, 103), slice_of(other, 0, 1000), slice_of(local_, 0, 13)};
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_writev(slices, 3, remote_, 50, nullptr, &request));
  EXPECT_RC(RC_OK, finish(request));
  EXPECT_EQ(50u, far_count(0, 50, kFarByte));
  EXPECT_EQ(3u, far_count(50, 3, 1));
  EXPECT_EQ(1000u, far_count(53, 1000, 2));
  EXPECT_EQ(13u, far_count(1053, 13, 1));
  EXPECT_EQ(kBytes - 1066, far_count(1066, kBytes - 1066, kFarByte));
  EXPECT_EQ(0u, about(local_).requests + about(other).requests);
}

TEST_P(Lists, AScatteredReadFillsThePiecesInOrder) {
  lend();
  far().call(on(Op::kMrFill, 5, 10, 3));
  far().call(on(Op::kMrFill, 700, 15, 4));
  memset(local(), 9, 4096);
  rc_slice slices[] = {slice_of(local_, 2000, 2005), slice_of(local_, 1, 701), slice_of(local_, 3000, 3002)};
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_readv(slices, 3, remote_, 10, &request));
  EXPECT_RC(RC_OK, finish(request));
  auto run = [this](uint64_t from, uint8_t value) {
    uint64_t n = 0;
    while (from + n < 4096 && local()[from + n] == value) ++n;
    return n;
  };
  EXPECT_EQ(1u, run(0, 9));
  EXPECT_EQ(700u, run(1, 4));
  EXPECT_EQ(2000u - 701, run(701, 9));
  EXPECT_EQ(5u, run(2000, 3));
  EXPECT_EQ(3000u - 2005, run(2005, 9));
  EXPECT_EQ(2u, run(3000, kFarByte));
  EXPECT_EQ(4096u - 3002, run(3002, 9));
}

// Sixteen pieces, more than the op ring together, there and back.
TEST_P(Lists, LargerThanTheOpRing) {
  constexpr uint64_t kLarge = 200003;
  lend(kLarge);
  for (uint64_t i = 0; i < kLarge; ++i) local()[i] = pattern_at(i);
  rc_slice rest = slice_of(local_, 0, kLarge), slices[RC_SLICES_MAX];
  for (uint32_t i = 0; i < RC_SLICES_MAX; ++i)
    ASSERT_RC(RC_OK, rc_slice_next(&rest, i + 1 == RC_SLICES_MAX ? rest.bytes : 1 + 1234 * i, &slices[i]));
  ASSERT_EQ(0u, rest.bytes);
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_writev(slices, RC_SLICES_MAX, remote_, 0, nullptr, &request));
  EXPECT_EQ(RC_SLICES_MAX, about(local_).requests);
  EXPECT_RC(RC_OK, finish(request));
  memset(local(), 0, kLarge);
  ASSERT_RC(RC_OK, rc_readv(slices, RC_SLICES_MAX, remote_, 0, &request));
  EXPECT_RC(RC_OK, finish(request));
  uint64_t right = 0;
  while (right < kLarge && local()[right] == pattern_at(right)) ++right;
  EXPECT_EQ(kLarge, right);
}

TEST_P(Lists, AGatheredWriteWithImmediateTellsItOnce) {
  lend();
  memset(local(), 6, 64);
  rc_slice slices[] = {slice_of(local_, 0, 30), slice_of(local_, 30, 64)};
  uint32_t imm = 77;
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_writev(slices, 2, remote_, 8, &imm, &request));
  Reply reply = far_soon(on(Op::kImmGet));
  EXPECT_EQ(RC_OK, reply.code) << reply.reason;
  EXPECT_EQ(77u, reply.imm);
  EXPECT_EQ(64u, far_count(8, 64, 6));
  EXPECT_RC(RC_OK, finish(request));
  Call again = on(Op::kImmGet);
  again.timeout_ns = 0;
  EXPECT_EQ(RC_E_WOULD_BLOCK, far().call(again).code);
}

TEST_P(Lists, OneBadPieceAndNothingIsDone) {
  lend();
  memset(local(), 5, 4096);
  static uint8_t mine[64];
  rc_mr unreadable{0}, unwritable{0}, freed{0};
  ASSERT_RC(RC_OK, rc_mr_reg(ctx_, mine, 32, RC_MR_WRITE, &unreadable));
  ASSERT_RC(RC_OK, rc_mr_reg(ctx_, mine, 32, RC_MR_READ, &unwritable));
  ASSERT_RC(RC_OK, rc_mr_alloc(ctx_, 64, 0, &freed));
  rc_slice good = slice_of(local_, 0, 8), gone = slice_of(freed, 0, 8);
  ASSERT_RC(RC_OK, rc_mr_free(freed));
  const uint64_t end = about(local_).bytes;
  struct {
    rc_slice slice;
    int32_t code;
  } bad[] = {{{local_, 0, 0}, RC_E_RANGE},
             {{local_, end, 1}, RC_E_RANGE},
             {{local_, end - 7, 8}, RC_E_RANGE},
             {{local_, UINT64_MAX, 2}, RC_E_RANGE},
             {{local_, 0, UINT64_MAX}, RC_E_RANGE},  // with the others the sum overflows
             {gone, RC_E_HANDLE},
             {{{0}, 0, 8}, RC_E_HANDLE}};
  for (const auto& b : bad) {
    SCOPED_TRACE(b.slice.bytes);
    rc_slice slices[] = {good, good, b.slice};
    rc_request request{99};
    EXPECT_RC(b.code, rc_writev(slices, 3, remote_, 0, nullptr, &request));
    EXPECT_EQ(0u, request.id);
    EXPECT_RC(b.code, rc_readv(slices, 3, remote_, 0, nullptr));
    EXPECT_EQ(0u, about(local_).requests) << "what was held is let go";
  }
  rc_slice rights[] = {good, slice_of(unreadable, 0, 8)};
  EXPECT_RC(RC_E_RIGHTS, rc_writev(rights, 2, remote_, 0, nullptr, nullptr));
  rights[1] = slice_of(unwritable, 0, 8);
  EXPECT_RC(RC_E_RIGHTS, rc_readv(rights, 2, remote_, 0, nullptr));
  rc_slice many[RC_SLICES_MAX + 1];
  for (rc_slice& slice : many) slice = good;
  EXPECT_RC(RC_E_INVALID, rc_writev(many, RC_SLICES_MAX + 1, remote_, 0, nullptr, nullptr));
  EXPECT_RC(RC_E_INVALID, rc_writev(many, 0, remote_, 0, nullptr, nullptr));
  EXPECT_RC(RC_E_INVALID, rc_readv(nullptr, 1, remote_, 0, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_writev(many, RC_SLICES_MAX, remote_, kBytes - 127, nullptr, nullptr)) << "beyond the grant";
  EXPECT_RC(RC_E_HANDLE, rc_writev(many, 1, rc_remote{5}, 0, nullptr, nullptr));
  EXPECT_EQ(0u, about(local_).requests + about(unreadable).requests + about(unwritable).requests);
  expect_far_untouched();
}

// The bytes of all pieces are there when the notice is.
TEST_P(Lists, GatheredThenPut) {
  constexpr uint64_t kLarge = 60000;
  lend(kLarge);
  rc_slice slices[] = {slice_of(local_, 0, 11), slice_of(local_, 11, 40000), slice_of(local_, 40000, kLarge)};
  expect_notices_behind(kLarge, rounds(100), [&] {
    rc_request whole{0};
    EXPECT_RC(RC_OK, rc_writev(slices, 3, remote_, 0, nullptr, &whole));
    return std::vector<rc_request>{whole};
  });
}

TEST_P(Lists, EveryPieceKeepsItsRegionUntilItIsOver) {
  lend();
  rc_mr other{0};
  ASSERT_RC(RC_OK, rc_mr_alloc(ctx_, 64, 0, &other));
  rc_slice slices[] = {slice_of(local_, 0, 8), slice_of(other, 0, 8), slice_of(local_, 8, 16)};
  rc_request request{0};
  uint32_t imm = 1;
  ASSERT_RC(RC_OK, rc_writev(slices, 3, remote_, 0, &imm, &request));  // over when the immediate has been taken
  EXPECT_EQ(2u, about(local_).requests);
  EXPECT_EQ(1u, about(other).requests);
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(other));
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(local_));
  EXPECT_EQ(RC_OK, far_soon(on(Op::kImmGet)).code);
  EXPECT_RC(RC_OK, finish(request));
  EXPECT_RC(RC_OK, rc_mr_free(other));
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

RC_CONFORMANCE_OF_MEMORY(Lists);

}  // namespace conformance
