// The end of direct grants whose lease is over (PROTOCOL.md "Leases of direct grants"): by whatever call, or turn of
// somebody who drives the channel, comes first.
#include <sys/timerfd.h>

#include "core/context.h"
#include "core/ops.h"

namespace rc {
namespace {

constexpr int64_t kSecondNs = int64_t{1000} * 1000 * 1000;
// What could not be taken back is tried again so soon.
constexpr int64_t kTryAgainNs = kSecondNs / 100;

}  // namespace

// --------------------------------------------------------------------------------------------------------------- owner

// The peer is told first (E2). Whether it reaches nothing any more. kWouldBlock: it has been told, and its NIC may
// still be at work; else why not. Both are tried again when g.due_ns has come.
Code Ops::end_lease(Grant& g, int64_t now) noexcept {
  if (g.state == Grant::kLive) end_grant(g, Grant::kLapsed);
  if (!over_ && !g.asked && g.state == Grant::kLapsed) {  // an honest peer uses the pages no more
    g.asked = true;
    to_send_.push(kRevokeItem | g.lease.key.slot());
    serve_locked();
  }
  const int64_t waited_ns = g.lease.expires_ns + kNicWaitNs;
  if (g.by_nic && g.asked && !g.answered && !over_ && now < waited_ns) {
    g.due_ns = waited_ns;
    return kWouldBlock;
  }
  Code code = unshare(g);
  g.due_ns = code == kOk ? kNeverNs : now + kTryAgainNs;
  return code;
}

// E1: whichever call comes first.
void Ops::end_leases_due() noexcept {
  if (now_ns() < due_ns()) return;
  Locked locked(this);
  for (uint32_t i = 0; i < kGrantsMax && open_; ++i) {
    Grant& g = grants_[i];
    settle(g);  // another thread may be at it: what it has not ended yet, this call must not go on with
    int64_t now = now_ns();
    if (g.shared && open_ && now >= g.due_ns) end_lease(g, now);
  }
  set_due();
}

void Ops::set_timer(int fd) noexcept {
  Locked locked(this);
  timer_fd_ = fd;
}

// Under the lock.
void Ops::set_due() noexcept {
  int64_t due_ns = kNeverNs;
  for (uint32_t i = 0; i < kGrantsMax; ++i) {
    const Grant& g = grants_[i];
    if (g.shared && g.due_ns < due_ns) due_ns = g.due_ns;
  }
  due_ns_.store(due_ns, std::memory_order_relaxed);
  if (timer_fd_ < 0) return;
  itimerspec at = {};  // zero: never
  if (due_ns != kNeverNs) at.it_value = {due_ns / kSecondNs, due_ns % kSecondNs};
  timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &at, nullptr);
}

// Nothing is left only when it is so (E3).
Code Ops::grant_lease(uint64_t grant, Lease* lease, int64_t* left_ns) noexcept {
  Locked locked(this);
  Grant* g = nullptr;
  Code code = find_grant(grant, &g);
  if (code != kOk || g == nullptr) return code;
  int64_t now = now_ns(), end_ns = g->lease.expires_ns;
  if (g->shared && now >= end_ns) {
    code = end_lease(*g, now);
    set_due();
    if (code == kWouldBlock) end_ns += kNicWaitNs;
    if (code != kOk && code != kWouldBlock) return code;
    code = find_grant(grant, &g);  // the lock was given up
    if (code != kOk) return code;
  }
  *lease = g->lease;
  *left_ns = end_ns == kNeverNs ? kLeaseNone : end_ns > now ? end_ns - now : 0;
  return kOk;
}

}  // namespace rc
