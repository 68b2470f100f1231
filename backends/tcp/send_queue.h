// The frames of one end that the socket has not taken yet. No system call, no lock: send.cc has both.
#ifndef BACKENDS_TCP_SEND_QUEUE_H_
#define BACKENDS_TCP_SEND_QUEUE_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "backends/tcp/frame.h"
#include "core/backend.h"

namespace rc {

// All zeros is an empty queue.
class SendQueue {
 public:
  static constexpr uint32_t kSlots = 32;
  // Slots that only single words and control frames take. There are at most ten of them at a time: two credits of each
  // ring (one half sent, one that later ones are merged into), the last word, a FLUSH, and two each of FLUSHED and
  // WANT, for the same reason.
  static constexpr uint32_t kReserved = 10;
  static constexpr uint32_t kPiecesMost = 2 * kSlots;

  uint32_t count() const noexcept { return count_; }
  bool room_for(uint32_t n) const noexcept { return count_ + n <= kSlots - kReserved; }

  // A WRITE. A credit replaces one that still waits: only the newest counts.
  void write(const WorkRequest& request) noexcept;
  // FLUSH, FLUSHED or WANT. The last two replace one that still waits.
  void control(Frame::Kind kind, uint64_t number) noexcept;

  // What is to be sent, oldest first, as at most kPiecesMost pieces; returns how many, *bytes their sum.
  int gather(iovec* pieces, size_t* bytes) const noexcept;
  // So many of the gathered bytes are gone.
  void sent(size_t bytes) noexcept;
  // Bytes of the caller's that are left are copied to the outbox, at the place they are to have in the inbox.
  void keep(uint8_t* outbox) noexcept;
  void clear() noexcept { head_ = count_ = 0, head_sent_ = 0; }

 private:
  struct Slot {
    Frame frame;
    uint8_t copied[kLine];  // behind the frame, so that both are one piece
    const void* data;       // null: copied
  };
  static_assert(offsetof(Slot, copied) == sizeof(Frame));

  Slot& at(uint32_t i) noexcept { return slots_[(head_ + i) % kSlots]; }
  const Slot& at(uint32_t i) const noexcept { return slots_[(head_ + i) % kSlots]; }
  Slot& add() noexcept { return at(count_++); }
  // The one of this kind that has not begun to go out; null if there is none.
  Slot* waiting(Frame::Kind kind, uint64_t offset) noexcept;

  uint32_t head_;
  uint32_t count_;
  size_t head_sent_;  // bytes of the oldest frame that are gone, header included
  Slot slots_[kSlots];
};

}  // namespace rc

#endif  // BACKENDS_TCP_SEND_QUEUE_H_
