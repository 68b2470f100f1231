// Direct grants over rdma against a peer that goes behind its library's back: it kept a grant's key and posts to its
// queue pair itself.
#include <gtest/gtest.h>
#include <sched.h>
#include <string.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "backends/rdma/verbs.h"
#include "core/context.h"
#include "harness/conformance/about.h"
#include "harness/conformance/doing.h"
#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

using rc::g_verbs;

constexpr uint64_t kBytes = 8192;
constexpr uint32_t kAllRights = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;
constexpr unsigned kRemote = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC;

// What the library makes, as both ends of this process see it.
std::vector<ibv_qp*> g_made;
int g_registered = 0;
std::vector<ibv_send_wr> g_posted;  // the first ones of their chains
int (*g_post)(ibv_qp*, ibv_send_wr*, ibv_send_wr**) = nullptr;
int (*g_poll)(ibv_cq*, int, ibv_wc*) = nullptr;
bool g_blind = false;  // nothing completes
ibv_mr g_exposed = {};
rc::Verbs g_true;

ibv_qp* create_qp(ibv_pd* pd, ibv_qp_init_attr* init) {
  g_made.push_back(g_true.create_qp(pd, init));
  return g_made.back();
}

int post_send(ibv_qp* qp, ibv_send_wr* wr, ibv_send_wr** bad) {
  g_posted.push_back(*wr);
  return g_post(qp, wr, bad);
}

int poll_cq(ibv_cq* cq, int most, ibv_wc* to) { return g_blind ? 0 : g_poll(cq, most, to); }

ibv_mr* reg_mr(ibv_pd* pd, void* at, size_t bytes, int access) noexcept {
  ++g_registered;
  ibv_mr* mr = g_true.reg_mr(pd, at, bytes, access);
  if (mr != nullptr && (static_cast<unsigned>(access) & kRemote) != 0) g_exposed = *mr;
  return mr;
}

template <class Condition>
bool eventually(Condition condition) {
  auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kPatience);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    sched_yield();
  }
  return true;
}

// A context with a region, and a channel.
struct Side {
  rc_ctx ctx{0};
  rc_channel channel{0};
  rc_mr mr{0};
  uint8_t* bytes = nullptr;
};

