// Clients that come in crowds, say nothing, or go away in the middle.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "harness/hostile/child.h"
#include "harness/hostile/honest.h"

namespace hostile {
namespace {

constexpr auto kFloodEnds = std::chrono::nanoseconds(kBound + 3000 * kMs);

class HostileCrowd : public Attack {
 protected:
  // As many as that, each having done its first steps; the listener has heard them.
  std::vector<RawClient> crowd(int count, bool asks) {
    std::vector<RawClient> clients;
    for (int i = 0; i < count; ++i) {
      clients.emplace_back(kRing);
      bool ok = clients.back().dial(name_) && (!asks || clients.back().ask());
      EXPECT_TRUE(ok);
      if (i % 16 == 15) serve();
    }
    return clients;
  }
  // Honest clients get through, one after the other, while a thread accepts.
  void expect_served_among_others(int count) {
    for (int i = 0; i < count && !HasFailure(); ++i) expect_serves();
  }
};

// Connects again and again until the object goes, in processes of their own; each lets go of the oldest of `open`
// connections.
class ConnectFlood {
 public:
  ConnectFlood(const std::string& name, int processes, size_t open, bool asks) {
    for (int i = 0; i < processes; ++i) {
      children_.push_back(std::make_unique<Child>([=] {
        auto end = std::chrono::steady_clock::now() + kFloodEnds;
        std::vector<RawClient> clients(open);
        for (size_t at = 0; std::chrono::steady_clock::now() < end; at = (at + 1) % open) {
          clients[at] = RawClient(kRing);
          if (!clients[at].dial(name)) continue;
          if (asks) clients[at].ask();
        }
        return 0;
      }));
    }
  }

 private:
  std::vector<std::unique_ptr<Child>> children_;
};

TEST_F(HostileCrowd, HundredSilentClients) {
  std::vector<RawClient> clients = crowd(100, false);
  expect_served_among_others(3);
}

TEST_F(HostileCrowd, HundredSilentClientsInTheBacklog) {
  std::vector<RawClient> clients(100);
  for (RawClient& client : clients) ASSERT_TRUE(client.dial(name_));
  expect_served_among_others(3);
}

TEST_F(HostileCrowd, HundredClientsThatAskAndSayNoMore) {
  Things before = things_now();
  std::vector<RawClient> clients = crowd(100, true);
  Things during = things_now();
  EXPECT_LT(during.memory_files - before.memory_files, 40) << "each unknown client costs memory";
  expect_served_among_others(3);
}

TEST_F(HostileCrowd, ThousandConnectsAtOnce) {
  constexpr int kThreads = 4, kEach = 250;
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit old = limit;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < kThreads * kEach + 100)
    GTEST_SKIP() << "only " << limit.rlim_cur << " descriptors are allowed here";
  std::vector<RawClient> clients(kThreads * kEach);
  std::atomic<int> connected{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = t * kEach; i < (t + 1) * kEach; ++i) {
        while (!clients[static_cast<size_t>(i)].dial(name_)) usleep(100);  // the backlog is full
        ++connected;
      }
    });
  }
  rc_channel ch = {0};
  while (connected < kThreads * kEach) EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_accept(listener_, kMs, &ch)));
  for (std::thread& t : threads) t.join();
  expect_served_among_others(1);
  int told = 0, kept = 0;
  for (RawClient& client : clients) {
    client.reply = receive_packet(client.end.main.get(), 0);
    told += client.reply.is_hello() && client.reply.hello.code != 0;
    kept += client.reply.bytes < 0;
  }
  EXPECT_EQ(told + kept, kThreads * kEach) << "somebody was dropped without a word";
  EXPECT_LE(kept, 100);
  clients.clear();
  setrlimit(RLIMIT_NOFILE, &old);
}

