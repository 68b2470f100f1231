// rc_poll of listeners and meshes; the channels are conformance's.
#include <gtest/gtest.h>
#include <stdio.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "rc.h"

namespace {

constexpr int64_t kPatience = INT64_C(20) * 1000 * 1000 * 1000;

#define EXPECT_RC(code, call) EXPECT_EQ(code, call) << rc_reason()
#define ASSERT_RC(code, call) ASSERT_EQ(code, call) << rc_reason()

rc_ctx open_context() {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 8;
  config.ring_bytes = 4096;
  rc_ctx ctx{0};
  EXPECT_RC(RC_OK, rc_open(&config, &ctx));
  return ctx;
}

std::string fresh(const char* what) {
  static int number = 0;
  return "shm:ready-" + std::string(what) + "-" + std::to_string(getpid()) + "-" + std::to_string(++number);
}

// Until an event of that kind comes; others are told of as well.
bool wait_for(rc_ctx ctx, uint32_t kind, rc_event* found) {
  auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kPatience);
  while (std::chrono::steady_clock::now() < end) {
    rc_event events[16];
    uint32_t n = 0;
    int32_t code = rc_poll(ctx, events, 16, kPatience, &n);
    EXPECT_RC(RC_OK, code);
    if (code != RC_OK) return false;
    for (uint32_t i = 0; i < n; ++i) {
      if (events[i].kind != kind) continue;
      *found = events[i];
      return true;
    }
  }
  return false;
}

TEST(Ready, ListenersAreNamedWhileSomebodyWaits) {
  rc_ctx ctx = open_context(), other = open_context();
  std::string uris[] = {fresh("a"), "tcp://127.0.0.1:0"};
  rc_listener listeners[2];
  int32_t fd = -1;
  char told[160];
  ASSERT_RC(RC_OK, rc_listen(ctx, uris[0].c_str(), nullptr, &listeners[0]));
  ASSERT_RC(RC_OK, rc_fd(ctx, &fd));
  ASSERT_RC(RC_OK, rc_listen(ctx, uris[1].c_str(), nullptr, &listeners[1]));  // joins by itself
  rc_event event = {};
  uint32_t n = 0;
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_poll(ctx, &event, 1, 0, &n));
  for (rc_listener l : listeners) {
    ASSERT_RC(RC_OK, rc_listener_uri(l, told, sizeof told));
    rc_channel one{0}, two{0};
    std::thread connecting([&] { EXPECT_RC(RC_OK, rc_connect(other, told, nullptr, kPatience, &one)); });
    EXPECT_TRUE(wait_for(ctx, RC_EVENT_LISTENER, &event));
    EXPECT_EQ(l.id, event.listener.id);
    EXPECT_EQ(0u, event.channel.id);
    EXPECT_RC(RC_OK, rc_accept(l, kPatience, &two));
    connecting.join();
    EXPECT_RC(RC_E_WOULD_BLOCK, rc_poll(ctx, &event, 1, 0, &n));
    EXPECT_RC(RC_OK, rc_put(one, "x", 1, kPatience, nullptr));
    EXPECT_TRUE(wait_for(ctx, RC_EVENT_CHANNEL, &event));
    EXPECT_EQ(two.id, event.channel.id);
    EXPECT_RC(RC_OK, rc_channel_close(two));
    EXPECT_RC(RC_OK, rc_channel_close(one));
  }
  EXPECT_RC(RC_OK, rc_listener_close(listeners[0]));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_poll(ctx, &event, 1, 0, &n));
  EXPECT_RC(RC_OK, rc_close(ctx));
  EXPECT_RC(RC_OK, rc_close(other));
}

// The context's descriptor is asked for before the mesh opens, or after.
class Meshes : public testing::TestWithParam<bool> {};

TEST_P(Meshes, AreNamedWithTheirChannels) {
  rc_ctx ctx[2] = {open_context(), open_context()};
  std::string hosts = "0 " + fresh("m") + "\n1 " + fresh("m") + "\n";
  rc_mesh mesh[2];
  int32_t fd = -1;
  if (GetParam()) {
    ASSERT_RC(RC_OK, rc_fd(ctx[0], &fd));
  }
  auto open = [&](uint32_t id) {
    rc_mesh_config config = {};
    config.size = sizeof config;
    config.flags = RC_MESH_ID;
    config.id = id;
    config.hosts = hosts.c_str();
    EXPECT_RC(RC_OK, rc_mesh_open(ctx[id], &config, kPatience, &mesh[id]));
  };
  std::thread second([&] { open(1); });
  open(0);
  second.join();
  ASSERT_RC(RC_OK, rc_fd(ctx[0], &fd));
  rc_channel to_other{0}, to_me{0};
  ASSERT_RC(RC_OK, rc_mesh_channel(mesh[0], 1, &to_other));
  ASSERT_RC(RC_OK, rc_mesh_channel(mesh[1], 0, &to_me));
  EXPECT_RC(RC_OK, rc_put(to_me, "x", 1, kPatience, nullptr));
  rc_event event = {};
  EXPECT_TRUE(wait_for(ctx[0], RC_EVENT_CHANNEL, &event));
  EXPECT_EQ(to_other.id, event.channel.id);
  EXPECT_RC(RC_OK, rc_mesh_close(mesh[1]));
  rc_member_event member = {};
  while (member.kind != RC_MEMBER_LOST) {
    ASSERT_TRUE(wait_for(ctx[0], RC_EVENT_MESH, &event));
    EXPECT_EQ(mesh[0].id, event.mesh.id);
    member = {};
    member.size = sizeof member;
    int32_t code = rc_mesh_event(mesh[0], &member, 0);
    ASSERT_TRUE(code == RC_OK || code == RC_E_WOULD_BLOCK) << rc_reason();
  }
  EXPECT_EQ(1u, member.member);
  EXPECT_RC(RC_OK, rc_close(ctx[0]));
  EXPECT_RC(RC_OK, rc_close(ctx[1]));
}

