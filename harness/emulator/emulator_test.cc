// Scenario A8: an emulated network is as slow as it says, and not in the way when it is not asked for.
#include "harness/emulator/emulator.h"

#include <gtest/gtest.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "capi/rc.h"

namespace {

constexpr int64_t kPatience = INT64_C(60) * 1000 * 1000 * 1000;

int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1000000000 + t.tv_nsec;
}

std::string unique(const std::string& scheme, const std::string& query = "") {
  std::random_device random;
  char name[32];
  snprintf(name, sizeof name, "emu-%08x%08x", random(), random());
  return scheme + ":" + name + (query.empty() ? "" : "?" + query);
}

// The same place without the emulation.
std::string plain(const std::string& uri) {
  std::string rest = uri.substr(uri.find('+') + 1);
  return rest.substr(0, rest.find('?'));
}

rc_channel_config spinning() {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.wait = RC_WAIT_SPIN;
  return config;
}

rc_ctx open_context() {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 4;
  config.rings_max = 8;
  rc_ctx ctx{0};
  EXPECT_EQ(RC_OK, rc_open(&config, &ctx)) << rc_reason();
  return ctx;
}

std::string backend_of(rc_channel channel) {
  rc_info info = {};
  info.size = sizeof info;
  EXPECT_EQ(RC_OK, rc_channel_info(channel, &info));
  return info.backend;
}

// Both ends in this process; the loop ones in one context.
class Emulator : public testing::Test {
 protected:
  void SetUp() override { ctx_ = open_context(); }
  void TearDown() override { EXPECT_EQ(RC_OK, rc_close(ctx_)); }
  void connect(const std::string& listener, const std::string& client, const rc_channel_config& config) {
    rc_listener l{0};
    ASSERT_EQ(RC_OK, rc_listen(ctx_, listener.c_str(), &config, &l)) << rc_reason();
    int32_t code = RC_OK;
    std::thread connecting([&] { code = rc_connect(ctx_, client.c_str(), &config, kPatience, &b_); });
    EXPECT_EQ(RC_OK, rc_accept(l, kPatience, &a_)) << rc_reason();
    connecting.join();
    ASSERT_EQ(RC_OK, code);
    EXPECT_EQ(RC_OK, rc_listener_close(l));
  }
  void disconnect() {
    EXPECT_EQ(RC_OK, rc_channel_close(a_));
    EXPECT_EQ(RC_OK, rc_channel_close(b_));
  }
  rc_ctx ctx_{0};
  rc_channel a_{0}, b_{0};
};

// ---------------------------------------------------------------------------------------------------------------- A8

struct Network {
  int64_t rtt_ns;
  int64_t bytes_per_s;
  size_t bytes;  // of a message
  std::string query() const {
    return "rtt_ns=" + std::to_string(rtt_ns) + "&bytes_per_s=" + std::to_string(bytes_per_s);
  }
  int64_t one_way_ns() const { return rtt_ns / 2 + static_cast<int64_t>(bytes) * 1000000000 / bytes_per_s; }
};

// Mostly the round trip, mostly the bandwidth, both.
const Network kNetworks[] = {{4000000, 1000000000, 64}, {200000, 100000000, 1 << 20}, {3000000, 50000000, 100000}};

// Sends messages that carry the time at which they were put, each when the one before has landed, until the peer
// closes.
int send_stamps(const std::string& uri, size_t bytes) {
  rc_ctx ctx = open_context();
  rc_channel channel{0};
  rc_channel_config config = spinning();
  if (rc_connect(ctx, uri.c_str(), &config, kPatience, &channel) != RC_OK) return 1;
  std::vector<uint8_t> message(bytes);
  for (;;) {
    int64_t now = now_ns();
    memcpy(message.data(), &now, sizeof now);
    int32_t code = rc_put(channel, message.data(), bytes, kPatience, nullptr);
    if (code == RC_OK) code = rc_sync(channel, kPatience);
    if (code == RC_OK) continue;
    rc_close(ctx);
    return code == RC_E_CLOSED || code == RC_E_PEER_DEAD ? 0 : 2;
  }
}

