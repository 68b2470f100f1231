// Direct grants by NIC where the NIC does what a real one seldom does: it stops half way, refuses to register, is slow
// to let go. Both ends are of one loop channel, whose links have been given a NIC of software.
#include <gtest/gtest.h>
#include <string.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>

#include "capi/rc.h"
#include "core/context.h"
#include "core/op_wire.h"
#include "harness/conformance/tcp_uri.h"

namespace {

constexpr int64_t kPatience = INT64_C(20) * 1000 * 1000 * 1000;
constexpr uint64_t kBytes = 8192;
constexpr uint32_t kAll = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;
constexpr uint64_t kAnyRoom = UINT64_MAX;

// What the NIC has been asked for and how it behaves. Its functions get no more than a link, so there is one.
struct SoftNic {
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<bool> delivers{true};    // for rc_sync
  uint64_t room = kAnyRoom;            // so many operations find a place in the queue
  int refusals = 0;                    // first it is full so often
  rc::Code enters = rc::kUnsupported;  // a region that it is to know; unless it knows all
  bool knows = true;
  int entered = 0;
  rc::NicRegion region{};
  bool completes = true;
  std::atomic<rc::Code> broken{rc::kOk};  // how the link has ended, without a word of the peer's
  bool registers = true;                  // for reach
  bool shares = true;
  bool waits_for_close = false;  // deregistering does, for a while
  bool deregistering = false, closed = false, closed_meanwhile = false;
  uint64_t posted = 0, completed = 0, atomics = 0, deregistered = 0, halts = 0;
};
std::unique_ptr<SoftNic> g_nic;  // NOLINT: one test after the other
const rc::Backend* g_real;       // what the links had before

rc::Code share(rc::Link*, uint64_t, uint32_t, rc::Share* s) noexcept;
rc::Code unshare(rc::Share* s) noexcept {
  SoftNic& nic = *g_nic;
  std::unique_lock<std::mutex> lock(nic.mutex);
  nic.deregistering = true;
  nic.changed.notify_all();
  if (nic.waits_for_close) {  // an end that does not wait for this closes its link now
    nic.changed.wait_for(lock, std::chrono::milliseconds(300), [&] { return nic.closed; });
    nic.closed_meanwhile = nic.closed;
  }
  ++nic.deregistered;
  nic.changed.notify_all();
  *s = rc::Share{};
  return rc::kOk;
}
rc::Code reach(rc::Link*, uint64_t, uint64_t, uint32_t, uint8_t**) noexcept {
  return g_nic->registers ? rc::kOk : rc::fail_plain(rc::kNoMemory, "no memory may be locked");
}
rc::NicRegion* find(rc::Link*, uint64_t) noexcept { return g_nic->knows ? &g_nic->region : nullptr; }
rc::Code enter(rc::Link*, rc::Regions*, uint64_t, rc::NicRegion** known) noexcept {
  ++g_nic->entered;
  g_nic->knows = g_nic->enters == rc::kOk;
  *known = &g_nic->region;
  return g_nic->enters == rc::kOk ? rc::kOk : rc::fail_plain(g_nic->enters, "no memory may be locked");
}
void forget(rc::Link*, uint64_t) noexcept {}
bool news(const rc::Link* link) noexcept { return !link->direct; }
rc::Code operate(rc::Link* link, const rc::NicWork& work, uint64_t* posted, uint64_t* ticket) noexcept {
  SoftNic& nic = *g_nic;
  if (nic.room == 0) return rc::kWouldBlock;
  if (nic.refusals > 0) {
    --nic.refusals;
    return rc::kWouldBlock;
  }
  if (nic.room != kAnyRoom) --nic.room;
  *posted = work.bytes;
  *ticket = ++nic.posted;
  if (nic.completes) nic.completed = nic.posted;
  auto* there = reinterpret_cast<uint8_t*>(work.address);
  if (work.type == rc::kOpAdd) {
    ++nic.atomics;
    link->landings[work.request] = __atomic_fetch_add(reinterpret_cast<uint64_t*>(there), work.value, __ATOMIC_SEQ_CST);
  } else if (work.type == rc::kOpWrite) {
    memcpy(there, work.at, work.bytes);
  }  // else it does not come to that
  return rc::kOk;
}
bool done(rc::Link*, uint64_t ticket) noexcept { return g_nic->completed >= ticket; }
void halt(rc::Link*) noexcept { ++g_nic->halts; }
rc::Code alive(rc::Link* link, rc::Side side) noexcept {
  rc::Code code = g_nic->broken;
  if (code == rc::kOk) return g_real->alive(link, side);
  link->why.set("the device is gone");
  return code;
}
bool delivered(rc::Link*) noexcept { return g_nic->delivers; }
void close_link(rc::Context& context, rc::Link* link) noexcept {
  {
    std::lock_guard<std::mutex> lock(g_nic->mutex);
    g_nic->closed = true;
    g_nic->changed.notify_all();
  }
  link->ops = g_real;
  g_real->close(context, link);
}

const rc::NicTable kNic = {true, find, enter, forget, news, operate, done, halt};
const rc::Extras kExtras = {rc::no_figures, rc::no_device, rc::no_endpoint, rc::no_connection, share,
                            unshare,        reach,         rc::no_unreach,  &rc::kNoRaw,       &kNic};

rc::Code share(rc::Link*, uint64_t, uint32_t, rc::Share* s) noexcept {
  if (!g_nic->shares) return rc::fail_plain(rc::kNoMemory, "no memory may be locked");
  s->address = reinterpret_cast<uintptr_t>(s->at);
  s->key = 7;
  s->by = &kExtras;
  return rc::kOk;
}

class Nic : public testing::Test {
 public:
  void SetUp() override {
    g_nic = std::make_unique<SoftNic>();
    rc_config config = {};
    config.size = sizeof config;
    config.mr_bytes = 1 << 20;
    ASSERT_EQ(RC_OK, rc_open(&config, &ctx_)) << rc_reason();
    rc_listener listener{0};
    const std::string uri = this->uri();
    ASSERT_EQ(RC_OK, rc_listen(ctx_, uri.c_str(), nullptr, &listener)) << rc_reason();
    std::thread connecting([&] { rc_connect(ctx_, uri.c_str(), nullptr, kPatience, &asker_); });
    EXPECT_EQ(RC_OK, rc_accept(listener, kPatience, &owner_));
    connecting.join();
    EXPECT_EQ(RC_OK, rc_listener_close(listener));
    ASSERT_EQ(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &granted_));
    ASSERT_EQ(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &local_));
    g_real = link(owner_)->ops;
    with_nic_ = std::make_unique<rc::Backend>(
        rc::Backend{g_real->scheme, g_real->link_bytes, g_real->listen_bytes, g_real->listen, g_real->interrupt_accept,
                    g_real->unlisten, g_real->accept, g_real->connect, close_link, g_real->post, g_real->progress,
                    delivered, alive, g_real->ring, g_real->interrupt, g_real->reach, &kExtras});
    link(owner_)->ops = link(asker_)->ops = with_nic_.get();
  }
  void TearDown() override { EXPECT_EQ(RC_OK, rc_close(ctx_)) << rc_reason(); }

  virtual std::string uri() const { return "loop:nic"; }
  static rc::Link* link(rc_channel channel) { return rc::Handles::channel(channel.id)->link(); }
  // Requests in flight that move bytes of the asker's region.
  uint32_t requests() const {
    rc_region region = {};
    region.size = sizeof region;
    EXPECT_EQ(RC_OK, rc_mr_info(local_, &region)) << rc_reason();
    return region.requests;
  }
  uint64_t& word(rc_mr mr) const {
    rc_region region = {};
    region.size = sizeof region;
    EXPECT_EQ(RC_OK, rc_mr_info(mr, &region)) << rc_reason();
    return *static_cast<uint64_t*>(region.address);
  }
  int32_t grant(int64_t lease_ns = RC_LEASE_NONE) {
    EXPECT_EQ(RC_OK, rc_mr_grant(owner_, granted_, 0, kBytes, kAll | RC_MR_DIRECT, lease_ns, &grant_)) << rc_reason();
    return rc_remote_get(asker_, kPatience, &remote_);
  }
  static void let_pass(int64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }
  int64_t left() {
    rc_lease lease = {};
    lease.size = sizeof lease;
    EXPECT_EQ(RC_OK, rc_grant_info(grant_, &lease)) << rc_reason();
    return lease.left_ns;
  }
  // The owner writes one that no asker takes.
  void break_protocol() {
    rc::Link* from = link(owner_);
    uint64_t tail = from->outbox->op_line.tail.load();
    rc::OpFrame f = {};
    f.type = 77;
    memcpy(from->outbox_op_ring() + tail % from->op_ring_bytes, &f, sizeof f);
    from->outbox->op_line.tail.store(tail + sizeof f);
  }

  std::unique_ptr<rc::Backend> with_nic_;
  rc_ctx ctx_{0};
  rc_channel owner_{0}, asker_{0};
  rc_mr granted_{0}, local_{0};
  rc_grant grant_{0};
  rc_remote remote_{0};
};

