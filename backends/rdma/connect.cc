// The client's half of the handshake.
//   rdma_connect with a card    server: rdma_accept    client: ask    server: offer    client: accept    server: go
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include "backends/rdma/link.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr int64_t kRetryMinNs = 1000 * 1000;
constexpr int64_t kRetryMaxNs = 20 * 1000 * 1000;
// A deadline that is nearer than the other machine would make every answer "timed out".
constexpr int64_t kAnswerNs = 200 * 1000 * 1000;
constexpr int kRejectNoListener = 8;  // IB_CM_REJ_INVALID_SERVICE_ID
constexpr int kRejectConsumer = 28;   // IB_CM_REJ_CONSUMER_DEFINED

// One attempt: what it has made, and how it stands.
struct Attempt {
  Context& context;
  const Uri& uri;
  const Knobs& knobs;
  const ChannelParams& params;
  Deadline deadline;
  Deadline answer;  // until when the listener's side may say yes or no
  Endpoint e;
  Parley parley;
  Agreed agreed;
};

struct Event {
  rdma_cm_event_type type;
  int status;
  Card card;
  Code card_code;  // what check_card says of it
};

// The next event of the connection manager; kWouldBlock: there is none.
Code take_event(rdma_event_channel* channel, Event* event) noexcept {
  rdma_cm_event* got = nullptr;
  if (g_verbs.get_cm_event(channel, &got) != 0) {
    return errno == EAGAIN || errno == EINTR ? kWouldBlock : fail_errno(kSystem, "waiting for rdma_cm", errno);
  }
  event->type = got->event;
  event->status = got->status;
  event->card_code = check_card(got->param.conn.private_data, got->param.conn.private_data_len, &event->card);
  g_verbs.ack_cm_event(got);
  return kOk;
}

Code wait_again(Attempt& a, Deadline deadline, int fd) noexcept {
  Code code = wait_readable(a.e.channel->fd, a.context.stop_fd(), deadline, fd);
  if (code == kTimeout) return fail_plain(kTimeout, "the connection request was not accepted before the deadline");
  return code;
}

// Turns an event that is not the awaited one into a result. kHandshake: try again.
Code explain(const Attempt& a, const Event& event) noexcept {
  switch (event.type) {
    case RDMA_CM_EVENT_REJECTED:
      if (event.status == kRejectNoListener) return fail(kNoListener, "%s: nobody listens there", a.uri.text);
      if (event.status == kRejectConsumer && event.card.magic == kHelloMagic && event.card.code != kOk) {
        if (event.card_code == kOk && event.card.path != a.knobs.path)
          return fail(kUri, "%s: this end has path=%s, the listener path=%s; give both the same", a.uri.text,
                      name_of_path(a.knobs.path), name_of_path(event.card.path));
        Hello h = {};
        h.code = event.card.code;
        strcpy(h.text, "its reason does not fit a reject; ask its operator");
        return event.card_code != kOk ? event.card_code : refused(h);
      }
      return fail_plain(kHandshake, "the listener went away, or had no place for one more client");
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
      return fail(kNoListener, "%s: the host does not answer: %s", a.uri.text, strerror(-event.status));
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
      return fail(kNoDevice, "%s: the RDMA device was removed", a.uri.text);
    default:
      return fail(kHandshake, "the connection broke during the handshake (rdma_cm event %d)",
                  static_cast<int>(event.type));
  }
}

Code await_event(Attempt& a, rdma_cm_event_type wanted, Card* card = nullptr) noexcept {
  for (;;) {
    Event event = {};
    Code code = take_event(a.e.channel, &event);
    if (code == kOk && event.type != wanted) return explain(a, event);
    if (code == kOk && card != nullptr) {
      *card = event.card;
      return event.card_code;
    }
    if (code != kWouldBlock) return code;
    code = wait_again(a, a.answer, -1);
    if (code != kOk) return code;
  }
}

// What may happen beside the completion that is waited for.
Code note_events(Attempt& a) noexcept {
  Event event = {};
  Code code = take_event(a.e.channel, &event);
  if (code == kWouldBlock) return kOk;
  return code == kOk ? fail_plain(kPeerDead, "the peer went away during the handshake") : code;
}

