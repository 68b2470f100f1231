// What the data path of rdma hands to the queue pair. Needs no RDMA: the queue pair is one that only takes note.
#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include "backends/rdma/link.h"
#include "backends/rdma/nic.h"
#include "backends/rdma/posting.h"
#include "backends/rdma/rdma.h"
#include "core/op_wire.h"

namespace {

struct Write {
  uint64_t offset;
  const rc::Sealed* word;  // where the NIC would read it; null: ring bytes
  uint64_t value;          // what was there when it was posted
  ibv_wr_opcode opcode;
  bool fenced;
};
std::vector<Write> g_writes;

int take_note(ibv_qp*, ibv_send_wr* wr, ibv_send_wr**) {
  for (; wr != nullptr; wr = wr->next) {
    bool word = wr->sg_list->length == sizeof(rc::Sealed);
    auto* at = reinterpret_cast<const rc::Sealed*>(wr->sg_list->addr);
    g_writes.push_back({wr->wr.rdma.remote_addr, word ? at : nullptr, word ? at->value : 0, wr->opcode,
                        (wr->send_flags & IBV_SEND_FENCE) != 0});
  }
  return 0;
}

// A queue of completions that looks as one of verbs does: who asks to be told is told of what comes afterwards.
struct Queue : ibv_cq {
  std::vector<uint64_t> due;   // wr_ids
  std::vector<uint64_t> late;  // come just before somebody asks to be told
  bool armed;
};

int poll(ibv_cq* cq, int most, ibv_wc* wc) {
  auto* queue = static_cast<Queue*>(cq);
  int n = 0;
  for (; n < most && !queue->due.empty(); ++n) {
    wc[n] = {};
    wc[n].wr_id = queue->due.front();
    queue->due.erase(queue->due.begin());
  }
  return n;
}
int arm(ibv_cq* cq, int) {
  auto* queue = static_cast<Queue*>(cq);
  queue->due.insert(queue->due.end(), queue->late.begin(), queue->late.end());
  queue->late.clear();
  queue->armed = true;
  return 0;
}
uint32_t g_receives, g_receive_posts, g_receives_most;
int take_receive(ibv_qp*, ibv_recv_wr* wr, ibv_recv_wr** bad) {
  ++g_receive_posts;
  for (; wr != nullptr; wr = wr->next) {
    *bad = wr;
    if (g_receives == g_receives_most) return ENOMEM;
    ++g_receives;
  }
  return 0;
}

// A link without inline data whose WRITEs complete when a test says so.
class RdmaPosting : public testing::Test {
 protected:
  RdmaPosting() : link_(new rc::RdmaLink()), inbox_(new rc::Inbox[2]()), outbox_(new rc::Inbox[2]()) {
    g_writes.clear();
    g_receives = g_receive_posts = 0;
    g_receives_most = UINT32_MAX;
    verbs_.ops.post_send = take_note;
    verbs_.ops.post_recv = take_receive;
    verbs_.ops.poll_cq = poll;
    verbs_.ops.req_notify_cq = arm;
    qp_.context = sends_.context = receives_.context = &verbs_;
    rc::g_verbs.get_cq_event = [](ibv_comp_channel*, ibv_cq**, void**) noexcept { return -1; };
    rc::g_verbs.get_async_event = [](ibv_context*, ibv_async_event*) noexcept { return -1; };
    link_->e.qp = &qp_;
    link_->e.tenancy = &tenancy_;
    link_->e.send_cq = &sends_;
    link_->e.receive_cq = &receives_;
    link_->fd[0] = link_->fd[1] = link_->timer_fd = -1;
    link_->quiet_most_ns = INT64_MAX / 4;
    link_->e.inbox = inbox_.get();
    link_->e.outbox_mr = link_->staging_mr = &mr_;
    link_->e.send_depth = rc::kStagingSlots;
    link_->e.message_most = 4096;
    link_->inbox = inbox_.get();
    link_->outbox = outbox_.get();
    link_->signal_every = 16;
    link_->poll_most = 8;
    rc::clear_mail(inbox_.get());
    pthread_mutex_init(&link_->mutex, nullptr);
  }
  ~RdmaPosting() override { pthread_mutex_destroy(&link_->mutex); }

