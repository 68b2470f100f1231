// The conformance suite on attached memory: a plain shared mapping, between two processes and within one.
#include <string.h>

#include <vector>

#include "harness/conformance/memory_pair.h"

namespace conformance {

std::vector<Backend> backends() {
  Backend threads;
  threads.name = "Threads";
  threads.scheme = "attach";
  threads.attached = true;
  threads.has_descriptor = false;
  Backend spin = threads;
  spin.name = "ThreadsSpin";
  spin.wait = RC_WAIT_SPIN;
  Backend processes = threads;
  processes.name = "Processes";
  processes.other_process = true;
  processes.notices_death = true;  // the other process is given as peer_fd
  Backend processes_sleep = processes;
  processes_sleep.name = "ProcessesSleep";
  processes_sleep.wait = RC_WAIT_SLEEP;
  return {threads, spin, processes, processes_sleep};
}

class Attaching : public Pair {
 protected:
  static constexpr size_t kBytes = 8192;
  alignas(128) uint8_t tx_[kBytes] = {};
  alignas(128) uint8_t rx_[kBytes] = {};

  rc_attach_config config() {
    rc_attach_config config = {};
    config.size = sizeof config;
    config.tx = tx_;
    config.rx = rx_;
    config.bytes = kBytes;
    return config;
  }
};

TEST_P(Attaching, RingIsWhatTheOverheadLeaves) {
  rc_attach_config good = config();
  EXPECT_GT(rc_attach_overhead(), 0u);
  ASSERT_RC(RC_OK, rc_attach(ctx_, &good, &ch_));
  EXPECT_EQ(kBytes - rc_attach_overhead(), writable());
  rc_info info = {};
  info.size = sizeof info;
  EXPECT_RC(RC_OK, rc_channel_info(ch_, &info));
  EXPECT_EQ(kBytes - rc_attach_overhead(), info.ring_bytes);
}

TEST_P(Attaching, ConfigsThatMakeNoSenseAreRefused) {
  struct Case {
    const char* what;
    int32_t code;
    std::function<void(rc_attach_config*)> spoil;
  };
  for (const Case& c : std::vector<Case>{
           {"size", RC_E_CONFIG, [](auto* config) { config->size = 0; }},
           {"size", RC_E_CONFIG, [](auto* config) { config->size = 3; }},
           {"wait", RC_E_INVALID, [](auto* config) { config->wait = 3; }},
           {"reserved", RC_E_CONFIG, [](auto* config) { config->reserved = 1; }},
           {"tx", RC_E_INVALID, [](auto* config) { config->tx = nullptr; }},
           {"rx", RC_E_INVALID, [](auto* config) { config->rx = nullptr; }},
           {"tx", RC_E_INVALID, [](auto* config) { config->tx = static_cast<uint8_t*>(config->tx) + 64; }},
           {"rx", RC_E_INVALID, [](auto* config) { config->rx = static_cast<const uint8_t*>(config->rx) + 64; }},
           {"bytes", RC_E_SIZE, [](auto* config) { config->bytes = 0; }},
           {"bytes", RC_E_SIZE, [](auto* config) { config->bytes = rc_attach_overhead(); }}}) {
    SCOPED_TRACE(c.what);
    rc_attach_config bad = config();
    c.spoil(&bad);
    EXPECT_RC_NAMES(c.code, c.what, rc_attach(ctx_, &bad, &ch_));
  }
  EXPECT_RC(RC_E_INVALID, rc_attach(ctx_, nullptr, &ch_));
  rc_attach_config good = config();
  EXPECT_RC(RC_E_INVALID, rc_attach(ctx_, &good, nullptr));
}

TEST_P(Attaching, SmallestRingIsOneByte) {
  rc_attach_config one = config(), other = config();
  one.bytes = other.bytes = rc_attach_overhead() + 1;
  other.tx = rx_;
  other.rx = tx_;
  rc_channel there{0};
  ASSERT_RC(RC_OK, rc_attach(ctx_, &one, &ch_));
  ASSERT_RC(RC_OK, rc_attach(ctx_, &other, &there));
  for (char c : {'a', 'b', 'c'}) {
    char got = 0;
    EXPECT_RC(RC_OK, rc_put(ch_, &c, 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_get(there, &got, 1, kPatience, nullptr));
    EXPECT_EQ(c, got);
  }
}

// Nothing outside the memory that was given is written.
TEST_P(Attaching, StaysWithinItsMemory) {
  struct {
    alignas(128) uint8_t before[128];
    alignas(128) uint8_t memory[1536];
    uint8_t after[128];
  } tx, rx;
  memset(&tx, 0x5a, sizeof tx);
  memset(&rx, 0x5a, sizeof rx);
  memset(tx.memory, 0, sizeof tx.memory);
  memset(rx.memory, 0, sizeof rx.memory);
  rc_attach_config one = config(), other = config();
  one.tx = other.tx = tx.memory;
  one.rx = rx.memory;
  other.tx = rx.memory;
  other.rx = tx.memory;
  one.bytes = other.bytes = 1400;
  rc_channel there{0};
  ASSERT_RC(RC_OK, rc_attach(ctx_, &one, &ch_));
  ASSERT_RC(RC_OK, rc_attach(ctx_, &other, &there));
  for (int i = 0; i < 20; ++i) {
    Buffer bytes = out_.next(177), got(177);
    ASSERT_RC(RC_OK, rc_put(ch_, bytes.data(), 177, kPatience, nullptr));
    ASSERT_RC(RC_OK, rc_get(there, got.data(), 177, kPatience, nullptr));
    EXPECT_EQ(0, memcmp(bytes.data(), got.data(), 177));
  }
  EXPECT_RC(RC_OK, rc_channel_close(there));
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  for (auto* area : {&tx, &rx}) {
    for (uint8_t byte : area->before) ASSERT_EQ(0x5a, byte);
    for (uint8_t byte : area->after) ASSERT_EQ(0x5a, byte);
    for (size_t i = 1400; i < 1536; ++i) ASSERT_EQ(0, area->memory[i]);
  }
}

TEST_P(Attaching, FullPoolIsNamed) {
  rc_config small = {};
  small.size = sizeof small;
  small.channels_max = 1;
  small.ring_bytes = 4096;
  rc_ctx ctx{0};
  ASSERT_RC(RC_OK, rc_open(&small, &ctx));
  rc_attach_config good = config();
  rc_channel first{0}, second{0};
  EXPECT_RC(RC_OK, rc_attach(ctx, &good, &first));
  EXPECT_RC_NAMES(RC_E_POOL, "channel", rc_attach(ctx, &good, &second));
  EXPECT_RC(RC_OK, rc_channel_close(first));
  memset(tx_, 0, sizeof tx_);
  EXPECT_RC(RC_OK, rc_attach(ctx, &good, &second));
  EXPECT_RC(RC_OK, rc_close(ctx));
}

// There is nothing to connect to, and nothing to grant.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Connecting);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Listening);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Operations);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Requests);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Completions);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EventLoop);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Lists);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Model);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Grants);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Direct);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DirectElsewhere);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DirectLease);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RemoteMemory);

INSTANTIATE_TEST_SUITE_P(On, Attaching, testing::Values(backends().front()), name_of);

}  // namespace conformance
