// A peer that grants directly, and sends any descriptor or none, and frames that make no sense.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <functional>
#include <vector>

#include "harness/hostile/direct_grants.h"

namespace hostile {
namespace {

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
    int before = open_descriptors();
    ASSERT_TRUE(c.hand(this)) << strerror(errno);
    announce(c.rights, kBytes);
    rc_remote remote{99};
    EXPECT_EQ(RC_E_CORRUPT, rc_remote_get(honest_, kPatience, &remote));
    EXPECT_STRNE("", rc_reason());
    EXPECT_EQ(0u, remote.id);
    char byte;
    EXPECT_EQ(RC_E_CORRUPT, rc_get(honest_, &byte, 1, 0, nullptr));
    EXPECT_EQ(RC_OK, rc_mr_free(mine_)) << rc_reason();
    EXPECT_EQ(before, open_descriptors());
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
  const Case cases[] = {{"with a lease beyond the longest", kAll, kBytes, RC_LEASE_MAX + 1},
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

}  // namespace
}  // namespace hostile
