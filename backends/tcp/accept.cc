// The listener's half of the handshake: several clients at once, none of them trusted.
//   client: ask    listener: go, or a refusal
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/tcp/link.h"
#include "backends/tcp/socket.h"
#include "core/context.h"
#include "core/descriptors.h"
#include "core/half_open.h"
#include "core/step.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr int kBacklog = 1024;
constexpr int kDrainsMost = 4;
// accept(2): errors of a new connection come out of it, too; they are not the listener's.
constexpr int kOfClient[] = {EINTR, ECONNABORTED, ENETDOWN, EPROTO, EHOSTDOWN, EHOSTUNREACH, ENETUNREACH, EPERM};

TcpPoint* point_of(ListenPoint* p) noexcept { return static_cast<TcpPoint*>(p); }

void forget(TcpHalfOpen* h) noexcept {
  if (h->fd >= 0) close(h->fd);
  h->fd = -1;
}

// What is unread when the socket closes would reset the connection, and take the refusal with it.
void refuse(TcpPoint* point, TcpHalfOpen* h, Code code) noexcept {
  send_hello(h->fd, make_refusal(point->params, code));
  shutdown(h->fd, SHUT_WR);
  char unread[1024];
  for (int i = 0; i < kDrainsMost && recv(h->fd, unread, sizeof unread, MSG_DONTWAIT) > 0; ++i) {
  }
  forget(h);
}

void read_host(const TcpAddress& address, uint8_t host[16]) noexcept {
  memset(host, 0, 16);
  if (address.sa.sa_family == AF_INET6) {
    memcpy(host, &address.v6.sin6_addr, 16);
  } else {
    memcpy(host, &address.v4.sin_addr, 4);
  }
}

