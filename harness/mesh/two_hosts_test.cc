// Scenario D1: two hosts in either order, and every line they show. Each host is a process that runs what the program
// "mesh" runs; the strings it sends are known here by their seed.
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/deadline.h"
#include "harness/mesh/lists.h"
#include "harness/mesh/talk.h"

namespace meshes {
namespace {

constexpr uint32_t kStrings = 10;
constexpr uint32_t kSlots = 4;
constexpr int64_t kPatienceNs = 30'000'000'000;

using Lines = std::vector<std::string>;

class Host {
 public:
  Host(const Lists& lists, uint32_t id)
      : path_(testing::TempDir() + "two_hosts_" + std::to_string(getpid()) + "_" + std::to_string(id)) {
    remove(path_.c_str());
    fflush(stdout);
    pid_ = fork();
    if (pid_ == 0) _exit(run(lists, id));
  }
  ~Host() {
    if (pid_ > 0) kill(pid_, SIGKILL), waitpid(pid_, nullptr, 0);
    remove(path_.c_str());
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  static uint32_t seed_of(uint32_t id) { return 100 + id; }

  int exit_status() {
    int status = -1;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  Lines lines() const {
    Lines all;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }
  bool shows(const std::string& line) const {
    rc::Deadline deadline = rc::Deadline::after(kPatienceNs);
    while (deadline.left(rc::now_ns()) != 0) {
      for (const std::string& l : lines()) {
        if (l == line) return true;
      }
      usleep(10'000);
    }
    return false;
  }

 private:
  int run(const Lists& lists, uint32_t id) const {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (freopen(path_.c_str(), "w", stdout) == nullptr) return 99;
    Members members;
    members.id = id;
    members.total = 2;
    members.hosts = lists.text();
    Talk what;
    what.interval_ms = 20;
    what.count = kStrings;
    what.slots = kSlots;
    what.seed = seed_of(id);
    try {
      return talk(members, what);
    } catch (const std::exception& error) {
      printf("%s\n", error.what());
      fflush(stdout);
      return 98;
    }
  }

  std::string path_;
  pid_t pid_ = -1;
};

// Where the first line stands that this matches; -1: nowhere.
int find(const Lines& lines, const std::string& pattern) {
  std::regex wanted(pattern);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (std::regex_match(lines[i], wanted)) return static_cast<int>(i);
  }
  return -1;
}

std::string all_of(const Lines& lines) {
  std::string text;
  for (const std::string& l : lines) text += l + "\n";
  return text;
}

// These stand in it, in that order, not necessarily one right behind the other.
void expect_in_order(const Lines& lines, const std::vector<std::string>& patterns) {
  int last = -1;
  for (const std::string& p : patterns) {
    int at = find(lines, p);
    EXPECT_LT(last, at) << "\"" << p << "\" is missing or too early in\n" << all_of(lines);
    last = at;
  }
}

// Every string of the other host arrived once, in order, in one slot after the other.
void expect_strings_of(uint32_t sender, const Lines& lines) {
  std::mt19937 random(Host::seed_of(sender));
  std::regex wanted("Received data at in_mr\\[(\\d+)\\] address (0x[0-9a-f]+): (.*)");
  std::map<uint32_t, std::string> addresses;
  uint32_t k = 0;
  for (const std::string& l : lines) {
    std::smatch m;
    if (l.rfind("Received data", 0) != 0) continue;
    ASSERT_TRUE(std::regex_match(l, m, wanted)) << l;
    EXPECT_EQ(std::to_string(k % kSlots), m[1].str()) << l;
    std::string& address = addresses.emplace(k % kSlots, m[2].str()).first->second;
    EXPECT_EQ(address, m[2].str()) << l;
    EXPECT_EQ(random_letters(random), m[3].str()) << "string " << k;
    ++k;
  }
  EXPECT_EQ(kStrings, k) << all_of(lines);
}

class TwoHosts : public testing::TestWithParam<std::string> {
 protected:
  void start(uint32_t first) {
    Lists lists(GetParam(), 2);
    Host one(lists, first);
    ASSERT_TRUE(one.shows("Host " + std::to_string(first) + ": listening at " + lists.uri(first)))
        << all_of(one.lines());
    Host other(lists, 1 - first);
    ASSERT_TRUE(other.shows("Host " + std::to_string(1 - first) + ": listening at " + lists.uri(1 - first)))
        << all_of(other.lines());
    EXPECT_EQ(0, one.exit_status()) << all_of(one.lines());
    EXPECT_EQ(0, other.exit_status()) << all_of(other.lines());
    Lines zero = first == 0 ? one.lines() : other.lines(), higher = first == 0 ? other.lines() : one.lines();
    expect_in_order(zero, {"Host 0: listening at .*", "After retried \\d+ connect, Host 0: Connected to host 1",
                           "Connection setup with host 1", "Host 0: mesh of 2 is complete", "Received data at .*",
                           "Host 0: sent 10, received 10, lost 0"});
    expect_in_order(higher,
                    {"Host 1: listening at .*", "Host 1: connect request from host 0", "Host 1: accepted host 0",
                     "Host 1: established with host 0", "Host 1: mesh of 2 is complete", "Received data at .*",
                     "Host 1: sent 10, received 10, lost 0"});
    expect_strings_of(1, zero);
    expect_strings_of(0, higher);
  }
};

// As in crew_test.cc.
std::vector<std::string> schemes() {
  if (rdma_address() != nullptr) return {"rdma", "rdma+shm+tcp"};
  return {"tcp", "shm", "shm+tcp"};
}

INSTANTIATE_TEST_SUITE_P(D1, TwoHosts, testing::ValuesIn(schemes()), [](const auto& each) {
  std::string name = each.param;
  for (char& c : name) c = c == '+' ? '_' : c;
  return name;
});

TEST_P(TwoHosts, TheLowerIdFirst) { start(0); }
TEST_P(TwoHosts, TheHigherIdFirst) { start(1); }

}  // namespace
}  // namespace meshes
