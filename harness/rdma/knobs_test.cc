// What an rdma:// URI may say, and how a wrong one is refused. Needs no RDMA.
#include "backends/rdma/knobs.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>

#include "core/op_wire.h"

namespace {

rc::Code read(const std::string& text, rc::Knobs* knobs, const char* beneath = "") {
  rc::Uri uri;
  EXPECT_EQ(rc::kOk, uri.parse(text.c_str())) << text;
  return rc::read_knobs(uri, beneath, knobs);
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

TEST(RdmaKnobs, OnesOfTheConfigurationCountUnlessTheUriSaysOtherwise) {
  rc::Knobs k = {};
  ASSERT_EQ(rc::kOk, read("rdma://h:1", &k, "mtu=1024&retry_count=3&mode=event&dev=rxe0&access=write")) << rc::reason();
  EXPECT_EQ(1024u, k.mtu);
  EXPECT_EQ(3u, k.retry_count);
  EXPECT_TRUE(k.event);
  EXPECT_STREQ("rxe0", k.device);
  ASSERT_EQ(rc::kOk, read("rdma://h:1?mtu=512&mode=poll&dev=rxe1", &k, "mtu=1024&retry_count=3&mode=event&dev=rxe0"))
      << rc::reason();
  EXPECT_EQ(512u, k.mtu);
  EXPECT_EQ(3u, k.retry_count);
  EXPECT_FALSE(k.event);
  EXPECT_STREQ("rxe1", k.device);
  EXPECT_EQ(rc::kUri, read("rdma://h:1", &k, "mtu=77"));
  EXPECT_STREQ("URI \"rdma://h:1 with rdma_knobs\": mtu=77 is not in 256..4096", rc::reason());
  EXPECT_EQ(rc::kUri, read("rdma://h:1", &k, "speed=9"));
  EXPECT_NE(nullptr, strstr(rc::reason(), "no parameter \"speed\"")) << rc::reason();
}

TEST(RdmaKnobs, AllOfThemFitIntoTheConfiguration) {
  rc::Knobs k = {};
  std::string all =
      "dev=" + std::string(63, 'd') +
      "&port=1&mode=event&path=write&sq_depth=4096&rq_depth=4096&inline=4096&sge=64&cq_depth=65536&cq_poll=64&signal=16"
      "&pd=shared&cq=shared&access=write+read+atomic&mtu=4096&gid=255&pkey=65535&sl=15&tclass=255&hop_limit=255"
      "&flow_label=1048575&static_rate=24&path_bits=127&min_rnr_timer=31&rd_atomic=255&dest_rd_atomic=255&psn=16777215"
      "&timeout_ms=600000&retry_count=6&ack_timeout=31&rnr_retry=6";
  ASSERT_LT(all.size(), rc::kKnobsBytes);
  ASSERT_EQ(rc::kOk, read("rdma://" + std::string(100, 'h') + ":65535?sl=1", &k, all.c_str())) << rc::reason();
  EXPECT_EQ(16777215u, k.psn);
  EXPECT_EQ(1u, k.sl);
}

TEST(RdmaKnobs, DefaultsPoll) {
  rc::Knobs k = good("rdma://h:1");
  EXPECT_FALSE(k.event);
  EXPECT_STREQ("", k.device);
  EXPECT_EQ(UINT32_MAX, k.inline_bytes);
  EXPECT_EQ(0u, k.send_depth);
  EXPECT_EQ(2000u, k.timeout_ms);
  EXPECT_EQ(rc::kNotGiven, k.tclass);
  EXPECT_EQ(rc::kNotGiven, k.gid);
  EXPECT_EQ(0u, k.mtu);
  EXPECT_EQ(0u, k.access);  // what the device can
}

TEST(RdmaKnobs, PathIsWriteUnlessItIsSend) {
  EXPECT_EQ(rc::kPathWrite, good("rdma://h:1").path);
  EXPECT_EQ(rc::kPathWrite, good("rdma://h:1?path=write&access=write+read").path);
  rc::Knobs k = good("rdma://h:1?path=send&rq_depth=256");
  EXPECT_EQ(rc::kPathSend, k.path);
  EXPECT_EQ(0u, k.access);
}

TEST(RdmaKnobs, CompletionQueuesAreItsOwnUnlessTheyAreShared) {
  EXPECT_FALSE(good("rdma://h:1").shared_cq);
  EXPECT_FALSE(good("rdma://h:1?cq=own").shared_cq);
  EXPECT_TRUE(good("rdma://h:1?cq=shared&cq_depth=65536").shared_cq);
}

TEST(RdmaKnobs, ProtectionDomainsAreSharedUnlessTheyAreItsOwn) {
  EXPECT_FALSE(good("rdma://h:1").own_pd);
  EXPECT_FALSE(good("rdma://h:1?pd=shared").own_pd);
  EXPECT_TRUE(good("rdma://h:1?pd=own").own_pd);
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
  EXPECT_EQ(104u, k.tclass);
  EXPECT_EQ(500u, k.timeout_ms);
  EXPECT_EQ(3u, k.retry_count);
  EXPECT_EQ(15u, k.ack_timeout);
  EXPECT_EQ(2u, k.rnr_retry);
  k = good(
      "rdma://h:1?mtu=512&gid=3&pkey=1&sl=5&hop_limit=9&flow_label=77&static_rate=2&path_bits=1&min_rnr_timer=12&"
      "rd_atomic=4&dest_rd_atomic=6&psn=99");
  EXPECT_EQ(512u, k.mtu);
  EXPECT_EQ(3u, k.gid);
  EXPECT_EQ(1u, k.pkey);
  EXPECT_EQ(5u, k.sl);
  EXPECT_EQ(9u, k.hop_limit);
  EXPECT_EQ(77u, k.flow_label);
  EXPECT_EQ(2u, k.static_rate);
  EXPECT_EQ(1u, k.path_bits);
  EXPECT_EQ(12u, k.min_rnr_timer);
  EXPECT_EQ(4u, k.rd_atomic);
  EXPECT_EQ(6u, k.dest_rd_atomic);
  EXPECT_EQ(99u, k.psn);
  k = good("rdma://h:1?sge=2&cq_depth=64&cq_poll=4&signal=8&access=write+read+atomic");
  EXPECT_EQ(2u, k.sge);
  EXPECT_EQ(64u, k.cq_depth);
  EXPECT_EQ(4u, k.cq_poll);
  EXPECT_EQ(8u, k.signal);
  EXPECT_EQ(rc::kAllRights, k.access);
}

TEST(RdmaKnobs, ValuesOutOfRangeAreRefusedAndNamed) {
  for (const char* query : {"port=0",         "port=256",       "sq_depth=31",
                            "sq_depth=4097",  "rq_depth=63",    "inline=4097",
                            "tclass=256",     "timeout_ms=0",   "timeout_ms=600001",
                            "retry_count=7",  "ack_timeout=32", "rnr_retry=7",
                            "timeout_ms=",    "sq_depth=many",  "sq_depth=99999999999999999999",
                            "mtu=128",        "mtu=1500",       "mtu=8192",
                            "gid=256",        "pkey=65536",     "sl=16",
                            "hop_limit=0",    "hop_limit=256",  "flow_label=1048576",
                            "static_rate=25", "path_bits=128",  "min_rnr_timer=32",
                            "rd_atomic=0",    "rd_atomic=256",  "dest_rd_atomic=256",
                            "psn=16777216",   "sge=0",          "sge=65",
                            "cq_depth=31",    "cq_depth=65537", "cq_poll=0",
                            "cq_poll=65",     "signal=0",       "signal=17",
                            "access=all",     "access=read"}) {
    std::string key = std::string(query).substr(0, std::string(query).find('='));
    expect_refused(std::string("rdma://h:1?") + query, key);
  }
  expect_refused("rdma://h:1?path=both", "path=both");
  expect_refused("rdma://h:1?cq=mine", "cq=mine: there are own and shared");
  expect_refused("rdma://h:1?pd=mine", "pd=mine: there are shared and own");
  expect_refused("rdma://h:1?mode=wait", "mode=wait: there are poll and event");
  expect_refused("rdma://h:1?path=send&access=write", "access");
  expect_refused("rdma://h:1?path=send&rq_depth=257", "at most 256");
  expect_refused("rdma://h:1?mode=eventually", "mode");
  expect_refused("rdma://h:1?dev=" + std::string(64, 'd'), "dev");
  expect_refused("rdma://h:1?mtus=4096", "mtus");
}

// All tries of a packet end within three quarters of the time-out, and half of that is not given away.
TEST(RdmaKnobs, TriesFitTheTimeout) {
  for (uint64_t timeout_ms : {1, 10, 100, 1000, 2000, 60000, 600000}) {
    for (uint64_t retries : {0, 1, 3, 6}) {
      SCOPED_TRACE(testing::Message() << timeout_ms << " ms, " << retries << " retries");
      rc::Knobs k =
          good("rdma://h:1?timeout_ms=" + std::to_string(timeout_ms) + "&retry_count=" + std::to_string(retries));
      uint64_t all_ns = (uint64_t{4096} << k.ack_timeout) * (retries + 1);
      EXPECT_LE(all_ns, timeout_ms * 750000);
      EXPECT_GT(all_ns * 2 + 2, timeout_ms * 750000);
    }
  }
}
