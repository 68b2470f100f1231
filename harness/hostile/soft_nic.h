// A NIC of software that does what a real one seldom does: it stops half way, refuses to register, is slow to let go.
// Both ends are of one channel, whose links have been given it.
#ifndef HARNESS_HOSTILE_SOFT_NIC_H_
#define HARNESS_HOSTILE_SOFT_NIC_H_

#include <gtest/gtest.h>
#include <string.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "capi/rc.h"
#include "core/context.h"
#include "core/op_wire.h"
#include "harness/conformance/about.h"
#include "harness/conformance/tcp_uri.h"

namespace hostile {

inline constexpr int64_t kPatience = INT64_C(20) * 1000 * 1000 * 1000;
inline constexpr uint64_t kBytes = 8192;
inline constexpr uint32_t kAll = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;
inline constexpr uint64_t kAnyRoom = UINT64_MAX;

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
extern std::unique_ptr<SoftNic> g_nic;  // one test after the other

// `real`, whose links have the NIC besides.
std::unique_ptr<rc::Backend> with_nic(const rc::Backend* real);

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
    with_nic_ = with_nic(link(owner_)->ops);
    link(owner_)->ops = link(asker_)->ops = with_nic_.get();
  }
  void TearDown() override { EXPECT_EQ(RC_OK, rc_close(ctx_)) << rc_reason(); }

  virtual std::string uri() const { return "loop:nic"; }
  static rc::Link* link(rc_channel channel) { return rc::Handles::channel(channel.id)->link(); }
  // Requests in flight that move bytes of the asker's region.
  uint32_t requests() const { return conformance::about(local_).requests; }
  static uint64_t& word(rc_mr mr) { return *reinterpret_cast<uint64_t*>(conformance::bytes_of(mr)); }
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

}  // namespace hostile

#endif  // HARNESS_HOSTILE_SOFT_NIC_H_
