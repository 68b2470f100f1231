// Limits, and what is said at them: a crowd that connects and never says hello keeps nobody out and takes a bounded
// number of descriptors; a process short of descriptors, and a kernel that refuses an option.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "harness/tcp/loopback.h"
#include "rc.h"

// The linker puts this between the library and setsockopt: what the kernel says to SO_BUSY_POLL differs by version.
static bool g_no_busy_polling = false;
static int g_busy_polling_asked = 0;
extern "C" int __real_setsockopt(int, int, int, const void*, socklen_t);
extern "C" int __wrap_setsockopt(int fd, int level, int name, const void* value, socklen_t bytes) {
  if (level != SOL_SOCKET || name != SO_BUSY_POLL) return __real_setsockopt(fd, level, name, value, bytes);
  ++g_busy_polling_asked;
  errno = EPERM;
  return g_no_busy_polling ? -1 : 0;
}

namespace {

constexpr int64_t kPatience = INT64_C(20) * 1000 * 1000 * 1000;
constexpr int kOpenAtOnce = 300;
constexpr int kHonest = 30;
// Places in the handshake, and what one honest client in it may hold.
constexpr int kDescriptorsMost = 2 * 16 + 8;

#define EXPECT_RC(code, call) EXPECT_EQ(code, call) << rc_reason()
#define ASSERT_RC(code, call) ASSERT_EQ(code, call) << rc_reason()

int descriptors() {
  int n = 0;
  DIR* all = opendir("/proc/self/fd");
  while (all != nullptr && readdir(all) != nullptr) ++n;
  if (all != nullptr) closedir(all);
  return n;
}

int dial(const std::string& uri) {
  if (uri.rfind("tcp", 0) == 0) {
    sockaddr_in to = loopback(static_cast<uint16_t>(atoi(strrchr(uri.c_str(), ':') + 1)));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
    return fd;
  }
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  std::string name = "ringchan/" + uri.substr(4);
  memcpy(to.sun_path + 1, name.data(), name.size());
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  connect(fd, reinterpret_cast<sockaddr*>(&to),
          static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size()));
  return fd;
}

// In a process of its own until it is killed. It says once how that it has begun.
pid_t flood(const std::string& uri) {
  int begun[2];
  if (pipe(begun) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    std::vector<int> open(kOpenAtOnce, -1);
    for (int at = 0;; at = (at + 1) % kOpenAtOnce) {
      if (open[static_cast<size_t>(at)] >= 0) close(open[static_cast<size_t>(at)]);
      open[static_cast<size_t>(at)] = dial(uri);
      if (at == kOpenAtOnce - 1 && begun[1] >= 0) {
        if (write(begun[1], "", 1) != 1) _exit(1);
        close(begun[1]);
        begun[1] = -1;
      }
    }
  }
  close(begun[1]);
  char byte;
  EXPECT_EQ(1, read(begun[0], &byte, 1));
  close(begun[0]);
  return child;
}

class Flood : public testing::TestWithParam<const char*> {};

