#include "core/self.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/context.h"
#include "core/descriptors.h"

namespace rc {
namespace {

void close_fds(const Link* link) noexcept {
  for (int fd : link->fd) {
    if (fd >= 0) ::close(fd);
  }
}

void self_close(Context& context, Link* link) noexcept {
  close_fds(link);
  context.give_ring(link->outbox);
}

Code self_alive(Link* link, Side side) noexcept {
  drain_fd(link->fd[side]);
  return kOk;
}

void self_ring(Link* link, Side side) noexcept { signal_fd(link->fd[side]); }

void self_interrupt(Link* link) noexcept {
  for (int fd : link->fd) signal_fd(fd);
}

// Control entries that no URI leads to, and data entries that a direct link never uses.
Code no_listen(Context&, ListenPoint*) noexcept { return kUnsupported; }
void no_point(ListenPoint*) noexcept {}
void no_unlisten(Context&, ListenPoint*) noexcept {}
Code no_accept(Context&, ListenPoint*, Deadline, Link*) noexcept { return kUnsupported; }
Code no_connect(Context&, const Uri&, const ChannelParams&, Deadline, Link*) noexcept { return kUnsupported; }
Code no_post(Link*, const WorkRequest*, uint32_t) noexcept { return kUnsupported; }
Code no_progress(Link*, Side) noexcept { return kOk; }
bool delivered(Link*) noexcept { return true; }

constexpr Backend kSelf = {"self",      sizeof(Link), 0,          no_listen,  no_point,
                           no_unlisten, no_accept,    no_connect, self_close, no_post,
                           no_progress, delivered,    self_alive, self_ring,  self_interrupt};

}  // namespace

// Inbox and outbox are the same memory. Each of its words has one writer all the same: the put side writes tail, bytes
// and the putter's arm count, the get side credit and the getter's.
Code self_link(Context& context, Link* link) noexcept {
  Inbox* inbox = context.take_ring();
  if (inbox == nullptr) return kPool;
  for (int& fd : link->fd) fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (link->fd[0] < 0 || link->fd[1] < 0) {
    Code code = fail_errno(kSystem, "eventfd for a channel to oneself", errno);
    close_fds(link);
    context.give_ring(inbox);
    return code;
  }
  link->ops = &kSelf;
  link->inbox = link->outbox = inbox;
  link->ring_bytes = context.limits().ring_bytes;
  link->direct = true;
  link->peer_pid = getpid();
  link->peer_uid = getuid();
  strcpy(link->uri, "self");
  return kOk;
}

}  // namespace rc
