// An established peer that misuses the sockets: floods, silence, descriptors, half a hang-up, a stopped process.
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "harness/hostile/child.h"
#include "harness/hostile/honest.h"

namespace hostile {
namespace {

// A flood ends by itself, after the bound: a call that the flood holds up comes back late instead of never.
constexpr auto kFloodEnds = std::chrono::nanoseconds(kBound + 2000 * kMs);

// Threads that do something as fast as they can until the object goes.
class Flood {
 public:
  template <class F>
  Flood(int threads, F attack) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this, attack] {
        auto end = std::chrono::steady_clock::now() + kFloodEnds;
        while (!stop_.load() && std::chrono::steady_clock::now() < end) attack();
      });
    }
  }
  ~Flood() {
    stop_ = true;
    for (std::thread& t : threads_) t.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

class HostileBells : public Duel {
 protected:
  int bells() { return raw_.main.get(); }
  int put_bells() { return raw_.bell.get(); }
  // Since Linux 6.16 the kernel refuses to send descriptors to who wants none. Before, they end the channel.
  static bool bring(int socket, const std::vector<int>& fds) {
    bool sent = send_packet(socket, "!", 1, fds);
    EXPECT_TRUE(sent || errno == EPERM) << strerror(errno);
    return sent;
  }
  void fill_ring() {
    std::vector<char> bytes(kRing);
    ASSERT_RC(RC_OK, rc_put(honest_, bytes.data(), bytes.size(), kPatience, nullptr));
  }
  // Neither side of the honest end makes progress, and both come back in time.
  void expect_timeouts() {
    char byte = 0;
    size_t n = 0;
    for (int i = 0; i < 3; ++i) {
      EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_get(honest_, &byte, 1, kShort, nullptr)));
      EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_put(honest_, &byte, 1, kShort, nullptr)));
      EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_get_some(honest_, &byte, 1, kShort, &n)));
    }
  }
};

INSTANTIATE_DUEL(HostileBells);

