// Meshes whose members are hosts of a network that fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/deadline.h"
#include "harness/mesh/two_members.h"
#include "harness/net/wire.h"

namespace net {
namespace {

using namespace meshes;  // NOLINT: this file tests them

constexpr int64_t kTimeoutMs = 1000;
constexpr uint32_t kNumbers = 200;   // in each exchange
constexpr int64_t kMarginMs = 1500;  // a look of the timer, and a busy machine

class Network : public testing::Test {
 protected:
  void SetUp() override {
    if (!why_no_hosts().empty()) GTEST_SKIP() << "no hosts of its own can be made here: " << why_no_hosts();
  }

  void make(int hosts, const std::string& options) {
    wire = std::make_unique<Wire>(hosts);
    for (int i = 0; i < hosts; ++i) list += std::to_string(i) + " tcp://" + Wire::address(i) + ":7000" + options + "\n";
    members.resize(static_cast<size_t>(hosts));
  }
  // On its host; the member finds its id by the host's address.
  void start(int i) {
    Place p;
    p.hosts = list;
    p.first = [this, i] { wire->enter(i); };
    members[static_cast<size_t>(i)] = std::make_unique<Runner>(p);
  }
  void TearDown() override {
    members.clear();
    wire.reset();
  }
  Runner& member(int i) { return *members[static_cast<size_t>(i)]; }
  int count() const { return static_cast<int>(members.size()); }

  static uint32_t coming(int of, int at) { return at < of ? RC_MEMBER_CONNECTED : RC_MEMBER_ACCEPTED; }
  testing::AssertionResult came(int of, int at, size_t times = 1) {
    if (member(at).wait_for(coming(of, at), static_cast<uint32_t>(of), times)) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "member " << of << " did not come to " << at << " in time";
  }
  size_t losses(int of, int at, int32_t code) {
    size_t n = 0;
    for (const Runner::Event& e : member(at).events()) {
      bool lost = e.code == RC_OK && e.what.kind == RC_MEMBER_LOST && e.what.member == static_cast<uint32_t>(of);
      n += lost && (code == RC_OK || e.what.code == code) ? 1 : 0;
    }
    return n;
  }
  void expect_exchange(int a, int b) {
    SCOPED_TRACE(std::to_string(a) + " and " + std::to_string(b));
    auto ida = static_cast<uint32_t>(a), idb = static_cast<uint32_t>(b);
    rc_channel at_a = channel_of(member(a), idb), at_b = channel_of(member(b), ida);
    for (uint32_t k = 0; k < kNumbers; ++k) {
      EXPECT_EQ(RC_OK, rc_put(at_a, &k, sizeof k, kPatienceNs, nullptr)) << rc_reason();
      EXPECT_EQ(RC_OK, rc_put(at_b, &k, sizeof k, kPatienceNs, nullptr)) << rc_reason();
    }
    for (uint32_t k = 0; k < kNumbers; ++k) {
      uint32_t got_a = UINT32_MAX, got_b = UINT32_MAX;
      ASSERT_EQ(RC_OK, rc_get(at_a, &got_a, sizeof got_a, kPatienceNs, nullptr)) << rc_reason();
      ASSERT_EQ(RC_OK, rc_get(at_b, &got_b, sizeof got_b, kPatienceNs, nullptr)) << rc_reason();
      ASSERT_EQ(std::make_pair(k, k), std::make_pair(got_a, got_b));
    }
  }
  template <class F>
  void for_pairs(F f) {
    for (int a = 0; a < count(); ++a) {
      for (int b = a + 1; b < count(); ++b) f(a, b);
    }
  }
  void meet() {
    for (int i = count() - 1; i >= 0; --i) start(i);
    for_pairs([&](int a, int b) { ASSERT_TRUE(came(a, b) && came(b, a)) << a << " " << b; });
    for (int i = 0; i < count(); ++i) {
      rc_mesh_state state = state_of(member(i).mesh());
      EXPECT_EQ(static_cast<uint32_t>(i), state.id);
    }
  }
  // Those are cut off from each other: both ends of each pair say so in time, nobody else is called lost.
  template <class Apart>
  void expect_lost(Apart apart, int64_t since_ns) {
    for_pairs([&](int a, int b) {
      if (!apart(a, b)) return;
      EXPECT_TRUE(member(a).wait_for(RC_MEMBER_LOST, static_cast<uint32_t>(b))) << b << " is not lost to " << a;
      EXPECT_TRUE(member(b).wait_for(RC_MEMBER_LOST, static_cast<uint32_t>(a))) << a << " is not lost to " << b;
    });
    int64_t last_ns = since_ns;
    for (auto& m : members) {
      for (const Runner::Event& e : m->events()) last_ns = std::max(last_ns, e.at_ns);
    }
    int64_t took_ms = (last_ns - since_ns) / kMs;
    printf("all losses told after %ld ms\n", static_cast<long>(took_ms));
    EXPECT_LE(took_ms, 2 * kTimeoutMs + kMarginMs);
    for_pairs([&](int a, int b) {
      size_t times = apart(a, b) ? 1 : 0;
      EXPECT_EQ(times, losses(b, a, RC_E_PEER_DEAD)) << b << " lost to " << a;
      EXPECT_EQ(times, losses(a, b, RC_E_PEER_DEAD)) << a << " lost to " << b;
      if (!apart(a, b)) expect_exchange(a, b);
    });
  }
  template <class Apart>
  void expect_healed(Apart apart) {
    for_pairs([&](int a, int b) {
      size_t times = apart(a, b) ? 2 : 1;
      ASSERT_TRUE(came(a, b, times) && came(b, a, times)) << a << " " << b;
      expect_exchange(a, b);
    });
  }