TEST_P(Flood, OfSilentClientsKeepsNobodyOut) {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 4;
  config.ring_bytes = 4096;
  rc_ctx ctx{0}, other{0};
  rc_listener listener{0};
  std::string uri = std::string(GetParam()) == "tcp" ? "tcp://127.0.0.1:0" : "shm:flood-" + std::to_string(getpid());
  char told[160];
  ASSERT_RC(RC_OK, rc_open(&config, &ctx));
  ASSERT_RC(RC_OK, rc_open(&config, &other));
  ASSERT_RC(RC_OK, rc_listen(ctx, uri.c_str(), nullptr, &listener));
  ASSERT_RC(RC_OK, rc_listener_uri(listener, told, sizeof told));
  pid_t child = flood(told);
  int before = descriptors(), most = 0;
  double longest = 0;
  for (int i = 0; i < kHonest && !HasFailure(); ++i) {
    auto start = std::chrono::steady_clock::now();
    rc_channel one{0}, two{0};
    std::thread connecting([&] { EXPECT_RC(RC_OK, rc_connect(other, told, nullptr, kPatience, &one)); });
    EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &two));
    connecting.join();
    longest = std::max(longest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    char byte = 'x', got = 0;
    EXPECT_RC(RC_OK, rc_put(one, &byte, 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_get(two, &got, 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_channel_close(one));
    EXPECT_RC(RC_OK, rc_channel_close(two));
    most = std::max(most, descriptors() - before);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  printf("%s: %d honest clients in between, the slowest after %.1f ms; at most %d descriptors more\n", GetParam(),
         kHonest, longest * 1e3, most);
  EXPECT_LE(most, kDescriptorsMost);
  EXPECT_RC(RC_OK, rc_close(ctx));
  EXPECT_RC(RC_OK, rc_close(other));
}

// The reason tells the limit and what to type, in words that are not the system's only.
TEST_P(Flood, ShortOfDescriptorsIsSaidWithTheLimitAndTheCommand) {
  rc_config config = {};
  config.size = sizeof config;
  config.ring_bytes = 4096;
  rc_ctx ctx{0};
  rc_listener listener{0};
  std::string uri = std::string(GetParam()) == "tcp" ? "tcp://127.0.0.1:0" : "shm:short-" + std::to_string(getpid());
  char told[160];
  ASSERT_RC(RC_OK, rc_open(&config, &ctx));
  ASSERT_RC(RC_OK, rc_listen(ctx, uri.c_str(), nullptr, &listener));
  ASSERT_RC(RC_OK, rc_listener_uri(listener, told, sizeof told));
  rlimit old = {};
  getrlimit(RLIMIT_NOFILE, &old);
  int lowest = dup(0);
  close(lowest);
  rlimit none = {static_cast<rlim_t>(lowest), old.rlim_max};
  ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
  rc_channel ch{0};
  int32_t code = rc_connect(ctx, told, nullptr, kPatience, &ch);
  std::string reason = rc_reason();
  setrlimit(RLIMIT_NOFILE, &old);
  EXPECT_EQ(RC_E_NO_DESCRIPTORS, code) << reason;
  EXPECT_NE(std::string::npos, reason.find("may have " + std::to_string(lowest) + " descriptors")) << reason;
  EXPECT_NE(std::string::npos, reason.find("ulimit -n " + std::to_string(old.rlim_max))) << reason;
  EXPECT_RC(RC_OK, rc_close(ctx));
}

// An option of the URI that the kernel refuses is no option that is left out.
TEST(BusyPolling, ThatTheKernelRefusesIsSaid) {
  rc_ctx ctx{0};
  rc_listener listener{0};
  rc_channel one{0}, two{0};
  char told[160];
  ASSERT_RC(RC_OK, rc_open(nullptr, &ctx));
  ASSERT_RC(RC_OK, rc_listen(ctx, "tcp://127.0.0.1:0", nullptr, &listener));
  ASSERT_RC(RC_OK, rc_listener_uri(listener, told, sizeof told));
  std::string uri = std::string(told) + "?busy_poll_us=50";
  for (bool refused : {false, true}) {
    SCOPED_TRACE(refused);
    g_no_busy_polling = refused;
    g_busy_polling_asked = 0;
    std::thread accepting([&] { EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &two)); });
    int32_t code = rc_connect(ctx, uri.c_str(), nullptr, kPatience, &one);
    std::string reason = rc_reason();
    accepting.join();
    EXPECT_EQ(1, g_busy_polling_asked);
    EXPECT_EQ(refused ? RC_E_NO_PERMISSION : RC_OK, code) << reason;
    if (refused) {
      EXPECT_NE(std::string::npos, reason.find("busy_poll_us")) << reason;
    }
    EXPECT_RC(RC_OK, rc_channel_close(two));
  }
  EXPECT_RC(RC_OK, rc_close(ctx));
}

INSTANTIATE_TEST_SUITE_P(At, Flood, testing::Values("tcp", "shm"), [](const auto& test) { return test.param; });

}  // namespace