// Takes one client from the backlog. kWouldBlock: there is none.
Code take_client(TcpPoint* point) noexcept {
  TcpAddress address;
  memset(&address, 0, sizeof address);
  socklen_t bytes = sizeof address.v6;
  int fd = accept4(point->listen_fd, &address.sa, &bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return kWouldBlock;
  for (int of_client : kOfClient) {
    if (fd < 0 && errno == of_client) return kOk;
  }
  if (fd < 0) return fail_errno(kSystem, "accepting a client", errno);
  TcpHalfOpen* h = place_for_one_more(point->half_open);
  if (h->fd >= 0) refuse(point, h, fail_plain(kHandshake, "too many clients are in the middle of the handshake"));
  h->fd = fd;
  h->got = 0;
  memset(&h->ask, 0, sizeof h->ask);
  read_host(address, h->host);
  h->until_ns = now_ns() + kHandshakeNs;
  RC_STEP("accept: taken");
  if (watch(point->fd, fd)) return kOk;
  Code code = fail_errno(kSystem, "watching a client", errno);
  refuse(point, h, code);
  return code;
}

// The client has asked: judge, and let it go. One that has given up meanwhile is no client.
Code admit(TcpPoint* point, TcpHalfOpen* h, TcpLink* link) noexcept {
  Code code = receive_hello(h->fd, &h->ask, &h->got);
  if (code == kOk) code = check_hello(h->ask, h->got, Hello::kAsk);
  uint64_t ring_bytes = 0;
  if (code == kOk) code = judge_ask(h->ask, point->params, &ring_bytes);
  if (code == kOk && hung_up(h->fd)) code = fail_plain(kPeerDead, "the client went away during the handshake");
  if (code == kOk) code = open_link(link, h->fd, point->options, ring_bytes);
  if (code != kOk) return code;
  agree_on_ops(h->ask, point->params, link);
  RC_STEP("accept: judged");
  code = send_hello(h->fd, make_hello(Hello::kGo, point->params, ring_bytes));
  if (code != kOk) {
    close_link(link);
    return code;
  }
  link->ops = point->ops;
  memcpy(link->identity, h->ask.identity, sizeof link->identity);
  epoll_ctl(point->fd, EPOLL_CTL_DEL, h->fd, nullptr);
  h->fd = -1;
  RC_STEP("accept: done");
  return kOk;
}

// Advances every client whose hello has come; kOk: one is through and fills the link.
Code advance_clients(TcpPoint* point, TcpLink* link) noexcept {
  int64_t now = now_ns();
  for (TcpHalfOpen& h : point->half_open) {
    if (h.fd < 0) continue;
    Code code = admit(point, &h, link);
    if (code == kOk) return kOk;
    if (code == kWouldBlock && now < h.until_ns) continue;
    if (code == kWouldBlock) code = fail_plain(kHandshake, "the client did not complete the handshake in time");
    refuse(point, &h, code);
    if (code == kNoDescriptors || code == kNoMemory) return code;  // of ours: the next one would fare no better
  }
  return kWouldBlock;
}

Code wait_for_client(Context& context, TcpPoint* point, Deadline deadline, TcpLink* link) noexcept {
  for (int late = 0;;) {
    if (point->closing.load(std::memory_order_acquire))
      return fail_plain(kClosing, "the listener is being closed by another thread");
    Code taken = take_client(point);
    if (taken != kOk && taken != kWouldBlock) return taken;
    Code code = advance_clients(point, link);
    if (code != kWouldBlock) return code;
    // Clients without end keep us neither beyond the deadline nor from a stop.
    if (taken == kOk && !context.stopped() && (deadline.left(now_ns()) != 0 || ++late < kTcpHalfOpenMax)) continue;
    code = wait_readable(point->fd, context.stop_fd(), first_to_give_up(point->half_open, deadline));
    if (code == kTimeout && deadline.left(now_ns()) != 0) continue;  // a client's time is up, not ours
    if (code != kOk) return code;
  }
}

Code say_why_not(const Uri& uri, const TcpTarget& target, int error) noexcept {
  if (error == EADDRINUSE) return fail(kNameInUse, "%s: somebody listens there already; take another port", uri.text);
  if (error == EADDRNOTAVAIL)
    return fail(kUnreachable, "%s: this machine has no such address; give one of its own, or 0.0.0.0 for all",
                uri.text);
  if (error == EACCES) {
    return fail(kNoPermission,
                "%s: port %u needs a privilege (CAP_NET_BIND_SERVICE); take one from 1024 on, or see "
                "net.ipv4.ip_unprivileged_port_start",
                uri.text, unsigned{target.port});
  }
  char tried[kUriBytes + 32];
  snprintf(tried, sizeof tried, "listening at %s", uri.text);
  return fail_errno(kSystem, tried, error);
}

// Binds and listens, and says the port if it was the system's choice.
Code listen_at(const TcpAddress& address, const TcpTarget& target, Uri* uri, int* fd) noexcept {
  int s = new_tcp_socket(address);
  if (s < 0) return fail_errno(kSystem, "socket for a listener", errno);
  // The port is free at once when its last listener has gone, although connections of its time still fade.
  int on = 1;
  TcpAddress bound = address;
  Code code = kOk;
  if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
    code = fail_errno(kSystem, "SO_REUSEADDR for a listener", errno);
  } else if (bind(s, &address.sa, address.bytes) != 0 || listen(s, kBacklog) != 0 ||
             getsockname(s, &bound.sa, &bound.bytes) != 0) {
    code = say_why_not(*uri, target, errno);
  } else if (target.port == 0) {
    code = tell_port(uri, ntohs(bound.sa.sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port));
  }
  if (code != kOk) {
    close(s);
  } else {
    *fd = s;
  }
  return code;
}

}  // namespace

Code tcp_listen(Context&, ListenPoint* p) noexcept {
  TcpPoint* point = point_of(p);
  TcpTarget target;
  TcpAddresses addresses;
  Code code = read_target(p->uri, &target);
  if (code == kOk) code = resolve(p->uri, target, &addresses);
  if (code != kOk) return code;
  point->options = target.options;
  for (TcpHalfOpen& h : point->half_open) h.fd = -1;
  code = listen_at(addresses.at[0], target, &p->uri, &point->listen_fd);
  if (code != kOk) return code;
  p->fd = epoll_create1(EPOLL_CLOEXEC);
  if (p->fd >= 0 && watch(p->fd, point->listen_fd)) return kOk;
  code = fail_errno(kSystem, "epoll for a listener", errno);
  if (p->fd >= 0) close(p->fd);
  close(point->listen_fd);
  return code;
}

void tcp_interrupt_accept(ListenPoint* p) noexcept { shutdown(point_of(p)->listen_fd, SHUT_RDWR); }

void tcp_unlisten(Context&, ListenPoint* p) noexcept {
  TcpPoint* point = point_of(p);
  for (TcpHalfOpen& h : point->half_open) forget(&h);
  close(point->listen_fd);
  close(p->fd);
}

// The rings first: without them no client is taken from the backlog, where it waits until there are some.
Code tcp_accept(Context& context, ListenPoint* p, Deadline deadline, Link* l) noexcept {
  TcpLink* link = tcp(l);
  Code code = take_rings(context, link);
  if (code != kOk) return code;
  code = wait_for_client(context, point_of(p), deadline, link);
  if (code != kOk) give_rings(context, link);
  return code;
}

}  // namespace rc