  std::unique_ptr<Wire> wire;
  std::string list;
  std::vector<std::unique_ptr<Runner>> members;
};

struct Cut {
  const char* name;
  bool to, from;
};
class Cuts : public Network, public testing::WithParamInterface<Cut> {};
INSTANTIATE_TEST_SUITE_P(, Cuts,
                         testing::Values(Cut{"BothWays", true, true}, Cut{"ItHearsNothing", true, false},
                                         Cut{"ItIsNotHeard", false, true}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST_P(Cuts, ExactlyTheMemberCutOffIsLostAndTakenBack) {
  make(4, "?timeout_ms=" + std::to_string(kTimeoutMs));
  meet();
  auto apart = [](int a, int b) { return a == 2 || b == 2; };
  int64_t since_ns = rc::now_ns();
  wire->cut(2, GetParam().to, GetParam().from);
  expect_lost(apart, since_ns);
  wire->heal();
  expect_healed(apart);
}

TEST_F(Network, TwoHalvesGoOnAndMeetAgain) {
  make(4, "?timeout_ms=" + std::to_string(kTimeoutMs));
  meet();
  auto apart = [](int a, int b) { return a % 2 != b % 2; };
  int64_t since_ns = rc::now_ns();
  Way none;
  none.cut = true;
  for_pairs([&](int a, int b) {
    if (apart(a, b)) wire->set(a, b, none), wire->set(b, a, none);
  });
  expect_lost(apart, since_ns);
  wire->heal();
  expect_healed(apart);
}

// Nobody can reach anybody when they start.
TEST_F(Network, AMeshThatStartsInThePartitionMeetsAfterIt) {
  make(3, "");
  Way none;
  none.cut = true;
  wire->set_all(none);
  for (int i = 0; i < count(); ++i) {
    start(i);
    EXPECT_EQ(RC_OK, member(i).opened()) << member(i).reason();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // attempts are under way
  EXPECT_GT(wire->lost(), 0u);
  wire->heal();
  for_pairs([&](int a, int b) { ASSERT_TRUE(came(a, b) && came(b, a)) << a << " " << b; });
  for_pairs([&](int a, int b) { expect_exchange(a, b); });
}

// Two machines with one address, where the network believes the second: it is the member now, and the first is told.
TEST_F(Network, WhoTakesAMembersAddressTakesItsPlace) {
  make(3, "?timeout_ms=" + std::to_string(kTimeoutMs));
  list.resize(list.rfind("2 tcp"));  // the third host is no member
  start(0);
  start(1);
  ASSERT_TRUE(came(0, 1) && came(1, 0));
  wire->take_address(2, 0);
  start(2);
  EXPECT_EQ(RC_OK, member(2).opened()) << member(2).reason();
  EXPECT_EQ(0u, state_of(member(2).mesh()).id);
  ASSERT_TRUE(came(0, 1, 2));
  EXPECT_EQ(1u, losses(0, 1, RC_E_PEER_DEAD));
  EXPECT_TRUE(member(2).wait_for(RC_MEMBER_CONNECTED, 1));
  expect_passes(channel_of(member(2), 1), channel_of(member(1), 0), 5);
  ASSERT_TRUE(member(0).wait_for(RC_MEMBER_LOST, 1));
  EXPECT_EQ(1u, losses(1, 0, RC_E_PEER_DEAD));
}

// The network believes now the one, now the other. Who connects there is let in each time, so it is told of it.
TEST_F(Network, AnAddressThatTwoMachinesHaveIsNamed) {
  make(3, "?timeout_ms=" + std::to_string(kTimeoutMs));
  list.resize(list.rfind("2 tcp"));  // the third host is no member
  start(0);
  start(1);
  ASSERT_TRUE(came(1, 0) && came(0, 1));
  wire->take_address(2, 1);
  start(2);
  ASSERT_TRUE(came(1, 0, 2));
  wire->give_back_address(1);
  ASSERT_TRUE(came(1, 0, 3));
  std::string reason = member(0).reason_of(RC_E_DUPLICATE, 1);
  EXPECT_TRUE(says(reason, Wire::address(1) + ":7000")) << reason;
  EXPECT_TRUE(says(reason, "answer two processes in turn")) << reason;
  EXPECT_TRUE(came(0, 1, 2));
  expect_exchange(0, 1);
}

struct Bad {
  const char* name;
  double loss, twice;
  int64_t delay_ms, spread_ms;
};
class BadWires : public Network, public testing::WithParamInterface<Bad> {};
INSTANTIATE_TEST_SUITE_P(, BadWires,
                         testing::Values(Bad{"Loss1", 0.01, 0, 0, 0}, Bad{"Loss10", 0.1, 0.1, 0, 1},
                                         Bad{"RoundTrip300ms", 0.01, 0, 150, 10}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST_P(BadWires, NobodyIsLost) {
  make(4, "");
  wire->set_all({false, GetParam().loss, GetParam().twice, GetParam().delay_ms * kMs, GetParam().spread_ms * kMs});
  meet();
  std::vector<std::thread> threads;
  for_pairs([&](int a, int b) { threads.emplace_back([this, a, b] { expect_exchange(a, b); }); });
  for (std::thread& t : threads) t.join();
  EXPECT_GT(wire->lost(), 0u);
  for_pairs([&](int a, int b) {
    EXPECT_EQ(0u, losses(a, b, RC_OK));
    EXPECT_EQ(0u, losses(b, a, RC_OK));
  });
}

}  // namespace
}  // namespace net