class RdmaDirect : public testing::Test {
 protected:
  void SetUp() override {
    g_true = g_verbs;
    g_verbs.create_qp = create_qp;
    g_verbs.reg_mr = reg_mr;
    for (Side* side : {&owner_, &peer_}) {
      rc_config config = {};
      config.size = sizeof config;
      config.mr_bytes = 1 << 20;
      ASSERT_RC(RC_OK, rc_open(&config, &side->ctx));
      ASSERT_RC(RC_OK, rc_mr_alloc(side->ctx, kBytes, 0, &side->mr));
      side->bytes = bytes_of(side->mr);
    }
    memset(owner_.bytes, 1, kBytes);
    memset(peer_.bytes, 2, kBytes);
    qp_ = meet(&owner_.channel, &peer_.channel);
  }
  void TearDown() override {
    if (own_ != nullptr) {
      EXPECT_EQ(0, g_true.dereg_mr(own_));  // in the peer's protection domain, which goes with its context
    }
    EXPECT_RC(RC_OK, rc_close(peer_.ctx));
    EXPECT_RC(RC_OK, rc_close(owner_.ctx));
    g_verbs.create_qp = g_true.create_qp;
    g_verbs.reg_mr = g_true.reg_mr;
  }
  // One more channel between the two; returns the peer's queue pair.
  ibv_qp* meet(rc_channel* owner, rc_channel* peer, const std::string& query = "") {
    std::string uri = rdma_uri(query);
    rc_listener listener{0};
    g_made.clear();
    EXPECT_RC(RC_OK, rc_listen(owner_.ctx, uri.c_str(), nullptr, &listener));
    Doing connecting([&] { return rc_connect(peer_.ctx, uri.c_str(), nullptr, kPatience, peer); });
    EXPECT_RC(RC_OK, rc_accept(listener, kPatience, owner));
    EXPECT_DONE(RC_OK, connecting);
    EXPECT_RC(RC_OK, rc_listener_close(listener));
    EXPECT_EQ(2u, g_made.size());
    return g_made.at(0);  // the client's is there before it connects
  }
  rc_remote grant(int64_t lease_ns = RC_LEASE_NONE) {
    EXPECT_RC(RC_OK, rc_mr_grant(owner_.channel, owner_.mr, 0, kBytes, kAllRights | RC_MR_DIRECT, lease_ns, &grant_));
    kept_ = g_exposed;
    rc_remote remote{0};
    EXPECT_RC(RC_OK, rc_remote_get(peer_.channel, kPatience, &remote));
    return remote;
  }
  // Revoking waits for the peer, who looks at its channel meanwhile.
  void revoke() {
    Doing revoking([this] { return rc_grant_revoke(grant_); });
    eventually([&] {
      rc_progress(peer_.channel);
      return revoking.finished();
    });
    EXPECT_DONE(RC_OK, revoking);
  }
  // Behind the library's back: eight bytes of what this end has, into the owner's memory.
  void post(ibv_qp* qp) {
    if (own_ == nullptr) own_ = g_true.reg_mr(qp->pd, word_, sizeof word_, IBV_ACCESS_LOCAL_WRITE);
    ibv_sge sge = {reinterpret_cast<uintptr_t>(word_), sizeof word_, own_->lkey};
    ibv_send_wr wr = {}, *bad = nullptr;
    wr.sg_list = &sge;
    wr.num_sge = 1;
    wr.opcode = IBV_WR_RDMA_WRITE;
    wr.send_flags = IBV_SEND_SIGNALED;
    wr.wr.rdma.remote_addr = reinterpret_cast<uintptr_t>(kept_.addr) + 8;
    wr.wr.rdma.rkey = kept_.rkey;
    EXPECT_EQ(0, ibv_post_send(qp, &wr, &bad));
  }
  // As the owner, instead of a grant's frame.
  void announce(uint64_t address, uint32_t key) const { announce_on(owner_.channel, address, key); }
  static void announce_on(rc_channel owner, uint64_t address, uint32_t key) {
    rc::Link* link = rc::Handles::channel(owner.id)->link();
    rc::OpFrame f = {};
    f.type = rc::kOpGrant;
    f.word = rc::kWrite | rc::kDirect;
    f.key.id = uint64_t{1} << 16;
    f.value = kBytes;
    f.offset = address;
    f.request = key;
    memcpy(link->outbox_op_ring(), &f, sizeof f);
    uint64_t tail = sizeof f;
    const rc::WorkRequest wr[2] = {
        {link->outbox_op_ring(), rc::kRingOffset + rc::op_ring_at(link->ring_bytes), sizeof f, false},
        {&tail, offsetof(rc::Inbox, op_line) + offsetof(decltype(rc::Inbox::op_line), tail), sizeof tail, true}};
    EXPECT_EQ(rc::kOk, link->ops->post(link, wr, 2));
  }
  // The NIC of the owner has said no, which is the end of the channel whose queue pair it was.
  static void expect_refused(rc_channel peer) {
    char byte;
    EXPECT_RC_NAMES(RC_E_PEER_DEAD, "REM_ACCESS", rc_get(peer, &byte, 1, kPatience, nullptr));
  }
  void expect_untouched() const {
    for (uint64_t i = 0; i < kBytes; ++i) ASSERT_EQ(1, owner_.bytes[i]) << i;
  }

  Side owner_, peer_;
  ibv_qp* qp_ = nullptr;
  rc_grant grant_{0};
  ibv_mr kept_ = {};
  ibv_mr* own_ = nullptr;
  uint64_t word_[1] = {UINT64_C(0x0303030303030303)};
};

}  // namespace

