// What the fake promises, and single behaviours of channels over a NIC that the simulation would only find by chance.
#include "harness/fake/fake.h"

#include <gtest/gtest.h>
#include <string.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "capi/rc.h"
#include "harness/fake/seeds.h"

namespace {

constexpr int64_t kPatience = INT64_C(30) * 1000 * 1000 * 1000;
constexpr size_t kCapacity = 4096;

uint8_t byte_at(uint64_t at) { return static_cast<uint8_t>(at * 7 + (at >> 8) * 31); }

std::vector<uint8_t> bytes_from(uint64_t at, size_t n) {
  std::vector<uint8_t> bytes(n + 1);
  for (size_t i = 0; i < n; ++i) bytes[i] = byte_at(at + i);
  return bytes;
}

bool right(const std::vector<uint8_t>& bytes, uint64_t at, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (bytes[i] != byte_at(at + i)) return false;
  }
  return true;
}

class Fake : public testing::Test {
 protected:
  void SetUp() override {
    rc::fake::reset();
    rc_config config = {};
    config.size = sizeof config;
    config.ring_bytes = 64 * 1024;
    ASSERT_EQ(RC_OK, rc_open(&config, &ctx_)) << rc_reason();
  }
  void TearDown() override { EXPECT_EQ(RC_OK, rc_close(ctx_)); }

  // a_ is the listener's end.
  void connect(const std::string& listener, const std::string& client, uint64_t ring_bytes = kCapacity) {
    rc_channel_config config = {};
    config.size = sizeof config;
    config.ring_bytes = ring_bytes;
    rc_listener l{0};
    ASSERT_EQ(RC_OK, rc_listen(ctx_, ("fake:test?" + listener).c_str(), &config, &l)) << rc_reason();
    int32_t code = RC_OK;
    std::thread connecting([&] { code = rc_connect(ctx_, ("fake:test?" + client).c_str(), &config, kPatience, &b_); });
    EXPECT_EQ(RC_OK, rc_accept(l, kPatience, &a_)) << rc_reason();
    connecting.join();
    ASSERT_EQ(RC_OK, code);
    EXPECT_EQ(RC_OK, rc_listener_close(l));
  }
  // Calls until it no longer would block.
  template <class F>
  static int32_t soon(F call) {
    int32_t code = RC_E_WOULD_BLOCK;
    for (int i = 0; i < 1000000 && code == RC_E_WOULD_BLOCK; ++i) code = call();
    return code;
  }
  static rc_counters counters(rc_channel channel) {
    rc_counters counters = {};
    counters.size = sizeof counters;
    EXPECT_EQ(RC_OK, rc_channel_counters(channel, &counters));
    return counters;
  }

  rc_ctx ctx_{0};
  rc_channel a_{0}, b_{0};
};

// ---------------------------------------------------------------------------------------------------------------- the
// fake itself

TEST_F(Fake, ParametersItDoesNotKnowAreRefused) {
  rc_listener l{0};
  rc_channel c{0};
  for (const char* query : {"sed=1", "seed=x", "late=1001", "depth=2", "depth=65", "burst=0", "seed=1&seeds=2"}) {
    std::string uri = std::string("fake:test?") + query;
    EXPECT_EQ(RC_E_URI, rc_listen(ctx_, uri.c_str(), nullptr, &l)) << query;
    EXPECT_EQ(RC_E_URI, rc_connect(ctx_, uri.c_str(), nullptr, 0, &c)) << query;
  }
}

TEST_F(Fake, NothingLandsWithoutACall) {
  connect("", "");
  EXPECT_EQ(RC_OK, rc_put(a_, "hello", 5, 0, nullptr));
  EXPECT_EQ(1u, rc::fake::trace().posts);
  EXPECT_EQ(0u, rc::fake::trace().pieces);
  EXPECT_EQ(RC_OK, rc_progress(a_));
  EXPECT_EQ(2u, rc::fake::trace().pieces);  // the bytes and the tail
  char got[5];
  EXPECT_EQ(RC_OK, rc_try_get(b_, got, 5));
  EXPECT_EQ(0, memcmp("hello", got, 5));
}

