// What a peer may do with direct grants: as one that is granted memory, keep what it has mapped; as one that grants,
// send any descriptor or none. The attacker is an honest end of an shm channel until the test takes its sockets and
// rings.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "harness/hostile/direct_grants.h"

namespace hostile {
namespace {

int descriptors() {
  int n = 0;
  for (int fd = 0; fd < 1024; ++fd) n += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return n;
}

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

// ------------------------------------------------------------------------------------- who keeps what it was granted

TEST_F(DirectGrants, AMappingThatIsKeptIsNoMoreThanOldPages) {
  using End = std::function<int32_t(DirectGrants*)>;
  struct Case {
    const char* what;
    End end;
  };
  rc_grant grant{0};
  const Case cases[] = {
      {"revoke", [&](DirectGrants*) { return rc_grant_revoke(grant); }},
      {"close", [](DirectGrants* t) { return rc_channel_close(t->honest_); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    uint8_t* at = bytes_of(mine_);
    ASSERT_EQ(RC_OK, rc_mr_grant(honest_, mine_, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant)) << rc_reason();
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
  int before = descriptors(), given = 0;
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
    EXPECT_EQ(before, descriptors());
    rc_remote remote{0};
    EXPECT_EQ(RC_E_WOULD_BLOCK, rc_remote_get(peer_, 0, &remote)) << rc_reason();  // which is all that it has to do
  }
  EXPECT_EQ(RC_OK, come_and_go()) << rc_reason();
  EXPECT_TRUE(all(bytes_of(mine_), kUntouched));
  EXPECT_EQ(RC_OK, rc_mr_free(mine_)) << rc_reason();
}

// ------------------------------------------------------------------------------------------ who grants what it has not

TEST_F(DirectGrants, DescriptorsThatWillNotDo) {
  struct Case {
    const char* what;
    uint32_t rights;
    std::function<bool(DirectGrants*)> hand;
  };
  auto file = [](FileKind kind, uint64_t key = kKey) {
    return [kind, key](DirectGrants* t) {
      Fd fd = make_file(kind);
      return fd.ok() && t->hand({fd.get()}, key);
    };
  };
  auto good = [](uint64_t bytes) {
    FileKind kind = {bytes, kSizeSeals};
    return kind;
  };
  FileKind unsealed = good(kBytes), sparse = good(kBytes), no_grow = good(kBytes), no_seal = good(kBytes),
           for_reading = good(kBytes);
  unsealed.seals = 0;
  sparse.reserved = false;
  no_grow.seals = F_SEAL_SHRINK | F_SEAL_SEAL;
  no_seal.seals = F_SEAL_SHRINK | F_SEAL_GROW;
  for_reading.seals = kSizeSeals | kFutureWrite;
  const Case cases[] = {
      {"none", kAll, [](DirectGrants*) { return true; }},
      {"a packet without one", kAll, [](DirectGrants* t) { return t->hand({}); }},
      {"half a packet", kAll,
       [](DirectGrants* t) {
         Fd fd = make_file({kBytes, kSizeSeals});
         return t->hand({fd.get()}, kKey, 4);
       }},
      {"two", kAll,
       [](DirectGrants* t) {
         Fd fd = make_file({kBytes, kSizeSeals});
         return t->hand({fd.get(), fd.get()});
       }},
      {"a hundred", kAll,
       [](DirectGrants* t) {
         Fd fd = make_file({kBytes, kSizeSeals});
         return t->hand(std::vector<int>(100, fd.get()));
       }},
      {"another grant's", kAll, file(good(kBytes), kKey + 1)},
      {"many other grants'", kAll,
       [](DirectGrants* t) {
         Fd fd = make_file({kBytes, kSizeSeals});
         for (uint64_t i = 1; i <= 50; ++i) {
           if (!t->hand({fd.get()}, kKey + i)) return false;
         }
         return true;
       }},
      {"too small", kAll, file(good(4096))},
      {"too large", kAll, file(good(3 * 4096))},
      {"empty", kAll, file(good(0))},
      {"without seals", kAll, file(unsealed)},
      {"one that may grow", kAll, file(no_grow)},
      {"one that may lose no seal but get one", kAll, file(no_seal)},
      {"without pages", kAll, file(sparse)},
      {"one that cannot be written", kAll, file(for_reading)},
      {"one for reading that could be written", RC_MR_READ, file(good(kBytes))},
      {"a pipe", kAll,
       [](DirectGrants* t) {
         int ends[2];
         if (pipe2(ends, O_CLOEXEC) != 0) return false;
         Fd first(ends[0]), second(ends[1]);
         return t->hand({first.get()});
       }},
      {"a device", RC_MR_READ,
       [](DirectGrants* t) {
         Fd fd(open("/dev/zero", O_RDWR | O_CLOEXEC));
         return t->hand({fd.get()});
       }},
      {"a file", RC_MR_READ,
       [](DirectGrants* t) {
         Fd fd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
         return t->hand({fd.get()});
       }},
      {"a socket", RC_MR_READ,
       [](DirectGrants* t) {
         auto pair = socket_pair();
         return t->hand({pair.first.get()});
       }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    int before = descriptors();
    ASSERT_TRUE(c.hand(this)) << strerror(errno);
    announce(c.rights, kBytes);
    rc_remote remote{99};
    EXPECT_EQ(RC_E_CORRUPT, rc_remote_get(honest_, kPatience, &remote));
    EXPECT_STRNE("", rc_reason());
    EXPECT_EQ(0u, remote.id);
    char byte;
    EXPECT_EQ(RC_E_CORRUPT, rc_get(honest_, &byte, 1, 0, nullptr));
    EXPECT_EQ(RC_OK, rc_mr_free(mine_)) << rc_reason();
    EXPECT_EQ(before, descriptors());
    if (HasFailure()) return;
    TearDown();
    SetUp();
  }
}

TEST_F(DirectGrants, FramesThatMakeNoSense) {
  struct Case {
    const char* what;
    uint32_t rights;
    uint64_t bytes, lease;
  };
  const Case cases[] = {{"with a lease", kAll, kBytes, 1000},
                        {"of more than there can be", kAll, UINT64_MAX, 0},
                        {"of a size that rounds to nothing", kAll, UINT64_MAX - 100, 0},
                        {"without rights", 0, kBytes, 0},
                        {"for writing what cannot be read", RC_MR_WRITE, kBytes, 0},
                        {"for atomics on pages that are mapped for reading", RC_MR_ATOMIC, kBytes, 0},
                        {"the same, and reading", RC_MR_READ | RC_MR_ATOMIC, kBytes, 0},
                        {"for writing without atomics", RC_MR_READ | RC_MR_WRITE, kBytes, 0}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    Fd fd = make_file({kBytes, kSizeSeals});
    ASSERT_TRUE(hand({fd.get()}));
    announce(c.rights, c.bytes, c.lease);
    rc_remote remote{0};
    EXPECT_EQ(RC_E_CORRUPT, rc_remote_get(honest_, kPatience, &remote));
    TearDown();
    SetUp();
  }
}

// An owner that shrinks the file, and one that takes the pages away: nothing of that ends this process.
TEST_F(DirectGrants, AnOwnerCannotTakeTheGroundAway) {
  rc_remote remote{0};
  rc_request request{0};
  Fd fd = make_file({kBytes, kSizeSeals});
  ASSERT_TRUE(hand({fd.get()}));
  announce(kAll, kBytes);
  ASSERT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_write(mine_, 0, remote, 0, kBytes, &request));
  ASSERT_EQ(RC_OK, rc_request_test(request, nullptr));
  EXPECT_NE(0, ftruncate(fd.get(), 0));
  EXPECT_NE(0, ftruncate(fd.get(), 4096));
  EXPECT_EQ(0, fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kBytes));
  ASSERT_EQ(RC_OK, rc_read(mine_, 0, remote, 0, kBytes, &request));
  ASSERT_EQ(RC_OK, rc_request_test(request, nullptr));
  EXPECT_TRUE(all(bytes_of(mine_), 0));
  ASSERT_EQ(RC_OK, rc_fetch_add(remote, 8, 5, &request));
  EXPECT_EQ(RC_OK, rc_request_test(request, nullptr));
  EXPECT_EQ(RC_OK, rc_remote_release(remote));
}

// It is no use to somebody who has not got it, and not ours to lose: out of descriptors, it comes later.
TEST_F(DirectGrants, WithoutADescriptorItIsTakenLater) {
  rc_mr theirs{0};
  rc_grant grant{0};
  ASSERT_EQ(RC_OK, rc_mr_alloc(peer_ctx_, kBytes, 0, &theirs));
  ASSERT_EQ(RC_OK, rc_mr_grant(peer_, theirs, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant)) << rc_reason();
  rlimit before = {}, few = {};
  ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &before));
  few = {256, before.rlim_max};
  ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
  std::vector<Fd> taken;
  for (;;) {
    Fd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd.ok()) break;
    taken.push_back(std::move(fd));
  }
  rc_remote remote{0};
  EXPECT_EQ(RC_E_NO_DESCRIPTORS, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
  taken.clear();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
  rc_request request{0};
  EXPECT_EQ(RC_OK, rc_write(mine_, 0, remote, 0, 8, &request));
  EXPECT_EQ(RC_OK, rc_request_test(request, nullptr));
  EXPECT_EQ(kUntouched, bytes_of(theirs)[7]);
}

// What cannot be mapped is not in the way of others for ever: its handle comes with the error, and can be released.
TEST_F(DirectGrants, WhatCannotBeMappedCanBeRefused) {
  rc_mr theirs[2];
  rc_grant grants[2];
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(RC_OK, rc_mr_alloc(peer_ctx_, kBytes, 0, &theirs[i]));
    bytes_of(theirs[i])[0] = static_cast<uint8_t>(i + 1);
    ASSERT_EQ(RC_OK, rc_mr_grant(peer_, theirs[i], 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grants[i]))
        << rc_reason();
  }
  rlimit before = {}, none = {};
  ASSERT_EQ(0, getrlimit(RLIMIT_AS, &before));
  none = {4096, before.rlim_max};
  rc_remote refused{0}, again{0}, remote{0};
  ASSERT_EQ(0, setrlimit(RLIMIT_AS, &none));
  int32_t first = rc_remote_get(honest_, kPatience, &refused), second = rc_remote_get(honest_, 0, &again);
  setrlimit(RLIMIT_AS, &before);
  EXPECT_EQ(RC_E_NO_MEMORY, first) << rc_reason();
  EXPECT_EQ(RC_E_NO_MEMORY, second) << rc_reason();
  EXPECT_NE(0u, refused.id);
  EXPECT_EQ(refused.id, again.id) << "it may be tried again";
  ASSERT_EQ(RC_OK, rc_remote_release(refused)) << rc_reason();
  EXPECT_EQ(RC_E_HANDLE, rc_remote_release(refused));
  uint8_t token[RC_TOKEN_BYTES];
  rc_request request{0};
  ASSERT_EQ(RC_OK, rc_grant_token(grants[0], token)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_remote_open(honest_, token, &remote)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_read(mine_, 0, remote, 0, 8, &request)) << rc_reason();
  rc_progress(peer_);
  EXPECT_EQ(RC_E_REVOKED, rc_request_wait(request, kPatience, nullptr)) << "the owner knows, too";
  ASSERT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_read(mine_, 0, remote, 0, 8, &request)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_request_test(request, nullptr)) << rc_reason();
  EXPECT_EQ(2, bytes_of(mine_)[0]);
  for (rc_grant grant : grants) EXPECT_EQ(RC_OK, rc_grant_revoke(grant)) << rc_reason();
}

