// cq=shared on a real device: several channels of one context at the same completion queues and the same completion
// channel, in threads of their own (PROTOCOL.md R7). Without a device: harness/rdma/shared_queues_test.cc.
#include <time.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

// No timer of the library wakes anybody within a test: what is not woken by a completion is not woken.
constexpr char kPatientEvent[] = "?cq=shared&mode=event&timeout_ms=600000";
// Both ends of a channel poll with a send queue of 256 entries.
constexpr char kRoomForTwo[] = "?cq=shared&cq_depth=600";

struct Ends {
  rc_channel near{0};
  rc_channel far{0};
};

// A channel between two contexts, or within one.
Outcome pair_up(rc_ctx near, rc_ctx far, const std::string& listen, const std::string& query, int32_t wait,
                Ends* ends) {
  std::string address = rdma_uri("");
  rc_channel_config config = {};
  config.size = sizeof config;
  config.wait = static_cast<uint32_t>(wait);
  rc_listener listener{0};
  EXPECT_RC(RC_OK, rc_listen(near, (address + listen).c_str(), &config, &listener));
  Doing accepting([&] { return rc_accept(listener, kPatience, &ends->near); });
  Doing connecting([&] { return rc_connect(far, (address + query).c_str(), &config, kPatience, &ends->far); });
  Outcome connected = connecting.outcome();
  if (connected.code == RC_OK) {
    EXPECT_DONE(RC_OK, accepting);
  }
  EXPECT_RC(RC_OK, rc_listener_close(listener));
  return connected;
}

void close(const Ends& ends) {
  EXPECT_RC(RC_OK, rc_channel_close(ends.far));
  EXPECT_RC(RC_OK, rc_channel_close(ends.near));
}

class RdmaSharedQueues : public testing::Test {
 protected:
  void SetUp() override { ctx_ = open(); }
  void TearDown() override { EXPECT_RC(RC_OK, rc_close(ctx_)); }

  static rc_ctx open() {
    rc_config config = {};
    config.size = sizeof config;
    config.channels_max = 40;
    config.ring_bytes = 8192;
    rc_ctx ctx{0};
    EXPECT_RC(RC_OK, rc_open(&config, &ctx));
    return ctx;
  }
  Ends connect(const std::string& query, int32_t wait = RC_WAIT_ADAPTIVE) {
    Ends ends;
    Outcome connected = pair_up(ctx_, ctx_, query, query, wait, &ends);
    EXPECT_EQ(RC_OK, connected.code) << connected.reason;
    return ends;
  }
  static int64_t figure(rc_channel channel, const char* name) {
    int64_t value = -1;
    EXPECT_RC(RC_OK, rc_channel_figure(channel, name, &value));
    return value;
  }

  rc_ctx ctx_{0};
};

int32_t put_all(rc_channel channel, Direction direction, size_t all) {
  Pattern pattern(direction);
  int32_t code = RC_OK;
  for (size_t n = 1; code == RC_OK && pattern.at() < all; n = n % 3000 + 97) {
    n = std::min(n, all - pattern.at());
    code = rc_put(channel, pattern.next(n).data(), n, kPatience, nullptr);
    pattern.move(n);
  }
  return code;
}

int32_t get_all(rc_channel channel, Direction direction, size_t all) {
  Pattern pattern(direction);
  int32_t code = RC_OK;
  for (size_t n = 1; code == RC_OK && pattern.at() < all; n = n % 2000 + 61) {
    n = std::min(n, all - pattern.at());
    Buffer bytes(n);
    code = rc_get(channel, bytes.data(), n, kPatience, nullptr);
    if (code == RC_OK && pattern.wrong(bytes.data(), n) != n) code = RC_E_CORRUPT;
    pattern.move(n);
  }
  return code;
}

using Doings = std::vector<std::unique_ptr<Doing>>;

// Both directions of a channel, each of its sides in a thread.
void load(const Ends& ends, size_t all, Doings* doings) {
  auto add = [&](std::function<int32_t()> call) { doings->push_back(std::make_unique<Doing>(std::move(call))); };
  add([=] { return put_all(ends.near, kNearToFar, all); });
  add([=] { return get_all(ends.far, kNearToFar, all); });
  add([=] { return put_all(ends.far, kFarToNear, all); });
  add([=] { return get_all(ends.near, kFarToNear, all); });
}

void expect_all(const Doings& doings) {
  for (const auto& doing : doings) EXPECT_DONE(RC_OK, *doing);
}

}  // namespace

TEST_F(RdmaSharedQueues, AreAskedForAndTold) {
  Ends shared = connect("?cq=shared"), own = connect("?cq=own"), event = connect("?cq=shared&mode=event");
  int64_t queue = figure(shared.near, "cq");
  EXPECT_EQ(queue, figure(shared.far, "cq"));
  EXPECT_EQ(queue, figure(event.near, "cq"));
  EXPECT_NE(queue, figure(own.near, "cq"));
  EXPECT_NE(figure(own.far, "cq"), figure(own.near, "cq"));
  EXPECT_LE(1024, figure(shared.near, "cq_depth"));
  EXPECT_EQ(256, figure(own.near, "cq_depth"));
  // Another context is another tenant.
  rc_ctx other = open();
  Ends two;
  Outcome connected = pair_up(ctx_, other, "?cq=shared", "?cq=shared", RC_WAIT_ADAPTIVE, &two);
  EXPECT_EQ(RC_OK, connected.code) << connected.reason;
  EXPECT_EQ(queue, figure(two.near, "cq"));
  EXPECT_NE(queue, figure(two.far, "cq"));
  EXPECT_RC(RC_OK, rc_close(other));
}