// Where a put has to be delivered.
class NicOfAQueue : public Nic {
  std::string uri() const override { return conformance::unique_tcp_uri("127.0.0.1"); }
};

constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kBrief = 50 * kMs;

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

// More often than there are grants.
TEST_F(Nic, AGrantThatTheNicCannotRegisterTakesNothing) {
  g_nic->shares = false;
  for (uint32_t i = 0; i <= rc::kGrantsMax; ++i) {
    ASSERT_EQ(RC_E_NO_MEMORY, rc_mr_grant(owner_, granted_, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant_));
    EXPECT_STREQ("no memory may be locked", rc_reason());
    EXPECT_EQ(0u, grant_.id);
  }
  EXPECT_EQ(RC_E_WOULD_BLOCK, rc_remote_get(asker_, 0, &remote_)) << "none is announced";
  EXPECT_EQ(0u, g_nic->deregistered);
  g_nic->shares = true;
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  rc_request request{0};
  word(local_) = 5;
  ASSERT_EQ(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_request_wait(request, kPatience, nullptr)) << rc_reason();
  EXPECT_EQ(5u, word(granted_));
  EXPECT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_mr_free(granted_)) << rc_reason();
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

// Two threads take one grant back: it is deregistered once, and the link stays until it is.
TEST_F(Nic, AChannelsCloseWaitsForAFreeBesideIt) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  ASSERT_EQ(RC_OK, rc_channel_close(asker_)) << rc_reason();
  rc_remote none{0};
  ASSERT_EQ(RC_E_CLOSED, rc_remote_get(owner_, kPatience, &none));
  g_nic->closed = false;  // that was the asker's
  g_nic->waits_for_close = true;
  int32_t freed = RC_E_STATE;
  std::thread freeing([&] { freed = rc_mr_free(granted_); });
  {
    std::unique_lock<std::mutex> lock(g_nic->mutex);
    EXPECT_TRUE(
        g_nic->changed.wait_for(lock, std::chrono::nanoseconds(kPatience), [] { return g_nic->deregistering; }));
  }
  EXPECT_EQ(RC_OK, rc_channel_close(owner_)) << rc_reason();
  freeing.join();
  EXPECT_FALSE(g_nic->closed_meanwhile);
  EXPECT_EQ(1u, g_nic->deregistered);
  EXPECT_EQ(RC_OK, freed);
  rc_region region = {};
  region.size = sizeof region;
  EXPECT_EQ(RC_E_HANDLE, rc_mr_info(granted_, &region));
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
    rc_region region = {};
    region.size = sizeof region;
    ASSERT_EQ(RC_OK, rc_mr_info(local_, &region));
    EXPECT_EQ(0u, region.requests);
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
  rc_region region = {};
  region.size = sizeof region;
  ASSERT_EQ(RC_OK, rc_mr_info(local_, &region));
  EXPECT_EQ(0u, region.requests);
  EXPECT_EQ(RC_E_NO_DEVICE, rc_request_wait(request, 0, nullptr));
}

