// The backends of the library. The only file that names more than one.
#include "backends/loop/loop.h"
#include "backends/rdma/rdma.h"
#include "backends/shm/shm.h"
#include "backends/tcp/tcp.h"
#include "core/backend.h"

namespace rc {

const Backend* const g_backends[] = {&kLoopBackend, &kShmBackend, &kTcpBackend, &kRdmaBackend, nullptr};

}  // namespace rc
