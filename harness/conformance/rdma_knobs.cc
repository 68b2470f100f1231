// The knobs of an rdma:// URI on a real device: each is chosen, told, or refused with a reason; what is counted; which
// devices there are; and what a device reports by itself.
#include <stdlib.h>
#include <string.h>

#include <thread>

#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

// Both ends in this process, each with its own query.
class RdmaKnob : public testing::Test {
 protected:
  void SetUp() override { ASSERT_RC(RC_OK, rc_open(nullptr, &ctx_)); }
  void TearDown() override { EXPECT_RC(RC_OK, rc_close(ctx_)); }

  int32_t connect(const std::string& listener_query, const std::string& client_query) {
    std::string address = rdma_uri("");
    return connect_at(address + listener_query, address + client_query);
  }
  int32_t connect_at(const std::string& listen, const std::string& uri) {
    rc_listener listener{0};
    EXPECT_RC(RC_OK, rc_listen(ctx_, listen.c_str(), nullptr, &listener));
    Doing accepting([&] { return rc_accept(listener, kPatience, &near_); });
    Doing connecting([&] { return rc_connect(ctx_, uri.c_str(), &config_, kPatience, &far_); });
    Outcome connected = connecting.outcome();
    reason_ = connected.reason;
    if (connected.code == RC_OK) {
      EXPECT_DONE(RC_OK, accepting);
    } else {
      EXPECT_RC(RC_OK, rc_listener_close(listener));
      accepting.outcome();
      return connected.code;
    }
    EXPECT_RC(RC_OK, rc_listener_close(listener));
    return RC_OK;
  }
  static int64_t figure(rc_channel channel, const char* name) {
    int64_t value = -1;
    EXPECT_RC(RC_OK, rc_channel_figure(channel, name, &value));
    return value;
  }
  // The client's URI asks for what cannot be; the reason names it.
  void expect_refused(const std::string& query, const std::string& names) {
    SCOPED_TRACE(query);
    EXPECT_EQ(RC_E_URI, connect("", query)) << reason_;
    EXPECT_NE(std::string::npos, reason_.find(names)) << reason_;
  }

  rc_ctx ctx_{0};
  rc_channel_config config_ = {sizeof config_, 0, 0, 0, 0, nullptr, nullptr, nullptr};  // the client's
  rc_channel near_{0}, far_{0};
  std::string reason_;
};

uint32_t active_mtu() {
  for (uint32_t i = 0;; ++i) {
    rc_device device = {};
    device.size = sizeof device;
    if (rc_device_info(i, &device) != RC_OK) return 0;
    if (device.active != 0) return device.mtu;
  }
}

// One that is listed, with the GID that is its best: RoCE v2 and IPv4 where it has such.
bool is_port(int64_t guid, int64_t port, int64_t gid) {
  rc_device device = {};
  device.size = sizeof device;
  for (uint32_t i = 0; rc_device_info(i, &device) == RC_OK; ++i) {
    if (device.guid == static_cast<uint64_t>(guid) && device.port == port) return device.gid_index == gid;
  }
  return false;
}

}  // namespace

TEST_F(RdmaKnob, DefaultsAreTold) {
  ASSERT_EQ(RC_OK, connect("", "")) << reason_;
  for (rc_channel channel : {near_, far_}) {
    EXPECT_EQ(0, figure(channel, "event"));
    EXPECT_EQ(256, figure(channel, "sq_depth"));
    EXPECT_EQ(256, figure(channel, "cq_depth"));
    EXPECT_EQ(16, figure(channel, "signal"));
    EXPECT_EQ(2000, figure(channel, "timeout_ms"));
    EXPECT_EQ(6, figure(channel, "retry_count"));
    EXPECT_EQ(6, figure(channel, "rnr_retry"));
    EXPECT_EQ(3, figure(channel, "qp_state"));  // ready to send
    EXPECT_LE(256, figure(channel, "mtu"));
    EXPECT_EQ(0, figure(channel, "port_downs"));
    EXPECT_TRUE(is_port(figure(channel, "device_guid"), figure(channel, "port"), figure(channel, "gid")));
  }
  EXPECT_EQ(figure(near_, "qp_num"), figure(far_, "peer_qp_num"));
  EXPECT_EQ(figure(far_, "psn"), figure(near_, "peer_psn"));
  EXPECT_EQ(figure(near_, "ring_bytes"), figure(far_, "ring_bytes"));
}

