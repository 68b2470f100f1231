// How a side waits: spin, then yield, then sleep, and how much of each.
#ifndef CORE_WAIT_H_
#define CORE_WAIT_H_

#include <stdint.h>

#include "core/deadline.h"
#include "core/result.h"

namespace rc {

enum WaitMode : uint8_t { kWaitAdaptive = 0, kWaitSpin = 1, kWaitSleep = 2 };

inline constexpr int64_t kSpinMinNs = 2 * 1000;
inline constexpr int64_t kSpinMaxNs = 50 * 1000;
inline constexpr int kYields = 4;
// A side that never sleeps looks this often whether the peer still lives; one without a descriptor naps this long.
inline constexpr int64_t kAliveCheckNs = 1000 * 1000;
inline constexpr int64_t kNapMinNs = 50 * 1000;
inline constexpr int64_t kNapMaxNs = 1000 * 1000;
// How long a close may take to hand staged bytes to a link whose queue is full.
inline constexpr int64_t kCloseFlushNs = 1000 * 1000 * 1000;

// Learns whether spinning pays: doubles after a wait that ended while spinning, halves after one that had to sleep.
class SpinBudget {
 public:
  void paid() noexcept { ns_ = ns_ * 2 < kSpinMaxNs ? ns_ * 2 : kSpinMaxNs; }
  void wasted() noexcept { ns_ = ns_ / 2 > kSpinMinNs ? ns_ / 2 : kSpinMinNs; }
  int64_t ns() const noexcept { return ns_; }

 private:
  int64_t ns_ = kSpinMaxNs;
};

// One call's time-out: the clock is read only when there is something to wait for.
class Wait {
 public:
  explicit Wait(int64_t timeout_ns) noexcept : timeout_ns_(timeout_ns), deadline_(Deadline::never_passes()) {}
  bool may_wait() const noexcept { return timeout_ns_ != 0; }
  int64_t timeout_ns() const noexcept { return timeout_ns_; }
  Deadline deadline() noexcept {
    if (!started_) deadline_ = Deadline::after(timeout_ns_);
    started_ = true;
    return deadline_;
  }

 private:
  int64_t timeout_ns_;
  Deadline deadline_;
  bool started_ = false;
};

// Sleeps until fd is readable or hung up (kOk), stop_fd is readable (kStopped), or the deadline has passed (kTimeout).
// other_fd counts as fd. Each of them may be -1.
Code wait_readable(int fd, int stop_fd, Deadline deadline, int other_fd = -1) noexcept;

// The same, until fd is writable or has failed.
Code wait_writable(int fd, int stop_fd, Deadline deadline) noexcept;

// Sleeps for ns or until stop_fd or fd is readable.
void nap(int fd, int stop_fd, int64_t ns) noexcept;

}  // namespace rc

#endif  // CORE_WAIT_H_