TEST_F(Fake, EachEndTakesTwoRingsOfThePool) {
  rc_config config = {};
  config.size = sizeof config;
  config.rings_max = 7;
  config.ring_bytes = kCapacity;
  rc_ctx ctx{0};
  rc_listener l{0};
  ASSERT_EQ(RC_OK, rc_open(&config, &ctx));
  ASSERT_EQ(RC_OK, rc_listen(ctx, "fake:pool", nullptr, &l));
  for (int round = 0; round < 3; ++round) {
    rc_channel near{0}, far{0}, nobody{0}, none{0};
    int32_t code = RC_OK;
    std::thread connecting([&] { code = rc_connect(ctx, "fake:pool", nullptr, kPatience, &far); });
    EXPECT_EQ(RC_OK, rc_accept(l, kPatience, &near));
    connecting.join();
    ASSERT_EQ(RC_OK, code);
    // Three are left: one of the two ends of the next one finds none.
    std::string why;
    std::thread too_many([&] {
      code = rc_connect(ctx, "fake:pool", nullptr, kPatience, &none);
      why = code == RC_OK ? "" : rc_reason();
    });
    int32_t accepted = rc_accept(l, kPatience, &nobody);
    if (accepted != RC_OK) why = rc_reason();
    too_many.join();
    EXPECT_TRUE(accepted == RC_E_POOL || code == RC_E_POOL) << accepted << " " << code;
    EXPECT_NE(std::string::npos, why.find("rings_max")) << why;
    uint8_t byte;
    if (accepted == RC_OK) {
      EXPECT_EQ(RC_E_CLOSED, rc_get(nobody, &byte, 1, kPatience, nullptr));
      EXPECT_EQ(RC_OK, rc_channel_close(nobody));
    }
    if (code == RC_OK) {
      EXPECT_EQ(RC_E_CLOSED, rc_get(none, &byte, 1, kPatience, nullptr));
      EXPECT_EQ(RC_OK, rc_channel_close(none));
    }
    EXPECT_EQ(RC_OK, rc_channel_close(near));
    EXPECT_EQ(RC_OK, rc_channel_close(far));
  }
  EXPECT_EQ(RC_OK, rc_close(ctx));
}

TEST_F(Fake, CreditAlwaysFindsRoom) {
  connect("", "depth=3&late=1000");  // the client's NIC executes nothing
  std::vector<uint8_t> bytes = bytes_from(0, 100), got(kCapacity);
  ASSERT_EQ(RC_OK, rc_put(a_, bytes.data(), 100, 0, nullptr));
  for (size_t i = 0; i < 100; ++i) {
    ASSERT_EQ(RC_OK, soon([&] { return rc_try_get(b_, got.data(), 1); })) << i;
    ASSERT_EQ(byte_at(i), got[0]);
    ASSERT_EQ(RC_E_WOULD_BLOCK, rc_try_get(b_, got.data(), kCapacity));  // comes up short: posts a credit
  }
  EXPECT_GT(rc::fake::trace().hurried, 0u);
  size_t writable = 0;
  ASSERT_EQ(RC_OK, rc_ready(a_, nullptr, &writable));
  EXPECT_GT(writable, kCapacity - 100);
}

