// One descriptor for a whole context: an epoll set of the descriptors of its channels, listeners and meshes, each named
// by its handle. The kernel keeps the list of those that are ready and hands it out in turns, so nobody is starved.
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/context.h"
#include "core/mesh.h"
#include "core/mutex_lock.h"

namespace rc {

void Context::close_set(std::atomic<int>* set) noexcept {
  int fd = set->exchange(-1, std::memory_order_acq_rel);
  if (fd >= 0) ::close(fd);
}

Code Context::watch_ready(int fd, uint64_t id) noexcept {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = id;
  if (epoll_ctl(ready_fd_.load(std::memory_order_relaxed), EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST)
    return kOk;
  return fail_errno(kSystem, "watching one more descriptor for the context's", errno);
}

// Before it is closed: a forked child may hold a copy, and then the set would not let go of it.
void Context::forget_ready(int fd) noexcept {
  int set = ready_fd_.load(std::memory_order_acquire);
  if (set >= 0 && fd >= 0) epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr);
}

// Some have none: attached memory, rdma that polls.
Code Context::watch_channel(Channel* channel, uint64_t id) noexcept {
  if (channel->link()->fd[kGetSide] < 0) return kOk;
  int fd = -1;
  Code code = channel->descriptor(&fd);
  return code == kOk ? watch_ready(fd, id) : code;
}

Code Context::watch_mesh(Mesh* mesh, uint64_t id) noexcept {
  int fd = -1;
  Code code = mesh->descriptor(&fd);
  return code == kOk ? watch_ready(fd, id) : code;
}

Code Context::watch_meshes() noexcept {
  for (uint32_t i = 0; i < limits_.meshes_max; ++i) {
    Mesh* mesh = &meshes_[i];
    uint64_t id = mesh->handle.load(std::memory_order_seq_cst);
    if (id == 0) continue;
    if (!mesh->enter()) return fail_plain(kBusy, "another thread is in rc_mesh_event on a mesh of this context");
    // Pairs with close_mesh: either it sees us inside, or we see the id gone.
    Code code = mesh->handle.load(std::memory_order_seq_cst) == id ? watch_mesh(mesh, id) : kOk;
    mesh->leave();
    if (code != kOk) return code;
  }
  return kOk;
}

Code Context::watch_listeners() noexcept {
  for (uint32_t i = 0; i < limits_.listeners_max; ++i) {
    uint64_t id = listeners_[i].id.load(std::memory_order_acquire);
    if (id == 0 || listeners_[i].adopted_id != id || listeners_[i].point->fd < 0) continue;
    Code code = watch_ready(listeners_[i].point->fd, id);
    if (code != kOk) return code;
  }
  return kOk;
}

Code Context::descriptor(int* fd) noexcept {
  MutexLock lock(&ready_mutex_);
  Code code = kOk;
  if (ready_fd_.load(std::memory_order_relaxed) < 0) {
    int set = epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) return fail_errno(kSystem, "epoll for a context", errno);
    ready_fd_.store(set, std::memory_order_release);
    code = each_channel([this](Channel* c, uint64_t id) noexcept { return watch_channel(c, id); });
    if (code == kOk) code = watch_listeners();
    if (code == kOk) code = watch_meshes();
    if (code != kOk) close_set(&ready_fd_);
  }
  *fd = ready_fd_.load(std::memory_order_relaxed);
  return code;
}

// A mesh's own listener and the channels that it has not told of yet are its own: they are not adopted.
Code Context::adopt_channel(uint64_t* id) noexcept {
  Channel* channel = &channels_[Id::slot(*id)];
  Code code = kOk;
  {
    MutexLock lock(&ready_mutex_);
    channel->adopted_id = *id;
    if (ready_fd_.load(std::memory_order_relaxed) >= 0) code = watch_channel(channel, *id);
    if (code == kOk && drive_fd_.load(std::memory_order_relaxed) >= 0) code = start_driving(channel, *id);
  }
  if (code == kOk) return kOk;
  close_channel(channel, *id);
  *id = 0;
  return code;
}

Code Context::adopt_listener(uint64_t* id) noexcept {
  Listener* listener = &listeners_[Id::slot(*id)];
  Code code = kOk;
  {
    MutexLock lock(&ready_mutex_);
    listener->adopted_id = *id;
    if (ready_fd_.load(std::memory_order_relaxed) >= 0 && listener->point->fd >= 0)
      code = watch_ready(listener->point->fd, *id);
  }
  if (code == kOk) return kOk;
  close_listener(listener, *id);
  *id = 0;
  return code;
}

Code Context::adopt_mesh(uint64_t* id) noexcept {
  Mesh* mesh = &meshes_[Id::slot(*id)];
  Code code = kOk;
  {
    MutexLock lock(&ready_mutex_);
    if (ready_fd_.load(std::memory_order_relaxed) >= 0) code = watch_mesh(mesh, *id);
  }
  if (code == kOk) return kOk;
  close_mesh(mesh, *id);
  *id = 0;
  return code;
}

Code Context::ready(uint64_t* ids, uint32_t capacity, uint32_t* count, int64_t timeout_ns) noexcept {
  int set = -1;
  Code code = descriptor(&set);
  if (code != kOk) return code;
  Deadline deadline = Deadline::after(timeout_ns);
  uint32_t most = capacity < kReadyMost ? capacity : kReadyMost;
  for (;;) {
    epoll_event events[kReadyMost];
    int n = epoll_wait(set, events, static_cast<int>(most), 0);
    for (int i = 0; i < n; ++i) ids[i] = events[i].data.u64;
    if (n > 0) {
      *count = static_cast<uint32_t>(n);
      return kOk;
    }
    if (timeout_ns == 0) return fail_plain(kWouldBlock, "nothing is ready in the context");
    code = wait_readable(set, stop_fd_, deadline);
    if (code != kOk) return code;
  }
}

}  // namespace rc
