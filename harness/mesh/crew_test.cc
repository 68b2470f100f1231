// Meshes of processes: scenario D2 with its kills, and D3.
#include "harness/mesh/crew.h"

#include <gtest/gtest.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <random>
#include <thread>

#include "capi/rc.h"
#include "harness/mesh/runner.h"

namespace meshes {
namespace {

constexpr int64_t kPatienceNs = 120'000'000'000;  // an emulated machine with RDMA is slow

struct Size {
  std::string scheme;
  uint32_t members;
};

void PrintTo(const Size& size, std::ostream* os) { *os << size.scheme << " " << size.members; }

using Sizes = std::vector<Size>;

// On an RDMA device (rdma_mesh, in the rdma lane) or on what every machine has (crew_test).
testing::internal::ParamGenerator<Size> sizes(const Sizes& here, const Sizes& on_rdma) {
  return testing::ValuesIn(rdma_address() != nullptr ? on_rdma : here);
}

std::string name_of(const testing::TestParamInfo<Size>& each) {
  std::string name = each.param.scheme;
  for (size_t at; (at = name.find('+')) != std::string::npos;) name.replace(at, 1, "Then");
  return name + std::to_string(each.param.members);
}

class Crews : public testing::TestWithParam<Size> {};

INSTANTIATE_TEST_SUITE_P(D2, Crews,
                         sizes({{"tcp", 2},
                                {"tcp", 3},
                                {"tcp", 4},
                                {"tcp", 8},
                                {"tcp", 16},
                                {"shm", 2},
                                {"shm", 3},
                                {"shm", 4},
                                {"shm+tcp", 4},
                                {"tcp+shm", 3}},
                               {{"rdma", 2}, {"rdma", 3}, {"rdma", 4}}),
                         name_of);

// Any start order; everyone meets everyone once and exchanges with everyone.
TEST_P(Crews, EveryoneExchangesWithEveryone) {
  uint32_t n = GetParam().members;
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    Crew crew(GetParam().scheme, n);
    std::vector<uint32_t> order(n);
    for (uint32_t i = 0; i < n; ++i) order[i] = i;
    std::mt19937 random(seed);
    std::shuffle(order.begin(), order.end(), random);
    Board& board = crew.board();
    // The second half comes when the first has long been waiting for it.
    for (uint32_t i = 0; i < n; ++i) {
      if (i == n / 2 && seed == 2) {
        auto half_met = [&] {
          for (uint32_t a = 0; a < i; ++a) {
            for (uint32_t b = 0; b < i; ++b) {
              if (a != b && board.received[order[a]][order[b]] == 0) return false;
            }
          }
          return true;
        };
        EXPECT_TRUE(crew.until(half_met, kPatienceNs)) << board.problem;
      }
      crew.start(order[i]);
    }
    auto all_received = [&] {
      for (uint32_t a = 0; a < n; ++a) {
        for (uint32_t b = 0; b < n; ++b) {
          if (a != b && board.received[a][b] < 20) return false;
        }
      }
      return true;
    };
    EXPECT_TRUE(crew.until(all_received, kPatienceNs)) << "seed " << seed << ": " << board.problem;
    for (uint32_t a = 0; a < n; ++a) {
      for (uint32_t b = 0; b < n; ++b) {
        EXPECT_EQ(a == b ? 0u : 1u, board.up[a][b]) << a << " " << b;
        EXPECT_EQ(0u, board.lost[a][b]) << a << " " << b;
      }
    }
    EXPECT_TRUE(crew.stop()) << board.problem;
  }
}

class Kills : public testing::TestWithParam<Size> {};

INSTANTIATE_TEST_SUITE_P(D2, Kills,
                         sizes({{"tcp", 4}, {"tcp", 8}, {"shm", 4}, {"shm+tcp", 4}, {"tcp+shm", 3}},
                               {{"rdma", 2}, {"rdma", 3}, {"rdma", 4}}),
                         name_of);

// The short form; the long one is the program mesh_kill.
TEST_P(Kills, NameExactlyTheDeadMember) {
  EXPECT_EQ("", kill_at_random(GetParam().scheme, GetParam().members, 5, 1, false));
}

class Quiet : public testing::TestWithParam<Size> {};

// Not on rdma: the member is of this process, and the kernel refuses devices that a process has opened to its children.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Quiet);
INSTANTIATE_TEST_SUITE_P(D2, Quiet, sizes({{"tcp", 2}, {"shm", 2}}, {}), name_of);

// Nobody touches the channel: the mesh notices by itself.
TEST_P(Quiet, ADeathIsNoticedWithoutTraffic) {
  for (uint32_t id : {0, 1}) {
    Crew crew(GetParam().scheme, 2);
    Place place;
    place.hosts = crew.lists().text();
    place.id = id;
    Runner quiet(place);
    crew.start(1 - id);
    ASSERT_TRUE(quiet.wait_for(id == 0 ? RC_MEMBER_CONNECTED : RC_MEMBER_ACCEPTED, 1 - id));
    crew.kill(1 - id);
    ASSERT_TRUE(quiet.wait_for(RC_MEMBER_LOST, 1 - id));
    EXPECT_EQ(RC_E_PEER_DEAD, quiet.events()[1].what.code);
  }
}

// ----------------------------------------------------------------------------------------------------------------- D3

constexpr uint32_t kMessages = 100'000;
constexpr size_t kLargest = size_t{4} << 20;

// Mostly small ones; 24 of the largest.
size_t size_of(uint32_t number) {
  if (number % 4096 == 4095) return kLargest;
  std::minstd_rand random(number + 1);
  random.discard(3);
  return 1 + random() % (size_t{1} << (random() % 11));
}

// The message's number stands at both of its ends, as far as there is room.
void stamp(std::vector<char>& message, size_t n, uint32_t number) {
  char bytes[sizeof number];
  memcpy(bytes, &number, sizeof number);
  for (size_t i = 0; i < sizeof number && i < n; ++i) message[i] = message[n - 1 - i] = bytes[i];
}

int run_numbered(const Lists& lists, uint32_t id) {
  rc_ctx ctx;
  rc_config config = {};
  config.size = sizeof config;
  config.rings_max = 32;
  config.ring_bytes = size_t{1} << 20;
  rc_mesh mesh;
  if (rc_open(&config, &ctx) != RC_OK || open_mesh(ctx, lists.text(), id, 0, kPatienceNs, &mesh) != RC_OK) return 2;
  std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  for (uint32_t other = 0; other < lists.members(); ++other) {
    rc_channel channel;
    if (other == id) continue;
    if (rc_mesh_channel(mesh, other, &channel) != RC_OK) return 3;
    threads.emplace_back([channel, &bad] {
      std::vector<char> message(kLargest);
      for (uint32_t i = 0; i < kMessages && bad == 0; ++i) {
        size_t n = size_of(i);
        stamp(message, n, i);
        if (rc_send(channel, message.data(), n, &i, kPatienceNs, nullptr) != RC_OK) bad = 4;
      }
    });
    threads.emplace_back([channel, &bad] {
      std::vector<char> message(kLargest), expected(kLargest);
      for (uint32_t i = 0; i < kMessages && bad == 0; ++i) {
        size_t n = 0, ends = std::min(sizeof i, size_of(i));
        uint32_t number = 0;
        if (rc_recv(channel, message.data(), message.size(), &n, &number, nullptr, kPatienceNs) != RC_OK) bad = 6;
        if (bad == 0 && (n != size_of(i) || number != i)) bad = 7;
        if (bad != 0) return;
        stamp(expected, n, i);
        if (memcmp(message.data(), expected.data(), ends) != 0 ||
            memcmp(&message[n - ends], &expected[n - ends], ends) != 0)
          bad = 8;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  for (uint32_t other = 0; other < lists.members() && bad == 0; ++other) {  // nobody leaves before all have all
    rc_channel channel;
    char byte = 0;
    size_t n = 0;
    if (other == id) continue;
    if (rc_mesh_channel(mesh, other, &channel) != RC_OK) return 9;
    if (rc_send(channel, &byte, 1, nullptr, kPatienceNs, nullptr) != RC_OK) bad = 10;
    if (rc_recv(channel, &byte, 1, &n, nullptr, nullptr, kPatienceNs) != RC_OK) bad = 11;
  }
  if (rc_close(ctx) != RC_OK) bad = 12;
  return bad;
}

class Numbered : public testing::TestWithParam<Size> {};

INSTANTIATE_TEST_SUITE_P(D3, Numbered, sizes({{"tcp", 2}, {"tcp", 3}, {"shm", 2}}, {{"rdma", 2}}), name_of);

TEST_P(Numbered, NoGapInAHundredThousandMessages) {
  Lists lists(GetParam().scheme, GetParam().members);
  std::vector<pid_t> pids;
  for (uint32_t i = 0; i < lists.members(); ++i) {
    pids.push_back(fork());
    if (pids.back() == 0) _exit(run_numbered(lists, i));
  }
  for (pid_t pid : pids) {
    int status = 0;
    EXPECT_EQ(pid, waitpid(pid, &status, 0));
    EXPECT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(0, WEXITSTATUS(status));
  }
}

}  // namespace
}  // namespace meshes
