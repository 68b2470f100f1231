// path=send: messages by SEND into slots that the peer has posted, stored by this end's own processor; nobody's NIC
// writes memory of the other end by itself (PROTOCOL.md R8).
#ifndef BACKENDS_RDMA_TWO_SIDED_H_
#define BACKENDS_RDMA_TWO_SIDED_H_

#include <stddef.h>
#include <stdint.h>

#include "core/wire.h"

namespace rc {

// What a message begins with; `bytes` bytes follow. Everything in it is peer input.
struct MessageHead {
  enum Kind : uint32_t {
    kNothing = 0,   // only what every message says
    kBytes = 1,     // of the ring; `word` is the tail behind them
    kOps = 2,       // of the op ring, with more of a frame to come
    kOpsEnd = 3,    // of the op ring; `word` is the op tail behind them
    kLastWord = 4,  // `word` goes to `getter`
  };
  uint64_t receives;  // slots that the speaker has posted again since the channel began
  uint64_t credit;
  uint64_t op_credit;
  uint64_t word;
  uint32_t kind;
  uint32_t bytes;
  uint64_t at;  // where in that ring the first of them goes; the rest follows around its end
};
static_assert(sizeof(MessageHead) == 48);

inline constexpr uint32_t kMessagePieces = 3;  // its head, and bytes around the end of a ring
inline constexpr uint32_t kCellsMost = 256;
inline constexpr uint32_t kCellsLeast = 14;
inline constexpr uint32_t kCellRings = 2;
inline constexpr size_t kPoolPage = 4096;  // a ring of the pool is whole pages

// Two more rings of an end, which take turns: each is heads of messages under way, then slots for those that may come.
// Both ends come to the same cells, from what they have agreed on.
struct Cells {
  uint32_t count;
  uint32_t slot_bytes;  // with the head of a message

  uint32_t payload() const noexcept { return slot_bytes - static_cast<uint32_t>(sizeof(MessageHead)); }
  uint64_t ring(uint64_t i) const noexcept { return i % kCellRings; }
  size_t head_at(uint64_t i) const noexcept { return i / kCellRings * sizeof(MessageHead); }
  size_t slot_at(uint64_t i) const noexcept { return head_at(count) + i / kCellRings * slot_bytes; }
  size_t bytes() const noexcept { return slot_at(count); }  // of each ring
};

// As many as leave half of the slots room for a whole ring, and a little more: a peer that does not look has told of
// three quarters at least, and a quarter is not for bytes.
inline constexpr Cells cells_of(size_t ring_bytes, size_t both_rings) noexcept {
  size_t room = (kRingOffset + both_rings + kPoolPage - 1) / kPoolPage * kPoolPage;
  size_t count = (room - ring_bytes) / 64 / kCellRings * kCellRings;
  if (count > kCellsMost) count = kCellsMost;
  size_t cell = room / (count / kCellRings) / 16 * 16;
  return {static_cast<uint32_t>(count), static_cast<uint32_t>(cell - sizeof(MessageHead))};
}
static_assert(cells_of(kPoolPage - kRingOffset, kPoolPage - kRingOffset).count == kCellsLeast);

// Bytes of a ring that core has posted and no message has taken. They lie in the outbox until the peer has read them.
struct Backlog {
  uint64_t at;    // of the first of them in the ring
  uint64_t left;  // so many
  uint64_t tail;  // behind the last of them
};

struct TwoSided {
  bool on;
  Cells cells;
  Backlog bytes;
  Backlog ops;
  uint64_t ops_first;  // of the op ring's, so many were posted before the newest bytes of the ring: they go first (O3)
  uint64_t op_credit;
  uint64_t last_word;
  uint32_t unheard;  // probes since the peer said something
};

}  // namespace rc

#endif  // BACKENDS_RDMA_TWO_SIDED_H_
