// The backends of the programs that test with the fake.
#include "backends/loop/loop.h"
#include "backends/shm/shm.h"
#include "core/backend.h"
#include "harness/fake/fake.h"

namespace rc {

const Backend* const g_backends[] = {&kLoopBackend, &kShmBackend, &kFakeBackend, nullptr};

}  // namespace rc
