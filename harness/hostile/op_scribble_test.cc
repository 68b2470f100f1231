// The op ring under a scribbler: a process that knows what was granted writes over what the honest end reads of
// operations, frames that nearly make sense and any words, while the honest end operates.
#include <gtest/gtest.h>
#include <string.h>

#include <chrono>
#include <map>
#include <random>
#include <string>

#include "harness/hostile/child.h"
#include "harness/hostile/direct_grants.h"

namespace hostile {
namespace {

constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kBoundNs = 5000 * kMs;  // what no call may take, however loaded the machine
constexpr uint64_t kFrom = 1024, kGranted = 2048;
constexpr int kSeconds = 4;

using Clock = std::chrono::steady_clock;

class Scribbler {
 public:
  Scribbler(rc::Link* link, const rc::RemoteKey& key, uint32_t seed) : link_(link), key_(key), random_(seed) {}

  // Until it is killed. Wild: any words beside frames that nearly make sense.
  int run(bool wild) {
    for (;;) {
      switch (random_() % (wild ? 6 : 4)) {
        case 0:
          out().op_credit.store(in().op_line.tail.load() - random_() % 3 * 64);
          break;
        case 4:
          word_at(random_() % (kOpRing / 8) * 8).store(any());
          break;
        case 5:
          if (random_() % 200 == 0) out().op_line.tail.store(any());
          break;
        default:
          publish_frame();
      }
    }
  }

 private:
  using Word = std::atomic<uint64_t>;
  rc::Inbox& out() { return *link_->outbox; }
  const rc::Inbox& in() { return *link_->inbox; }
  Word& word_at(uint64_t at) { return *reinterpret_cast<Word*>(link_->outbox_op_ring() + at); }
  uint64_t any() { return random_() >> (random_() % 64); }

  void publish_frame() {
    uint64_t tail = out().op_line.tail.load(), read = in().op_credit.load();
    if (tail - read > kOpRing / 2) return;
    rc::OpFrame f = {};
    // Most make sense, so that the channel lives for a while.
    constexpr uint32_t kOften[] = {rc::kOpWrite, rc::kOpRead, rc::kOpSwap, rc::kOpAdd},
                       kSeldom[] = {rc::kOpWriteImm, rc::kOpAlloc,  rc::kOpReturn,  rc::kOpRelease, rc::kOpImm,
                                    rc::kOpGrant,    rc::kOpRevoke, rc::kOpRevoked, rc::kOpData,    rc::kOpDone};
    f.type = random_() % 50 == 0 ? kSeldom[random_() % std::size(kSeldom)] : kOften[random_() % std::size(kOften)];
    f.request = next_request_++ % 64;
    f.key = key_;
    f.offset = random_() % 8 == 0 ? any() : random_() % kGranted / 8 * 8;
    f.value = 8 + random_() % 64;
    if (f.type == rc::kOpGrant) f.key.id = random_() % 64, f.word = kAll, f.compare = any() % rc::kLeaseMaxNs;
    // An answer asked for, or not; more slots than there are, but key 0 and beyond them end the channel.
    if (f.type == rc::kOpRevoke || f.type == rc::kOpRevoked) f.key.id = random_() % 65, f.word = random_() % 2;
    if (f.type == rc::kOpWrite || f.type == rc::kOpWriteImm) f.bytes = static_cast<uint32_t>(f.value);
    if (random_() % 400 == 0) reinterpret_cast<uint8_t*>(&f)[random_() % sizeof f] ^= static_cast<uint8_t>(random_());
    uint64_t bytes = sizeof f + rc::padded(f.bytes % 4096), words[sizeof f / 8];
    memcpy(words, &f, sizeof f);
    for (uint64_t i = 0; i < bytes / 8; ++i)
      word_at((tail + 8 * i) % kOpRing).store(i < std::size(words) ? words[i] : UINT64_C(0x5353535353535353));
    out().op_line.tail.store(tail + bytes);
  }

