// What a tcp URI may say, and what is answered where it leads nowhere.
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/tcp/raw_tcp.h"

namespace raw_tcp {
namespace {

class Addresses : public testing::Test {
 protected:
  void SetUp() override { ASSERT_RC(RC_OK, rc_open(nullptr, &ctx_)); }
  void TearDown() override { EXPECT_RC(RC_OK, rc_close(ctx_)); }
  int32_t listen(const std::string& uri) { return rc_listen(ctx_, uri.c_str(), nullptr, &listener_); }
  int32_t connect(const std::string& uri, int64_t timeout_ns = kShort) {
    return rc_connect(ctx_, uri.c_str(), nullptr, timeout_ns, &channel_);
  }
  std::string uri() {
    char text[160] = "";
    EXPECT_RC(RC_OK, rc_listener_uri(listener_, text, sizeof text));
    return text;
  }
  rc_ctx ctx_ = {0};
  rc_listener listener_ = {0};
  rc_channel channel_ = {0};
};

TEST_F(Addresses, MalformedOnesAreRefused) {
  for (const char* bad : {"tcp:127.0.0.1:7000", "tcp:/127.0.0.1:7000", "tcp://127.0.0.1", "tcp://:7000",
                          "tcp://127.0.0.1:", "tcp://127.0.0.1:x", "tcp://127.0.0.1:65536",
                          "tcp://127.0.0.1:99999999999", "tcp://127.0.0.1:-1", "tcp://127.0.0.1:70 ", "tcp://::1:7000",
                          "tcp://[::1:7000", "tcp://[::1]7000", "tcp://[]:7000", "tcp://127.0.0.1:7000?timeout_ms=0",
                          "tcp://127.0.0.1:7000?timeout_ms=x", "tcp://127.0.0.1:7000?timeout_ms=999",
                          "tcp://127.0.0.1:7000?busy_poll_us=99999999999", "tcp://127.0.0.1:7000?timeout=1"}) {
    SCOPED_TRACE(bad);
    EXPECT_RC(RC_E_URI, listen(bad));
    EXPECT_RC(RC_E_URI, connect(bad));
  }
  EXPECT_RC(RC_E_URI, connect("tcp://127.0.0.1:0"));
}

TEST_F(Addresses, PortZeroTellsThePortItGot) {
  for (const char* host : {"127.0.0.1", "0.0.0.0", "localhost"}) {
    SCOPED_TRACE(host);
    std::string begin = std::string("tcp://") + host + ":";
    ASSERT_RC(RC_OK, listen(begin + "0?timeout_ms=2000"));
    EXPECT_EQ(begin, uri().substr(0, begin.size()));
    EXPECT_GT(atoi(uri().c_str() + begin.size()), 0);
    EXPECT_NE(std::string::npos, uri().find("?timeout_ms=2000"));
    EXPECT_RC(RC_E_TIMEOUT, connect(uri()));  // somebody is there, who does not accept
    char small[8];
    EXPECT_RC(RC_E_SIZE, rc_listener_uri(listener_, small, sizeof small));
    EXPECT_RC(RC_E_INVALID, rc_listener_uri(listener_, nullptr, 160));
    EXPECT_RC(RC_OK, rc_listener_close(listener_));
    EXPECT_RC(RC_E_HANDLE, rc_listener_uri(listener_, small, sizeof small));
  }
}

TEST_F(Addresses, WhatIsInTheWayHasItsOwnCode) {
  EXPECT_RC(RC_E_NO_HOST, connect("tcp://no-such-host.invalid:7000"));
  EXPECT_NE(nullptr, strstr(rc_reason(), "no-such-host.invalid"));
  EXPECT_RC(RC_E_NO_HOST, listen("tcp://no-such-host.invalid:7000"));
  EXPECT_RC(RC_E_UNREACHABLE, listen("tcp://192.0.2.1:7000"));  // TEST-NET-1 (RFC 5737): nobody's
  EXPECT_RC(RC_E_NO_LISTENER, connect("tcp://127.0.0.1:1"));
  ASSERT_RC(RC_OK, listen("tcp://127.0.0.1:0"));
  rc_listener second = {0};
  EXPECT_RC(RC_E_NAME_IN_USE, rc_listen(ctx_, uri().c_str(), nullptr, &second));
}

TEST_F(Addresses, PrivilegedPortIsNoPermission) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  pid_t child = fork();
  if (child == 0) {
    rc_ctx ctx;
    rc_listener listener;
    if (setuid(65534) != 0) _exit(100);
    if (rc_open(nullptr, &ctx) != RC_OK) _exit(101);
    int32_t code = rc_listen(ctx, "tcp://127.0.0.1:81", nullptr, &listener);
    _exit(code == RC_E_NO_PERMISSION && strstr(rc_reason(), "81") != nullptr ? 0 : code == RC_OK ? 102 : 103);
  }
  int status = 0;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  if (WIFEXITED(status) && (WEXITSTATUS(status) == 100 || WEXITSTATUS(status) == 102))
    GTEST_SKIP() << "this sandbox has no privileged ports, or no other users";
  EXPECT_EQ(0, status) << WEXITSTATUS(status);
}

// A port of the range that clients get: sooner or later a client without a listener meets itself there.
TEST_F(Addresses, ClientDoesNotMeetItself) {
  uint16_t port = 0;
  Socket::listen_at(&port).close();
  EXPECT_RC(RC_E_NO_LISTENER, connect("tcp://127.0.0.1:" + std::to_string(port), 300 * kMs));
}

}  // namespace
}  // namespace raw_tcp
