// Direct grants over rdma against a peer that goes behind its library's back: it kept a grant's key and posts to its
// queue pair itself.
#include <gtest/gtest.h>
#include <sched.h>
#include <string.h>

#include <chrono>
#include <vector>

#include "backends/rdma/verbs.h"
#include "harness/conformance/doing.h"
#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

using rc::g_verbs;

constexpr uint64_t kBytes = 8192;
constexpr uint32_t kReadWrite = RC_MR_READ | RC_MR_WRITE, kAllRights = kReadWrite | RC_MR_ATOMIC;
constexpr unsigned kRemote = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC;

// What the library makes, as both ends of this process see it.
std::vector<ibv_qp*> g_made;
int g_registered = 0;
ibv_mr g_exposed = {};
rc::Verbs g_true;

ibv_qp* create_qp(ibv_pd* pd, ibv_qp_init_attr* init) {
  g_made.push_back(g_true.create_qp(pd, init));
  return g_made.back();
}

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
      rc_region region = {};
      region.size = sizeof region;
      ASSERT_RC(RC_OK, rc_mr_info(side->mr, &region));
      side->bytes = static_cast<uint8_t*>(region.address);
    }
    memset(owner_.bytes, 1, kBytes);
    memset(peer_.bytes, 2, kBytes);
    qp_ = meet(&owner_.channel, &peer_.channel);
  }
  void TearDown() override {
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
  rc_remote grant(uint32_t rights = kAllRights) {
    EXPECT_RC(RC_OK, rc_mr_grant(owner_.channel, owner_.mr, 0, kBytes, rights | RC_MR_DIRECT, RC_LEASE_NONE, &grant_));
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
  // Behind the library's back: eight bytes of what this end has, into the owner's memory or from there.
  void post(ibv_qp* qp, ibv_wr_opcode opcode, uint64_t offset) {
    if (own_ == nullptr) own_ = g_true.reg_mr(qp->pd, word_, sizeof word_, IBV_ACCESS_LOCAL_WRITE);
    ibv_sge sge = {reinterpret_cast<uintptr_t>(word_), sizeof word_, own_->lkey};
    ibv_send_wr wr = {}, *bad = nullptr;
    wr.sg_list = &sge;
    wr.num_sge = 1;
    wr.opcode = opcode;
    wr.send_flags = IBV_SEND_SIGNALED;
    wr.wr.rdma.remote_addr = reinterpret_cast<uintptr_t>(kept_.addr) + offset;
    wr.wr.rdma.rkey = kept_.rkey;
    EXPECT_EQ(0, ibv_post_send(qp, &wr, &bad));
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
  ibv_mr* own_ = nullptr;  // the process takes it along
  uint64_t word_[1] = {UINT64_C(0x0303030303030303)};
};

}  // namespace

TEST_F(RdmaDirect, WhoKeepsTheKeyIsRefusedAfterRevoke) {
  rc_remote remote = grant();
  post(qp_, IBV_WR_RDMA_WRITE, 8);  // while the grant lasts that is its right
  EXPECT_TRUE(eventually([&] { return owner_.bytes[15] == 3; }));
  revoke();
  memset(owner_.bytes, 1, kBytes);
  EXPECT_RC(RC_E_REVOKED, rc_write(peer_.mr, 0, remote, 0, 8, nullptr));
  post(qp_, IBV_WR_RDMA_WRITE, 8);
  expect_refused(peer_.channel);
  expect_untouched();
  EXPECT_RC(RC_OK, rc_mr_free(owner_.mr));
}

// Connections of one context share a protection domain: another peer that learns the key has what it opens, no longer
// than the grant lasts.
TEST_F(RdmaDirect, AndByAnotherChannelAfterTheGrantsOwnHasClosed) {
  rc_channel owner{0}, peer{0};
  ibv_qp* other = meet(&owner, &peer);
  grant();
  post(other, IBV_WR_RDMA_WRITE, 8);
  EXPECT_TRUE(eventually([&] { return owner_.bytes[15] == 3; }));
  EXPECT_RC(RC_OK, rc_channel_close(owner_.channel));
  EXPECT_RC(RC_OK, rc_mr_free(owner_.mr));
  memset(owner_.bytes, 1, kBytes);
  post(other, IBV_WR_RDMA_WRITE, 8);
  expect_refused(peer);
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
  post(other, IBV_WR_RDMA_WRITE, 8);
  expect_refused(peer);
  expect_untouched();
}

TEST_F(RdmaDirect, AProtectionDomainOfItsOwnKeepsTheKeyOfAnotherFromWorking) {
  rc_channel owner{0}, peer{0};
  ibv_qp* other = meet(&owner, &peer, "?pd=own");
  grant();
  post(other, IBV_WR_RDMA_WRITE, 8);
  expect_refused(peer);
  expect_untouched();
}

TEST_F(RdmaDirect, TheNicHoldsTheRightsAndTheEnds) {
  rc_remote remote = grant(RC_MR_WRITE);
  EXPECT_RC(RC_E_RIGHTS, rc_read(peer_.mr, 0, remote, 0, 8, nullptr));
  EXPECT_RC(RC_E_RIGHTS, rc_fetch_add(remote, 0, 1, nullptr));
  EXPECT_RC(RC_E_RANGE, rc_write(peer_.mr, 0, remote, kBytes - 7, 8, nullptr));
  post(qp_, IBV_WR_RDMA_READ, 0);
  expect_refused(peer_.channel);
  EXPECT_EQ(UINT64_C(0x0303030303030303), word_[0]);
}

TEST_F(RdmaDirect, NotAByteBeyondTheSlice) {
  grant();
  post(qp_, IBV_WR_RDMA_WRITE, kBytes - 4);
  expect_refused(peer_.channel);
  EXPECT_EQ(1, owner_.bytes[kBytes - 5]);
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

}  // namespace conformance
