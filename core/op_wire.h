// What goes through the op ring of an inbox: frames, each a header of one line and its payload (PROTOCOL.md "The op
// ring"). Everything in a frame is peer input.
#ifndef CORE_OP_WIRE_H_
#define CORE_OP_WIRE_H_

#include <stddef.h>
#include <stdint.h>

#include "core/wire.h"

namespace rc {

// How many grants an end may have given on a channel at once.
inline constexpr uint32_t kGrantsMax = 64;

// Rights of a grant, access of a region; the numbers of rc.h.
inline constexpr uint32_t kRead = 1;
inline constexpr uint32_t kWrite = 2;
inline constexpr uint32_t kAtomic = 4;
inline constexpr uint32_t kAllRights = kRead | kWrite | kAtomic;
// Beside the rights of a grant: the peer reaches the memory by itself (PROTOCOL.md "Direct grants").
inline constexpr uint32_t kDirect = 32;
// Pages are mapped for reading, or for everything: the rights of a direct grant are these.
inline bool pages_allow(uint32_t rights) noexcept { return rights == kRead || rights == kAllRights; }

// What names a grant and proves that it was given: its slot at the owner and how often that slot was used, and 128
// random bits.
struct RemoteKey {
  uint64_t id;  // use << 16 | slot
  uint64_t secret[2];
  uint32_t slot() const noexcept { return static_cast<uint32_t>(id & 0xffff); }
};

enum OpType : uint32_t {
  // Requests: `request` is the asker's number for it; each is answered by exactly one kOpDone, or kOpData to the end.
  kOpWrite = 1,     // key, offset, value = bytes in all, compare = how many of them came before; payload
  kOpWriteImm = 2,  // the same, word = the immediate
  kOpRead = 3,      // key, offset, value = bytes
  kOpSwap = 4,      // key, offset, compare = expected, value = new
  kOpAdd = 5,       // key, offset, value = addend
  kOpAlloc = 6,     // value = bytes, compare = lease in ns, word = rights
  kOpReturn = 7,    // key: the owner may have the region back
  kOpRelease = 8,   // key: it is not needed any more
  kOpImm = 9,       // key, offset, value = bytes that are there already, word = the immediate
  // Announcements: no answer.
  kOpGrant = 16,    // key, value = bytes, compare = lease in ns, 0 with kDirect: until revoked; word = rights.
                    // For a NIC also offset = the address of the first byte, request = the NIC's key
  kOpRevoke = 17,   // key; word = 1: answered by a kOpRevoked; value = 1: because its lease is over
  kOpRevoked = 18,  // key: nothing of this end is under way to that memory, and nothing will be
  // Answers: `request` is the asker's number.
  kOpData = 32,  // compare = how many bytes came before; payload
  kOpDone = 33,  // word = result code, value = old word; of kOpAlloc: key, compare = lease in ns; if it is kLimit:
                 // value = what is exceeded
};

// What of the owner's policy a kOpAlloc goes beyond. 0: not told.
enum Exceeded : uint64_t { kExceedsBytes = 1, kExceedsTotal = 2, kExceedsRights = 3 };

// On one aligned word, whose old value comes back.
constexpr bool is_atomic(uint32_t type) noexcept { return type == kOpSwap || type == kOpAdd; }

struct OpFrame {
  uint32_t type;
  uint32_t bytes;  // of payload behind this header; the next frame begins at a multiple of 8
  uint32_t request;
  uint32_t word;
  RemoteKey key;
  uint64_t offset;  // from the first granted byte
  uint64_t value;
  uint64_t compare;
};
static_assert(sizeof(OpFrame) == kLine);

inline constexpr size_t padded(size_t payload) noexcept { return (payload + 7) / 8 * 8; }
// The largest payload of a frame: a quarter of the ring with its header, so that what is untold (an eighth) and one
// frame always fit (O2).
inline constexpr size_t payload_max(size_t op_ring_bytes) noexcept {
  return (op_ring_bytes / 4 - sizeof(OpFrame)) / 8 * 8;
}

}  // namespace rc

#endif  // CORE_OP_WIRE_H_
