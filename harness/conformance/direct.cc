// Operations on memory that the peer reaches by itself.
#include <string.h>

#include <random>
#include <vector>

#include "harness/conformance/direct_pair.h"

namespace conformance {

TEST_P(Direct, AnOperationIsInTheCompletionQueueAsSoonAsItIsQueued) {
  lend_direct();
  rc_request request{0};
  rc_completion completion = {};
  uint32_t count = 0;
  ASSERT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, &request));
  ASSERT_RC(RC_OK, rc_request_queue(request, 12));
  ASSERT_RC(RC_OK, rc_completions_get(ch_, &completion, 1, 0, &count));
  EXPECT_EQ(12u, completion.tag);
  EXPECT_EQ(UINT64_C(0x0101010101010101) * kFarByte, completion.value);
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_completions_get(ch_, &completion, 1, 0, &count));
}

TEST_P(Direct, OperationsAreDoneWithoutTheOwner) {
  lend_direct();
  memset(local(), 7, kBytes);
  EXPECT_RC(RC_OK, write_alone(0, 16, 8));
  EXPECT_RC(RC_OK, write_alone(0, 100, 1000));
  memset(local(), 0, kBytes);
  EXPECT_RC(RC_OK, read_alone(0, 0, kBytes));
  for (uint64_t i = 0; i < kBytes; ++i) {
    bool written = (i >= 16 && i < 24) || (i >= 100 && i < 1100);
    ASSERT_EQ(written ? 7 : kFarByte, local()[i]) << i;
  }
  uint64_t value = 0;
  rc_request request{0};
  EXPECT_RC(RC_OK, rc_fetch_add(remote_, 16, 1, &request));
  EXPECT_RC(RC_OK, alone(request, &value));
  EXPECT_EQ(UINT64_C(0x0707070707070707), value);
  EXPECT_RC(RC_OK, rc_compare_swap(remote_, 16, 5, 6, &request));
  EXPECT_RC(RC_OK, alone(request, &value));
  EXPECT_EQ(UINT64_C(0x0707070707070708), value);
  EXPECT_RC(RC_OK, rc_compare_swap(remote_, 16, value, 6, &request));
  EXPECT_RC(RC_OK, alone(request, &value));
  EXPECT_RC(RC_E_HANDLE, alone(request));
  EXPECT_EQ(6u, far().call(on(Op::kMrCount, 8, 16)).value);
  EXPECT_EQ(1000u, far_count(100, 1000, 7));
  EXPECT_EQ(0u, about(local_).requests);
}

// The owner does not see them.
TEST_P(Direct, FiguresOfWhoAsksCountThem) {
  lend_direct();
  rc_request request{0};
  EXPECT_RC(RC_OK, write_alone(0, 0, 8));
  EXPECT_RC(RC_OK, write_alone(0, 0, 8));  // by the short path
  EXPECT_RC(RC_OK, read_alone(0, 0, 8));
  EXPECT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, nullptr));
  ASSERT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &request));
  EXPECT_EQ(RC_OK, far_soon(on(Op::kImmGet)).code);
  EXPECT_RC(RC_OK, finish(request));
  EXPECT_RC(RC_E_RANGE, rc_write(local_, 0, remote_, kBytes, 8, nullptr));
  EXPECT_EQ(5, figure("op_posted"));
  rc_mr lent{0};
  ASSERT_RC(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &lent));
  give(lent, kBytes);
  Reply reply = far_operates(Operation::kAdd, 0, 1);
  EXPECT_EQ(RC_OK, reply.code) << reply.reason;
  EXPECT_EQ(0, figure("op_served"));
}

