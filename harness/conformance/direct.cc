// Direct grants: memory that the peer reaches by itself.
#include <stdio.h>
#include <string.h>

#include <random>
#include <vector>

#include "harness/conformance/doing.h"
#include "harness/conformance/memory_pair.h"

namespace conformance {
namespace {

constexpr uint32_t kEverything = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;

// Of memory files of the library's, in this process.
int mapped_files() {
  FILE* maps = fopen("/proc/self/maps", "re");
  char line[512];
  int n = 0;
  while (fgets(line, sizeof line, maps) != nullptr) n += strstr(line, "memfd:ringchan") != nullptr ? 1 : 0;
  fclose(maps);
  return n;
}

}  // namespace

class Direct : public MemoryPair {
 protected:
  void SetUp() override {
    MemoryPair::SetUp();
    if (backend().scheme != "shm") GTEST_SKIP() << "over " << backend().scheme << " no peer reaches memory by itself";
  }
  void lend_direct(uint64_t n = kBytes, uint32_t rights = kEverything) {
    lend(n, rights | RC_MR_DIRECT, RC_LEASE_NONE);
  }
  // Without any help of the far end.
  static int32_t alone(rc_request request, uint64_t* value = nullptr) { return rc_request_test(request, value); }
  int32_t write_alone(uint64_t from, uint64_t to, uint64_t n) {
    rc_request request{0};
    int32_t code = rc_write(local_, from, remote_, to, n, &request);
    return code == RC_OK ? alone(request) : code;
  }
  int32_t read_alone(uint64_t to, uint64_t from, uint64_t n) {
    rc_request request{0};
    int32_t code = rc_read(local_, to, remote_, from, n, &request);
    return code == RC_OK ? alone(request) : code;
  }
  // This end grants and the far one has it.
  rc_grant give(rc_mr mr, uint64_t n, uint32_t rights = kEverything) {
    rc_grant grant{0};
    EXPECT_RC(RC_OK, rc_mr_grant(ch_, mr, 0, n, rights | RC_MR_DIRECT, RC_LEASE_NONE, &grant));
    EXPECT_EQ(RC_OK, far_soon(on(Op::kRemoteGet)).code);
    return grant;
  }
  Reply far_operates(Operation operation, uint64_t offset, uint64_t value, uint64_t n = 8) {
    Call call = on(Op::kOperate, n, offset, value);
    call.operation = operation;
    call.timeout_ns = 0;
    return far().call(call);
  }
};

class DirectElsewhere : public MemoryPair {};

TEST_P(DirectElsewhere, IsRefusedNotReplaced) {
  if (backend().scheme == "shm") GTEST_SKIP() << "shm can do it";
  rc_grant grant{99};
  rc_mr mine{0};
  EXPECT_RC(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &mine));
  EXPECT_RC_NAMES(RC_E_UNSUPPORTED, backend().scheme,
                  rc_mr_grant(ch_, mine, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant));
  EXPECT_EQ(0u, grant.id);
  EXPECT_EQ(0u, about(mine).grants);
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, mine, 0, kBytes, kAll, 0, &grant));
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
  EXPECT_RC(RC_OK, rc_mr_free(mine));
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

