// Raw endpoints with each other, also in two processes.
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "harness/conformance/rdma_raw_end.h"

namespace conformance {
namespace {

void meet(End& a, End& b) {
  EXPECT_RC(RC_OK, a.connect(b));
  EXPECT_RC(RC_OK, b.connect(a));
}

class RdmaRaw : public testing::TestWithParam<const char*> {
 protected:
  static std::string query(const std::string& more = "") { return GetParam() + more; }
};

TEST_P(RdmaRaw, MessagesGoAndComeAsTheyAre) {
  End a(query()), b(query());
  // Before the connection, and before what makes the peer send.
  EXPECT_RC(RC_OK, b.receive(0, 4096, 11));
  EXPECT_RC(RC_OK, b.receive(8192, 4096, 12));
  meet(a, b);
  EXPECT_RC(RC_OK, b.receive(0, 0, 13));
  a.fill(0, 5000, 0);
  const uint32_t value = 0xfeed0001;
  EXPECT_RC(RC_OK, a.send(0, 4096, 1));
  EXPECT_RC(RC_OK, a.send(4096, 100, 2, &value));
  EXPECT_RC(RC_OK, rc_raw_post_send(a.raw, rc_mr{0}, 0, 0, &value, UINT64_MAX));
  rc_raw_completion c = b.next();
  expect_completion(c, RC_RAW_RECEIVED, 11, RC_OK);
  EXPECT_EQ(4096u, c.bytes);
  EXPECT_EQ(0u, c.has_imm);
  EXPECT_EQ(4096u, b.wrong(0, 4096, 0));
  c = b.next();
  expect_completion(c, RC_RAW_RECEIVED, 12, RC_OK);
  EXPECT_EQ(100u, c.bytes);
  EXPECT_EQ(1u, c.has_imm);
  EXPECT_EQ(value, c.imm);
  EXPECT_EQ(100u, b.wrong(8192, 100, 4096));
  c = b.next();
  expect_completion(c, RC_RAW_RECEIVED, 13, RC_OK);
  EXPECT_EQ(0u, c.bytes);
  EXPECT_EQ(value, c.imm);
  for (uint64_t tag : {UINT64_C(1), UINT64_C(2), UINT64_MAX}) expect_completion(a.next(), RC_RAW_SENT, tag, RC_OK);
  uint32_t count = 1;
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_raw_poll(a.raw, &c, 1, 0, &count));
  EXPECT_EQ(0u, count);
  EXPECT_RC(RC_E_TIMEOUT, rc_raw_poll(a.raw, &c, 1, kShort, &count));
}

TEST_P(RdmaRaw, RegionIsKeptWhileARequestIsUnderWay) {
  End a(query()), b(query());
  EXPECT_RC(RC_OK, b.receive(0, 64, 1));
  EXPECT_EQ(1u, b.requests());
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(b.mr));
  meet(a, b);
  EXPECT_RC(RC_OK, a.send(0, 64, 1));
  expect_completion(b.next(), RC_RAW_RECEIVED, 1, RC_OK);
  expect_completion(a.next(), RC_RAW_SENT, 1, RC_OK);
  EXPECT_EQ(0u, a.requests() + b.requests());
  // A region that was freed is the device's no more, the next one in its place is another.
  EXPECT_RC(RC_OK, rc_mr_free(b.mr));
  EXPECT_RC(RC_E_HANDLE, b.receive(0, 64, 2));
  EXPECT_RC(RC_OK, rc_mr_alloc(b.ctx, kRegion, 0, &b.mr));
  EXPECT_RC(RC_OK, b.receive(0, 64, 3));
  a.fill(0, 64, 77);
  EXPECT_RC(RC_OK, a.send(0, 64, 3));
  expect_completion(b.next(), RC_RAW_RECEIVED, 3, RC_OK);
  EXPECT_EQ(64u, b.wrong(0, 64, 77));
  EXPECT_RC(RC_OK, b.receive(0, 64, 4));
  EXPECT_RC(RC_OK, rc_raw_close(b.raw));
  EXPECT_RC(RC_OK, rc_mr_free(b.mr));
  EXPECT_RC(RC_E_HANDLE, rc_raw_close(b.raw));
}