  // As core does: the ring's bytes and the tail.
  rc::Code put(uint32_t bytes, uint64_t tail) {
    const rc::WorkRequest requests[] = {{outbox_.get(), rc::kRingOffset, bytes, false},
                                        {&tail, offsetof(rc::Inbox, line) + 8, sizeof tail, true}};
    return rc::kRdmaBackend.post(link_.get(), requests, 2);
  }
  rc::Code tell_credit(uint64_t credit) {
    outbox_[0].credit.store(credit, std::memory_order_relaxed);
    const rc::WorkRequest request = {&credit, offsetof(rc::Inbox, credit), sizeof credit, true};
    return rc::kRdmaBackend.post(link_.get(), &request, 1);
  }

  void sleeps_on_events() {
    link_->e.event = true;
    link_->e.receive_depth = 256;
  }
  // As whoever drives the channel without being one of its sides.
  void drive() {
    EXPECT_EQ(rc::kOk, rc::kRdmaBackend.progress(link_.get(), rc::kNoSide));
    EXPECT_EQ(rc::kOk, rc::kRdmaBackend.alive(link_.get(), rc::kNoSide));
  }
  uint64_t fill() {
    uint64_t word = 0;
    while (put(1, ++word) == rc::kOk) {
    }
    return word;
  }

  // An operation on memory of the peer's; its number.
  uint64_t operate(uint32_t type) {
    link_->landings = landings_;
    link_->landing_mr = &mr_;
    link_->registrations.of[0].mr = &mr_;
    rc::NicWork work = {};
    work.type = type;
    work.kept = &link_->registrations.of[0];
    work.at = reinterpret_cast<const uint8_t*>(landings_);
    work.bytes = sizeof landings_;
    uint64_t posted, number = 0;
    EXPECT_EQ(rc::kOk, rc::kRdmaNic.operate(link_.get(), work, &posted, &number));
    return number;
  }
  bool last_was_fenced(ibv_wr_opcode opcode) {
    EXPECT_EQ(opcode, g_writes.back().opcode);
    return g_writes.back().fenced;
  }

  uint64_t landings_[2] = {};
  std::unique_ptr<rc::RdmaLink> link_;
  std::unique_ptr<rc::Inbox[]> inbox_, outbox_;
  ibv_context verbs_ = {};
  ibv_qp qp_ = {};
  Queue sends_ = {}, receives_ = {};
  ibv_mr mr_ = {};
  rc::Tenancy tenancy_ = {};
};

}  // namespace

TEST_F(RdmaPosting, AnOperationThatIsDoneWhenItIsPostedIsSeenThenIfNobodySleeps) {
  sends_.due = {1};
  EXPECT_TRUE(rc::kRdmaNic.done(link_.get(), operate(rc::kOpWrite)));
  EXPECT_FALSE(rc::kRdmaNic.done(link_.get(), operate(rc::kOpWrite)));
}

TEST_F(RdmaPosting, NewsIsAnOpTailThatProgressHasNotDelivered) {
  link_->op_ring_bytes = 4096;
  EXPECT_FALSE(rc::kRdmaNic.news(link_.get()));
  const rc::Sealed tail = {64, rc::seal_of(64)};
  memcpy(reinterpret_cast<uint8_t*>(inbox_.get()) + rc::letter_of(rc::kOpTail), &tail, sizeof tail);
  EXPECT_TRUE(rc::kRdmaNic.news(link_.get()));
  EXPECT_EQ(rc::kOk, rc::kRdmaBackend.progress(link_.get(), rc::kPutSide));
  EXPECT_FALSE(rc::kRdmaNic.news(link_.get()));
}

TEST_F(RdmaPosting, LeavesWordsThatAreUnderWayAlone) {
  uint64_t word = fill();
  // The reserve is for credits; the queue is full to its last place then.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(rc::kOk, tell_credit(++word));
  EXPECT_EQ(link_->e.send_depth, g_writes.size());
  EXPECT_EQ(rc::kWouldBlock, put(1, ++word));
  EXPECT_EQ(rc::kWouldBlock, put(4096 * 10, ++word));
  for (const Write& w : g_writes) {
    if (w.word == nullptr) continue;
    EXPECT_EQ(w.value, w.word->value);
    EXPECT_EQ(rc::seal_of(w.value), w.word->seal);
  }
}

TEST_F(RdmaPosting, WritesOfOnePutAreBounded) {
  EXPECT_EQ(rc::kOk, put(4096 * (rc::kWritesMost - 1), 1));
  EXPECT_EQ(size_t{rc::kWritesMost}, g_writes.size());
  EXPECT_EQ(rc::kSize, put(4096 * (rc::kWritesMost - 1) + 1, 2));
  EXPECT_EQ(size_t{rc::kWritesMost}, g_writes.size());
}

