// Regions that the NIC knows for this end's own requests: each as a whole, registered at its first use.
#ifndef BACKENDS_RDMA_REGISTRATIONS_H_
#define BACKENDS_RDMA_REGISTRATIONS_H_

#include "backends/rdma/verbs.h"
#include "core/nic.h"

namespace rc {

inline constexpr uint32_t kRegistrationsMost = 64;

struct Registration : NicRegion {
  std::atomic<uint64_t> region;  // 0: free
  uint32_t slot;                 // of the region
  ibv_mr* mr;
};

struct Registrations {
  Registration of[kRegistrationsMost];
  uint64_t made;  // so far; of a channel also those of its grants and of the place where atomics land

  // null: it is not registered. Without the lock by who enters regions, of one that is held: its place is not given to
  // another one then, and the relaxed loads pair with nothing.
  Registration* find(uint64_t region) noexcept {
    for (Registration& r : of) {
      if (r.region.load(std::memory_order_relaxed) == region) return &r;
    }
    return nullptr;
  }
  // One that no request uses makes place for it. `who` has the requests, for the reason.
  Code enter(const char* who, ibv_pd* pd, uint64_t region, void* address, uint64_t bytes, uint32_t access,
             Registration** to) noexcept;
  // If no request uses it.
  void forget(uint64_t region) noexcept;
};
void deregister(Registration* r) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_REGISTRATIONS_H_