// In pieces, between which the lock is free: all of it, and nothing that is revoked meanwhile.
TEST_F(DirectGrants, LargerThanAPiece) {
  constexpr uint64_t kLarge = (9 << 20) + 5;
  rc_mr theirs{0}, local{0};
  rc_grant grant{0};
  rc_remote remote{0};
  rc_request request{0};
  ASSERT_EQ(RC_OK, rc_mr_alloc(peer_ctx_, kLarge, 0, &theirs));
  ASSERT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, kLarge, 0, &local));
  ASSERT_EQ(RC_OK, rc_mr_grant(peer_, theirs, 0, kLarge, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
  uint8_t* at = bytes_of(local);
  for (uint64_t i = 0; i < kLarge; ++i) at[i] = static_cast<uint8_t>(i * 7 + i / 256);
  ASSERT_EQ(RC_OK, rc_write(local, 0, remote, 0, kLarge, &request));
  ASSERT_EQ(RC_OK, rc_request_test(request, nullptr));
  EXPECT_EQ(0, memcmp(at, bytes_of(theirs), kLarge));
  memset(at, 0, kLarge);
  ASSERT_EQ(RC_OK, rc_read(local, 0, remote, 0, kLarge, &request));
  ASSERT_EQ(RC_OK, rc_request_test(request, nullptr));
  EXPECT_EQ(0, memcmp(at, bytes_of(theirs), kLarge));
  // A thread of the honest end's get side that learns of the revoke in the middle of a write.
  std::atomic<bool> done{false};
  std::thread serving([&] {
    while (!done) rc_progress(honest_);
  });
  std::thread revoking([&] { EXPECT_EQ(RC_OK, rc_grant_revoke(grant)) << rc_reason(); });
  int32_t code = RC_OK;
  while (code == RC_OK) {
    code = rc_write(local, 0, remote, 0, kLarge, &request);
    if (code == RC_OK) code = rc_request_test(request, nullptr);
  }
  revoking.join();
  EXPECT_EQ(RC_E_REVOKED, code) << rc_reason();
  done = true;
  serving.join();
  memset(bytes_of(theirs), kUntouched, kLarge);
  EXPECT_EQ(RC_E_REVOKED, rc_write(local, 0, remote, 0, kLarge, nullptr));
  EXPECT_EQ(kUntouched, bytes_of(theirs)[kLarge - 1]);
  EXPECT_EQ(RC_OK, rc_mr_free(local)) << rc_reason();
}

// The region that was written from last is freed like any other.
TEST_F(DirectGrants, WhatWasLookedUpIsNotInUse) {
  rc_mr theirs{0}, local{0};
  rc_grant grant{0};
  rc_remote remote{0};
  ASSERT_EQ(RC_OK, rc_mr_alloc(peer_ctx_, kBytes, 0, &theirs));
  ASSERT_EQ(RC_OK, rc_mr_grant(peer_, theirs, 0, kBytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant)) << rc_reason();
  ASSERT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, kBytes, 0, &local));
    ASSERT_EQ(RC_OK, rc_write(local, 0, remote, 0, 8, nullptr));
    ASSERT_EQ(RC_OK, rc_write(i % 2 == 0 ? local : mine_, 0, remote, 0, 8, nullptr));
    ASSERT_EQ(RC_OK, rc_mr_free(local)) << rc_reason();
    ASSERT_EQ(RC_E_HANDLE, rc_write(local, 0, remote, 0, 8, nullptr));
  }
  static uint8_t readable[64];
  rc_mr registered{0};
  ASSERT_EQ(RC_OK, rc_mr_reg(honest_ctx_, readable, sizeof readable, RC_MR_READ, &registered));
  EXPECT_EQ(RC_OK, rc_write(registered, 0, remote, 0, 64, nullptr));
  EXPECT_EQ(RC_E_RIGHTS, rc_read(registered, 0, remote, 0, 64, nullptr));
  EXPECT_EQ(RC_E_RANGE, rc_write(registered, 1, remote, 0, 64, nullptr));
  EXPECT_EQ(RC_OK, rc_write(registered, 0, remote, 0, 64, nullptr));
  EXPECT_EQ(RC_OK, rc_mr_free(registered)) << rc_reason();
}

}  // namespace
}  // namespace hostile
