// What direct grants cost, and how long a peer can make calls wait by what it sends.
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include <fstream>
#include <string>
#include <vector>

#include "harness/hostile/direct_grants.h"
#include "harness/tcp/loopback.h"

namespace hostile {
namespace {

constexpr int kLingerSeconds = 30;
constexpr int64_t kSoonNs = INT64_C(10) * 1000 * 1000 * 1000;
constexpr int64_t kShort = INT64_C(10) * 1000 * 1000;
constexpr int kPassRights = 83;  // SO_PASSRIGHTS

int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

class DirectDescriptors : public DirectGrants {
 public:
  void SetUp() override {
    DirectGrants::SetUp();
    begin_ns_ = now_ns();
  }
  void TearDown() override {
    DirectGrants::TearDown();
    EXPECT_LT(now_ns() - begin_ns_, kSoonNs) << "a call waited for a socket of the peer's";
    readers_.clear();
  }
  // A TCP socket whose last close waits for half a minute: nobody reads what it is full of.
  Fd lingering() {
    Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), mine(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in here = loopback(0);
    auto* address = reinterpret_cast<sockaddr*>(&here);
    socklen_t bytes = sizeof here;
    EXPECT_EQ(0, bind(listener.get(), address, bytes));
    EXPECT_EQ(0, listen(listener.get(), 1));
    EXPECT_EQ(0, getsockname(listener.get(), address, &bytes));
    EXPECT_EQ(0, connect(mine.get(), address, bytes));
    readers_.emplace_back(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const linger on = {1, kLingerSeconds};
    EXPECT_EQ(0, setsockopt(mine.get(), SOL_SOCKET, SO_LINGER, &on, sizeof on));
    char junk[65536] = {};
    while (send(mine.get(), junk, sizeof junk, MSG_DONTWAIT) > 0) {
    }
    return mine;
  }
  rc::Link* honest_link() { return rc::Handles::channel(honest_.id)->link(); }

 private:
  int64_t begin_ns_ = 0;
  std::vector<Fd> readers_;
};

TEST_F(DirectDescriptors, ThoseOfGrantsThatAreGoneMakeNobodyWait) {
  for (int more = 0; more < 3; ++more) {
    Fd socket = lingering();
    ASSERT_TRUE(hand({socket.get()}, kKey + 1));
  }
  Fd fd = make_file({kBytes, kSizeSeals});
  ASSERT_TRUE(hand({fd.get()}));
  announce(kAll, kBytes);
  rc_remote remote{0};
  EXPECT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
}

TEST_F(DirectDescriptors, WrongOnesMakeNobodyWait) {
  {
    Fd one = lingering(), two = lingering();
    ASSERT_TRUE(hand({one.get(), two.get()}));
  }
  announce(kAll, kBytes);
  rc_remote remote{0};
  EXPECT_EQ(RC_E_CORRUPT, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
}

TEST_F(DirectDescriptors, ThoseLeftAtTheEndMakeNobodyWait) {
  for (int i = 0; i < 2; ++i) {
    Fd socket = lingering();
    ASSERT_TRUE(hand({socket.get()}, kKey + 1));
  }
  EXPECT_EQ(RC_OK, rc_channel_close(honest_)) << rc_reason();
}

TEST_F(DirectDescriptors, ADoorbellBringsNone) {
  for (int side : {0, 1}) {
    SCOPED_TRACE(side);
    Fd socket = lingering();
    bool sent = send_packet(link_->fd[side], "!", 1, {socket.get()});
    const int on = 1;
    // What an older kernel lets through.
    int fd = honest_link()->fd[side];
    bool refuses = setsockopt(fd, SOL_SOCKET, kPassRights, &on, sizeof on) == 0;
    EXPECT_EQ(!refuses, sent);
    if (refuses) {
      ASSERT_TRUE(send_packet(link_->fd[side], "!", 1, {socket.get()})) << strerror(errno);
    }
    socket.reset();
    char bytes[8192] = {};
    int32_t code = side == rc::kGetSide ? rc_get(honest_, bytes, 1, kShort, nullptr)
                                        : rc_put(honest_, bytes, sizeof bytes, kShort, nullptr);
    EXPECT_EQ(RC_E_CORRUPT, code) << rc_reason();
    EXPECT_NE(nullptr, strstr(rc_reason(), "descriptor")) << rc_reason();
    EXPECT_EQ(RC_OK, rc_channel_close(honest_)) << rc_reason();
    TearDown();
    SetUp();
  }
}

// Bells of no bytes before it: they look like the end.
TEST_F(DirectDescriptors, ThoseBehindBellsAtTheEndMakeNobodyWait) {
  for (int side : {0, 1}) {
    Fd socket = lingering();
    const int on = 1;
    setsockopt(honest_link()->fd[side], SOL_SOCKET, kPassRights, &on, sizeof on);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(send_packet(link_->fd[side], "", 0));
    ASSERT_TRUE(send_packet(link_->fd[side], "!", 1, {socket.get()})) << strerror(errno);
  }
  EXPECT_EQ(RC_OK, rc_channel_close(honest_)) << rc_reason();
}

// In the middle of the handshake, and before anybody has taken the client.
TEST_F(DirectDescriptors, ThoseOfClientsMakeNobodyWait) {
  std::string name = unique_name();
  rc_listener listener{0};
  ASSERT_EQ(RC_OK, rc_listen(honest_ctx_, ("shm:" + name).c_str(), nullptr, &listener)) << rc_reason();
  for (bool looked_at : {true, false}) {
    Fd one = lingering(), two = lingering();
    Fd client = dial(name);
    ASSERT_TRUE(client.ok());
    rc::Hello hello = say(rc::Hello::kAsk, 4096);
    ASSERT_TRUE(send_packet(client.get(), &hello, sizeof hello, {one.get(), two.get()}));
    ASSERT_TRUE(send_packet(client.get(), &hello, sizeof hello, {one.get(), two.get()}));
    one.reset();
    two.reset();
    rc_channel channel{0};
    if (looked_at) {
      EXPECT_EQ(RC_E_TIMEOUT, rc_accept(listener, kShort, &channel));
    }
  }
  EXPECT_EQ(RC_OK, rc_listener_close(listener)) << rc_reason();
}

// ------------------------------------------------------------------------------------------------------------ mappings

int mappings() {
  std::ifstream maps("/proc/self/maps");
  int n = 0;
  for (std::string line; std::getline(maps, line);) ++n;
  return n;
}

// All the mappings that this process may still have.
class AllMappings {
 public:
  AllMappings() {
    at_ = mmap(nullptr, kPages * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    auto* page = static_cast<uint8_t*>(at_);
    for (uint64_t i = 1; i < kPages && !full_; i += 2) full_ = mprotect(page + i * kPage, kPage, PROT_READ) != 0;
  }
  ~AllMappings() { munmap(at_, kPages * kPage); }
  AllMappings(const AllMappings&) = delete;
  AllMappings& operator=(const AllMappings&) = delete;
  bool full() const { return full_; }

 private:
  static constexpr uint64_t kPage = 4096, kPages = 1 << 18;
  void* at_;
  bool full_ = false;
};

class DirectMappings : public DirectGrants {};

TEST_F(DirectMappings, ARegionThatIsFreedLeavesNone) {
  constexpr uint64_t kSlices = 300, kSlice = 4096;
  int before = mappings();
  for (int round = 0; round < 3; ++round) {
    rc_mr below{0}, mr{0}, above{0};
    ASSERT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, kSlice, 0, &below));
    ASSERT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, kSlices * kSlice, 0, &mr));
    ASSERT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, kSlice, 0, &above));
    bytes_of(below)[0] = bytes_of(above)[0] = 0x33;
    for (uint64_t i = 0; i < kSlices; ++i) {
      rc_grant grant{0};
      ASSERT_EQ(RC_OK, rc_mr_grant(honest_, mr, i * kSlice, kSlice, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant))
          << rc_reason();
      rc_remote remote{0};
      ASSERT_EQ(RC_OK, rc_remote_get(peer_, kPatience, &remote)) << rc_reason();
      ASSERT_EQ(RC_OK, rc_grant_revoke(grant)) << rc_reason();
      ASSERT_EQ(RC_OK, rc_remote_release(remote)) << rc_reason();
      rc_progress(peer_);
      rc_progress(honest_);
    }
    EXPECT_EQ(RC_OK, rc_mr_free(mr)) << rc_reason();
    EXPECT_EQ(0x33, bytes_of(below)[0]);
    EXPECT_EQ(0x33, bytes_of(above)[0]);
    EXPECT_EQ(RC_OK, rc_mr_free(below));
    EXPECT_EQ(RC_OK, rc_mr_free(above));
  }
  EXPECT_LT(mappings(), before + 20);
}

