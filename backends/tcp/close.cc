// The end of a connection, and what both ends are made of.
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "backends/tcp/link.h"
#include "backends/tcp/socket.h"
#include "core/context.h"
#include "core/descriptors.h"
#include "core/step.h"
#include "core/wait.h"

namespace rc {
namespace {

// Drained at most so much between two looks at the clock.
constexpr int kDrainsMost = 64;
constexpr size_t kDrainBytes = 16 * 1024;

// What the peer still sends is of no use, but unread it would make the kernel reset the connection. False: nothing
// comes any more.
bool drain(TcpLink* link) noexcept {
  uint8_t unread[kDrainBytes];
  for (int i = 0; i < kDrainsMost; ++i) {
    ssize_t n = recv(link->socket, unread, sizeof unread, MSG_DONTWAIT);
    if (n > 0 || (n < 0 && errno == EINTR)) continue;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }
  return true;
}

// The peer's kernel has all that this end has sent. It may take its time to say so (delayed acknowledgement), so on one
// machine it is enough to have sent it.
bool arrived(int socket, bool near) noexcept {
  int bytes = 0;
  return ioctl(socket, near ? SIOCOUTQNSD : SIOCOUTQ, &bytes) == 0 && bytes == 0;
}

// Both ends are on this machine, where nothing that was sent gets lost on the way.
bool same_machine(int socket) noexcept {
  TcpAddress here = {}, there = {};
  here.bytes = there.bytes = sizeof here.v6;
  if (getsockname(socket, &here.sa, &here.bytes) != 0 || getpeername(socket, &there.sa, &there.bytes) != 0)
    return false;
  if (here.sa.sa_family != there.sa.sa_family) return false;
  if (here.sa.sa_family == AF_INET6)
    return memcmp(&here.v6.sin6_addr, &there.v6.sin6_addr, sizeof here.v6.sin6_addr) == 0;
  bool loopback = ntohl(there.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
  return loopback || here.v4.sin_addr.s_addr == there.v4.sin_addr.s_addr;
}

// A closed socket answers what it gets with a reset and forgets what it has not sent. So: everything out, an end of
// stream behind it, and until the peer's kernel has it, read on. A peer that takes longer loses the rest, and is told
// RC_E_PEER_DEAD, which is then the truth.
void linger(TcpLink* link) noexcept {
  Deadline deadline = Deadline::after(kCloseFlushNs);
  bool ended = false, near = same_machine(link->socket);
  for (int64_t nap_ns = kNapMinNs;; nap_ns = nap_ns * 2 < kNapMaxNs ? nap_ns * 2 : kNapMaxNs) {
    send_queued(link);
    if (link->queue.count() == 0 && !ended) {
      shutdown(link->socket, SHUT_WR);
      ended = true;
      RC_STEP("close: end of stream");
    }
    bool comes = drain(link);
    if (link->broken || (ended && (!comes || arrived(link->socket, near)))) return;
    if (deadline.left(now_ns()) == 0) return;
    nap(-1, -1, nap_ns);
  }
}

}  // namespace

Code take_rings(Context& context, TcpLink* link) noexcept {
  link->own_inbox = context.take_ring();
  link->outbox = link->own_inbox != nullptr ? context.take_ring() : nullptr;
  link->inbox = link->own_inbox;
  if (link->outbox != nullptr) return kOk;
  if (link->own_inbox != nullptr) context.give_ring(link->own_inbox);
  return kPool;
}

void give_rings(Context& context, TcpLink* link) noexcept {
  context.give_ring(link->own_inbox);
  context.give_ring(link->outbox);
}

Code open_link(TcpLink* link, int socket, const TcpOptions& options, uint64_t ring_bytes) noexcept {
  link->socket = socket;
  link->options = options;
  link->ring_bytes = ring_bytes;
  link->direct = false;
  link->borrows = true;
  Code code = set_options(socket, options);
  if (code != kOk) return code;
  pthread_mutex_init(&link->sending, nullptr);
  link->common_fd = epoll_create1(EPOLL_CLOEXEC);
  link->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  for (int& fd : link->fd) fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (link->common_fd >= 0 && link->timer_fd >= 0 && link->fd[0] >= 0 && link->fd[1] >= 0 &&
      watch(link->common_fd, socket) && watch(link->common_fd, link->timer_fd)) {
    return kOk;
  }
  code = fail_errno(kSystem, "making a connection's descriptors", errno);
  close_link(link);
  return code;
}

void close_link(TcpLink* link) noexcept {
  int* fds[] = {&link->common_fd, &link->timer_fd, &link->fd[kGetSide], &link->fd[kPutSide]};
  for (int* fd : fds) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
  pthread_mutex_destroy(&link->sending);
}

void reset_connection(TcpLink* link) noexcept {
  sockaddr none = {};
  none.sa_family = AF_UNSPEC;
  static_cast<void>(connect(link->socket, &none, sizeof none));  // which disconnects
}

void tcp_close(Context& context, Link* l) noexcept {
  TcpLink* link = tcp(l);
  if (link->status.load(std::memory_order_relaxed) == kOk) linger(link);
  RC_STEP("close: lingered");
  close(link->socket);
  close_link(link);
  give_rings(context, link);
}

}  // namespace rc