// Waits until take() has what it wants. What came before a disconnect is still taken.
template <class Take>
Code await(Attempt& a, Take take) noexcept {
  Code ended = kOk;
  for (;;) {
    arm_completions(&a.e);
    Code code = take();
    if (code != kWouldBlock) return code;
    if (ended != kOk) return ended;
    ended = note_events(a);
    if (ended != kOk) continue;
    code = wait_again(a, a.deadline, news_fd(a.e));
    if (code != kOk) return code;
  }
}

Code await_hello(Attempt& a, Hello::Kind kind, const RdmaHello** hello) noexcept {
  size_t bytes = 0;
  Code code = await(a, [&]() noexcept { return receive_hello(&a.e, &a.parley, hello, &bytes); });
  return code == kOk ? check_rdma_hello(**hello, bytes, kind) : code;
}

// Device and route are known by address; the attempt has its queue pair then.
Code find_way(Attempt& a, const sockaddr_storage& to) noexcept {
  constexpr int kNeverMs = 600 * 1000;  // our own deadline is sooner
  Code code = make_event_channel(&a.e.channel);
  if (code != kOk) return code;
  if (g_verbs.create_id(a.e.channel, &a.e.id, nullptr, RDMA_PS_TCP) != 0)
    return fail_errno(kSystem, "rdma_create_id", errno);
  code = set_options(a.e.id, a.knobs);
  if (code != kOk) return code;
  auto* address = const_cast<sockaddr*>(reinterpret_cast<const sockaddr*>(&to));
  if (g_verbs.resolve_addr(a.e.id, nullptr, address, kNeverMs) != 0) {
    if (errno == ENODEV) {
      return fail(kNoDevice, "%s: no RDMA device of this machine has a way to that address", a.uri.text);
    }
    return fail(kNoListener, "%s: no way to that address: %s", a.uri.text, strerror(errno));
  }
  code = await_event(a, RDMA_CM_EVENT_ADDR_RESOLVED);
  if (code == kOk && g_verbs.resolve_route(a.e.id, kNeverMs) != 0) {
    if (errno == ENODEV) return fail(kNoDevice, "%s: that address is not one of an RDMA device's", a.uri.text);
    code = fail_errno(kSystem, "rdma_resolve_route", errno);
  }
  if (code == kOk) code = await_event(a, RDMA_CM_EVENT_ROUTE_RESOLVED);
  return code == kOk ? make_endpoint(a.context, a.uri, a.knobs, &a.parley, &a.e) : code;
}

Code check_offer(Attempt& a, const RdmaHello& offer) noexcept {
  uint64_t ring_bytes = offer.hello.ring_bytes;
  if (ring_bytes == 0 || ring_bytes > a.params.ring_bytes_max ||
      (a.params.ring_bytes != 0 && ring_bytes != a.params.ring_bytes)) {
    return fail(kSize, "the listener offers a ring of %llu bytes; this end wants %llu and its context allows %llu",
                static_cast<unsigned long long>(ring_bytes), static_cast<unsigned long long>(a.params.ring_bytes),
                static_cast<unsigned long long>(a.params.ring_bytes_max));
  }
  a.agreed.ring_bytes = ring_bytes;
  agree_on_ops(offer.hello, a.params, &a.agreed);
  return a.e.two_sided ? check_slots(offer) : check_inbox(offer, a.agreed.both_rings());
}

Code shake_hands(Attempt& a, const RdmaHello** offer) noexcept {
  Code code = send_hello(&a.e, &a.parley, make_hello(Hello::kAsk, a.params, a.params.ring_bytes));
  if (code == kOk) code = await_hello(a, Hello::kOffer, offer);
  if (code == kOk) code = check_offer(a, **offer);
  if (code == kOk) code = make_rings(a.context, a.agreed, &a.e);
  if (code == kOk) code = await(a, [&]() noexcept { return hellos_delivered(&a.e, &a.parley); });
  if (code == kOk) code = send_hello(&a.e, &a.parley, make_hello(Hello::kAccept, a.params, a.agreed.ring_bytes));
  const RdmaHello* go = nullptr;
  if (code == kOk) code = await_hello(a, Hello::kGo, &go);
  if (code == kOk) code = await(a, [&]() noexcept { return hellos_delivered(&a.e, &a.parley); });
  return code;
}