TEST_P(Direct, TheBytesStayTheOwnersBeforeAndAfter) {
  memset(local(), 3, 2 * kBytes);
  rc_grant grant = give(local_, 2 * kBytes);
  EXPECT_EQ(3, local()[0]);
  EXPECT_EQ(3, local()[2 * kBytes - 1]);
  Reply add = far_operates(Operation::kAdd, 8, 1);
  EXPECT_EQ(RC_OK, add.code) << add.reason;
  EXPECT_EQ(UINT64_C(0x0303030303030303), add.value);
  EXPECT_EQ(4, local()[8]);
  local()[9] = 5;
  EXPECT_EQ(UINT64_C(0x0303030303030504), far_operates(Operation::kAdd, 8, 1).value);
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
  EXPECT_RC(RC_E_HANDLE, rc_grant_revoke(grant));
  EXPECT_EQ(5, local()[8]);
  EXPECT_EQ(5, local()[9]);
  EXPECT_EQ(3, local()[2 * kBytes - 1]);
  EXPECT_EQ(0u, about(local_).grants);
  EXPECT_EQ(RC_E_REVOKED, far_operates(Operation::kAdd, 8, 1).code);
  EXPECT_EQ(5, local()[8]);
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

TEST_P(Direct, RightsAndRangeHold) {
  lend_direct(kBytes, RC_MR_READ);
  EXPECT_RC(RC_E_RIGHTS, rc_write(local_, 0, remote_, 0, 8, nullptr));
  EXPECT_RC(RC_E_RIGHTS, rc_fetch_add(remote_, 0, 1, nullptr));
  EXPECT_RC(RC_OK, read_alone(0, 0, 8));
  EXPECT_EQ(kFarByte, local()[7]);
  lend(2 * kBytes, kEverything | RC_MR_DIRECT, RC_LEASE_NONE, 1);
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
  EXPECT_EQ(kEverything | RC_MR_DIRECT, lease.rights);
}

TEST_P(Direct, WhatCannotBeGrantedDirectlyIsNot) {
  rc_grant grant{99}, other{0};
  rc_mr odd{0}, registered{0};
  alignas(4096) static uint8_t mine[8192];
  EXPECT_RC(RC_OK, rc_mr_alloc(ctx_, 5000, 0, &odd));
  EXPECT_RC(RC_OK, rc_mr_reg(ctx_, mine, sizeof mine, kEverything, &registered));
  auto direct = [&](rc_mr mr, uint64_t offset, uint64_t n, uint32_t rights, int64_t lease_ns) {
    return rc_mr_grant(ch_, mr, offset, n, rights | RC_MR_DIRECT, lease_ns, &grant);
  };
  EXPECT_RC_NAMES(RC_E_INVALID, "RC_LEASE_NONE", direct(odd, 0, 5000, kEverything, 0));
  EXPECT_RC(RC_E_INVALID, direct(odd, 0, 5000, kEverything, 1000000000));
  EXPECT_RC(RC_E_INVALID, direct(odd, 0, 5000, 0, RC_LEASE_NONE));
  EXPECT_RC(RC_E_INVALID, direct(odd, 0, 5000, kEverything | RC_MR_BY_TOKEN, RC_LEASE_NONE));
  EXPECT_RC(RC_E_INVALID, rc_mr_grant(ch_, odd, 0, 5000, kEverything, RC_LEASE_NONE, &grant));
  EXPECT_RC(RC_E_RIGHTS, direct(odd, 0, 5000, RC_MR_WRITE, RC_LEASE_NONE));
  EXPECT_RC(RC_E_RIGHTS, direct(odd, 0, 5000, RC_MR_READ | RC_MR_ATOMIC, RC_LEASE_NONE));
  EXPECT_RC(RC_E_ALIGNMENT, direct(odd, 0, 4999, kEverything, RC_LEASE_NONE));
  EXPECT_RC(RC_E_ALIGNMENT, direct(odd, 8, 4096, RC_MR_READ, RC_LEASE_NONE));
  EXPECT_RC(RC_E_RANGE, direct(odd, 4096, 4096, RC_MR_READ, RC_LEASE_NONE));
  EXPECT_RC_NAMES(RC_E_UNSUPPORTED, "registered", direct(registered, 0, 4096, kEverything, RC_LEASE_NONE));
  EXPECT_EQ(0u, grant.id);
  EXPECT_EQ(0u, about(odd).grants);
  // Alone or not at all.
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, odd, 0, 8, kEverything, 0, &other));
  EXPECT_RC(RC_E_IN_USE, direct(odd, 0, 5000, kEverything, RC_LEASE_NONE));
  EXPECT_RC(RC_OK, rc_grant_revoke(other));
  EXPECT_RC(RC_OK, direct(odd, 0, 5000, kEverything, RC_LEASE_NONE));
  rc_grant first = grant;
  EXPECT_RC(RC_E_IN_USE, direct(odd, 0, 5000, kEverything, RC_LEASE_NONE));
  EXPECT_RC(RC_E_IN_USE, rc_mr_grant(ch_, odd, 0, 8, RC_MR_READ, 0, &other));
  EXPECT_RC_NAMES(RC_E_IN_USE, "1 grants", rc_mr_free(odd));
  EXPECT_EQ(1u, about(odd).grants);
  EXPECT_RC(RC_OK, rc_grant_revoke(first));
  EXPECT_RC(RC_OK, direct(odd, 4096, 904, RC_MR_READ, RC_LEASE_NONE));
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
  EXPECT_RC(RC_OK, rc_mr_free(odd));
  EXPECT_RC(RC_OK, rc_mr_free(registered));
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
  far().start(on(Op::kNotices, 100));
  for (uint64_t round = 1; round <= 100; ++round) {
    memset(local(), static_cast<int>(round), kLarge);
    auto notice = static_cast<uint8_t>(round);
    ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge, nullptr));
    ASSERT_RC(RC_OK, rc_put(ch_, &notice, 1, kPatience, nullptr));
    char answer = 0;
    ASSERT_RC(RC_OK, rc_get(ch_, &answer, 1, kPatience, nullptr));
  }
  Reply reply = far().finish();
  EXPECT_EQ(RC_OK, reply.code) << "round " << reply.wrong << ": " << reply.reason;
  EXPECT_EQ(100u, reply.done);
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
  lend(kLarge, kEverything, 0, 1);
  rc_remote carried = remote_;
  lend_direct();
  memset(local(), 1, kLarge);
  rc_request first{0}, second{0}, third{0};
  EXPECT_RC(RC_OK, rc_write(local_, 0, carried, 0, kLarge, &first));
  EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &second));
  EXPECT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, &third));
  EXPECT_RC(RC_E_WOULD_BLOCK, alone(second));
  EXPECT_RC(RC_E_WOULD_BLOCK, alone(third));
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
  lend(kLarge, kEverything, 0, 1);
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
  EXPECT_RC(RC_E_WOULD_BLOCK, alone(list));
  EXPECT_RC(RC_E_WOULD_BLOCK, alone(back));
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
  for (int i = 0; i < 5000; ++i) {
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

TEST_P(Direct, WhatIsGivenBackIsTheOwnersAlone) {
  lend_direct();
  memset(local(), 6, 8);
  EXPECT_RC(RC_OK, write_alone(0, 8, 8));
  far().start(Far::bytes(Op::kGet, 1));
  EXPECT_RC(RC_OK, rc_remote_give_back(remote_, kPatience));
  put(1);
  EXPECT_FAR(RC_OK, 1u, far().finish());
  EXPECT_EQ(RC_E_IN_USE, far().call(on(Op::kMrFree)).code);
  EXPECT_EQ(RC_E_STATE, far().call(on(Op::kRevoke)).code);
  EXPECT_EQ(RC_OK, far_soon(on(Op::kTakeBack)).code);
  EXPECT_EQ(8u, far_count(8, 8, 6));
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
  // One that is only given up stays shared until its owner says so.
  lend_direct();
  EXPECT_RC(RC_OK, rc_remote_release(remote_));
  settle();
  EXPECT_EQ(RC_OK, far().progress().code);
  EXPECT_EQ(RC_E_IN_USE, far().call(on(Op::kMrFree)).code);
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kRevoke)));
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
}

