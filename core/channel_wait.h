// How a call of a channel waits, for put.cc and get.cc. A template, so that the look is part of the spin loop.
#ifndef CORE_CHANNEL_WAIT_H_
#define CORE_CHANNEL_WAIT_H_

#include <sched.h>

#include "core/channel.h"
#include "core/context.h"

namespace rc {

// Looks before the spin loop starts to pause: an answer that is on its way must not wait for the end of a pause.
inline constexpr uint32_t kHotLooks = 4096;
// Looks for each look at the clock, before and after. A look that is more than a load is always one of few.
inline constexpr uint32_t kHotLooksPerClock = 1024;
inline constexpr uint32_t kLooksPerClock = 64;
// So often a sleep may end without what was waited for; then the wait naps instead.
inline constexpr uint32_t kIdleWakes = 64;

// Of a wait that ended without what it was for, the reason: only its caller knows that.
inline Code unmet(Code code, const char* at_once, const char* at_deadline) noexcept {
  if (code == kWouldBlock) return fail_plain(code, at_once);
  return code == kTimeout ? fail_plain(code, at_deadline) : code;
}

template <class Look>
Code Channel::wait_for(Side side, Look look, Wait& wait) noexcept {
  Code code = look();
  if (code != kWouldBlock) return code;
  // A look that follows the end notice sees everything that the peer did before it.
  auto last_look = [&](Code why) noexcept {
    Code last = look();
    if (last != kWouldBlock) return last;
    if (why == kTimeout || why == kStopped) return why;
    last = ended();
    return last != kOk ? last : why;
  };
  // A getter that waits serves the peer's operations itself, and must not miss a doorbell that somebody else eats (O6).
  Bell bell(side == kGetSide ? this : nullptr);
  code = ended();
  int64_t start = now_ns();
  if (code == kOk) code = check_alive_sometimes(side, start);
  if (code != kOk) return last_look(code);
  if (!wait.may_wait()) return kWouldBlock;

  bool get = side == kGetSide;
  (get ? get_.waits : put_.waits).add(1);
  SpinBudget& budget = get ? get_.spin : put_.spin;
  Deadline deadline = wait.deadline();
  // What each turn that does not sleep does once in a while.
  auto check = [&](int64_t now) noexcept {
    Code c = ended();
    if (c == kOk && context_->stopped()) c = fail_plain(kStopped, "rc_stop was called on the context");
    if (c == kOk && deadline.left(now) == 0) c = kTimeout;
    return c != kOk ? c : check_alive_sometimes(side, now);
  };

  if (wait_ != kWaitSleep) {
    for (uint32_t i = 1;; ++i) {
      code = look();
      if (code != kWouldBlock) {
        budget.paid();
        return code;
      }
      bool hot = i <= kHotLooks;
      if (!hot) cpu_pause();
      if (i % (hot && direct_ ? kHotLooksPerClock : kLooksPerClock) != 0) continue;
      int64_t now = now_ns();
      if ((code = check(now)) != kOk) return last_look(code);
      if (wait_ == kWaitAdaptive && now - start > budget.ns()) break;
    }
    budget.wasted();
    for (int i = 0; i < kYields; ++i) {
      sched_yield();
      if ((code = look()) != kWouldBlock) return code;
    }
  }

  int fd = link_->fd[side];
  int64_t nap_ns = kNapMinNs;
  uint64_t served = served_ops();
  for (uint32_t wakes = 0;; ++wakes) {
    code = check_alive(side);  // eats doorbells of earlier armings
    bool armed = arm(side);
    if (code == kOk) code = ended();
    if (code != kOk) return last_look(code);
    if ((code = look()) != kWouldBlock) return code;
    (get ? get_.sleeps : put_.sleeps).add(1);
    // A peer that wakes us again and again for nothing gets no more of the processor than a nap leaves it.
    if (fd >= 0 && armed && wakes < kIdleWakes) {
      Deadline next = link_->look_every_ns != 0 ? deadline.sooner(link_->look_every_ns) : deadline;
      next = next.or_before(lease_due_ns());
      code = wait_readable(fd, context_->stop_fd(), next, link_->common_fd);
      if (code == kTimeout && deadline.left(now_ns()) != 0) {  // only time to look
        code = kOk;
        wakes = 0;
      }
    } else {
      int64_t left = deadline.left(now_ns());
      nap(-1, context_->stop_fd(), left < nap_ns ? left : nap_ns);
      nap_ns = nap_ns * 2 < kNapMaxNs ? nap_ns * 2 : kNapMaxNs;
      code = check(now_ns());
    }
    RC_STEP("wait: woken");
    if (code != kOk) return last_look(code);
    if ((code = look()) != kWouldBlock) return code;
    if (served_ops() == served) continue;
    served = served_ops();  // woken for something: the peer's operations
    wakes = 0;
    nap_ns = kNapMinNs;
  }
}

}  // namespace rc

#endif  // CORE_CHANNEL_WAIT_H_