TEST_F(RdmaDirect, WhoKeepsTheKeyIsRefusedAfterTheEndOfTheLease) {
  using std::chrono::nanoseconds;
  constexpr nanoseconds kLease = std::chrono::milliseconds(200), kNoAnswer = std::chrono::milliseconds(500);
  for (bool answers : {true, false}) {
    rc_remote remote = grant(kLease.count());
    auto over = std::chrono::steady_clock::now() + kLease;  // a little later than the lease
    std::this_thread::sleep_until(over + (answers ? nanoseconds(0) : kNoAnswer));
    rc_lease lease = {};
    lease.size = sizeof lease;
    // Of a peer that does not answer the first call after half a second ends it.
    EXPECT_TRUE(eventually([&] {
      EXPECT_RC(RC_OK, rc_grant_info(grant_, &lease));
      if (answers) rc_progress(peer_.channel);
      return lease.left_ns == 0 || !answers;
    }));
    EXPECT_EQ(0, lease.left_ns);
    EXPECT_EQ(0u, about(owner_.mr).grants);
    EXPECT_RC(RC_E_EXPIRED, rc_write(peer_.mr, 0, remote, 0, 8, nullptr));
    EXPECT_RC(RC_OK, rc_grant_revoke(grant_));
  }
  memset(owner_.bytes, 1, kBytes);
  post(qp_);
  expect_refused(peer_.channel);
  expect_untouched();
}

TEST_F(RdmaDirect, AndAfterTheRegionOfAChannelThatIsOverWasFreed) {
  rc_channel owner{0}, peer{0};
  ibv_qp* other = meet(&owner, &peer);
  grant();
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(owner_.mr));
  EXPECT_RC(RC_OK, rc_channel_close(peer_.channel));
  char byte;
  EXPECT_RC(RC_E_CLOSED, rc_get(owner_.channel, &byte, 1, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_mr_free(owner_.mr));
  post(other);
  expect_refused(peer);
  expect_untouched();
}

// What no page could do: memory of the caller's, slices of any bytes, several grants.
TEST_F(RdmaDirect, AnySliceOfAnyRegion) {
  static uint8_t mine[1000];
  memset(mine, 1, sizeof mine);
  rc_mr registered{0};
  ASSERT_RC(RC_OK, rc_mr_reg(owner_.ctx, mine, sizeof mine, kAllRights, &registered));
  rc_grant first{0}, second{0};
  ASSERT_RC(RC_OK, rc_mr_grant(owner_.channel, registered, 3, 100, RC_MR_WRITE | RC_MR_DIRECT, RC_LEASE_NONE, &first));
  ASSERT_RC(RC_OK, rc_mr_grant(owner_.channel, registered, 50, 8, RC_MR_READ | RC_MR_DIRECT, RC_LEASE_NONE, &second));
  rc_remote to{0}, from{0};
  ASSERT_RC(RC_OK, rc_remote_get(peer_.channel, kPatience, &to));
  ASSERT_RC(RC_OK, rc_remote_get(peer_.channel, kPatience, &from));
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_write(peer_.mr, 1, to, 40, 20, &request));
  ASSERT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
  memset(peer_.bytes, 0, 8);
  ASSERT_RC(RC_OK, rc_read(peer_.mr, 0, from, 0, 8, &request));
  ASSERT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(i >= 43 && i < 63 ? 2 : 1, mine[i]) << i;
  for (int i = 0; i < 8; ++i) ASSERT_EQ(2, peer_.bytes[i]) << i;
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(registered));
  grant_ = first;
  revoke();
  grant_ = second;
  revoke();
  EXPECT_RC(RC_OK, rc_mr_free(registered));
}

TEST_F(RdmaDirect, RegionsAreRegisteredOnceAndManyAreUnderWay) {
  rc_remote remote = grant();
  rc_request requests[64];
  int before = 0;
  for (int round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < 64; ++i) ASSERT_RC(RC_OK, rc_write(peer_.mr, 64 * i, remote, 64 * i, 64, &requests[i]));
    for (rc_request r : requests) ASSERT_RC(RC_OK, rc_request_wait(r, kPatience, nullptr));
    if (round == 0) before = g_registered;
  }
  EXPECT_EQ(before, g_registered);
  for (uint64_t i = 0; i < 4096; ++i) ASSERT_EQ(2, owner_.bytes[i]) << i;
  // Freed, then another in its place: the NIC moves the bytes of the new one.
  EXPECT_RC(RC_OK, rc_mr_free(peer_.mr));
  EXPECT_RC(RC_OK, rc_mr_alloc(peer_.ctx, kBytes, 0, &peer_.mr));
  memset(peer_.bytes, 9, kBytes);
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_write(peer_.mr, 0, remote, 0, kBytes, &request));
  ASSERT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
  EXPECT_EQ(before + 1, g_registered);
  EXPECT_EQ(9, owner_.bytes[kBytes - 1]);
}