TEST_P(Direct, AKilledPeersGrantStaysUntilItsOwnerEndsIt) {
  if (!backend().notices_death) GTEST_SKIP() << "the far end lives in this process";
  rc_mr other{0};
  EXPECT_RC(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &other));
  memset(local(), 8, kBytes);
  rc_grant grant = give(local_, kBytes), second = give(other, kBytes);
  int before = mapped_files();
  far().kill();
  char byte;
  EXPECT_RC(RC_E_PEER_DEAD, rc_get(ch_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ(1u, about(local_).grants);
  EXPECT_EQ(before, mapped_files());
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
  EXPECT_EQ(0u, about(local_).grants);
  EXPECT_EQ(8, local()[kBytes - 1]);
  EXPECT_RC(RC_OK, rc_mr_free(other));
  EXPECT_EQ(before - 2, mapped_files());
  EXPECT_RC(RC_OK, rc_grant_revoke(second));
}

TEST_P(Direct, ClosingTheChannelTakesItBack) {
  memset(local(), 8, kBytes);
  int before = mapped_files();
  rc_grant grant = give(local_, kBytes);
  EXPECT_EQ(before + 1 + (backend().other_process ? 0 : 1), mapped_files());
  lend_direct();
  EXPECT_RC(RC_OK, write_alone(0, 0, 8));
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  EXPECT_EQ(8, local()[0]);
  EXPECT_RC(RC_E_HANDLE, rc_grant_revoke(grant));
  EXPECT_EQ(0u, about(local_).grants);
  EXPECT_RC(RC_OK, rc_mr_free(local_));
  EXPECT_EQ(RC_OK, far().close_channel().code);
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
}

TEST_P(Direct, GrantedManyTimesLeavesNothing) {
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrAlloc, kBytes, 0, kFarByte)));
  int before = mapped_files();
  Call grant = on(Op::kGrant, kBytes);
  grant.rights = kEverything | RC_MR_DIRECT;
  grant.lease_ns = RC_LEASE_NONE;
  for (int i = 0; i < 300; ++i) {
    Reply reply = far_soon(grant);
    ASSERT_EQ(RC_OK, reply.code) << reply.reason;
    if (i % 3 != 0) {  // the others are never taken
      remote_ = next_remote();
      ASSERT_RC(RC_OK, read_alone(0, 0, 8));
    }
    ASSERT_FAR(RC_OK, 0u, far().call(on(Op::kRevoke)));
  }
  EXPECT_TRUE(eventually([&] { return rc_read(local_, 0, remote_, 0, 8, nullptr) == RC_E_REVOKED; }));
  EXPECT_EQ(before, mapped_files());
  EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
}

RC_CONFORMANCE_OF_MEMORY(Direct);
RC_CONFORMANCE_OF_MEMORY(DirectElsewhere);

}  // namespace conformance
