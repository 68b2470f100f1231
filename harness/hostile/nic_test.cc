// Requests on direct grants where the NIC does what a real one seldom does. Both ends are of one channel.
#include "harness/hostile/soft_nic.h"

namespace hostile {
namespace {

TEST_F(Nic, AWriteTellsNoValueOfAnAtomicBeforeIt) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  uint64_t value = 0;
  rc_request request{0};
  for (uint64_t add : {UINT64_C(0x4242), UINT64_C(1)}) {
    ASSERT_EQ(RC_OK, rc_fetch_add(remote_, 0, add, &request)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_request_wait(request, kPatience, &value)) << rc_reason();
  }
  EXPECT_EQ(0x4242u, value);
  for (uint32_t i = 0; i < rc::kRequestsMax; ++i) {  // each number comes again
    ASSERT_EQ(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_request_wait(request, kPatience, &value)) << rc_reason();
    ASSERT_EQ(0u, value) << i;
  }
}

TEST_F(Nic, WhatIsDoneWhenItIsPostedHoldsNothing) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  rc_request request{0};
  ASSERT_EQ(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request)) << rc_reason();
  EXPECT_EQ(0u, requests());
  EXPECT_TRUE(g_nic->region.idle());
  EXPECT_EQ(RC_OK, rc_request_test(request, nullptr)) << rc_reason();
  g_nic->completes = false;
  ASSERT_EQ(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request)) << rc_reason();
  EXPECT_EQ(1u, requests());
  EXPECT_FALSE(g_nic->region.idle());
  EXPECT_EQ(RC_E_WOULD_BLOCK, rc_request_test(request, nullptr));
  g_nic->completed = g_nic->posted;
  EXPECT_EQ(RC_OK, rc_request_test(request, nullptr)) << rc_reason();
  EXPECT_EQ(0u, requests());
  EXPECT_TRUE(g_nic->region.idle());
}

// The queue is full again and again, and has room between the two.
TEST_F(Nic, NothingOvertakesWhatWaitsForRoom) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  for (int refusals = 1; refusals < 6; ++refusals) {
    g_nic->refusals = refusals;
    rc_request first{0}, second{0};
    word(local_) = 1;
    (&word(local_))[1] = 2;
    ASSERT_EQ(RC_OK, rc_write(local_, 0, remote_, 0, 8, &first)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_write(local_, 8, remote_, 0, 8, &second)) << rc_reason();
    EXPECT_EQ(RC_OK, rc_request_wait(second, kPatience, nullptr)) << rc_reason();
    EXPECT_EQ(RC_OK, rc_request_wait(first, kPatience, nullptr)) << rc_reason();
    EXPECT_EQ(2u, word(granted_)) << refusals;
  }
}

// It is a frame of the op ring, which somebody has to publish.
TEST_F(Nic, AnImmediateComesBehindItsBytes) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  rc_request request{0};
  word(local_) = 5;
  ASSERT_EQ(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 77, &request)) << rc_reason();
  uint32_t imm = 0;
  EXPECT_EQ(RC_OK, rc_imm_get(owner_, kPatience, &imm)) << rc_reason();
  EXPECT_EQ(77u, imm);
  EXPECT_EQ(5u, word(granted_));
  EXPECT_EQ(RC_OK, rc_request_wait(request, kPatience, nullptr)) << rc_reason();
}

TEST_F(Nic, ARegionIsEnteredOnceAndAtItsFirstUse) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  g_nic->knows = false;
  g_nic->enters = rc::kNoMemory;
  rc_request request{0};
  EXPECT_EQ(RC_E_NO_MEMORY, rc_write(local_, 0, remote_, 0, 8, &request));
  EXPECT_STREQ("no memory may be locked", rc_reason());
  EXPECT_EQ(0u, requests());
  g_nic->enters = rc::kOk;
  const rc_slice pieces[] = {{local_, 0, 64}, {local_, 128, 64}};
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(RC_OK, rc_writev(pieces, 2, remote_, 0, nullptr, &request)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_request_wait(request, kPatience, nullptr)) << rc_reason();
  }
  EXPECT_EQ(2, g_nic->entered);
  EXPECT_EQ(0u, requests());
  EXPECT_TRUE(g_nic->region.idle());
}

