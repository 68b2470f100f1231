// path=send without RDMA: two links whose queue pairs are each other's. A SEND that finds no slot posted fails the
// test.
#include <gtest/gtest.h>
#include <string.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include "backends/rdma/posting.h"
#include "backends/rdma/rdma.h"

namespace {

using Head = rc::MessageHead;
constexpr size_t kRing = 5000;  // no multiple of a message
constexpr uint32_t kOpRing = 4096;
constexpr size_t kStride = 16384;

struct Queue : ibv_cq {
  std::deque<ibv_wc> due;
};

struct End {
  explicit End(uint32_t op_ring_bytes) : memory(5 * kStride) {
    verbs.ops.poll_cq = [](ibv_cq* cq, int most, ibv_wc* wc) {
      auto& due = static_cast<Queue*>(cq)->due;
      int n = 0;
      for (; n < most && !due.empty(); ++n, due.pop_front()) wc[n] = due.front();
      return n;
    };
    verbs.ops.req_notify_cq = [](ibv_cq*, int) { return 0; };
    verbs.ops.post_send = [](ibv_qp* q, ibv_send_wr* wr, ibv_send_wr**) { return self(q)->post(wr); };
    verbs.ops.post_recv = [](ibv_qp* q, ibv_recv_wr* wr, ibv_recv_wr**) {
      for (; wr != nullptr; wr = wr->next) {
        self(q)->slots.push_back(*wr->sg_list);
        self(q)->ids.push_back(wr->wr_id);
      }
      return 0;
    };
    qp.context = sends.context = receives.context = &verbs;
    qp.qp_context = this;
    link.e.qp = &qp;
    link.e.tenancy = &tenancy;
    link.e.send_cq = &sends;
    link.e.receive_cq = &receives;
    link.fd[0] = link.fd[1] = link.timer_fd = -1;
    link.quiet_most_ns = INT64_MAX >> 20;
    uint8_t* at = memory.data();
    at += (4096 - reinterpret_cast<uintptr_t>(at) % 4096) % 4096;
    link.inbox = link.e.inbox = reinterpret_cast<rc::Inbox*>(at);
    link.outbox = reinterpret_cast<rc::Inbox*>(at + kStride);
    for (uint32_t i = 0; i < rc::kCellRings; ++i) {
      link.e.cells[i] = at + (2 + i) * kStride;
      link.e.cells_mr[i] = &mr;
    }
    link.e.outbox_mr = &mr;
    link.e.two_sided = true;
    link.ring_bytes = kRing;
    link.op_ring_bytes = op_ring_bytes;
    link.e.inline_bytes = 104;
    link.e.send_depth = 64;
    link.signal_every = 16;
    link.poll_most = 8;
    link.peer_depth = rc::kCellsMost;
    pthread_mutex_init(&link.mutex, nullptr);
    rc::begin_two_sided(&link);
    link.e.receive_depth = link.two.cells.count;
    EXPECT_EQ(rc::kOk, rc::post_receives(link, &link.e));
    EXPECT_EQ(size_t{link.two.cells.count}, slots.size());
  }
  ~End() { pthread_mutex_destroy(&link.mutex); }
  static End* self(ibv_qp* q) { return static_cast<End*>(q->qp_context); }