// The lower bound holds for every single message. The upper one is about this machine too: when others use its
// processors, late is late, and never early. So the quickest message counts, and rounds are repeated until one was not
// disturbed: an emulator that is slow by itself is slow every time.
void expect_one_way_times(rc_channel channel, const Network& network) {
#ifdef RC_SANITIZED
  constexpr int kRounds = 2;
#else
  constexpr int kRounds = 60;
#endif
  constexpr size_t kMessages = 9;
  const int64_t model = network.one_way_ns(), most = model * 21 / 20;
  std::vector<uint8_t> message(network.bytes);
  int64_t best = INT64_MAX, median = INT64_MAX;
  for (int round = 0; round < kRounds && best > most; ++round) {
    std::vector<int64_t> times;
    while (times.size() < kMessages) {
      ASSERT_EQ(RC_OK, rc_get(channel, message.data(), message.size(), kPatience, nullptr)) << rc_reason();
      int64_t stamp;
      memcpy(&stamp, message.data(), sizeof stamp);
      times.push_back(now_ns() - stamp);
      ASSERT_GE(times.back(), model) << "faster than the network";
    }
    std::sort(times.begin(), times.end());
    best = std::min(best, times.front());
    median = std::min(median, times[kMessages / 2]);
  }
  auto off = [model](int64_t time) { return 100.0 * static_cast<double>(time - model) / static_cast<double>(model); };
  printf("%zu B, rtt %lld ns, %lld B/s: model %lld ns, quickest %+.2f %%, median of the best round %+.2f %%\n",
         network.bytes, static_cast<long long>(network.rtt_ns), static_cast<long long>(network.bytes_per_s),
         static_cast<long long>(model), off(best), off(median));
#ifdef RC_SANITIZED
  printf("with a sanitizer copying takes part of the time: the upper bound is not judged\n");
#else
  if (std::thread::hardware_concurrency() < 2) {
    printf("one processor only: the upper bound is not judged\n");
    return;
  }
  EXPECT_LE(best, most) << "no quiet message in " << kRounds << " rounds";
#endif
}

TEST_F(Emulator, OneWayTimeOnLoop) {
  for (const Network& network : kNetworks) {
    std::string uri = unique("emu+loop", network.query());
    rc_channel_config config = spinning();
    connect(uri, uri, config);
    std::thread sending([&] {
      std::vector<uint8_t> message(network.bytes);
      for (int32_t code = RC_OK; code == RC_OK;) {
        int64_t now = now_ns();
        memcpy(message.data(), &now, sizeof now);
        code = rc_put(b_, message.data(), message.size(), kPatience, nullptr);
        if (code == RC_OK) code = rc_sync(b_, kPatience);
      }
    });
    expect_one_way_times(a_, network);
    EXPECT_EQ(RC_OK, rc_channel_close(a_));
    sending.join();
    EXPECT_EQ(RC_OK, rc_channel_close(b_));
  }
}

TEST_F(Emulator, OneWayTimeOnShmBetweenTwoProcesses) {
  for (const Network& network : kNetworks) {
    std::string uri = unique("emu+shm", network.query());
    pid_t child = fork();
    if (child == 0) _exit(send_stamps(uri, network.bytes));
    ASSERT_GT(child, 0);
    rc_listener l{0};
    rc_channel_config config = spinning();
    ASSERT_EQ(RC_OK, rc_listen(ctx_, uri.c_str(), &config, &l)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_accept(l, kPatience, &a_)) << rc_reason();
    EXPECT_EQ("emu+shm", backend_of(a_));
    expect_one_way_times(a_, network);
    EXPECT_EQ(RC_OK, rc_channel_close(a_));
    EXPECT_EQ(RC_OK, rc_listener_close(l));
    int status = -1;
    EXPECT_EQ(child, waitpid(child, &status, 0));
    EXPECT_EQ(0, status);
  }
}

// The time of a stream is bounded from below by its bytes; that they are sent one after the other shows when they are
// many.
TEST_F(Emulator, BandwidthIsSharedByAllThatIsUnderWay) {
  const Network network = {100000, 50000000, 16 * 1024};
  std::string uri = unique("emu+loop", network.query());
  connect(uri, uri, spinning());
  constexpr size_t kMessages = 50;
  std::vector<uint8_t> message(network.bytes);
  int64_t start = now_ns();
  for (size_t i = 0; i < kMessages; ++i)
    ASSERT_EQ(RC_OK, rc_put(a_, message.data(), message.size(), kPatience, nullptr));
  ASSERT_EQ(RC_OK, rc_sync(a_, kPatience));
  EXPECT_GE(now_ns() - start,
            network.rtt_ns / 2 + static_cast<int64_t>(kMessages * network.bytes * 1000000000 / 50000000));
  for (size_t i = 0; i < kMessages; ++i) ASSERT_EQ(RC_OK, rc_get(b_, message.data(), message.size(), 0, nullptr));
}

