// Who meets whom, and when: start, loss and return.
#include <string.h>

#include <vector>

#include "harness/mesh/two_members.h"

namespace meshes {
namespace {

class Meeting : public TwoMembers {};

// On an RDMA device (rdma_mesh, in the rdma lane) or on what every machine has (meeting_test).
std::vector<const char*> schemes() {
  if (rdma_address() != nullptr) return {"rdma", "rdma+tcp"};
  return {"tcp", "shm", "shm+tcp", "tcp+shm"};
}

INSTANTIATE_TEST_SUITE_P(Over, Meeting, testing::ValuesIn(schemes()), name_of_scheme);

TEST_P(Meeting, TheLowerIdConnects) {
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

TEST_P(Meeting, OpenWaitsForAll) {
  Place zeros = place(lists, 0), ones = place(lists, 1);
  zeros.partial = ones.partial = false;
  zeros.timeout_ns = ones.timeout_ns = kPatienceNs;
  Runner a(zeros), b(ones);
  EXPECT_EQ(RC_OK, a.opened()) << a.reason();
  EXPECT_EQ(RC_OK, b.opened()) << b.reason();
  expect_passes(channel_of(a, 1), channel_of(b, 0), 4);
  EXPECT_TRUE(a.wait_for(RC_MEMBER_CONNECTED, 1));  // told afterwards
}

TEST_P(Meeting, OpenNamesTheMissing) {
  for (int64_t id : {0, 1}) {
    Place alone = place(lists, id);
    alone.partial = false;
    alone.timeout_ns = (rdma_address() != nullptr ? 2000 : 50) * kMs;  // a refusal takes its time in the guest
    Runner runner(alone);
    EXPECT_EQ(RC_E_TIMEOUT, runner.opened());
    EXPECT_TRUE(says(runner.reason(), "1 of 2 members are missing")) << runner.reason();
    EXPECT_TRUE(says(runner.reason(), id == 0 ? lists.uri(1) + ": RC_E_NO_LISTENER" : " 0 (did not connect)"))
        << runner.reason();
  }
  meet();  // nothing of it is left
}

TEST_P(Meeting, ALeavingMemberIsLostAsClosed) {
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

TEST_P(Meeting, AMemberThatComesBackHasANewChannel) {
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

TEST_P(Meeting, TheFirstFreePlaceIsTaken) {
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
  Runner second(place(lists, 1));  // two processes with one id
  EXPECT_EQ(RC_E_NAME_IN_USE, second.opened());
  EXPECT_TRUE(says(second.reason(), lists.uri(1))) << second.reason();
}

TEST_P(Meeting, CloseWakesWhoWaits) {
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

TEST_P(Meeting, DescriptorTellsOfEvents) {
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

TEST_P(Meeting, DescriptorFallsQuietAfterALoss) {
  Polled polled(lists, 1);
  {
    Runner runner(place(lists, 0));
    EXPECT_TRUE(polled.next(RC_MEMBER_ACCEPTED, 0)) << rc_reason();
    rc_mesh_close(runner.mesh());
  }
  EXPECT_TRUE(polled.next(RC_MEMBER_LOST, 0)) << rc_reason();
  int readable = 0;
  for (int64_t end = rc::now_ns() + 300 * kMs; rc::now_ns() < end;) {
    pollfd p = {polled.fd, POLLIN, 0};
    if (poll(&p, 1, 50) != 1) continue;
    ++readable;
    while (polled.look() != 0) continue;
  }
  EXPECT_LT(readable, 100);  // it was a hundred thousand
}

TEST_P(Meeting, AClosedChannelIsMadeAgain) {
  for (uint32_t id : {0, 1}) {
    uint32_t other = 1 - id, came = id == 0 ? RC_MEMBER_CONNECTED : RC_MEMBER_ACCEPTED;
    Polled polled(lists, id);
    Runner runner(place(lists, other));
    EXPECT_TRUE(polled.next(came, other)) << rc_reason();
    EXPECT_TRUE(runner.wait_for(id == 0 ? RC_MEMBER_ACCEPTED : RC_MEMBER_CONNECTED, id));
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

// The thread of a mesh sits in rc_mesh_event all the time; who closes a channel is another one.
TEST_P(Meeting, AChannelIsClosedWhileTheMeshLooksAfterIt) {
  meet();
  for (size_t times = 2; times < 40; ++times) {
    Runner& closer = times % 2 == 0 ? *zero : *one;
    rc_channel channel = channel_of(closer, times % 2 == 0 ? 1 : 0);
    EXPECT_EQ(RC_OK, rc_channel_close(channel)) << rc_reason();
    EXPECT_EQ(RC_E_HANDLE, rc_channel_close(channel));
    ASSERT_TRUE(zero->wait_for(RC_MEMBER_CONNECTED, 1, times));
    ASSERT_TRUE(one->wait_for(RC_MEMBER_ACCEPTED, 0, times));
  }
  expect_passes(channel_of(*zero, 1), channel_of(*one, 0), 7);
}

// Never both in a call at once: an attempt goes on from one look to the next.
TEST_P(Meeting, MembersThatOnlyLookNowAndThenMeet) {
  auto higher = std::make_unique<Polled>(lists, 1);
  Polled lower(lists, 0);
  for (int returns = 0; returns < 3; ++returns) {
    bool zero_told = false, one_told = false;
    int64_t until_ns = rc::now_ns() + kPatienceNs;
    while (!(zero_told && one_told) && rc::now_ns() < until_ns) {
      zero_told |= lower.look() == RC_MEMBER_CONNECTED;
      one_told |= higher->look() == RC_MEMBER_ACCEPTED;
    }
    ASSERT_TRUE(zero_told && one_told) << "return " << returns << ": " << zero_told << one_told;
    higher = nullptr;
    higher = std::make_unique<Polled>(lists, 1);
  }
}

// Who is silent at the first transport of a list holds up the attempt, which is given up after 5 s, not the list.
TEST(MeetingOverAList, TheTransportBehindASilentOneIsReached) {
  const std::string first = rdma_address() != nullptr ? "rdma" : "shm";
  Lists lists(first + "+tcp", 2);
  std::string place_of_one = lists.uri(1).substr(first.size() + strlen("+tcp://"));
  rc_ctx ctx;
  rc_listener silent;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  ASSERT_EQ(RC_OK, rc_listen(ctx, (first + (first == "shm" ? ":" : "://") + place_of_one).c_str(), nullptr, &silent))
      << rc_reason();
  Place at_tcp = place(lists, 1);
  at_tcp.hosts = "0 " + lists.uri(0) + "\n1 tcp://" + place_of_one + "\n";
  Runner one(at_tcp), zero(place(lists, 0));
  ASSERT_TRUE(zero.wait_for(RC_MEMBER_CONNECTED, 1));
  ASSERT_TRUE(one.wait_for(RC_MEMBER_ACCEPTED, 0));
  char choice[1024];
  EXPECT_EQ(RC_OK, rc_channel_choice(channel_of(zero, 1), choice, sizeof choice)) << rc_reason();
  EXPECT_EQ("tcp was taken; not " + first + ": no answer in the time that an attempt has", choice);
  expect_passes(channel_of(zero, 1), channel_of(one, 0), 8);
  rc_close(ctx);
}

}  // namespace
}  // namespace meshes