TEST_F(RdmaPosting, AFullQueueWakesTheDriverAgain) {
  sleeps_on_events();
  drive();
  EXPECT_FALSE(sends_.armed);  // nobody wants to know
  fill();
  EXPECT_TRUE(sends_.armed);
  sends_.armed = false;
  drive();
  EXPECT_TRUE(sends_.armed);
}

TEST_F(RdmaPosting, WhatCompletesBeforeItIsAskedForIsNotMissed) {
  sleeps_on_events();
  sends_.late = {32};
  uint64_t word = fill();
  EXPECT_EQ(32u, link_->completed);
  EXPECT_TRUE(sends_.due.empty());
  EXPECT_GT(g_writes.size(), size_t{rc::kStagingSlots});
  EXPECT_EQ(rc::kWouldBlock, put(1, word));
}

TEST_F(RdmaPosting, AWordThatIsOwedForWantOfRoomWakesTheDriverAgain) {
  sleeps_on_events();
  uint64_t credit = 0;
  while (link_->owed == 0) ASSERT_EQ(rc::kOk, tell_credit(++credit));
  EXPECT_EQ(link_->e.send_depth, link_->posted);
  EXPECT_TRUE(sends_.armed);
  sends_.due = {16};
  drive();
  EXPECT_EQ(0u, link_->owed);
  EXPECT_EQ(credit, g_writes.back().value);
}

TEST_F(RdmaPosting, ReceivesThatCannotBeToldYetWakeTheDriverAgain) {
  sleeps_on_events();
  for (uint64_t credit = 0; link_->posted < link_->e.send_depth;) ASSERT_EQ(rc::kOk, tell_credit(++credit));
  EXPECT_FALSE(sends_.armed);
  receives_.due.resize(100);
  drive();
  EXPECT_NE(0u, link_->owed & rc::kOwesReceives);
  EXPECT_TRUE(sends_.armed);
}

TEST_F(RdmaPosting, TheFirstReceivesArePostedInChains) {
  link_->e.receive_depth = 1000;
  EXPECT_EQ(rc::kOk, rc::post_receives(rc::Agreed(), &link_->e));
  EXPECT_EQ(1000u, g_receives);
  EXPECT_EQ(32u, g_receive_posts);
  g_receives_most = g_receives + 40;
  EXPECT_EQ(rc::kNoMemory, rc::post_receives(rc::Agreed(), &link_->e));
  EXPECT_NE(nullptr, strstr(rc::reason(), "receive 41 of 1000")) << rc::reason();
}

// Another thread may sleep on the channel, armed when there was nothing to complete.
TEST_F(RdmaPosting, AnOperationWakesTheDriverWhenItCompletes) {
  sleeps_on_events();
  drive();
  EXPECT_FALSE(sends_.armed);
  operate(rc::kOpAdd);
  EXPECT_TRUE(sends_.armed);
}

// It sleeps on the put side, and a thread that gets takes the completion away.
TEST_F(RdmaPosting, WhoSleepsForAnOperationIsWokenByWhoeverTakesItsCompletion) {
  sleeps_on_events();
  link_->fd[rc::kPutSide] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  uint64_t operation = operate(rc::kOpAdd), rings = 0;
  outbox_[0].putter.fetch_add(1);  // as Channel::arm
  EXPECT_EQ(rc::kOk, rc::kRdmaBackend.progress(link_.get(), rc::kGetSide));
  EXPECT_EQ(-1, read(link_->fd[rc::kPutSide], &rings, sizeof rings));
  sends_.due = {operation};
  EXPECT_EQ(rc::kOk, rc::kRdmaBackend.progress(link_.get(), rc::kGetSide));
  EXPECT_TRUE(rc::kRdmaNic.done(link_.get(), operation));
  EXPECT_EQ(ssize_t{sizeof rings}, read(link_->fd[rc::kPutSide], &rings, sizeof rings));
  close(link_->fd[rc::kPutSide]);
}

