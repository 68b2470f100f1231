// rc_write, rc_read, rc_write_imm and the atomics.
#include <string.h>

#include <vector>

#include "harness/conformance/doing.h"
#include "harness/conformance/memory_pair.h"

namespace conformance {

TEST_P(Operations, WriteLandsWhereItSaysAndNowhereElse) {
  lend();
  memset(local(), 7, kBytes);
  EXPECT_RC(RC_OK, write(16, 8));
  EXPECT_EQ(16u, far_count(0, kBytes, kFarByte));
  EXPECT_EQ(8u, far_count(16, kBytes - 16, 7));
  EXPECT_EQ(kBytes - 24, far_count(24, kBytes - 24, kFarByte));
  EXPECT_RC(RC_OK, write(0, kBytes));
  EXPECT_EQ(kBytes, far_count(0, kBytes, 7));
}

TEST_P(Operations, ReadBringsTheBytesAndNoOthers) {
  lend();
  far().call(on(Op::kMrFill, 10, 100, 9));
  memset(local(), 1, kBytes);
  EXPECT_RC(RC_OK, read(99, 12));
  EXPECT_EQ(kFarByte, local()[0]);
  for (int i = 1; i <= 10; ++i) EXPECT_EQ(9, local()[i]);
  EXPECT_EQ(kFarByte, local()[11]);
  EXPECT_EQ(1, local()[12]);
  expect_far_untouched(100);
}

TEST_P(Operations, FiguresCountThem) {
  lend();
  rc_request request{0};
  const rc_slice pieces[] = {{local_, 0, 8}, {local_, 64, 8}};
  EXPECT_EQ(0, figure("op_posted"));
  EXPECT_RC(RC_OK, write(0, 8));
  EXPECT_RC(RC_OK, read(0, kBytes));
  ASSERT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, &request));
  EXPECT_RC(RC_OK, finish(request));
  ASSERT_RC(RC_OK, rc_writev(pieces, 2, remote_, 0, nullptr, &request));
  EXPECT_RC(RC_OK, finish(request));
  EXPECT_RC(RC_E_RANGE, rc_write(local_, 0, remote_, kBytes, 1, nullptr));  // which begins nothing
  EXPECT_EQ(4, figure("op_posted"));
  EXPECT_EQ(0, figure("op_served"));
}

TEST_P(Operations, FiguresCountThePeers) {
  lend();
  rc_grant grant{0};
  ASSERT_RC(RC_OK, rc_mr_grant(ch_, local_, 0, kBytes, RC_MR_READ | RC_MR_WRITE, 0, &grant));
  EXPECT_EQ(RC_OK, far_soon(on(Op::kRemoteGet)).code);
  Doing serving([this] {
    char byte;
    return rc_get(ch_, &byte, 1, kPatience, nullptr);
  });
  for (Operation what : {Operation::kWrite, Operation::kRead, Operation::kRead}) {
    Call call = on(Op::kOperate, kBytes);
    call.operation = what;
    Reply reply = far().call(call);
    EXPECT_EQ(RC_OK, reply.code) << reply.reason;
  }
  EXPECT_FAR(RC_OK, 1u, far().put(1));
  EXPECT_DONE(RC_OK, serving);
  EXPECT_EQ(3, figure("op_served"));
  EXPECT_EQ(0, figure("op_posted"));
}

TEST_P(Operations, ARegionOfAnotherContextIsToldFromOneThatIsGone) {
  lend();
  rc_config config = {};
  config.size = sizeof config;
  config.mr_bytes = kBytes;
  rc_ctx other{0};
  rc_mr theirs{0}, gone{0};
  ASSERT_RC(RC_OK, rc_open(&config, &other));
  ASSERT_RC(RC_OK, rc_mr_alloc(other, 8, 0, &theirs));
  ASSERT_RC(RC_OK, rc_mr_alloc(ctx_, 8, 0, &gone));
  EXPECT_RC(RC_OK, rc_mr_free(gone));
  EXPECT_RC_NAMES(RC_E_HANDLE, "another context", rc_write(theirs, 0, remote_, 0, 8, nullptr));
  EXPECT_RC_NAMES(RC_E_HANDLE, "closed", rc_write(gone, 0, remote_, 0, 8, nullptr));
  EXPECT_RC(RC_OK, rc_close(other));
}

