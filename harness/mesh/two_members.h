// Two members of one mesh, and what tests do with them. Members are threads with a context each, or polled.
#ifndef HARNESS_MESH_TWO_MEMBERS_H_
#define HARNESS_MESH_TWO_MEMBERS_H_

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <string>

#include "capi/rc.h"
#include "core/deadline.h"
#include "harness/mesh/lists.h"
#include "harness/mesh/runner.h"

namespace meshes {

inline constexpr int64_t kMs = 1000 * 1000;
inline constexpr int64_t kPatienceNs = 20'000 * kMs;

inline bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Of a list, too.
inline std::string name_of_scheme(const testing::TestParamInfo<const char*>& each) {
  std::string name;
  for (const char* c = each.param; *c != '\0'; ++c) name += *c == '+' ? "Then" : std::string(1, *c);
  return name;
}

inline Place place(const Lists& lists, int64_t id) {
  Place p;
  p.hosts = lists.text();
  p.id = id;
  return p;
}

inline rc_mesh_state state_of(rc_mesh mesh) {
  rc_mesh_state state = {};
  state.size = sizeof state;
  EXPECT_EQ(RC_OK, rc_mesh_info(mesh, &state)) << rc_reason();
  return state;
}

inline rc_channel channel_of(Runner& runner, uint32_t id) {
  rc_channel channel = {};
  EXPECT_EQ(RC_OK, rc_mesh_channel(runner.mesh(), id, &channel)) << rc_reason();
  return channel;
}

inline void expect_passes(rc_channel from, rc_channel to, uint32_t number) {
  uint32_t got = 0;
  EXPECT_EQ(RC_OK, rc_put(from, &number, sizeof number, kPatienceNs, nullptr)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_get(to, &got, sizeof got, kPatienceNs, nullptr)) << rc_reason();
  EXPECT_EQ(number, got);
}

// A member whose events this thread takes itself, when the descriptor says so.
struct Polled {
  Polled(const Lists& lists, uint32_t id) : Polled(lists.text(), id) {}
  Polled(const std::string& hosts, uint32_t id) {
    rc_config config = {};
    config.size = sizeof config;
    config.rings_max = 32;
    config.ring_bytes = 65536;
    EXPECT_EQ(RC_OK, rc_open(&config, &ctx));
    EXPECT_EQ(RC_OK, open_mesh(ctx, hosts, id, RC_MESH_PARTIAL, 0, &mesh)) << rc_reason();
    EXPECT_EQ(RC_OK, rc_mesh_fd(mesh, &fd)) << rc_reason();
  }
  ~Polled() { rc_close(ctx); }
  // One look that waits for nothing: what happened, 0 if nothing did.
  uint32_t look() {
    rc_member_event event = {};
    event.size = sizeof event;
    int32_t code = rc_mesh_event(mesh, &event, 0);
    EXPECT_TRUE(code == RC_OK || code == RC_E_WOULD_BLOCK) << rc_reason();
    return code == RC_OK ? event.kind : 0;
  }
  // Whether this is what happens next.
  bool next(uint32_t kind, uint32_t member) {
    rc_member_event event = {};
    event.size = sizeof event;
    for (int i = 0; i < 10'000; ++i) {
      pollfd p = {fd, POLLIN, 0};
      if (poll(&p, 1, 20'000) != 1) return false;
      int32_t code = rc_mesh_event(mesh, &event, 0);
      if (code == RC_OK) return event.kind == kind && event.member == member;
      if (code != RC_E_WOULD_BLOCK) return false;
    }
    return false;
  }
  rc_ctx ctx = {};
  rc_mesh mesh = {};
  int32_t fd = -1;
};

class TwoMembers : public testing::TestWithParam<const char*> {
 protected:
  // Two members that have met.
  void meet() {
    zero = std::make_unique<Runner>(place(lists, 0));
    one = std::make_unique<Runner>(place(lists, 1));
    ASSERT_EQ(RC_OK, zero->opened()) << zero->reason();
    ASSERT_EQ(RC_OK, one->opened()) << one->reason();
    ASSERT_TRUE(zero->wait_for(RC_MEMBER_CONNECTED, 1));
    ASSERT_TRUE(one->wait_for(RC_MEMBER_ACCEPTED, 0));
  }
  // They are undisturbed.
  void expect_together() {
    expect_passes(channel_of(*zero, 1), channel_of(*one, 0), 17);
    expect_passes(channel_of(*one, 0), channel_of(*zero, 1), 18);
    EXPECT_EQ(1u, zero->events().size());
    EXPECT_EQ(1u, one->events().size());
  }
  Lists lists{GetParam(), 2};
  std::unique_ptr<Runner> zero, one;
};

}  // namespace meshes

#endif  // HARNESS_MESH_TWO_MEMBERS_H_
