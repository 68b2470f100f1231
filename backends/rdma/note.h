// A small put that answers, in one WRITE: its bytes, the tail and a credit under one seal (PROTOCOL.md R2).
#ifndef BACKENDS_RDMA_NOTE_H_
#define BACKENDS_RDMA_NOTE_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <atomic>

namespace rc {

inline constexpr size_t kNoteWords = 8;
inline constexpr size_t kNoteBytes = kNoteWords * sizeof(uint64_t);

// As it is sent: no more words than the bytes need.
struct SealedNote {
  uint64_t seal;
  uint64_t tail;
  uint64_t credit;
  uint64_t taken;  // the tail of the reader's own stream that the writer has taken
  uint64_t place;  // offset in the ring << 8 | bytes
  uint64_t words[kNoteWords];

  size_t bytes() const noexcept { return place & 0xff; }
  uint64_t at() const noexcept { return place >> 8; }
  size_t size() const noexcept {
    return offsetof(SealedNote, words) + (bytes() + sizeof(uint64_t) - 1) / sizeof(uint64_t) * sizeof(uint64_t);
  }
};

// One word of a seal (the finalizer of splitmix64).
inline uint64_t seal_of(uint64_t value) noexcept {
  uint64_t x = value + 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

inline uint64_t seal_of(const SealedNote& note) noexcept {
  uint64_t seal = seal_of(seal_of(seal_of(seal_of(note.tail) ^ note.credit) ^ note.taken) ^ note.place);
  for (size_t i = 0; i * sizeof(uint64_t) < note.bytes(); ++i) seal = seal_of(seal ^ note.words[i]);
  return seal;
}

// bytes <= kNoteBytes.
inline void fill_note(SealedNote* note, uint64_t tail, uint64_t credit, uint64_t taken, uint64_t at, const void* from,
                      size_t bytes) noexcept {
  note->tail = tail;
  note->credit = credit;
  note->taken = taken;
  note->place = at << 8 | bytes;
  if (bytes % sizeof(uint64_t) != 0) note->words[bytes / sizeof(uint64_t)] = 0;
  memcpy(note->words, from, bytes);
  note->seal = seal_of(*note);
}

// Where the peer's NIC writes it.
struct Note {
  std::atomic<uint64_t> seal;
  std::atomic<uint64_t> tail;
  std::atomic<uint64_t> credit;
  std::atomic<uint64_t> taken;
  std::atomic<uint64_t> place;
  std::atomic<uint64_t> words[kNoteWords];

  // Copies it; false: a part of it is on its way.
  bool whole(SealedNote* to) const noexcept {
    to->tail = tail.load(std::memory_order_acquire);
    to->credit = credit.load(std::memory_order_acquire);
    to->taken = taken.load(std::memory_order_acquire);
    to->place = place.load(std::memory_order_acquire);
    if (to->bytes() > kNoteBytes) return false;
    for (size_t i = 0; i * sizeof(uint64_t) < to->bytes(); ++i) to->words[i] = words[i].load(std::memory_order_acquire);
    return seal.load(std::memory_order_acquire) == seal_of(*to);
  }
};
static_assert(sizeof(Note) == sizeof(SealedNote));

}  // namespace rc

#endif  // BACKENDS_RDMA_NOTE_H_
