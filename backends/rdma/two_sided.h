// path=send: messages by SEND into slots that the peer has posted, stored by this end's own processor; nobody's NIC
// writes memory of the other end by itself (PROTOCOL.md R7).
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

// The third ring of an end: a head for each message under way, then a slot for each that may come. Both ends come to
// the same cells, from what they have agreed on.
struct Cells {
  uint32_t count;
  uint32_t slot_bytes;  // with the head of a message

  uint32_t payload() const noexcept { return slot_bytes - static_cast<uint32_t>(sizeof(MessageHead)); }
  size_t slot_at(uint64_t i) const noexcept { return count * sizeof(MessageHead) + i * slot_bytes; }
  size_t bytes() const noexcept { return slot_at(count); }
};

inline constexpr uint32_t kMessagePieces = 3;  // its head, and bytes around the end of a ring
inline constexpr uint32_t kCellsMost = 256;
inline constexpr uint32_t kCellsLeast = 28;
inline constexpr size_t kCellLeast = 2 * sizeof(MessageHead) + 48;
inline constexpr size_t kCellMost = sizeof(MessageHead) + 4096;
inline constexpr size_t kCellPage = 4096;  // a ring of the pool is whole pages

inline constexpr Cells cells_of(size_t both_rings) noexcept {
  size_t room = (kRingOffset + both_rings + kCellPage - 1) / kCellPage * kCellPage;
  size_t cell = room / kCellsMost / 16 * 16;
  cell = cell < kCellLeast ? kCellLeast : cell > kCellMost ? kCellMost : cell;
  size_t count = room / cell < kCellsMost ? room / cell : kCellsMost;
  return {static_cast<uint32_t>(count), static_cast<uint32_t>(cell - sizeof(MessageHead))};
}
static_assert(cells_of(1).count >= kCellsLeast);

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