TEST_F(RdmaKnob, UnknownFiguresAreNamedBesideTheKnownOnes) {
  ASSERT_EQ(RC_OK, connect("", "")) << reason_;
  int64_t value = 7;
  EXPECT_RC_NAMES(RC_E_INVALID, "nosuch", rc_channel_figure(near_, "nosuch", &value));
  EXPECT_EQ(0, value);
  EXPECT_NE(nullptr, strstr(rc_reason(), " ack_timeout")) << rc_reason();
  EXPECT_RC(RC_E_INVALID, rc_channel_figure(near_, nullptr, &value));
  EXPECT_RC(RC_E_INVALID, rc_channel_figure(near_, "mtu", nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_channel_figure(rc_channel{0}, "mtu", &value));
}

TEST_F(RdmaKnob, OnesOfTheConfigurationAreTakenUnlessTheUriSaysOtherwise) {
  config_.rdma_knobs = "mtu=512&signal=4&sq_depth=64";
  ASSERT_EQ(RC_OK, connect("", "?sq_depth=128")) << reason_;
  EXPECT_EQ(512, figure(far_, "mtu"));
  EXPECT_EQ(4, figure(far_, "signal"));
  EXPECT_EQ(128, figure(far_, "sq_depth"));
  EXPECT_EQ(16, figure(near_, "signal"));
  EXPECT_RC(RC_OK, rc_channel_close(far_));
  EXPECT_RC(RC_OK, rc_channel_close(near_));
  config_.rdma_knobs = "signal=17";
  EXPECT_EQ(RC_E_URI, connect("", "")) << reason_;
  EXPECT_NE(std::string::npos, reason_.find("with rdma_knobs\": signal=17")) << reason_;
}

// Of the listener alone: the client has the defaults, and is told apart so.
TEST_F(RdmaKnob, EachIsTaken) {
  struct Knob {
    const char* name;
    int64_t value;
  };
  const std::vector<std::vector<Knob>> some = {
      {{"mtu", 512}, {"tclass", 104}, {"flow_label", 77}},
      {{"min_rnr_timer", 20}, {"ack_timeout", 12}, {"retry_count", 2}, {"rnr_retry", 1}, {"timeout_ms", 500}},
      {{"sq_depth", 64}, {"cq_depth", 100}, {"cq_poll", 3}, {"signal", 4}, {"inline", 0}, {"sge", 2}},
      {{"pkey", 0}, {"port", 1}, {"path_bits", 0}}};
  for (const auto& knobs : some) {
    std::string query;
    for (const Knob& k : knobs)
      query += (query.empty() ? "?" : "&") + std::string(k.name) + "=" + std::to_string(k.value);
    SCOPED_TRACE(query);
    ASSERT_EQ(RC_OK, connect(query, "")) << reason_;
    for (const Knob& k : knobs) {
      // What sge a device gives may be more.
      if (strcmp(k.name, "sge") == 0) {
        EXPECT_LE(k.value, figure(near_, k.name));
      } else {
        EXPECT_EQ(k.value, figure(near_, k.name)) << k.name;
      }
    }
    EXPECT_RC(RC_OK, rc_put(far_, "x", 1, kPatience, nullptr));
    char byte = 0;
    EXPECT_RC(RC_OK, rc_get(near_, &byte, 1, kPatience, nullptr));
    EXPECT_EQ('x', byte);
    EXPECT_RC(RC_OK, rc_channel_close(far_));
    EXPECT_RC(RC_OK, rc_channel_close(near_));
  }
}

// Soft-RoCE has neither service levels nor rates, and the kernel finds the hop limit of a RoCE route by itself.
TEST_F(RdmaKnob, SomeAreTheDevicesLastWord) {
  ASSERT_EQ(RC_OK, connect("?sl=3&static_rate=2&hop_limit=7", "")) << reason_;
  EXPECT_LE(0, figure(near_, "sl"));
  EXPECT_LE(0, figure(near_, "static_rate"));
  EXPECT_LE(1, figure(near_, "hop_limit"));
}

TEST_F(RdmaKnob, ReadsUnderWayAreTheSmallerOneOfBothEnds) {
  ASSERT_EQ(RC_OK, connect("?rd_atomic=4&dest_rd_atomic=2", "?rd_atomic=3&dest_rd_atomic=1")) << reason_;
  EXPECT_EQ(1, figure(near_, "rd_atomic"));
  EXPECT_EQ(2, figure(near_, "dest_rd_atomic"));
  EXPECT_EQ(2, figure(far_, "rd_atomic"));
  EXPECT_EQ(1, figure(far_, "dest_rd_atomic"));
}

TEST_F(RdmaKnob, AccessIsThatOfTheQueuePair) {
  ASSERT_EQ(RC_OK, connect("?access=write+read", "?access=write")) << reason_;
  EXPECT_EQ(2 + 4, figure(near_, "access") & (2 + 4 + 8));  // IBV_ACCESS_REMOTE_*
  EXPECT_EQ(2, figure(far_, "access") & (2 + 4 + 8));
  ASSERT_EQ(RC_OK, connect("", "")) << reason_;  // what direct grants may need
  EXPECT_EQ(2 + 4 + 8, figure(near_, "access") & (2 + 4 + 8));
}

TEST_F(RdmaKnob, MtuIsTheSmallerOneOfBothEnds) {
  for (bool listener : {true, false}) {
    SCOPED_TRACE(listener);
    ASSERT_EQ(RC_OK, connect(listener ? "?mtu=256" : "", listener ? "" : "?mtu=256")) << reason_;
    EXPECT_EQ(256, figure(near_, "mtu"));
    EXPECT_EQ(256, figure(far_, "mtu"));
    std::vector<uint8_t> bytes(5000, 7), got(5000);
    EXPECT_RC(RC_OK, rc_put(far_, bytes.data(), bytes.size(), kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_get(near_, got.data(), got.size(), kPatience, nullptr));
    EXPECT_EQ(bytes, got);
  }
}

TEST_F(RdmaKnob, WhatTheDeviceCannotDoIsRefused) {
  if (active_mtu() < 4096) expect_refused("?mtu=4096", "can do " + std::to_string(active_mtu()));
  expect_refused("?gid=255", "gid=255");
  expect_refused("?pkey=65535", "pkey=65535");
  expect_refused("?path_bits=127", "path_bits=127");
  expect_refused("?dest_rd_atomic=255", "dest_rd_atomic=255");
  expect_refused("?rd_atomic=255", "rd_atomic=255");
  expect_refused("?sge=64", "sge=64");
  expect_refused("?sq_depth=128&cq_depth=64", "cq_depth=64");
  expect_refused("?psn=1", "rc_endpoint_open");
}

TEST_F(RdmaKnob, GidMustBeThatOfTheAddress) {
  ASSERT_EQ(RC_OK, connect("", "")) << reason_;
  int64_t used = figure(far_, "gid");
  ASSERT_EQ(RC_OK, connect("", "?gid=" + std::to_string(used))) << reason_;
  EXPECT_EQ(used, figure(far_, "gid"));
  int32_t code = connect("", "?gid=" + std::to_string(used == 0 ? 1 : 0));
  if (code != RC_OK) {  // else the same address of another kind
    EXPECT_EQ(RC_E_URI, code);
    EXPECT_NE(std::string::npos, reason_.find("gid=")) << reason_;
  }
}

// One protection domain for all connections of a context, unless one of them wants its own.
TEST_F(RdmaKnob, ConnectionsOfAContextShareAProtectionDomain) {
  ASSERT_EQ(RC_OK, connect("", "")) << reason_;
  int64_t shared = figure(near_, "pd");
  EXPECT_EQ(shared, figure(far_, "pd"));
  ASSERT_EQ(RC_OK, connect("?pd=own", "?pd=shared")) << reason_;
  EXPECT_NE(shared, figure(near_, "pd"));
  EXPECT_EQ(shared, figure(far_, "pd"));
  rc_channel own = near_, other = far_;
  ASSERT_EQ(RC_OK, connect("", "?pd=own&access=write+read")) << reason_;
  EXPECT_EQ(shared, figure(near_, "pd"));
  EXPECT_NE(shared, figure(far_, "pd"));
  EXPECT_NE(figure(own, "pd"), figure(far_, "pd"));
  // The domain of its own goes with its channel; the others do not notice.
  EXPECT_RC(RC_OK, rc_put(other, "a", 1, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_put(far_, "b", 1, kPatience, nullptr));
  char byte = 0;
  EXPECT_RC(RC_OK, rc_get(own, &byte, 1, kPatience, nullptr));
  EXPECT_EQ('a', byte);
  EXPECT_RC(RC_OK, rc_channel_close(own));
  EXPECT_RC(RC_OK, rc_channel_close(other));
  EXPECT_RC(RC_OK, rc_get(near_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ('b', byte);
  expect_refused("?pd=mine", "pd=mine");
  // Another context is another tenant.
  rc_ctx first = ctx_;
  ASSERT_RC(RC_OK, rc_open(nullptr, &ctx_));
  ASSERT_EQ(RC_OK, connect("", "")) << reason_;
  EXPECT_NE(shared, figure(near_, "pd"));
  EXPECT_RC(RC_OK, rc_close(ctx_));
  ctx_ = first;
}

// A put is one chain, one doorbell; one in sixteen asks for a completion.
TEST_F(RdmaKnob, SmallPutsAreOneDoorbellEach) {
  constexpr int kPuts = 160;
  ASSERT_EQ(RC_OK, connect("", "")) << reason_;
  int64_t doorbells = figure(far_, "doorbells"), requests = figure(far_, "requests");
  int64_t completions = figure(far_, "completions");
  for (int i = 0; i < kPuts; ++i) EXPECT_RC(RC_OK, rc_put(far_, "12345678", 8, kPatience, nullptr));
  EXPECT_EQ(doorbells + kPuts, figure(far_, "doorbells"));
  EXPECT_EQ(requests + 2 * kPuts - 1, figure(far_, "requests"));  // the first one was a note
  EXPECT_LE(figure(far_, "completions"), completions + kPuts / 16);
  uint8_t got[8 * kPuts];
  EXPECT_RC(RC_OK, rc_get(near_, got, sizeof got, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_sync(far_, kPatience));
  EXPECT_LE(figure(far_, "completions"), completions + kPuts / 16 + 1);  // sync asks for one
}

// An answer is one WRITE, and takes the credit along; after a long wait that has gone before, in a WRITE of its own.
TEST_F(RdmaKnob, AnAnswerIsOneWrite) {
  constexpr int64_t kTrips = 160;
  ASSERT_EQ(RC_OK, connect("", "")) << reason_;
  int64_t before = figure(far_, "requests") + figure(near_, "requests");
  Doing answering([&] {
    int32_t code = RC_OK;
    for (int64_t i = 0, got = 0; i < kTrips && code == RC_OK; ++i) {
      code = rc_get(near_, &got, sizeof got, kPatience, nullptr);
      got += 1000;
      if (code == RC_OK) code = rc_put(near_, &got, sizeof got, kPatience, nullptr);
    }
    return code;
  });
  for (int64_t i = 0, got = 0; i < kTrips; ++i) {
    ASSERT_RC(RC_OK, rc_put(far_, &i, sizeof i, kPatience, nullptr));
    ASSERT_RC(RC_OK, rc_get(far_, &got, sizeof got, kPatience, nullptr));
    ASSERT_EQ(i + 1000, got);
  }
  EXPECT_DONE(RC_OK, answering);
  EXPECT_LE(figure(far_, "requests") + figure(near_, "requests"), before + 4 * kTrips);
}

// path=send lets nothing in, is told, and both ends must have it.
TEST_F(RdmaKnob, PathIsToldAndBothEndsHaveTheSame) {
  ASSERT_EQ(RC_OK, connect("", "")) << reason_;
  EXPECT_EQ(0, figure(near_, "path"));
  EXPECT_LE(1, figure(near_, "access"));
  ASSERT_EQ(RC_OK, connect("?path=send", "?path=send&rq_depth=64")) << reason_;
  for (rc_channel channel : {near_, far_}) {
    EXPECT_EQ(1, figure(channel, "path"));
    EXPECT_EQ(0, figure(channel, "access") & 14);  // IBV_ACCESS_REMOTE_*
  }
  EXPECT_LE(14, figure(near_, "rq_depth"));
  EXPECT_GE(64, figure(far_, "rq_depth"));
  EXPECT_EQ(RC_E_URI, connect("", "?path=send"));
  EXPECT_NE(std::string::npos, reason_.find("path=send, the listener path=write")) << reason_;
  EXPECT_EQ(RC_E_URI, connect("?path=send", ""));
  EXPECT_NE(std::string::npos, reason_.find("path=write, the listener path=send")) << reason_;
}

// One SEND, one doorbell, one slot, and one completion in as many as are said.
TEST_F(RdmaKnob, ASmallPutIsOneSend) {
  constexpr int64_t kPuts = 32;
  ASSERT_EQ(RC_OK, connect("?path=send", "?path=send")) << reason_;
  EXPECT_RC(RC_OK, rc_put(far_, "12345678", 8, kPatience, nullptr));
  ASSERT_RC(RC_OK, rc_sync(far_, kPatience));
  int64_t doorbells = figure(far_, "doorbells"), requests = figure(far_, "requests");
  int64_t completions = figure(far_, "completions");
  for (int i = 0; i < kPuts; ++i) EXPECT_RC(RC_OK, rc_put(far_, "12345678", 8, kPatience, nullptr));
  EXPECT_EQ(doorbells + kPuts, figure(far_, "doorbells"));
  EXPECT_EQ(requests + kPuts, figure(far_, "requests"));
  EXPECT_LE(figure(far_, "completions"), completions + kPuts / figure(far_, "signal") + 1);
  uint8_t got[8 * (kPuts + 1)];
  EXPECT_RC(RC_OK, rc_get(near_, got, sizeof got, kPatience, nullptr));
  EXPECT_EQ(requests + kPuts, figure(near_, "receives"));
  EXPECT_RC(RC_OK, rc_sync(far_, kPatience));
}

// A credit that waits for a put to go with goes by itself while none comes: the peer can fill the whole ring.
TEST_F(RdmaKnob, AHeldCreditGoesBeforeTheGetterSleeps) {
  ASSERT_EQ(RC_OK, connect("", "")) << reason_;
  rc_info info = {};
  info.size = sizeof info;
  ASSERT_RC(RC_OK, rc_channel_info(far_, &info));
  char byte = 'x';
  for (int64_t timeout_ns : {1000, 20'000'000}) {
    ASSERT_RC(RC_OK, rc_put(far_, &byte, 1, kPatience, nullptr));
    ASSERT_RC(RC_OK, rc_get(near_, &byte, 1, kPatience, nullptr));
    EXPECT_RC(RC_E_TIMEOUT, rc_get(near_, &byte, 1, timeout_ns, nullptr));
    rc_span spans[2];
    ASSERT_RC(RC_OK, rc_reserve(far_, info.ring_bytes, kPatience, spans));
    ASSERT_RC(RC_OK, rc_commit(far_, 0));
  }
}

TEST(RdmaDevices, AreListed) {
  rc_device device = {};
  device.size = sizeof device;
  uint32_t n = 0;
  for (; rc_device_info(n, &device) == RC_OK; ++n) {
    EXPECT_NE('\0', device.name[0]);
    EXPECT_LE(1u, device.port);
    EXPECT_NE(0u, device.guid);
    if (device.active == 0) continue;
    EXPECT_LE(256u, device.mtu);
    EXPECT_LE(device.mtu, device.mtu_max);
    EXPECT_LE(1u, device.gids);
    EXPECT_NE(UINT32_MAX, device.gid_index);
  }
  EXPECT_LE(1u, n);
  EXPECT_RC_NAMES(RC_E_RANGE, "fewer", rc_device_info(n, &device));
  EXPECT_RC(RC_E_INVALID, rc_device_info(0, nullptr));
  device.size = 0;
  EXPECT_RC(RC_E_CONFIG, rc_device_info(0, &device));
}

TEST_F(RdmaKnob, PortThatGoesDownAndUpIsCounted) {
  const char* wire = getenv("RC_RDMA_WIRE");
  if (wire == nullptr) GTEST_SKIP() << "there is no veth pair with RDMA devices here";
  std::string uri = rdma_uri_at(wire, "?timeout_ms=60000");
  ASSERT_EQ(RC_OK, connect_at(uri, uri)) << reason_;
  EXPECT_EQ(0, figure(near_, "port_downs"));
  EXPECT_EQ(0, system("ip link set vb down"));
  EXPECT_EQ(0, system("sh /run/desk/veth"));
  auto told = [&](rc_channel channel, const char* name) {
    for (int i = 0; i < 1000 && figure(channel, name) == 0; ++i) {
      EXPECT_RC(RC_OK, rc_progress(channel));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return figure(channel, name);
  };
  EXPECT_LE(1, told(near_, "port_downs"));
  EXPECT_LE(1, told(far_, "port_downs"));
  EXPECT_LE(1, told(near_, "port_ups"));
  EXPECT_EQ(0, system("ip addr add 10.78.0.99/24 dev vb"));
  EXPECT_EQ(0, system("ip addr del 10.78.0.99/24 dev vb"));
  EXPECT_LE(1, told(near_, "gid_changes"));
  // The connection has survived.
  EXPECT_RC(RC_OK, rc_put(far_, "x", 1, kPatience, nullptr));
  char byte = 0;
  EXPECT_RC(RC_OK, rc_get(near_, &byte, 1, kPatience, nullptr));
}

}  // namespace conformance
