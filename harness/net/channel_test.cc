// tcp channels over a network that fails.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "capi/rc.h"
#include "core/deadline.h"
#include "harness/net/wire.h"

namespace net {
namespace {

constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kPatienceNs = 60'000 * kMs;
constexpr int64_t kTimeoutMs = 1000;
constexpr int64_t kMarginMs = 1500;  // a look of the timer, and a busy machine
constexpr size_t kBytes = 512 * 1024;
// Larger than what the sockets take, for a window that closes.
constexpr uint64_t kRingBytes = uint64_t{8} << 20;

// Both ends of some channels between host 0, which connects, and host 1.
class Channels : public testing::Test {
 protected:
  static constexpr size_t kMost = 4;
  void SetUp() override {
    if (!why_no_hosts().empty()) GTEST_SKIP() << "no hosts of its own can be made here: " << why_no_hosts();
    wire = std::make_unique<Wire>(2);
    for (rc_ctx& c : contexts) {
      rc_config config = {};
      config.size = sizeof config;
      config.channels_max = kMost;
      config.ring_bytes = kRingBytes;
      ASSERT_EQ(RC_OK, rc_open(&config, &c));
    }
  }
  void TearDown() override {
    for (rc_ctx c : contexts) rc_close(c);
  }
  void connect(size_t count, const std::string& options, uint64_t ring_bytes = 65536) {
    rc_channel_config config = {};
    config.size = sizeof config;
    config.ring_bytes = ring_bytes;
    const std::string uri = "tcp://" + Wire::address(1) + ":7000" + options;
    std::thread server([&] {
      rc_listener listener;
      wire->enter(1);
      EXPECT_EQ(RC_OK, rc_listen(contexts[1], uri.c_str(), &config, &listener)) << rc_reason();
      for (size_t i = 0; i < count; ++i) EXPECT_EQ(RC_OK, rc_accept(listener, kPatienceNs, &ends[1][i])) << rc_reason();
      rc_listener_close(listener);
    });
    std::thread client([&] {
      wire->enter(0);
      for (size_t i = 0; i < count; ++i)
        EXPECT_EQ(RC_OK, rc_connect(contexts[0], uri.c_str(), &config, kPatienceNs, &ends[0][i])) << rc_reason();
    });
    server.join();
    client.join();
  }
  // Both directions at once, every byte looked at.
  void expect_exact(size_t bytes) {
    std::vector<std::thread> threads;
    for (int host : {0, 1}) {
      rc_channel channel = ends[host][0];
      threads.emplace_back([channel, bytes, host] {
        std::vector<unsigned char> out(bytes);
        for (size_t i = 0; i < bytes; ++i) out[i] = byte_at(i, host);
        EXPECT_EQ(RC_OK, rc_put(channel, out.data(), bytes, kPatienceNs, nullptr)) << rc_reason();
      });
      threads.emplace_back([channel, bytes, host] {
        std::vector<unsigned char> in(bytes);
        ASSERT_EQ(RC_OK, rc_get(channel, in.data(), bytes, kPatienceNs, nullptr)) << rc_reason();
        size_t wrong = 0;
        for (size_t i = 0; i < bytes; ++i) wrong += in[i] != byte_at(i, 1 - host) ? 1 : 0;
        EXPECT_EQ(0u, wrong);
      });
    }
    for (std::thread& t : threads) t.join();
  }
  static unsigned char byte_at(size_t i, int host) {
    return static_cast<unsigned char>(i * 31 + i / 251 + (host == 0 ? 7 : 0));
  }

