// What two processes must agree on: the bytes of an inbox and of the hello.
// Change anything here and kWireVersion changes with it (PROTOCOL.md, "Layout").
#ifndef CORE_WIRE_H_
#define CORE_WIRE_H_

#include <stddef.h>
#include <stdint.h>

#include <atomic>

namespace rc {

inline constexpr uint32_t kWireVersion = 6;
inline constexpr size_t kLine = 64;
// Lines that different ends write lie two lines apart: the adjacent-line prefetcher of x86 moves pairs.
inline constexpr size_t kPair = 2 * kLine;
inline constexpr size_t kTailWords = 6;
inline constexpr size_t kTailBytes = kTailWords * sizeof(uint64_t);

// How much the peer has written; sometimes the newest bytes as well (PROTOCOL.md I4).
template <class Word>
struct TailLineOf {
  Word begin;
  Word tail;
  Word words[kTailWords];
};

// One inbox: only the peer writes it, only the owner reads it. The ring's bytes follow at kRingOffset, then those of
// the op ring, if the channel has one (op_wire.h).
struct Inbox {
  alignas(kPair) TailLineOf<std::atomic<uint64_t>> line;
  // How many bytes of my stream the peer has read.
  alignas(kPair) std::atomic<uint64_t> credit;
  // Arm counts: the peer adds one before its getter or putter sleeps (PROTOCOL.md I7). kClosedBit beside the getter's
  // is the peer's last word, so that one load per put sees both.
  alignas(kPair) std::atomic<uint64_t> getter;
  std::atomic<uint64_t> putter;
  // And before whoever serves its op ring for both (PROTOCOL.md O4).
  std::atomic<uint64_t> server;
  // The same pair of words for the op ring.
  alignas(kPair) TailLineOf<std::atomic<uint64_t>> op_line;
  alignas(kPair) std::atomic<uint64_t> op_credit;
};

inline constexpr uint64_t kClosedBit = uint64_t{1} << 63;

// The last two pairs of lines before the ring are the backend's.
inline constexpr size_t kBackendOffset = 640;
inline constexpr size_t kRingOffset = kBackendOffset + 2 * kPair;
static_assert(sizeof(Inbox) <= kBackendOffset && kRingOffset % kPair == 0);
static_assert(sizeof(TailLineOf<std::atomic<uint64_t>>) == kLine);
static_assert(offsetof(Inbox, credit) == 128 && offsetof(Inbox, getter) == 256 && offsetof(Inbox, putter) == 264 &&
              offsetof(Inbox, server) == 272);
static_assert(offsetof(Inbox, op_line) == 384 && offsetof(Inbox, op_credit) == 512);
static_assert(std::atomic<uint64_t>::is_always_lock_free && sizeof(std::atomic<uint64_t>) == 8);

// Names the layout above: two builds that disagree about it refuse each other in the handshake.
inline constexpr uint64_t kLayoutHash = (uint64_t{kWireVersion} << 48) ^ (kRingOffset << 32) ^
                                        (offsetof(Inbox, op_line) << 24) ^ (offsetof(Inbox, getter) << 16) ^
                                        (offsetof(Inbox, credit) << 8) ^ sizeof(size_t);

// Where the op ring begins, counted from the ring's first byte, and how many bytes both take. op_bytes 0: there is
// none.
inline constexpr size_t op_ring_at(size_t ring_bytes) noexcept { return (ring_bytes + kPair - 1) / kPair * kPair; }
inline constexpr size_t rings_bytes(size_t ring_bytes, size_t op_bytes) noexcept {
  return op_bytes == 0 ? ring_bytes : op_ring_at(ring_bytes) + op_bytes;
}

// A message on a channel: this header, then `bytes` bytes. `sequence` counts messages of one direction from 0, so
// that a raw put between two messages is noticed as corruption instead of being parsed as a header.
struct MessageHeader {
  uint64_t bytes;
  uint32_t imm;
  uint16_t flags;  // kMessageHasImm
  uint16_t sequence;
};
inline constexpr uint16_t kMessageHasImm = 1;
static_assert(sizeof(MessageHeader) == 16);

}  // namespace rc

#endif  // CORE_WIRE_H_