// Scenario C7.
TEST_P(Operations, SlicesAreServedOrRefused) {
  lend();
  memset(local(), 5, kBytes);
  struct {
    uint64_t begin, end;
  } good[] = {{0, 4096}, {2048, 4096}, {1000, 4000}, {1234, 1235}};
  for (auto slice : good) {
    SCOPED_TRACE(slice.begin);
    EXPECT_RC(RC_OK, write(slice.begin, slice.end - slice.begin));
    EXPECT_EQ(slice.end - slice.begin, far_count(slice.begin, slice.end - slice.begin, 5));
    far().call(on(Op::kMrFill, kBytes, 0, kFarByte));
  }
  struct {
    uint64_t at, bytes;
  } bad[] = {
      {0, 4097},       {4096, 1},       {4095, 2},          {10, 0}, {20, UINT64_MAX - 9} /* reversed: [20, 10) */,
      {UINT64_MAX, 2}, {1, UINT64_MAX}, {UINT64_MAX - 7, 8}};
  for (auto slice : bad) {
    SCOPED_TRACE(slice.at);
    rc_request request{99};
    EXPECT_RC(RC_E_RANGE, rc_write(local_, 0, remote_, slice.at, slice.bytes, &request));
    EXPECT_EQ(0u, request.id);
    EXPECT_RC(RC_E_RANGE, rc_read(local_, 0, remote_, slice.at, slice.bytes, nullptr));
    EXPECT_RC(RC_E_RANGE, rc_write_imm(local_, 0, remote_, slice.at, slice.bytes, 1, nullptr));
  }
  uint64_t mine = about(local_).bytes;
  EXPECT_RC(RC_E_RANGE, rc_write(local_, mine, remote_, 0, 1, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_write(local_, mine - 7, remote_, 0, 8, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_read(local_, UINT64_MAX, remote_, 0, 8, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_fetch_add(remote_, 4089, 1, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_compare_swap(remote_, UINT64_MAX, 0, 1, nullptr));
  EXPECT_EQ(0u, about(local_).requests);
  expect_far_untouched();
}

TEST_P(Operations, LargerThanTheOpRing) {
  constexpr uint64_t kLarge = 300001;
  lend(kLarge);
  for (uint64_t i = 0; i < kLarge; ++i) local()[i] = static_cast<uint8_t>(i * 7 + i / 256);
  EXPECT_RC(RC_OK, write(0, kLarge));
  memset(local(), 0, kLarge);
  EXPECT_RC(RC_OK, read(0, kLarge));
  uint64_t right = 0;
  while (right < kLarge && local()[right] == static_cast<uint8_t>(right * 7 + right / 256)) ++right;
  EXPECT_EQ(kLarge, right);
}

// A piece of a large one may end where the op ring does, or go on at its beginning.
TEST_P(Operations, LargeOnesAreWholeWhereverTheyBegin) {
  constexpr uint64_t kLarge = 100000;
  lend(kLarge);
  for (uint64_t i = 0; i < kLarge; ++i) local()[i] = static_cast<uint8_t>(i * 7 + i / 256);
  const std::vector<uint8_t> wanted(local(), local() + kLarge);
  for (int round = 0; round < 4; ++round) {
    ASSERT_RC(RC_OK, write(0, 40));
    ASSERT_RC(RC_OK, write(0, kLarge));
    memset(local(), 0, kLarge);
    ASSERT_RC(RC_OK, read(0, kLarge));
    ASSERT_EQ(0, memcmp(wanted.data(), local(), kLarge)) << round;
  }
}

// Scenario C6.
TEST_P(Operations, CompareAndSwap) {
  lend();
  far().call(on(Op::kMrFill, kBytes, 0, 0));
  rc_request request{0};
  uint64_t old = 99;
  EXPECT_RC(RC_OK, rc_compare_swap(remote_, 8, 0, UINT64_C(0x0101010101010101), &request));
  EXPECT_RC(RC_OK, finish(request, &old));
  EXPECT_EQ(0u, old);
  EXPECT_EQ(8u, far_count(8, 16, 1));
  EXPECT_RC(RC_OK, rc_compare_swap(remote_, 8, 0, 5, &request));
  EXPECT_RC(RC_OK, finish(request, &old));
  EXPECT_EQ(UINT64_C(0x0101010101010101), old);
  EXPECT_EQ(8u, far_count(8, 16, 1)) << "it did not hold what was expected";
}

TEST_P(Operations, AtomicsOnUnalignedWordsTouchNothing) {
  lend();
  for (uint64_t at : {1, 4, 7, 4087}) {
    rc_request add{0}, swap{0};
    EXPECT_RC(RC_OK, rc_fetch_add(remote_, at, 1, &add));
    EXPECT_RC(RC_OK, rc_compare_swap(remote_, at, UINT64_C(0xfafafafafafafafa), 1, &swap));
    EXPECT_RC(RC_E_ALIGNMENT, finish(add));
    EXPECT_RC(RC_E_ALIGNMENT, finish(swap));
  }
  expect_far_untouched();
}

TEST_P(Operations, FetchAndAddFromBothSidesAtOnce) {
  const uint64_t times = rounds(2000);
  lend();
  far().call(on(Op::kMrFill, 8, 0, 0));
  far().start(on(Op::kAddOwn, times));
  std::vector<rc_request> requests;
  for (uint64_t i = 0; i < times; ++i) {
    rc_request request{0};
    int32_t code;
    while ((code = rc_fetch_add(remote_, 0, 1, &request)) == RC_E_POOL && !requests.empty()) {
      ASSERT_RC(RC_OK, finish(requests.back()));
      requests.pop_back();
    }
    ASSERT_EQ(RC_OK, code) << rc_reason();
    requests.push_back(request);
  }
  for (rc_request request : requests) ASSERT_RC(RC_OK, finish(request));
  char byte = 'k';
  EXPECT_RC(RC_OK, rc_get(ch_, &byte, 1, kPatience, nullptr));  // it has added all of its own
  EXPECT_RC(RC_OK, rc_put(ch_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ(RC_OK, far().finish().code);
  EXPECT_EQ(2 * times, far().call(on(Op::kMrCount, 8)).value);
}

// The ordering promise: a notice never overtakes what was written before it, however large that was.
TEST_P(Operations, WriteThenPut) {
  constexpr uint64_t kLarge = 100000;
  lend(kLarge);
  expect_notices_behind(kLarge, rounds(100), [&] {
    rc_request whole{0};
    EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge, &whole));
    return std::vector<rc_request>{whole};
  });
}

TEST_P(Operations, SmallWritesThenPut) {
  constexpr uint64_t kPieces = 16, kPiece = 8;
  lend(kPieces * kPiece);
  expect_notices_behind(kPiece, rounds(200), [&] {
    std::vector<rc_request> requests(kPieces);
    for (uint64_t i = 0; i < kPieces; ++i)
      EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, i * kPiece, kPiece, &requests[i]));
    return requests;
  });
}

TEST_P(Operations, WriteThenWriteWithImmediate) {
  constexpr uint64_t kLarge = 30000;
  const uint64_t times = rounds(100);
  lend(kLarge);
  far().start(on(Op::kImmNotices, times));
  for (uint64_t round = 1; round <= times; ++round) {
    memset(local(), static_cast<int>(round), kLarge);
    rc_request part{0}, rest{0};
    ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge / 2, &part));
    ASSERT_RC(RC_OK, rc_write_imm(local_, 0, remote_, kLarge / 2, kLarge / 2, static_cast<uint32_t>(round), &rest));
    char answer = 0;
    ASSERT_RC(RC_OK, rc_get(ch_, &answer, 1, kPatience, nullptr));
    ASSERT_RC(RC_OK, finish(rest));
    ASSERT_RC(RC_OK, finish(part));
  }
  Reply reply = far().finish();
  EXPECT_EQ(RC_OK, reply.code) << "round " << reply.wrong << ": " << reply.reason;
}

TEST_P(Operations, ImmediatesWaitToBeTakenInOrder) {
  lend();
  rc_request requests[3];
  for (uint32_t i = 0; i < 3; ++i) EXPECT_RC(RC_OK, rc_write_imm(local_, 0, remote_, i, 1, 10 + i, &requests[i]));
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_RC(RC_E_WOULD_BLOCK, rc_request_test(requests[i], nullptr));
    Reply reply = far_soon(on(Op::kImmGet));
    EXPECT_EQ(RC_OK, reply.code) << reply.reason;
    EXPECT_EQ(10 + i, reply.imm);
    EXPECT_RC(RC_OK, finish(requests[i]));
  }
  EXPECT_EQ(RC_E_WOULD_BLOCK, [this] {
    Call call = on(Op::kImmGet);
    call.timeout_ns = 0;
    return far().call(call).code;
  }());
}

RC_CONFORMANCE_OF_MEMORY(Operations);

}  // namespace conformance
