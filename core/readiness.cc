// The level-triggered descriptor of a channel: an epoll set of both doorbells and an eventfd of our own. After each
// call either we are armed, so that the peer's next store rings, or our own eventfd says that there is something to do.
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "core/channel.h"
#include "core/context.h"
#include "core/descriptors.h"

namespace rc {

Code Channel::make_descriptor() noexcept {
  Bell bell(this);  // who drives the channel asks whether there is one
  // Two may signal, of which each takes its own back.
  self_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
  epoll_fd_ = self_fd_ < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
  bool two = link_->fd[kPutSide] >= 0 && link_->fd[kPutSide] != link_->fd[kGetSide];
  if (epoll_fd_ >= 0 && watch(epoll_fd_, self_fd_) && watch(epoll_fd_, link_->fd[kGetSide]) &&
      (!two || watch(epoll_fd_, link_->fd[kPutSide])) && (link_->common_fd < 0 || watch(epoll_fd_, link_->common_fd)) &&
      (!keeps_time() || watch(epoll_fd_, ops_->timer())))
    return kOk;
  Code code = fail_errno(kSystem, "making the channel's descriptor", errno);
  close_readiness();
  return code;
}

Code Channel::descriptor(int* fd) noexcept {
  if (!has_descriptor()) {
    if (link_->fd[kGetSide] < 0)
      return fail(kUnsupported, "a channel over %s has no descriptor to wait on", link_->ops->scheme);
    Code code = make_descriptor();
    if (code != kOk) return code;
    allow_straight(kPutSide);
    allow_straight(kGetSide);
    update_readiness();
  }
  *fd = epoll_fd_;
  return kOk;
}

void Channel::close_readiness() noexcept {
  if (epoll_fd_ >= 0) context_->forget_ready(epoll_fd_);
  if (self_fd_ >= 0) ::close(self_fd_);
  if (epoll_fd_ >= 0) ::close(epoll_fd_);
  self_fd_ = epoll_fd_ = -1;
  self_signalled_ = eaten_signalled_ = false;
}

Code Channel::keep_time() noexcept {
  if (keeps_time()) return kOk;
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (fd < 0) return fail_errno(kSystem, "a timer for the lease of a direct grant", errno);
  bool driven = driven_.load(std::memory_order_relaxed);
  if ((has_descriptor() && !watch(epoll_fd_, fd)) || (driven && !context_->drive_at(fd, id()))) {
    Code code = fail_errno(kSystem, "watching the timer of a lease", errno);
    ::close(fd);
    return code;
  }
  ops_->set_timer(fd);
  runway_id_.store(kNobody, std::memory_order_relaxed);  // a runway looks at no clock
  return kOk;
}

int64_t Channel::lease_due_ns() const noexcept { return ops_ != nullptr ? ops_->due_ns() : kNeverNs; }

void Channel::stop_keeping_time() noexcept {
  if (!keeps_time()) return;
  int fd = ops_->timer();
  ops_->set_timer(-1);
  context_->stop_driving(fd);
  ::close(fd);
}

void Channel::signal_eaten() noexcept {
  if (has_descriptor() && !eaten_signalled_) eaten_signalled_ = signal_fd(self_fd_);
}

void Channel::update_readiness() noexcept {
  auto something = [this]() noexcept {
    return look_for_bytes(get_.wanted) != kWouldBlock || ended() != kOk ||
           (put_.wanted > 1 && look_for_space(put_.wanted) != kWouldBlock) || (ops_ != nullptr && ops_->news());
  };
  Bell bell(this);
  if (eaten_signalled_) eaten_signalled_ = !drain_fd(self_fd_);
  bool signal = something();
  if (!signal) {
    check_alive(kGetSide);
    check_alive(kPutSide);
    bool armed = arm(kGetSide) && arm(kPutSide);
    signal = !armed || something();
  }
  if (signal == self_signalled_) return;
  if (signal ? signal_fd(self_fd_) : drain_fd(self_fd_)) self_signalled_ = signal;
}

}  // namespace rc
