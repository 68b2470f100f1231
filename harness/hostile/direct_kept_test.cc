// A peer that is granted memory directly, and keeps what it has mapped, or takes nothing at all.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "harness/hostile/direct_grants.h"

namespace hostile {
namespace {

// A raw process that has the file, maps it and keeps it: reads from `orders` what to fill it with, and answers 'k', or
// 'e' where the kernel refuses to map it so.
[[noreturn]] void keep_and_write(int socket, int orders, int answers) {
  uint64_t key = 0;
  iovec iov = {&key, sizeof key};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  int fd = -1;
  if (recvmsg(socket, &message, MSG_PEEK) != sizeof key) _exit(1);
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  void* at = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) {  // for reading, then; and all that could make more of it
    at = mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd, 0);
    std::string again = "/proc/self/fd/" + std::to_string(fd);
    int reopened = open(again.c_str(), O_RDWR | O_CLOEXEC);
    bool opened = mprotect(at, kBytes, PROT_READ | PROT_WRITE) == 0 || pwrite(fd, "x", 1, 0) == 1 ||
                  fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 ||
                  (reopened >= 0 && mmap(nullptr, kBytes, PROT_WRITE, MAP_SHARED, reopened, 0) != MAP_FAILED) ||
                  (reopened >= 0 && pwrite(reopened, "x", 1, 0) == 1);
    char answer = opened || at == MAP_FAILED ? 'w' : 'e';
    if (write(answers, &answer, 1) != 1) _exit(2);
    _exit(0);
  }
  if (ftruncate(fd, 0) == 0 || ftruncate(fd, 2 * kBytes) == 0 || write(answers, "m", 1) != 1) _exit(3);
  for (uint8_t value; read(orders, &value, 1) == 1;) {
    memset(at, value, kBytes);
    if (write(answers, "k", 1) != 1) _exit(4);
  }
  _exit(0);
}

