// Two ends of an shm channel of one process: an honest one, and a peer whose sockets and rings a test may take. As the
// owner it can grant directly whatever it wants.
#ifndef HARNESS_HOSTILE_DIRECT_GRANTS_H_
#define HARNESS_HOSTILE_DIRECT_GRANTS_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>

#include <string>
#include <thread>
#include <vector>

#include "backends/shm/link.h"
#include "capi/rc.h"
#include "core/context.h"
#include "core/op_wire.h"
#include "harness/conformance/about.h"
#include "harness/hostile/raw_peer.h"

namespace hostile {

inline constexpr int64_t kPatience = INT64_C(20) * 1000 * 1000 * 1000;
inline constexpr uint64_t kBytes = 8192;
inline constexpr uint32_t kOpRing = 8192;
inline constexpr uint32_t kAll = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;
inline constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
inline constexpr int kFutureWrite = 0x0010;  // F_SEAL_FUTURE_WRITE

using conformance::about;
using conformance::bytes_of;

class DirectGrants : public testing::Test {
 public:
  void SetUp() override {
    rc_config config = {};
    config.size = sizeof config;
    config.ring_bytes = 4096;
    config.mr_bytes = 32 << 20;
    config.mrs_max = 100;
    config.op_ring_bytes = kOpRing;
    ASSERT_EQ(RC_OK, rc_open(&config, &honest_ctx_)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_open(&config, &peer_ctx_)) << rc_reason();
    std::string uri = "shm:" + unique_name();
    rc_listener listener{0};
    ASSERT_EQ(RC_OK, rc_listen(honest_ctx_, uri.c_str(), nullptr, &listener));
    std::thread connecting([&] { rc_connect(peer_ctx_, uri.c_str(), nullptr, kPatience, &peer_); });
    EXPECT_EQ(RC_OK, rc_accept(listener, kPatience, &honest_));
    connecting.join();
    EXPECT_EQ(RC_OK, rc_listener_close(listener));
    link_ = static_cast<rc::ShmLink*>(rc::Handles::channel(peer_.id)->link());
    ASSERT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, kBytes, 0, &mine_));
    memset(bytes_of(mine_), kUntouched, kBytes);
  }
  void TearDown() override {
    EXPECT_EQ(RC_OK, rc_close(honest_ctx_));
    EXPECT_EQ(RC_OK, rc_close(peer_ctx_));
  }

  static bool all(const uint8_t* at, uint8_t value) {
    for (uint64_t i = 0; i < kBytes; ++i) {
      if (at[i] != value) return false;
    }
    return true;
  }

  // Of this process.
  static int open_descriptors() {
    int n = 0;
    for (int fd = 0; fd < 1024; ++fd) n += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return n;
  }

  // As the owner: a grant's frame, as it would be, and any packets before it.
  void announce(uint32_t rights, uint64_t bytes, uint64_t lease = 0) {
    rc::OpFrame f = {};
    f.type = rc::kOpGrant;
    f.word = rights | rc::kDirect;
    f.key.id = kKey;
    f.value = bytes;
    f.compare = lease;
    uint64_t at = link_->outbox->op_line.tail.load();
    for (size_t i = 0; i < sizeof f; ++i)
      link_->outbox_op_ring()[(at + i) % kOpRing] = reinterpret_cast<uint8_t*>(&f)[i];
    link_->outbox->op_line.tail.store(at + sizeof f);
  }
  bool hand(const std::vector<int>& fds, uint64_t key = kKey, size_t bytes = sizeof(uint64_t)) {
    return send_packet(link_->hand_fd, &key, bytes, fds);
  }

  static constexpr uint8_t kUntouched = 0xee;
  static constexpr uint64_t kKey = uint64_t{1} << 16;
  rc_ctx honest_ctx_{0}, peer_ctx_{0};
  rc_channel honest_{0}, peer_{0};
  rc_mr mine_{0};
  rc::ShmLink* link_ = nullptr;
};

}  // namespace hostile

#endif  // HARNESS_HOSTILE_DIRECT_GRANTS_H_
