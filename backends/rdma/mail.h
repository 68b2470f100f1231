// How words travel. Nothing promises that an aligned word lands as one: soft-RoCE copies it byte by byte. So the peer's
// NIC writes each word with a seal into a place of its own, and this end's progress puts it where core looks for it
// once the seal fits (PROTOCOL.md R1).
#ifndef BACKENDS_RDMA_MAIL_H_
#define BACKENDS_RDMA_MAIL_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <atomic>

#include "backends/rdma/note.h"
#include "core/wire.h"

namespace rc {

struct Sealed {
  uint64_t value;
  uint64_t seal;
};

// A mixture of two sealed words has a seal that fits with a chance of 2^-64.
struct Letter {
  std::atomic<uint64_t> value;
  std::atomic<uint64_t> seal;

  // False: half of a word is there, the rest is on its way.
  bool whole(uint64_t* word) const noexcept {
    *word = value.load(std::memory_order_acquire);
    return seal.load(std::memory_order_acquire) == seal_of(*word);
  }
  // A word that core does not have yet, and whole.
  bool news(const std::atomic<uint64_t>& known, uint64_t* word) const noexcept {
    return value.load(std::memory_order_relaxed) != known.load(std::memory_order_relaxed) && whole(word);
  }
  void deliver(std::atomic<uint64_t>& to) const noexcept {
    uint64_t word;
    if (news(to, &word)) to.store(word, std::memory_order_release);  // pairs with the acquires of core
  }
};

// Behind what core uses of an inbox, written by the peer's NIC.
struct Mail {
  Letter tail;
  Letter taken;  // of this end's own stream, the tail that the peer has taken; beside `tail`, in one WRITE with it
  Letter credit;
  Letter getter;
  Letter receives;  // how many the peer has posted since the channel began
  Letter op_tail;
  Letter op_credit;
  Letter knock;  // between two endpoints without rdma_cm: whoever hears it may send
  Note note;
};

inline constexpr size_t kMailOffset = kBackendOffset;
inline constexpr uint64_t kNoteOffset = kMailOffset + offsetof(Mail, note);
static_assert(sizeof(Inbox) <= kMailOffset && kMailOffset + sizeof(Mail) <= kRingOffset);
static_assert(sizeof(Letter) == sizeof(Sealed));

// Before the peer knows where it is: no letter is half there.
inline void clear_mail(Inbox* inbox) noexcept {
  const Sealed none = {0, seal_of(0)};
  for (size_t at = 0; at < offsetof(Mail, note); at += sizeof none)
    memcpy(reinterpret_cast<uint8_t*>(inbox) + kMailOffset + at, &none, sizeof none);
  memset(reinterpret_cast<uint8_t*>(inbox) + kNoteOffset, 0, sizeof(Note));
}

inline const Mail& mail_of(const Inbox* inbox) noexcept {
  return *reinterpret_cast<const Mail*>(reinterpret_cast<const uint8_t*>(inbox) + kMailOffset);
}

inline constexpr uint64_t kReceivesLetter = kMailOffset + offsetof(Mail, receives);
inline constexpr uint64_t kKnockLetter = kMailOffset + offsetof(Mail, knock);
inline constexpr size_t kTail = offsetof(Inbox, line) + offsetof(TailLineOf<std::atomic<uint64_t>>, tail);
inline constexpr size_t kOpTail = offsetof(Inbox, op_line) + offsetof(TailLineOf<std::atomic<uint64_t>>, tail);

// Where a word of core's goes.
inline uint64_t letter_of(uint64_t offset) noexcept {
  if (offset == offsetof(Inbox, credit)) return kMailOffset + offsetof(Mail, credit);
  if (offset == offsetof(Inbox, getter)) return kMailOffset + offsetof(Mail, getter);
  if (offset == kOpTail) return kMailOffset + offsetof(Mail, op_tail);
  if (offset == offsetof(Inbox, op_credit)) return kMailOffset + offsetof(Mail, op_credit);
  return kMailOffset + offsetof(Mail, tail);
}

}  // namespace rc

#endif  // BACKENDS_RDMA_MAIL_H_
