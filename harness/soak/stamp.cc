#include "harness/soak/stamp.h"

#include <string.h>

namespace soak {
namespace {

// Odd, with no two bytes alike: neighbouring words differ in most bytes, and a shift by less than a word shows too.
constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;
constexpr size_t kWord = sizeof(uint64_t);
constexpr size_t kBlock = 64;

uint64_t word_at(uint64_t seed, uint64_t position) { return Choices(seed).next() + position / kWord * kStep; }

// One word or a part of one, at the ends of a piece.
size_t part_bytes(size_t n, uint64_t position) {
  size_t left = kWord - position % kWord;
  return left < n ? left : n;
}

const uint8_t* part(const uint64_t& word, uint64_t position) {
  return reinterpret_cast<const uint8_t*>(&word) + position % kWord;
}

}  // namespace

void stamp_fill(void* to, size_t n, uint64_t seed, uint64_t position) {
  auto* at = static_cast<uint8_t*>(to);
  while (n != 0) {
    uint64_t word = word_at(seed, position);
    size_t some = part_bytes(n, position);
    if (some == kWord) {
      size_t words = n / kWord;
      for (size_t i = 0; i < words; ++i) {
        uint64_t w = word + i * kStep;
        memcpy(at + i * kWord, &w, kWord);
      }
      some = words * kWord;
    } else {
      memcpy(at, part(word, position), some);
    }
    at += some;
    n -= some;
    position += some;
  }
}

size_t stamp_check(const void* from, size_t n, uint64_t seed, uint64_t position) {
  const auto* at = static_cast<const uint8_t*>(from);
  size_t left = n;
  while (left != 0) {
    uint64_t word = word_at(seed, position);
    if (position % kWord == 0 && left >= kBlock * kWord) {  // many at a time; a wrong block is looked at word by word
      uint64_t differ = 0;
      for (size_t i = 0; i < kBlock; ++i) {
        uint64_t got;
        memcpy(&got, at + i * kWord, kWord);
        differ |= got ^ (word + i * kStep);
      }
      if (differ == 0) {
        at += kBlock * kWord;
        left -= kBlock * kWord;
        position += kBlock * kWord;
        continue;
      }
    }
    size_t some = part_bytes(left, position);
    const uint8_t* wanted = part(word, position);
    for (size_t i = 0; i < some; ++i) {
      if (at[i] != wanted[i]) return n - left + i;
    }
    at += some;
    left -= some;
    position += some;
  }
  return n;
}

}  // namespace soak