TEST_F(Fake, DroppedLinkIsADeadPeerAtBothEnds) {
  connect("", "drop=1");
  uint8_t byte = 0;
  EXPECT_EQ(RC_E_PEER_DEAD, rc_get(a_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ(RC_E_PEER_DEAD, rc_get(b_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ(RC_E_PEER_DEAD, rc_put(b_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ(RC_E_PEER_DEAD, rc_sync(a_, kPatience));
}

TEST_F(Fake, FailedRequestIsADeadPeer) {
  connect("", "fail=1");
  uint8_t byte = 0;
  EXPECT_EQ(RC_OK, rc_put(b_, &byte, 1, 0, nullptr));
  EXPECT_EQ(RC_E_PEER_DEAD, rc_sync(b_, kPatience));
  EXPECT_EQ(RC_E_PEER_DEAD, rc_get(a_, &byte, 1, kPatience, nullptr));
}

TEST_F(Fake, SpoiltTailIsCorruption) {
  connect("", "corrupt=1");
  std::vector<uint8_t> bytes(kCapacity);
  EXPECT_EQ(RC_OK, rc_put(b_, bytes.data(), 10, 0, nullptr));
  EXPECT_EQ(RC_E_CORRUPT, rc_get(a_, bytes.data(), 10, kPatience, nullptr));
  EXPECT_EQ(RC_E_CORRUPT, rc_put(a_, bytes.data(), 10, kPatience, nullptr));
}

TEST_F(Fake, SpoiltCreditIsCorruption) {
  connect("", "corrupt=1");
  std::vector<uint8_t> bytes(kCapacity);
  EXPECT_EQ(RC_OK, rc_put(a_, bytes.data(), kCapacity, 0, nullptr));
  EXPECT_EQ(RC_OK,
            rc_get(b_, bytes.data(), kCapacity, kPatience, nullptr));  // its credit is the first word of this NIC
  EXPECT_EQ(RC_E_CORRUPT, rc_put(a_, bytes.data(), 10, kPatience, nullptr));
}

// ----------------------------------------------------------------------------------------------------------------
// channels over a NIC

TEST_F(Fake, LargeTriesAreAllOrNothingThoughTheQueueRefuses) {
  constexpr size_t kPiece = 30000;
  connect("seed=5&refuse=800&stall=0", "seed=6&late=900&refuse=0", 64 * 1024);
  std::vector<uint8_t> got(kPiece);
  // After a get that had to wait, an answer goes out in smaller pieces.
  ASSERT_EQ(RC_OK, rc_put(b_, "?", 1, 0, nullptr));
  ASSERT_EQ(RC_OK, rc_get(a_, got.data(), 1, kPatience, nullptr));
  uint64_t out = 0, in = 0;
  while (in < 20 * kPiece) {
    std::vector<uint8_t> bytes = bytes_from(out, kPiece);
    int32_t code = rc_try_put(a_, bytes.data(), kPiece);
    ASSERT_TRUE(code == RC_OK || code == RC_E_WOULD_BLOCK) << rc_reason();
    if (code == RC_OK) out += kPiece;
    size_t done = 0;
    code = rc_get_some(b_, got.data(), kPiece, 0, &done);
    ASSERT_TRUE(code == RC_OK || code == RC_E_WOULD_BLOCK) << rc_reason();
    ASSERT_LE(in + done, out);
    ASSERT_TRUE(right(got, in, done)) << "at " << in;
    in += done;
  }
  EXPECT_GT(rc::fake::trace().refused, 0u);
}

TEST_F(Fake, FlushIsRepeatedUntilTheQueueTakesIt) {
  connect("depth=3", "");
  std::vector<uint8_t> bytes = bytes_from(0, 20), got(20);
  EXPECT_EQ(RC_OK, rc_put(a_, bytes.data(), 10, 0, nullptr));
  EXPECT_EQ(RC_OK, rc_put_more(a_, bytes.data() + 10, 10, 0, nullptr));
  EXPECT_EQ(RC_OK, soon([&] { return rc_flush(a_); }));
  EXPECT_EQ(RC_OK, soon([&] { return rc_try_get(b_, got.data(), 20); }));
  EXPECT_TRUE(right(got, 0, 20));
}

TEST_F(Fake, RefusedPutsAreNotCounted) {
  connect("depth=3&late=1000", "");
  std::vector<uint8_t> bytes = bytes_from(0, 20);
  EXPECT_EQ(RC_OK, rc_put(a_, bytes.data(), 10, 0, nullptr));
  EXPECT_EQ(RC_E_WOULD_BLOCK, rc_put(a_, bytes.data() + 10, 10, 0, nullptr));
  EXPECT_EQ(10u, counters(a_).put_bytes);
}

TEST_F(Fake, CloseHandsOverWhatIsStagedThoughTheQueueIsFull) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    connect("seed=" + std::to_string(seed) + "&depth=3&refuse=900&late=500", "");
    std::vector<uint8_t> bytes = bytes_from(0, 300), got(301);
    size_t first = 0, staged = 0;
    EXPECT_EQ(RC_OK, soon([&] { return rc_put(a_, bytes.data(), 100, 0, &first); }));
    EXPECT_EQ(RC_OK, rc_put_more(a_, bytes.data() + 100, 200, 0, &staged));
    EXPECT_EQ(300u, first + staged);
    EXPECT_EQ(RC_OK, rc_channel_close(a_));
    size_t done = 0;
    EXPECT_EQ(RC_E_CLOSED, rc_get(b_, got.data(), 301, kPatience, &done));
    EXPECT_EQ(300u, done);
    EXPECT_TRUE(right(got, 0, done));
    EXPECT_EQ(RC_OK, rc_channel_close(b_));
  }
}

TEST_F(Fake, OrderlyCloseStaysOneThoughTheLinkBreaksAfterIt) {
  connect("gone=1", "gone=1");
  std::vector<uint8_t> got(10);
  EXPECT_EQ(RC_OK, rc_put(a_, "hello", 5, 0, nullptr));
  EXPECT_EQ(RC_OK, rc_channel_close(a_));
  size_t done = 0;
  EXPECT_EQ(RC_E_CLOSED, rc_get(b_, got.data(), 10, kPatience, &done));
  EXPECT_EQ(5u, done);
  EXPECT_EQ(RC_E_CLOSED, rc_put(b_, got.data(), 1, kPatience, nullptr));
  EXPECT_EQ(RC_E_CLOSED, rc_progress(b_));
}

// Putter and getter of both ends, each a thread of its own, through the same two NICs.
TEST_F(Fake, FourThreadsOnOneConnection) {
  uint64_t rounds = fake_seeds::kSanitized ? 5 : 40;
  for (uint64_t seed = 1; seed <= rounds; ++seed) {
    SCOPED_TRACE(seed);
    std::string query = "seed=" + std::to_string(seed);
    connect(query, query, 1000);
    constexpr size_t kAll = 100000;
    auto putting = [seed](rc_channel channel) {
      std::mt19937_64 sizes(seed);
      for (size_t at = 0; at < kAll;) {
        size_t n = std::min<size_t>(1 + sizes() % 700, kAll - at);
        std::vector<uint8_t> bytes = bytes_from(at, n);
        ASSERT_EQ(RC_OK, rc_put(channel, bytes.data(), n, kPatience, nullptr)) << rc_reason();
        at += n;
      }
      ASSERT_EQ(RC_OK, rc_sync(channel, kPatience)) << rc_reason();
    };
    auto getting = [seed](rc_channel channel) {
      std::mt19937_64 sizes(seed + 1);
      std::vector<uint8_t> got(1500);
      for (size_t at = 0; at < kAll;) {
        size_t n = std::min<size_t>(1 + sizes() % 1500, kAll - at);
        ASSERT_EQ(RC_OK, rc_get(channel, got.data(), n, kPatience, nullptr)) << rc_reason();
        ASSERT_TRUE(right(got, at, n)) << at;
        at += n;
      }
    };
    std::vector<std::thread> threads;
    for (rc_channel channel : {a_, b_}) {
      threads.emplace_back([=] { putting(channel); });
      threads.emplace_back([=] { getting(channel); });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(RC_OK, rc_channel_close(a_));
    EXPECT_EQ(RC_OK, rc_channel_close(b_));
  }
}

}  // namespace