Code call_listener(Attempt& a) noexcept {
  Card card = make_card(kOk, a.knobs.path, a.e.mtu);
  rdma_conn_param p = connection_params(a.knobs, a.e, card);
  if (g_verbs.connect(a.e.id, &p) != 0) return fail_errno(kSystem, "rdma_connect", errno);
  Card answer = {};
  Code code = await_event(a, RDMA_CM_EVENT_CONNECT_RESPONSE, &answer);
  if (code == kOk) code = enter_connection(a.knobs, answer.mtu, &a.e);
  if (code == kOk && g_verbs.establish(a.e.id) != 0) code = fail_errno(kSystem, "rdma_establish", errno);
  return code;
}

// The way leads back to the address that it begins at.
bool is_way_to_oneself(const sockaddr_storage& to, rdma_cm_id* id) noexcept {
  const sockaddr* from = &id->route.addr.src_addr;
  if (from->sa_family != to.ss_family) return false;
  if (to.ss_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in*>(from)->sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in&>(to).sin_addr.s_addr;
  }
  return memcmp(&reinterpret_cast<const sockaddr_in6*>(from)->sin6_addr,
                &reinterpret_cast<const sockaddr_in6&>(to).sin6_addr, sizeof(in6_addr)) == 0;
}

// kNoListener, kHandshake: worth another attempt.
Code attempt(Attempt& a, const sockaddr_storage& to, RdmaLink* link) noexcept {
  Code code = find_way(a, to);
  // A machine refuses at once what nobody of its own listens for: who is silent there is a listener.
  bool near = code == kOk && is_way_to_oneself(to, a.e.id);
  if (near) a.answer = a.answer.or_at(link->heard_until_ns);
  if (code == kOk) code = call_listener(a);
  link->heard = code == kOk || (near && code == kTimeout);
  if (link->heard) a.deadline = a.deadline.or_at(link->heard_until_ns);
  const RdmaHello* offer = nullptr;
  if (code == kOk) code = shake_hands(a, &offer);
  if (code == kOk) {
    memcpy(link->identity, offer->hello.identity, sizeof link->identity);
    return fill_link(a.context, a.knobs, &a.e, *offer, a.agreed, link);
  }
  // A listener that closed before it said anything: another one may come.
  if (code == kPeerDead && a.parley.received == 0) code = kHandshake;
  drop_connection(&a.e);
  destroy_endpoint(a.context, &a.e);
  return code;
}

}  // namespace

Code resolve(const Uri& uri, const Knobs& knobs, bool passive, sockaddr_storage* address) noexcept {
  addrinfo hints = {};
  hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int error = getaddrinfo(knobs.host, knobs.service, &hints, &found);
  if (error == EAI_SYSTEM) return fail_errno(kSystem, "looking up a host", errno);
  if (error == EAI_MEMORY) return fail_errno(kNoMemory, "looking up a host", ENOMEM);
  if (error != 0)
    return fail(kNoHost, "%s: looking up the host \"%s\": %s; check the name and the resolver", uri.text, knobs.host,
                gai_strerror(error));
  memset(address, 0, sizeof *address);
  memcpy(address, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return kOk;
}

Code rdma_backend_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline,
                          Link* l) noexcept {
  Knobs knobs;
  sockaddr_storage to;
  Code code = read_knobs(uri, &knobs);
  if (code == kOk) code = open_verbs();
  if (code == kOk) code = check_device_name(uri, knobs);
  if (code == kOk) code = resolve(uri, knobs, false, &to);
  if (code != kOk) return code;
  Deadline answer = Deadline::after(kAnswerNs);
  if (deadline.at() > answer.at()) answer = deadline;
  bool nobody = false;
  for (int64_t pause = kRetryMinNs;; pause = pause * 2 < kRetryMaxNs ? pause * 2 : kRetryMaxNs) {
    Attempt a = {context, uri, knobs, params, deadline, answer, {}, {}, {}};
    code = attempt(a, to, static_cast<RdmaLink*>(l));
    if (code == kTimeout && nobody) return fail(kNoListener, "%s: nobody listened there before the deadline", uri.text);
    if (code != kNoListener && code != kHandshake) return code;
    nobody = code == kNoListener;
    if (deadline.left(now_ns()) == 0) {
      return nobody ? code : fail_plain(kTimeout, "the listener was too busy until the deadline");
    }
    answer = deadline;
    Code stopped = wait_readable(-1, context.stop_fd(), deadline.sooner(pause));
    if (stopped != kTimeout) return stopped;
  }
}

}  // namespace rc
#endif
