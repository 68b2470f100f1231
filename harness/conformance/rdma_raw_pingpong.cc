// Raw endpoints with a program that knows nothing of ringchan: Debian's ibv_rc_pingpong, as server and as client.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "harness/conformance/rdma_raw_end.h"
#include "harness/tcp/loopback.h"

extern char** environ;

namespace conformance {
namespace {

constexpr char kPingpong[] = "/usr/bin/ibv_rc_pingpong";
constexpr uint64_t kMessage = 3000;
constexpr uint64_t kIterations = 1000;
constexpr size_t kText = sizeof "0000:000000:000000:00000000000000000000000000000000";

// ibv_rc_pingpong's own exchange: LID, queue pair, packet number and GID as a text over TCP.
void write_text(const rc_raw_address& address, char* text) {
  int n = snprintf(text, kText, "%04x:%06x:%06x:", address.lid, address.qp_num, address.psn);
  for (uint8_t byte : address.gid) n += snprintf(text + n, kText - static_cast<size_t>(n), "%02x", byte);
}

rc_raw_address read_text(const char* text) {
  rc_raw_address address = {};
  address.size = sizeof address;
  char gid[33] = "";
  EXPECT_EQ(4, sscanf(text, "%x:%x:%x:%32s", &address.lid, &address.qp_num, &address.psn, gid)) << text;
  for (size_t i = 0; i < sizeof address.gid; ++i) {
    unsigned byte = 0;
    sscanf(gid + 2 * i, "%2x", &byte);
    address.gid[i] = static_cast<uint8_t>(byte);
  }
  address.mtu = 1024;  // its default, which it does not tell
  return address;
}

// A listening socket at a port that the system chose.
int listen_somewhere(uint16_t* port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at = loopback(0);
  socklen_t bytes = sizeof at;
  EXPECT_EQ(0, bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at));
  EXPECT_EQ(0, listen(fd, 1));
  EXPECT_EQ(0, getsockname(fd, reinterpret_cast<sockaddr*>(&at), &bytes));
  *port = ntohs(at.sin_port);
  return fd;
}

int connect_when_listening(uint16_t port) {
  for (int tries = 0; tries < 600; ++tries) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to = loopback(port);
    if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) return fd;
    close(fd);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return -1;
}

// The device and the index that have the endpoint's GID.
rc_device device_of(const rc_raw_address& address) {
  rc_device device = {};
  for (uint32_t i = 0;; ++i) {
    device.size = sizeof device;
    if (rc_device_info(i, &device) != RC_OK) return rc_device{};
    if (memcmp(device.gid, address.gid, sizeof device.gid) == 0) return device;
  }
}

pid_t start_pingpong(const End& end, uint16_t port, const char* server) {
  rc_device device = device_of(end.address);
  std::vector<std::string> words = {kPingpong,
                                    "-d",
                                    device.name,
                                    "-g",
                                    std::to_string(device.gid_index),
                                    "-p",
                                    std::to_string(port),
                                    "-n",
                                    std::to_string(kIterations),
                                    "-s",
                                    std::to_string(kMessage)};
  if (server != nullptr) words.push_back(server);
  std::vector<char*> args;
  for (std::string& word : words) args.push_back(&word[0]);
  args.push_back(nullptr);
  pid_t pid = -1;
  EXPECT_EQ(0, posix_spawn(&pid, kPingpong, nullptr, nullptr, args.data(), environ));
  return pid;
}

void expect_success(pid_t pid) {
  int status = -1;
  EXPECT_EQ(pid, waitpid(pid, &status, 0));
  EXPECT_EQ(0, status);
}

class RdmaRawForeign : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (access(kPingpong, X_OK) != 0) GTEST_SKIP() << "no ibv_rc_pingpong (package ibverbs-utils)";
  }
};

// It sends back what it got: each answer is the message, to the byte.
TEST_P(RdmaRawForeign, PingpongServes) {
  End e(GetParam());
  uint16_t port;
  close(listen_somewhere(&port));
  ASSERT_RC(RC_OK, e.receive(kMessage, kMessage, 0));  // before the step that starts the other program
  pid_t program = start_pingpong(e, port, nullptr);
  int fd = connect_when_listening(port);
  char text[kText], done[] = "done";
  write_text(e.address, text);
  ASSERT_TRUE(whole(fd, text, kText, true) && whole(fd, text, kText, false));
  rc_raw_address peer = read_text(text);
  ASSERT_RC(RC_OK, rc_raw_connect(e.raw, &peer));
  ASSERT_TRUE(whole(fd, done, sizeof done, true));
  for (uint64_t i = 0; i < kIterations && !HasFailure(); ++i) {
    e.fill(0, kMessage, i * kMessage);
    ASSERT_RC(RC_OK, e.send(0, kMessage, i));
    for (int both = 0; both < 2; ++both) {
      rc_raw_completion c = e.next();
      expect_completion(c, c.kind, i, RC_OK);
      if (c.kind == RC_RAW_RECEIVED) {
        EXPECT_EQ(kMessage, c.bytes);
      }
    }
    EXPECT_EQ(kMessage, e.wrong(kMessage, kMessage, i * kMessage));
    if (i + 1 < kIterations) {
      ASSERT_RC(RC_OK, e.receive(kMessage, kMessage, i + 1));
    }
  }
  if (HasFailure()) kill(program, SIGKILL);
  expect_success(program);
  close(fd);
}

// It begins with bytes of its own and goes on with what it got last.
TEST_P(RdmaRawForeign, PingpongIsTheClient) {
  End e(GetParam());
  uint16_t port;
  int listener = listen_somewhere(&port);
  ASSERT_RC(RC_OK, e.receive(kMessage, kMessage, 0));
  pid_t program = start_pingpong(e, port, "127.0.0.1");
  int fd = accept(listener, nullptr, nullptr);
  char text[kText], done[5];
  ASSERT_TRUE(whole(fd, text, kText, false));
  rc_raw_address peer = read_text(text);
  ASSERT_RC(RC_OK, rc_raw_connect(e.raw, &peer));
  write_text(e.address, text);
  ASSERT_TRUE(whole(fd, text, kText, true) && whole(fd, done, sizeof done, false));
  for (uint64_t i = 0, sent = 0; (i < kIterations || sent < kIterations) && !HasFailure();) {
    rc_raw_completion c = e.next();
    expect_completion(c, c.kind, c.kind == RC_RAW_SENT ? sent : i, RC_OK);
    if (c.kind == RC_RAW_SENT) {
      ++sent;
      continue;
    }
    EXPECT_EQ(kMessage, c.bytes);
    if (i == 0) {
      EXPECT_EQ(0x7b, e.bytes[kMessage]);
    }
    if (i != 0) {
      EXPECT_EQ(kMessage, e.wrong(kMessage, kMessage, (i - 1) * kMessage));
    }
    if (i + 1 < kIterations) {
      ASSERT_RC(RC_OK, e.receive(kMessage, kMessage, i + 1));
    }
    e.fill(0, kMessage, i * kMessage);
    ASSERT_RC(RC_OK, e.send(0, kMessage, i));
    ++i;
  }
  if (HasFailure()) kill(program, SIGKILL);
  expect_success(program);
  close(fd);
  close(listener);
}

INSTANTIATE_TEST_SUITE_P(On, RdmaRawForeign, testing::Values("?mode=poll", "?mode=event"),
                         [](const auto& mode) { return std::string(mode.param).substr(6); });

}  // namespace
}  // namespace conformance
