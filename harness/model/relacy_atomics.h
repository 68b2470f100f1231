// The atomics policy that lets Relacy, a model checker of the C++ memory model, run core/ring.h and core/doorbell.h as
// they are shipped: every atomic is Relacy's, every ring byte is watched for data races, every load may give any value
// that the memory model allows. A fault weakens exactly one rule; the checker must then find a failure.
//
// Include this file last: Relacy's headers define macros of common names, which are taken back below.
#ifndef HARNESS_MODEL_RELACY_ATOMICS_H_
#define HARNESS_MODEL_RELACY_ATOMICS_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/doorbell.h"
#include "core/ring.h"
#include "core/wire.h"

// clang-format off
#include <relacy/relacy.hpp>
// clang-format on

#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst

namespace rc_model {

enum class Fault {
  kNone,
  // ring.h: one memory order weakened, one fence or one check gone.
  kPublishRelaxed,
  kLookRelaxed,
  kTellCreditRelaxed,
  kTakeCreditRelaxed,
  kNoReleaseFence,
  kNoAcquireFence,
  kNoSecondCheck,
  // The order of a put, the wrap-around, the credit rule.
  kTailBeforePayload,
  kWrapOffByOne,
  kCreditWithheld,
  // doorbell.h and the order around it.
  kNoGetterSleepFence,
  kNoPutterSleepFence,
  kNoFenceAfterPublish,
  kNoFenceAfterCredit,
  kNoLastLook,
  kRingBeforePublish,
  kDrainAfterLook,
};

// Which word of an inbox it is, so that a fault can pick one.
enum class Role { kOther, kBegin, kTail, kCredit };

struct ModelWord {
  rl::atomic<uint64_t> value;
  Role role = Role::kOther;
};

// An index that only its own end touches: a race there is a failure too.
class ModelOwn {
 public:
  void set(uint64_t n) { value_(RL_INFO) = n; }
  uint64_t get() const { return value_(RL_INFO); }

 private:
  rl::var<uint64_t> value_;
};

inline constexpr size_t kModelRingBytes = 32;

// Touching bytes outside [0, capacity) is a failure, and so is reading a byte that was never written.
struct ModelRing {
  size_t capacity;
  rl::var<uint8_t> bytes[kModelRingBytes];
};

template <Fault F>
struct RelacyAtomics {
  using Own = ModelOwn;
  using Word = ModelWord;
  using Ring = ModelRing*;

  static uint64_t load_relaxed(const Word& w) noexcept {
    uint64_t v = w.value.load(rl::mo_relaxed, RL_INFO);
    if (F == Fault::kNoSecondCheck && w.role == Role::kBegin) {
      if (repeat_begin) v = begin_seen;
      begin_seen = v;
      repeat_begin = false;
    }
    return v;
  }
  static uint64_t load_acquire(const Word& w) noexcept {
    bool weak = (F == Fault::kLookRelaxed && w.role == Role::kTail) ||
                (F == Fault::kTakeCreditRelaxed && w.role == Role::kCredit);
    return w.value.load(weak ? rl::mo_relaxed : rl::mo_acquire, RL_INFO);
  }
  static void store_relaxed(Word& w, uint64_t v) noexcept { w.value.store(v, rl::mo_relaxed, RL_INFO); }
  static void store_release(Word& w, uint64_t v) noexcept {
    bool weak = (F == Fault::kPublishRelaxed && w.role == Role::kTail) ||
                (F == Fault::kTellCreditRelaxed && w.role == Role::kCredit);
    w.value.store(v, weak ? rl::mo_relaxed : rl::mo_release, RL_INFO);
  }

  static void fence_acquire() noexcept {
    if (F != Fault::kNoAcquireFence) rl::atomic_thread_fence(rl::mo_acquire, RL_INFO);
    repeat_begin = true;  // what is loaded next is copy_newest's second look at `begin`
  }
  static void fence_release() noexcept {
    if (F != Fault::kNoReleaseFence) rl::atomic_thread_fence(rl::mo_release, RL_INFO);
  }
  static void fence_full() noexcept { rl::atomic_thread_fence(rl::mo_seq_cst, RL_INFO); }

  static void ring_write(Ring ring, size_t at, const void* from, size_t n) noexcept {
    RL_ASSERT(at <= ring->capacity && n <= ring->capacity - at);
    for (size_t i = 0; i < n; ++i) ring->bytes[at + i](RL_INFO) = static_cast<const uint8_t*>(from)[i];
  }
  static void ring_read(Ring ring, size_t at, void* to, size_t n) noexcept {
    RL_ASSERT(at <= ring->capacity && n <= ring->capacity - at);
    for (size_t i = 0; i < n; ++i) static_cast<uint8_t*>(to)[i] = ring->bytes[at + i](RL_INFO);
  }
  static void ring_write_small(Ring ring, size_t at, const void* from, size_t n) noexcept {
    RL_ASSERT(n <= rc::kSmallBytes);
    ring_write(ring, at, from, n);
  }
  static void ring_read_small(Ring ring, size_t at, void* to, size_t n) noexcept {
    RL_ASSERT(n <= rc::kSmallBytes);
    ring_read(ring, at, to, n);
  }
  static void ring_want(Ring ring, size_t at) noexcept { RL_ASSERT(at < ring->capacity); }
  static void ring_own(Ring ring, size_t at) noexcept { RL_ASSERT(at < ring->capacity); }

  // For kNoSecondCheck: the reader's last look at `begin`, given again instead of a new one. Reset before each
  // schedule.
  inline static uint64_t begin_seen = 0;
  inline static bool repeat_begin = false;
};

using ModelTailLine = rc::TailLineOf<ModelWord>;

// What the two ends of one direction share: the receiver's inbox, and the credit and arm counts that flow back.
struct ModelInbox {
  ModelTailLine line;
  ModelWord credit;
  ModelWord getter;  // arm counts
  ModelWord putter;
  ModelRing ring;

  ModelInbox() {
    line.begin.role = Role::kBegin;
    line.tail.role = Role::kTail;
    credit.role = Role::kCredit;
  }

  // As a fresh mapping is, except that indices may start anywhere. Arm counts begin at `arms`.
  void start_at(size_t capacity, uint64_t start, uint64_t arms = 0) {
    line.begin.value.store(0, rl::mo_relaxed, RL_INFO);
    line.tail.value.store(start, rl::mo_relaxed, RL_INFO);
    for (ModelWord& word : line.words) word.value.store(0, rl::mo_relaxed, RL_INFO);
    credit.value.store(start, rl::mo_relaxed, RL_INFO);
    getter.value.store(arms, rl::mo_relaxed, RL_INFO);
    putter.value.store(arms, rl::mo_relaxed, RL_INFO);
    ring.capacity = capacity;
  }
};

// The byte at a position of the stream. Neighbours differ, and so do bytes one or two small rings apart.
inline uint8_t stream_byte(uint64_t position) { return static_cast<uint8_t>(position * 37 + (position >> 3) + 11); }

inline void fill_stream(uint8_t* to, size_t n, uint64_t position) {
  for (size_t i = 0; i < n; ++i) to[i] = stream_byte(position + i);
}

inline bool is_stream(const uint8_t* bytes, size_t n, uint64_t position) {
  for (size_t i = 0; i < n; ++i) {
    if (bytes[i] != stream_byte(position + i)) return false;
  }
  return true;
}

}  // namespace rc_model

#endif  // HARNESS_MODEL_RELACY_ATOMICS_H_