  int post(ibv_send_wr* wr) {
    ++doorbells;
    for (; wr != nullptr; wr = wr->next) {
      ++messages;
      EXPECT_EQ(IBV_WR_SEND, wr->opcode);
      std::vector<uint8_t> bytes;
      for (int i = 0; i < wr->num_sge; ++i) {
        auto* from = reinterpret_cast<const uint8_t*>(wr->sg_list[i].addr);
        bytes.insert(bytes.end(), from, from + wr->sg_list[i].length);
      }
      peer->arrive(bytes);
      // What is not signalled completes without a word.
      ibv_wc wc = {};
      wc.wr_id = wr->wr_id;
      if ((wr->send_flags & IBV_SEND_SIGNALED) != 0) sends.due.push_back(wc);
    }
    return 0;
  }
  void arrive(const std::vector<uint8_t>& bytes) {
    Head head = {};
    memcpy(static_cast<void*>(&head), bytes.data(), std::min(bytes.size(), sizeof head));
    if (seen) seen(head);
    ASSERT_FALSE(slots.empty()) << "a message that the peer has no slot for";
    ASSERT_LE(bytes.size(), slots.front().length);
    memcpy(reinterpret_cast<void*>(slots.front().addr), bytes.data(), bytes.size());
    ibv_wc wc = {};
    wc.wr_id = ids.front();
    wc.opcode = IBV_WC_RECV;
    wc.byte_len = static_cast<uint32_t>(bytes.size());
    receives.due.push_back(wc);
    slots.pop_front();
    ids.pop_front();
  }
  void arrive(const Head& head, size_t payload) {
    std::vector<uint8_t> bytes(sizeof head + payload, 0x77);
    memcpy(bytes.data(), &head, sizeof head);
    arrive(bytes);
  }

  rc::Code progress() { return rc::kRdmaBackend.progress(&link, rc::kNoSide); }
  // As core does.
  rc::Code put(size_t at, size_t n, size_t capacity, uint64_t base, uint64_t tail, uint64_t tail_at) {
    rc::WorkRequest wr[3];
    uint32_t count = 0;
    auto* ring = reinterpret_cast<uint8_t*>(link.outbox) + base;
    size_t first = n < capacity - at ? n : capacity - at;
    wr[count++] = {ring + at, base + at, static_cast<uint32_t>(first), false};
    if (n != first) wr[count++] = {ring, base, static_cast<uint32_t>(n - first), false};
    wr[count++] = {&tail, tail_at, sizeof tail, true};
    return rc::kRdmaBackend.post(&link, wr, count);
  }
  rc::Code word(uint64_t at, uint64_t value) {
    rc::WorkRequest wr = {&value, at, sizeof value, true};
    return rc::kRdmaBackend.post(&link, &wr, 1);
  }

  std::vector<uint8_t> memory;
  rc::RdmaLink link = {};
  End* peer = nullptr;
  ibv_context verbs = {};
  ibv_qp qp = {};
  Queue sends = {}, receives = {};
  ibv_mr mr = {};
  rc::Tenancy tenancy = {};
  std::deque<ibv_sge> slots;
  std::deque<uint64_t> ids;
  uint64_t doorbells = 0, messages = 0;
  std::function<void(const Head&)> seen;  // what comes, in its order
};

constexpr uint64_t kOpBase = rc::kRingOffset + rc::op_ring_at(kRing);

uint8_t pattern(uint64_t index) { return static_cast<uint8_t>(index * 131 + (index >> 8)); }

// One direction of one ring, as core's two ends of it.
struct Stream {
  End* from;
  size_t capacity;
  uint64_t base;
  uint64_t tail_at;
  uint64_t credit_at;
  uint64_t written = 0, read = 0;

  const std::atomic<uint64_t>& word(const rc::Inbox* inbox, uint64_t at) const {
    return *reinterpret_cast<const std::atomic<uint64_t>*>(reinterpret_cast<const uint8_t*>(inbox) + at);
  }
  size_t space() const { return capacity - static_cast<size_t>(written - word(from->link.inbox, credit_at).load()); }
  void put(size_t n) {
    auto* ring = reinterpret_cast<uint8_t*>(from->link.outbox) + base;
    for (size_t i = 0; i < n; ++i) ring[(written + i) % capacity] = pattern(written + i);
    size_t at = static_cast<size_t>(written % capacity);
    written += n;
    EXPECT_EQ(rc::kOk, from->put(at, n, capacity, base, written, tail_at));
  }
  // Takes all that has landed, and tells.
  void get() {
    End* to = from->peer;
    uint64_t tail = word(to->link.inbox, tail_at).load();
    ASSERT_LE(tail - read, written - read);
    auto* ring = reinterpret_cast<const uint8_t*>(to->link.inbox) + base;
    for (; read != tail; ++read) ASSERT_EQ(pattern(read), ring[read % capacity]) << read;
    EXPECT_EQ(rc::kOk, to->word(credit_at, read));
  }
};

class TwoSided : public testing::Test {
 protected:
  TwoSided() {
    rc::g_verbs.get_cq_event = [](ibv_comp_channel*, ibv_cq**, void**) noexcept { return -1; };
    rc::g_verbs.get_async_event = [](ibv_context*, ibv_async_event*) noexcept { return -1; };
    a_.peer = &b_;
    b_.peer = &a_;
  }
  Stream bytes(End* from) { return {from, kRing, rc::kRingOffset, rc::kTail, offsetof(rc::Inbox, credit)}; }
  Stream ops(End* from) { return {from, kOpRing, kOpBase, rc::kOpTail, offsetof(rc::Inbox, op_credit)}; }

