// What rdma:// refuses, and with which code and reason; and a client that is no ringchan peer.
#include <gtest/gtest.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

class RdmaErrors : public testing::Test {
 protected:
  void SetUp() override { ASSERT_RC(RC_OK, rc_open(nullptr, &ctx_)); }
  void TearDown() override { EXPECT_RC(RC_OK, rc_close(ctx_)); }

  void expect_listen(int32_t code, const std::string& uri, const char* names) {
    SCOPED_TRACE(uri);
    rc_listener listener{0};
    EXPECT_RC_NAMES(code, names, rc_listen(ctx_, uri.c_str(), nullptr, &listener));
  }
  // Somebody listens there; the client's URI asks for what cannot be.
  void expect_connect(int32_t code, const std::string& query, const char* names) {
    SCOPED_TRACE(query);
    rc_listener listener{0};
    rc_channel channel{0};
    std::string uri = rdma_uri("");
    ASSERT_RC(RC_OK, rc_listen(ctx_, uri.c_str(), nullptr, &listener));
    EXPECT_RC_NAMES(code, names, rc_connect(ctx_, (uri + query).c_str(), nullptr, kPatience, &channel));
    EXPECT_RC(RC_OK, rc_listener_close(listener));
  }

  rc_ctx ctx_{0};
};

}  // namespace

TEST_F(RdmaErrors, DeviceThatIsNotThere) {
  expect_listen(RC_E_NO_DEVICE, rdma_uri("?dev=nosuch"), "nosuch");
  expect_connect(RC_E_NO_DEVICE, "?dev=nosuch", "nosuch");
}

TEST_F(RdmaErrors, PortThatIsNotThere) { expect_connect(RC_E_NO_DEVICE, "?port=200", "200"); }

TEST_F(RdmaErrors, AddressOfNoDevice) {
  expect_listen(RC_E_NO_DEVICE, "rdma://192.0.2.1:7000", "192.0.2.1");
  rc_channel channel{0};
  EXPECT_RC_NAMES(RC_E_UNREACHABLE, "192.0.2.1",
                  rc_connect(ctx_, "rdma://192.0.2.1:7000", nullptr, 20 * kShort, &channel));
}

TEST_F(RdmaErrors, HostThatIsNoName) {
  expect_listen(RC_E_NO_HOST, "rdma://no.such.host.invalid:7000", "no.such.host.invalid");
}

TEST_F(RdmaErrors, MoreThanTheDeviceCan) { expect_connect(RC_E_URI, "?inline=4096", "inline=4096"); }

TEST_F(RdmaErrors, NobodyListensUntilTheDeadline) {
  rc_channel channel{0};
  auto start = std::chrono::steady_clock::now();
  EXPECT_RC(RC_E_NO_LISTENER, rc_connect(ctx_, rdma_uri("").c_str(), nullptr, 500 * 1000 * 1000, &channel));
  EXPECT_LE(std::chrono::milliseconds(400), std::chrono::steady_clock::now() - start);
}

// As a user whose memory lock is limited; root's is not.
TEST_F(RdmaErrors, TooLittleMemoryMayBeLocked) {
  setenv("RC_RDMA_MEMLOCK", rdma_uri("").c_str(), 1);
  pid_t child = fork();
  if (child == 0) {
    rlimit limit = {1024 * 1024, 1024 * 1024};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || setuid(65534) != 0) _exit(126);
    execl("/proc/self/exe", "rdma_errors", "--gtest_filter=RdmaErrors.DISABLED_Memlock",
          "--gtest_also_run_disabled_tests", "--gtest_output=", nullptr);
    _exit(127);
  }
  unsetenv("RC_RDMA_MEMLOCK");
  int status = 0;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, status);
}

TEST_F(RdmaErrors, DISABLED_Memlock) {
  const char* uri = getenv("RC_RDMA_MEMLOCK");
  ASSERT_NE(nullptr, uri);
  rc_listener listener{0};
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri, nullptr, &listener));
  rc_channel channel{0}, none{0};
  Doing accepting([&] { return rc_accept(listener, kPatience, &none); });
  int32_t code = rc_connect(ctx_, uri, nullptr, kPatience, &channel);
  EXPECT_EQ(RC_E_NO_MEMORY, code);
  for (const char* names : {" bytes for a ring", "1048576", "ulimit -l"}) {
    EXPECT_NE(nullptr, strstr(rc_reason(), names)) << rc_reason();
  }
  EXPECT_RC(RC_OK, rc_listener_close(listener));
  EXPECT_DONE(RC_E_CLOSING, accepting);
}

}  // namespace conformance