TEST_P(HostileBells, FloodOfBellsForNothing) {
  fill_ring();
  Flood get_side(1, [fd = bells()] {
    if (send(fd, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) sched_yield();
  });
  Flood put_side(1, [fd = put_bells()] {
    if (send(fd, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) sched_yield();
  });
  expect_timeouts();
}

// After some wakes for nothing a wait naps, a millisecond at a time in the end: the flood cannot buy more of them.
TEST_P(HostileBells, FloodOfBellsWakesAWaitOnlySoOften) {
  Flood get_side(1, [fd = bells()] {
    if (send(fd, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) sched_yield();
  });
  char byte = 0;
  EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_get(honest_, &byte, 1, 300 * kMs, nullptr)));
  rc_counters counters = {};
  counters.size = sizeof counters;
  ASSERT_RC(RC_OK, rc_channel_counters(honest_, &counters));
  EXPECT_LT(counters.sleeps, 500u);  // 64 until it naps, then at most one for each of 300 ms and a few shorter ones
}

// Both sockets are full when the honest end begins to look, and are filled again at once.
TEST_P(HostileBells, FloodOfLargeBells) {
  fill_ring();
  static const char large[60000] = {};
  Flood get_side(2, [fd = bells()] {
    if (send(fd, large, sizeof large, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) sched_yield();
  });
  expect_timeouts();
}

TEST_P(HostileBells, FloodWhileBytesFlow) {
  Flood flood(1, [this] {
    send(bells(), "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (send(put_bells(), "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) sched_yield();
  });
  for (int i = 0; i < 50; ++i) expect_exact(honest_, raw_);
}

TEST_P(HostileBells, StopEndsAWaitUnderAFlood) {
  {
    Flood flood(2, [fd = bells()] {
      if (send(fd, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) sched_yield();
    });
    std::thread stopper([this] {
      usleep(20000);
      rc_stop(ctx_);
    });
    char byte;
    EXPECT_RC(RC_E_STOPPED, IN_TIME(rc_get(honest_, &byte, 1, RC_FOREVER, nullptr)));
    stopper.join();
  }
  honest_.close();
  raw_ = RawEnd();
  close_honest();  // a context that is stopped serves nobody
  open_honest(nullptr);
}

TEST_P(HostileBells, CloseEndsAWaitUnderAFlood) {
  Flood flood(2, [fd = bells()] {
    if (send(fd, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) sched_yield();
  });
  rc_channel ch = honest_;
  std::thread closer([this] {
    usleep(20000);
    honest_.close();
  });
  char byte;
  int32_t code = IN_TIME(rc_get(ch, &byte, 1, RC_FOREVER, nullptr));
  EXPECT_TRUE(code == RC_E_CLOSING || code == RC_E_HANDLE) << rc_code_name(code);
  closer.join();
}

// A bell of no bytes looks like a hang-up; either way it ends by the deadline and stays what it was called.
TEST_P(HostileBells, BellsOfNoBytes) {
  fill_ring();
  for (int fd : {bells(), put_bells()}) ASSERT_EQ(send(fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL), 0);
  char byte;
  int32_t code = IN_TIME(rc_get(honest_, &byte, 1, kShort, nullptr));
  EXPECT_TRUE(code == RC_E_TIMEOUT || code == RC_E_PEER_DEAD) << rc_code_name(code);
  if (code == RC_E_PEER_DEAD) expect_over(RC_E_PEER_DEAD);
}

TEST_P(HostileBells, BellsThatCarryDescriptors) {
  Things before = things_now();
  std::vector<int> fds(20, STDERR_FILENO);
  for (int turn = 0; turn < 10; ++turn) {
    bool sent = false;
    for (int fd : {bells(), put_bells()}) {
      for (int i = 0; i < 3; ++i) sent |= bring(fd, fds);
    }
    char bytes[kRing] = {};
    EXPECT_RC(sent ? RC_E_CORRUPT : RC_E_TIMEOUT, IN_TIME(rc_get(honest_, bytes, 1, kShort / 10, nullptr)));
    size_t done;
    IN_TIME(rc_put(honest_, bytes, sizeof bytes, kShort / 10, &done));
  }
  EXPECT_EQ(things_now(), before) << "descriptors that came with bells were kept";
}

// The sockets themselves, sent through themselves, and never received if the honest end does not look.
TEST_P(HostileBells, SocketsSentThroughThemselves) {
  bool sent = false;
  for (int i = 0; i < 10; ++i) {
    sent |= bring(bells(), {bells(), put_bells()});
    sent |= bring(put_bells(), {bells(), put_bells()});
  }
  if (!sent) return expect_exact(honest_, raw_);
  char byte;
  EXPECT_RC(RC_E_CORRUPT, IN_TIME(rc_get(honest_, &byte, 1, kShort, nullptr)));
}

// Arms all the time and never listens: each put rings into a socket that is full.
TEST_P(HostileBells, ArmCountsScribbledAndBellsNeverTaken) {
  constexpr int kPuts = 5000;
  Flood arming(1, [this] {
    raw_.outbox->getter.fetch_add(1);
    raw_.outbox->putter.fetch_add(1);
  });
  char bytes[kRing] = {};
  for (int i = 0; i < kPuts; ++i) {
    EXPECT_RC(RC_OK, IN_TIME(rc_put(honest_, bytes, 16, kPatience, nullptr)));
    raw_.read = raw_.inbox->line.tail.load();
    raw_.outbox->credit.store(raw_.read);
  }
  rc_counters counters = {};
  counters.size = sizeof counters;
  EXPECT_RC(RC_OK, rc_channel_counters(honest_, &counters));
  EXPECT_LE(counters.rings, 2u * kPuts) << "more rings than puts and credits";
}

TEST_P(HostileBells, SecondSocketHungUpAlone) {
  raw_.bell.reset();
  fill_ring();
  char byte = 0;
  EXPECT_RC(RC_E_PEER_DEAD, IN_TIME(rc_put(honest_, &byte, 1, kPatience, nullptr)));
  expect_over(RC_E_PEER_DEAD);
}

TEST_P(HostileBells, FirstSocketHungUpAlone) {
  raw_.main.reset();
  char byte = 0;
  EXPECT_RC(RC_E_PEER_DEAD, IN_TIME(rc_get(honest_, &byte, 1, kPatience, nullptr)));
  expect_over(RC_E_PEER_DEAD);
}

TEST_P(HostileBells, SocketsShutForWriting) {
  for (int fd : {bells(), put_bells()}) ASSERT_EQ(shutdown(fd, SHUT_WR), 0);
  char byte = 0;
  EXPECT_RC(RC_E_PEER_DEAD, IN_TIME(rc_get(honest_, &byte, 1, kPatience, nullptr)));
  expect_over(RC_E_PEER_DEAD);
}

TEST_P(HostileBells, SocketsShutForReading) {
  for (int fd : {bells(), put_bells()}) ASSERT_EQ(shutdown(fd, SHUT_RD), 0);
  char bytes[100] = {};
  for (int i = 0; i < 10; ++i) {
    raw_.outbox->getter.fetch_add(1);
    raw_.outbox->putter.fetch_add(1);
    int32_t code = IN_TIME(rc_put(honest_, bytes, sizeof bytes, kShort, nullptr));
    EXPECT_TRUE(code == RC_OK || code == RC_E_PEER_DEAD) << rc_code_name(code);
  }
}

TEST_P(HostileBells, FloodOnTheDescriptorOfTheChannel) {
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(honest_, &fd));
  {
    Flood flood(2, [peer = bells()] {
      if (send(peer, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) sched_yield();
    });
    for (int i = 0; i < 200; ++i) {
      pollfd p = {fd, POLLIN, 0};
      poll(&p, 1, 1);
      char byte;
      EXPECT_RC(RC_E_WOULD_BLOCK, IN_TIME(rc_try_get(honest_, &byte, 1)));
    }
  }
  expect_exact(honest_, raw_);
}

// A process that is stopped is not dead, and holds nobody up.
class StoppedPeer : public Attack {};

TEST_F(StoppedPeer, AfterTheHandshake) {
  Child child([this] {
    RawClient client(kRing);
    if (!client.dial(name_) || !client.ask() || !client.take_offer() || !client.accept() || !client.take_go()) return 1;
    raise(SIGSTOP);
    pause();
    return 0;
  });
  rc_channel ch = {0};
  ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &ch));
  Channel channel(ch);
  while (!child.stopped() && !child.ended()) usleep(1000);
  std::vector<char> bytes(kRing);
  EXPECT_RC(RC_OK, IN_TIME(rc_put(channel, bytes.data(), bytes.size(), kShort, nullptr)));
  for (int i = 0; i < 5; ++i) {
    size_t n = 0;
    EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_put(channel, bytes.data(), 1, kShort, nullptr)));
    EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_get(channel, bytes.data(), 1, kShort, nullptr)));
    EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_recv(channel, bytes.data(), 1, &n, nullptr, nullptr, kShort)));
  }
  child.signal(SIGKILL);
  EXPECT_RC(RC_E_PEER_DEAD, IN_TIME(rc_get(channel, bytes.data(), 1, kPatience, nullptr)));
}

TEST_F(StoppedPeer, InTheHandshake) {
  Child child([this] {
    RawClient client(kRing);
    if (!client.dial(name_) || !client.ask()) return 1;
    raise(SIGSTOP);
    pause();
    return 0;
  });
  while (!child.stopped() && !child.ended()) usleep(1000);
  rc_channel ch = {0};
  for (int i = 0; i < 3; ++i) EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_accept(listener_, kShort, &ch)));
  expect_serves();
}

}  // namespace
}  // namespace hostile
