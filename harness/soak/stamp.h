// Content that tells where it belongs: the byte at position p of a stream follows from p and the stream's seed, so a
// reader of any piece sees loss, repetition, reordering and change.
#ifndef HARNESS_SOAK_STAMP_H_
#define HARNESS_SOAK_STAMP_H_

#include <stddef.h>
#include <stdint.h>

namespace soak {

// Fills n bytes as the stream `seed` has them from `position` on.
void stamp_fill(void* to, size_t n, uint64_t seed, uint64_t position);

// How many of the n bytes are as they must be, from the first one on; n if all are.
size_t stamp_check(const void* from, size_t n, uint64_t seed, uint64_t position);

// A stream of numbers to choose sizes and moments from: the same seed, the same choices.
class Choices {
 public:
  explicit Choices(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t n) { return next() % n; }
  // 0..n - 1 with every order of magnitude as likely as another: small ones are not rare.
  uint64_t skewed(uint64_t n) {
    uint64_t bits = 64 - static_cast<uint64_t>(__builtin_clzll(n | 1));
    return below(uint64_t{1} << below(bits + 1)) % n;
  }

 private:
  uint64_t state_;
};

}  // namespace soak

#endif  // HARNESS_SOAK_STAMP_H_
