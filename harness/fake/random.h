// The random numbers of the fake: splitmix64. Small, the same on every machine, and a seed of any value is good.
#ifndef HARNESS_FAKE_RANDOM_H_
#define HARNESS_FAKE_RANDOM_H_

#include <stdint.h>

namespace rc::fake {

inline uint64_t mix(uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

class Random {
 public:
  explicit Random(uint64_t seed = 0) noexcept : state_(seed) {}
  uint64_t next() noexcept { return mix(state_ += UINT64_C(0x9e3779b97f4a7c15)); }
  // 0..n-1; n is at least 1. The bias of the remainder is of no interest here.
  uint64_t below(uint64_t n) noexcept { return next() % n; }
  uint64_t between(uint64_t least, uint64_t most) noexcept { return least + below(most - least + 1); }
  // 1..most, each order of magnitude as likely as the next.
  uint64_t magnitude(uint64_t most) noexcept {
    unsigned bits = 64 - static_cast<unsigned>(__builtin_clzll(most));
    uint64_t value = between(1, UINT64_C(1) << below(bits + 1));
    return value < most ? value : most;
  }
  bool chance(uint32_t per_mille) noexcept { return per_mille != 0 && below(1000) < per_mille; }

 private:
  uint64_t state_;
};

}  // namespace rc::fake

#endif  // HARNESS_FAKE_RANDOM_H_
