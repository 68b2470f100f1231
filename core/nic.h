// Direct grants that the NIC of the asker's end reaches (PROTOCOL.md "Direct grants over rdma"). What a backend has for
// them is one table, beside share, unshare and reach in backend.h.
#ifndef CORE_NIC_H_
#define CORE_NIC_H_

#include <stddef.h>
#include <stdint.h>

#include "core/result.h"

namespace rc {

struct Link;

// A piece of an operation on the peer's memory, as a frame of the op ring would ask for it.
struct NicWork {
  uint32_t type;      // kOpWrite, kOpRead, kOpSwap, kOpAdd
  uint32_t key;       // the peer's, for its NIC
  uint64_t address;   // the peer's
  uint64_t region;    // this end's bytes; unused by atomics
  const uint8_t* at;  // within the region
  uint64_t bytes;
  uint64_t value;
  uint64_t compare;
  uint32_t request;  // its number; one atomic of a number at a time
};

// What is posted here and by post is executed in the order of the calls, a READ or atomic before what comes later.
struct NicTable {
  bool able;  // else a direct grant is memory that both ends map, or there are none
  // The NIC is to know all of that region, which is held, as long as keep was called more often than let_go. Registered
  // once; afterwards it stays known until forget, if there is room. Without locks, by the put side.
  Code (*keep)(Link*, uint64_t region, void* address, uint64_t bytes, uint32_t access) noexcept;
  void (*let_go)(Link*, uint64_t region) noexcept;
  void (*forget)(Link*, uint64_t region) noexcept;
  // Posts it, or its first *posted bytes; done says when what *ticket stands for is over. kWouldBlock: the queue is
  // full.
  Code (*operate)(Link*, const NicWork&, uint64_t* posted, uint64_t* ticket) noexcept;
  // Tickets are done in order. The old word of an atomic is then in its request's place of Link::landings.
  bool (*done)(Link*, uint64_t ticket) noexcept;
  // The channel is over: from now on no NIC touches memory on behalf of this link.
  void (*halt)(Link*) noexcept;
};
extern const NicTable kNoNic;

}  // namespace rc

#endif  // CORE_NIC_H_
