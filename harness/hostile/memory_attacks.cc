// An established peer that writes wrong things into the memory it may write, and tries to write where it may not.
#include <errno.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "harness/hostile/honest.h"

namespace hostile {
namespace {

class HostileMemory : public Duel {
 protected:
  std::atomic<uint64_t>& tail() { return raw_.outbox->line.tail; }
  std::atomic<uint64_t>& credit() { return raw_.outbox->credit; }
  // Gets and puts one byte, so that both indices are above 0.
  void warm_up() { expect_exact(honest_, raw_); }
  void expect_corrupt_get() {
    char byte;
    EXPECT_RC(RC_E_CORRUPT, IN_TIME(rc_get(honest_, &byte, 1, kShort, nullptr)));
    tail().store(raw_.written);  // repentance does not help
    expect_over(RC_E_CORRUPT);
  }
  void expect_corrupt_put() {
    char bytes[kRing + 1] = {};
    EXPECT_RC(RC_E_CORRUPT, IN_TIME(rc_put(honest_, bytes, sizeof bytes, kShort, nullptr)));
    credit().store(raw_.read);
    expect_over(RC_E_CORRUPT);
  }
};

INSTANTIATE_DUEL(HostileMemory);

TEST_P(HostileMemory, TailOneBeyondTheRing) {
  warm_up();
  tail().store(raw_.written + kRing + 1);
  expect_corrupt_get();
}

TEST_P(HostileMemory, TailFarBeyondTheRing) {
  for (uint64_t far : {uint64_t{1} << 32, uint64_t{1} << 63, ~uint64_t{0} - 1000}) {
    warm_up();
    tail().store(raw_.written + far);
    expect_corrupt_get();
    meet_again();
  }
}

TEST_P(HostileMemory, TailAtTheHighestNumber) {
  tail().store(~uint64_t{0});
  expect_corrupt_get();
}

TEST_P(HostileMemory, TailBackwards) {
  warm_up();
  tail().store(raw_.written - 1);
  expect_corrupt_get();
}

// Not behind what was read, but behind what was there at the last look.
TEST_P(HostileMemory, TailTakesBytesBack) {
  warm_up();
  char bytes[64] = {};
  raw_.put(bytes, 64);
  EXPECT_RC(RC_OK, rc_get(honest_, bytes, 16, kPatience, nullptr));
  tail().store(raw_.written - 8);
  EXPECT_RC(RC_E_CORRUPT, IN_TIME(rc_get(honest_, bytes, 64, kShort, nullptr)));
  tail().store(raw_.written);
  expect_over(RC_E_CORRUPT);
}

TEST_P(HostileMemory, TailBeyondTheRingUnderAPeek) {
  warm_up();
  raw_.put("0123456789", 10);
  rc_const_span view[2];
  EXPECT_RC(RC_OK, rc_peek(honest_, 10, kPatience, view));
  tail().store(raw_.written + kRing);
  EXPECT_RC(RC_E_CORRUPT, IN_TIME(rc_peek(honest_, 1, kShort, view)));
  EXPECT_EQ(view[0].bytes + view[1].bytes, 0u);
  EXPECT_RC(RC_E_CORRUPT, rc_ready(honest_, &view[0].bytes, nullptr));
  rc_release(honest_, 0);
  expect_over(RC_E_CORRUPT);
}

TEST_P(HostileMemory, CreditBeyondWhatWasSent) {
  warm_up();
  credit().store(raw_.read + 1);
  size_t writable;
  EXPECT_RC(RC_E_CORRUPT, rc_ready(honest_, nullptr, &writable));
  credit().store(raw_.read);
  expect_over(RC_E_CORRUPT);
}

TEST_P(HostileMemory, CreditFarBeyondWhatWasSent) {
  for (uint64_t far : {uint64_t{kRing}, uint64_t{1} << 32, uint64_t{1} << 63, ~uint64_t{0} - 1000}) {
    warm_up();
    credit().store(raw_.read + far);
    expect_corrupt_put();
    meet_again();
  }
}

TEST_P(HostileMemory, CreditBackwards) {
  warm_up();
  size_t writable = 0;
  EXPECT_RC(RC_OK, rc_ready(honest_, nullptr, &writable));  // has seen the credit
  credit().store(raw_.read - 1);
  expect_corrupt_put();
}

TEST_P(HostileMemory, CreditForWhatIsOnlyReserved) {
  rc_span spans[2];
  ASSERT_RC(RC_OK, rc_reserve(honest_, 100, kPatience, spans));
  credit().store(100);
  EXPECT_RC(RC_E_CORRUPT, rc_ready(honest_, nullptr, &spans[0].bytes));
  rc_commit(honest_, 0);
  credit().store(0);
  expect_over(RC_E_CORRUPT);
}

// The error is for both sides, also for small puts and gets that need not look at anything.
TEST_P(HostileMemory, SmallPutsAndGetsEndToo) {
  uint64_t word = 0;
  for (bool by_getter : {true, false}) {
    SCOPED_TRACE(by_getter ? "the getter noticed" : "the putter noticed");
    char bytes[64] = {};
    raw_.put(bytes, sizeof bytes);
    for (int i = 0; i < 4; ++i) {
      ASSERT_RC(RC_OK, rc_put(honest_, &word, sizeof word, kPatience, nullptr));
      ASSERT_RC(RC_OK, rc_get(honest_, &word, sizeof word, kPatience, nullptr));
    }
    size_t n;
    if (by_getter) {
      tail().store(raw_.written - 1);
      EXPECT_RC(RC_E_CORRUPT, rc_ready(honest_, &n, nullptr));
    } else {
      credit().store(1000);
      EXPECT_RC(RC_E_CORRUPT, rc_ready(honest_, nullptr, &n));
    }
    for (int i = 0; i < 8; ++i) {
      EXPECT_RC(RC_E_CORRUPT, rc_put(honest_, &word, sizeof word, kShort, nullptr));
      EXPECT_RC(RC_E_CORRUPT, rc_get(honest_, &word, sizeof word, kShort, nullptr));
    }
    meet_again();
  }
}

TEST_P(HostileMemory, TailAndCreditRandomEveryMicrosecond) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 seeds(seed);
  for (int round = 0; round < 20; ++round) {
    std::atomic<bool> stop{false};
    std::thread scribbler([&, random = std::mt19937_64(seeds())]() mutable {
      while (!stop.load()) {
        // Near the truth, so that much of it passes for progress.
        tail().store(raw_.inbox->credit.load() + random() % (kRing + 2 + (random() % 64 == 0)));
        credit().store(raw_.inbox->line.tail.load() - random() % 3);
        auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(1);
        while (std::chrono::steady_clock::now() < until) continue;
      }
    });
    std::vector<char> bytes(2 * kRing);
    for (int i = 0; i < 50; ++i) {
      size_t n = seeds() % bytes.size(), done = 0;
      IN_TIME(rc_put(honest_, bytes.data(), n, kMs, &done));
      EXPECT_LE(done, n);
      n = seeds() % bytes.size();
      IN_TIME(rc_get(honest_, bytes.data(), n, kMs, &done));
      EXPECT_LE(done, n);
      IN_TIME(rc_get_some(honest_, bytes.data(), n, kMs, &done));
      EXPECT_LE(done, n);
    }
    stop = true;
    scribbler.join();
    meet_again();
  }
}

// The short cut in the tail line contradicts the ring: payload may be either, never more.
TEST_P(HostileMemory, TailLineThatLies) {
  std::atomic<bool> stop{false};
  std::thread scribbler([&] {
    std::mt19937_64 random(7);
    while (!stop.load()) {
      uint64_t tail_now = tail().load(), n = random() % 64;
      raw_.outbox->line.begin.store(tail_now ^ (n << 56));
      for (auto& word : raw_.outbox->line.words) word.store(0x4141414141414141);
    }
  });
  struct {
    char before[64], bytes[64], after[64];
  } guarded;
  memset(&guarded, 'g', sizeof guarded);
  for (size_t i = 0; i < 2000; ++i) {
    char sent[64];
    size_t n = 1 + i % sizeof sent, done = 0;
    memset(sent, 'r', n);
    raw_.put(sent, n);
    ASSERT_RC(RC_OK, rc_get(honest_, guarded.bytes, n, kPatience, &done));
    ASSERT_EQ(done, n);
    for (size_t at = 0; at < n; ++at)
      ASSERT_TRUE(guarded.bytes[at] == 'r' || guarded.bytes[at] == 'A') << guarded.bytes[at];
  }
  stop = true;
  scribbler.join();
  EXPECT_EQ(std::string(guarded.before, 64) + std::string(guarded.after, 64), std::string(128, 'g'));
}

TEST_P(HostileMemory, LastWordTakenBack) {
  raw_.outbox->getter.fetch_or(rc::kClosedBit);
  char byte;
  EXPECT_RC(RC_E_CLOSED, IN_TIME(rc_get(honest_, &byte, 1, kShort, nullptr)));
  raw_.outbox->getter.fetch_and(~rc::kClosedBit);
  expect_over(RC_E_CLOSED);
}

TEST_P(HostileMemory, LastWordFlickers) {
  std::atomic<bool> stop{false};
  std::thread scribbler([&] {
    while (!stop.load()) raw_.outbox->getter.fetch_xor(rc::kClosedBit);
  });
  char bytes[100] = {};
  int32_t code = RC_OK;
  for (int i = 0; i < 1000 && code != RC_E_CLOSED; ++i) {
    code = IN_TIME(rc_put(honest_, bytes, sizeof bytes, kMs, nullptr));
    EXPECT_TRUE(code == RC_OK || code == RC_E_TIMEOUT || code == RC_E_CLOSED) << rc_code_name(code);
  }
  stop = true;
  scribbler.join();
  if (code == RC_E_CLOSED) expect_over(RC_E_CLOSED);
}

// The peer looks into its view while it is changed: the view's place and length stand still.
TEST_P(HostileMemory, ViewChangesUnderneath) {
  char bytes[1000] = {};
  raw_.put(bytes, sizeof bytes);
  rc_const_span view[2];
  ASSERT_RC(RC_OK, rc_peek(honest_, sizeof bytes, kPatience, view));
  std::atomic<bool> stop{false};
  std::thread scribbler([&] {
    for (uint8_t value = 0; !stop.load(); ++value) {
      for (size_t i = 0; i < kRing; ++i) __atomic_store_n(raw_.ring() + i, value, __ATOMIC_RELAXED);
    }
  });
  for (int i = 0; i < 1000; ++i) {
    std::vector<char> copy(sizeof bytes);
    size_t at = 0;
    for (rc_const_span& span : view) {
      if (span.bytes != 0) memcpy(copy.data() + at, span.data, span.bytes);
      at += span.bytes;
    }
    ASSERT_EQ(at, sizeof bytes);
  }
  EXPECT_RC(RC_OK, rc_release(honest_, sizeof bytes));
  stop = true;
  scribbler.join();
  raw_.written = raw_.outbox->line.tail.load();
  expect_exact(honest_, raw_);
}

// What the peer was given to read: whatever it tries, nothing of it can be taken away or written.
TEST_P(HostileMemory, HonestMemoryCannotBeTamperedWith) {
  const size_t bytes = file_bytes(kRing);
  std::string path = "/proc/self/fd/" + std::to_string(raw_.file.get());
  Fd again(open(path.c_str(), O_RDWR | O_CLOEXEC));
  Fd own = make_file({bytes, 0});
  Fd source(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  auto pipe = socket_pair(SOCK_STREAM);
  for (const Fd* fd : {const_cast<const Fd*>(&raw_.file), const_cast<const Fd*>(&again)}) {
    if (!fd->ok()) continue;  // it may be impossible to open it once more
    int f = fd->get();
    auto size = static_cast<off_t>(bytes);
    EXPECT_NE(ftruncate(f, 0), 0);
    EXPECT_NE(ftruncate(f, size - 1), 0);
    EXPECT_NE(ftruncate(f, size + 4096), 0);
    for (int mode : {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE}) {
      EXPECT_NE(fallocate(f, mode, 0, 4096), 0) << "mode " << mode;
    }
    EXPECT_NE(fallocate(f, 0, size, 4096), 0);
    EXPECT_LT(write(f, "x", 1), 0);
    EXPECT_LT(pwrite(f, "x", 1, 600), 0);
    EXPECT_LE(sendfile(f, own.get(), nullptr, 100), 0);
    off_t from = 0, to = 600;
    EXPECT_LE(copy_file_range(own.get(), &from, f, &to, 100, 0), 0);
    EXPECT_EQ(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0), MAP_FAILED);
    EXPECT_EQ(mmap(nullptr, bytes, PROT_WRITE, MAP_SHARED, f, 0), MAP_FAILED);
    EXPECT_NE(fcntl(f, F_ADD_SEALS, F_SEAL_WRITE), 0);
    EXPECT_NE(fcntl(f, F_ADD_SEALS, 0), 0);
    void* view = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, f, 0);
    ASSERT_NE(view, MAP_FAILED);
    EXPECT_NE(mprotect(view, bytes, PROT_READ | PROT_WRITE), 0);
    EXPECT_NE(madvise(view, bytes, MADV_REMOVE), 0);
    madvise(view, bytes, MADV_DONTNEED);
    EXPECT_EQ(munmap(view, bytes), 0);
    // A private copy is the peer's own affair.
    void* mine = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0);
    ASSERT_NE(mine, MAP_FAILED);
    memset(mine, 'x', bytes);
    EXPECT_EQ(munmap(mine, bytes), 0);
  }
  // Nor can it take back the memory that it gave.
  void* given = raw_.outbox;
  EXPECT_NE(madvise(given, bytes, MADV_REMOVE), 0);
  expect_exact(honest_, raw_);
  struct stat st;
  EXPECT_EQ(fstat(raw_.file.get(), &st), 0);
  EXPECT_EQ(static_cast<size_t>(st.st_size), bytes);
}

// The honest end's memory holds nothing but the stream: no pointer, no byte of somebody else's.
TEST_P(HostileMemory, HonestMemoryTellsNothing) {
  auto* bytes = reinterpret_cast<const uint8_t*>(raw_.inbox);
  for (size_t i = 0; i < file_bytes(kRing); ++i) ASSERT_EQ(bytes[i], 0) << "byte " << i;
}

}  // namespace
}  // namespace hostile