  // The peer of `b_` is hostile: what it says ends the channel.
  void expect_corrupt(const Head& head, size_t payload, const char* names) {
    End end(kOpRing), other(kOpRing);
    end.peer = &other;
    other.peer = &end;
    end.arrive(head, payload);
    EXPECT_EQ(rc::kCorrupt, end.progress());
    EXPECT_NE(nullptr, strstr(rc::reason(), names)) << rc::reason();
    end.arrive(Head{0, 0, 0, 1, Head::kBytes, 1, 0}, 1);
    EXPECT_EQ(rc::kCorrupt, end.progress());
    EXPECT_EQ(0u, end.link.inbox->line.tail.load());
  }

  End a_{kOpRing}, b_{kOpRing};
};

}  // namespace

TEST_F(TwoSided, ASmallPutIsOneSendAndOneDoorbell) {
  Stream s = bytes(&a_);
  for (uint64_t i = 1; i <= 10; ++i) {
    s.put(8);
    EXPECT_EQ(i, a_.messages);
    EXPECT_EQ(i, a_.doorbells);
  }
  EXPECT_EQ(rc::kOk, b_.progress());
  s.get();
  EXPECT_EQ(80u, s.read);
}

TEST_F(TwoSided, APutOfAWholeRingGoesAsThePeerPostsItsSlotsAgain) {
  Stream s = bytes(&a_);
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    s.put(kRing);
    for (int i = 0; i < 100 && s.read != s.written; ++i) {
      EXPECT_EQ(rc::kOk, b_.progress());
      s.get();
      EXPECT_EQ(rc::kOk, a_.progress());
    }
    ASSERT_EQ(s.written, s.read);
  }
}

// Who does not look has slots for so many puts; the others wait where they lie, and go together.
TEST_F(TwoSided, PutsThatNobodyTakesLeaveSlotsForCredits) {
  Stream s = bytes(&a_);
  while (s.written != kRing) s.put(1);
  EXPECT_EQ(a_.link.peer_depth - std::min<uint64_t>(rc::kPutReserve, a_.link.peer_depth / 4), a_.messages);
  EXPECT_FALSE(rc::kRdmaBackend.delivered(&a_.link));
  EXPECT_EQ(rc::kOk, a_.word(offsetof(rc::Inbox, op_credit), 8));
  EXPECT_GE(a_.link.peer_depth, a_.messages);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(rc::kOk, b_.progress());
    EXPECT_EQ(rc::kOk, a_.progress());
  }
  s.get();
  EXPECT_EQ(kRing, s.read);
  EXPECT_EQ(8u, b_.link.inbox->op_credit.load());
}

TEST_F(TwoSided, TheLastWordGoesBehindTheBytes) {
  Stream s = bytes(&a_);
  s.put(kRing);
  EXPECT_EQ(rc::kOk, a_.word(offsetof(rc::Inbox, getter), rc::kClosedBit));
  for (int i = 0; i < 100 && b_.link.inbox->getter.load() == 0; ++i) {
    EXPECT_EQ(rc::kOk, b_.progress());
    EXPECT_EQ(rc::kOk, a_.progress());
  }
  EXPECT_EQ(rc::kClosedBit, b_.link.inbox->getter.load());
  EXPECT_EQ(kRing, b_.link.inbox->line.tail.load());
}

