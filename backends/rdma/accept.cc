// The listener's half of the handshake: several clients at once, each step when its message has come, none of them
// trusted.
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backends/rdma/devices.h"
#include "backends/rdma/link.h"
#include "core/descriptors.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr int kBacklog = 128;

RdmaPoint* rdma(ListenPoint* p) noexcept { return static_cast<RdmaPoint*>(p); }

void forget(Context& context, RdmaHalfOpen* h) noexcept {
  if (h->step != Step::kFree) drop_connection(&h->e);
  destroy_endpoint(context, &h->e);
  h->step = Step::kFree;
}

// The client learns why as soon as it looks; the rest is cleaned up when it has. One that was let go listens no more:
// to it the connection ends.
void refuse(Context& context, RdmaPoint* point, RdmaHalfOpen* h, Code code) noexcept {
  Hello refusal = make_refusal(point->params, code);
  bool told = h->step != Step::kRefused && h->step != Step::kGoing && hellos_delivered(&h->e, &h->parley) == kOk &&
              send_hello(&h->e, &h->parley, refusal) == kOk;
  if (told) {
    h->step = Step::kRefused;
  } else {
    forget(context, h);
  }
}

// A place for one more client: the one that waits longest loses it.
RdmaHalfOpen* make_place(Context& context, RdmaPoint* point) noexcept {
  RdmaHalfOpen* oldest = &point->half_open[0];
  for (RdmaHalfOpen& h : point->half_open) {
    if (h.step == Step::kFree) return &h;
    if (h.until_ns < oldest->until_ns) oldest = &h;
  }
  forget(context, oldest);
  return oldest;
}

void turn_down(const RdmaPoint* point, rdma_cm_id* id, Code code) noexcept {
  Card card = make_card(code, point->knobs.path);
  g_verbs.reject(id, &card, sizeof card);
  g_verbs.destroy_id(id);
}

// A client knocks. A problem of ours is the caller's to know; one of the client's is the client's.
Code take_client(Context& context, RdmaPoint* point, rdma_cm_id* id, const Card& theirs, Code card_code) noexcept {
  // The client sees from the card that comes back that it is the path.
  if (card_code == kOk && theirs.path != point->knobs.path) card_code = kRefused;
  if (card_code != kOk) {
    turn_down(point, id, card_code);
    return kOk;
  }
  RdmaHalfOpen* h = make_place(context, point);
  h->e.id = id;
  h->until_ns = now_ns() + kHandshakeNs;
  Code code = set_options(id, point->knobs);
  if (code == kOk) code = make_endpoint(context, point->uri, point->knobs, &h->parley, &h->e);
  if (code == kOk && !watch(point->fd, news_fd(h->e))) code = fail_errno(kSystem, "watching a client", errno);
  if (code == kOk) code = enter_connection(point->knobs, theirs.mtu, &h->e);
  if (code == kOk) {
    Card card = make_card(kOk, point->knobs.path, h->e.mtu);
    rdma_conn_param p = connection_params(point->knobs, h->e, card);
    if (g_verbs.accept(id, &p) != 0) code = fail_errno(kSystem, "rdma_accept", errno);
  }
  if (code == kOk) {
    h->step = Step::kConnecting;
    h->established = false;
    return kOk;
  }
  Card no = make_card(code, point->knobs.path);
  g_verbs.reject(id, &no, sizeof no);
  destroy_endpoint(context, &h->e);
  // Calls on the connection of a client that has given up meanwhile fail in ways that have no code of their own.
  return code == kSystem ? kOk : code;
}

RdmaHalfOpen* half_open_of(RdmaPoint* point, const rdma_cm_id* id) noexcept {
  for (RdmaHalfOpen& h : point->half_open) {
    if (h.step != Step::kFree && h.e.id == id) return &h;
  }
  return nullptr;
}

// The next event of the connection manager. kWouldBlock: there is none.
Code take_event(Context& context, RdmaPoint* point) noexcept {
  rdma_cm_event* event = nullptr;
  if (g_verbs.get_cm_event(point->channel, &event) != 0) {
    if (errno == EAGAIN || errno == EINTR) return kWouldBlock;
    return fail_errno(kSystem, "waiting for rdma_cm", errno);
  }
  rdma_cm_event_type type = event->event;
  rdma_cm_id* id = event->id;
  Card card;
  Code card_code = check_card(event->param.conn.private_data, event->param.conn.private_data_len, &card);
  g_verbs.ack_cm_event(event);
  if (type == RDMA_CM_EVENT_CONNECT_REQUEST) return take_client(context, point, id, card, card_code);
  // Of a listener at an address of its own; one at all addresses has no device.
  if (type == RDMA_CM_EVENT_DEVICE_REMOVAL && id == point->id) point->gone = true;
  RdmaHalfOpen* h = half_open_of(point, id);
  if (h == nullptr) return kOk;
  // Or it has hung up: if it was through before, its bytes are here, and its channel finds the end by itself.
  bool through = h->step == Step::kGoing && hellos_delivered(&h->e, &h->parley) == kOk;
  if (type == RDMA_CM_EVENT_ESTABLISHED || through) {
    h->established = true;
  } else {
    forget(context, h);
  }
  return kOk;
}