class Keeper {
 public:
  explicit Keeper(int socket) {
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) abort();
    pid_ = fork();
    if (pid_ == 0) {
      alarm(60);
      close(to[1]);
      close(from[0]);
      keep_and_write(socket, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    orders_ = to[1];
    answers_ = from[0];
  }
  ~Keeper() {
    close(orders_);
    close(answers_);
    int status = 0;
    waitpid(pid_, &status, 0);
    EXPECT_EQ(0, status);
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  char answer() {
    char c = 0;
    return read(answers_, &c, 1) == 1 ? c : 'x';
  }
  char fill(uint8_t value) { return write(orders_, &value, 1) == 1 ? answer() : 'x'; }

 private:
  pid_t pid_;
  int orders_, answers_;
};

TEST_F(DirectGrants, AMappingThatIsKeptIsNoMoreThanOldPages) {
  using End = std::function<int32_t(DirectGrants*)>;
  struct Case {
    const char* what;
    int64_t lease_ns;
    End end;
  };
  constexpr int64_t kLeaseNs = 50 * 1000 * 1000;
  rc_grant grant{0};
  const Case cases[] = {
      {"the first call after the end of the lease", kLeaseNs,
       [](DirectGrants* t) {
         const timespec lease = {0, kLeaseNs};
         nanosleep(&lease, nullptr);
         return rc_progress(t->honest_);
       }},
      {"revoke", RC_LEASE_NONE, [&](DirectGrants*) { return rc_grant_revoke(grant); }},
      {"close", RC_LEASE_NONE, [](DirectGrants* t) { return rc_channel_close(t->honest_); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    uint8_t* at = bytes_of(mine_);
    ASSERT_EQ(RC_OK, rc_mr_grant(honest_, mine_, 0, kBytes, kAll | RC_MR_DIRECT, c.lease_ns, &grant)) << rc_reason();
    Keeper keeper(link_->hand_fd);
    ASSERT_EQ('m', keeper.answer());
    EXPECT_TRUE(all(at, kUntouched));
    ASSERT_EQ('k', keeper.fill(0x66));
    EXPECT_TRUE(all(at, 0x66)) << "it did not reach what it was granted";
    ASSERT_EQ(RC_OK, c.end(this)) << rc_reason();
    EXPECT_TRUE(all(at, 0x66));
    ASSERT_EQ('k', keeper.fill(0x77));
    EXPECT_TRUE(all(at, 0x66)) << "the memory was reached after the end of the grant";
    memset(at, kUntouched, kBytes);
    ASSERT_EQ('k', keeper.fill(0x78));
    EXPECT_TRUE(all(at, kUntouched));
    if (HasFailure()) return;
    rc::take_handed(link_->hand_fd);
  }
  EXPECT_EQ(RC_OK, rc_mr_free(mine_)) << rc_reason();
}

// Its lease ends before the owner takes it.
TEST_F(DirectGrants, WhatWasGivenBackIsHeldUntilItIsTakenOrTheChannelCloses) {
  constexpr int64_t kLeaseNs = 500 * 1000 * 1000;
  const timespec lease = {0, kLeaseNs};
  for (bool taken : {true, false}) {
    rc_grant grant{0};
    rc_remote remote{0};
    ASSERT_EQ(RC_OK, rc_mr_grant(honest_, mine_, 0, kBytes, kAll | RC_MR_DIRECT, kLeaseNs, &grant)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_remote_get(peer_, kPatience, &remote)) << rc_reason();
    std::atomic<int32_t> given{RC_E_WOULD_BLOCK};
    std::thread giving([&] { given = rc_remote_give_back(remote, kPatience); });
    while (given == RC_E_WOULD_BLOCK) rc_progress(honest_);
    giving.join();
    ASSERT_EQ(RC_OK, given);
    nanosleep(&lease, nullptr);
    EXPECT_EQ(RC_OK, rc_progress(honest_));
    EXPECT_EQ(1u, about(mine_).grants);
    if (taken) {
      rc_mr back{0};
      EXPECT_EQ(RC_OK, rc_mr_take_back(honest_, 0, &back)) << rc_reason();
      EXPECT_EQ(mine_.id, back.id);
    } else {
      EXPECT_EQ(RC_OK, rc_channel_close(honest_)) << rc_reason();
    }
    EXPECT_EQ(0u, about(mine_).grants);
  }
  EXPECT_EQ(RC_OK, rc_mr_free(mine_)) << rc_reason();
}

TEST_F(DirectGrants, LosesNoByteOfMemoryThatIsLocked) {
  uint8_t* at = bytes_of(mine_);
  for (int when : {MCL_FUTURE, MCL_CURRENT}) {
    rc_grant grant{0};
    if (when == MCL_FUTURE) {
      ASSERT_EQ(0, mlockall(when));
    }
    ASSERT_EQ(RC_OK, rc_mr_grant(honest_, mine_, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant)) << rc_reason();
    if (when == MCL_CURRENT && mlockall(when) != 0) GTEST_SKIP() << "so much may not be locked (ulimit -l)";
    memset(at, when, kBytes);
    EXPECT_EQ(RC_OK, rc_grant_revoke(grant)) << rc_reason();
    EXPECT_TRUE(all(at, static_cast<uint8_t>(when)));
    munlockall();
  }
}

TEST_F(DirectGrants, WhatMayBeReadCannotBeWritten) {
  rc_grant grant{0};
  ASSERT_EQ(RC_OK, rc_mr_grant(honest_, mine_, 0, kBytes, RC_MR_READ | RC_MR_DIRECT, RC_LEASE_NONE, &grant));
  Keeper keeper(link_->hand_fd);
  EXPECT_EQ('e', keeper.answer());
  EXPECT_TRUE(all(bytes_of(mine_), kUntouched));
  EXPECT_EQ(RC_OK, rc_grant_revoke(grant));
}

// The end of the last page belongs to nobody.
TEST_F(DirectGrants, TheRestOfTheLastPageIsEmpty) {
  rc_mr odd{0};
  rc_grant grant{0};
  ASSERT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, 4096, RC_MR_UNINITIALISED, &odd));
  memset(bytes_of(odd), 0x55, 4096);  // somebody else's, once
  ASSERT_EQ(RC_OK, rc_mr_free(odd));
  ASSERT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, 100, 0, &odd));
  EXPECT_EQ(0x55, bytes_of(odd)[100]);
  ASSERT_EQ(RC_OK, rc_mr_grant(honest_, odd, 0, 100, RC_MR_READ | RC_MR_DIRECT, RC_LEASE_NONE, &grant));
  uint64_t key = 0;
  int fd = -1;
  ASSERT_EQ(rc::kOk, rc::look_at_handed(link_->hand_fd, &key, &fd));
  uint8_t page[4096];
  ASSERT_EQ(4096, pread(fd, page, sizeof page, 0));
  for (int i = 0; i < 4096; ++i) ASSERT_EQ(0, page[i]) << i;
  close(fd);
  EXPECT_EQ(RC_OK, rc_grant_revoke(grant));
}

TEST_F(DirectGrants, DescriptorsThatNobodyTakesAreALimitNotALeak) {
  int before = open_descriptors(), given = 0;
  auto come_and_go = [&] {
    rc_grant grant{0};
    int32_t code = rc_mr_grant(honest_, mine_, 0, kBytes, RC_MR_READ | RC_MR_DIRECT, RC_LEASE_NONE, &grant);
    if (code == RC_OK) {
      EXPECT_EQ(RC_OK, rc_grant_revoke(grant)) << rc_reason();
    }
    rc_progress(peer_);  // sees them come and go, and takes none
    return code;
  };
  for (int round = 0; round < 3; ++round) {
    int32_t code = RC_OK;
    for (given = 0; given < 5000 && (code = come_and_go()) == RC_OK;) ++given;
    EXPECT_EQ(RC_E_POOL, code) << rc_code_name(code) << ": " << rc_reason();
    EXPECT_NE(nullptr, strstr(rc_reason(), "rc_remote_get")) << rc_reason();
    EXPECT_EQ(128, given);
    EXPECT_EQ(RC_E_POOL, come_and_go());
    EXPECT_EQ(before, open_descriptors());
    rc_remote remote{0};
    EXPECT_EQ(RC_E_WOULD_BLOCK, rc_remote_get(peer_, 0, &remote)) << rc_reason();  // which is all that it has to do
  }
  EXPECT_EQ(RC_OK, come_and_go()) << rc_reason();
  EXPECT_TRUE(all(bytes_of(mine_), kUntouched));
  EXPECT_EQ(RC_OK, rc_mr_free(mine_)) << rc_reason();
}

}  // namespace
}  // namespace hostile
