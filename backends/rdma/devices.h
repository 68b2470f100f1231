// Which RDMA devices there are, and which of a port's GIDs to use.
#ifndef BACKENDS_RDMA_DEVICES_H_
#define BACKENDS_RDMA_DEVICES_H_

#include "backends/rdma/endpoint.h"

namespace rc {

struct Gids {
  uint32_t used;
  uint32_t best;  // index; kNotGiven: none would do
  ibv_gid gid;    // that one
};
// Those of a port; with `address` only these that are it.
Gids look_at_gids(ibv_context* verbs, uint8_t port_num, const ibv_port_attr& port, const ibv_gid* address) noexcept;
bool is_active(ibv_context* verbs, uint8_t port_num, ibv_port_attr* port) noexcept;
bool is_empty(const ibv_gid& gid) noexcept;
// False: the address is none in particular.
bool gid_of(const sockaddr_storage& address, ibv_gid* gid) noexcept;

// Where an endpoint without rdma_cm is made.
struct Place {
  ibv_context* verbs;  // opened, the caller's to close
  uint8_t port_num;
  uint32_t gid_index;
  ibv_gid gid;
  uint16_t lid;
  bool infiniband;
};
Code find_place(const Uri& uri, const Knobs& knobs, const sockaddr_storage& address, Place* place) noexcept;

// The seam's extras: see core/backend.h.
Code rdma_device(uint32_t i, Device* to) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_DEVICES_H_
