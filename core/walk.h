// A list of pieces of memory that bytes are copied from or to.
#ifndef CORE_WALK_H_
#define CORE_WALK_H_

#include <stddef.h>
#include <stdint.h>

namespace rc {

struct Span {
  void* data;
  size_t bytes;
};
struct ConstSpan {
  const void* data;
  size_t bytes;
};

inline size_t least(size_t a, size_t b) noexcept { return a < b ? a : b; }

// Piece is Span or ConstSpan.
template <class Piece>
class Walk {
 public:
  explicit Walk(const Piece* pieces) noexcept : piece_(pieces) {}
  // Calls f(pointer, bytes) for the next n bytes.
  template <class F>
  void take(size_t n, F f) noexcept {
    while (n != 0) {
      size_t some = piece_->bytes - at_ < n ? piece_->bytes - at_ : n;
      using Byte = decltype(byte_of(piece_->data));
      if (some != 0) f(static_cast<Byte>(piece_->data) + at_, some);
      at_ += some;
      n -= some;
      if (at_ == piece_->bytes) {
        ++piece_;
        at_ = 0;
      }
    }
  }
  // The next n bytes if they lie in one piece, else null.
  const void* in_one(size_t n) noexcept {
    while (piece_->bytes == at_ && n != 0) {
      ++piece_;
      at_ = 0;
    }
    return n != 0 && piece_->bytes - at_ >= n ? static_cast<const uint8_t*>(piece_->data) + at_ : nullptr;
  }

 private:
  static uint8_t* byte_of(void*) noexcept;
  static const uint8_t* byte_of(const void*) noexcept;
  const Piece* piece_;
  size_t at_ = 0;
};

}  // namespace rc

#endif  // CORE_WALK_H_
