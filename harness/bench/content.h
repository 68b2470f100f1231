// The content every lane moves: each message's words are written before it is put and read after it is got. The sum
// is compared in the end with what it must be, so no compiler can drop the work and no lane can skip it. Where the
// bytes are ready (Job) the first word is written, and it and the last one are compared.
#ifndef HARNESS_BENCH_CONTENT_H_
#define HARNESS_BENCH_CONTENT_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <stdexcept>

namespace rcbench {

// Sizes are multiples of 8. Message i holds the words first_word(i), first_word(i) + 1, ...
inline uint64_t first_word(uint64_t i) { return (i + 1) * 0x9E3779B97F4A7C15u; }

// Two words at a time: what every x86-64 and arm64 processor can do.
typedef uint64_t WordPair __attribute__((vector_size(16), aligned(8), may_alias));

inline void fill_content(void* to, size_t n, uint64_t i) {
  auto* p = static_cast<uint8_t*>(to);
  uint64_t word = first_word(i);
  size_t at = 0;
  WordPair low = {word, word + 1};
  WordPair high = {word + 2, word + 3};
  for (; at + 32 <= n; at += 32) {
    *reinterpret_cast<WordPair*>(p + at) = low;
    *reinterpret_cast<WordPair*>(p + at + 16) = high;
    low += 4;
    high += 4;
  }
  for (; at + 8 <= n; at += 8) {
    uint64_t value = word + at / 8;
    memcpy(p + at, &value, 8);
  }
}

inline uint64_t sum_content(const void* from, size_t n) {
  auto* p = static_cast<const uint8_t*>(from);
  size_t at = 0;
  WordPair a = {}, b = {}, c = {}, d = {};
  for (; at + 64 <= n; at += 64) {
    a += *reinterpret_cast<const WordPair*>(p + at);
    b += *reinterpret_cast<const WordPair*>(p + at + 16);
    c += *reinterpret_cast<const WordPair*>(p + at + 32);
    d += *reinterpret_cast<const WordPair*>(p + at + 48);
  }
  a += b + c + d;
  uint64_t sum = a[0] + a[1];
  for (; at + 8 <= n; at += 8) {
    uint64_t value;
    memcpy(&value, p + at, 8);
    sum += value;
  }
  return sum;
}

// Message i of those whose bytes are ready: all but the first word are as in message 0.
inline void fill_ready(void* to, size_t n, uint64_t i, bool afresh) {
  if (afresh) fill_content(to, n, 0);
  uint64_t first = first_word(i);
  memcpy(to, &first, 8);
}

// Reads messages and keeps account of them.
class Reader {
 public:
  explicit Reader(bool ready = false) : ready_(ready) {}

  // Message i, which lies in n bytes at `from`.
  void take(const void* from, size_t n, uint64_t i) {
    uint64_t first, last;
    memcpy(&first, from, 8);
    out_of_order_ |= first ^ first_word(i);
    if (!ready_) {
      sum_ += sum_content(from, n);
    } else if (n > 8) {
      memcpy(&last, static_cast<const uint8_t*>(from) + n - 8, 8);
      out_of_order_ |= last ^ (first_word(0) + n / 8 - 1);
    }
  }

  // Throws unless messages 0 .. count - 1 of n bytes were taken, each unharmed and in order.
  void check(size_t n, uint64_t count) const {
    uint64_t words = n / 8;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; ++i) sum += words * first_word(i) + words * (words - 1) / 2;
    if (out_of_order_ != 0) throw std::runtime_error("a message came out of order or changed");
    if (!ready_ && sum != sum_) throw std::runtime_error("the content read is not the content written");
  }

 private:
  bool ready_;
  uint64_t sum_ = 0;
  uint64_t out_of_order_ = 0;
};

}  // namespace rcbench

#endif  // HARNESS_BENCH_CONTENT_H_