// Among them one with queues of its own, one that polls while others sleep, and one by the other path.
TEST_F(RdmaSharedQueues, ChannelsUnderLoadAtOnceGetEachTheirOwn) {
  constexpr size_t kAll = 100'000;
  std::vector<Ends> channels;
  for (const char* query : {"?cq=shared", "?cq=shared&mode=event", "?cq=shared&path=send",
                            "?cq=shared&path=send&mode=event&inline=0", "?mode=event", "?cq=shared&mode=event&pd=own"})
    channels.push_back(connect(query, RC_WAIT_SLEEP));
  Doings doings;
  for (const Ends& ends : channels) load(ends, kAll, &doings);
  expect_all(doings);
  for (const Ends& ends : channels) close(ends);
}

// Almost every completion of the one that sleeps is taken by those that are busy: they have to wake it.
TEST_F(RdmaSharedQueues, WhoSleepsIsWokenWhileOthersAreBusy) {
  constexpr int64_t kTrips = 100;
  std::vector<Ends> busy = {connect("?cq=shared"), connect("?cq=shared&mode=event")};
  for (const char* path : {"&path=write", "&path=send"}) {
    SCOPED_TRACE(path);
    Ends sleeps = connect(std::string(kPatientEvent) + path, RC_WAIT_SLEEP);
    Doings doings;
    for (const Ends& ends : busy) load(ends, 300'000, &doings);
    Doing answering([&] {
      int32_t code = RC_OK;
      for (int64_t i = 0, got = 0; i < kTrips && code == RC_OK; ++i) {
        code = rc_get(sleeps.near, &got, sizeof got, kPatience, nullptr);
        if (code == RC_OK) code = rc_put(sleeps.near, &got, sizeof got, kPatience, nullptr);
      }
      return code;
    });
    for (int64_t i = 0, got = 0; i < kTrips; ++i) {
      ASSERT_RC(RC_OK, rc_put(sleeps.far, &i, sizeof i, kPatience, nullptr));
      ASSERT_RC(RC_OK, rc_get(sleeps.far, &got, sizeof got, kPatience, nullptr)) << i;
      ASSERT_EQ(i, got);
    }
    EXPECT_DONE(RC_OK, answering);
    expect_all(doings);
    close(sleeps);
  }
  for (const Ends& ends : busy) close(ends);
}

// Numbers of queue pairs come again: what was under way when a channel ended is nobody else's.
TEST_F(RdmaSharedQueues, ChannelsComeAndGoBesideOneUnderLoad) {
  Ends busy = connect("?cq=shared&mode=event");
  Doings doings;
  load(busy, 300'000, &doings);
  for (int i = 0; i < 12; ++i) {
    SCOPED_TRACE(i);
    Ends passing = connect(i % 2 == 0 ? "?cq=shared&mode=event" : "?cq=shared&path=send");
    for (int put = 0; put < 40; ++put) EXPECT_RC(RC_OK, rc_put(passing.far, "12345678", 8, kPatience, nullptr));
    char got[8];
    EXPECT_RC(RC_OK, rc_get(passing.near, got, sizeof got, kPatience, nullptr));
    close(passing);
  }
  expect_all(doings);
  close(busy);
}

TEST_F(RdmaSharedQueues, OneThatDoesNotFitIsRefused) {
  Ends first = connect(kRoomForTwo);
  EXPECT_EQ(600, figure(first.near, "cq_depth"));
  Ends ends;
  Outcome refused = pair_up(ctx_, ctx_, kRoomForTwo, kRoomForTwo, RC_WAIT_ADAPTIVE, &ends);
  EXPECT_EQ(RC_E_POOL, refused.code);
  EXPECT_NE(std::string::npos, refused.reason.find("of 600 entries 88 are left for sends")) << refused.reason;
  // Smaller ones fit, others do not need it, and who goes makes room.
  for (const char* query : {"?cq=shared&sq_depth=32", "?cq=own"}) close(connect(query));
  close(first);
  Ends again = connect(kRoomForTwo);
  Doings doings;
  load(again, 10'000, &doings);
  expect_all(doings);
  close(again);
}

// The listener's context is full: its caller and the client are told.
TEST_F(RdmaSharedQueues, AClientThatDoesNotFitIsRefused) {
  Ends first = connect(kRoomForTwo), ends;
  rc_ctx client = open();
  std::string address = rdma_uri("");
  rc_listener listener{0};
  ASSERT_RC(RC_OK, rc_listen(ctx_, (address + kRoomForTwo).c_str(), nullptr, &listener));
  Doing accepting([&] { return rc_accept(listener, kPatience, &ends.near); });
  EXPECT_RC_NAMES(RC_E_POOL, "refused", rc_connect(client, address.c_str(), nullptr, kPatience, &ends.far));
  Outcome accepted = accepting.outcome();
  EXPECT_EQ(RC_E_POOL, accepted.code);
  EXPECT_NE(std::string::npos, accepted.reason.find("cq=shared")) << accepted.reason;
  EXPECT_RC(RC_OK, rc_listener_close(listener));
  EXPECT_RC(RC_OK, rc_close(client));
  close(first);
}

// What the others receive while an endpoint waits for its peer's first word is theirs.
TEST_F(RdmaSharedQueues, AKnockIsNoOthersMessage) {
  struct Endpoint {
    rc_listener endpoint{0};
    uint8_t blob[512];
    size_t bytes = sizeof blob;
  };
  auto open_at = [](rc_ctx ctx) {
    Endpoint e;
    EXPECT_RC(RC_OK,
              rc_endpoint_open(ctx, rdma_uri("?cq=shared&path=send").c_str(), nullptr, e.blob, &e.bytes, &e.endpoint));
    return e;
  };
  auto join = [](const Endpoint& e, const Endpoint& peer, rc_channel* channel) {
    return rc_endpoint_connect(e.endpoint, peer.blob, peer.bytes, kPatience, channel);
  };
  Ends busy;
  rc_ctx other = open();
  Endpoint near = open_at(ctx_), far = open_at(other);
  Doing joining([&] { return join(far, near, &busy.far); });
  ASSERT_RC(RC_OK, join(near, far, &busy.near));
  EXPECT_DONE(RC_OK, joining);
  // Who knocks and who waits for it follows from the numbers of the queue pairs.
  for (bool far_first : {true, false}) {
    Ends late;
    if (far_first) far = open_at(other);
    near = open_at(ctx_);
    if (!far_first) far = open_at(other);
    Doing waiting([&] { return join(near, far, &late.near); });
    waiting.wait_until_inside();
    Doings doings;
    load(busy, 300'000, &doings);
    expect_all(doings);
    EXPECT_FALSE(waiting.finished());
    EXPECT_RC(RC_OK, join(far, near, &late.far));
    EXPECT_DONE(RC_OK, waiting);
    close(late);
  }
  close(busy);
  EXPECT_RC(RC_OK, rc_close(other));
}

// The channel of the queues has an event that those who poll never take.
TEST_F(RdmaSharedQueues, WhoWaitsForAListenerSleeps) {
  constexpr int64_t kWait = 2'000'000'000;
  Ends polls = connect("?cq=shared");
  Doings doings;
  load(polls, 10'000, &doings);
  expect_all(doings);
  rc_ctx silent = open();
  std::string address = rdma_uri("");
  rc_listener listener{0};
  ASSERT_RC(RC_OK, rc_listen(silent, address.c_str(), nullptr, &listener));
  auto busy_ns = [] {
    timespec t = {};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  };
  int64_t before = busy_ns();
  rc_channel none{0};
  EXPECT_RC(RC_E_TIMEOUT, rc_connect(ctx_, (address + "?cq=shared").c_str(), nullptr, kWait, &none));
  EXPECT_LT(busy_ns() - before, kWait / 2);
  EXPECT_RC(RC_OK, rc_close(silent));
  close(polls);
}

// ------------------------------------------------------------------------------------------------ a peer that dies

class RdmaSharedDeath : public Pair {};

TEST_P(RdmaSharedDeath, OfOnePeerIsNothingToTheOthers) {
  connect();
  Ends others;
  Outcome connected = pair_up(ctx_, ctx_, "?cq=shared", "?cq=shared&mode=event", RC_WAIT_ADAPTIVE, &others);
  ASSERT_EQ(RC_OK, connected.code) << connected.reason;
  Doings doings;
  load(others, 300'000, &doings);
  far().start(Far::pieces(Op::kGetPieces, uint64_t{1} << 40, 300));
  Buffer bytes(kCapacity);
  Doing putting([&] {
    int32_t code = RC_OK;
    while (code == RC_OK) code = rc_put(ch_, bytes.data(), bytes.size(), kPatience, nullptr);
    return code;
  });
  putting.wait_until_inside();
  far().kill();
  EXPECT_DONE(RC_E_PEER_DEAD, putting);
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  expect_all(doings);
  close(others);
}

std::vector<Backend> modes() {
  std::vector<Backend> all;
  for (const char* query : {"?cq=shared&mode=poll", "?cq=shared&mode=event", "?cq=shared&mode=event&path=send"}) {
    Backend b;
    b.name = query;
    b.scheme = "rdma";
    b.make_uri = [=] { return rdma_uri(query); };
    b.other_process = true;
    b.lands_alone = false;
    b.near_listens = false;
    all.push_back(b);
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(On, RdmaSharedDeath, testing::ValuesIn(modes()), [](const auto& test) {
  return std::string(test.index == 0 ? "Poll" : test.index == 1 ? "Event" : "SendEvent");
});

}  // namespace conformance
