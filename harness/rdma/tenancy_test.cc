// What the connections of a context share of a device. Needs no RDMA: the devices are ones that only have a name.
#include <errno.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <list>
#include <memory>

#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include "backends/rdma/link.h"
#include "capi/rc.h"

namespace {

std::list<ibv_context> g_open;
int g_downs = 0;  // that nobody has heard of

int next_event(ibv_context*, ibv_async_event* event) {
  if (g_downs == 0) return -1;
  --g_downs;
  *event = {};
  event->event_type = IBV_EVENT_PORT_ERR;
  event->element.port_num = 1;
  return 0;
}

ibv_context* open_one(ibv_device* device) {
  ibv_context verbs = {};
  verbs.device = device;
  verbs.async_fd = eventfd(0, EFD_CLOEXEC);
  g_open.push_back(verbs);
  return &g_open.back();
}
int close_one(ibv_context* verbs) {
  close(verbs->async_fd);
  g_open.remove_if([=](const ibv_context& open) { return &open == verbs; });
  return 0;
}

// A device that makes so many objects and then has, or may have, no memory.
int g_objects_left;
template <class Object>
Object* make_some() {
  static Object object;
  errno = ENOMEM;
  return g_objects_left-- > 0 ? &object : nullptr;
}

class RdmaTenancy : public testing::Test {
 protected:
  RdmaTenancy() {
    rc::g_verbs.open_device = open_one;
    rc::g_verbs.close_device = close_one;
    rc::g_verbs.get_device_name = [](ibv_device* device) noexcept -> const char* { return device->name; };
    rc::g_verbs.get_async_event = next_event;
    rc::g_verbs.ack_async_event = [](ibv_async_event*) noexcept {};
    strcpy(device_.name, "none0");
    EXPECT_EQ(RC_OK, rc_open(nullptr, &ctx_));
    context_ = rc::Handles::context(ctx_.id);
  }
  ~RdmaTenancy() override {
    EXPECT_TRUE(g_open.empty());
    EXPECT_EQ(RC_OK, rc_close(ctx_));
  }
  rc::Tenancy* join() {
    rc::Tenancy* tenancy = nullptr;
    EXPECT_EQ(rc::kOk, rc::join_tenancy(*context_, open_one(&device_), true, &tenancy));
    return tenancy;
  }

  rc_ctx ctx_ = {0};
  rc::Context* context_;
  ibv_device device_ = {};
};

}  // namespace

TEST_F(RdmaTenancy, ConnectionsOfADeviceShareIt) {
  rc::Tenancy* first = join();
  EXPECT_EQ(first, join());
  EXPECT_EQ(1u, g_open.size());
  rc::leave_tenancy(*context_, first);
  rc::leave_tenancy(*context_, first);
}

TEST_F(RdmaTenancy, MessagesThatTheDeviceCannotSendAreRefused) {
  rc::Endpoint e = {};
  e.two_sided = true;
  e.message_most = 256;
  rc::Agreed agreed = {};
  agreed.ring_bytes = 1 << 20;
  EXPECT_EQ(rc::kSize, rc::make_rings(*context_, agreed, &e));
  EXPECT_NE(nullptr, strstr(rc::reason(), "over this RDMA device they may have 256")) << rc::reason();
  EXPECT_EQ(nullptr, e.inbox);
}

