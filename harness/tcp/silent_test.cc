// A machine that falls silent: no end of stream, no reset, nothing. The peer is a process in a network namespace of its
// own, behind a pair of virtual interfaces; the survivor has four channels to it, one for each thing it may be doing.
// Stuck is the put of who has filled a peer that does not read, just now: PROTOCOL.md says what becomes of it later.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/deadline.h"
#include "harness/tcp/raw_tcp.h"

namespace raw_tcp {
namespace {

constexpr int64_t kTimeoutMs = 1000;
constexpr int64_t kMarginMs = 2000;  // a look of the timer, and a busy machine
constexpr uint64_t kRingBytes = uint64_t{8} << 20;
constexpr const char* kPeerUri = "tcp://10.77.0.2:7000";

enum Doing : char { kIdle = 'i', kReading = 'r', kWriting = 'w', kStuck = 's' };
constexpr std::array<Doing, 4> kAll = {kIdle, kReading, kWriting, kStuck};

const char* name_of(Doing doing) {
  return doing == kIdle ? "idle" : doing == kReading ? "reading" : doing == kWriting ? "writing" : "stuck";
}

bool run(const std::string& command) {
  return system(("PATH=$PATH:/usr/sbin:/sbin; (" + command + ") >/dev/null 2>&1").c_str()) == 0;
}

rc_config big_config() {
  rc_config config = {};
  config.size = sizeof config;
  config.ring_bytes = kRingBytes;
  config.channels_max = kAll.size();
  return config;
}

void write_file(const char* path, const std::string& text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t ignored = write(fd, text.data(), text.size());
  static_cast<void>(ignored);
  close(fd);
}

// Into a network of our own; who is not root becomes it in a user namespace.
bool leave_network() {
  if (geteuid() == 0) return unshare(CLONE_NEWNET) == 0;
  std::string uid = std::to_string(geteuid()), gid = std::to_string(getegid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", "0 " + uid + " 1");
  write_file("/proc/self/gid_map", "0 " + gid + " 1");
  return true;
}

// ---------------------------------------------------------------------------------------------------------------- peer

// What the survivor does, seen from here.
void serve(rc_channel channel) {
  char doing = 0;
  std::vector<char> bytes(65536);
  if (rc_get(channel, &doing, 1, kPatience, nullptr) != RC_OK) return;
  while (doing == kReading && rc_put(channel, bytes.data(), bytes.size(), kPatience, nullptr) == RC_OK) {
  }
  while (doing == kWriting && rc_get(channel, bytes.data(), bytes.size(), kPatience, nullptr) == RC_OK) {
  }
}

// A byte on `orders` lets it begin, the next one is the end of its machine.
[[noreturn]] void be_peer(int orders, int answers, const std::string& silence) {
  char order = 0;
  rc_config config = big_config();
  rc_ctx ctx;
  rc_listener listener;
  bool alone = unshare(CLONE_NEWNET) == 0;
  if (!alone || write(answers, "n", 1) != 1 || read(orders, &order, 1) != 1) _exit(1);
  if (!run("ip addr add 10.77.0.2/24 dev rc1 && ip link set rc1 up && ip link set lo up")) _exit(2);
  if (rc_open(&config, &ctx) != RC_OK || rc_listen(ctx, kPeerUri, nullptr, &listener) != RC_OK) _exit(3);
  if (write(answers, "l", 1) != 1) _exit(4);
  for (size_t i = 0; i < kAll.size(); ++i) {
    rc_channel channel;
    if (rc_accept(listener, kPatience, &channel) != RC_OK) _exit(5);
    std::thread([channel] { serve(channel); }).detach();
  }
  if (read(orders, &order, 1) != 1 || !run(silence)) _exit(6);
  if (write(answers, "s", 1) != 1) _exit(7);
  for (;;) pause();
}

// ------------------------------------------------------------------------------------------------------------ survivor

struct Survivor {
  Doing doing = kIdle;
  std::atomic<bool> ready{false};  // it is at it
  int32_t code = RC_OK;
  std::string reason;
  int64_t ended_ns = 0;

  void live(rc_ctx ctx) {
    rc_channel channel = {0};
    const std::string uri = std::string(kPeerUri) + "?timeout_ms=" + std::to_string(kTimeoutMs);
    std::vector<char> bytes(65536);
    char order = doing;
    code = rc_connect(ctx, uri.c_str(), nullptr, kPatience, &channel);
    if (code == RC_OK) code = rc_put(channel, &order, 1, kPatience, nullptr);
    if (doing == kIdle) ready = true;
    int64_t until = rc::now_ns() + kPatience;
    while (code == RC_OK || (doing == kStuck && code == RC_E_TIMEOUT && rc::now_ns() < until)) {
      if (doing == kIdle || doing == kReading) {
        code = rc_get(channel, bytes.data(), bytes.size(), kPatience, nullptr);
      } else {
        // Stuck is who has filled the ring and the sockets.
        code = rc_put(channel, bytes.data(), bytes.size(), doing == kStuck ? 100 * kMs : kPatience, nullptr);
      }
      ready = ready || (doing == kStuck ? code != RC_OK : code == RC_OK);
    }
    ended_ns = rc::now_ns();
    reason = rc_reason();
    ready = true;
    if (channel.id != 0) rc_channel_close(channel);
  }
};

class Silent : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    static const bool left = leave_network();
    if (!left) GTEST_SKIP() << "this place allows no network namespaces";
    ASSERT_TRUE(pipe2(orders_, O_CLOEXEC) == 0 && pipe2(answers_, O_CLOEXEC) == 0);
    peer_ = fork();
    if (peer_ == 0) be_peer(orders_[0], answers_[1], GetParam());
    close(orders_[0]);
    close(answers_[1]);
    if (!answered()) GTEST_SKIP() << "this place allows no second network namespace";
    if (!run("ip link add rc0 type veth peer name rc1 netns " + std::to_string(peer_)) ||
        !run("ip addr add 10.77.0.1/24 dev rc0 && ip link set rc0 up")) {
      GTEST_SKIP() << "there is no program ip (Debian: iproute2), or no veth interfaces here";
    }
    ASSERT_TRUE(order() && answered()) << "the peer does not listen";
  }
  void TearDown() override {
    if (peer_ > 0) kill(peer_, SIGKILL), waitpid(peer_, nullptr, 0);
    run("ip link del rc0");  // else the kernel does, some time later
    close(orders_[1]);
    close(answers_[0]);
  }
  bool order() const { return write(orders_[1], "!", 1) == 1; }
  bool answered() const {
    char byte;
    return read(answers_[0], &byte, 1) == 1;
  }

