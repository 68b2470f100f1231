// The atomics policy of ring.h and doorbell.h. The product uses StdAtomics; the model checker brings its own, so that
// what is checked is what is shipped.
#ifndef CORE_ATOMICS_H_
#define CORE_ATOMICS_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <atomic>

namespace rc {

inline constexpr size_t kSmallBytes = 64;

// Copies n <= kSmallBytes bytes that do not overlap, without a call. Two halves that overlap in the middle cover every
// size.
inline void copy_small(void* to, const void* from, size_t n) noexcept {
  auto* d = static_cast<uint8_t*>(to);
  auto* s = static_cast<const uint8_t*>(from);
  if (n <= 16) {
    if (n >= 8) {
      memcpy(d, s, 8);
      memcpy(d + n - 8, s + n - 8, 8);
    } else if (n >= 4) {
      memcpy(d, s, 4);
      memcpy(d + n - 4, s + n - 4, 4);
    } else {
      for (size_t i = 0; i < n; ++i) d[i] = s[i];
    }
  } else if (n <= 32) {
    memcpy(d, s, 16);
    memcpy(d + n - 16, s + n - 16, 16);
  } else {
    memcpy(d, s, 32);
    memcpy(d + n - 32, s + n - 32, 32);
  }
}

inline void copy_bytes(void* to, const void* from, size_t n) noexcept {
  if (n <= kSmallBytes) {
    copy_small(to, from, n);
  } else {
    memcpy(to, from, n);
  }
}

// Asks for the line of p to be owned by this processor before it is stored to.
inline void own_line(void* p) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*static_cast<char*>(p)));
#else
  __builtin_prefetch(p, 1, 3);
#endif
}

// Tells the processor that this is a spin loop.
inline void cpu_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A number with one writer that any thread may glance at.
class Counter {
 public:
  void set(uint64_t n) noexcept { n_.store(n, std::memory_order_relaxed); }
  void add(uint64_t n) noexcept { set(get() + n); }
  uint64_t get() const noexcept { return n_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> n_{0};
};

struct StdAtomics {
  using Own = Counter;  // an index of one end's own
  using Word = std::atomic<uint64_t>;
  using Ring = uint8_t*;  // the ring's first byte

  static uint64_t load_relaxed(const Word& w) noexcept { return w.load(std::memory_order_relaxed); }
  static uint64_t load_acquire(const Word& w) noexcept { return w.load(std::memory_order_acquire); }
  static void store_relaxed(Word& w, uint64_t v) noexcept { w.store(v, std::memory_order_relaxed); }
  static void store_release(Word& w, uint64_t v) noexcept { w.store(v, std::memory_order_release); }
  static void fence_acquire() noexcept { std::atomic_thread_fence(std::memory_order_acquire); }
  static void fence_release() noexcept { std::atomic_thread_fence(std::memory_order_release); }
  static void fence_full() noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }

  static void ring_write(Ring ring, size_t at, const void* from, size_t n) noexcept { copy_bytes(ring + at, from, n); }
  static void ring_read(Ring ring, size_t at, void* to, size_t n) noexcept { copy_bytes(to, ring + at, n); }
  static void ring_write_small(Ring ring, size_t at, const void* from, size_t n) noexcept {
    copy_small(ring + at, from, n);
  }
  static void ring_read_small(Ring ring, size_t at, void* to, size_t n) noexcept { copy_small(to, ring + at, n); }
  static void ring_want(Ring ring, size_t at) noexcept { __builtin_prefetch(ring + at, 0, 3); }
  static void ring_own(Ring ring, size_t at) noexcept { own_line(ring + at); }
};

}  // namespace rc

#endif  // CORE_ATOMICS_H_