// The NIC is at the first piece when the channel ends: none of its bytes may land in memory that its owner has back.
TEST_F(Nic, AReadThatIsPostedInPartIsStoppedAtTheEnd) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  g_nic->room = 1;
  g_nic->completes = false;
  rc_request request{0};
  const rc_slice pieces[] = {{local_, 0, 64}, {local_, 128, 64}};
  ASSERT_EQ(RC_OK, rc_readv(pieces, 2, remote_, 0, &request)) << rc_reason();
  ASSERT_EQ(1u, g_nic->posted);
  break_protocol();
  EXPECT_EQ(RC_E_CORRUPT, rc_request_wait(request, kPatience, nullptr));
  EXPECT_EQ(1u, g_nic->halts);
  EXPECT_EQ(RC_OK, rc_mr_free(local_)) << rc_reason();
}

// The same of the bytes that an immediate follows.
TEST_F(Nic, AWriteWhoseImmediateIsOnItsWayIsStoppedAtTheEnd) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  g_nic->completes = false;
  rc_request request{0};
  ASSERT_EQ(RC_OK, rc_write_imm(local_, 0, remote_, 0, 64, 5, &request)) << rc_reason();
  ASSERT_EQ(1u, g_nic->posted);
  break_protocol();
  EXPECT_EQ(RC_E_CORRUPT, rc_request_wait(request, kPatience, nullptr));
  EXPECT_EQ(1u, g_nic->halts);
}

TEST_F(Nic, WhatIsOverIsNotStopped) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  rc_request request{0};
  ASSERT_EQ(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request)) << rc_reason();
  break_protocol();
  EXPECT_EQ(RC_E_CORRUPT, rc_progress(asker_));
  EXPECT_EQ(0u, g_nic->halts);
}

// RC_E_NO_DEVICE and RC_E_SYSTEM end what is under way as the peer's death does.
TEST_F(Nic, AnEndThatThePeerHasNoPartInIsTold) {
  for (rc::Code why : {rc::kNoDevice, rc::kSystem}) {
    ASSERT_EQ(RC_OK, grant()) << rc_reason();
    rc_request waited{0}, queued{0};
    ASSERT_EQ(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &waited)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 2, &queued)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_request_queue(queued, 5)) << rc_reason();
    g_nic->broken = why;
    rc_completion told = {};
    uint32_t count = 0;
    ASSERT_EQ(RC_OK, rc_completions_get(asker_, &told, 1, kPatience, &count)) << rc_reason();
    ASSERT_EQ(1u, count);
    EXPECT_EQ(5u, told.tag);
    EXPECT_EQ(why, told.code);
    EXPECT_EQ(why, rc_completions_get(asker_, &told, 1, kPatience, &count));
    EXPECT_STREQ("the device is gone", rc_reason());
    EXPECT_EQ(why, rc_request_wait(waited, 0, nullptr));
    EXPECT_EQ(0u, requests());
    TearDown();
    SetUp();
  }
}

// Also if it is a call that begins something that finds it.
TEST_F(Nic, AnEndThatThePeerHasNoPartInIsToldByTheNextCall) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  rc_request request{0}, another{0};
  ASSERT_EQ(RC_OK, rc_write_imm(local_, 0, remote_, 0, 8, 1, &request)) << rc_reason();
  g_nic->broken = rc::kNoDevice;
  char byte;
  ASSERT_EQ(RC_E_NO_DEVICE, rc_get(asker_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ(RC_E_NO_DEVICE, rc_write(local_, 0, remote_, 0, 8, &another));
  EXPECT_STREQ("the device is gone", rc_reason());
  EXPECT_EQ(0u, requests());
  EXPECT_EQ(RC_E_NO_DEVICE, rc_request_wait(request, 0, nullptr));
}

// What could not be taken, because the NIC could not be told of this end's part, is carried.
TEST_F(Nic, NoAtomicIsPostedWithoutAPlaceToLand) {
  g_nic->registers = false;
  ASSERT_EQ(RC_E_NO_MEMORY, grant());
  ASSERT_NE(0u, remote_.id);
  uint64_t value = 7;
  rc_request request{0};
  ASSERT_EQ(RC_OK, rc_fetch_add(remote_, 0, 1, &request)) << rc_reason();
  EXPECT_EQ(0u, g_nic->atomics);
  ASSERT_EQ(RC_OK, rc_progress(owner_)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_request_wait(request, kPatience, &value)) << rc_reason();
  EXPECT_EQ(0u, value);
  // And goes by the NIC as soon as it is.
  g_nic->registers = true;
  ASSERT_EQ(RC_OK, rc_remote_get(asker_, kPatience, &remote_)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_fetch_add(remote_, 0, 1, &request)) << rc_reason();
  EXPECT_EQ(1u, g_nic->atomics);
  ASSERT_EQ(RC_OK, rc_request_wait(request, kPatience, &value)) << rc_reason();
  EXPECT_EQ(1u, value);
}

}  // namespace
}  // namespace hostile
