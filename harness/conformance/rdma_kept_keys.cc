// Direct grants over rdma against a peer that is no ringchan program and keeps their keys (rkey_keeper.cc): what its
// NIC is told, what the owner's memory looks like then, and that the owner goes on.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "harness/conformance/about.h"
#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

extern char** environ;

namespace conformance {
namespace {

constexpr uint64_t kRegion = 16384, kSlice = 3000, kSliceAt = 1000;
constexpr uint32_t kAllRights = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;
constexpr char kOk[] = "success", kNoAccess[] = "remote access error", kNoAnswer[] = "transport retry counter exceeded";
constexpr char kOurs[] = "101010101010101", kTheirs[] = "303030303030303", kNothing[] = "0";

// The program beside this one.
class Keeper {
 public:
  Keeper() {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    std::string program(path, n > 0 ? static_cast<size_t>(n) : 0);
    program.replace(program.rfind('/') + 1, std::string::npos, "rkey_keeper");
    int in[2], out[2];
    EXPECT_EQ(0, pipe2(in, O_CLOEXEC));
    EXPECT_EQ(0, pipe2(out, O_CLOEXEC));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    char* words[] = {program.data(), nullptr};
    EXPECT_EQ(0, posix_spawn(&pid_, program.c_str(), &actions, nullptr, words, environ)) << program;
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    to_ = in[1];
    from_ = out[0];
  }
  ~Keeper() {
    close(to_);
    if (testing::Test::HasFailure()) kill(pid_, SIGKILL);  // it may wait for something
    int status = -1;
    EXPECT_EQ(pid_, waitpid(pid_, &status, 0));
    EXPECT_EQ(0, status);
    close(from_);
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  void tell(const std::string& command) {
    asked_ = command;
    std::string line = command + "\n";
    EXPECT_EQ(static_cast<ssize_t>(line.size()), write(to_, line.data(), line.size()));
  }
  // The line that answers, without what it repeats.
  std::string answer() {
    std::string line;
    pollfd wait = {from_, POLLIN, 0};
    for (char c = 0; c != '\n'; line += c) {
      if (poll(&wait, 1, static_cast<int>(kPatience / 1000000)) != 1 || read(from_, &c, 1) != 1)
        return "no answer to " + asked_;
    }
    line.pop_back();
    size_t repeated = line.find(": ");
    return repeated == std::string::npos ? line : line.substr(repeated + 2);
  }
  std::string ask(const std::string& command) {
    tell(command);
    return answer();
  }

 private:
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  std::string asked_;
};

// Queue pairs, regions and the rest that there are on this machine.
std::string resources() {
  std::string all;
  FILE* f = popen("rdma resource show", "r");
  for (int c = 0; f != nullptr && (c = fgetc(f)) != EOF;) all += static_cast<char>(c);
  EXPECT_EQ(0, f != nullptr ? pclose(f) : -1);
  return all;
}

}  // namespace

class RdmaKeptKeys : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    before_ = resources();
    EXPECT_NE("", before_);
    rc_config config = {};
    config.size = sizeof config;
    config.ring_bytes = 65536;
    config.mr_bytes = 1 << 20;
    ASSERT_RC(RC_OK, rc_open(&config, &ctx_));
    allocate();
    listen("");
    keeper_ = std::make_unique<Keeper>();
  }
  void TearDown() override {
    if (HasFatalFailure()) return;
    expect_memory();
    serve_the_next_peer();
    keeper_.reset();
    EXPECT_RC(RC_OK, rc_close(ctx_));
    // The kernel cleans up after the keeper a moment later.
    auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kPatience);
    while (resources() != before_ && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(before_, resources());
  }
  void allocate() {
    ASSERT_RC(RC_OK, rc_mr_alloc(ctx_, kRegion, 0, &mr_));
    bytes_ = bytes_of(mr_);
    memset(bytes_, 1, kRegion);
    expected_.assign(kRegion, 1);
  }
  void listen(const std::string& query) {
    uri_ = rdma_uri(GetParam() + query);
    ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  }
  // The keeper's next channel.
  rc_channel meet() {
    size_t host = strlen("rdma://"), colon = uri_.find(':', host), end = uri_.find('?');
    rc_channel channel{0};
    keeper_->tell("connect " + uri_.substr(host, colon - host) + " " + uri_.substr(colon + 1, end - colon - 1));
    EXPECT_RC(RC_OK, rc_accept(listener_, kPatience, &channel));
    EXPECT_EQ("connected", keeper_->answer());
    return channel;
  }
  rc_grant grant(rc_channel channel, uint32_t rights = kAllRights, int64_t lease_ns = RC_LEASE_NONE) {
    rc_grant grant{0};
    EXPECT_RC(RC_OK, rc_mr_grant(channel, mr_, kSliceAt, kSlice, rights | RC_MR_DIRECT, lease_ns, &grant));
    EXPECT_EQ(0u, keeper_->ask("grant").find("granted"));
    return grant;
  }
  // What the keeper's NIC says, and the first word that the keeper has then.
  void expect_use(const std::string& what, const char* status, const char* word) {
    EXPECT_EQ(std::string(status) + ", " + word, keeper_->ask(what)) << what;
  }
  void expect_written(uint64_t at, uint64_t n) { std::fill_n(expected_.begin() + kSliceAt + at, n, uint8_t{3}); }
  void expect_memory() const {
    for (uint64_t i = 0; i < kRegion; ++i) ASSERT_EQ(expected_[i], bytes_[i]) << "byte " << i;
  }
  // Of the channel whose queue pair was refused.
  void expect_over(rc_channel channel) {
    uint8_t byte;
    if (HasFailure()) return;  // it was not: waiting for its end takes long
    EXPECT_RC(RC_E_PEER_DEAD, rc_get(channel, &byte, 1, kPatience, nullptr));
    EXPECT_RC(RC_E_PEER_DEAD, rc_put(channel, "x", 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_channel_close(channel));
  }
  void serve_the_next_peer() {
    rc_ctx ctx{0};
    rc_channel owner{0}, peer{0};
    ASSERT_RC(RC_OK, rc_open(nullptr, &ctx));
    Doing connecting([&] { return rc_connect(ctx, uri_.c_str(), nullptr, kPatience, &peer); });
    EXPECT_RC(RC_OK, rc_accept(listener_, kPatience, &owner));
    EXPECT_DONE(RC_OK, connecting);
    uint8_t byte = 7;
    EXPECT_RC(RC_OK, rc_put(peer, &byte, 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_get(owner, &byte, 1, kPatience, nullptr));
    EXPECT_EQ(7, byte);
    EXPECT_RC(RC_OK, rc_channel_close(owner));
    EXPECT_RC(RC_OK, rc_close(ctx));
  }

  std::string before_, uri_;
  rc_ctx ctx_{0};
  rc_mr mr_{0};
  rc_listener listener_{0};
  uint8_t* bytes_ = nullptr;
  std::vector<uint8_t> expected_;
  std::unique_ptr<Keeper> keeper_;
};

TEST_P(RdmaKeptKeys, AfterRevokeAreRefused) {
  rc_channel channel = meet();
  rc_grant given = grant(channel);
  expect_use("write 8 8", kOk, kTheirs);  // while the grant lasts that is its right
  expect_written(8, 8);
  expect_memory();
  EXPECT_RC(RC_OK, rc_grant_revoke(given));
  expect_use("write 8 16", kNoAccess, kTheirs);
  expect_memory();
  expect_over(channel);
  // By a queue pair that is well, too.
  for (const char* what : {"write 8 8", "read 8 8", "add 8 8"}) {
    channel = meet();
    expect_use(what, kNoAccess, what[0] == 'w' ? kTheirs : kNothing);
    expect_memory();
    expect_over(channel);
  }
  EXPECT_RC(RC_OK, rc_mr_free(mr_));
  allocate();  // the same bytes
  channel = meet();
  expect_use("write 0 3000", kNoAccess, kTheirs);
  expect_over(channel);
}

// It ends in the owner's first call that finds it over, and half a second later if the peer answers nothing.
TEST_P(RdmaKeptKeys, AfterTheLeaseAreRefused) {
  rc_channel channel = meet();
  rc_grant given = grant(channel, kAllRights, INT64_C(200000000));
  expect_use("write 8 8", kOk, kTheirs);
  expect_written(8, 8);
  auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kPatience);
  rc_lease lease = {};
  lease.size = sizeof lease;
  do {
    ASSERT_RC(RC_OK, rc_grant_info(given, &lease));
    ASSERT_LT(std::chrono::steady_clock::now(), until);
  } while (lease.left_ns != 0);
  expect_use("write 8 16", kNoAccess, kTheirs);
  expect_memory();
  expect_over(channel);
  channel = meet();
  expect_use("read 8 8", kNoAccess, kNothing);
  expect_over(channel);
}

// Another grant of the same bytes has another key.
TEST_P(RdmaKeptKeys, AreNotThoseOfTheNextGrant) {
  rc_channel channel = meet();
  EXPECT_RC(RC_OK, rc_grant_revoke(grant(channel)));
  rc_grant next{0};
  EXPECT_RC(RC_OK, rc_mr_grant(channel, mr_, kSliceAt, kSlice, kAllRights | RC_MR_DIRECT, RC_LEASE_NONE, &next));
  expect_use("write 0 8", kNoAccess, kTheirs);
  expect_over(channel);
}

TEST_P(RdmaKeptKeys, AfterTheChannelsEndAreRefused) {
  rc_channel channel = meet();
  grant(channel);
  expect_use("add 8 8", kOk, kOurs);
  expected_[kSliceAt + 8] = 2;
  expect_memory();
  rc_channel other = meet();
  expect_use("write 16 8", kOk, kTheirs);  // the context's channels share a protection domain
  expect_written(16, 8);
  expect_memory();
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(mr_));
  EXPECT_RC(RC_OK, rc_channel_close(channel));
  expect_use("write 24 8", kNoAccess, kTheirs);
  expect_memory();
  expect_over(other);
  EXPECT_RC(RC_OK, rc_mr_free(mr_));
  allocate();
  other = meet();
  expect_use("read 0 8", kNoAccess, kNothing);
  expect_over(other);
}