  std::unique_ptr<Wire> wire;
  std::array<rc_ctx, 2> contexts = {};
  rc_channel ends[2][kMost] = {};
};

struct Bad {
  const char* name;
  Way way;
};
class BadWires : public Channels, public testing::WithParamInterface<Bad> {};
INSTANTIATE_TEST_SUITE_P(, BadWires,
                         testing::Values(Bad{"Loss1", {false, 0.01, 0, 0, 0}}, Bad{"Loss10", {false, 0.1, 0, 0, 0}},
                                         Bad{"Duplicates", {false, 0.01, 0.2, 0, 0}},
                                         Bad{"Overtaking", {false, 0.01, 0, kMs, 5 * kMs}},
                                         Bad{"Delay", {false, 0.01, 0, 50 * kMs, 0}}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST_P(BadWires, EveryByteArrivesOnceAndInOrder) {
  connect(1, "");
  wire->set_all(GetParam().way);
  expect_exact(kBytes);
  EXPECT_GT(wire->lost(), 0u);
}

TEST_F(Channels, APartitionShorterThanTheTimeOutLosesNothing) {
  connect(1, "");
  std::thread cutter([&] {
    for (int i = 0; i < 5; ++i) {
      wire->cut(1, i % 3 != 1, i % 3 != 2);
      std::this_thread::sleep_for(std::chrono::milliseconds(150));
      wire->heal();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  for (int i = 0; i < 4; ++i) expect_exact(kBytes);
  cutter.join();
  EXPECT_GT(wire->lost(), 0u);
}

enum Doing { kIdle, kGetting, kPutting };
struct End {
  int32_t code = RC_OK;
  std::string reason;
  int64_t at_ns = 0;
};
// Until the channel is over. Idle looks from time to time and neither puts nor gets.
End live(rc_channel channel, Doing doing) {
  End end;
  std::vector<char> bytes(4096);
  while (end.code == RC_OK || end.code == RC_E_WOULD_BLOCK) {
    if (doing == kPutting) {
      end.code = rc_put(channel, bytes.data(), bytes.size(), kPatienceNs, nullptr);
    } else if (doing == kGetting) {
      end.code = rc_get(channel, bytes.data(), bytes.size(), kPatienceNs, nullptr);
    } else {
      end.code = rc_progress(channel);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  end.reason = rc_reason();
  end.at_ns = rc::now_ns();
  return end;
}

struct Direction {
  const char* name;
  bool to, from;
};
class Cuts : public Channels, public testing::WithParamInterface<Direction> {};
INSTANTIATE_TEST_SUITE_P(, Cuts,
                         testing::Values(Direction{"BothWays", true, true}, Direction{"ThereOnly", true, false},
                                         Direction{"BackOnly", false, true}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST_P(Cuts, AreNoticedAtBothEnds) {
  constexpr Doing kDoings[2][3] = {{kIdle, kPutting, kGetting}, {kIdle, kGetting, kPutting}};
  connect(3, "?timeout_ms=" + std::to_string(kTimeoutMs));
  End all[2][3];
  std::vector<std::thread> threads;
  for (int host : {0, 1}) {
    for (int i = 0; i < 3; ++i)
      threads.emplace_back([&, host, i] { all[host][i] = live(ends[host][i], kDoings[host][i]); });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // they are at it
  int64_t since_ns = rc::now_ns();
  wire->cut(1, GetParam().to, GetParam().from);
  for (std::thread& t : threads) t.join();
  for (int host : {0, 1}) {
    for (int i = 0; i < 3; ++i) {
      const End& end = all[host][i];
      int64_t took_ms = (end.at_ns - since_ns) / kMs;
      printf("host %d, channel %d: noticed after %ld ms: %s\n", host, i, static_cast<long>(took_ms),
             end.reason.c_str());
      EXPECT_STREQ("RC_E_PEER_DEAD", rc_code_name(end.code)) << end.reason;
      EXPECT_LE(took_ms, 2 * kTimeoutMs + kMarginMs) << "host " << host << ", channel " << i;
    }
  }
}

// No route at all leads there; and a route, but nobody answers: the wire swallows what is sent.
TEST_F(Channels, AHostThatCannotBeReachedIsNamed) {
  std::thread client([&] {
    wire->enter(0);
    rc_channel none;
    EXPECT_EQ(RC_E_UNREACHABLE, rc_connect(contexts[0], "tcp://192.0.2.1:7000", nullptr, 300 * kMs, &none))
        << rc_reason();
    EXPECT_NE(nullptr, strstr(rc_reason(), "192.0.2.1:7000")) << rc_reason();
    std::string uri = "tcp://" + Wire::address(1) + ":7000";
    EXPECT_EQ(RC_E_NO_LISTENER, rc_connect(contexts[0], uri.c_str(), nullptr, 300 * kMs, &none)) << rc_reason();
    EXPECT_NE(nullptr, strstr(rc_reason(), uri.c_str())) << rc_reason();
    wire->cut(1, true, true);
    EXPECT_EQ(RC_E_TIMEOUT, rc_connect(contexts[0], uri.c_str(), nullptr, 300 * kMs, &none)) << rc_reason();
    EXPECT_NE(nullptr, strstr(rc_reason(), uri.c_str())) << rc_reason();
  });
  client.join();
}

// The kernel asks a peer that does not read ever more rarely whether it has room, unless it is told not to.
TEST_F(Channels, APeerThatHasLongNotReadAndFallsSilentIsNoticed) {
  constexpr int kRtoMaxMs = 44, kAnySeconds = 1000;
  int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool bounded = setsockopt(probe, IPPROTO_TCP, kRtoMaxMs, &kAnySeconds, sizeof kAnySeconds) == 0;
  close(probe);
  if (!bounded) GTEST_SKIP() << "this kernel has no TCP_RTO_MAX_MS (Linux 6.15)";
  connect(1, "?timeout_ms=" + std::to_string(kTimeoutMs), kRingBytes);
  std::vector<char> bytes(65536);
  int32_t code = RC_OK;
  int64_t begun_ns = rc::now_ns();
  // Stuck since about the beginning; after so long the next probe would come in more than six seconds.
  while (rc::now_ns() - begun_ns < 7000 * kMs) {
    code = rc_put(ends[0][0], bytes.data(), bytes.size(), 100 * kMs, nullptr);
    ASSERT_TRUE(code == RC_OK || code == RC_E_TIMEOUT) << rc_code_name(code) << ": " << rc_reason();
  }
  ASSERT_EQ(RC_E_TIMEOUT, code);
  wire->cut(1, true, true);
  int64_t since_ns = rc::now_ns();
  code = rc_put(ends[0][0], bytes.data(), bytes.size(), kPatienceNs, nullptr);
  int64_t took_ms = (rc::now_ns() - since_ns) / kMs;
  printf("noticed after %ld ms: %s\n", static_cast<long>(took_ms), rc_reason());
  EXPECT_EQ(RC_E_PEER_DEAD, code);
  EXPECT_LE(took_ms, 4 * kTimeoutMs + kMarginMs);
}

}  // namespace
}  // namespace net
