// The backends of the library. The only file that names more than one.
#include "backends/loop/loop.h"
#include "backends/rdma/rdma.h"
#include "backends/shm/shm.h"
#include "core/backend.h"

namespace rc {

const Backend* const g_backends[] = {&kLoopBackend, &kShmBackend, &kRdmaBackend, nullptr};

}  // namespace rc
