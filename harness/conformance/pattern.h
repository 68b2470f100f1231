// The bytes of a test's stream: each is a function of its place, so either end can make and check them without the
// other.
#ifndef HARNESS_CONFORMANCE_PATTERN_H_
#define HARNESS_CONFORMANCE_PATTERN_H_

#include <stddef.h>
#include <stdint.h>

#include <vector>

namespace conformance {

enum Direction : uint64_t { kNearToFar = 1, kFarToNear = 2 };

inline uint8_t pattern_byte(Direction direction, uint64_t at) {
  uint64_t word = (at / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15) * (2 * direction + 1);
  word ^= word >> 29;
  return static_cast<uint8_t>(word >> (8 * (at % 8)));
}

// A buffer whose data() is never null, not even with no bytes: rc.h lets a null pointer be an error.
class Buffer {
 public:
  explicit Buffer(size_t n, uint8_t fill = 0) : bytes_(n + 1, fill), size_(n) {}
  uint8_t* data() { return bytes_.data(); }
  const uint8_t* data() const { return bytes_.data(); }
  size_t size() const { return size_; }
  uint8_t& operator[](size_t i) { return bytes_[i]; }
  uint8_t operator[](size_t i) const { return bytes_[i]; }

 private:
  std::vector<uint8_t> bytes_;
  size_t size_;
};

// One direction of a stream: what comes next.
class Pattern {
 public:
  explicit Pattern(Direction direction) : direction_(direction) {}
  uint64_t at() const { return at_; }
  void move(uint64_t n) { at_ += n; }
  void restart() { at_ = 0; }

  // The next n bytes, without moving on.
  Buffer next(size_t n) const {
    Buffer bytes(n);
    for (size_t i = 0; i < n; ++i) bytes[i] = pattern_byte(direction_, at_ + i);
    return bytes;
  }
  // The place of the first byte that is wrong, n if none is. Does not move on.
  size_t wrong(const void* data, size_t n) const {
    auto* bytes = static_cast<const uint8_t*>(data);
    for (size_t i = 0; i < n; ++i) {
      if (bytes[i] != pattern_byte(direction_, at_ + i)) return i;
    }
    return n;
  }

 private:
  Direction direction_;
  uint64_t at_ = 0;
};

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_PATTERN_H_
