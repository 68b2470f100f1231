// What an rdma:// URI may say, and how a wrong one is refused. Needs no RDMA.
#include "backends/rdma/knobs.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>

namespace {

rc::Code read(const std::string& text, rc::Knobs* knobs) {
  rc::Uri uri;
  EXPECT_EQ(rc::kOk, uri.parse(text.c_str())) << text;
  return rc::read_knobs(uri, knobs);
}

rc::Knobs good(const std::string& text) {
  rc::Knobs knobs;
  EXPECT_EQ(rc::kOk, read(text, &knobs)) << text << ": " << rc::reason();
  return knobs;
}

void expect_refused(const std::string& text, const std::string& names) {
  rc::Knobs knobs;
  EXPECT_EQ(rc::kUri, read(text, &knobs)) << text;
  EXPECT_NE(nullptr, strstr(rc::reason(), names.c_str())) << text << ": " << rc::reason();
}

}  // namespace

TEST(RdmaKnobs, AddressIsTakenApart) {
  rc::Knobs k = good("rdma://host.example:7000");
  EXPECT_STREQ("host.example", k.host);
  EXPECT_STREQ("7000", k.service);
  k = good("rdma://[fe80::1%eth0]:1?mode=poll");
  EXPECT_STREQ("fe80::1%eth0", k.host);
  EXPECT_STREQ("1", k.service);
}

TEST(RdmaKnobs, AddressesThatAreNoneAreRefused) {
  expect_refused("rdma:name", "rdma://host:port");
  expect_refused("rdma://host", "port is missing");
  expect_refused("rdma://:7000", "host is empty");
  expect_refused("rdma://[]:7000", "host is empty");
  expect_refused("rdma://host:", "\"\"");
  expect_refused("rdma://host:0", "1..65535");
  expect_refused("rdma://host:65536", "1..65535");
  expect_refused("rdma://host:123456", "123456");
  expect_refused("rdma://host:70x", "70x");
  expect_refused("rdma://fe80::1:7000", "[fe80::1]");
}

TEST(RdmaKnobs, DefaultsPoll) {
  rc::Knobs k = good("rdma://h:1");
  EXPECT_FALSE(k.event);
  EXPECT_STREQ("", k.device);
  EXPECT_EQ(UINT32_MAX, k.inline_bytes);
  EXPECT_EQ(0u, k.send_depth);
  EXPECT_EQ(2000u, k.timeout_ms);
  EXPECT_FALSE(k.tclass_given);
}

TEST(RdmaKnobs, EachIsRead) {
  rc::Knobs k = good(
      "rdma://h:1?dev=mlx5_0&port=2&mode=event&sq_depth=64&rq_depth=128&inline=0&tclass=104&timeout_ms=500&"
      "retry_count=3&ack_timeout=15&rnr_retry=2");
  EXPECT_STREQ("mlx5_0", k.device);
  EXPECT_EQ(2u, k.port);
  EXPECT_TRUE(k.event);
  EXPECT_EQ(64u, k.send_depth);
  EXPECT_EQ(128u, k.receive_depth);
  EXPECT_EQ(0u, k.inline_bytes);
  EXPECT_TRUE(k.tclass_given);
  EXPECT_EQ(104u, k.tclass);
  EXPECT_EQ(500u, k.timeout_ms);
  EXPECT_EQ(3u, k.retry_count);
  EXPECT_EQ(15u, k.ack_timeout);
  EXPECT_EQ(2u, k.rnr_retry);
}

TEST(RdmaKnobs, ValuesOutOfRangeAreRefusedAndNamed) {
  for (const char* query : {"port=0", "port=256", "sq_depth=31", "sq_depth=4097", "rq_depth=63", "inline=4097",
                            "tclass=256", "timeout_ms=0", "timeout_ms=600001", "retry_count=7", "ack_timeout=32",
                            "rnr_retry=7", "timeout_ms=", "sq_depth=many", "sq_depth=99999999999999999999"}) {
    std::string key = std::string(query).substr(0, std::string(query).find('='));
    expect_refused(std::string("rdma://h:1?") + query, key);
  }
  expect_refused("rdma://h:1?mode=sometimes", "sometimes");
  expect_refused("rdma://h:1?mode=eventually", "mode");
  expect_refused("rdma://h:1?dev=" + std::string(64, 'd'), "dev");
  expect_refused("rdma://h:1?mtu=4096", "mtu");
}

// All tries of a packet end within the time-out, and half of it is not given away.
TEST(RdmaKnobs, TriesFitTheTimeout) {
  for (uint64_t timeout_ms : {1, 10, 100, 1000, 2000, 60000, 600000}) {
    for (uint64_t retries : {0, 1, 3, 6}) {
      SCOPED_TRACE(testing::Message() << timeout_ms << " ms, " << retries << " retries");
      rc::Knobs k =
          good("rdma://h:1?timeout_ms=" + std::to_string(timeout_ms) + "&retry_count=" + std::to_string(retries));
      uint64_t all_ns = (uint64_t{4096} << k.ack_timeout) * (retries + 1);
      EXPECT_LE(all_ns, timeout_ms * 1000000);
      EXPECT_GT(all_ns * 2 + 2, timeout_ms * 1000000);
    }
  }
}