// The client has asked: judge, take rings, offer them.
Code offer(Context& context, RdmaPoint* point, RdmaHalfOpen* h) noexcept {
  const RdmaHello* ask = nullptr;
  size_t bytes = 0;
  Code code = receive_hello(&h->e, &h->parley, &ask, &bytes);
  if (code == kOk) code = check_rdma_hello(*ask, bytes, Hello::kAsk);
  uint64_t ring_bytes = 0;
  if (code == kOk) code = judge_ask(ask->hello, point->params, &ring_bytes);
  if (code != kOk) return code;
  h->agreed.ring_bytes = ring_bytes;
  agree_on_ops(ask->hello, point->params, &h->agreed);
  memcpy(h->identity, ask->hello.identity, sizeof h->identity);
  code = make_rings(context, h->agreed, &h->e);
  if (code == kOk) code = send_hello(&h->e, &h->parley, make_hello(Hello::kOffer, point->params, ring_bytes));
  if (code == kOk) h->step = Step::kOffered;
  return code;
}

// The client has sent where its inbox is: check it, and let it go.
Code let_go(RdmaPoint* point, RdmaHalfOpen* h) noexcept {
  Code code = hellos_delivered(&h->e, &h->parley);
  if (code != kOk) return code;
  const RdmaHello* accept = nullptr;
  size_t bytes = 0;
  code = receive_hello(&h->e, &h->parley, &accept, &bytes);
  if (code == kOk) code = check_rdma_hello(*accept, bytes, Hello::kAccept);
  if (code == kOk) code = h->e.two_sided ? check_slots(*accept) : check_inbox(*accept, h->agreed.both_rings());
  if (code != kOk) return code;
  h->accept = *accept;
  code = send_hello(&h->e, &h->parley, make_hello(Hello::kGo, point->params, h->agreed.ring_bytes));
  if (code == kOk) h->step = Step::kGoing;
  return code;
}

// The client knows: what was made for it becomes the link's.
Code finish(Context& context, RdmaPoint* point, RdmaHalfOpen* h, RdmaLink* link) noexcept {
  Code code = hellos_delivered(&h->e, &h->parley);
  if (code == kOk && !h->established) {
    // What tells rdma_cm so is a datagram that may be lost, and said again after seconds or a minute. The client
    // speaks, and that will do; the event comes then. It belongs here: the channel would be readable by it.
    g_verbs.notify(h->e.id, IBV_EVENT_COMM_EST);
    return kWouldBlock;
  }
  if (code == kOk) code = make_event_channel(&h->e.channel);
  if (code == kOk && g_verbs.migrate_id(h->e.id, h->e.channel) != 0)
    code = fail_errno(kSystem, "rdma_migrate_id", errno);
  if (code != kOk) return code;
  epoll_ctl(point->fd, EPOLL_CTL_DEL, news_fd(h->e), nullptr);
  h->step = Step::kFree;
  link->ops = point->ops;
  memcpy(link->identity, h->identity, sizeof link->identity);
  return fill_link(context, point->knobs, &h->e, h->accept, h->agreed, link);
}

// kOk: this client is through and fills the link. kWouldBlock: not yet.
Code advance(Context& context, RdmaPoint* point, RdmaHalfOpen* h, RdmaLink* link) noexcept {
  arm_completions(&h->e);
  if (h->step == Step::kRefused) {
    Code code = hellos_delivered(&h->e, &h->parley);
    return code == kOk ? kPeerDead : code;
  }
  for (;;) {
    Step before = h->step;
    Code code = before == Step::kConnecting ? offer(context, point, h)
                : before == Step::kOffered  ? let_go(point, h)
                                            : finish(context, point, h, link);
    if (code != kOk || before == Step::kGoing) return code;
    h->until_ns = now_ns() + kHandshakeNs;  // each step has that time: a client may only look in from time to time
  }
}

Code advance_clients(Context& context, RdmaPoint* point, RdmaLink* link) noexcept {
  int64_t now = now_ns();
  for (RdmaHalfOpen& h : point->half_open) {
    if (h.step == Step::kFree) continue;
    Code code = advance(context, point, &h, link);
    if (code == kOk || h.step == Step::kFree) return code;
    if (code == kWouldBlock && now >= h.until_ns)
      code = fail_plain(kHandshake, "the client did not complete the handshake in time");
    if (code == kPeerDead) {
      forget(context, &h);
    } else if (code != kWouldBlock) {
      refuse(context, point, &h, code);
    }
  }
  return kWouldBlock;
}