TEST_P(Direct, RightsAndRangeHold) {
  lend_direct(kBytes, RC_MR_READ);
  EXPECT_RC(RC_E_RIGHTS, rc_write(local_, 0, remote_, 0, 8, nullptr));
  EXPECT_RC(RC_E_RIGHTS, rc_fetch_add(remote_, 0, 1, nullptr));
  EXPECT_RC(RC_OK, read_alone(0, 0, 8));
  EXPECT_EQ(kFarByte, local()[7]);
  lend(2 * kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, 1);
  EXPECT_RC(RC_E_RANGE, rc_write(local_, 0, remote_, 2 * kBytes, 1, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_read(local_, 0, remote_, UINT64_MAX, 8, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_write(local_, UINT64_MAX, remote_, 0, 8, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_read(local_, about(local_).bytes, remote_, 0, 8, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_write(local_, 0, remote_, 0, 0, nullptr));
  for (uint64_t at : {1, 4, 7}) {
    rc_request add{0};
    EXPECT_RC(RC_OK, rc_fetch_add(remote_, at, 1, &add));
    EXPECT_RC(RC_E_ALIGNMENT, alone(add));
  }
  expect_far_untouched();
  EXPECT_EQ(2 * kBytes, far().call(on(Op::kMrCount, 2 * kBytes, 0, kFarByte, 1)).done);
  rc_lease lease = {};
  lease.size = sizeof lease;
  EXPECT_RC(RC_OK, rc_remote_info(remote_, &lease));
  EXPECT_EQ(RC_LEASE_NONE, lease.left_ns);
  EXPECT_EQ(kAll | RC_MR_DIRECT, lease.rights);
}

// Once grant and region are known, each operation is checked all the same.
TEST_P(Direct, WhatFollowsAnOperationThatWorkedIsChecked) {
  uint64_t own = 0;
  rc_mr read_only{0};
  ASSERT_RC(RC_OK, rc_mr_reg(ctx_, &own, sizeof own, RC_MR_READ, &read_only));
  lend_direct();
  const uint64_t end = about(local_).bytes;
  ASSERT_RC(RC_OK, write_alone(0, 0, 8));
  EXPECT_RC(RC_E_RANGE, rc_write(local_, 0, remote_, kBytes, 1, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_read(local_, 0, remote_, kBytes - 7, 8, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_write(local_, 0, remote_, UINT64_MAX - 3, 8, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_write(local_, end - 7, remote_, 0, 8, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_write(local_, UINT64_MAX - 3, remote_, 0, 8, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_write(local_, 0, remote_, 0, 0, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_fetch_add(remote_, kBytes, 1, nullptr));
  rc_request add{0};
  EXPECT_RC(RC_OK, rc_fetch_add(remote_, 4, 1, &add));
  EXPECT_RC(RC_E_ALIGNMENT, alone(add));
  for (int i = 0; i < 2; ++i) {  // the first one looks the region up
    rc_request write{0};
    EXPECT_RC(RC_OK, rc_write(read_only, 0, remote_, 0, 8, &write));
    EXPECT_RC(RC_OK, alone(write));
    EXPECT_RC(RC_E_RIGHTS, rc_read(read_only, 0, remote_, 0, 8, nullptr));
  }
  EXPECT_EQ(0u, own);
  EXPECT_EQ(kBytes - 8, far_count(8, kBytes - 8, kFarByte));
  EXPECT_RC(RC_OK, rc_mr_free(read_only));
  lend(kBytes, RC_MR_READ | RC_MR_DIRECT, RC_LEASE_NONE, 1);
  for (int i = 0; i < 2; ++i) {
    ASSERT_RC(RC_OK, read_alone(0, 0, 8));
    EXPECT_RC(RC_E_RIGHTS, rc_write(local_, 0, remote_, 0, 8, nullptr));
    EXPECT_RC(RC_E_RIGHTS, rc_fetch_add(remote_, 0, 1, nullptr));
  }
}

TEST_P(Direct, LargeOnesAreWhole) {
  constexpr uint64_t kLarge = 1000001;
  lend_direct(kLarge);
  uint8_t* bytes = local();
  for (uint64_t i = 0; i < kLarge; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + i / 256);
  EXPECT_RC(RC_OK, write_alone(0, 0, kLarge));
  memset(bytes, 0, kLarge);
  EXPECT_RC(RC_OK, read_alone(0, 0, kLarge));
  uint64_t right = 0;
  while (right < kLarge && bytes[right] == static_cast<uint8_t>(right * 7 + right / 256)) ++right;
  EXPECT_EQ(kLarge, right);
}

TEST_P(Direct, WriteThenPut) {
  constexpr uint64_t kLarge = 300000;
  lend_direct(kLarge);
  expect_notices_behind(kLarge, 100, [&] {
    EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge, nullptr));
    return std::vector<rc_request>{};
  });
}

TEST_P(Direct, WriteThenImmediate) {
  constexpr uint64_t kLarge = 30000;
  lend_direct(kLarge);
  far().start(on(Op::kImmNotices, 100));
  for (uint64_t round = 1; round <= 100; ++round) {
    memset(local(), static_cast<int>(round), kLarge);
    rc_request request{0};
    ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge / 2, nullptr));
    ASSERT_RC(RC_OK, rc_write_imm(local_, 0, remote_, kLarge / 2, kLarge / 2, static_cast<uint32_t>(round), &request));
    char answer = 0;
    ASSERT_RC(RC_OK, rc_get(ch_, &answer, 1, kPatience, nullptr));
    ASSERT_RC(RC_OK, finish(request));
  }
  Reply reply = far().finish();
  EXPECT_EQ(RC_OK, reply.code) << "round " << reply.wrong << ": " << reply.reason;
}

// What was posted before and is not done yet is not overtaken: until then they are carried.
TEST_P(Direct, NothingIsOvertaken) {
  constexpr uint64_t kLarge = 200000;  // more than the op ring
  lend(kLarge, kAll, 0, 1);
  rc_remote carried = remote_;
  lend_direct();
  memset(local(), 1, kLarge);
  rc_request first{0}, second{0}, third{0};
  EXPECT_RC(RC_OK, rc_write(local_, 0, carried, 0, kLarge, &first));
  EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &second));
  EXPECT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, &third));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_request_test(second, nullptr));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_request_test(third, nullptr));
  expect_far_untouched();
  uint64_t old = 0;
  EXPECT_RC(RC_OK, finish(third, &old));
  EXPECT_EQ(UINT64_C(0x0101010101010101), old);
  EXPECT_RC(RC_OK, finish(first));
  EXPECT_RC(RC_OK, finish(second));
  EXPECT_RC(RC_OK, write_alone(0, 0, 8));
}

