// The straight path of a small put or get over memory that both ends map: no call, no system call, no branch that is
// taken.
#ifndef CORE_CHANNEL_INLINE_H_
#define CORE_CHANNEL_INLINE_H_

#include "core/channel.h"

namespace rc {

// Larger ones go through the streaming path, which publishes in pieces so that the reader copies while we write.
inline constexpr size_t kStraightBytes = 4096;
// A runway is extended by so much at a time; how far beyond it a stream's lines are owned, and how far an answer's.
inline constexpr size_t kRunwayBytes = 2048;
inline constexpr size_t kStreamAhead = 4096;
inline constexpr size_t kAnswerAhead = 1024;
// From this size on the reader asks for the lines of the next get while it copies this one; below, the processor
// guesses right.
inline constexpr size_t kWantBytes = 512;
inline constexpr size_t kWantAhead = 1024;
// A get looks so often before it settles down to wait: an answer that is on its way finds the shortest path out.
inline constexpr uint32_t kFirstLooks = 256;
// After so many looks in a row that found bytes, with nothing put in between, they are a stream; then the reader pauses
// so long before it looks again.
inline constexpr uint32_t kStreamLooks = 16;
inline constexpr int64_t kStreamPauseNs = 2000;

inline void Channel::ring_getter() noexcept {
  light_fence(full_fence_);  // pairs with the heavy_fence after Sleeper::arm (I7)
  if (__builtin_expect(put_.getter_bell.must_ring(inbox_->getter), 0)) wake(kGetSide);
}

inline void Channel::ring_putter() noexcept {
  light_fence(full_fence_);  // pairs with the heavy_fence after Sleeper::arm (I7)
  if (__builtin_expect(get_.putter_bell.must_ring(inbox_->putter), 0)) wake(kPutSide);
}

// The fences below are compiler fences only: where that is not enough (full_fence_), no side has a runway, and entering
// without one harms nobody who then leaves at once.
template <bool kSmall>
__attribute__((always_inline)) inline bool Channel::put_on_runway(uint64_t id, const void* data, size_t n) noexcept {
  if (__builtin_expect(put_.inside.load(std::memory_order_relaxed) != 0, 0)) return false;
  put_.inside.store(1, std::memory_order_relaxed);
  light_fence(false);  // pairs with the heavy_fence in evict
  bool fits = runway_id_.load(std::memory_order_acquire) == id && n <= put_.ring.runway() &&
              put_.getter_bell.quiet(inbox_->getter);
  if (__builtin_expect(fits, 1)) {
    RC_STEP("put: before the bytes");
    if (__builtin_expect(answering_.load(std::memory_order_relaxed), 0)) {
      answer_here(data, n);
    } else {
      put_.ring.put_here<kSmall>(data, n, outbox_->line);
    }
    RC_STEP("put: published");
    light_fence(false);  // pairs with the heavy_fence after Sleeper::arm (I7)
    if (__builtin_expect(!put_.getter_bell.quiet(inbox_->getter), 0)) ring_getter();
  }
  leave(kPutSide);
  return fits;
}

template <bool kSmall>
__attribute__((always_inline)) inline bool Channel::get_on_runway(uint64_t id, void* data, size_t n) noexcept {
  if (__builtin_expect(get_.inside.load(std::memory_order_relaxed) != 0, 0)) return false;
  get_.inside.store(1, std::memory_order_relaxed);
  light_fence(false);  // pairs with the heavy_fence in evict
  bool fits = runway_id_.load(std::memory_order_acquire) == id && n <= get_.ring.runway();
  if (__builtin_expect(fits, 1)) {
    RC_STEP("get: before the copy");
    if (n >= kWantBytes) get_.ring.want_ahead(n + kWantAhead);
    get_.ring.get_here<kSmall>(data, n);
    RC_STEP("get: consumed");
  }
  leave(kGetSide);
  return fits;
}

inline Code Channel::serve_ops() noexcept {
  if (__builtin_expect(ops_ == nullptr, 1)) return kOk;
  Code code = ops_->serve();
  if (code == kOk) return kOk;
  return code == kCorrupt ? corrupt(ops_->wrong()) : end(code);
}

}  // namespace rc

#endif  // CORE_CHANNEL_INLINE_H_
