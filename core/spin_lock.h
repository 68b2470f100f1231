// A lock for a few instructions or one copy; who waits spins, then yields.
#ifndef CORE_SPIN_LOCK_H_
#define CORE_SPIN_LOCK_H_

#include <sched.h>

#include <atomic>

#include "core/atomics.h"

namespace rc {

// Held for the length of a ring's copy at most; who cannot say so uses try_lock.
class SpinLock {
 public:
  void lock() noexcept {
    if (__builtin_expect(!try_lock(), 0)) wait();
  }
  bool try_lock() noexcept { return !held_.exchange(true, std::memory_order_acquire); }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  static constexpr int kTurns = 100;
  // Out of line, so that who finds it free has nothing to do with it.
  __attribute__((noinline, cold)) void wait() noexcept {
    for (int turns = 0; !try_lock(); ++turns) {
      if (turns < kTurns) {
        cpu_pause();
      } else {
        sched_yield();
      }
    }
  }
  std::atomic<bool> held_{false};
};

}  // namespace rc

#endif  // CORE_SPIN_LOCK_H_
