// Completion queues that connections share (PROTOCOL.md R7). Needs no RDMA: a device that completes what a test says.
#include <gtest/gtest.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include "backends/rdma/shared_queues.h"

namespace {

constexpr int kPatienceMs = 30'000;

// As verbs have them: who asks to be told of a queue is told of what comes afterwards, once.
struct Queue : ibv_cq {
  std::deque<ibv_wc> entries;
  bool armed;
};

// One for all tests: its functions have no place for another.
struct Device {
  std::mutex mutex;
  std::set<Queue*> queues;
  std::vector<ibv_cq*> events;
  ibv_comp_channel channel;
  int channels = 0;
} g_device;

ibv_comp_channel* make_channel(ibv_context*) {
  ++g_device.channels;
  g_device.channel.fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
  return &g_device.channel;
}
int end_channel(ibv_comp_channel* channel) {
  --g_device.channels;
  return close(channel->fd);
}
ibv_cq* make_queue(ibv_context* verbs, int, void*, ibv_comp_channel*, int) {
  auto* queue = new Queue();
  queue->context = verbs;
  g_device.queues.insert(queue);
  return queue;
}
int end_queue(ibv_cq* cq) {
  g_device.queues.erase(static_cast<Queue*>(cq));
  delete static_cast<Queue*>(cq);
  return 0;
}
int poll_queue(ibv_cq* cq, int most, ibv_wc* wc) {
  std::lock_guard<std::mutex> lock(g_device.mutex);
  auto* queue = static_cast<Queue*>(cq);
  int n = 0;
  for (; n < most && !queue->entries.empty(); queue->entries.pop_front()) wc[n++] = queue->entries.front();
  return n;
}
int arm_queue(ibv_cq* cq, int) {
  std::lock_guard<std::mutex> lock(g_device.mutex);
  static_cast<Queue*>(cq)->armed = true;
  return 0;
}
int take_event(ibv_comp_channel* channel, ibv_cq** cq, void**) {
  std::lock_guard<std::mutex> lock(g_device.mutex);
  if (g_device.events.empty()) return -1;
  uint64_t one;
  EXPECT_EQ(ssize_t{sizeof one}, read(channel->fd, &one, sizeof one));
  *cq = g_device.events.back();
  g_device.events.pop_back();
  return 0;
}

void complete(ibv_cq* cq, uint32_t number, uint64_t wr_id) {
  std::lock_guard<std::mutex> lock(g_device.mutex);
  auto* queue = static_cast<Queue*>(cq);
  ibv_wc wc = {};
  wc.qp_num = number;
  wc.wr_id = wr_id;
  queue->entries.push_back(wc);
  if (!queue->armed) return;
  queue->armed = false;
  g_device.events.push_back(queue);
  uint64_t one = 1;
  EXPECT_EQ(ssize_t{sizeof one}, write(g_device.channel.fd, &one, sizeof one));
}

class RdmaSharedQueues : public testing::Test {
 protected:
  static constexpr uint32_t kEntries = 100;

  RdmaSharedQueues() {
    rc::g_verbs.create_comp_channel = make_channel;
    rc::g_verbs.destroy_comp_channel = end_channel;
    rc::g_verbs.create_cq = make_queue;
    rc::g_verbs.destroy_cq = end_queue;
    rc::g_verbs.get_cq_event = take_event;
    rc::g_verbs.ack_cq_events = [](ibv_cq*, unsigned) noexcept {};
    // What was under way is flushed.
    rc::g_verbs.destroy_qp = [](ibv_qp* qp) noexcept {
      for (Queue* queue : g_device.queues) complete(queue, qp->qp_num, 99);
      return 0;
    };
    verbs_.ops.poll_cq = poll_queue;
    verbs_.ops.req_notify_cq = arm_queue;
    pthread_mutex_init(&shared_.mutex, nullptr);
  }
  ~RdmaSharedQueues() override {
    EXPECT_EQ(0u, shared_.seats);
    EXPECT_EQ(0u, shared_.claimed[rc::kSends] + shared_.claimed[rc::kReceives]);
    EXPECT_TRUE(g_device.queues.empty());
    EXPECT_EQ(0, g_device.channels);
    g_device.events.clear();
    pthread_mutex_destroy(&shared_.mutex);
  }