TEST_F(HostileCrowd, SilentClientIsToldToGoAfterAWhile) {
  std::vector<RawClient> clients = crowd(2, false);
  ASSERT_TRUE(clients[1].ask());
  rc_channel ch = {0};
  EXPECT_RC(RC_E_TIMEOUT, rc_accept(listener_, rc::kHandshakeNs + 100 * kMs, &ch));
  ASSERT_TRUE(clients[1].take_offer());
  for (RawClient& client : clients) {
    client.reply = receive_packet(client.end.main.get(), 0);
    ASSERT_TRUE(client.reply.is_hello());
    EXPECT_EQ(client.reply.hello.code, RC_E_HANDSHAKE);
    EXPECT_EQ(receive_packet(client.end.main.get(), 0).bytes, 0);
  }
}

TEST_F(HostileCrowd, LeavesAfterEachStep) {
  for (int step = 0; step < 4; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    for (bool heard : {false, true}) {
      RawClient client(kRing);
      client.end.ring_bytes = kRing;
      bool ok = client.dial(name_);
      if (heard) serve();
      if (step >= 1) ok = ok && client.ask();
      if (heard) serve();
      if (step >= 2 && heard) ok = ok && client.take_offer();
      if (step >= 3) ok = ok && client.accept();
      ASSERT_TRUE(ok);
      client = RawClient();
      Outcome o = serve();
      if (o.code != RC_OK) continue;  // it may have got so far before it went
      char byte;
      EXPECT_RC(RC_E_PEER_DEAD, IN_TIME(rc_get(o.channel, &byte, 1, kPatience, nullptr)));
    }
    expect_unharmed();
  }
}

TEST_F(HostileCrowd, KilledAfterEachStep) {
  for (int step = 0; step < 5; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    Child child([&] {
      RawClient client(kRing);
      bool ok = client.dial(name_);
      if (step >= 1) ok = ok && client.ask();
      if (step >= 2) ok = ok && client.take_offer();
      if (step >= 3) ok = ok && client.accept();
      if (step >= 4) ok = ok && client.take_go();
      if (ok) raise(SIGKILL);
      return 1;
    });
    Channel channel;
    while (!child.ended()) {
      Outcome o = serve();
      if (o.code == RC_OK) channel = std::move(o.channel);
    }
    EXPECT_EQ(child.exit_code(), 128 + SIGKILL) << "the attack itself failed";
    if (!channel.open()) {
      Outcome o = serve();
      channel = std::move(o.channel);
    }
    EXPECT_TRUE(channel.open() || step < 4);
    if (channel.open()) {
      char byte;
      EXPECT_RC(RC_E_PEER_DEAD, IN_TIME(rc_get(channel, &byte, 1, kPatience, nullptr)));
      channel.close();
    }
    expect_unharmed();
  }
}

TEST_F(HostileCrowd, EndlessConnectsDoNotOutlastTheDeadline) {
  ConnectFlood flood(name_, 3, 1, false);
  rc_channel ch = {0};
  for (int i = 0; i < 5; ++i) {
    EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_accept(listener_, kShort, &ch)));
    EXPECT_RC(RC_E_WOULD_BLOCK, IN_TIME(rc_accept(listener_, 0, &ch)));
  }
}

TEST_F(HostileCrowd, EndlessAsksDoNotOutlastTheDeadline) {
  ConnectFlood flood(name_, 3, 1, true);
  rc_channel ch = {0};
  for (int i = 0; i < 5; ++i) EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_accept(listener_, kShort, &ch)));
}

TEST_F(HostileCrowd, EndlessConnectsDoNotOutlastAStop) {
  ConnectFlood flood(name_, 3, 1, false);
  std::thread stopper([this] {
    usleep(20000);
    rc_stop(ctx_);
  });
  rc_channel ch = {0};
  EXPECT_RC(RC_E_STOPPED, IN_TIME(rc_accept(listener_, RC_FOREVER, &ch)));
  stopper.join();
  close_honest();
  open_honest(nullptr);
}

// A process that takes every place in the handshake again and again keeps nobody else out.
TEST_F(HostileCrowd, SilentCrowdDoesNotKeepOthersOut) {
  ConnectFlood flood(name_, 1, 64, false);
  expect_served_among_others(10);
}

TEST_F(HostileCrowd, AskingCrowdDoesNotKeepOthersOut) {
  ConnectFlood flood(name_, 1, 64, true);
  expect_served_among_others(10);
}

}  // namespace
}  // namespace hostile
