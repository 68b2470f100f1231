// The backends of a program that wants emulated networks beside the real ones: linked instead of //backends:registry.
#include "backends/loop/loop.h"
#include "backends/shm/shm.h"
#include "core/backend.h"
#include "harness/emulator/emulator.h"

namespace rc {

const Backend* const g_backends[] = {&kLoopBackend, &kShmBackend, &kEmulatedLoop, &kEmulatedShm, nullptr};

}  // namespace rc