  rc::Seat* sit(uint32_t number, uint32_t sends = 10, uint32_t receives = 10) {
    rc::Seat* seat = nullptr;
    EXPECT_EQ(rc::kOk, rc::take_seat(&shared_, &verbs_, kEntries, sends, receives, &seat)) << rc::reason();
    ibv_qp qp = {};
    qp.qp_num = number;
    rc::sit_down(&shared_, seat, &qp);
    return seat;
  }
  void leave(rc::Seat* seat) {
    ibv_qp qp = {};
    qp.qp_num = seat->number;
    rc::leave_seat(&shared_, seat, &qp);
  }
  void complete_send(uint32_t number, uint64_t wr_id) { complete(shared_.queues[rc::kSends], number, wr_id); }
  void complete_receive(uint32_t number, uint64_t wr_id) { complete(shared_.queues[rc::kReceives], number, wr_id); }
  std::vector<uint64_t> take(rc::Seat* seat, rc::Which which, int most = 16) {
    ibv_wc wc[16];
    int n = rc::take_shared(&shared_, seat, which, most, wc);
    std::vector<uint64_t> ids;
    for (int i = 0; i < n; ++i) ids.push_back(wc[i].wr_id);
    return ids;
  }
  static bool woken(const rc::Seat* seat, int patience_ms = 0) {
    pollfd fd = {seat->set, POLLIN, 0};
    return poll(&fd, 1, patience_ms) == 1;
  }

  using Ids = std::vector<uint64_t>;
  ibv_context verbs_ = {};
  rc::SharedQueues shared_ = {};
};

}  // namespace

TEST_F(RdmaSharedQueues, EachGetsItsOwnInTheirOrder) {
  // Numbers of one list, and of two.
  rc::Seat *a = sit(7), *b = sit(7 + rc::SharedQueues::kLists), *c = sit(8);
  for (uint64_t i = 0; i < 9; ++i) complete_send(i % 3 == 0 ? a->number : i % 3 == 1 ? b->number : c->number, i);
  complete_receive(b->number, 50);
  EXPECT_EQ(Ids({1, 4}), take(b, rc::kSends, 2));
  EXPECT_EQ(Ids({0, 3, 6}), take(a, rc::kSends));
  EXPECT_EQ(Ids(), take(a, rc::kReceives));
  EXPECT_EQ(Ids({7}), take(b, rc::kSends));
  EXPECT_EQ(Ids({50}), take(b, rc::kReceives));
  EXPECT_EQ(Ids({2, 5, 8}), take(c, rc::kSends));
  for (rc::Seat* seat : {a, b, c}) leave(seat);
}

// More than are taken at once, and a pile that goes around its end.
TEST_F(RdmaSharedQueues, AFullPileOfAnothersIsKept) {
  rc::Seat *a = sit(1, 40, 1), *b = sit(2, 3, 1);
  for (uint64_t round = 0; round < 5; ++round) {
    for (uint64_t i = 0; i < 3; ++i) complete_send(2, round * 10 + i);
    for (uint64_t i = 0; i < 40; ++i) complete_send(1, i);
    EXPECT_EQ(Ids({0, 1}), take(a, rc::kSends, 2));
    EXPECT_EQ(round * 10, take(b, rc::kSends, 1).at(0));
    EXPECT_EQ(Ids({round * 10 + 1, round * 10 + 2}), take(b, rc::kSends));
    size_t left = 38;
    while (left != 0) left -= take(a, rc::kSends).size();
  }
  // A device that completes what was never posted does no harm.
  for (uint64_t i = 0; i < 50; ++i) complete_send(2, i);
  complete_send(3, 0);
  EXPECT_EQ(Ids(), take(a, rc::kSends));
  EXPECT_EQ(3u, take(b, rc::kSends).size());
  leave(a);
  leave(b);
}

TEST_F(RdmaSharedQueues, WhoeverTakesACompletionWakesItsOwner) {
  rc::Seat *a = sit(1), *b = sit(2);
  complete_receive(2, 5);
  EXPECT_FALSE(woken(b));  // nobody asked to be told
  EXPECT_EQ(Ids(), take(a, rc::kReceives));
  EXPECT_FALSE(woken(a));
  EXPECT_TRUE(woken(b));
  rc::arm_shared(&shared_, b);
  EXPECT_FALSE(woken(b));
  EXPECT_EQ(Ids({5}), take(b, rc::kReceives));
  leave(a);
  leave(b);
}

// Two sleep on one channel. The event wakes both; who drops it passes it on, and the queue stays armed.
TEST_F(RdmaSharedQueues, AnEventThatAnotherDropsIsNotLost) {
  rc::Seat *a = sit(1), *b = sit(2);
  rc::arm_shared(&shared_, b);
  for (rc::Which which : rc::kBothQueues) {
    complete(shared_.queues[which], 2, 5);
    EXPECT_TRUE(woken(b));
    rc::arm_shared(&shared_, a);
    EXPECT_FALSE(woken(a));
    EXPECT_TRUE(woken(b));
    rc::arm_shared(&shared_, b);
    EXPECT_EQ(Ids({5}), take(b, which));
    EXPECT_FALSE(woken(b));
  }
  leave(a);
  leave(b);
}

