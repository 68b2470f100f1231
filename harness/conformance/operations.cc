// rc_write, rc_read, rc_write_imm, the atomics, and requests.
#include <random>

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
  const uint64_t times = rounds(100);
  lend(kLarge);
  far().start(on(Op::kNotices, times));
  for (uint64_t round = 1; round <= times; ++round) {
    memset(local(), static_cast<int>(round), kLarge);
    rc_request whole{0};
    auto notice = static_cast<uint8_t>(round);
    ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge, &whole));
    ASSERT_RC(RC_OK, rc_put(ch_, &notice, 1, kPatience, nullptr));
    char answer = 0;
    ASSERT_RC(RC_OK, rc_get(ch_, &answer, 1, kPatience, nullptr));
    ASSERT_RC(RC_OK, finish(whole));
  }
  Reply reply = far().finish();
  EXPECT_EQ(RC_OK, reply.code) << "round " << reply.wrong << ": " << reply.reason;
  EXPECT_EQ(times, reply.done);
}

TEST_P(Operations, SmallWritesThenPut) {
  constexpr uint64_t kPieces = 16, kPiece = 8;
  const uint64_t times = rounds(200);
  lend(kPieces * kPiece);
  far().start(on(Op::kNotices, times));
  for (uint64_t round = 1; round <= times; ++round) {
    auto notice = static_cast<uint8_t>(round);
    memset(local(), notice, kPiece);
    std::vector<rc_request> requests(kPieces);
    for (uint64_t i = 0; i < kPieces; ++i)
      ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, i * kPiece, kPiece, &requests[i]));
    ASSERT_RC(RC_OK, rc_put(ch_, &notice, 1, kPatience, nullptr));
    char answer = 0;
    ASSERT_RC(RC_OK, rc_get(ch_, &answer, 1, kPatience, nullptr));
    for (rc_request request : requests) ASSERT_RC(RC_OK, finish(request));
  }
  Reply reply = far().finish();
  EXPECT_EQ(RC_OK, reply.code) << "round " << reply.wrong << ": " << reply.reason;
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

TEST_P(Operations, ManyInFlightInRandomOrderAgainstAModel) {
  constexpr uint64_t kCells = 256, kCell = 16, kFlights = 64;
  const uint64_t times = rounds(20000);
  lend(kCells * kCell);
  far().call(on(Op::kMrFill, kCells * kCell, 0, 0));
  std::mt19937 random(7);
  struct Flight {
    rc_request request{0};
    uint64_t cell = 0, slot = 0, expected = 0;
    int kind = 0;
  };
  std::vector<Flight> flights;
  std::vector<uint64_t> model(kCells, 0);  // the first word of each cell
  std::vector<int> reading(kCells, 0);     // a read is of the moment of its answer: nobody writes until then
  std::vector<uint64_t> slots;
  for (uint64_t i = 0; i < kFlights; ++i) slots.push_back(i);
  auto land = [&](size_t which) {
    Flight f = flights[which];
    flights.erase(flights.begin() + static_cast<ptrdiff_t>(which));
    uint64_t value = 0;
    ASSERT_RC(RC_OK, finish(f.request, &value));
    if (f.kind == 1) memcpy(&value, local() + f.slot * kCell, sizeof value);
    if (f.kind != 0) {
      ASSERT_EQ(f.expected, value) << "operation of kind " << f.kind;
    }
    if (f.kind == 1) --reading[f.cell];
    slots.push_back(f.slot);
  };
  for (uint64_t i = 0; i < times; ++i) {
    while (slots.empty() || (!flights.empty() && random() % 4 == 0)) land(random() % flights.size());
    Flight f;
    f.cell = random() % kCells;
    f.kind = static_cast<int>(random() % 4);
    if (f.kind != 1 && reading[f.cell] != 0) f.kind = 1;
    f.slot = slots.back();
    slots.pop_back();
    f.expected = model[f.cell];
    uint64_t at = f.cell * kCell, word = random();
    uint8_t* mine = local() + f.slot * kCell;
    int32_t code = RC_OK;
    if (f.kind == 0) {
      memset(mine, 0, kCell);
      memcpy(mine, &word, sizeof word);
      code = rc_write(local_, f.slot * kCell, remote_, at, kCell, &f.request);
      model[f.cell] = word;
    } else if (f.kind == 1) {
      ++reading[f.cell];
      code = rc_read(local_, f.slot * kCell, remote_, at, kCell, &f.request);
    } else if (f.kind == 2) {
      bool matches = random() % 2 == 0;
      code = rc_compare_swap(remote_, at, model[f.cell] + (matches ? 0 : 1), word, &f.request);
      if (matches) model[f.cell] = word;
    } else {
      code = rc_fetch_add(remote_, at, word, &f.request);
      model[f.cell] += word;
    }
    ASSERT_EQ(RC_OK, code) << rc_reason();
    flights.push_back(f);
  }
  while (!flights.empty()) land(random() % flights.size());
  for (uint64_t cell = 0; cell < kCells; ++cell)
    ASSERT_EQ(model[cell], far().call(on(Op::kMrCount, 8, cell * kCell)).value) << cell;
}