TEST_F(Nic, TheEndOfALeaseWaitsForTheAskersAnswer) {
  g_nic->completes = false;
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  rc_request request{0};
  bool late = rc_write(local_, 0, remote_, 0, 8, &request) != RC_OK;  // on a slow machine the lease is over
  let_pass(kBrief);
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  EXPECT_EQ(RC_OK, rc_progress(asker_));  // it has something under way, so it does not answer
  EXPECT_EQ(RC_E_EXPIRED, rc_write(local_, 0, remote_, 0, 8, nullptr));
  if (!late) {
    EXPECT_TRUE(left() > 0 || g_nic->deregistered == 1);  // which is never said before it is so
    g_nic->completed = g_nic->posted;
    EXPECT_EQ(RC_OK, rc_request_wait(request, kPatience, nullptr)) << rc_reason();
  }
  EXPECT_EQ(RC_OK, rc_progress(asker_));
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  EXPECT_EQ(1u, g_nic->deregistered);
  EXPECT_EQ(0, left());
  EXPECT_EQ(RC_E_EXPIRED, rc_write(local_, 0, remote_, 0, 8, nullptr));
  // Another one in its place, after the handle is gone.
  EXPECT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason();
  g_nic->completes = true;
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  ASSERT_EQ(RC_OK, rc_write(local_, 0, remote_, 0, 8, &request)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_request_wait(request, kPatience, nullptr)) << rc_reason();
}

