// A mesh on its own: the channel to oneself, its arguments, what its members call themselves.
#include <atomic>
#include <thread>

#include "core/deadline.h"
#include "core/mesh_identity.h"
#include "harness/mesh/two_members.h"

namespace meshes {
namespace {

class Meshes : public TwoMembers {};

INSTANTIATE_TEST_SUITE_P(Over, Meshes, testing::Values("tcp", "shm"),
                         [](const auto& each) { return std::string(each.param); });

TEST_P(Meshes, SelfGetsWhatItPuts) {
  Runner runner(place(lists, 1));
  ASSERT_EQ(RC_OK, runner.opened()) << runner.reason();
  rc_channel self = channel_of(runner, 1);
  for (uint32_t i = 0; i < 100'000; ++i) expect_passes(self, self, i);
  EXPECT_EQ(RC_OK, rc_send(self, "hello", 5, nullptr, 0, nullptr));
  char text[8] = "";
  size_t n = 0;
  EXPECT_EQ(RC_OK, rc_recv(self, text, sizeof text, &n, nullptr, nullptr, 0));
  EXPECT_STREQ("hello", text);
  EXPECT_EQ(RC_E_TIMEOUT, rc_get(self, text, 1, kMs, nullptr));
}

TEST_P(Meshes, SelfWakesItsOtherThread) {
  Place sleeper = place(lists, 1);
  sleeper.wait = RC_WAIT_SLEEP;
  Runner runner(sleeper);
  ASSERT_EQ(RC_OK, runner.opened()) << runner.reason();
  rc_channel self = channel_of(runner, 1);
  constexpr uint32_t kTimes = 1000;
  std::atomic<uint32_t> got{0};
  std::thread getter([&] {
    uint32_t word = 0;
    while (got < kTimes && rc_get(self, &word, sizeof word, kPatienceNs, nullptr) == RC_OK && word == got) ++got;
  });
  for (uint32_t i = 0; i < kTimes && got == i; ++i) {  // it goes to sleep before each put
    EXPECT_EQ(RC_OK, rc_put(self, &i, sizeof i, kPatienceNs, nullptr));
    int64_t until_ns = rc::now_ns() + 5000 * kMs;
    while (got == i && rc::now_ns() < until_ns) std::this_thread::yield();
  }
  EXPECT_EQ(kTimes, got);
  rc_stop(runner.context());
  getter.join();
}

// A ring may have less room than the text that says where a member is.
TEST_P(Meshes, MembersWithSmallRingsMeet) {
  for (uint64_t ring_bytes : {64, 128, 256}) {
    Lists two(GetParam(), 2);
    Place zeros = place(two, 0), ones = place(two, 1);
    zeros.ring_bytes = ones.ring_bytes = ring_bytes;
    zeros.partial = ones.partial = false;
    zeros.timeout_ns = ones.timeout_ns = kPatienceNs;
    Runner a(zeros), b(ones);
    ASSERT_EQ(RC_OK, a.opened()) << ring_bytes << ": " << a.reason();
    ASSERT_EQ(RC_OK, b.opened()) << ring_bytes << ": " << b.reason();
    expect_passes(channel_of(a, 1), channel_of(b, 0), 4);
    expect_passes(channel_of(b, 0), channel_of(a, 1), 5);
  }
}

TEST(Mesh, BadArgumentsAreNamed) {
  Lists lists("shm", 3);
  Place p = place(lists, 3);
  struct {
    Place place;
    int32_t code;
    const char* says;
  } cases[] = {{place(lists, 3), RC_E_HOSTS, "the own id, 3, does not stand in it"},
               {place(lists, 0), RC_E_HOSTS, "it has 3 members, wanted are 4"},
               {place(lists, 0), RC_E_INVALID, "rc_mesh_config.name"},
               {place(lists, 0), RC_E_HOSTS, "line 2: id 0 stands in line 1"},
               {place(lists, -1), RC_E_HOSTS, "no line has an address of this machine"},
               {place(lists, 0), RC_E_UNREACHABLE, "203.0.113.1"}};
  cases[1].place.members = 4;
  cases[2].place.name = "two words";
  cases[3].place.hosts = "0 shm:a\n0 shm:b\n";
  cases[4].place.hosts = cases[5].place.hosts = "0 203.0.113.1:7000\n1 203.0.113.2:7000\n";
  for (auto& c : cases) {
    Runner runner(c.place);
    EXPECT_EQ(c.code, runner.opened()) << c.says;
    EXPECT_TRUE(says(runner.reason(), c.says)) << runner.reason();
  }
  rc_mesh mesh;
  EXPECT_EQ(RC_E_HANDLE, rc_mesh_open(rc_ctx{1}, nullptr, 0, &mesh));
}

TEST(Mesh, TheContextMustHaveRoom) {
  std::string hosts;
  for (int i = 0; i < 16; ++i) hosts += std::to_string(i) + " shm:room-" + std::to_string(i) + "\n";
  Place crowd;
  crowd.hosts = hosts;
  crowd.id = 0;
  Runner runner(crowd);  // with 16 channels
  EXPECT_EQ(RC_E_POOL, runner.opened());
  EXPECT_TRUE(says(runner.reason(), "a mesh of 16 members takes 17 channels")) << runner.reason();
}

// What lies before a member's last word does not hide it: a look takes a part of it, and nothing tells of the rest.
TEST(Mesh, ALossBehindManyOperationsIsTold) {
  Lists lists("tcp", 2);
  rc_ctx ctx[2];
  rc_mesh mesh[2];
  auto open = [&](uint32_t id) {
    rc_config config = {};
    config.size = sizeof config;
    config.mr_bytes = 1 << 20;
    config.op_ring_bytes = 1 << 20;
    ASSERT_EQ(RC_OK, rc_open(&config, &ctx[id]));
    ASSERT_EQ(RC_OK, open_mesh(ctx[id], lists.text(), id, 0, kPatienceNs, &mesh[id])) << rc_reason();
  };
  std::thread other(open, 0);
  open(1);
  other.join();
  rc_channel to = {}, from = {};
  ASSERT_EQ(RC_OK, rc_mesh_channel(mesh[0], 1, &to)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_mesh_channel(mesh[1], 0, &from)) << rc_reason();
  constexpr uint64_t kBytes = 8000;
  rc_mr ours = {}, theirs = {};
  rc_grant grant = {};
  rc_remote remote = {};
  ASSERT_EQ(RC_OK, rc_mr_alloc(ctx[0], kBytes, 0, &ours));
  ASSERT_EQ(RC_OK, rc_mr_alloc(ctx[1], kBytes, 0, &theirs));
  ASSERT_EQ(RC_OK, rc_mr_grant(from, theirs, 0, kBytes, RC_MR_WRITE, 0, &grant));
  ASSERT_EQ(RC_OK, rc_remote_get(to, kPatienceNs, &remote)) << rc_reason();
  for (int i = 0; i < 60; ++i) ASSERT_EQ(RC_OK, rc_write(ours, 0, remote, 0, kBytes, nullptr)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_close(ctx[0]));
  rc_member_event event = {};
  event.size = sizeof event;
  ASSERT_EQ(RC_OK, rc_mesh_event(mesh[1], &event, kPatienceNs));
  EXPECT_EQ(RC_MEMBER_ACCEPTED, event.kind);
  EXPECT_EQ(RC_OK, rc_mesh_event(mesh[1], &event, 5000 * kMs)) << rc_reason();
  EXPECT_EQ(RC_MEMBER_LOST, event.kind);
  EXPECT_EQ(RC_E_CLOSED, event.code);
  rc_close(ctx[1]);
}

TEST(MeshIdentity, IsReadAsItWasWritten) {
  rc::MeshIdentity me = {"a:b/c", 12, 4096, 0x00ab12c}, read;
  char text[rc::kIdentityBytes];
  me.write(text);
  ASSERT_TRUE(read.read(text)) << text;
  EXPECT_TRUE(read.same_mesh(me));
  EXPECT_EQ(12u, read.id);
  EXPECT_EQ(0x00ab12cu, read.process);
  ASSERT_TRUE(read.read("mesh:a:1/2"));
  EXPECT_EQ(0u, read.process);
  rc::MeshIdentity longest = {"a name of a mesh that has forty bytes ..", 4095, 4096, 0xfffffff};
  longest.write(text);
  ASSERT_TRUE(read.read(text)) << text;
  EXPECT_STREQ(longest.name, read.name);
  EXPECT_EQ(longest.process, read.process);
  for (const char* bad : {"", "mesh:", "mesh:a", "mesh:a:", "mesh:a:1", "mesh:a:1/", "mesh:a:/2", "mesh:a:1/2/3",
                          "mesh:a:1/12345", "mesh:a:-1/2", "mess:a:1/2", "mesh:a:1/2#", "mesh:a:1/2#000000",
                          "mesh:a:1/2#0000000", "mesh:a:1/2#00000011", "mesh:a:1/2#000000G", "mesh:a:1/2/0000001"})
    EXPECT_FALSE(read.read(bad)) << bad;
}

}  // namespace
}  // namespace meshes
