// Who is refused, and whom that disturbs.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "harness/mesh/two_members.h"

namespace meshes {
namespace {

class Strangers : public TwoMembers {};

INSTANTIATE_TEST_SUITE_P(Over, Strangers, testing::Values("tcp", "shm", "shm+tcp", "tcp+shm"), name_of_scheme);

// Of somebody who is no member, or says that he is one.
rc_channel_config config_of(const char* identity, uint64_t ring_bytes) {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.identity = identity;
  config.ring_bytes = ring_bytes;
  return config;
}

TEST_P(Strangers, AnotherMeshAtAnAddressIsNamed) {
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

// One member has a wrong list: at the addresses that it takes for those of 1 and 2 the other one answers.
TEST_P(Strangers, AnotherMemberAtAnAddressIsNamed) {
  Lists three(GetParam(), 3);
  Runner first(place(three, 1)), second(place(three, 2));
  Place wrong = place(three, 0);
  wrong.hosts = "0 " + three.uri(0) + "\n1 " + three.uri(2) + "\n2 " + three.uri(1) + "\n";
  wrong.timeout_ns = 100 * 1000 * 1000;  // so it is found while the mesh is opened, in part, and told afterwards
  {
    Runner mistaken(wrong);
    ASSERT_EQ(RC_OK, mistaken.opened()) << mistaken.reason();
    for (uint32_t id : {1, 2}) {
      std::string reason = mistaken.reason_of(RC_E_IDENTITY, id);
      EXPECT_TRUE(says(reason, "at " + three.uri(3 - id) + " answers \"mesh:mesh:" + std::to_string(3 - id) + "/3#"))
          << reason;
      EXPECT_TRUE(says(reason, "\", wanted is member " + std::to_string(id) + " of 3")) << reason;
    }
    ASSERT_TRUE(first.wait_for(RC_MEMBER_CONNECTED, 2));
    ASSERT_TRUE(second.wait_for(RC_MEMBER_ACCEPTED, 1));
    expect_passes(channel_of(first, 2), channel_of(second, 1), 3);
    EXPECT_EQ(1u, first.events().size());
    EXPECT_EQ(1u, second.events().size());
  }
  Runner right(place(three, 0));
  EXPECT_TRUE(right.wait_for(RC_MEMBER_CONNECTED, 1) && right.wait_for(RC_MEMBER_CONNECTED, 2));
}

// At the address where member 1 is thought to be, member 0 listens, who is to connect himself.
TEST_P(Strangers, AMemberThatWaitsForNobodyIsNamed) {
  Lists three(GetParam(), 3);
  Runner there(place(three, 0));
  Place wrong = place(three, 1);
  wrong.hosts = "0 " + three.uri(2) + "\n1 " + three.uri(1) + "\n2 " + three.uri(0) + "\n";
  Runner mistaken(wrong);
  ASSERT_EQ(RC_OK, mistaken.opened()) << mistaken.reason();
  std::string reason = mistaken.reason_of(RC_E_IDENTITY, 2);
  EXPECT_TRUE(says(reason, "member 2 at " + three.uri(0))) << reason;
  EXPECT_TRUE(says(reason, "here is member 0: member 1 waits until it is connected to")) << reason;
}

// An ordinary listener answers: it has no judge, so that the one that connects must notice.
TEST_P(Strangers, AnOrdinaryListenerAtAnAddressIsNamed) {
  rc_ctx ctx;
  rc_listener listener;
  rc_channel channel;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  rc_channel_config config = config_of("a\x01printer", 65536);
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

TEST_P(Strangers, StrangersAreRefused) {
  meet();
  rc_ctx ctx;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  const char* identities[] = {nullptr,         "somebody",      "mesh:mesh:0/3", "mesh:other:0/2",
                              "mesh:mesh:1/2", "mesh:mesh:2/2", "mesh:mesh:0/2x"};
  for (const char* identity : identities) {
    rc_channel_config config = config_of(identity, 0);
    rc_channel channel;
    EXPECT_EQ(RC_E_IDENTITY, rc_connect(ctx, lists.uri(1).c_str(), &config, kPatienceNs, &channel)) << identity;
    EXPECT_TRUE(says(rc_reason(), "here is member 1 of 2 of mesh \"mesh\"")) << rc_reason();
  }
  rc_close(ctx);
  expect_together();
}

// It says who it is but never confirms: the member's own channel is not touched.
TEST_P(Strangers, AnUnconfirmedConnectionDisturbsNobody) {
  meet();
  rc_ctx ctx;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  rc_channel_config config = config_of("mesh:mesh:0/2", 65536);
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
TEST_P(Strangers, TheNewestConnectionCounts) {
  meet();
  rc_channel old = channel_of(*one, 0);
  rc_ctx ctx;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  rc_channel_config config = config_of("mesh:mesh:0/2", 65536);
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

// Two processes are member 0, at addresses of their own. The newest has the place (M3); the other one, when it comes
// back, is told who has it, and so is the member that both come to. Nobody is disturbed any more then.
TEST_P(Strangers, AMemberThatIsThereTwiceIsNamed) {
  meet();
  Lists other(GetParam(), 1);
  Place second = place(lists, 0);
  second.hosts = "0 " + other.uri(0) + "\n1 " + lists.uri(1) + "\n";
  auto twin = std::make_unique<Runner>(second);
  ASSERT_TRUE(twin->wait_for(RC_MEMBER_CONNECTED, 1));
  std::string told = zero->reason_of(RC_E_DUPLICATE, 1), seen = one->reason_of(RC_E_DUPLICATE, 0);
  for (const std::string& reason : {told, seen}) {
    EXPECT_TRUE(says(reason, lists.uri(0) + " (process ")) << reason;
    EXPECT_TRUE(says(reason, other.uri(0) + " (process ")) << reason;
  }
  EXPECT_TRUE(says(seen, "member 0 is there twice: " + other.uri(0))) << seen;
  ASSERT_TRUE(one->wait_for(RC_MEMBER_ACCEPTED, 0, 2));
  for (uint32_t i = 0; i < 20; ++i) {  // the first one goes on trying
    expect_passes(channel_of(*twin, 1), channel_of(*one, 0), i);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(1u, twin->events().size());
  EXPECT_EQ(3u, zero->events().size());  // connected, lost, told
  EXPECT_EQ(4u, one->events().size());   // accepted, lost, accepted, told
  twin = nullptr;
  EXPECT_TRUE(zero->wait_for(RC_MEMBER_CONNECTED, 1, 2));  // alone again
  EXPECT_TRUE(one->wait_for(RC_MEMBER_ACCEPTED, 0, 3));
  expect_passes(channel_of(*zero, 1), channel_of(*one, 0), 99);
}

// Where there is no room for the text that says where they are, their numbers tell them apart.
TEST_P(Strangers, AMemberThatIsThereTwiceIsNamedWithSmallRingsToo) {
  Place first = place(lists, 0), both = place(lists, 1);
  first.ring_bytes = both.ring_bytes = 64;
  Runner zeros(first), ones(both);
  ASSERT_TRUE(zeros.wait_for(RC_MEMBER_CONNECTED, 1));
  ASSERT_TRUE(ones.wait_for(RC_MEMBER_ACCEPTED, 0));
  Lists other(GetParam(), 1);
  Place second = first;
  second.hosts = "0 " + other.uri(0) + "\n1 " + lists.uri(1) + "\n";
  Runner twin(second);
  ASSERT_TRUE(twin.wait_for(RC_MEMBER_CONNECTED, 1));
  std::string told = zeros.reason_of(RC_E_DUPLICATE, 1), seen = ones.reason_of(RC_E_DUPLICATE, 0);
  EXPECT_TRUE(says(told, "another process is member 0: process #")) << told;
  EXPECT_TRUE(says(seen, "member 0 is there twice: process #")) << seen;
}

// A member that says it is member 0 of three, as a process with that number, and confirms it.
void come_as(rc_ctx ctx, const std::string& uri, const char* process, rc_channel* channel, int32_t code = RC_OK) {
  std::string identity = std::string("mesh:mesh:0/3#") + process;
  rc_channel_config config = config_of(identity.c_str(), 64);
  EXPECT_EQ(code, rc_connect(ctx, uri.c_str(), &config, kPatienceNs, channel)) << rc_reason();
  if (code != RC_OK) return;
  EXPECT_EQ(RC_OK, rc_put(*channel, "rcmesh1", 8, kPatienceNs, nullptr));
}

// They take turns at the place, because the one that has it goes away each time.
TEST(Mesh, TwoProcessesThatTakeTurnsAreToldOfOnceEach) {
  Lists three("tcp", 3);
  Runner runner(place(three, 1));
  ASSERT_EQ(RC_OK, runner.opened());
  rc_ctx ctx;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  rc_channel first, has, refused;
  come_as(ctx, three.uri(1), "0000001", &first);
  ASSERT_TRUE(runner.wait_for(RC_MEMBER_ACCEPTED, 0));
  come_as(ctx, three.uri(1), "0000002", &has);
  for (size_t turn = 0; turn < 6; ++turn) {
    ASSERT_TRUE(runner.wait_for(RC_MEMBER_ACCEPTED, 0, turn + 2));
    const char* other = turn % 2 == 0 ? "0000001" : "0000002";
    come_as(ctx, three.uri(1), other, &refused, RC_E_DUPLICATE);
    EXPECT_EQ(RC_OK, rc_channel_close(has));
    ASSERT_TRUE(runner.wait_for(RC_MEMBER_LOST, 0, turn + 2));
    come_as(ctx, three.uri(1), other, &has);
  }
  rc_close(ctx);
  size_t told = 0;
  for (const Runner::Event& event : runner.events()) told += event.code == RC_E_DUPLICATE ? 1 : 0;
  EXPECT_EQ(2u, told);
}

// A member meets another one where member 2 should be, and at the same time member 0 twice.
TEST(Mesh, OfTwoTroublesAtOnceEachHasItsOwnReason) {
  Lists three("tcp", 3), wrong("tcp", 2);
  Polled here(three, 1);
  rc_ctx ctx;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  rc_channel first, second, third;
  std::thread coming([&] { come_as(ctx, three.uri(1), "0000001", &first); });
  EXPECT_TRUE(here.next(RC_MEMBER_ACCEPTED, 0));
  coming.join();
  coming = std::thread([&] { come_as(ctx, three.uri(1), "0000002", &second); });
  EXPECT_TRUE(here.next(RC_MEMBER_LOST, 0));
  EXPECT_TRUE(here.next(RC_MEMBER_ACCEPTED, 0));
  coming.join();
  // Who listens there answers only when this thread lets it: when both have come as far as they can alone.
  Polled stranger("0 " + three.uri(2) + "\n1 " + wrong.uri(1) + "\n", 0);
  auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(50)); };
  for (int i = 0; i < 10; ++i, pause()) EXPECT_EQ(0u, here.look());
  coming = std::thread([&] { come_as(ctx, three.uri(1), "0000001", &third, RC_E_DUPLICATE); });
  for (int i = 0; i < 3; ++i, pause()) stranger.look();
  std::string told[2];
  const int64_t until_ns = rc::now_ns() + kPatienceNs;
  while ((told[0].empty() || told[1].empty()) && rc::now_ns() < until_ns) {
    stranger.look();
    rc_member_event event = {};
    event.size = sizeof event;
    int32_t code = rc_mesh_event(here.mesh, &event, 0);
    if (code == RC_E_DUPLICATE) told[0] = rc_reason();
    if (code == RC_E_IDENTITY) told[1] = rc_reason();
  }
  coming.join();
  rc_close(ctx);
  EXPECT_TRUE(says(told[0], "member 0 is there twice")) << told[0];
  EXPECT_TRUE(says(told[1], "member 2 at " + three.uri(2) + ": ")) << told[1];
  EXPECT_TRUE(says(told[1], "here is member 0 of 2")) << told[1];
}

// Connections that do not confirm have taken the last channel: who comes waits, and nobody is told of an error.
TEST_P(Strangers, ACrowdWaitsForAChannel) {
  Lists three(GetParam(), 3);
  Place narrow = place(three, 2);
  narrow.channels_max = 4;
  Runner runner(narrow), a(place(three, 0)), b(place(three, 1));
  ASSERT_TRUE(runner.wait_for(RC_MEMBER_ACCEPTED, 0));
  ASSERT_TRUE(runner.wait_for(RC_MEMBER_ACCEPTED, 1));
  rc_ctx ctx;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  rc_channel_config config = config_of("mesh:mesh:0/3", 65536);
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

int connect_to_port_of(const std::string& uri) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(atoi(strrchr(uri.c_str(), ':') + 1)));
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(0, connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
  return fd;
}

void expect_shown_the_door(int fd) {
  pollfd p = {fd, POLLIN, 0};
  char refusal[256];
  ssize_t n = 1;
  while (n > 0) {  // until it is closed
    ASSERT_EQ(1, poll(&p, 1, 20'000));
    n = read(fd, refusal, sizeof refusal);
  }
  EXPECT_TRUE(n == 0 || errno == ECONNRESET) << strerror(errno);
  close(fd);
}

TEST(Mesh, GarbageAtThePortDisturbsNobody) {
  Lists lists("tcp", 2);
  Runner zero(place(lists, 0)), one(place(lists, 1));
  ASSERT_TRUE(zero.wait_for(RC_MEMBER_CONNECTED, 1));
  ASSERT_TRUE(one.wait_for(RC_MEMBER_ACCEPTED, 0));
  const std::string greetings[] = {"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", std::string(100'000, 'x')};
  for (const std::string& greeting : greetings) {
    int fd = connect_to_port_of(lists.uri(1));
    send(fd, greeting.data(), greeting.size(), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    expect_shown_the_door(fd);
  }
  expect_passes(channel_of(zero, 1), channel_of(one, 0), 9);
  EXPECT_EQ(1u, zero.events().size());
  EXPECT_EQ(1u, one.events().size());
}

// Nothing wakes the member then: it looks by itself.
TEST(Mesh, WhoSaysNothingAtThePortIsDroppedThoughNobodyElseComes) {
  Lists lists("tcp", 2);
  Runner alone(place(lists, 1));
  ASSERT_EQ(RC_OK, alone.opened()) << alone.reason();
  expect_shown_the_door(connect_to_port_of(lists.uri(1)));
}

}  // namespace
}  // namespace meshes
