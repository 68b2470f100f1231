// The asymmetric fence of the doorbell (PROTOCOL.md I7): the side that may sleep pays, the side that puts does not.
#ifndef CORE_FENCE_H_
#define CORE_FENCE_H_

#include <atomic>

namespace rc {

// Registers this process so that heavy fences of other processes act on its threads too. False: the kernel cannot
// (membarrier(2) missing or forbidden), and light fences must be full ones.
bool register_heavy_fence() noexcept;

// True if register_heavy_fence has succeeded in this process.
bool heavy_fence_registered() noexcept;

// A full fence here, and in every running thread of every registered process (membarrier(2), GLOBAL_EXPEDITED). False:
// only here, because the kernel had no memory for it; who would sleep on the strength of it naps first.
bool heavy_fence() noexcept;

// Orders an earlier store before a later load against somebody's heavy_fence. `full`: that somebody may have no
// membarrier, so pay for a real fence.
inline void light_fence(bool full) noexcept {
  if (full) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } else {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

}  // namespace rc

#endif  // CORE_FENCE_H_