class RdmaLocking : public RdmaTenancy {
 protected:
  RdmaLocking() {
    rc::g_verbs.alloc_pd = [](ibv_context*) noexcept -> ibv_pd* {
      static ibv_pd pd;
      return &pd;
    };
    rc::g_verbs.dealloc_pd = [](ibv_pd*) noexcept { return 0; };
    rc::g_verbs.create_comp_channel = [](ibv_context*) noexcept {
      static ibv_comp_channel channel;
      channel.fd = eventfd(0, EFD_CLOEXEC);
      return &channel;
    };
    rc::g_verbs.destroy_comp_channel = [](ibv_comp_channel* channel) noexcept { return close(channel->fd); };
    rc::g_verbs.create_cq = [](ibv_context*, int, void*, ibv_comp_channel*, int) noexcept {
      static ibv_context verbs = {};
      verbs.ops.poll_cq = [](ibv_cq*, int, ibv_wc*) { return 0; };
      auto* queue = make_some<ibv_cq>();
      if (queue != nullptr) queue->context = &verbs;
      return queue;
    };
    rc::g_verbs.destroy_cq = [](ibv_cq*) noexcept { return 0; };
    rc::g_verbs.create_qp = [](ibv_pd*, ibv_qp_init_attr*) noexcept { return make_some<ibv_qp>(); };
    rc::g_verbs.reg_mr = [](ibv_pd*, void*, size_t, int) noexcept { return make_some<ibv_mr>(); };
    EXPECT_EQ(0, getrlimit(RLIMIT_MEMLOCK, &before_));
    rlimit low = {4096, before_.rlim_max};
    EXPECT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &low));
  }
  ~RdmaLocking() override { EXPECT_EQ(0, setrlimit(RLIMIT_MEMLOCK, &before_)); }

  void expect_limit(rc::Code code, const char* what) {
    EXPECT_EQ(rc::kNoMemory, code);
    for (const char* names : {what, "may lock 4096 bytes", "ulimit -l"}) {
      EXPECT_NE(nullptr, strstr(rc::reason(), names)) << rc::reason();
    }
  }

  rlimit before_;
};

// Some devices keep queues in locked memory.
TEST_F(RdmaLocking, QueuesNameTheLimitOfMemory) {
  rc::Uri uri;
  rc::Knobs knobs;
  EXPECT_EQ(rc::kOk, uri.parse("rdma://192.0.2.1:7000"));
  for (bool shared : {false, true}) {
    for (int made = 0; made < 3; ++made) {
      SCOPED_TRACE(made);
      EXPECT_EQ(rc::kOk, rc::read_knobs(uri, "", &knobs));
      knobs.shared_cq = shared;
      rc::Endpoint e = {};
      e.tenancy = join();
      e.send_depth = 100;
      e.cq_depth = 300;
      e.receive_depth = shared ? 200 : 300 - rc::kHelloReceives;
      g_objects_left = made;
      expect_limit(rc::make_qp(*context_, uri, knobs, &e),
                   made < 2 ? "a completion queue of 300 entries" : "a queue pair for 100 sends");
      rc::destroy_endpoint(*context_, &e);
    }
  }
}

TEST_F(RdmaLocking, WordsNameTheLimitOfMemory) {
  auto link = std::make_unique<rc::RdmaLink>();
  rc::Endpoint e = {};
  e.tenancy = join();
  g_objects_left = 0;
  char what[64];
  snprintf(what, sizeof what, "registering %zu bytes for words", sizeof link->staging);
  expect_limit(rc::fill_link(*context_, rc::Knobs(), &e, rc::RdmaHello(), rc::Agreed(), link.get()), what);
}

TEST_F(RdmaTenancy, OneThatHasFailedServesNobodyMore) {
  rc::Tenancy* failed = join();
  failed->failed = true;
  rc::Tenancy* next = join();
  EXPECT_NE(failed, next);
  EXPECT_FALSE(next->failed);
  EXPECT_NE(failed->watch, next->watch);
  rc::leave_tenancy(*context_, failed);
  EXPECT_EQ(next, join());
  rc::leave_tenancy(*context_, next);
  rc::leave_tenancy(*context_, next);
}

TEST_F(RdmaTenancy, WhatHappenedBeforeAChannelIsNotCountedForIt) {
  auto link = std::make_unique<rc::RdmaLink>();
  rc::Endpoint e = {};
  e.tenancy = join();
  e.port_num = 1;
  e.inline_bytes = sizeof(rc::Sealed);
  g_downs = 2;
  EXPECT_EQ(rc::kOk, rc::fill_link(*context_, rc::Knobs(), &e, rc::RdmaHello(), rc::Agreed(), link.get()));
  EXPECT_EQ(0, g_downs);
  EXPECT_EQ(2u, link->port_downs);
  EXPECT_EQ(2u, link->e.tenancy->port(1).downs);
  pthread_mutex_destroy(&link->mutex);
  rc::leave_tenancy(*context_, link->e.tenancy);
}
#endif
