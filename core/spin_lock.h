// A lock for a few instructions or one copy; who waits spins, then yields, then sleeps.
#ifndef CORE_SPIN_LOCK_H_
#define CORE_SPIN_LOCK_H_

#include <atomic>

namespace rc {

// Held for the length of a ring's copy, or of a system call on a region's pages, at most; who cannot say so uses
// try_lock.
class SpinLock {
 public:
  void lock() noexcept {
    if (__builtin_expect(!try_lock(), 0)) wait();
  }
  bool try_lock() noexcept { return !held_.exchange(true, std::memory_order_acquire); }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  // Out of line, so that who finds it free has nothing to do with it.
  __attribute__((cold)) void wait() noexcept;  // wait.cc
  std::atomic<bool> held_{false};
};

// Holds one as long as it lives.
class SpinLocked {
 public:
  explicit SpinLocked(SpinLock* lock) noexcept : lock_(lock) { lock_->lock(); }
  ~SpinLocked() { lock_->unlock(); }
  SpinLocked(const SpinLocked&) = delete;
  SpinLocked& operator=(const SpinLocked&) = delete;

 private:
  SpinLock* lock_;
};

}  // namespace rc

#endif  // CORE_SPIN_LOCK_H_
