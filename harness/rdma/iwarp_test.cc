// What is different over an iWARP device. Needs no RDMA: device and queue pair are fakes.
#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include "backends/rdma/link.h"
#include "backends/rdma/mail.h"
#include "backends/rdma/rdma.h"

namespace {

ibv_send_wr g_posted;  // the last one
ibv_sge g_sge;
int g_modified;
uint64_t g_due;  // completes at the next poll; 0: nothing

int post(ibv_qp*, ibv_send_wr* wr, ibv_send_wr**) {
  while (wr->next != nullptr) wr = wr->next;
  g_posted = *wr;
  g_sge = wr->num_sge != 0 ? *wr->sg_list : ibv_sge{};
  return 0;
}
int poll(ibv_cq*, int, ibv_wc* wc) {
  *wc = {};
  wc->wr_id = g_due;
  g_due = 0;
  return wc->wr_id != 0 ? 1 : 0;
}

class Iwarp : public testing::Test {
 protected:
  Iwarp() : link_(new rc::RdmaLink()), inbox_(new rc::Inbox[2]()), outbox_(new rc::Inbox[2]()) {
    g_modified = 0;
    g_due = 0;
    strcpy(device_.name, "none0");
    device_.transport_type = IBV_TRANSPORT_IWARP;
    verbs_.device = &device_;
    verbs_.ops.post_send = post;
    verbs_.ops.poll_cq = poll;
    qp_.context = cq_.context = &verbs_;
    rc::g_verbs.get_device_name = [](ibv_device* d) noexcept -> const char* { return d->name; };
    rc::g_verbs.query_port = [](ibv_context*, uint8_t, ibv_port_attr* port) noexcept {
      *port = {};
      port->state = IBV_PORT_ACTIVE;
      port->active_mtu = IBV_MTU_1024;
      return 0;
    };
    rc::g_verbs.query_device = [](ibv_context*, ibv_device_attr* attr) noexcept {
      *attr = {};
      attr->max_qp_wr = attr->max_cqe = 4096;
      attr->max_sge = 6;
      attr->max_qp_rd_atom = attr->max_qp_init_rd_atom = 128;
      return 0;
    };
    rc::g_verbs.init_qp_attr = [](rdma_cm_id*, ibv_qp_attr*, int*) noexcept { return 0; };
    rc::g_verbs.modify_qp = [](ibv_qp*, ibv_qp_attr*, int) noexcept { return g_modified++; };
    rc::g_verbs.get_async_event = [](ibv_context*, ibv_async_event*) noexcept { return -1; };
    rc::Endpoint* e = &link_->e;
    e->verbs = &verbs_;
    e->id = &id_;
    e->iwarp = true;
    e->qp = &qp_;
    e->send_cq = e->receive_cq = &cq_;
    e->send_depth = 64;
    e->message_most = 4096;
    e->tenancy = &tenancy_;
    tenancy_.watch = &verbs_;
    e->inbox_mr = e->outbox_mr = link_->staging_mr = &mr_;
    link_->inbox = e->inbox = inbox_.get();
    link_->outbox = e->outbox = outbox_.get();
    link_->signal_every = 16;
    link_->poll_most = 8;
    link_->timer_fd = link_->fd[0] = link_->fd[1] = -1;
    link_->peer_inbox = 1 << 20;
    link_->quiet_most_ns = int64_t{1000} * 1000;  // a time-out of 8 ms
    pthread_mutex_init(&link_->mutex, nullptr);
  }
  ~Iwarp() override { pthread_mutex_destroy(&link_->mutex); }