// O3: whoever sees a tail sees the operations that were posted before it; an op tail covers whole posts.
TEST_F(TwoSided, BytesNeverOvertakeOperations) {
  std::mt19937 random(1);
  Stream s = bytes(&a_), o = ops(&a_);
  struct Mark {
    uint64_t bytes, ops;
  };
  std::deque<Mark> marks;
  std::deque<uint64_t> whole = {0};
  uint64_t op_tail = 0;
  b_.seen = [&](const Head& head) {
    if (head.kind == Head::kOpsEnd) op_tail = head.word;
    while (!whole.empty() && whole.front() < op_tail) whole.pop_front();
    EXPECT_TRUE(!whole.empty() && whole.front() == op_tail);
    while (head.kind == Head::kBytes && !marks.empty() && marks.front().bytes <= head.word) {
      EXPECT_LE(marks.front().ops, op_tail);
      marks.pop_front();
    }
  };
  for (int i = 0; i < 20000; ++i) {
    bool small = i / 1000 % 2 == 0;  // then many, so that the slots are all taken
    size_t n = 1 + random() % (small ? 40 : 1500);
    if (random() % 2 == 0 && n <= o.space()) {
      whole.push_back(o.written + n);
      o.put(n);
    } else if (n <= s.space()) {
      marks.push_back({s.written + n, o.written});
      s.put(n);
    }
    bool looks = random() % (small ? 200 : 3) == 0;
    if (looks) {
      EXPECT_EQ(rc::kOk, b_.progress());
    }
    if (looks || (!small && random() % 2 == 0)) s.get();
    if (looks || (!small && random() % 2 == 0)) o.get();
    if (random() % 3 == 0) {
      EXPECT_EQ(rc::kOk, a_.progress());
    }
  }
  EXPECT_LT(uint64_t{1} << 19, s.written);
  EXPECT_LT(uint64_t{1} << 19, o.written);
}

// Both ways at once, with looks as chance has it: everything arrives, and nobody is sent more than he has slots for.
TEST_F(TwoSided, EverythingArrivesInBothDirections) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    End a(kOpRing), b(kOpRing);
    a.peer = &b;
    b.peer = &a;
    Stream all[] = {bytes(&a), bytes(&b), ops(&a), ops(&b)};
    size_t most = seed % 2 == 0 ? 16 : kRing;
    for (int i = 0; i < 3000; ++i) {
      Stream& s = all[random() % 4];
      size_t n = 1 + random() % most;
      if (n <= s.space()) s.put(n);
      if (random() % 4 == 0) all[random() % 4].get();
      if (random() % 8 == 0) {
        EXPECT_EQ(rc::kOk, (random() % 2 == 0 ? a : b).progress());
      }
    }
    for (int i = 0; i < 200; ++i) {
      EXPECT_EQ(rc::kOk, a.progress());
      EXPECT_EQ(rc::kOk, b.progress());
      for (Stream& s : all) s.get();
    }
    for (Stream& s : all) EXPECT_EQ(s.written, s.read);
    EXPECT_EQ(0u, a.link.owed);
    EXPECT_EQ(0u, b.link.owed);
    // Two that have nothing to say fall silent.
    uint64_t messages = a.messages + b.messages;
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(rc::kOk, a.progress());
      EXPECT_EQ(rc::kOk, b.progress());
    }
    EXPECT_GE(messages + 2, a.messages + b.messages);
  }
}

