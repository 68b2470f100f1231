// The local bytes of a request: pieces of regions in the order in which they meet the peer's memory.
#ifndef CORE_GATHER_H_
#define CORE_GATHER_H_

#include <stddef.h>
#include <stdint.h>

#include "core/nic.h"
#include "core/region.h"
#include "core/result.h"

namespace rc {

// Of one request.
inline constexpr uint32_t kPiecesMax = 16;

// A piece of a region as a call names it.
struct Slice {
  uint64_t region;  // handle
  uint64_t offset;
  uint64_t bytes;
};

class Gather {
 public:
  struct Part {
    uint8_t* at;
    uint64_t bytes;
    uint64_t region;
    uint32_t slot;
    NicRegion* kept;  // null: no NIC needs to know it
  };
  // Holds all of them, or none. At most kPiecesMax; it holds nothing yet.
  Code hold(Regions* regions, const Slice* slices, uint32_t count, uint32_t access,
            Hold why = Hold::kRequest) noexcept {
    for (count_ = 0; count_ < count; ++count_) {
      const Slice& s = slices[count_];
      Regions::Piece piece = {};
      Code code = regions->hold(why, s.region, s.offset, s.bytes, access, &piece);
      if (code != kOk) {
        let_go(regions);
        return code;
      }
      parts_[count_] = {piece.at, s.bytes, s.region, piece.slot, nullptr};
    }
    return kOk;
  }
  // The link's NIC knows all of them until they are let go. kWouldBlock: not yet, and it may not take the time to
  // learn.
  Code keep(const NicTable& nic, Link* link, Regions* regions, bool may_enter) noexcept {
    for (uint32_t i = 0; i < count_; ++i) {
      NicRegion* known = nic.find(link, parts_[i].region);
      if (known == nullptr) {
        Code code = may_enter ? nic.enter(link, regions, parts_[i].region, &known) : kWouldBlock;
        if (code != kOk) return code;
      }
      known->keep();
      parts_[i].kept = known;
    }
    return kOk;
  }
  // kPinned counts as kRequest does.
  void let_go(Regions* regions) noexcept {
    while (count_ != 0) {
      const Part& part = parts_[--count_];
      if (part.kept != nullptr) part.kept->let_go();
      regions->let_go(Hold::kRequest, part.slot);
    }
  }
  // Calls f(pointer, bytes) for what lies at [from, from + n) of all of them together.
  template <class F>
  void each(uint64_t from, uint64_t n, F f) const noexcept {
    for (uint32_t i = 0; n != 0 && i < count_; ++i) {
      const Part& part = parts_[i];
      if (from >= part.bytes) {
        from -= part.bytes;
        continue;
      }
      uint64_t some = part.bytes - from < n ? part.bytes - from : n;
      f(part.at + from, static_cast<size_t>(some));
      from = 0;
      n -= some;
    }
  }

  // The bytes at `from` of all of them together, as far as they lie in a row.
  Part at(uint64_t from) const noexcept {
    uint32_t i = 0;
    for (; i + 1 < count_ && from >= parts_[i].bytes; ++i) from -= parts_[i].bytes;
    Part part = parts_[i];
    part.at += from;
    part.bytes -= from;
    return part;
  }

 private:
  Part parts_[kPiecesMax];
  uint32_t count_;
};

}  // namespace rc

#endif  // CORE_GATHER_H_