// Alone they are done at once; behind carried ones that are under way they are carried, too, as a whole.
TEST_P(Direct, ListsGoDirectAndOvertakeNothing) {
  constexpr uint64_t kLarge = 200000;  // more than the op ring
  lend(kLarge, kAll, 0, 1);
  rc_remote carried = remote_;
  lend_direct();
  for (uint64_t i = 0; i < kLarge; ++i) local()[i] = static_cast<uint8_t>(i % 251);
  rc_mr other{0};
  EXPECT_RC(RC_OK, rc_mr_alloc(ctx_, 100, 0, &other));
  uint8_t* second = static_cast<uint8_t*>(about(other).address);
  memset(second, 0xcc, 100);
  const rc_slice pieces[] = {{local_, 10, 7}, {other, 50, 50}, {local_, 1000, 13}};
  std::vector<uint8_t> wanted(local() + 10, local() + 17);
  wanted.insert(wanted.end(), second + 50, second + 100);
  wanted.insert(wanted.end(), local() + 1000, local() + 1013);
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_writev(pieces, 3, remote_, 100, nullptr, &request));
  ASSERT_RC(RC_OK, alone(request));
  memset(local(), 0, 2000);
  memset(second, 0, 100);
  ASSERT_RC(RC_OK, rc_readv(pieces, 3, remote_, 100, &request));
  ASSERT_RC(RC_OK, alone(request));
  std::vector<uint8_t> got(local() + 10, local() + 17);
  got.insert(got.end(), second + 50, second + 100);
  got.insert(got.end(), local() + 1000, local() + 1013);
  EXPECT_EQ(wanted, got);
  EXPECT_EQ(0, local()[9] + local()[17] + second[49] + local()[999] + local()[1013]);
  ASSERT_RC(RC_OK, read_alone(2000, 99, 72));
  EXPECT_EQ(0, memcmp(local() + 2001, wanted.data(), wanted.size()));
  EXPECT_EQ(kFarByte, local()[2000]);
  EXPECT_EQ(kFarByte, local()[2071]);
  EXPECT_EQ(0u, about(other).requests);
  // Behind others.
  memset(local(), 1, kLarge);
  memset(second, 2, 100);
  rc_request large{0}, list{0}, back{0};
  EXPECT_RC(RC_OK, rc_write(local_, 0, carried, 0, kLarge, &large));
  EXPECT_RC(RC_OK, rc_writev(pieces, 3, remote_, 0, nullptr, &list));
  const rc_slice into[] = {{other, 0, 20}, {other, 20, 20}};
  EXPECT_RC(RC_OK, rc_readv(into, 2, remote_, 0, &back));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_request_test(list, nullptr));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_request_test(back, nullptr));
  EXPECT_EQ(0u, far_count(0, 70, 1));
  EXPECT_RC(RC_OK, finish(back));
  EXPECT_RC(RC_OK, finish(list));
  EXPECT_RC(RC_OK, finish(large));
  for (int i = 0; i < 40; ++i) ASSERT_EQ(i < 7 ? 1 : 2, second[i]) << i;
  // And at once again.
  ASSERT_RC(RC_OK, rc_readv(into, 2, remote_, 50, &request));
  ASSERT_RC(RC_OK, alone(request));
  EXPECT_EQ(2, second[0]);
  EXPECT_EQ(1, second[7]);
  EXPECT_RC(RC_OK, rc_mr_free(other));
}