TEST_P(RdmaKeptKeys, MeetNobodyOnTheirOwnQueuePairAfterTheChannelsEnd) {
  rc_channel channel = meet();
  grant(channel);
  EXPECT_RC(RC_OK, rc_channel_close(channel));
  expect_use("write 0 8", kNoAnswer, kTheirs);
}

TEST_P(RdmaKeptKeys, OfAnotherProtectionDomainAreRefused) {
  rc_channel channel = meet();
  grant(channel);
  EXPECT_RC(RC_OK, rc_listener_close(listener_));
  listen("&pd=own");
  for (const char* what : {"write 0 8", "read 0 8", "add 0 8"}) {
    rc_channel other = meet();
    expect_use(what, kNoAccess, what[0] == 'w' ? kTheirs : kNothing);
    expect_memory();
    expect_over(other);
  }
  EXPECT_RC(RC_OK, rc_channel_close(channel));
}

TEST_P(RdmaKeptKeys, ThatWereForgedAreRefused) {
  rc_channel channel = meet();
  grant(channel);
  for (const char* bits : {"1", "256", "2147483648"}) {
    SCOPED_TRACE(bits);
    rc_channel other = meet();
    keeper_->ask(std::string("forge ") + bits);
    expect_use("write 0 8", kNoAccess, kTheirs);
    keeper_->ask(std::string("forge ") + bits);
    expect_memory();
    expect_over(other);
  }
  meet();
  expect_use("write 0 8", kOk, kTheirs);  // as it was
  expect_written(0, 8);
}