  int orders_[2], answers_[2];
  pid_t peer_ = -1;
};

TEST_P(Silent, MachineIsADeadPeer) {
  rc_config config = big_config();
  rc_ctx ctx = {0};
  ASSERT_RC(RC_OK, rc_open(&config, &ctx));
  std::array<Survivor, kAll.size()> survivors;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kAll.size(); ++i) {
    survivors[i].doing = kAll[i];
    threads.emplace_back([&, i] { survivors[i].live(ctx); });
  }
  int64_t until = rc::now_ns() + kPatience;
  for (Survivor& s : survivors) {
    while (!s.ready && rc::now_ns() < until) usleep(1000);
  }
  int64_t before_ns = rc::now_ns();
  bool silent = order() && answered();
  int64_t after_ns = rc::now_ns();
  for (std::thread& t : threads) t.join();
  EXPECT_TRUE(silent) << GetParam();
  for (const Survivor& s : survivors) {
    int64_t took_ms = (s.ended_ns - after_ns) / kMs;
    printf("%s: noticed after %ld ms: %s\n", name_of(s.doing), static_cast<long>(took_ms), s.reason.c_str());
    EXPECT_STREQ("RC_E_PEER_DEAD", rc_code_name(s.code)) << name_of(s.doing) << ": " << s.reason;
    EXPECT_GE((s.ended_ns - before_ns) / kMs, kTimeoutMs / 2) << name_of(s.doing) << ": that was no silence yet";
    EXPECT_LE(took_ms, 2 * kTimeoutMs + kMarginMs) << name_of(s.doing);
  }
  EXPECT_RC(RC_OK, rc_close(ctx));
}

// A cable that is pulled, and a machine that is not there any more.
INSTANTIATE_TEST_SUITE_P(, Silent, testing::Values("ip link set rc1 down", "ip addr del 10.77.0.2/24 dev rc1"),
                         [](const auto& test) { return test.index == 0 ? "Cable" : "Machine"; });

}  // namespace
}  // namespace raw_tcp