// A peer that never looks is not waited for long.
TEST_F(RdmaDirect, RevokeEndsWithoutThePeer) {
  grant();
  EXPECT_RC(RC_OK, rc_grant_revoke(grant_));
  rc_request request{0};
  EXPECT_RC(RC_OK, rc_mr_free(owner_.mr));
  // It learns of it when it looks, and the slot is another grant's then.
  EXPECT_RC(RC_OK, rc_mr_alloc(owner_.ctx, kBytes, 0, &owner_.mr));
  rc_remote remote = grant();
  ASSERT_RC(RC_OK, rc_write(peer_.mr, 0, remote, 0, kBytes, &request));
  ASSERT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
  EXPECT_EQ(2, owner_.bytes[kBytes - 1]);
  revoke();
}

// Its own channel is all that a lie ends.
TEST_F(RdmaDirect, AForgedKeyEndsTheChannelOfWhoForgedIt) {
  rc_channel owner{0}, peer{0};
  meet(&owner, &peer);
  announce(4096, 0x1234);
  rc_remote remote{0};
  ASSERT_RC(RC_OK, rc_remote_get(peer_.channel, kPatience, &remote));
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_write(peer_.mr, 0, remote, 0, 8, &request));
  EXPECT_RC(RC_E_PEER_DEAD, rc_request_wait(request, kPatience, nullptr));
  expect_refused(peer_.channel);
  EXPECT_RC(RC_OK, rc_mr_free(peer_.mr));
  char byte = 'x';
  EXPECT_RC(RC_OK, rc_put(owner, &byte, 1, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_get(peer, &byte, 1, kPatience, nullptr));
}

TEST_F(RdmaDirect, AnAddressThatIsNoneIsCorrupt) {
  announce(UINT64_MAX - kBytes + 1, 0x1234);
  rc_remote remote{0};
  EXPECT_RC(RC_E_CORRUPT, rc_remote_get(peer_.channel, kPatience, &remote));
}