TEST_F(DirectMappings, WithoutAnyMoreNoneIsGrantedAndEachIsRevoked) {
  rc_mr other{0};
  ASSERT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, 8 * kBytes, 0, &other));
  rc_grant grant{0}, refused{0};
  ASSERT_EQ(RC_OK, rc_mr_grant(honest_, other, kBytes, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant));
  int32_t granted = RC_OK, revoked = RC_OK;
  std::string reason;
  {
    AllMappings taken;
    if (!taken.full()) GTEST_SKIP() << "this system allows more mappings than a test may make";
    granted = rc_mr_grant(honest_, mine_, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &refused);
    reason = rc_reason();
    revoked = rc_grant_revoke(grant);
  }
  EXPECT_EQ(RC_E_NO_MEMORY, granted);
  EXPECT_NE(std::string::npos, reason.find("vm.max_map_count")) << reason;
  EXPECT_EQ(RC_OK, revoked) << rc_reason();
  EXPECT_TRUE(all(bytes_of(mine_), kUntouched));
  EXPECT_EQ(RC_OK, rc_mr_grant(honest_, mine_, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &refused));
}

// ---------------------------------------------------------------------------------------------------------- to be
// granted

class DirectConditions : public DirectGrants {};

TEST_F(DirectConditions, AGrantThatHasLapsedIsNotInTheWay) {
  rc_grant grant{0};
  ASSERT_EQ(RC_OK, rc_mr_grant(honest_, mine_, 0, kBytes, kAll, 1, &grant)) << rc_reason();
  for (int64_t begin = now_ns(); now_ns() < begin + 2;) {
  }
  EXPECT_EQ(RC_OK, rc_mr_grant(honest_, mine_, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant)) << rc_reason();
}

}  // namespace
}  // namespace hostile