// When the most patient client's time is up at the latest.
Deadline next_look(const RdmaPoint* point, Deadline deadline) noexcept {
  int64_t now = now_ns();
  for (const RdmaHalfOpen& h : point->half_open) {
    if (h.step != Step::kFree) deadline = deadline.sooner(h.until_ns > now ? h.until_ns - now : 0);
  }
  return deadline;
}

void stop_listening(RdmaPoint* point) noexcept {
  if (point->id != nullptr) g_verbs.destroy_id(point->id);
  if (point->channel != nullptr) g_verbs.destroy_event_channel(point->channel);
  if (point->wake_fd >= 0) close(point->wake_fd);
  if (point->fd >= 0) close(point->fd);
}

// What the device of this address cannot do is told at once. A port that is down may come up: its clients tell then.
Code check_listener(const RdmaPoint* point) noexcept {
  Endpoint e = {};
  ibv_port_attr port = {};
  e.id = point->id;
  e.verbs = point->id->verbs;  // null: it listens at all addresses
  e.port_num = point->id->port_num;
  if (e.verbs == nullptr || !is_active(e.verbs, e.port_num, &port)) return kOk;
  return check_device(point->uri, point->knobs, &e);
}

Code start_listening(RdmaPoint* point, sockaddr_storage* address) noexcept {
  Code code = make_event_channel(&point->channel);
  if (code != kOk) return code;
  point->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  point->fd = epoll_create1(EPOLL_CLOEXEC);
  if (point->wake_fd < 0 || point->fd < 0 || !watch(point->fd, point->wake_fd) ||
      !watch(point->fd, point->channel->fd)) {
    return fail_errno(kSystem, "epoll for a listener", errno);
  }
  if (g_verbs.create_id(point->channel, &point->id, nullptr, RDMA_PS_TCP) != 0) {
    return fail_errno(kSystem, "rdma_create_id", errno);
  }
  if (g_verbs.bind_addr(point->id, reinterpret_cast<sockaddr*>(address)) != 0 ||
      g_verbs.listen(point->id, kBacklog) != 0) {
    int error = errno;
    const char* text = point->uri.text;
    if (error == EADDRINUSE) return fail(kNameInUse, "%s: somebody listens there already", text);
    if (error == EADDRNOTAVAIL || error == ENODEV) {
      return fail(kNoDevice, "%s: no RDMA device of this machine has that address", text);
    }
    return fail_errno(kSystem, "listening by rdma_cm", error);
  }
  return check_listener(point);
}

}  // namespace

Code rdma_backend_listen(Context&, ListenPoint* p) noexcept {
  RdmaPoint* point = rdma(p);
  point->wake_fd = point->fd = -1;
  RdmaAddresses here;
  Code code = read_knobs(p->uri, p->params.rdma_knobs, &point->knobs);
  if (code == kOk) code = open_rdma_cm();
  if (code == kOk) code = check_device_name(p->uri, point->knobs);
  if (code == kOk) code = resolve(p->uri, point->knobs, true, &here);
  if (code != kOk) return code;
  code = start_listening(point, &here.at[0]);
  if (code != kOk) stop_listening(point);
  return code;
}

void rdma_backend_interrupt_accept(ListenPoint* p) noexcept {
  uint64_t one = 1;
  ssize_t ignored = write(rdma(p)->wake_fd, &one, sizeof one);  // nobody takes it away
  static_cast<void>(ignored);
}

void rdma_backend_unlisten(Context& context, ListenPoint* p) noexcept {
  RdmaPoint* point = rdma(p);
  for (RdmaHalfOpen& h : point->half_open) forget(context, &h);
  end_raw(context, point);
  destroy_endpoint(context, &point->e);
  stop_listening(point);
}

Code rdma_backend_accept(Context& context, ListenPoint* p, Deadline deadline, Link* link) noexcept {
  RdmaPoint* point = rdma(p);
  if (point->is_endpoint) return fail(kState, "%s: this is an endpoint; rc_endpoint_connect connects it", p->uri.text);
  for (int late = 0;;) {
    if (p->closing.load(std::memory_order_acquire))
      return fail_plain(kClosing, "the listener is being closed by another thread");
    // Before what rdma_cm says: a client that is through is taken in, though it may have hung up meanwhile.
    Code code = advance_clients(context, point, static_cast<RdmaLink*>(link));
    if (code != kWouldBlock) return code;
    Code taken = take_event(context, point);
    if (taken != kOk && taken != kWouldBlock) return taken;
    // Clients without end keep us neither beyond the deadline nor from a stop.
    if (taken == kOk && !context.stopped() && (deadline.left(now_ns()) != 0 || ++late < kRdmaHalfOpenMax)) continue;
    if (p->gone && !context.stopped())
      return fail(kNoDevice, "%s: the RDMA device with that address was removed; listen again when it is back",
                  p->uri.text);
    code = wait_readable(p->fd, context.stop_fd(), next_look(point, deadline));
    if (code == kTimeout && deadline.left(now_ns()) != 0) continue;  // a client's time is up, not ours
    if (code != kOk) return code;
  }
}

}  // namespace rc
#endif