TEST_F(RdmaPosting, WhatAReadOrAnAtomicMayBeOvertakenByIsFenced) {
  uint64_t word = 0;
  EXPECT_EQ(rc::kOk, put(1, ++word));
  EXPECT_FALSE(last_was_fenced(IBV_WR_RDMA_WRITE));
  operate(rc::kOpAdd);
  EXPECT_FALSE(last_was_fenced(IBV_WR_ATOMIC_FETCH_AND_ADD));
  operate(rc::kOpSwap);
  EXPECT_FALSE(last_was_fenced(IBV_WR_ATOMIC_CMP_AND_SWP));
  operate(rc::kOpWrite);
  EXPECT_TRUE(last_was_fenced(IBV_WR_RDMA_WRITE));
  operate(rc::kOpRead);
  EXPECT_FALSE(last_was_fenced(IBV_WR_RDMA_READ));
  operate(rc::kOpAdd);
  EXPECT_TRUE(last_was_fenced(IBV_WR_ATOMIC_FETCH_AND_ADD));
  operate(rc::kOpSwap);
  EXPECT_TRUE(last_was_fenced(IBV_WR_ATOMIC_CMP_AND_SWP));
  uint64_t last = operate(rc::kOpRead);
  EXPECT_FALSE(last_was_fenced(IBV_WR_RDMA_READ));
  sends_.due = {last};
  drive();
  operate(rc::kOpAdd);
  EXPECT_FALSE(last_was_fenced(IBV_WR_ATOMIC_FETCH_AND_ADD));
}

int g_polls;
uint64_t g_flushed;
int take_no_state(ibv_qp*, ibv_qp_attr*, int) { return 0; }

// The NIC takes its time to give a READ back, which lands until then.
TEST_F(RdmaPosting, HaltWaitsForTheReadsUnderWay) {
  rc::g_verbs.modify_qp = take_no_state;
  g_flushed = operate(rc::kOpRead);
  g_polls = 0;
  verbs_.ops.poll_cq = [](ibv_cq*, int, ibv_wc* wc) {
    if (++g_polls != 4) return 0;
    wc[0] = {};
    wc[0].wr_id = g_flushed;
    wc[0].status = IBV_WC_WR_FLUSH_ERR;
    return 1;
  };
  rc::kRdmaNic.halt(link_.get());
  EXPECT_EQ(4, g_polls);
  EXPECT_FALSE(rc::kRdmaNic.done(link_.get(), g_flushed));  // it has failed
  rc::kRdmaNic.halt(link_.get());
  EXPECT_GE(5, g_polls);
}

TEST_F(RdmaPosting, HaltDoesNotWaitForEver) {
  rc::g_verbs.modify_qp = take_no_state;
  operate(rc::kOpRead);
  verbs_.ops.poll_cq = [](ibv_cq*, int, ibv_wc*) { return 0; };
  rc::kRdmaNic.halt(link_.get());
  EXPECT_FALSE(rc::fetches_are_back(link_.get()));
}

uint8_t g_reads_under_way;

// Each end has no more READs under way than the other one answers.
TEST(RdmaJoin, ReadsUnderWayAreWhatThePeerAnswers) {
  rc::g_verbs.modify_qp = [](ibv_qp*, ibv_qp_attr* attr, int mask) {
    if ((mask & IBV_QP_MAX_QP_RD_ATOMIC) != 0) g_reads_under_way = attr->max_rd_atomic;
    return 0;
  };
  auto point = std::make_unique<rc::RdmaPoint>();
  rc::Endpoint& e = point->e;
  e.mtu = 1024;
  e.dest_rd_atomic = 16;
  rc::EndpointBlob peer = {};
  for (uint32_t answers : {4, 16, 255}) {
    e.rd_atomic = 8;
    peer.dest_rd_atomic = answers;
    ASSERT_EQ(rc::kOk, rc::join(point.get(), peer, &e));
    EXPECT_EQ(answers < 8 ? answers : 8, g_reads_under_way);
    EXPECT_EQ(g_reads_under_way, e.rd_atomic);
  }
}

// What is in the queues when they are armed makes no event.
TEST_F(RdmaPosting, TheLookBeforeSleepTakesAllThatHasCompleted) {
  sleeps_on_events();
  for (uint64_t credit = 0; link_->posted < 100;) ASSERT_EQ(rc::kOk, tell_credit(++credit));
  for (uint64_t id = 1; id <= 100; ++id) sends_.due.push_back(id);
  receives_.due.resize(link_->e.receive_depth);
  EXPECT_EQ(rc::kOk, rc::kRdmaBackend.alive(link_.get(), rc::kNoSide));
  EXPECT_TRUE(sends_.due.empty());
  EXPECT_TRUE(receives_.due.empty());
  EXPECT_EQ(100u, link_->completed);
  EXPECT_EQ(link_->e.receive_depth, link_->receives);
}
#endif