  // A device of iWARP with that in the URI; `id`: found by rdma_cm.
  rc::Code check(const std::string& query, rdma_cm_id* id) {
    rc::Uri uri;
    rc::Knobs knobs;
    rc::Endpoint e = {};
    e.verbs = &verbs_;
    e.id = id;
    EXPECT_EQ(rc::kOk, uri.parse(("rdma://192.0.2.1:7000" + query).c_str()));
    EXPECT_EQ(rc::kOk, rc::read_knobs(uri, "", &knobs)) << rc::reason();
    rc::Code code = rc::check_device(uri, knobs, &e);
    EXPECT_TRUE(e.iwarp);
    EXPECT_EQ(0u, e.access);
    return code;
  }
  void expect_refused(const std::string& query, const char* names) {
    SCOPED_TRACE(query);
    EXPECT_EQ(rc::kUri, check(query, &id_));
    EXPECT_NE(nullptr, strstr(rc::reason(), names)) << rc::reason();
    EXPECT_NE(nullptr, strstr(rc::reason(), "none0 is an iWARP device")) << rc::reason();
  }
  rc::Code put() {
    static uint64_t tail = 0;
    ++tail;
    rc::WorkRequest word = {};
    word.local = reinterpret_cast<const uint8_t*>(&tail);
    word.bytes = sizeof tail;
    word.offset = offsetof(rc::Inbox, getter);
    word.copy = true;
    return rc::kRdmaBackend.post(link_.get(), &word, 1);
  }
  bool delivered() { return rc::kRdmaBackend.delivered(link_.get()); }
  void complete() {
    g_due = link_->posted;
    EXPECT_EQ(rc::kOk, rc::kRdmaBackend.progress(link_.get(), rc::kPutSide));
  }

  std::unique_ptr<rc::RdmaLink> link_;
  std::unique_ptr<rc::Inbox[]> inbox_, outbox_;
  ibv_device device_ = {};
  ibv_context verbs_ = {};
  ibv_qp qp_ = {};
  ibv_cq cq_ = {};
  ibv_mr mr_ = {};
  rdma_cm_id id_ = {};
  rc::Tenancy tenancy_ = {};
};

}  // namespace

TEST_F(Iwarp, OnlyRdmaCmConnects) {
  EXPECT_EQ(rc::kOk, check("", &id_)) << rc::reason();
  EXPECT_EQ(rc::kNoDevice, check("", nullptr));
  EXPECT_NE(nullptr, strstr(rc::reason(), "none0 is an iWARP device")) << rc::reason();
}

TEST_F(Iwarp, WhatItCannotDoIsRefusedByName) {
  for (const char* query : {"mode=event", "path=send", "access=write+read", "mtu=1024", "gid=0", "pkey=0", "sl=0",
                            "hop_limit=1", "flow_label=0", "static_rate=0", "path_bits=0", "min_rnr_timer=0"}) {
    std::string key(query, strcspn(query, "="));
    expect_refused("?" + std::string(query), (key + "=").c_str());
  }
  EXPECT_EQ(rc::kOk, check("?access=write&sq_depth=64&inline=0&timeout_ms=500", &id_)) << rc::reason();
}

TEST_F(Iwarp, TheKernelConnectsTheQueuePair) {
  rc::Knobs knobs = {};
  EXPECT_EQ(rc::kOk, rc::enter_connection(knobs, 1024, &link_->e));
  EXPECT_EQ(0, g_modified);
}

// A WRITE completes when TCP has it: what shows that it has arrived is a READ that comes back.
TEST_F(Iwarp, DeliveredIsWhatAReadHasCheckedUpon) {
  ASSERT_EQ(rc::kOk, put());
  EXPECT_EQ(IBV_WR_RDMA_WRITE, g_posted.opcode);
  complete();
  EXPECT_FALSE(delivered());
  ASSERT_EQ(IBV_WR_RDMA_READ, g_posted.opcode);
  EXPECT_EQ((1u << 20) + rc::kKnockLetter, g_posted.wr.rdma.remote_addr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(inbox_.get()) + rc::kKnockLetter, g_sge.addr);
  EXPECT_FALSE(delivered());
  complete();
  EXPECT_TRUE(delivered());
  ASSERT_EQ(rc::kOk, put());
  EXPECT_FALSE(delivered());
}

TEST_F(Iwarp, ANicThatDoesNotAnswerIsDead) {
  auto alive = [this] { return rc::kRdmaBackend.alive(link_.get(), rc::kNoSide); };
  for (int i = 0; i < 1000 && g_posted.opcode != IBV_WR_RDMA_READ; ++i) {
    ASSERT_EQ(rc::kOk, alive());
    usleep(1000);
  }
  complete();
  for (int i = 0; i < 1000 && alive() == rc::kOk; ++i) usleep(1000);
  EXPECT_EQ(rc::kPeerDead, alive());
  EXPECT_NE(nullptr, strstr(rc::reason(), "did not answer")) << rc::reason();
}
#endif