TEST_P(RdmaKeptKeys, ReachNotAByteBeyondTheSlice) {
  grant(meet());
  for (const char* what : {"write -1 8", "write 2993 8", "write 3000 8", "write 0 3001", "write -1000 16384",
                           "read -8 8", "read 2993 8", "read 0 16384", "add 3000 8", "add -8 8"}) {
    SCOPED_TRACE(what);
    rc_channel other = meet();
    expect_use(what, kNoAccess, what[0] == 'w' ? kTheirs : kNothing);
    expect_memory();
    expect_over(other);
  }
  meet();
  expect_use("write 0 3000", kOk, kTheirs);
  expect_written(0, 3000);
}

TEST_P(RdmaKeptKeys, DoWhatTheRightsSayAndNothingElse) {
  for (uint32_t rights = 1; rights <= kAllRights && !HasFailure(); ++rights) {
    SCOPED_TRACE(rights);
    rc_channel channel = meet();
    rc_grant given = grant(channel, rights);
    for (const char* what : {"write 8 8", "read 16 8", "add 24 8"}) {
      const uint32_t right = what[0] == 'w' ? RC_MR_WRITE : what[0] == 'r' ? RC_MR_READ : RC_MR_ATOMIC;
      rc_channel other = meet();
      bool may = (rights & right) != 0;
      const char* word = right == RC_MR_WRITE ? kTheirs : may ? kOurs : kNothing;
      expect_use(what, may ? kOk : kNoAccess, word);
      if (may && right == RC_MR_WRITE) expect_written(8, 8);
      if (may && right == RC_MR_ATOMIC) expected_[kSliceAt + 24] = 2;
      expect_memory();
      if (may) {
        EXPECT_RC(RC_OK, rc_channel_close(other));
      } else {
        expect_over(other);
      }
    }
    EXPECT_RC(RC_OK, rc_grant_revoke(given));
    EXPECT_RC(RC_OK, rc_channel_close(channel));
    memset(bytes_, 1, kRegion);
    expected_.assign(kRegion, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(On, RdmaKeptKeys, testing::Values("?mode=poll", "?mode=event"),
                         [](const auto& mode) { return std::string(mode.param).substr(6); });

}  // namespace conformance
