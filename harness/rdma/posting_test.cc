// What the data path of rdma hands to the queue pair. Needs no RDMA: the queue pair is one that only takes note.
#include <gtest/gtest.h>
#include <string.h>

#include <memory>
#include <vector>

#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include "backends/rdma/link.h"
#include "backends/rdma/rdma.h"

namespace {

struct Write {
  uint64_t offset;
  const rc::Sealed* word;  // where the NIC would read it; null: ring bytes
  uint64_t value;          // what was there when it was posted
};
std::vector<Write> g_writes;

int take_note(ibv_qp*, ibv_send_wr* wr, ibv_send_wr**) {
  for (; wr != nullptr; wr = wr->next) {
    bool word = wr->sg_list->length == sizeof(rc::Sealed);
    auto* at = reinterpret_cast<const rc::Sealed*>(wr->sg_list->addr);
    g_writes.push_back({wr->wr.rdma.remote_addr, word ? at : nullptr, word ? at->value : 0});
  }
  return 0;
}
int nothing_completes(ibv_cq*, int, ibv_wc*) { return 0; }

// A link without inline data whose WRITEs never complete.
class RdmaPosting : public testing::Test {
 protected:
  RdmaPosting() : link_(new rc::RdmaLink()), inbox_(new rc::Inbox[2]()), outbox_(new rc::Inbox[2]()) {
    g_writes.clear();
    verbs_.ops.post_send = take_note;
    verbs_.ops.poll_cq = nothing_completes;
    qp_.context = cq_.context = &verbs_;
    link_->e.qp = &qp_;
    link_->e.send_cq = &cq_;
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

  std::unique_ptr<rc::RdmaLink> link_;
  std::unique_ptr<rc::Inbox[]> inbox_, outbox_;
  ibv_context verbs_ = {};
  ibv_qp qp_ = {};
  ibv_cq cq_ = {};
  ibv_mr mr_ = {};
};

}  // namespace

TEST_F(RdmaPosting, LeavesWordsThatAreUnderWayAlone) {
  uint64_t word = 0;
  while (put(1, ++word) == rc::kOk) {
  }
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
#endif
