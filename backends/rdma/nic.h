// Direct grants over rdma (nic.cc): what the link's table and its end need of them.
#ifndef BACKENDS_RDMA_NIC_H_
#define BACKENDS_RDMA_NIC_H_

#include "backends/rdma/link.h"
#include "core/nic.h"

namespace rc {

extern const Extras kRdmaExtras, kRdmaSendExtras;
extern const NicTable kRdmaNic;

Code rdma_share(Link* link, uint64_t key_id, uint32_t rights, Share* share) noexcept;
Code rdma_unshare(Share* share) noexcept;
Code rdma_reach(Link* link, uint64_t key_id, uint64_t bytes, uint32_t rights, uint8_t** at) noexcept;
// The queue pair is gone: nothing is registered any more.
void end_nic(RdmaLink* link) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_NIC_H_
