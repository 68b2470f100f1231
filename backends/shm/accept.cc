// The listener's half of the handshake: several clients at once, each step when its hello has come, none of them
// trusted.
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "backends/shm/link.h"
#include "backends/shm/segment.h"
#include "core/context.h"
#include "core/descriptors.h"
#include "core/half_open.h"
#include "core/step.h"
#include "core/wait.h"

namespace rc {
namespace {

ShmPoint* shm(ListenPoint* p) noexcept { return static_cast<ShmPoint*>(p); }

void forget(ShmHalfOpen* h) noexcept {
  bool bells = is_unix_socket(h->put_fd, SOCK_SEQPACKET);
  if (h->put_fd >= 0) (bells ? close_socket : drop_received)(h->put_fd);
  if (h->segment_fd >= 0) close(h->segment_fd);
  if (h->fd >= 0) close_socket(h->fd);
  h->put_fd = h->segment_fd = h->fd = -1;
  if (h->outbox != nullptr) unmap_segment(h->outbox, h->agreed.both_rings());
  h->outbox = nullptr;
}

void refuse(ShmPoint* point, ShmHalfOpen* h, Code code) noexcept {
  send_hello(h->fd, make_refusal(point->params, code), -1);
  forget(h);
}

Code check_user(const ShmPoint* point, const Link& who) noexcept {
  int64_t me = geteuid();
  if (point->address.path || point->params.any_user || who.peer_uid == me || who.peer_uid == 0) return kOk;
  return fail(kNoPermission, "user %lld may not connect to a listener of user %lld: it would have to set RC_ANY_USER",
              static_cast<long long>(who.peer_uid), static_cast<long long>(me));
}

// Takes one client from the backlog. kWouldBlock: there is none.
Code take_client(ShmPoint* point) noexcept {
  int fd = accept4(point->listen_fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return kWouldBlock;
  if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) return kOk;
  if (fd < 0) return fail_errno(kSystem, "accepting a client", errno);
  ShmHalfOpen* h = place_for_one_more(point->half_open);
  if (h->fd >= 0) refuse(point, h, fail_plain(kHandshake, "too many clients are in the middle of the handshake"));
  Link who = {};
  who.peer_uid = -1;
  read_credentials(fd, &who);
  h->fd = fd;
  h->pid = who.peer_pid;
  h->until_ns = now_ns() + kHandshakeNs;
  Code code = check_user(point, who);
  if (code != kOk) {
    refuse(point, h, code);
  } else if (!watch(point->fd, fd)) {
    code = fail_errno(kSystem, "watching a client", errno);
    refuse(point, h, code);
    return code;
  }
  return kOk;
}

// The client has asked: judge, make our segment, offer it.
Code offer(ShmPoint* point, ShmHalfOpen* h) noexcept {
  size_t bytes = 0;
  Code code = receive_hello(h->fd, &h->ask, &bytes, &h->put_fd);
  if (code != kOk) return code;
  code = check_hello(h->ask, bytes, Hello::kAsk);
  if (code == kOk && !is_unix_socket(h->put_fd, SOCK_SEQPACKET))
    code = fail_plain(kNotRingchan, "the client's hello brings no doorbell socket");
  uint64_t ring_bytes = 0;
  if (code == kOk) code = judge_ask(h->ask, point->params, &ring_bytes);
  if (code != kOk) return code;
  h->agreed.ring_bytes = ring_bytes;
  agree_on_ops(h->ask, point->params, &h->agreed);
  code = make_segment(h->agreed.both_rings(), &h->segment_fd, &h->outbox);
  if (code != kOk) return code;
  code = send_hello(h->fd, make_hello(Hello::kOffer, point->params, ring_bytes), h->segment_fd);
  close(h->segment_fd);
  h->segment_fd = -1;
  RC_STEP("accept: offered");
  return code;
}

// The client has sent its segment: check and map it, and let it go.
Code finish(ShmPoint* point, ShmHalfOpen* h, Link* link) noexcept {
  Hello accept;
  size_t bytes = 0;
  int segment = -1;
  Code code = receive_hello(h->fd, &accept, &bytes, &segment);
  if (code == kOk) code = check_hello(accept, bytes, Hello::kAccept);
  if (code == kOk && segment < 0) code = fail_plain(kNotRingchan, "the client sent no memory file");
  if (code == kOk) code = map_segment(segment, h->agreed.both_rings(), &link->inbox);
  if (segment >= 0) drop_received(segment);
  if (code != kOk) return code;
  RC_STEP("accept: mapped");
  int pair[2] = {-1, -1};
  if (h->agreed.op_ring_bytes != 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
    code = fail_errno(kSystem, "socketpair for the descriptors of direct grants", errno);
  if (code == kOk) code = send_hello(h->fd, make_hello(Hello::kGo, point->params, h->agreed.ring_bytes), pair[1]);
  if (pair[1] >= 0) close(pair[1]);
  if (code != kOk) {
    if (pair[0] >= 0) close(pair[0]);
    unmap_segment(link->inbox, h->agreed.both_rings());
    link->inbox = nullptr;
    return code;
  }
  link->ops = point->ops;
  link->outbox = h->outbox;
  static_cast<Agreed&>(*link) = h->agreed;
  link->direct = true;
  link->full_fence = h->ask.heavy_fence == 0;
  link->fd[kGetSide] = h->fd;
  link->fd[kPutSide] = h->put_fd;
  for (int fd : link->fd) refuse_descriptors(fd);
  static_cast<ShmLink*>(link)->hand_fd = pair[0];
  static_cast<ShmLink*>(link)->hand_measure = 0;
  memcpy(link->identity, h->ask.identity, sizeof link->identity);
  read_credentials(h->fd, link);
  watch_process(h->fd, link);
  epoll_ctl(point->fd, EPOLL_CTL_DEL, h->fd, nullptr);
  h->fd = h->put_fd = -1;
  h->outbox = nullptr;
  RC_STEP("accept: done");
  return kOk;
}

// Advances every client whose hello has come; kOk: one is through and fills the link.
Code advance_clients(ShmPoint* point, Link* link) noexcept {
  int64_t now = now_ns();
  for (ShmHalfOpen& h : point->half_open) {
    if (h.fd < 0) continue;
    bool asked = h.outbox != nullptr;
    Code code = asked ? finish(point, &h, link) : offer(point, &h);
    if (code == kOk && asked) return kOk;
    if (code == kWouldBlock && now >= h.until_ns)
      code = fail_plain(kHandshake, "the client did not complete the handshake in time");
    if (code != kOk && code != kWouldBlock) refuse(point, &h, code);
  }
  return kWouldBlock;
}

}  // namespace

Code shm_listen(Context&, ListenPoint* p) noexcept {
  ShmPoint* point = shm(p);
  Code code = make_address(p->uri, &point->address);
  if (code != kOk) return code;
  for (ShmHalfOpen& h : point->half_open) h.fd = h.put_fd = h.segment_fd = -1;
  p->fd = epoll_create1(EPOLL_CLOEXEC);
  if (p->fd < 0) return fail_errno(kSystem, "epoll for a listener", errno);
  code = listen_at(p->uri, point->address, &point->listen_fd);
  if (code == kOk && !watch(p->fd, point->listen_fd)) {
    code = fail_errno(kSystem, "watching a listener", errno);
    stop_listening(point->address, point->listen_fd);
  }
  if (code != kOk) close(p->fd);
  return code;
}

void shm_interrupt_accept(ListenPoint* p) noexcept { shutdown(shm(p)->listen_fd, SHUT_RDWR); }

void shm_unlisten(Context&, ListenPoint* p) noexcept {
  ShmPoint* point = shm(p);
  for (ShmHalfOpen& h : point->half_open) forget(&h);
  stop_listening(point->address, point->listen_fd);
  close(p->fd);
}

Code shm_accept(Context& context, ListenPoint* p, Deadline deadline, Link* link) noexcept {
  ShmPoint* point = shm(p);
  for (int late = 0;;) {
    if (p->closing.load(std::memory_order_acquire))
      return fail_plain(kClosing, "the listener is being closed by another thread");
    Code taken = take_client(point);
    if (taken != kOk && taken != kWouldBlock) return taken;
    Code code = advance_clients(point, link);
    if (code == kOk) return kOk;
    // Clients without end keep us neither beyond the deadline nor from a stop.
    if (taken == kOk && !context.stopped() && (deadline.left(now_ns()) != 0 || ++late < kShmHalfOpenMax)) continue;
    code = wait_readable(p->fd, context.stop_fd(), first_to_give_up(point->half_open, deadline));
    if (code == kTimeout && deadline.left(now_ns()) != 0) continue;  // a client's time is up, not ours
    if (code != kOk) return code;
  }
}

}  // namespace rc
