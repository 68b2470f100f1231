// rdma://HOST:PORT?KEY=VALUE... - two processes of any two hosts with an RDMA device (InfiniBand, RoCE, soft-RoCE): a
// reliable connection made by rdma_cm, and RDMA WRITEs into the peer's inbox.
#ifndef BACKENDS_RDMA_RDMA_H_
#define BACKENDS_RDMA_RDMA_H_

#include "core/backend.h"

namespace rc {

extern const Backend kRdmaBackend;
extern const Backend kRdmaSendBackend;  // of the links by path=send, and over iWARP

}  // namespace rc

#endif  // BACKENDS_RDMA_RDMA_H_
