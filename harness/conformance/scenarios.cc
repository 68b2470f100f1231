// The acceptance scenarios A1, A2, A4, A5, A7, B1 to B5 and C1 to C11, from one source: as threads over loop and as
// processes over shm and tcp; in the rdma lane (RC_RDMA_ADDRESS is set), as processes over rdma; those of C as threads
// over the fake. The program plays the roles itself: scenarios --role NAME URI ARGUMENT.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "harness/conformance/backend.h"
#include "harness/conformance/rdma_address.h"
#include "harness/conformance/roles.h"
#include "harness/conformance/tcp_uri.h"

namespace conformance {
namespace {

// RC_LONG=1: sizes up to 1 GiB, and over rdma as many additions as elsewhere.
bool long_form() {
  const char* value = getenv("RC_LONG");
  return value != nullptr && strcmp(value, "1") == 0;
}

int play_in_this_process(const char* name, const char* uri, const char* argument) {
  Role role = {{0}, uri, strtoull(argument, nullptr, 10), true, stdout};
  rc_config config = config_of(name);
  if (rc_open(&config, &role.ctx) != RC_OK) return 2;
  bool good = play(name, role);
  return rc_close(role.ctx) == RC_OK && good ? 0 : 1;
}

struct Ended {
  bool good = false;    // the role says so
  int signal = 0;       // that killed it
  std::string printed;  // to its standard output
};

// A role that runs.
class Actor {
 public:
  virtual ~Actor() = default;
  virtual Ended wait() = 0;
};

class Process : public Actor {
 public:
  Process(const std::string& name, const std::string& uri, uint64_t argument) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::string words[] = {"/proc/self/exe", "--role", name, uri, std::to_string(argument)};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    if (posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) abort();
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    out_ = ends[0];
  }
  Ended wait() override {
    Ended ended;
    char text[512];
    for (ssize_t n; (n = read(out_, text, sizeof text)) > 0;) ended.printed.append(text, static_cast<size_t>(n));
    close(out_);
    int status = 0;
    waitpid(pid_, &status, 0);
    ended.good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    ended.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return ended;
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
};

class Thread : public Actor {
 public:
  Thread(rc_ctx ctx, std::string name, std::string uri, uint64_t argument)
      : ended_(std::async(std::launch::async, [=] {
          Ended ended;
          char* text = nullptr;
          size_t size = 0;
          Role role = {ctx, uri, argument, false, open_memstream(&text, &size)};
          ended.good = play(name, role);
          fclose(role.out);
          ended.printed.assign(text, size);
          free(text);
          return ended;
        })) {}
  Ended wait() override { return ended_.get(); }

 private:
  std::future<Ended> ended_;
};

class Scenario : public testing::TestWithParam<std::string> {
 protected:
  void TearDown() override {
    if (ctx_.id != 0) {
      EXPECT_EQ(RC_OK, rc_close(ctx_));
    }
  }
  bool own_processes() const { return GetParam() != "loop" && !fake(); }
  bool knows_direct() const { return GetParam() == "shm" || GetParam() == "rdma" || GetParam() == "rdma_event"; }
  bool fake() const { return GetParam().rfind("fake", 0) == 0; }
  // A URI that says what the scenario calls it.
  std::string uri(const std::string& name) const {
    if (GetParam() == "rdma") return rdma_uri("");
    if (GetParam() == "rdma_event") return rdma_uri("?mode=event");
    if (GetParam() == "rdma_send") return rdma_uri("?path=send");
    if (GetParam() == "rdma_send_event") return rdma_uri("?path=send&mode=event");
    if (fake()) return unique_name("fake:" + name + "-") + "?seed=" + GetParam().substr(4);
    return GetParam() == "tcp" ? unique_tcp_uri("127.0.0.1") : unique_name(GetParam() + ":" + name + "-");
  }

  std::unique_ptr<Actor> start(const std::string& name, const std::string& uri, uint64_t argument = 0) {
    if (own_processes()) return std::make_unique<Process>(name, uri, argument);
    rc_config config = config_of(name);
    if (ctx_.id == 0) {
      EXPECT_EQ(RC_OK, rc_open(&config, &ctx_)) << rc_reason();
    }
    return std::make_unique<Thread>(ctx_, name, uri, argument);
  }
  static void expect(const std::string& printed, const std::unique_ptr<Actor>& actor) {
    Ended ended = actor->wait();
    EXPECT_TRUE(ended.good) << "signal " << ended.signal;
    EXPECT_EQ(printed, ended.printed);
  }
  struct Part {
    const char* role;
    std::string prints;
  };
  // Two that meet at that name; both start at once.
  void play_two(const std::string& name, const Part& one, const Part& other, uint64_t argument = 0) {
    std::string at = uri(name);
    auto first = start(one.role, at, argument), second = start(other.role, at, argument);
    expect(one.prints, first);
    expect(other.prints, second);
  }
  void console(const std::string& digits);