// One thread of a channel takes it, another one sleeps, and a stranger drops the event.
TEST_F(RdmaSharedQueues, TheOwnersOtherThreadIsWokenToo) {
  rc::Seat *a = sit(1), *b = sit(2);
  rc::arm_shared(&shared_, b);
  complete_receive(2, 5);
  EXPECT_EQ(Ids({5}), take(b, rc::kReceives));
  rc::arm_shared(&shared_, a);
  EXPECT_TRUE(woken(b));
  leave(a);
  leave(b);
}

TEST_F(RdmaSharedQueues, WhatComesLateIsNotTheNextOnes) {
  rc::Seat *a = sit(1), *stays = sit(2);
  complete_send(1, 4);
  complete_receive(1, 5);
  complete_send(2, 6);
  EXPECT_EQ(Ids(), take(stays, rc::kReceives));
  leave(a);
  rc::Seat* next = sit(1);
  EXPECT_EQ(Ids(), take(next, rc::kSends));
  EXPECT_EQ(Ids(), take(next, rc::kReceives));
  EXPECT_FALSE(woken(next));
  EXPECT_EQ(Ids({6}), take(stays, rc::kSends));
  leave(next);
  leave(stays);
}

TEST_F(RdmaSharedQueues, WhoCouldOverflowThemIsRefused) {
  rc::Seat *a = sit(1, 60, 10), *refused = nullptr;
  EXPECT_EQ(rc::kPool, rc::take_seat(&shared_, &verbs_, kEntries, 41, 10, &refused));
  EXPECT_NE(nullptr, strstr(rc::reason(), "of 100 entries 40 are left for sends and 90")) << rc::reason();
  EXPECT_EQ(rc::kPool, rc::take_seat(&shared_, &verbs_, kEntries, 10, 91, &refused));
  EXPECT_EQ(nullptr, refused);
  rc::Seat* b = sit(2, 40, 90);
  leave(a);
  leave(sit(3, 60, 10));
  leave(b);
  EXPECT_TRUE(g_device.queues.empty());
  // The first one is refused as well, and leaves no queues behind.
  EXPECT_EQ(rc::kPool, rc::take_seat(&shared_, &verbs_, kEntries, kEntries + 1, 1, &refused));
}

TEST_F(RdmaSharedQueues, OneWithoutAQueuePairLeaves) {
  rc::Seat *seat = nullptr, *other = sit(1);
  EXPECT_EQ(rc::kOk, rc::take_seat(&shared_, &verbs_, kEntries, 1, 1, &seat));
  rc::leave_seat(&shared_, seat, nullptr);
  complete_send(1, 3);
  EXPECT_EQ(Ids({3}), take(other, rc::kSends));
  leave(other);
}

// Each thread sleeps as soon as it finds nothing, and is woken by its descriptor alone.
TEST_F(RdmaSharedQueues, NobodySleepsThroughACompletion) {
  constexpr uint64_t kEach = 3000;
  constexpr uint32_t kSeats = 4;
  constexpr uint64_t kUnderWay = 10;
  rc::Seat* seats[kSeats];
  std::atomic<uint64_t> got[kSeats] = {};
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kSeats; ++i) seats[i] = sit(i + 1, kUnderWay, kUnderWay);
  for (uint32_t i = 0; i < kSeats; ++i) {
    threads.emplace_back([&, i] {
      rc::Which which = rc::kBothQueues[i % 2];
      for (uint64_t next = 0; next < kEach;) {
        rc::arm_shared(&shared_, seats[i]);
        Ids ids = take(seats[i], which);
        for (uint64_t id : ids) ASSERT_EQ(next++, id);
        got[i].store(next);
        if (!ids.empty()) continue;
        ASSERT_TRUE(woken(seats[i], kPatienceMs)) << i << " waits for " << next;
      }
    });
  }
  // As the hardware does: never more than were posted.
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  uint64_t done[kSeats] = {};
  for (uint64_t left = kSeats * kEach; left != 0 && std::chrono::steady_clock::now() < deadline;) {
    bool none = true;
    for (uint32_t i = 0; i < kSeats; ++i) {
      if (done[i] == kEach || done[i] - got[i].load() == kUnderWay) continue;
      complete(shared_.queues[rc::kBothQueues[i % 2]], i + 1, done[i]++);
      --left;
      none = false;
    }
    if (none) std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  for (uint32_t i = 0; i < kSeats; ++i) {
    EXPECT_EQ(kEach, got[i].load());
    leave(seats[i]);
  }
}
#endif
