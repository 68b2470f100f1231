// One area of memory, carved once, and the fixed pools in it.
#ifndef CORE_ARENA_H_
#define CORE_ARENA_H_

#include <stddef.h>
#include <stdint.h>

namespace rc {

// Hands out pieces from the front. With no memory (base null) it only adds up: the footprint query is the same code.
class Arena {
 public:
  Arena(void* base, size_t bytes) noexcept : base_(static_cast<uint8_t*>(base)), bytes_(bytes) {}

  // Null when it is full, and always when it only adds up.
  void* carve(size_t bytes, size_t align) noexcept {
    size_t at = (used_ + align - 1) / align * align;
    used_ = at + bytes;
    return base_ != nullptr && used_ <= bytes_ ? base_ + at : nullptr;
  }
  size_t used() const noexcept { return used_; }

 private:
  uint8_t* base_;
  size_t bytes_;
  size_t used_ = 0;
};

// Which of `size` equal slots are free: a stack of their numbers. The caller locks.
class SlotPool {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  void carve(Arena& arena, uint32_t size) noexcept {
    free_ = static_cast<uint32_t*>(arena.carve(size * sizeof(uint32_t), alignof(uint32_t)));
    size_ = size;
  }
  void fill() noexcept {
    for (uint32_t i = 0; i < size_; ++i) free_[i] = size_ - 1 - i;
    count_ = size_;
  }
  uint32_t take() noexcept { return count_ == 0 ? kNone : free_[--count_]; }
  void give(uint32_t slot) noexcept { free_[count_++] = slot; }
  uint32_t size() const noexcept { return size_; }

 private:
  uint32_t* free_ = nullptr;
  uint32_t size_ = 0;
  uint32_t count_ = 0;
};

// Slot numbers in their order, each at most once. The caller locks.
class SlotQueue {
 public:
  void carve(Arena& arena, uint32_t size) noexcept {
    slots_ = static_cast<uint32_t*>(arena.carve(size * sizeof(uint32_t), alignof(uint32_t)));
    size_ = size;
  }
  void clear() noexcept { first_ = count_ = 0; }
  bool empty() const noexcept { return count_ == 0; }
  uint32_t front() const noexcept { return slots_[first_]; }
  // Full: a bug of ours, since each is in it at most once. Nothing is written outside, and a sanitizer's build tells.
  void push(uint32_t slot) noexcept {
    if (count_ == size_) {
#ifdef RC_SANITIZED
      __builtin_trap();
#endif
      return;
    }
    uint32_t at = first_ + count_++;
    slots_[at < size_ ? at : at - size_] = slot;
  }
  uint32_t pop() noexcept {
    uint32_t slot = slots_[first_];
    first_ = first_ + 1 < size_ ? first_ + 1 : 0;
    --count_;
    return slot;
  }
  // The others keep their order.
  void remove(uint32_t slot) noexcept {
    for (uint32_t left = count_; left != 0; --left) {
      uint32_t next = pop();
      if (next != slot) push(next);
    }
  }

 private:
  uint32_t* slots_ = nullptr;
  uint32_t size_ = 0;
  uint32_t first_ = 0;
  uint32_t count_ = 0;
};

}  // namespace rc

#endif  // CORE_ARENA_H_