TEST_F(TwoSided, WhatAHostilePeerSaysIsCorrupt) {
  const uint32_t one = 1;
  expect_corrupt({0, 0, 0, 1, Head::kBytes, one, kRing}, 1, "outside of the rings");
  expect_corrupt({0, 0, 0, 1, Head::kBytes, one, UINT64_MAX}, 1, "outside of the rings");
  expect_corrupt({0, 0, 0, 1, Head::kBytes, 0, 0}, 0, "outside of the rings");
  expect_corrupt({0, 0, 0, 1, Head::kOps, one, kOpRing}, 1, "outside of the rings");
  expect_corrupt({0, 0, 0, 1, Head::kOpsEnd, one, kOpRing}, 1, "outside of the rings");
  expect_corrupt({0, 0, 0, 1, Head::kBytes, 2, 0}, 1, "not as long as it says");
  expect_corrupt({0, 0, 0, 1, Head::kBytes, UINT32_MAX, 0}, 1, "not as long as it says");
  expect_corrupt({0, 0, 0, 1, Head::kBytes, one, 0}, 2, "not as long as it says");
  expect_corrupt({0, 0, 0, 1, Head::kNothing, one, 0}, 1, "that has bytes");
  expect_corrupt({0, 0, 0, 1, Head::kLastWord, one, 0}, 1, "that has bytes");
  expect_corrupt({0, 0, 0, 1, 5, 0, 0}, 0, "unknown kind");
  expect_corrupt({1, 0, 0, 0, Head::kNothing, 0, 0}, 0, "receives that make no sense");
  expect_corrupt({UINT64_MAX, 0, 0, 0, Head::kNothing, 0, 0}, 0, "receives that make no sense");
}

TEST_F(TwoSided, ShortMessagesAndLiesAboutWhatWasTakenAreCorrupt) {
  b_.arrive(std::vector<uint8_t>(sizeof(Head) - 1));
  EXPECT_EQ(rc::kCorrupt, b_.progress());
  // Fewer than it has said before.
  Stream s = bytes(&a_);
  for (int i = 0; i < 3; ++i) s.put(1);
  a_.arrive(Head{3, 0, 0, 0, Head::kNothing, 0, 0}, 0);
  EXPECT_EQ(rc::kOk, a_.progress());
  a_.arrive(Head{2, 0, 0, 0, Head::kNothing, 0, 0}, 0);
  EXPECT_EQ(rc::kCorrupt, a_.progress());
  // Operations that were not agreed on.
  End end(0), other(0);
  end.peer = &other;
  end.arrive(Head{0, 0, 0, 1, Head::kOpsEnd, 1, 0}, 1);
  EXPECT_EQ(rc::kCorrupt, end.progress());
  End again(0);
  again.arrive(Head{0, 0, 1, 0, Head::kNothing, 0, 0}, 0);
  EXPECT_EQ(rc::kCorrupt, again.progress());
}

// A receive may also complete for a WRITE with immediate: nothing has come into its slot then.
TEST_F(TwoSided, WhatIsNoMessageIsCorrupt) {
  b_.arrive(Head{0, 0, 0, 1, Head::kBytes, 1, 0}, 1);
  b_.receives.due.back().opcode = IBV_WC_RECV_RDMA_WITH_IMM;
  EXPECT_EQ(rc::kCorrupt, b_.progress());
  EXPECT_EQ(0u, b_.link.inbox->line.tail.load());
}

// What a whole ring holds finds room in the slots of a peer that has not told of a quarter of them.
TEST(Cells, FitTheRingsOfThePoolAndHoldAWholeRing) {
  for (size_t ring = 1; ring < size_t{1} << 26; ring += 1 + ring / 50) {
    for (size_t ops : {size_t{0}, size_t{4096}, size_t{65536}}) {
      rc::Cells cells = rc::cells_of(ring, rc::rings_bytes(ring, ops));
      ASSERT_LE(cells.bytes(), (rc::kRingOffset + rc::rings_bytes(ring, ops) + 4095) / 4096 * 4096) << ring;
      ASSERT_LE(rc::kCellsLeast, cells.count) << ring;
      ASSERT_GE(rc::kCellsMost, cells.count) << ring;
      ASSERT_LE(ring, uint64_t{cells.count} / 2 * cells.payload()) << ring;
      ASSERT_EQ(0u, cells.slot_bytes % 16) << ring;
    }
  }
}
#endif
