// Attempts over RDMA that are given up half way, at each step that they can have come to.
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "harness/mesh/two_members.h"

namespace meshes {
namespace {

// What the kernel holds for this machine's processes: queue pairs, completion queues, ids, memory regions.
std::string resources() {
  std::string all;
  FILE* said = popen("rdma resource show", "r");
  for (int c; said != nullptr && (c = fgetc(said)) != EOF;) all += static_cast<char>(c);
  EXPECT_EQ(0, said != nullptr ? pclose(said) : -1);
  return all;
}

int descriptors() {
  int n = 0;
  DIR* all = opendir("/proc/self/fd");
  while (readdir(all) != nullptr) ++n;
  closedir(all);
  return n;
}

// One that accepts only when it is told to look.
struct Listening {
  explicit Listening(const std::string& uri) {
    rc_config config = {};
    config.size = sizeof config;
    config.ring_bytes = 65536;
    EXPECT_EQ(RC_OK, rc_open(&config, &ctx));
    EXPECT_EQ(RC_OK, rc_listen(ctx, uri.c_str(), nullptr, &listener)) << rc_reason();
  }
  ~Listening() { rc_close(ctx); }
  // True: somebody has come, and is gone again.
  bool look() {
    rc_channel channel = {};
    int32_t code = rc_accept(listener, 0, &channel);
    EXPECT_TRUE(code == RC_OK || code == RC_E_WOULD_BLOCK) << rc_reason();
    return code == RC_OK && rc_channel_close(channel) == RC_OK;
  }
  rc_ctx ctx = {};
  rc_listener listener = {};
};

// A true client is served.
void expect_service(const std::string& uri, Listening& there) {
  std::thread client([&] {
    rc_ctx ctx = {};
    rc_channel channel = {};
    EXPECT_EQ(RC_OK, rc_open(nullptr, &ctx));
    EXPECT_EQ(RC_OK, rc_connect(ctx, uri.c_str(), nullptr, kPatienceNs, &channel)) << rc_reason();
    rc_close(ctx);
  });
  bool came = false;
  for (int64_t until_ns = rc::now_ns() + kPatienceNs; !came && rc::now_ns() < until_ns;) came = there.look();
  EXPECT_TRUE(came);
  client.join();
}

}  // namespace

TEST(RdmaAttempts, GivenUpAtAnyStepLeaveNothing) {
  if (rdma_address() == nullptr) GTEST_SKIP() << "RC_RDMA_ADDRESS names no device";
  Lists lists("rdma", 2);
  Listening there(lists.uri(1));
  expect_service(lists.uri(1), there);
  std::string before;
  while (before != resources()) before = resources();  // the kernel cleans up a moment later
  const int before_fds = descriptors();
  std::set<std::string> stages;
  bool through = false;
  for (int steps = 0; steps < 30 && !through; ++steps) {
    SCOPED_TRACE(steps);
    {
      Polled lower(lists, 0);
      for (int i = 0; i < steps; ++i) {
        pollfd p = {lower.fd, POLLIN, 0};
        poll(&p, 1, 500);
        rc_member_event event = {};
        event.size = sizeof event;
        through = rc_mesh_event(lower.mesh, &event, 0) == RC_E_IDENTITY;  // the listener is no member
        if (i >= 3) there.look();
      }
      stages.insert(resources());
    }
    std::string after;
    for (int64_t until_ns = rc::now_ns() + kPatienceNs; after != before && rc::now_ns() < until_ns;) {
      there.look();  // what has become of an attempt there
      after = resources();
    }
    EXPECT_EQ(before, after);
    EXPECT_EQ(before_fds, descriptors());
  }
  EXPECT_TRUE(through);
  EXPECT_LE(3u, stages.size());  // an id; a queue pair, too; both ends'
  expect_service(lists.uri(1), there);
}

}  // namespace meshes