// The peer writes all the time; that ends with RC_E_REVOKED, and nothing of it meets a key that is no more.
TEST_F(RdmaDirect, ARevokeAmongWritesEndsNoChannel) {
  for (int round = 0; round < 10 && !HasFailure(); ++round) {
    rc_remote remote = grant();
    std::atomic<bool> going{false};
    Doing writing([&] {
      int32_t code = RC_OK;
      rc_request requests[8];
      while (code == RC_OK) {
        int n = 0;
        while (n < 8 && (code = rc_write(peer_.mr, 0, remote, 0, kBytes, &requests[n])) == RC_OK) ++n;
        going.store(true);
        for (int i = 0; i < n; ++i) {
          int32_t result = rc_request_wait(requests[i], kPatience, nullptr);
          if (result != RC_OK) code = result;
        }
      }
      return code;
    });
    EXPECT_TRUE(eventually([&] { return going.load(); }));
    EXPECT_RC(RC_OK, rc_grant_revoke(grant_));
    memset(owner_.bytes, 1, kBytes);
    EXPECT_DONE(RC_E_REVOKED, writing);
    expect_untouched();
    char byte = 'x';
    EXPECT_RC(RC_OK, rc_put(peer_.channel, &byte, 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_get(owner_.channel, &byte, 1, kPatience, nullptr));
  }
}

// A NIC may else execute a WRITE before a READ or atomic that was posted before it: on some it does, on soft-RoCE not.
TEST_F(RdmaDirect, WhatFollowsAReadOrAnAtomicWaitsForIt) {
  rc_remote remote = grant();
  g_post = qp_->context->ops.post_send;
  g_poll = qp_->context->ops.poll_cq;
  qp_->context->ops.post_send = post_send;
  qp_->context->ops.poll_cq = poll_cq;
  g_blind = true;
  auto fenced_after = [&](ibv_wr_opcode opcode, rc_request request) {
    ASSERT_EQ(opcode, g_posted.back().opcode);
    rc_request after{0};
    ASSERT_RC(RC_OK, rc_write(peer_.mr, 64, remote, 64, 8, &after));
    ASSERT_EQ(IBV_WR_RDMA_WRITE, g_posted.back().opcode);
    EXPECT_NE(0u, g_posted.back().send_flags & IBV_SEND_FENCE) << opcode;
    g_blind = false;
    ASSERT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
    ASSERT_RC(RC_OK, rc_request_wait(after, kPatience, nullptr));
    g_blind = true;
  };
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_read(peer_.mr, 0, remote, 0, kBytes, &request));
  fenced_after(IBV_WR_RDMA_READ, request);
  ASSERT_RC(RC_OK, rc_fetch_add(remote, 0, 1, &request));
  fenced_after(IBV_WR_ATOMIC_FETCH_AND_ADD, request);
  // An atomic behind a READ and a put, too; and nothing does once they are done.
  rc_request add{0};
  ASSERT_RC(RC_OK, rc_read(peer_.mr, 0, remote, 0, kBytes, &request));
  ASSERT_RC(RC_OK, rc_fetch_add(remote, 0, 1, &add));
  ASSERT_EQ(IBV_WR_ATOMIC_FETCH_AND_ADD, g_posted.back().opcode);
  EXPECT_NE(0u, g_posted.back().send_flags & IBV_SEND_FENCE);
  ASSERT_RC(RC_OK, rc_put(peer_.channel, "x", 1, kPatience, nullptr));
  EXPECT_NE(0u, g_posted.back().send_flags & IBV_SEND_FENCE);
  g_blind = false;
  ASSERT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
  ASSERT_RC(RC_OK, rc_request_wait(add, kPatience, nullptr));
  ASSERT_RC(RC_OK, rc_write(peer_.mr, 0, remote, 0, 8, &request));
  EXPECT_EQ(0u, g_posted.back().send_flags & IBV_SEND_FENCE);
  ASSERT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
  qp_->context->ops.post_send = g_post;
  qp_->context->ops.poll_cq = g_poll;
}

// A queue pair that lets only writes in has no use for a grant of more.
TEST_F(RdmaDirect, RightsThatTheQueuePairDoesNotLetInAreNotGranted) {
  rc_channel owner{0}, peer{0};
  meet(&owner, &peer, "?access=write");
  rc_grant grant{0};
  EXPECT_RC_NAMES(RC_E_UNSUPPORTED, "access=",
                  rc_mr_grant(owner, owner_.mr, 0, kBytes, kAllRights | RC_MR_DIRECT, RC_LEASE_NONE, &grant));
  EXPECT_EQ(0u, grant.id);
  EXPECT_RC(RC_OK, rc_mr_free(owner_.mr));
}

// By path=send the NIC reaches nothing: neither is such a grant given, nor believed of an owner who announces one.
TEST_F(RdmaDirect, ByPathSendThereAreNone) {
  rc_channel owner{0}, peer{0};
  meet(&owner, &peer, "?path=send");
  rc_grant grant{0};
  EXPECT_RC_NAMES(RC_E_UNSUPPORTED,
                  "path=", rc_mr_grant(owner, owner_.mr, 0, kBytes, kAllRights | RC_MR_DIRECT, RC_LEASE_NONE, &grant));
  EXPECT_EQ(0u, grant.id);
  announce_on(owner, reinterpret_cast<uintptr_t>(owner_.bytes), 7);
  rc_remote remote{0};
  EXPECT_RC(RC_E_CORRUPT, rc_remote_get(peer, kPatience, &remote));
  EXPECT_EQ(0u, remote.id);
  EXPECT_RC(RC_E_CORRUPT, rc_progress(peer));
  EXPECT_RC(RC_OK, rc_mr_free(owner_.mr));
}

}  // namespace conformance