// By whatever call, with no other before it.
TEST_F(Nic, HalfASecondAfterTheEndOfALeaseNobodyIsWaitedFor) {
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  let_pass(kBrief + 500 * kMs);
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  EXPECT_EQ(1u, g_nic->deregistered);
  EXPECT_EQ(RC_OK, rc_mr_free(granted_)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason();
  EXPECT_EQ(RC_E_EXPIRED, rc_write(local_, 0, remote_, 0, 8, nullptr));
}

// The asker has not answered, and never will.
TEST_F(Nic, ARegionIsFreedWhoseChannelEndedAfterItsLease) {
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  let_pass(kBrief);
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  g_nic->broken = rc::kNoDevice;
  char byte;
  EXPECT_EQ(RC_E_NO_DEVICE, rc_get(owner_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ(RC_OK, rc_mr_free(granted_)) << rc_reason();
  EXPECT_EQ(1u, g_nic->deregistered);
}

// Its writes are done when they are posted, so nothing but the news makes it look around.
TEST_F(NicOfAQueue, WhoOnlyPostsSeesARevoke) {
  ASSERT_EQ(RC_OK, grant()) << rc_reason();
  std::thread revoking([this] { EXPECT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason(); });
  auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kPatience);
  int32_t code = RC_OK;
  while (code == RC_OK && std::chrono::steady_clock::now() < end) code = rc_write(local_, 0, remote_, 0, 8, nullptr);
  EXPECT_EQ(RC_E_REVOKED, code) << rc_reason();
  revoking.join();
  EXPECT_EQ(RC_OK, rc_put(asker_, "x", 1, kPatience, nullptr)) << rc_reason();
}

// Nothing of what it waits for happens meanwhile.
TEST_F(NicOfAQueue, ASyncEndsALease) {
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  g_nic->delivers = false;
  std::thread syncing([this] { EXPECT_EQ(RC_OK, rc_sync(owner_, kPatience)) << rc_reason(); });
  {
    std::unique_lock<std::mutex> lock(g_nic->mutex);
    EXPECT_TRUE(g_nic->changed.wait_for(lock, std::chrono::nanoseconds(kPatience / 4),
                                        [] { return g_nic->deregistered == 1; }));
  }
  g_nic->delivers = true;
  EXPECT_EQ(RC_OK, rc_put(asker_, "x", 1, kPatience, nullptr)) << rc_reason();  // wakes it
  syncing.join();
}

TEST_F(Nic, ARevokeAfterTheEndOfALeaseEndsItAsEver) {
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  let_pass(kBrief);
  EXPECT_EQ(RC_OK, rc_progress(owner_));
  EXPECT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason();
  EXPECT_EQ(1u, g_nic->deregistered);
  EXPECT_EQ(RC_E_HANDLE, rc_grant_revoke(grant_));
  EXPECT_EQ(RC_OK, rc_mr_free(granted_)) << rc_reason();
  EXPECT_EQ(RC_E_EXPIRED, rc_write(local_, 0, remote_, 0, 8, nullptr));
  for (int i = 0; i < 200; ++i) {  // no slot is lost
    ASSERT_EQ(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &granted_));
    ASSERT_EQ(RC_OK, grant(1)) << i << rc_reason();
    EXPECT_EQ(RC_OK, rc_progress(owner_));
    EXPECT_EQ(RC_OK, rc_progress(asker_));
    EXPECT_EQ(RC_OK, rc_progress(owner_));
    EXPECT_EQ(RC_OK, rc_progress(owner_));
    ASSERT_EQ(RC_OK, rc_mr_free(granted_)) << i << rc_reason();
    ASSERT_EQ(RC_OK, rc_grant_revoke(grant_)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_remote_release(remote_));
  }
}

// It had found no room in the NIC's queue when its lease ended.
TEST_F(Nic, WhatHasNotBeenPostedWhenTheLeaseEndsIsNot) {
  ASSERT_EQ(RC_OK, grant(kBrief)) << rc_reason();
  g_nic->room = 0;
  rc_request request{0};
  int32_t code = rc_write(local_, 0, remote_, 0, 8, &request);
  let_pass(kBrief);
  g_nic->room = kAnyRoom;
  if (code == RC_OK) code = rc_request_wait(request, kPatience, nullptr);
  EXPECT_EQ(RC_E_EXPIRED, code) << rc_reason();
  EXPECT_EQ(0u, g_nic->posted);
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