 private:
  rc_ctx ctx_{0};
};

}  // namespace

TEST_P(Scenario, A1_FiveBytes) { play_two("stoc", {"a1_server", "Received [1, 2, 3, 4, 5]\n"}, {"a1_client", ""}); }

TEST_P(Scenario, A2_Stress) {
  play_two("stress", {"a2_consumer", "10000 bytes in order, 0 left in the ring\n"}, {"a2_producer", ""});
}

TEST_P(Scenario, A4_RemoteRing) {
  std::string at = uri("ctos");
  auto server = start("a4_server", at);
  // Who comes to another name or port, or wants another ring, is told so, and is no client.
  expect("RC_E_NO_LISTENER\n", start("a4_wrong", uri("other"), 1024));
  expect("RC_E_SIZE\n", start("a4_wrong", at, 2048));
  auto client = start("a4_client", at);
  expect("256 bytes of 48\n256 bytes of 97\n256 bytes of 97\n", server);
  expect("20 bytes of 48\n", client);
}

TEST_P(Scenario, A7_Remoting) {
  int trips = 10000, rounds = 100;
#ifdef RC_SANITIZED
  trips = 1000, rounds = 2;
#endif
  if (GetParam().rfind("rdma", 0) == 0) trips = 1000, rounds = 2;  // its guest is emulated
  std::string at = uri("remoting");
  auto server = start("a7_server", at);
  auto client = start("a7_client", at, static_cast<uint64_t>(rounds) * 100000 + static_cast<uint64_t>(trips));
  expect(std::to_string(trips) + " round trips, " + std::to_string(trips / 20) + " late errors\n" +
             std::to_string(rounds) + " rounds of 16777216 bytes each way\n",
         client);
  expect(std::to_string(trips + trips / 10 + rounds) + " requests served\n", server);
}

TEST_P(Scenario, A5_RingUnits) {
  play_two("units", {"a5_writer", "1024 bytes fill the ring; the next try would block, the next put timed out\n"},
           {"a5_reader",
            "sent 5, got abc, de remained\n"
            "10 records of 600 bytes in order, 5 times around the ring\n"
            "a message of 4096 bytes through a ring of 1024\n"});
}

TEST_P(Scenario, B1_Hello) {
  play_two("hello", {"b1_server", "Message from the client: hello from client!\n"},
           {"b1_client", "Message from the server: hello from server!\n"});
}

TEST_P(Scenario, B2_ManyClients) {
  std::string at = uri("many");
  auto server = start("b2_server", at);
  std::vector<std::unique_ptr<Actor>> clients;
  for (uint64_t number = 1; number <= 4; ++number) clients.push_back(start("b2_client", at, number));
  for (auto& client : clients) expect("", client);
  for (uint64_t number = 5; number <= 7; ++number) expect("", start("b2_client", at, number));
  Ended mortal = start("b2_mortal", at, 8)->wait();
  EXPECT_EQ(own_processes() ? SIGKILL : 0, mortal.signal);
  expect("", start("b2_client", at, 9));
  expect(std::string("at once: 1 2 3 4\nin turn: 5 6 7\n8 ended: ") +
             (own_processes() ? "RC_E_PEER_DEAD" : "RC_E_CLOSED") + "\nafter it: 9\n",
         server);
}

TEST_P(Scenario, B3_EitherFirstAnySize) {
  std::vector<uint64_t> sizes = {1, 1024, 1 << 20, 64 << 20};
  if (long_form()) sizes.push_back(1 << 30);
  for (uint64_t size : sizes) {
    SCOPED_TRACE(size);
    std::string n = std::to_string(size);
    play_two("size", {"b3_reader", "reader first: " + n + " bytes\nwriter first: " + n + " bytes\n"}, {"b3_writer", ""},
             size);
  }
}

TEST_P(Scenario, B3_SmallWritesGrowNothing) {
  play_two("small", {"b3_small_reader", "10000 small writes, nothing grew\n"}, {"b3_small_writer", ""});
}

TEST_P(Scenario, B4_Sync) { play_two("sync", {"b4_reader", "50000 bytes were there after sync\n"}, {"b4_writer", ""}); }

TEST_P(Scenario, B5_CloseAfterDrain) {
  for (uint64_t closer : {0, 1}) {
    play_two("close", {"b5_server", closer == 1 ? "server got 12345 bytes, then RC_E_CLOSED\n" : ""},
             {"b5_client", closer == 0 ? "client got 12345 bytes, then RC_E_CLOSED\n" : ""}, closer);
  }
}

namespace {

const std::string kZeros = "[0, 0, 0, 0, 0, 0, 0, 0]\n", kOnes = "[1, 1, 1, 1, 1, 1, 1, 1]\n",
                  kSevens = "[7, 7, 7, 7, 7, 7, 7, 7]\n", kOnesTwos = "[1, 1, 1, 1, 2, 2, 2, 2]\n",
                  kZerosOnes = "[0, 0, 0, 0, 1, 1, 1, 1]\n";

// What the two print of C1 ... C5.
const struct {
  std::string server, client;
} kPrinted[] = {{kOnes, ""}, {kOnes, ""}, {kOnesTwos, kZeros + kOnes + kOnesTwos}, {kZerosOnes, ""}, {kZerosOnes, ""}};

}  // namespace

// The scenarios of the digits, in their order, on one connection; then on three new ones to the same server.
void Scenario::console(const std::string& digits) {
  constexpr uint64_t kConnections = 4;
  std::string served, at = uri("5555");
  uint64_t number = std::stoull(digits);
  auto server = start("c_server", at, kConnections * 100000 + number);
  for (uint64_t i = 0; i < kConnections; ++i) {
    std::string printed = "client start\nconnected\n";
    served += "accepted\n";
    for (char digit : digits) {
      served += kPrinted[digit - '1'].server;
      printed += kPrinted[digit - '1'].client;
    }
    expect(printed + "client done\n", start("c_client", at, number));
  }
  expect("server start\n" + served + "server done\n", server);
}

TEST_P(Scenario, C1toC5_InOrder) { console("12345"); }

TEST_P(Scenario, C1toC5_Alone) {
  for (const char* digit : {"1", "2", "3", "4", "5"}) {
    SCOPED_TRACE(digit);
    console(digit);
  }
}

TEST_P(Scenario, C6_Atomics) {
  uint64_t adds = 100000;
#ifdef RC_SANITIZED
  adds = 10000;
#endif
  bool emulated = GetParam().rfind("rdma", 0) == 0;  // its guest
  if (fake() || (emulated && !long_form())) adds = 1000;
  std::string at = uri("atomics");
  auto server = start("c6_server", at, adds);
  expect("the old value is 0\n", start("c6_client", at, adds));
  expect(kOnes + "the sum is " + std::to_string(2 * adds) + "\n", server);
}

TEST_P(Scenario, C7_Slices) {
  std::string at = uri("slices");
  auto server = start("c7_server", at);
  expect(
      "[0,4096) is served\n[2048,4096) is served\n[1000,4000) is served\n[1234,1235) is served\n"
      "13 other slices are refused\n",
      start("c7_client", at));
  expect("", server);
}

TEST_P(Scenario, C8_Access) {
  for (uint64_t form : {kCarried, knows_direct() ? kDirect : kRefused}) {
    SCOPED_TRACE(form);
    std::string at = uri("access");
    auto server = start("c8_server", at, form);
    expect("a write is RC_E_RIGHTS\ntwo regions of 4096 bytes are the most\n", start("c8_client", at, form));
    expect("64 bytes of 7\n", server);
  }
}

TEST_P(Scenario, C9_Lease) {
  std::string at = uri("lease");
  auto server = start("c9_server", at);
  expect(
      "asked for: RC_E_EXPIRED after 200 ms of 100\ngranted: RC_E_EXPIRED after 200 ms of 100\n"
      "asked for: good after 200 ms of 500\n",
      start("c9_client", at));
  expect(kSevens + kOnes, server);
}

TEST_P(Scenario, C10_ManyInFlight) {
  for (uint64_t form : {kCarried, knows_direct() ? kDirect : kRefused}) {
    SCOPED_TRACE(form);
    std::string at = uri("flights");
    auto server = start("c10_server", at, form);
    expect(std::string(form == kDirect ? "64 in flight\n63 done\n" : "") +
               "64 in flight\none cancelled; the region is RC_E_IN_USE\n63 done\n",
           start("c10_client", at, form));
    expect("", server);
  }
}

TEST_P(Scenario, C11_Rpc) {
  std::string at = uri("rpc");
  auto server = start("c11_server", at);
  expect("Add(1,1) = 2\nAdd(2,2) = 4\n", start("c11_client", at));
  expect("", server);
}

INSTANTIATE_TEST_SUITE_P(Over, Scenario, testing::ValuesIn(schemes()), [](const auto& test) { return test.param; });

}  // namespace conformance

int main(int argc, char** argv) {
  if (argc == 5 && strcmp(argv[1], "--role") == 0) return conformance::play_in_this_process(argv[2], argv[3], argv[4]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
