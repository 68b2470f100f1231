// The mesh through its C ABI: who meets whom, who is refused, what is told. Members are threads with a context each.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>

#include "core/deadline.h"
#include "core/mesh_identity.h"
#include "harness/mesh/lists.h"
#include "harness/mesh/members.h"
#include "harness/mesh/runner.h"

namespace meshes {
namespace {

constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kPatienceNs = 20'000 * kMs;

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Place place(const Lists& lists, int64_t id) {
  Place p;
  p.hosts = lists.text();
  p.id = id;
  return p;
}

rc_mesh_state state_of(rc_mesh mesh) {
  rc_mesh_state state = {};
  state.size = sizeof state;
  EXPECT_EQ(RC_OK, rc_mesh_info(mesh, &state)) << rc_reason();
  return state;
}

rc_channel channel_of(Runner& runner, uint32_t id) {
  rc_channel channel = {};
  EXPECT_EQ(RC_OK, rc_mesh_channel(runner.mesh(), id, &channel)) << rc_reason();
  return channel;
}

void expect_passes(rc_channel from, rc_channel to, uint32_t number) {
  uint32_t got = 0;
  EXPECT_EQ(RC_OK, rc_put(from, &number, sizeof number, kPatienceNs, nullptr)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_get(to, &got, sizeof got, kPatienceNs, nullptr)) << rc_reason();
  EXPECT_EQ(number, got);
}

class Meshes : public testing::TestWithParam<const char*> {
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

INSTANTIATE_TEST_SUITE_P(Over, Meshes, testing::Values("tcp", "shm"),
                         [](const auto& each) { return std::string(each.param); });

TEST_P(Meshes, TheLowerIdConnects) {
  meet();
  expect_together();
  rc_mesh_state state = state_of(zero->mesh());
  EXPECT_EQ(0u, state.id);
  EXPECT_EQ(2u, state.members);
  EXPECT_EQ(2u, state.present);
  EXPECT_STREQ("mesh", state.name);
  EXPECT_EQ(lists.uri(0), state.uri);
  EXPECT_EQ(channel_of(*zero, 1).id, zero->events()[0].what.channel.id);
}

TEST_P(Meshes, OpenWaitsForAll) {
  Place zeros = place(lists, 0), ones = place(lists, 1);
  zeros.partial = ones.partial = false;
  zeros.timeout_ns = ones.timeout_ns = kPatienceNs;
  Runner a(zeros), b(ones);
  EXPECT_EQ(RC_OK, a.opened()) << a.reason();
  EXPECT_EQ(RC_OK, b.opened()) << b.reason();
  expect_passes(channel_of(a, 1), channel_of(b, 0), 4);
  EXPECT_TRUE(a.wait_for(RC_MEMBER_CONNECTED, 1));  // told afterwards
}

TEST_P(Meshes, OpenNamesTheMissing) {
  for (int64_t id : {0, 1}) {
    Place alone = place(lists, id);
    alone.partial = false;
    alone.timeout_ns = 50 * kMs;
    Runner runner(alone);
    EXPECT_EQ(RC_E_TIMEOUT, runner.opened());
    EXPECT_TRUE(says(runner.reason(), "1 of 2 members are missing")) << runner.reason();
    EXPECT_TRUE(says(runner.reason(), id == 0 ? lists.uri(1) + ": RC_E_NO_LISTENER" : " 0 (did not connect)"))
        << runner.reason();
  }
  meet();  // nothing of it is left
}

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

TEST_P(Meshes, ALeavingMemberIsLostAsClosed) {
  meet();
  rc_channel old = channel_of(*zero, 1);
  EXPECT_EQ(RC_OK, rc_put(channel_of(*one, 0), "bye", 3, kPatienceNs, nullptr));
  one.reset();
  ASSERT_TRUE(zero->wait_for(RC_MEMBER_LOST, 1));
  EXPECT_EQ(RC_E_CLOSED, zero->events()[1].what.code);
  EXPECT_EQ(old.id, zero->events()[1].what.channel.id);
  rc_channel none = {1};
  EXPECT_EQ(RC_E_WOULD_BLOCK, rc_mesh_channel(zero->mesh(), 1, &none));
  EXPECT_EQ(0u, none.id);
  EXPECT_EQ(1u, state_of(zero->mesh()).present);
  char text[4] = "";
  EXPECT_EQ(RC_OK, rc_get(old, text, 3, kPatienceNs, nullptr)) << rc_reason();  // what had arrived is still there
  EXPECT_STREQ("bye", text);
  EXPECT_EQ(RC_E_CLOSED, rc_get(old, text, 1, kPatienceNs, nullptr));
}

TEST_P(Meshes, AMemberThatComesBackHasANewChannel) {
  meet();
  for (size_t times = 2; times < 6; ++times) {
    rc_channel old = channel_of(*zero, 1);
    one.reset();
    one = std::make_unique<Runner>(place(lists, 1));
    ASSERT_TRUE(zero->wait_for(RC_MEMBER_CONNECTED, 1, times));
    ASSERT_TRUE(one->wait_for(RC_MEMBER_ACCEPTED, 0));
    EXPECT_NE(old.id, channel_of(*zero, 1).id);
    uint32_t word;
    EXPECT_EQ(RC_E_HANDLE, rc_try_get(old, &word, sizeof word));
    expect_passes(channel_of(*zero, 1), channel_of(*one, 0), 5);
  }
  std::vector<Runner::Event> events = zero->events();
  for (size_t i = 0; i < events.size(); ++i)  // told in turn, each once
    EXPECT_EQ(i % 2 == 0 ? RC_MEMBER_CONNECTED : RC_MEMBER_LOST, events[i].what.kind) << i;
}

TEST_P(Meshes, TheFirstFreePlaceIsTaken) {
  std::vector<std::unique_ptr<Runner>> runners;
  std::vector<uint32_t> ids;
  for (int i = 0; i < 2; ++i) {
    runners.push_back(std::make_unique<Runner>(place(lists, -1)));
    ASSERT_EQ(RC_OK, runners.back()->opened()) << runners.back()->reason();
    ids.push_back(state_of(runners.back()->mesh()).id);
  }
  EXPECT_EQ((std::vector<uint32_t>{0, 1}), ids);
  EXPECT_TRUE(runners[0]->wait_for(RC_MEMBER_CONNECTED, 1));
  Runner third(place(lists, -1));
  EXPECT_EQ(RC_E_NAME_IN_USE, third.opened());
  EXPECT_TRUE(says(third.reason(), "each of the 2 addresses")) << third.reason();
  Runner second(place(lists, 1));
  EXPECT_EQ(RC_E_NAME_IN_USE, second.opened());
}

TEST_P(Meshes, AnotherMeshAtAnAddressIsNamed) {
  Place other = place(lists, 1);
  other.name = "other";
  Runner there(other);
  ASSERT_EQ(RC_OK, there.opened()) << there.reason();
  Place here = place(lists, 0);
  here.partial = false;
  here.timeout_ns = kPatienceNs;
  Runner runner(here);
  EXPECT_EQ(RC_E_IDENTITY, runner.opened());
  EXPECT_TRUE(says(runner.reason(), "member 1 of 2 of mesh \"other\"")) << runner.reason();
  EXPECT_TRUE(says(runner.reason(), lists.uri(1))) << runner.reason();
  EXPECT_TRUE(there.events().empty());
}

// An ordinary listener answers: it has no judge, so that the one that connects must notice.
TEST_P(Meshes, AnOrdinaryListenerAtAnAddressIsNamed) {
  rc_ctx ctx;
  rc_listener listener;
  rc_channel channel;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  rc_channel_config config = {};
  config.size = sizeof config;
  config.identity = "a\x01printer";
  config.ring_bytes = 65536;
  ASSERT_EQ(RC_OK, rc_listen(ctx, lists.uri(1).c_str(), &config, &listener)) << rc_reason();
  Runner runner(place(lists, 0));
  ASSERT_EQ(RC_OK, runner.opened()) << runner.reason();
  EXPECT_EQ(RC_OK, rc_accept(listener, kPatienceNs, &channel)) << rc_reason();
  ASSERT_TRUE(runner.wait_for_code(RC_E_IDENTITY));
  EXPECT_TRUE(says(runner.events()[0].reason, "answers \"a?printer\", wanted is member 1"))
      << runner.events()[0].reason;
  EXPECT_EQ(1u, runner.events()[0].what.member);
  rc_close(ctx);
  Runner right(place(lists, 1));
  EXPECT_TRUE(runner.wait_for(RC_MEMBER_CONNECTED, 1));
}

TEST_P(Meshes, StrangersAreRefused) {
  meet();
  rc_ctx ctx;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  const char* identities[] = {nullptr,         "somebody",      "mesh:mesh:0/3", "mesh:other:0/2",
                              "mesh:mesh:1/2", "mesh:mesh:2/2", "mesh:mesh:0/2x"};
  for (const char* identity : identities) {
    rc_channel_config config = {};
    config.size = sizeof config;
    config.identity = identity;
    rc_channel channel;
    EXPECT_EQ(RC_E_IDENTITY, rc_connect(ctx, lists.uri(1).c_str(), &config, kPatienceNs, &channel)) << identity;
    EXPECT_TRUE(says(rc_reason(), "here is member 1 of 2 of mesh \"mesh\"")) << rc_reason();
  }
  rc_close(ctx);
  expect_together();
}

// It says who it is but never confirms: the member's own channel is not touched.
TEST_P(Meshes, AnUnconfirmedConnectionDisturbsNobody) {
  meet();
  rc_ctx ctx;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  rc_channel_config config = {};
  config.size = sizeof config;
  config.identity = "mesh:mesh:0/2";
  config.ring_bytes = 65536;
  rc_channel silent[3], wrong;
  for (rc_channel& c : silent)
    EXPECT_EQ(RC_OK, rc_connect(ctx, lists.uri(1).c_str(), &config, kPatienceNs, &c)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_connect(ctx, lists.uri(1).c_str(), &config, kPatienceNs, &wrong)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_put(wrong, "not it!!", 8, kPatienceNs, nullptr));
  char byte;
  EXPECT_EQ(RC_E_CLOSED, rc_get(wrong, &byte, 1, kPatienceNs, nullptr));
  expect_together();
  rc_close(ctx);
  expect_together();
}

// A connection that says it is a member's newest, and confirms it, ends the one before: first the loss is told.
TEST_P(Meshes, TheNewestConnectionCounts) {
  meet();
  rc_channel old = channel_of(*one, 0);
  rc_ctx ctx;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  rc_channel_config config = {};
  config.size = sizeof config;
  config.identity = "mesh:mesh:0/2";
  config.ring_bytes = 65536;
  rc_channel again;
  EXPECT_EQ(RC_OK, rc_connect(ctx, lists.uri(1).c_str(), &config, kPatienceNs, &again)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_put(again, "rcmesh1", 8, kPatienceNs, nullptr));
  ASSERT_TRUE(one->wait_for(RC_MEMBER_ACCEPTED, 0, 2));
  std::vector<Runner::Event> events = one->events();
  EXPECT_EQ(RC_MEMBER_LOST, events[1].what.kind);
  EXPECT_EQ(RC_E_PEER_DEAD, events[1].what.code);
  EXPECT_EQ(old.id, events[1].what.channel.id);
  EXPECT_EQ(RC_MEMBER_ACCEPTED, events[2].what.kind);
  EXPECT_NE(old.id, events[2].what.channel.id);
  rc_close(ctx);
  EXPECT_TRUE(zero->wait_for(RC_MEMBER_CONNECTED, 1, 2));  // which it had not given up
}

// Connections that do not confirm have taken the last channel: who comes waits, and nobody is told of an error.
TEST_P(Meshes, ACrowdWaitsForAChannel) {
  Lists three(GetParam(), 3);
  Place narrow = place(three, 2);
  narrow.channels_max = 4;
  Runner runner(narrow), a(place(three, 0)), b(place(three, 1));
  ASSERT_TRUE(runner.wait_for(RC_MEMBER_ACCEPTED, 0));
  ASSERT_TRUE(runner.wait_for(RC_MEMBER_ACCEPTED, 1));
  rc_ctx ctx;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  rc_channel_config config = {};
  config.size = sizeof config;
  config.identity = "mesh:mesh:0/3";
  config.ring_bytes = 65536;
  rc_channel first, second;
  EXPECT_EQ(RC_OK, rc_connect(ctx, three.uri(2).c_str(), &config, kPatienceNs, &first)) << rc_reason();
  config.identity = "mesh:mesh:1/3";
  EXPECT_EQ(RC_E_TIMEOUT, rc_connect(ctx, three.uri(2).c_str(), &config, 100 * kMs, &second));
  EXPECT_EQ(RC_OK, rc_channel_close(first));
  EXPECT_EQ(RC_OK, rc_connect(ctx, three.uri(2).c_str(), &config, kPatienceNs, &second)) << rc_reason();
  rc_close(ctx);
  expect_passes(channel_of(runner, 0), channel_of(a, 2), 1);
  expect_passes(channel_of(runner, 1), channel_of(b, 2), 2);
  EXPECT_EQ(2u, runner.events().size());
}

TEST_P(Meshes, CloseWakesWhoWaits) {
  meet();
  rc_member_event event = {};
  event.size = sizeof event;
  int32_t code;
  do {
    code = rc_mesh_event(zero->mesh(), &event, 0);
  } while (code == RC_E_WOULD_BLOCK);
  EXPECT_EQ(RC_E_BUSY, code);  // the runner's thread is in it, without a deadline
  EXPECT_EQ(RC_OK, rc_mesh_close(zero->mesh())) << rc_reason();
  EXPECT_TRUE(zero->wait_for_code(RC_E_CLOSING));
  EXPECT_TRUE(one->wait_for(RC_MEMBER_LOST, 0));
  EXPECT_EQ(RC_E_HANDLE, rc_mesh_close(zero->mesh()));
}

TEST(Mesh, GarbageAtThePortDisturbsNobody) {
  Lists lists("tcp", 2);
  Runner zero(place(lists, 0)), one(place(lists, 1));
  ASSERT_TRUE(zero.wait_for(RC_MEMBER_CONNECTED, 1));
  ASSERT_TRUE(one.wait_for(RC_MEMBER_ACCEPTED, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(atoi(strrchr(lists.uri(1).c_str(), ':') + 1)));
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  const std::string greetings[] = {"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", std::string(100'000, 'x')};
  for (const std::string& greeting : greetings) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(0, connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
    send(fd, greeting.data(), greeting.size(), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    pollfd p = {fd, POLLIN, 0};
    EXPECT_EQ(1, poll(&p, 1, 20'000));  // it is shown the door
    close(fd);
  }
  expect_passes(channel_of(zero, 1), channel_of(one, 0), 9);
  EXPECT_EQ(1u, zero.events().size());
  EXPECT_EQ(1u, one.events().size());
}

// A member whose events this thread takes itself, when the descriptor says so.
struct Polled {
  Polled(const Lists& lists, uint32_t id) {
    rc_config config = {};
    config.size = sizeof config;
    config.rings_max = 32;
    config.ring_bytes = 65536;
    EXPECT_EQ(RC_OK, rc_open(&config, &ctx));
    std::string hosts = lists.text();
    rc_mesh_config wanted = {};
    wanted.size = sizeof wanted;
    wanted.flags = RC_MESH_PARTIAL | RC_MESH_ID;
    wanted.id = id;
    wanted.hosts = hosts.c_str();
    EXPECT_EQ(RC_OK, rc_mesh_open(ctx, &wanted, 0, &mesh)) << rc_reason();
    EXPECT_EQ(RC_OK, rc_mesh_fd(mesh, &fd)) << rc_reason();
  }
  ~Polled() { rc_close(ctx); }
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

TEST_P(Meshes, DescriptorTellsOfEvents) {
  for (uint32_t id : {0, 1}) {
    uint32_t other = 1 - id, came = id == 0 ? RC_MEMBER_CONNECTED : RC_MEMBER_ACCEPTED;
    Polled polled(lists, id);
    for (int i = 0; i < 3; ++i) {
      Runner runner(place(lists, other));
      EXPECT_TRUE(polled.next(came, other)) << rc_reason();
      rc_mesh_close(runner.mesh());
      EXPECT_TRUE(polled.next(RC_MEMBER_LOST, other)) << rc_reason();
    }
  }
}

TEST_P(Meshes, AClosedChannelIsMadeAgain) {
  for (uint32_t id : {0, 1}) {
    uint32_t other = 1 - id, came = id == 0 ? RC_MEMBER_CONNECTED : RC_MEMBER_ACCEPTED;
    Polled polled(lists, id);
    Runner runner(place(lists, other));
    EXPECT_TRUE(polled.next(came, other)) << rc_reason();
    rc_channel channel = {};
    EXPECT_EQ(RC_OK, rc_mesh_channel(polled.mesh, other, &channel)) << rc_reason();
    EXPECT_EQ(RC_OK, rc_channel_close(channel));
    EXPECT_TRUE(polled.next(RC_MEMBER_LOST, other)) << rc_reason();
    EXPECT_TRUE(polled.next(came, other)) << rc_reason();
    EXPECT_TRUE(runner.wait_for(id == 0 ? RC_MEMBER_ACCEPTED : RC_MEMBER_CONNECTED, id, 2));
    EXPECT_EQ(RC_OK, rc_mesh_channel(polled.mesh, other, &channel)) << rc_reason();
    expect_passes(channel, channel_of(runner, id), 6);
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

TEST(MeshIdentity, IsReadAsItWasWritten) {
  rc::MeshIdentity me = {"a:b/c", 12, 65535}, read;
  char text[rc::kIdentityBytes];
  me.write(text);
  ASSERT_TRUE(read.read(text)) << text;
  EXPECT_TRUE(read.same_mesh(me));
  EXPECT_EQ(12u, read.id);
  for (const char* bad : {"", "mesh:", "mesh:a", "mesh:a:", "mesh:a:1", "mesh:a:1/", "mesh:a:/2", "mesh:a:1/2/3",
                          "mesh:a:1/123456", "mesh:a:-1/2", "mess:a:1/2"})
    EXPECT_FALSE(read.read(bad)) << bad;
}

}  // namespace
}  // namespace meshes