TEST_P(Operations, TooManyInFlightIsAPoolThatIsFull) {
  lend();
  std::vector<rc_request> requests(64);
  for (rc_request& request : requests) ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request));
  rc_request one_more{99};
  EXPECT_RC_NAMES(RC_E_POOL, "requests_max", rc_write(local_, 0, remote_, 0, 8, &one_more));
  EXPECT_EQ(0u, one_more.id);
  EXPECT_EQ(64u, about(local_).requests);
  ASSERT_RC(RC_OK, finish(requests[40]));
  EXPECT_RC(RC_OK, rc_read(local_, 0, remote_, 0, 8, &requests[40]));
  for (rc_request request : requests) ASSERT_RC(RC_OK, finish(request));
  EXPECT_EQ(0u, about(local_).requests);
}

TEST_P(Operations, NobodyNeedsToWaitForARequestWithoutAHandle) {
  lend();
  memset(local(), 3, 8);
  for (int i = 0; i < 1000; ++i) {
    int32_t code = RC_E_POOL;
    eventually([&] {
      code = rc_write(local_, 0, remote_, 0, 8, nullptr);
      if (code == RC_E_POOL) far().progress();
      if (code == RC_E_POOL) rc_progress(ch_);
      return code != RC_E_POOL;
    });
    ASSERT_EQ(RC_OK, code) << rc_reason();
  }
  EXPECT_TRUE(eventually(
      [this] { return far().progress().code == RC_OK && rc_progress(ch_) == RC_OK && about(local_).requests == 0; }));
  EXPECT_EQ(8u, far_count(0, 8, 3));
}

TEST_P(Operations, WaitForAnyOfMany) {
  lend();
  rc_request requests[8];
  for (rc_request& request : requests) EXPECT_RC(RC_OK, rc_fetch_add(remote_, 0, 1, &request));
  std::vector<rc_request> left(requests, requests + 8);
  while (!left.empty()) {
    uint32_t index = 99;
    int32_t code = RC_E_WOULD_BLOCK;
    eventually([&] {
      code = rc_request_wait_any(left.data(), static_cast<uint32_t>(left.size()), 0, &index, nullptr);
      if (code == RC_E_WOULD_BLOCK) far().progress();
      return code != RC_E_WOULD_BLOCK;
    });
    ASSERT_EQ(RC_OK, code) << rc_reason();
    ASSERT_LT(index, left.size());
    EXPECT_RC(RC_E_HANDLE, rc_request_test(left[index], nullptr));
    left.erase(left.begin() + index);
  }
  uint32_t index = 0;
  EXPECT_RC(RC_E_INVALID, rc_request_wait_any(requests, 0, 0, &index, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_request_wait_any(requests, 8, 0, &index, nullptr));
}

TEST_P(Operations, CancelTakesBackWhatHasNotLeft) {
  constexpr uint64_t kLarge = 200000;  // more than the op ring
  lend(kLarge);
  memset(local(), 1, kLarge);
  rc_request large{0}, queued{0};
  EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, kLarge, &large));
  EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 1, &queued));
  EXPECT_EQ(2u, about(local_).requests);
  EXPECT_RC(RC_E_STATE, rc_request_cancel(large));
  EXPECT_RC(RC_OK, rc_request_cancel(queued));
  EXPECT_RC(RC_E_HANDLE, rc_request_test(queued, nullptr));
  EXPECT_EQ(1u, about(local_).requests);
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(local_));
  EXPECT_RC(RC_OK, finish(large));
  EXPECT_RC(RC_E_HANDLE, rc_request_cancel(large));
  EXPECT_EQ(kLarge, far_count(0, kLarge, 1));
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

// Each waits for the other, and nobody calls anything else.
TEST_P(Operations, TwoEndsThatOnlyWaitServeEachOther) {
  constexpr uint64_t kLarge = 300000;
  lend(kLarge);
  rc_grant grant{0};
  rc_mr lent{0};
  EXPECT_RC(RC_OK, rc_mr_alloc(ctx_, kLarge, 0, &lent));
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, lent, 0, kLarge, kAll, 0, &grant));
  EXPECT_EQ(RC_OK, far_soon(on(Op::kRemoteGet)).code);
  for (uint64_t round = 0; round < rounds(20); ++round) {
    for (Operation what : {Operation::kRead, Operation::kWrite, Operation::kAdd}) {
      Call call = on(Op::kOperate, kLarge, 0, 1);
      call.operation = what;
      call.has_imm = 1;
      far().start(call);
      rc_request request{0};
      EXPECT_RC(RC_OK, what == Operation::kRead ? rc_write(local_, 0, remote_, 0, kLarge, &request)
                                                : rc_read(local_, 0, remote_, 0, kLarge, &request));
      EXPECT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
      char byte = 'k';  // neither leaves before the other is served
      EXPECT_RC(RC_OK, rc_put(ch_, &byte, 1, kPatience, nullptr));
      EXPECT_RC(RC_OK, rc_get(ch_, &byte, 1, kPatience, nullptr));
      Reply reply = far().finish();
      EXPECT_EQ(RC_OK, reply.code) << reply.reason;
    }
  }
}