INSTANTIATE_TEST_SUITE_P(Asked, Meshes, testing::Bool(),
                         [](const auto& test) { return test.param ? "Before" : "After"; });

// rc_fd and rc_progress_all need a moment in which nobody is in a call; they say so, and work then.
TEST(Ready, FirstCallWhileAThreadIsInsideIsBusy) {
  rc_ctx ctx = open_context(), other = open_context();
  std::string uri = fresh("busy");
  rc_listener listener{0};
  rc_channel one{0}, two{0};
  ASSERT_RC(RC_OK, rc_listen(ctx, uri.c_str(), nullptr, &listener));
  std::thread connecting([&] { EXPECT_RC(RC_OK, rc_connect(other, uri.c_str(), nullptr, kPatience, &one)); });
  ASSERT_RC(RC_OK, rc_accept(listener, kPatience, &two));
  connecting.join();
  std::thread getter([&] {
    char byte;
    EXPECT_RC(RC_OK, rc_get(two, &byte, 1, kPatience, nullptr));
  });
  int32_t fd = -1;
  rc_counters counters = {};
  counters.size = sizeof counters;
  while (counters.get_waits == 0) ASSERT_RC(RC_OK, rc_channel_counters(two, &counters));
  EXPECT_RC(RC_E_BUSY, rc_fd(ctx, &fd));
  EXPECT_RC(RC_E_BUSY, rc_progress_all(ctx));
  EXPECT_RC(RC_OK, rc_put(one, "x", 1, kPatience, nullptr));
  getter.join();
  EXPECT_RC(RC_OK, rc_fd(ctx, &fd));
  EXPECT_RC(RC_OK, rc_progress_all(ctx));
  EXPECT_RC(RC_OK, rc_close(ctx));
  EXPECT_RC(RC_OK, rc_close(other));
}

// They change what both sides use: no call of another thread is inside meanwhile, and none is told of it.
TEST(Ready, FirstCallBetweenPutsDisturbsNone) {
  for (int round = 0; round < 30; ++round) {
    rc_ctx ctx = open_context(), other = open_context();
    std::string uri = fresh("between");
    rc_listener listener{0};
    rc_channel to{0}, from{0};
    ASSERT_RC(RC_OK, rc_listen(ctx, uri.c_str(), nullptr, &listener));
    std::thread connecting([&] { EXPECT_RC(RC_OK, rc_connect(other, uri.c_str(), nullptr, kPatience, &from)); });
    ASSERT_RC(RC_OK, rc_accept(listener, kPatience, &to));
    connecting.join();
    std::atomic<bool> done{false};
    std::atomic<int> moved{0};
    std::thread putter([&] {
      for (uint64_t i = 0; !done;) {
        for (volatile int pause = 0; pause < 40; ++pause) continue;  // the ring is not to be full: then it has a runway
        int32_t code = rc_try_put(to, &i, sizeof i);
        if (code == RC_OK) {
          ++i;
        } else if (code != RC_E_WOULD_BLOCK) {
          ADD_FAILURE() << rc_code_name(code);
          return;
        }
      }
    });
    std::thread getter([&] {
      for (uint64_t i = 0, got; !done;) {
        int32_t code = rc_try_get(from, &got, sizeof got);
        if (code == RC_E_WOULD_BLOCK) continue;
        if (code != RC_OK || got != i++) {
          ADD_FAILURE() << rc_code_name(code) << ": " << got << " instead of " << i - 1;
          return;
        }
        ++moved;
      }
    });
    while (moved == 0) std::this_thread::yield();
    int32_t fd = -1, code;
    auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    do {
      code = rc_fd(ctx, &fd);
    } while (code == RC_E_BUSY && std::chrono::steady_clock::now() < end);
    EXPECT_RC(RC_OK, code);
    int before = moved;
    while (moved < before + 100) std::this_thread::yield();
    done = true;
    putter.join();
    getter.join();
    EXPECT_RC(RC_OK, rc_close(ctx));
    EXPECT_RC(RC_OK, rc_close(other));
  }
}

}  // namespace