TEST_P(RdmaRaw, MessageLargerThanItsReceiveIsNamedAtBothEnds) {
  End a(query()), b(query());
  EXPECT_RC(RC_OK, b.receive(0, 10, 1));
  EXPECT_RC(RC_OK, b.receive(64, 10, 2));
  meet(a, b);
  EXPECT_RC(RC_OK, a.send(0, 11, 5));
  expect_completion(b.next(), RC_RAW_RECEIVED, 1, RC_E_SIZE, "larger");
  expect_completion(b.next(), RC_RAW_RECEIVED, 2, RC_E_PEER_DEAD, "WR_FLUSH");
  expect_completion(a.next(), RC_RAW_SENT, 5, RC_E_SIZE, "larger");
  rc_raw_completion c;
  uint32_t count;
  EXPECT_RC_NAMES(RC_E_SIZE, "larger", rc_raw_poll(b.raw, &c, 1, kPatience, &count));
  EXPECT_RC_NAMES(RC_E_SIZE, "larger", b.receive(0, 10, 3));
  EXPECT_RC_NAMES(RC_E_SIZE, "larger", a.send(0, 1, 6));
  EXPECT_EQ(0u, a.requests() + b.requests());
}

TEST_P(RdmaRaw, SendWithoutAReceiveEnds) {
  End a(query("&timeout_ms=200&rnr_retry=1")), b(query());
  meet(a, b);
  EXPECT_RC(RC_OK, a.send(0, 8, 1));
  expect_completion(a.next(), RC_RAW_SENT, 1, RC_E_PEER_DEAD, "RNR");
}

TEST_P(RdmaRaw, FullQueuesAndWrongRequestsChangeNothing) {
  End a(query("&sq_depth=32&rq_depth=64")), b(query());
  EXPECT_RC_NAMES(RC_E_STATE, "rc_raw_connect", a.send(0, 8, 1));
  rc_mr readable{0};
  static uint8_t own[64];
  ASSERT_RC(RC_OK, rc_mr_reg(a.ctx, own, sizeof own, RC_MR_READ, &readable));
  EXPECT_RC(RC_E_RIGHTS, rc_raw_post_recv(a.raw, readable, 0, 8, 0));
  EXPECT_RC(RC_E_RANGE, a.receive(kRegion, 1, 0));
  EXPECT_RC(RC_E_RANGE, a.receive(1, kRegion, 0));
  EXPECT_RC(RC_E_SIZE, a.receive(0, UINT64_C(1) << 40, 0));
  EXPECT_RC(RC_E_HANDLE, rc_raw_post_recv(a.raw, rc_mr{0}, 0, 1, 0));
  for (int i = 0; i < 64; ++i) ASSERT_RC(RC_OK, a.receive(0, 8, 0));
  EXPECT_RC_NAMES(RC_E_POOL, "64", a.receive(0, 8, 0));
  EXPECT_EQ(64u, a.requests());
  for (uint32_t field = 0; field < 4; ++field) {
    rc_raw_address wrong = b.address;
    (field == 0 ? wrong.qp_num : field == 1 ? wrong.psn : field == 2 ? wrong.lid : wrong.mtu) = 1u << 24;
    EXPECT_RC_NAMES(RC_E_INVALID, "16777216", rc_raw_connect(a.raw, &wrong));
  }
  rc_raw_address nowhere = b.address;
  memset(nowhere.gid, 0, sizeof nowhere.gid);
  EXPECT_RC_NAMES(RC_E_INVALID, "gid", rc_raw_connect(a.raw, &nowhere));
  meet(a, b);
  EXPECT_RC(RC_E_STATE, a.connect(b));
  for (int i = 0; i < 32; ++i) ASSERT_RC(RC_OK, b.receive(0, 8, 0));
  for (int i = 0; i < 32; ++i) ASSERT_RC(RC_OK, a.send(0, 8, 0));
  EXPECT_RC_NAMES(RC_E_POOL, "32", a.send(0, 8, 0));
  for (int i = 0; i < 32; ++i) expect_completion(a.next(), RC_RAW_SENT, 0, RC_OK);
  rc_raw none{0};
  rc_raw_address address = {sizeof address, 0, 0, 0, 0, 0, {}};
  EXPECT_RC_NAMES(RC_E_URI, "256", rc_raw_open(a.ctx, rdma_uri(query("&sq_depth=257")).c_str(), &address, &none));
  EXPECT_RC_NAMES(RC_E_NO_DEVICE, "192.0.2.1", rc_raw_open(a.ctx, "rdma://192.0.2.1:1", &address, &none));
  EXPECT_RC(RC_E_HANDLE, rc_listener_close(rc_listener{a.raw.id}));
}