TEST_P(Operations, AnEndThatSleepsInAGetServes) {
  lend();
  rc_grant grant{0};
  memset(local(), 9, 64);
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, local_, 0, 64, kAll, 0, &grant));
  EXPECT_EQ(RC_OK, far_soon(on(Op::kRemoteGet)).code);
  Doing sleeping([this] {
    char byte;
    return rc_get(ch_, &byte, 1, kPatience, nullptr);
  });
  sleeping.wait_until_inside();
  for (int i = 0; i < 200; ++i) {  // more than the times that a sleeper may be woken for nothing
    Call call = on(Op::kOperate, 0, 0, 1);
    call.operation = Operation::kAdd;
    Reply reply = far().call(call);
    EXPECT_EQ(RC_OK, reply.code) << reply.reason;
    EXPECT_EQ(UINT64_C(0x0909090909090909) + static_cast<uint64_t>(i), reply.value);
  }
  EXPECT_FAR(RC_OK, 1u, far().put(1));
  EXPECT_DONE(RC_OK, sleeping);
}

TEST_P(Operations, TheEndOfTheChannelEndsRequests) {
  lend();
  rc_request first{0}, second{0};
  EXPECT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &first));  // nobody will take it
  EXPECT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &second));
  settle();
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  EXPECT_RC(RC_E_CLOSED, rc_request_wait(first, kPatience, nullptr));
  EXPECT_RC(RC_E_CLOSED, rc_request_test(second, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_request_test(first, nullptr));
  EXPECT_RC(RC_E_CLOSED, rc_write(local_, 0, remote_, 0, 8, &first));
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

TEST_P(Operations, AKilledPeerEndsRequestsAndGrants) {
  if (!backend().notices_death && !backend().other_process) GTEST_SKIP() << "the far end lives in this process";
  lend();
  rc_grant grant{0};
  rc_request request{0};
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, local_, 0, 64, kAll, 0, &grant));
  EXPECT_RC(RC_OK, rc_read(local_, 0, remote_, 0, 8, &request));
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(local_));
  far().kill();
  EXPECT_RC(RC_E_PEER_DEAD, rc_request_wait(request, kPatience, nullptr));
  EXPECT_EQ(0u, about(local_).requests);
  EXPECT_EQ(0u, about(local_).grants);
  EXPECT_RC(RC_OK, rc_mr_free(local_));
  EXPECT_RC(RC_E_PEER_DEAD, rc_mr_take_back(ch_, kPatience, &local_));
}

TEST_P(Operations, ClosingTheChannelGivesRegionsFree) {
  lend();
  rc_grant grant{0};
  rc_request request{0};
  EXPECT_RC(RC_OK, rc_mr_grant(ch_, local_, 0, 64, kAll, 0, &grant));
  EXPECT_RC(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &request));
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  EXPECT_RC(RC_E_HANDLE, rc_request_test(request, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_grant_revoke(grant));
  EXPECT_RC(RC_E_HANDLE, rc_remote_release(remote_));
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

TEST_P(Operations, StaleAndForgedHandlesAreRefused) {
  lend();
  rc_request request{0};
  EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request));
  rc_request stale = request;
  EXPECT_RC(RC_OK, finish(request));
  EXPECT_RC(RC_E_HANDLE, rc_request_wait(stale, 0, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_request_cancel(stale));
  for (uint64_t id : {uint64_t{0}, ~uint64_t{0}, ch_.id, ctx_.id, local_.id ^ (uint64_t{1} << 30),
                      remote_.id ^ (uint64_t{1} << 40), uint64_t{3} << 16, uint64_t{7} << 26}) {
    SCOPED_TRACE(id);
    EXPECT_RC(RC_E_HANDLE, rc_mr_free({id}));
    EXPECT_RC(RC_E_HANDLE, rc_request_wait({id}, 0, nullptr));
    EXPECT_RC(RC_E_HANDLE, rc_grant_revoke({id}));
    EXPECT_RC(RC_E_HANDLE, rc_remote_release({id}));
    EXPECT_RC(RC_E_HANDLE, rc_write(local_, 0, {id}, 0, 8, nullptr));
    EXPECT_RC(RC_E_HANDLE, rc_write({id}, 0, remote_, 0, 8, nullptr));
  }
  EXPECT_RC(RC_E_HANDLE, rc_mr_free({remote_.id}));
  EXPECT_RC(RC_E_HANDLE, rc_remote_release({local_.id}));
}

RC_CONFORMANCE_OF_MEMORY(Operations);

}  // namespace conformance
