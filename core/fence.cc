#include "core/fence.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace rc {
namespace {

std::atomic<bool> g_registered{false};

long membarrier(int command) noexcept { return syscall(SYS_membarrier, command, 0, 0); }

}  // namespace

bool register_heavy_fence() noexcept {
  if (!heavy_fence_registered() && membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0) {
    g_registered.store(true, std::memory_order_release);
  }
  return heavy_fence_registered();
}

bool heavy_fence_registered() noexcept { return g_registered.load(std::memory_order_acquire); }

bool heavy_fence() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return !heavy_fence_registered() || membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
}

}  // namespace rc
