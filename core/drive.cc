// Progress for all channels of a context at once, by a thread that is on neither side of any: what TCP has brought is
// applied, and operations of the peers are done. One epoll set names the links that have something, the one that waits
// longest first; a turn looks at so many of them, and each does no more than its progress does.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/channel.h"
#include "core/context.h"
#include "core/descriptors.h"
#include "core/mutex_lock.h"

namespace rc {
namespace {

constexpr int kLinksPerTurn = 64;

}  // namespace

// ------------------------------------------------------------------------------------------------------------- channel

// Over direct links only operations want somebody (O6). Links without descriptors for their sides ring nobody.
int Channel::drive_fd() const noexcept {
  if (direct_) return ops_ != nullptr ? link_->fd[kGetSide] : -1;
  return link_->fd[kGetSide] >= 0 ? link_->common_fd : -1;
}

void Channel::allow_driving() noexcept {
  driven_.store(true, std::memory_order_relaxed);
  if (direct_) {
    Bell bell(this);
    arm_server();
  } else {
    drive_inside();  // from now on the descriptor tells
  }
}

Code Channel::arm_server() noexcept {
  server_.arm(outbox_->server);
  if (!heavy_fence()) nap(-1, -1, kNapMaxNs);  // pairs with the light_fence in Ops::ring_peer; else as in evict
  return serve_ops();
}

Code Channel::drive_inside() noexcept {
  Code gone = over();
  if (gone != kOk) return gone;
  if (!direct_) {
    gone = link_->ops->progress(link_, kNoSide);
    if (gone == kOk) gone = link_->ops->alive(link_, kNoSide);
    if (serve_ops() == kCorrupt) return kCorrupt;  // what had arrived counts
  } else {
    if (!bell_.try_lock()) return kWouldBlock;
    gone = link_->ops->alive(link_, kGetSide);
    arm_server();
    signal_eaten();
    bell_.unlock();
  }
  return gone == kOk ? over() : end(gone);
}

Code Channel::drive(uint64_t id) noexcept {
  // Pairs with claim and the fence in evict: either it sees us inside, or we see the id gone.
  driving_.exchange(1, std::memory_order_seq_cst);
  Code code = kHandle;
  if (id_.load(std::memory_order_seq_cst) == id) {
    end_leases();  // also of a channel that is over
    code = drive_inside();
  }
  driving_.store(0, std::memory_order_release);
  return code;
}

void Channel::stop_being_driven(uint64_t id) noexcept {
  driving_.exchange(1, std::memory_order_seq_cst);
  if (id_.load(std::memory_order_seq_cst) == id) context_->stop_driving(drive_fd());
  driving_.store(0, std::memory_order_release);
}

// ------------------------------------------------------------------------------------------------------------- context

Code Context::start_driving(Channel* channel, uint64_t id) noexcept {
  int fd = channel->drive_fd();
  if (fd < 0) return kOk;
  if (!drive_at(fd, id) || (channel->keeps_time() && !drive_at(channel->ops()->timer(), id)))
    return fail_errno(kSystem, "watching a channel for progress", errno);
  channel->allow_driving();
  return kOk;
}

bool Context::drive_at(int fd, uint64_t id) noexcept {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = id;
  return epoll_ctl(drive_fd_.load(std::memory_order_relaxed), EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST;
}

void Context::stop_driving(int fd) noexcept {
  epoll_ctl(drive_fd_.load(std::memory_order_relaxed), EPOLL_CTL_DEL, fd, nullptr);
}

// Under the drive lock.
uint32_t Context::drive_some() noexcept {
  epoll_event events[kLinksPerTurn];
  int n = epoll_wait(drive_fd_.load(std::memory_order_acquire), events, kLinksPerTurn, 0);
  uint32_t busy = 0;
  for (int i = 0; i < n; ++i) {
    uint64_t id = events[i].data.u64;
    Channel* channel = &channels_[Id::slot(id)];
    Code code = channel->drive(id);
    if (code == kWouldBlock) ++busy;
    if (code != kOk && code != kWouldBlock && code != kHandle) channel->stop_being_driven(id);
  }
  return n > 0 && static_cast<uint32_t>(n) == busy ? busy : 0;
}

Code Context::open_drive_set() noexcept {
  int set = epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) return fail_errno(kSystem, "epoll for the progress of a context", errno);
  drive_fd_.store(set, std::memory_order_release);
  return kOk;
}

Code Context::progress() noexcept {
  Code code = kOk;
  if (drive_fd_.load(std::memory_order_acquire) < 0) {
    MutexLock lock(&ready_mutex_);
    if (drive_fd_.load(std::memory_order_relaxed) < 0) {
      pthread_mutex_lock(&drive_mutex_);  // nobody drives a set that is not complete
      code = open_drive_set();
      if (code == kOk) code = each_channel([this](Channel* c, uint64_t id) noexcept { return start_driving(c, id); });
      if (code != kOk) close_set(&drive_fd_);
      pthread_mutex_unlock(&drive_mutex_);
    }
  }
  if (code != kOk || pthread_mutex_trylock(&drive_mutex_) != 0) return code;  // somebody else is at it
  drive_some();
  pthread_mutex_unlock(&drive_mutex_);
  return kOk;
}

// -------------------------------------------------------------------------------------------------------------- thread

void* Context::run_driver(void* context) noexcept {
  static_cast<Context*>(context)->drive_until_close();
  return nullptr;
}

void Context::drive_until_close() noexcept {
  int set = drive_fd_.load(std::memory_order_acquire);
  int64_t nap_ns = kNapMinNs;
  while (wait_readable(set, driver_stop_fd_, Deadline::never_passes()) == kOk) {
    pthread_mutex_lock(&drive_mutex_);
    bool all_busy = drive_some() != 0;
    pthread_mutex_unlock(&drive_mutex_);
    // Those inside are about to do it: they are left some time.
    if (all_busy) nap(-1, driver_stop_fd_, nap_ns);
    nap_ns = !all_busy ? kNapMinNs : nap_ns * 2 < kNapMaxNs ? nap_ns * 2 : kNapMaxNs;
  }
}

Code Context::start_driver() noexcept {
  driver_stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (driver_stop_fd_ < 0) return fail_errno(kSystem, "eventfd for the progress thread", errno);
  Code code = open_drive_set();
  if (code != kOk) return code;
  // No handler of the program runs in it: a thread inherits what is blocked.
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int error = pthread_create(
      &driver_, nullptr, [](void* c) -> void* { return run_driver(c); }, this);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  has_driver_ = error == 0;
  if (error == EAGAIN)
    return fail_plain(kSystem,
                      "starting the progress thread: the system gives no more threads; raise ulimit -u or the limit of "
                      "the container (pids.max), or open without rc_config.progress_thread");
  return error == 0 ? kOk : fail_errno(kSystem, "starting the progress thread", error);
}

void Context::stop_driver() noexcept {
  if (has_driver_) {
    signal_fd(driver_stop_fd_);
    pthread_join(driver_, nullptr);
    has_driver_ = false;
  }
  if (driver_stop_fd_ >= 0) ::close(driver_stop_fd_);
  driver_stop_fd_ = -1;
}

}  // namespace rc
