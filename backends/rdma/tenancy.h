// What the connections of one context share of a device: its protection domain, with cq=shared completion queues, and
// the opened device that hears of its events.
#ifndef BACKENDS_RDMA_TENANCY_H_
#define BACKENDS_RDMA_TENANCY_H_

#include <atomic>

#include "backends/rdma/shared_queues.h"
#include "backends/rdma/verbs.h"
#include "core/context.h"

namespace rc {

// Of one port, counted since the device is in use here.
struct PortEvents {
  std::atomic<uint32_t> downs;
  std::atomic<uint32_t> ups;
  std::atomic<uint32_t> gid_changes;
};

struct Tenancy {
  uint32_t users;      // connections; 0: this place is free
  ibv_context* verbs;  // where their queue pairs are made: rdma_cm's, which is open while one of them has its id
  ibv_context* watch;  // the same device opened here, as each open device hears of all events; may be `verbs` itself
  ibv_pd* pd;          // null: none of them shares one
  SharedQueues shared;
  std::atomic<bool> failed;  // for good
  static constexpr uint32_t kPorts = 4;
  PortEvents ports[kPorts + 1];  // the first: of all ports beyond

  PortEvents& port(uint32_t number) noexcept { return ports[number <= kPorts ? number : 0]; }
};

inline constexpr uint32_t kTenanciesMost = 16;  // devices, each by way of rdma_cm and without it

struct Tenancies {
  Tenancy of[kTenanciesMost];
};

// One more connection on that device. opened: `verbs` was opened for it and is the tenancy's from now on, also if this
// fails; if there is one already, that one's is used.
Code join_tenancy(Context& context, ibv_context* verbs, bool opened, Tenancy** tenancy) noexcept;
// The domain that they share, made for the first one.
Code share_domain(Context& context, Tenancy* tenancy, ibv_pd** pd) noexcept;
// What the device has said since somebody heard it, for all of them: the next look of each finds it.
void hear_events(Tenancy* tenancy) noexcept;
// The last one closes what they shared: whatever it made there is gone by now.
void leave_tenancy(Context& context, Tenancy* tenancy) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_TENANCY_H_
