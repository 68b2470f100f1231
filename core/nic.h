// Direct grants that the NIC of the asker's end reaches (PROTOCOL.md "Direct grants over rdma"). What a backend has for
// them is one table, beside share, unshare and reach in backend.h.
#ifndef CORE_NIC_H_
#define CORE_NIC_H_

#include <stddef.h>
#include <stdint.h>

#include <atomic>

#include "core/result.h"

namespace rc {

struct Link;
class Regions;

// A region that the NIC knows. Its place may become another one's while none of this link's requests keeps it.
struct NicRegion {
  std::atomic<uint32_t> requests;
  // By the put side, which holds the region.
  void keep() noexcept { requests.fetch_add(1, std::memory_order_relaxed); }  // who gives places away is the put side
  // Any thread, before it lets go of the region.
  void let_go() noexcept { requests.fetch_sub(1, std::memory_order_release); }  // pairs with the acquire in idle
  bool idle() const noexcept { return requests.load(std::memory_order_acquire) == 0; }
};

// A piece of an operation on the peer's memory, as a frame of the op ring would ask for it.
struct NicWork {
  uint32_t type;     // kOpWrite, kOpRead, kOpSwap, kOpAdd
  uint32_t key;      // the peer's, for its NIC
  uint64_t address;  // the peer's
  // This end's bytes; unused by atomics.
  const NicRegion* kept;
  const uint8_t* at;
  uint64_t bytes;
  uint64_t value;
  uint64_t compare;
  uint32_t request;  // its number; one atomic of a number at a time
};

// What is posted here and by post is executed in the order of the calls, a READ or atomic before what comes later.
struct NicTable {
  bool able;  // else a direct grant is memory that both ends map, or there are none
  // By the put side, of a region that it holds; null: the NIC does not know it, or not any more.
  NicRegion* (*find)(Link*, uint64_t region) noexcept;
  // The NIC is to know all of that region from now on, until forget if there is room. Takes its time: by the put side,
  // which holds the region, without locks.
  Code (*enter)(Link*, Regions*, uint64_t region, NicRegion**) noexcept;
  void (*forget)(Link*, uint64_t region) noexcept;
  // Op frames of the peer may have come since the last progress. Any thread.
  bool (*news)(const Link*) noexcept;
  // Posts it, or its first *posted bytes; done says when what *ticket stands for is over. kWouldBlock: the queue is
  // full.
  Code (*operate)(Link*, const NicWork&, uint64_t* posted, uint64_t* ticket) noexcept;
  // As the last progress saw it. Tickets are done in order. The old word of an atomic is then in its request's place of
  // Link::landings. Any thread.
  bool (*done)(Link*, uint64_t ticket) noexcept;
  // The channel is over: from now on no NIC touches memory on behalf of this link.
  void (*halt)(Link*) noexcept;
};
extern const NicTable kNoNic;

}  // namespace rc

#endif  // CORE_NIC_H_
