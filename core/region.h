// Memory regions of a context: pieces of its pool and registered memory of the caller, in a table of fixed size.
#ifndef CORE_REGION_H_
#define CORE_REGION_H_

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/backend.h"
#include "core/op_wire.h"
#include "core/result.h"
#include "core/spin_lock.h"

namespace rc {

inline constexpr uint32_t kRegionsMax = 65535;
inline constexpr uint64_t kRegionPage = 4096;

// Why a region must stay: an operation moves its bytes, or the peer of a channel may.
// kShare: the peer does by itself; alone, because the pages are exchanged when that begins and ends.
// kKept: nobody now, but a channel has looked it up, and gives that up when it is asked (Ops::forget_local).
// kPinned: a request whose bytes a NIC moves, from the pages it has registered.
enum class Hold { kRequest, kPinned, kGrant, kShare, kKept };

class Regions {
 public:
  struct Info {
    void* address;
    uint64_t bytes;
    uint32_t access;
    bool registered;
    uint32_t requests;
    uint32_t grants;
  };
  // A held piece of a region.
  struct Piece {
    uint32_t slot;
    uint8_t* at;
    uint64_t id;
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  void carve(Arena& arena, uint32_t regions_max, uint64_t pool_bytes) noexcept;
  // own_pages: the pool lies in a mapping of ours, of ordinary pages, not in the caller's memory.
  void open(uint32_t context, bool own_pages) noexcept;

  // From the pool, whole pages, first fit.
  Code alloc(uint64_t bytes, bool zeroed, uint64_t serial, uint64_t* id) noexcept;
  // The caller's memory, which must stay mapped until free.
  Code enroll(void* address, uint64_t bytes, uint32_t access, uint64_t serial, uint64_t* id) noexcept;
  Code free(uint64_t id) noexcept;
  Code info(uint64_t id, Info* info) noexcept;

  // Checks [offset, offset + bytes) against the region and `access` against what it allows, and keeps it. What a
  // request moves is not granted meanwhile.
  Code hold(Hold why, uint64_t id, uint64_t offset, uint64_t bytes, uint32_t access, Piece* piece) noexcept;
  void let_go(Hold why, uint32_t slot) noexcept;

  // Of a region held for kShare, by whoever holds it: see Extras in backend.h.
  Share* share_of(uint32_t slot) noexcept { return &regions_[slot].share; }
  // Afterwards the peer reaches none of it; kOk also if it did not before. Else it still does.
  Code unshare(uint32_t slot) noexcept;
  // Of the context: the pool is about to be given back.
  void close() noexcept;

 private:
  struct Region {
    uint64_t id;  // 0: free
    uint8_t* base;
    uint64_t bytes;
    uint32_t access;
    uint32_t requests;
    uint32_t grants;
    uint32_t kept;
    uint32_t next;  // pool regions, in the order of their addresses
    bool registered;
    bool direct;  // granted directly, and nothing beside that
    bool moved;   // was, so its pages lie in mappings of their own
    Share share;
  };

  Code enter(uint64_t serial, uint8_t* base, uint64_t bytes, uint32_t access, bool registered, uint64_t* id) noexcept;
  Code find(uint64_t id, Region** region) noexcept;
  static uint32_t* count_of(Hold why, Region* region) noexcept;
  // Whether that slice of it may be granted directly.
  Code check_direct(const Region& region, uint64_t offset, uint64_t bytes) const noexcept;
  // The link behind which a pool region of so many bytes fits, and where; null: nowhere.
  uint32_t* find_gap(uint64_t bytes, uint8_t** at) noexcept;

  SpinLock lock_;  // every operation of a NIC takes it twice
  Region* regions_ = nullptr;
  uint8_t* pool_ = nullptr;
  bool own_pages_ = false;
  uint64_t pool_bytes_ = 0;
  uint32_t context_ = 0;
  uint32_t first_ = kNone;
  SlotPool slots_;
};

}  // namespace rc

#endif  // CORE_REGION_H_
