// A device that is removed, or has failed for good: whoever has something on it is told. Needs no RDMA: the events are
// made here.
#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>

#include <memory>

#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include "backends/rdma/link.h"
#include "backends/rdma/rdma.h"
#include "capi/rc.h"
#include "core/fallback.h"
#include "core/wait.h"

namespace {

bool g_removed, g_failed;  // and nobody has heard of it
rdma_cm_id g_id;
rdma_cm_event g_event;

class RdmaRemoval : public testing::Test {
 protected:
  RdmaRemoval() {
    g_removed = g_failed = false;
    rc::g_verbs.get_cm_event = [](rdma_event_channel*, rdma_cm_event** event) noexcept {
      errno = EAGAIN;
      if (!g_removed) return -1;
      g_removed = false;
      g_event = {};
      g_event.id = &g_id;
      g_event.event = RDMA_CM_EVENT_DEVICE_REMOVAL;
      *event = &g_event;
      return 0;
    };
    rc::g_verbs.ack_cm_event = [](rdma_cm_event*) noexcept { return 0; };
    rc::g_verbs.get_async_event = [](ibv_context*, ibv_async_event* event) noexcept {
      if (!g_failed) return -1;
      g_failed = false;
      *event = {};
      event->event_type = IBV_EVENT_DEVICE_FATAL;
      return 0;
    };
    rc::g_verbs.ack_async_event = [](ibv_async_event*) noexcept {};
    EXPECT_EQ(RC_OK, rc_open(nullptr, &ctx_));
    context_ = rc::Handles::context(ctx_.id);
  }
  ~RdmaRemoval() override { EXPECT_EQ(RC_OK, rc_close(ctx_)); }

  // As a side does before it sleeps.
  rc::Code look_at_a_link() {
    auto link = std::make_unique<rc::RdmaLink>();
    std::unique_ptr<rc::Inbox[]> inbox(new rc::Inbox[2]());
    rc::Tenancy tenancy = {};
    rdma_event_channel channel = {};
    link->e.channel = &channel;
    link->e.tenancy = &tenancy;
    link->inbox = link->e.inbox = inbox.get();
    link->fd[0] = link->fd[1] = link->timer_fd = -1;
    link->quiet_most_ns = INT64_MAX / 4;
    rc::clear_mail(inbox.get());
    pthread_mutex_init(&link->mutex, nullptr);
    rc::Code first = rc::kRdmaBackend.alive(link.get(), rc::kGetSide);
    EXPECT_EQ(first, rc::kRdmaBackend.progress(link.get(), rc::kGetSide));  // it stays so
    pthread_mutex_destroy(&link->mutex);
    return first;
  }

  rc_ctx ctx_ = {0};
  rc::Context* context_;
};

}  // namespace

TEST_F(RdmaRemoval, EndsAChannel) {
  EXPECT_EQ(rc::kOk, look_at_a_link());
  g_removed = true;
  EXPECT_EQ(rc::kNoDevice, look_at_a_link());
  EXPECT_NE(nullptr, strstr(rc::reason(), "removed")) << rc::reason();
  g_failed = true;
  EXPECT_EQ(rc::kNoDevice, look_at_a_link());
  EXPECT_NE(nullptr, strstr(rc::reason(), "DEVICE_FATAL")) << rc::reason();
}

TEST_F(RdmaRemoval, IsToldByTheListener) {
  auto point = std::make_unique<rc::RdmaPoint>();
  point->fd = -1;
  point->id = &g_id;
  EXPECT_EQ(rc::kOk, point->uri.parse("rdma://192.0.2.1:7000"));
  EXPECT_EQ(rc::kTimeout, rc::kRdmaBackend.accept(*context_, point.get(), rc::Deadline::after(0), nullptr));
  g_removed = true;
  for (int i = 0; i < 3; ++i) {  // it stays so
    EXPECT_EQ(rc::kNoDevice, rc::kRdmaBackend.accept(*context_, point.get(), rc::Deadline::after(0), nullptr));
    EXPECT_NE(nullptr, strstr(rc::reason(), "192.0.2.1")) << rc::reason();
    EXPECT_NE(nullptr, strstr(rc::reason(), "removed")) << rc::reason();
  }
  context_->stop();  // who goes on accepting whatever comes is to end
  EXPECT_EQ(rc::kStopped, rc::kRdmaBackend.accept(*context_, point.get(), rc::Deadline::after(0), nullptr));
}

// Its other members go on.
TEST_F(RdmaRemoval, IsToldOnceByAList) {
  auto lost = std::make_unique<rc::RdmaPoint>(), other = std::make_unique<rc::RdmaPoint>();
  auto link = std::make_unique<rc::RdmaLink>();
  rdma_cm_id other_id = {};
  lost->ops = other->ops = &rc::kRdmaBackend;
  lost->fd = other->fd = -1;
  lost->id = &g_id;
  other->id = &other_id;
  rc::FallbackPoint list = {};
  list.fd = -1;
  list.members[0] = lost.get();
  list.members[1] = other.get();
  list.count = 2;
  auto accept = [&] { return rc::kFallbackBackend.accept(*context_, &list, rc::Deadline::after(0), link.get()); };
  g_removed = true;
  EXPECT_EQ(rc::kNoDevice, accept());
  EXPECT_EQ(rc::kTimeout, accept());
  EXPECT_FALSE(list.gone);
  list.count = 1;  // if nobody is left, every time
  EXPECT_EQ(rc::kNoDevice, accept());
  EXPECT_TRUE(list.gone);  // to a mesh once all the same
}
#endif