TEST_F(Emulator, PlainLinksNeverMeetTheWrapper) {
  uint64_t before = rc::emulator::calls();
  for (const char* scheme : {"loop", "shm", "emu+loop", "emu+shm"}) {
    SCOPED_TRACE(scheme);
    std::string uri = unique(scheme);  // without a delay
    connect(uri, uri, spinning());
    std::string inner = plain(uri);
    EXPECT_EQ(inner.substr(0, inner.find(':')), backend_of(a_));
    EXPECT_EQ(backend_of(a_), backend_of(b_));
    char got[5];
    for (int i = 0; i < 1000; ++i) {
      ASSERT_EQ(RC_OK, rc_put(a_, "hello", 5, kPatience, nullptr));
      ASSERT_EQ(RC_OK, rc_get(b_, got, 5, kPatience, nullptr));
    }
    EXPECT_EQ(RC_OK, rc_sync(a_, 0));
    disconnect();
  }
  EXPECT_EQ(before, rc::emulator::calls());
  std::string uri = unique("emu+shm", "rtt_ns=1000");
  connect(uri, uri, spinning());
  EXPECT_EQ("emu+shm", backend_of(a_));
  EXPECT_EQ(RC_OK, rc_put(a_, "hello", 5, kPatience, nullptr));
  EXPECT_LT(before, rc::emulator::calls());
}

// ----------------------------------------------------------------------------------------------------------------
// working together

TEST_F(Emulator, OtherEndMayBePlain) {
  for (const char* scheme : {"emu+loop", "emu+shm"}) {
    for (bool emulated_listens : {true, false}) {
      SCOPED_TRACE(std::string(scheme) + (emulated_listens ? " listens" : " connects"));
      std::string uri = unique(scheme, "rtt_ns=2000000");
      rc_channel_config config = {};
      config.size = sizeof config;
      config.wait = RC_WAIT_SLEEP;  // the plain end sleeps until it is rung
      connect(emulated_listens ? uri : plain(uri), emulated_listens ? plain(uri) : uri, config);
      rc_channel slow = emulated_listens ? a_ : b_, fast = emulated_listens ? b_ : a_;
      EXPECT_EQ(scheme, backend_of(slow));
      char got[5] = "";
      int64_t start = now_ns();
      std::thread waiting([&] { EXPECT_EQ(RC_OK, rc_get(fast, got, 5, kPatience, nullptr)) << rc_reason(); });
      EXPECT_EQ(RC_OK, rc_put(slow, "hello", 5, kPatience, nullptr));
      EXPECT_EQ(RC_E_WOULD_BLOCK, rc_sync(slow, 0));
      EXPECT_EQ(RC_OK, rc_sync(slow, kPatience));
      waiting.join();
      EXPECT_GE(now_ns() - start, 1000000);
      // The other direction is not delayed: what is put is there.
      EXPECT_EQ(RC_OK, rc_put(fast, "world", 5, kPatience, nullptr));
      EXPECT_EQ(RC_OK, rc_try_get(slow, got, 5)) << rc_reason();
      // Credit is, and wakes a putter that sleeps.
      std::vector<uint8_t> bytes(3 << 20), back(bytes.size());
      std::thread putting([&] {
        for (int i = 0; i < 4; ++i) EXPECT_EQ(RC_OK, rc_put(fast, bytes.data(), bytes.size(), kPatience, nullptr));
      });
      for (int i = 0; i < 4; ++i) EXPECT_EQ(RC_OK, rc_get(slow, back.data(), back.size(), kPatience, nullptr));
      EXPECT_EQ(RC_OK, rc_channel_close(slow));  // waits for what is under way: the credits
      putting.join();
      EXPECT_EQ(RC_E_CLOSED, rc_get(fast, got, 1, kPatience, nullptr));
      EXPECT_EQ(RC_OK, rc_channel_close(fast));
    }
  }
}

TEST_F(Emulator, CloseWaitsUntilEverythingHasLanded) {
  std::string uri = unique("emu+shm", "rtt_ns=5000000&bytes_per_s=10000000");
  connect(uri, plain(uri), spinning());
  std::vector<uint8_t> bytes(50000, 7), got(bytes.size() + 1);
  int64_t start = now_ns();
  EXPECT_EQ(RC_OK, rc_put(a_, bytes.data(), bytes.size(), kPatience, nullptr));
  EXPECT_EQ(RC_OK, rc_channel_close(a_));
  EXPECT_GE(now_ns() - start, 2500000 + 5000000);
  size_t done = 0;
  EXPECT_EQ(RC_E_CLOSED, rc_get(b_, got.data(), got.size(), kPatience, &done));
  ASSERT_EQ(bytes.size(), done);
  got.resize(done);
  EXPECT_EQ(bytes, got);
}

