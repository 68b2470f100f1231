// rc_channel_info, rc_channel_counters, rc_progress.
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "harness/conformance/pair.h"

namespace conformance {

TEST_P(Looking, InfoTellsWhatIsKnown) {
  rc_info info;
  memset(&info, 0x5a, sizeof info);
  info.size = sizeof info;
  ASSERT_RC(RC_OK, rc_channel_info(ch_, &info));
  EXPECT_EQ(sizeof info, info.size);
  EXPECT_EQ(RC_OK, info.state);
  EXPECT_EQ(kCapacity, info.ring_bytes);
  EXPECT_EQ(backend().scheme, info.backend);
  if (!backend().attached) {
    std::string taken = info.uri;
    EXPECT_EQ(backend().list_of == 0 ? uri_ : backend().scheme + taken.substr(taken.find(':')), taken);
  }
  EXPECT_STREQ("", info.identity);
  if (backend().knows_peer) {
    EXPECT_EQ(far().pid(), info.peer_pid);
    EXPECT_EQ(static_cast<int64_t>(geteuid()), info.peer_uid);
  }
}

TEST_P(Looking, InfoTellsTheCodeThatEndedIt) {
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  uint8_t byte;
  EXPECT_RC(RC_E_CLOSED, rc_get(ch_, &byte, 1, kPatience, nullptr));
  rc_info info = {};
  info.size = sizeof info;
  ASSERT_RC(RC_OK, rc_channel_info(ch_, &info));
  EXPECT_EQ(RC_E_CLOSED, info.state);
  EXPECT_EQ(kCapacity, info.ring_bytes);
}

TEST_P(Looking, InfoOfAnOlderCallerIsFilledAsFarAsItGoes) {
  rc_info info;
  memset(&info, 0x5a, sizeof info);
  info.size = offsetof(rc_info, peer_pid);
  ASSERT_RC(RC_OK, rc_channel_info(ch_, &info));
  EXPECT_EQ(RC_OK, info.state);
  EXPECT_EQ(kCapacity, info.ring_bytes);
  for (size_t i = offsetof(rc_info, peer_pid); i < sizeof info; ++i) {
    ASSERT_EQ(0x5a, reinterpret_cast<uint8_t*>(&info)[i]) << "byte " << i << " behind its end was written";
  }
}

TEST_P(Looking, StructsWithoutASizeAreRefused) {
  rc_info info = {};
  rc_counters counters = {};
  EXPECT_RC_NAMES(RC_E_CONFIG, "rc_info", rc_channel_info(ch_, &info));
  EXPECT_RC_NAMES(RC_E_CONFIG, "rc_counters", rc_channel_counters(ch_, &counters));
  info.size = 3;
  counters.size = 3;
  EXPECT_RC(RC_E_CONFIG, rc_channel_info(ch_, &info));
  EXPECT_RC(RC_E_CONFIG, rc_channel_counters(ch_, &counters));
  EXPECT_RC(RC_E_INVALID, rc_channel_info(ch_, nullptr));
  EXPECT_RC(RC_E_INVALID, rc_channel_counters(ch_, nullptr));
}

TEST_P(Looking, CountersCountBytes) {
  put(30);
  put(12);
  EXPECT_FAR(RC_OK, 42u, far().get(42));
  EXPECT_FAR(RC_OK, 9u, far().put(9));
  EXPECT_TRUE(eventually([this] { return readable() == 9; }));
  rc_counters counters = {};
  counters.size = sizeof counters;
  ASSERT_RC(RC_OK, rc_channel_counters(ch_, &counters));
  EXPECT_EQ(42u, counters.put_bytes);
  EXPECT_EQ(0u, counters.got_bytes);  // what has arrived is not consumed yet
  EXPECT_EQ(0u, counters.sent_messages);
  EXPECT_EQ(0u, counters.received_messages);
  get(9);
  ASSERT_RC(RC_OK, rc_channel_counters(ch_, &counters));
  EXPECT_EQ(9u, counters.got_bytes);
}

TEST_P(Looking, StagedBytesAreCountedWhenPublished) {
  Buffer bytes = out_.next(30);
  EXPECT_RC(RC_OK, rc_put_more(ch_, bytes.data(), 30, at_once(), nullptr));
  rc_counters counters = {};
  counters.size = sizeof counters;
  ASSERT_RC(RC_OK, rc_channel_counters(ch_, &counters));
  EXPECT_EQ(0u, counters.put_bytes);
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  ASSERT_RC(RC_OK, rc_channel_counters(ch_, &counters));
  EXPECT_EQ(30u, counters.put_bytes);
}

TEST_P(Looking, CountersCountMessages) {
  EXPECT_FAR(RC_OK, 10u, far().send(10));
  EXPECT_FAR(RC_OK, 0u, far().send(0));
  Buffer bytes = out_.next(10);
  size_t n;
  EXPECT_RC(RC_OK, rc_recv(ch_, bytes.data(), 10, &n, nullptr, nullptr, kPatience));
  EXPECT_RC(RC_OK, rc_send(ch_, bytes.data(), 5, nullptr, kPatience, nullptr));
  rc_counters counters = {};
  counters.size = sizeof counters;
  ASSERT_RC(RC_OK, rc_channel_counters(ch_, &counters));
  EXPECT_EQ(1u, counters.received_messages);
  EXPECT_EQ(1u, counters.sent_messages);
  EXPECT_RC(RC_OK, rc_recv(ch_, bytes.data(), 10, &n, nullptr, nullptr, kPatience));
  ASSERT_RC(RC_OK, rc_channel_counters(ch_, &counters));
  EXPECT_EQ(2u, counters.received_messages);
}

TEST_P(Looking, CountersCountWaits) {
  uint8_t byte;
  rc_counters before = {}, after = {};
  before.size = after.size = sizeof before;
  ASSERT_RC(RC_OK, rc_channel_counters(ch_, &before));
  EXPECT_RC(RC_E_TIMEOUT, rc_get(ch_, &byte, 1, kShort, nullptr));
  ASSERT_RC(RC_OK, rc_channel_counters(ch_, &after));
  EXPECT_EQ(before.get_waits + 1, after.get_waits);
  EXPECT_EQ(before.put_waits, after.put_waits);
  fill();
  ASSERT_RC(RC_OK, rc_channel_counters(ch_, &before));
  EXPECT_RC(RC_E_TIMEOUT, rc_put(ch_, &byte, 1, kShort, nullptr));
  ASSERT_RC(RC_OK, rc_channel_counters(ch_, &after));
  EXPECT_EQ(before.put_waits + 1, after.put_waits);
}

TEST_P(Looking, CountersOfAnOlderCallerAreFilledAsFarAsTheyGo) {
  put(30);
  rc_counters counters;
  memset(&counters, 0x5a, sizeof counters);
  counters.size = offsetof(rc_counters, got_bytes);
  ASSERT_RC(RC_OK, rc_channel_counters(ch_, &counters));
  EXPECT_EQ(30u, counters.put_bytes);
  for (size_t i = offsetof(rc_counters, got_bytes); i < sizeof counters; ++i) {
    ASSERT_EQ(0x5a, reinterpret_cast<uint8_t*>(&counters)[i]) << "byte " << i << " behind its end was written";
  }
}

TEST_P(Looking, ProgressIsHarmless) {
  EXPECT_RC(RC_OK, rc_progress(ch_));
  put(3);
  EXPECT_RC(RC_OK, rc_progress(ch_));
  EXPECT_FAR(RC_OK, 3u, far().get(3));
}

TEST_P(Looking, ProgressTellsTheEnd) {
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  EXPECT_TRUE(eventually([this] { return rc_progress(ch_) == RC_E_CLOSED; }));
}

RC_CONFORMANCE(Looking);

}  // namespace conformance