  rc::Link* link_;
  rc::RemoteKey key_;
  std::mt19937_64 random_;
  uint32_t next_request_ = 0;
};

class OpScribble : public DirectGrants {
 public:
  // One life of a channel under it, and how it ended; RC_OK: not at all.
  int32_t endure(uint32_t seed) {
    std::mt19937 random(seed);
    rc_mr theirs{0}, local{0};
    rc_grant grant{0}, lent{0};
    rc_remote remote{0};
    uint8_t token[RC_TOKEN_BYTES];
    rc::RemoteKey key;
    EXPECT_EQ(RC_OK, rc_mr_alloc(peer_ctx_, kBytes, 0, &theirs));
    EXPECT_EQ(RC_OK, rc_mr_alloc(honest_ctx_, kBytes, 0, &local));
    memset(bytes_of(local), kUntouched, kBytes);
    EXPECT_EQ(RC_OK, rc_mr_grant(peer_, theirs, 0, kBytes, kAll, 0, &lent));
    EXPECT_EQ(RC_OK, rc_remote_get(honest_, kPatience, &remote)) << rc_reason();
    EXPECT_EQ(RC_OK, rc_mr_grant(honest_, mine_, kFrom, kGranted, kAll, 0, &grant));
    EXPECT_EQ(RC_OK, rc_grant_token(grant, token));
    memcpy(&key, token + 8, sizeof key);
    int32_t over = RC_OK;
    {
      Child child([&] { return Scribbler(link_, key, seed).run(seed % 3 == 0); });
      auto end = Clock::now() + std::chrono::milliseconds(10 + random() % 40);
      while (Clock::now() < end && over == RC_OK) over = operate(random, local, remote);
      child.signal(SIGKILL);
    }
    EXPECT_EQ(RC_OK, rc_channel_close(honest_)) << rc_reason();
    landed_ += !untouched(mine_, kFrom, kGranted);
    // What nobody was granted, and what no request reads into.
    EXPECT_TRUE(untouched(mine_, 0, kFrom)) << "seed " << seed;
    EXPECT_TRUE(untouched(mine_, kFrom + kGranted, kBytes - kFrom - kGranted)) << "seed " << seed;
    EXPECT_TRUE(untouched(local, 0, kFrom)) << "seed " << seed;
    EXPECT_TRUE(untouched(local, kFrom + 512, kBytes - kFrom - 512)) << "seed " << seed;
    EXPECT_EQ(RC_OK, rc_mr_free(local)) << rc_reason();
    EXPECT_EQ(RC_OK, rc_mr_free(mine_)) << rc_reason();
    return over;
  }

  uint64_t landed_ = 0, told_ = 0;

 private:
  static bool untouched(rc_mr mr, uint64_t from, uint64_t n) {
    const uint8_t* at = bytes_of(mr) + from;
    for (uint64_t i = 0; i < n; ++i) {
      if (at[i] != kUntouched) return false;
    }
    return true;
  }

  int32_t call(std::mt19937& random, rc_mr local, rc_remote remote) {
    rc_request request{0};
    rc_completion completions[16];
    rc_remote another{0};
    rc_mr back{0};
    uint32_t count = 0, imm = 0;
    uint64_t at = random() % 64 * 8, n = 8 + random() % 500;
    int32_t code = RC_OK;
    switch (random() % 9) {
      case 0:
        code = rc_write(local, kFrom, remote, at, n, &request);
        break;
      case 1:
        code = rc_read(local, kFrom, remote, at, n % 500 + 1, &request);
        break;
      case 2:
        code = rc_write_imm(local, kFrom, remote, at, n, 7, &request);
        break;
      case 3:
        code = rc_fetch_add(remote, at, 1, &request);
        break;
      case 4:
        return rc_imm_get(honest_, kMs, &imm);
      case 5:
        code = rc_remote_get(honest_, kMs, &another);
        return code == RC_OK ? rc_remote_release(another) : code;
      case 6:
        code = rc_mr_take_back(honest_, kMs, &back);
        if (code == RC_OK) mine_ = back;
        return code;
      case 7:
        return rc_progress(honest_);
      default:
        code = rc_completions_get(honest_, completions, 16, kMs, &count);
        told_ += count;
        return code;
    }
    return request.id != 0 ? rc_request_queue(request, at) : code;
  }

  // Else than RC_OK: the channel is over.
  int32_t operate(std::mt19937& random, rc_mr local, rc_remote remote) {
    auto begin = Clock::now();
    int32_t code = call(random, local, remote);
    int64_t took = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
    EXPECT_LT(took, kBoundNs);
    if (code <= -200 && code > -300) {
      EXPECT_TRUE(code == RC_E_CORRUPT || code == RC_E_PEER_DEAD || code == RC_E_CLOSED) << rc_code_name(code);
      return code;
    }
    // What a forged revoke or grant may lead to, and a call that has nothing to do.
    constexpr int32_t kAllowed[] = {RC_OK,        RC_E_WOULD_BLOCK, RC_E_TIMEOUT, RC_E_POOL,
                                    RC_E_REVOKED, RC_E_HANDLE,      RC_E_IN_USE,  RC_E_EXPIRED};
    bool allowed = false;
    for (int32_t each : kAllowed) allowed |= code == each;
    EXPECT_TRUE(allowed) << rc_code_name(code) << ": " << rc_reason();
    return RC_OK;
  }
};

TEST_F(OpScribble, TheHonestEndEnduresIt) {
  const uint32_t first = std::random_device{}();
  std::map<int32_t, uint64_t> ends;
  uint32_t rounds = 0;
  for (auto end = Clock::now() + std::chrono::seconds(kSeconds); Clock::now() < end && !HasFailure(); ++rounds) {
    SCOPED_TRACE("seed " + std::to_string(first + rounds));
    ends[endure(first + rounds)] += 1;
    TearDown();
    SetUp();
  }
  printf("%u rounds, %llu with bytes where they were granted, %llu completions;", rounds,
         static_cast<unsigned long long>(landed_), static_cast<unsigned long long>(told_));
  for (auto& [code, n] : ends) printf(" %s %llu", rc_code_name(code), static_cast<unsigned long long>(n));
  printf("\n");
  EXPECT_GT(ends[RC_E_CORRUPT], 0u);
  EXPECT_GT(landed_, 0u);
  EXPECT_GT(told_, 0u);
}

}  // namespace
}  // namespace hostile