TEST_P(Direct, FetchAndAddFromBothSidesAtOnce) {
  if (by_nic()) GTEST_SKIP() << "atomics of a NIC are none to the owner's processor";
  constexpr uint64_t kTimes = 20000;
  lend_direct();
  far().call(on(Op::kMrFill, 8, 0, 0));
  far().start(on(Op::kAddOwn, kTimes));
  for (uint64_t i = 0; i < kTimes; ++i) {
    rc_request request{0};
    ASSERT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, &request));
    ASSERT_RC(RC_OK, alone(request));
  }
  char byte = 'k';
  EXPECT_RC(RC_OK, rc_get(ch_, &byte, 1, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_put(ch_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ(RC_OK, far().finish().code);
  EXPECT_EQ(2 * kTimes, far().call(on(Op::kMrCount, 8)).value);
}

TEST_P(Direct, InRandomOrderAgainstAModel) {
  constexpr uint64_t kSpan = 16384;
  lend_direct(kSpan);
  std::mt19937_64 random(11);
  std::vector<uint8_t> model(kSpan, kFarByte);
  uint8_t* bytes = local();
  for (int i = 0; i < (by_nic() ? 500 : 5000); ++i) {
    uint64_t n = 1 + random() % (i % 10 == 0 ? kSpan : 64), at = random() % (kSpan - n + 1);
    uint64_t word_at = random() % (kSpan / 8) * 8, word = random(), held = 0, old = 0;
    memcpy(&held, &model[word_at], sizeof held);
    rc_request request{0};
    switch (random() % 4) {
      case 0:
        for (uint64_t k = 0; k < n; ++k) bytes[k] = model[at + k] = static_cast<uint8_t>(random());
        ASSERT_RC(RC_OK, write_alone(0, at, n));
        continue;
      case 1:
        ASSERT_RC(RC_OK, read_alone(kSpan, at, n));
        ASSERT_EQ(0, memcmp(local() + kSpan, &model[at], n));
        continue;
      case 2:
        ASSERT_RC(RC_OK, rc_fetch_add(remote_, word_at, word, &request));
        word += held;
        break;
      default: {
        bool matches = random() % 2 == 0;
        ASSERT_RC(RC_OK, rc_compare_swap(remote_, word_at, held + (matches ? 0 : 1), word, &request));
        if (!matches) word = held;
      }
    }
    ASSERT_RC(RC_OK, alone(request, &old));
    ASSERT_EQ(held, old);
    memcpy(&model[word_at], &word, sizeof word);
  }
  ASSERT_RC(RC_OK, read_alone(0, 0, kSpan));
  EXPECT_EQ(0, memcmp(local(), model.data(), kSpan));
}

RC_CONFORMANCE_OF_MEMORY(Direct);

}  // namespace conformance
