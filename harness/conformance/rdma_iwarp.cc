// The conformance suite over an iWARP device, between two processes, and a wire that falls silent. The guest has such a
// device with --siw; elsewhere RC_IWARP_ADDRESS names the address of one. Without any all of it is skipped.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vector>

#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

std::string iwarp_uri(const std::string& query) {
  const char* address = getenv("RC_IWARP_ADDRESS");
  return rdma_uri_at(address != nullptr ? address : "10.79.0.1", query);
}

bool in_guest() { return access("/sys/class/infiniband/siw0", F_OK) == 0 && access("/run/desk", F_OK) == 0; }

class Needed : public testing::Environment {
 public:
  void SetUp() override {
    if (getenv("RC_IWARP_ADDRESS") == nullptr && !in_guest())
      GTEST_SKIP() << "no iWARP device here: no guest with --siw, and RC_IWARP_ADDRESS is not set";
  }
};

[[maybe_unused]] const testing::Environment* const kNeeded = testing::AddGlobalTestEnvironment(new Needed);

}  // namespace

std::vector<Backend> backends() {
  Backend poll;
  poll.name = "Iwarp";
  poll.scheme = "rdma";
  poll.make_uri = [] { return iwarp_uri(""); };
  poll.other_process = true;
  poll.lands_alone = false;  // it does, but later
  poll.has_descriptor = false;
  poll.rings_per_end = 2;
  poll.notices_death = true;
  Backend shared = poll;
  shared.name = "IwarpSharedWithoutInline";
  shared.make_uri = [] { return iwarp_uri("?cq=shared&inline=0&sq_depth=32"); };
  shared.near_listens = false;
  return {poll, shared};
}

namespace {

Backend impatient() {
  Backend b = backends()[0];
  b.name = "Impatient";
  b.make_uri = [] { return iwarp_uri("?timeout_ms=4000"); };
  b.near_listens = false;
  return b;
}

// Both ends are this machine's, so the wire is "lo".
class IwarpWire : public Pair {
 protected:
  void SetUp() override {
    if (!in_guest()) GTEST_SKIP() << "only the guest's own wire is cut";
    Pair::SetUp();
  }
  void TearDown() override {
    mend();
    Pair::TearDown();
  }
  static void cut() { ASSERT_EQ(0, system("tc qdisc replace dev lo root netem loss 100%")); }
  static void mend() { EXPECT_EQ(0, system("! tc qdisc show dev lo | grep -q netem || tc qdisc del dev lo root")); }
};

}  // namespace

// TCP alone would go on trying for a quarter of an hour.
TEST_P(IwarpWire, ThatFallsSilentIsTheEndOfAGet) {
  connect();
  cut();
  uint8_t byte;
  EXPECT_RC(RC_E_PEER_DEAD, rc_get(ch_, &byte, 1, kPatience, nullptr));
  EXPECT_NE(nullptr, strstr(rc_reason(), "did not answer")) << rc_reason();
}

TEST_P(IwarpWire, ThatFallsSilentIsTheEndOfAPut) {
  connect();
  cut();
  Buffer bytes(kCapacity);
  int32_t code = RC_OK;
  while (code == RC_OK) code = rc_put(ch_, bytes.data(), bytes.size(), kPatience, nullptr);
  EXPECT_EQ(RC_E_PEER_DEAD, code) << rc_reason();
}

// Without an answer nothing has been delivered, however much TCP has taken.
TEST_P(IwarpWire, ThatIsSilentDeliversNothing) {
  connect();
  cut();
  ASSERT_RC(RC_OK, rc_put(ch_, "x", 1, kPatience, nullptr));
  EXPECT_RC(RC_E_TIMEOUT, rc_sync(ch_, 300 * 1000 * 1000));
}

INSTANTIATE_TEST_SUITE_P(On, IwarpWire, testing::Values(impatient()), name_of);

}  // namespace conformance
