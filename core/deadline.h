// A point on the monotonic clock, or never.
#ifndef CORE_DEADLINE_H_
#define CORE_DEADLINE_H_

#include <stdint.h>
#include <time.h>

namespace rc {

inline int64_t now_ns() noexcept {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1000000000 + t.tv_nsec;
}

class Deadline {
 public:
  // timeout_ns < 0: never.
  static Deadline after(int64_t timeout_ns) noexcept {
    if (timeout_ns < 0) return Deadline(INT64_MAX);
    int64_t now = now_ns();
    return Deadline(timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns);
  }
  static Deadline never_passes() noexcept { return Deadline(INT64_MAX); }
  bool never() const noexcept { return at_ == INT64_MAX; }
  int64_t at() const noexcept { return at_; }
  // Nanoseconds left, at least 0.
  int64_t left(int64_t now) const noexcept { return at_ > now ? at_ - now : 0; }
  Deadline or_at(int64_t at) const noexcept { return at > at_ ? Deadline(at) : *this; }
  Deadline or_before(int64_t at) const noexcept { return at < at_ ? Deadline(at) : *this; }
  Deadline sooner(int64_t timeout_ns) const noexcept {
    Deadline other = after(timeout_ns);
    return other.at_ < at_ ? other : *this;
  }

 private:
  explicit Deadline(int64_t at) noexcept : at_(at) {}
  int64_t at_;
};

}  // namespace rc

#endif  // CORE_DEADLINE_H_