TEST_F(Emulator, StopEndsAClose) {
  std::string uri = unique("emu+shm", "rtt_ns=90000000000");
  connect(uri, plain(uri), spinning());
  EXPECT_EQ(RC_OK, rc_put(a_, "hello", 5, kPatience, nullptr));
  EXPECT_EQ(RC_OK, rc_stop(ctx_));
  EXPECT_EQ(RC_OK, rc_channel_close(a_));  // hangs for 45 s if it is not ended
}

TEST_F(Emulator, FullQueueMakesPutsWaitAndNeverCredits) {
  std::string uri = unique("emu+loop", "rtt_ns=20000000");
  connect(uri, uri, spinning());
  constexpr uint32_t kMany = 3000;  // more than words can be under way
  uint32_t put = 0;
  while (put < kMany && rc_try_put(a_, &put, sizeof put) == RC_OK) ++put;
  EXPECT_LT(put, kMany);
  EXPECT_EQ(RC_E_WOULD_BLOCK, rc_try_put(a_, &put, sizeof put));
  std::thread putting([&] {
    for (; put < kMany; ++put) EXPECT_EQ(RC_OK, rc_put(a_, &put, sizeof put, kPatience, nullptr)) << rc_reason();
    EXPECT_EQ(RC_OK, rc_sync(a_, kPatience));
  });
  putting.join();
  uint8_t more[8];
  for (uint32_t i = 0; i < kMany; ++i) {
    uint32_t got = 0;
    ASSERT_EQ(RC_OK, rc_get(b_, &got, sizeof got, kPatience, nullptr));
    ASSERT_EQ(i, got);
    rc_peek(b_, 1, 0, std::vector<rc_const_span>(2).data());
    rc_release(b_, 0);
    size_t have = 0;
    ASSERT_EQ(RC_OK, rc_ready(b_, &have, nullptr));
    if (have < sizeof more * kMany) {
      ASSERT_EQ(RC_E_WOULD_BLOCK,
                rc_get(b_, std::vector<uint8_t>(have + 1).data(), have + 1, 0, nullptr));  // posts a credit
    }
  }
  EXPECT_EQ(RC_OK, rc_sync(b_, kPatience));
  size_t writable = 0;
  EXPECT_EQ(RC_OK, rc_ready(a_, nullptr, &writable));
  EXPECT_EQ(size_t{4} << 20, writable);
}

TEST_F(Emulator, BothDirectionsCarryTheRightBytes) {
  for (const char* query : {"rtt_ns=2000", "bytes_per_s=300000000", "rtt_ns=100000&bytes_per_s=500000000"}) {
    for (const char* scheme : {"emu+loop", "emu+shm"}) {
      SCOPED_TRACE(std::string(scheme) + "?" + query);
      std::string uri = unique(scheme, query);
      rc_channel_config config = {};
      config.size = sizeof config;
      config.ring_bytes = 5000;
      connect(uri, uri, config);
      constexpr size_t kAll = 200000;
      std::vector<std::thread> threads;
      for (rc_channel channel : {a_, b_}) {
        threads.emplace_back([channel] {
          std::mt19937 sizes(1);
          for (size_t at = 0; at < kAll;) {
            std::vector<uint8_t> bytes(std::min<size_t>(1 + sizes() % 6000, kAll - at));
            for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(at++ * 37 >> 3);
            ASSERT_EQ(RC_OK, rc_put(channel, bytes.data(), bytes.size(), kPatience, nullptr)) << rc_reason();
          }
          ASSERT_EQ(RC_OK, rc_sync(channel, kPatience));
        });
        threads.emplace_back([channel] {
          std::mt19937 sizes(2);
          for (size_t at = 0; at < kAll;) {
            std::vector<uint8_t> bytes(std::min<size_t>(1 + sizes() % 6000, kAll - at));
            ASSERT_EQ(RC_OK, rc_get(channel, bytes.data(), bytes.size(), kPatience, nullptr)) << rc_reason();
            for (uint8_t byte : bytes) ASSERT_EQ(static_cast<uint8_t>(at++ * 37 >> 3), byte);
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      disconnect();
    }
  }
}

TEST_F(Emulator, ParametersItDoesNotKnowAreRefused) {
  rc_listener l{0};
  rc_channel c{0};
  for (const char* query : {"rtt=1", "rtt_ns=x", "rtt_ns=100000000001", "bytes_per_s=999"}) {
    std::string uri = unique("emu+shm", query);
    EXPECT_EQ(RC_E_URI, rc_listen(ctx_, uri.c_str(), nullptr, &l)) << query;
    EXPECT_EQ(RC_E_URI, rc_connect(ctx_, uri.c_str(), nullptr, 0, &c)) << query;
  }
}

}  // namespace
