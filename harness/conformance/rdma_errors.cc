// What rdma:// refuses, and with which code and reason; and a client that is no ringchan peer.
#include <gtest/gtest.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>

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

  // Of this program, run with one of its tests; 126: that could not be prepared.
  static int exit_of_child(const char* test, const std::function<bool()>& prepare) {
    setenv("RC_RDMA_URI", rdma_uri("").c_str(), 1);
    pid_t child = fork();
    if (child == 0) {
      std::string filter = std::string("--gtest_filter=RdmaErrors.") + test;
      if (!prepare()) _exit(126);
      execl("/proc/self/exe", "rdma_errors", filter.c_str(), "--gtest_also_run_disabled_tests",
            "--gtest_output=", nullptr);
      _exit(127);
    }
    unsetenv("RC_RDMA_URI");
    int status = 0;
    EXPECT_EQ(child, waitpid(child, &status, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  rc_ctx ctx_{0};
};

// This process gets a /dev/infiniband of its own: all may open rdma_cm, and uverbs0 if it is there has that mode.
bool see_other_devices(mode_t mode_of_uverbs) {
  struct stat cm, uverbs;
  return stat("/dev/infiniband/rdma_cm", &cm) == 0 && stat("/dev/infiniband/uverbs0", &uverbs) == 0 &&
         unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("none", "/dev/infiniband", "tmpfs", 0, nullptr) == 0 && (umask(0), true) &&
         mknod("/dev/infiniband/rdma_cm", S_IFCHR | 0666, cm.st_rdev) == 0 &&
         (mode_of_uverbs == 0 || mknod("/dev/infiniband/uverbs0", S_IFCHR | mode_of_uverbs, uverbs.st_rdev) == 0);
}

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

TEST_F(RdmaErrors, MoreThanTheDeviceCan) {
  expect_connect(RC_E_URI, "?inline=4096", "inline=4096");
  expect_listen(RC_E_URI, rdma_uri("?sge=64"), "sge=64");  // the device is known by the address
}

TEST_F(RdmaErrors, NobodyListensUntilTheDeadline) {
  rc_channel channel{0};
  auto start = std::chrono::steady_clock::now();
  EXPECT_RC(RC_E_NO_LISTENER, rc_connect(ctx_, rdma_uri("").c_str(), nullptr, 500 * 1000 * 1000, &channel));
  EXPECT_LE(std::chrono::milliseconds(400), std::chrono::steady_clock::now() - start);
}

// As a user whose memory lock is limited; root's is not.
TEST_F(RdmaErrors, TooLittleMemoryMayBeLocked) {
  EXPECT_EQ(0, exit_of_child("DISABLED_Memlock", [] {
              rlimit limit = {1024 * 1024, 1024 * 1024};
              return setrlimit(RLIMIT_MEMLOCK, &limit) == 0 && setuid(65534) == 0;
            }));
}

TEST_F(RdmaErrors, DISABLED_Memlock) {
  const char* uri = getenv("RC_RDMA_URI");
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

// Where it is not there, as in a container that was not given it, and for another user.
TEST_F(RdmaErrors, DeviceThatThisProcessMayNotOpen) {
  for (mode_t mode : {0000, 0600}) {
    SCOPED_TRACE(mode);
    int code = exit_of_child("DISABLED_Closed", [=] { return see_other_devices(mode) && setuid(65534) == 0; });
    if (code == 126) GTEST_SKIP() << "no rights to mount, or the only device is not uverbs0";
    EXPECT_EQ(0, code);
  }
}

TEST_F(RdmaErrors, DISABLED_Closed) {
  const char* uri = getenv("RC_RDMA_URI");
  ASSERT_NE(nullptr, uri);
  const char* wanted = "--device /dev/infiniband/uverbs0";
  rc_listener listener{0};
  rc_channel channel{0};
  rc_device device = {};
  device.size = sizeof device;
  char blob[512];
  size_t bytes = sizeof blob;
  EXPECT_RC_NAMES(RC_E_NO_DEVICE, wanted, rc_listen(ctx_, uri, nullptr, &listener));
  EXPECT_RC_NAMES(RC_E_NO_DEVICE, wanted, rc_connect(ctx_, uri, nullptr, kPatience, &channel));
  EXPECT_RC_NAMES(RC_E_NO_DEVICE, wanted, rc_endpoint_open(ctx_, uri, nullptr, blob, &bytes, &listener));
  EXPECT_RC_NAMES(RC_E_NO_DEVICE, wanted, rc_device_info(0, &device));
}

}  // namespace conformance