TEST_P(RdmaRaw, StopAndCloseEndAPoll) {
  for (bool stop : {true, false}) {
    End a(query());
    rc_raw_completion c;
    uint32_t count, other;
    Doing polling([&] { return rc_raw_poll(a.raw, &c, 1, RC_FOREVER, &count); });
    polling.wait_until_inside();
    rc_raw_completion mine;
    EXPECT_RC(RC_E_BUSY, rc_raw_poll(a.raw, &mine, 1, 0, &other));
    EXPECT_RC(RC_OK, stop ? rc_stop(a.ctx) : rc_raw_close(a.raw));
    EXPECT_DONE(stop ? RC_E_STOPPED : RC_E_CLOSING, polling);
  }
}

// ------------------------------------------------------------------------------------------------------ two processes

// Sends every message back, with its place as the value.
void echo(int fd, const std::string& query) {
  constexpr uint64_t kPlaces = 8, kPlace = 4096;
  End e(query);
  rc_raw_address peer;
  for (uint64_t i = 0; i < kPlaces; ++i) e.receive(i * kPlace, kPlace, i);
  if (!whole(fd, &e.address, sizeof e.address, true) || !whole(fd, &peer, sizeof peer, false)) return;
  if (rc_raw_connect(e.raw, &peer) != RC_OK || !whole(fd, &peer, 1, true)) return;
  for (;;) {
    rc_raw_completion c = e.next();
    auto place = static_cast<uint32_t>(c.tag);
    if (c.code != RC_OK) return;
    if (c.kind == RC_RAW_RECEIVED) e.send(place * kPlace, c.bytes, place, &place);
    if (c.kind == RC_RAW_SENT) e.receive(place * kPlace, kPlace, place);
  }
}

TEST_P(RdmaRaw, TwoProcessesAndADeath) {
  int fds[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  pid_t child = fork();
  if (child == 0) {
    close(fds[0]);
    echo(fds[1], query());
    _exit(1);
  }
  close(fds[1]);
  End a(query("&timeout_ms=500"));
  rc_raw_address peer;
  char ready;
  ASSERT_TRUE(whole(fds[0], &peer, sizeof peer, false) && whole(fds[0], &a.address, sizeof a.address, true));
  ASSERT_RC(RC_OK, rc_raw_connect(a.raw, &peer));
  ASSERT_TRUE(whole(fds[0], &ready, 1, false));
  for (uint64_t i = 0; i < 200 && !HasFailure(); ++i) {
    uint64_t n = 1 + i * 4095 / 199;
    a.fill(0, n, i * 4096);
    ASSERT_RC(RC_OK, a.receive(8192, 4096, i));
    ASSERT_RC(RC_OK, a.send(0, n, i));
    for (int both = 0; both < 2; ++both) {
      rc_raw_completion c = a.next();
      expect_completion(c, c.kind, i, RC_OK);
      if (c.kind == RC_RAW_SENT) continue;
      EXPECT_EQ(n, c.bytes);
      EXPECT_EQ(i % 8, c.imm);
      EXPECT_EQ(n, a.wrong(8192, n, i * 4096));
    }
  }
  ASSERT_RC(RC_OK, a.receive(8192, 4096, 1000));
  kill(child, SIGKILL);
  ASSERT_EQ(child, waitpid(child, nullptr, 0));
  close(fds[0]);
  // Nobody tells but a send that gets no answer.
  ASSERT_RC(RC_OK, a.send(0, 8, 1001));
  ASSERT_RC(RC_OK, a.send(0, 8, 1002));
  rc_raw_completion c;
  uint64_t tags = 0;
  for (int i = 0; i < 3; ++i) {
    c = a.next();
    expect_completion(c, c.kind, c.tag, RC_E_PEER_DEAD, c.tag == 1001 ? "RETRY_EXC" : "WR_FLUSH");
    tags += c.tag;
  }
  EXPECT_EQ(UINT64_C(1000) + 1001 + 1002, tags);
  uint32_t count;
  EXPECT_RC_NAMES(RC_E_PEER_DEAD, "RETRY_EXC", rc_raw_poll(a.raw, &c, 1, kPatience, &count));
  EXPECT_RC_NAMES(RC_E_PEER_DEAD, "RETRY_EXC", a.send(0, 8, 1003));
  EXPECT_RC(RC_OK, rc_mr_free(a.mr));
}

INSTANTIATE_TEST_SUITE_P(On, RdmaRaw, testing::Values("?mode=poll", "?mode=event"),
                         [](const auto& mode) { return std::string(mode.param).substr(6); });

}  // namespace
}  // namespace conformance
