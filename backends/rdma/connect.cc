// The client's half of the handshake, in one call or in several.
//   rdma_connect with a card    server: rdma_accept    client: ask    server: offer    client: accept    server: go
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "backends/rdma/link.h"
#include "core/descriptors.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr int64_t kRetryMinNs = 1000 * 1000;
constexpr int64_t kRetryMaxNs = 20 * 1000 * 1000;
// A deadline that is nearer than the other machine would make every answer "timed out".
constexpr int64_t kAnswerNs = 200 * 1000 * 1000;
// So long one of several addresses of a name may keep the others from being tried.
constexpr int64_t kAttemptNs = int64_t{2} * 1000 * 1000 * 1000;
constexpr int kRejectNoListener = 8;  // IB_CM_REJ_INVALID_SERVICE_ID
constexpr int kRejectConsumer = 28;   // IB_CM_REJ_CONSUMER_DEFINED
constexpr int kNeverMs = 600 * 1000;  // our own deadline is sooner

RdmaPursuit* rdma(Pursuit* p) noexcept { return static_cast<RdmaPursuit*>(p); }

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

Code no_way(const Uri& uri) noexcept {
  return fail(kNoDevice, "%s: no RDMA device of this machine has a way to that address", uri.text);
}

// Turns an event that is not the awaited one into a result. kHandshake: try again.
Code explain(const Uri& uri, const Knobs& knobs, const Event& event) noexcept {
  switch (event.type) {
    case RDMA_CM_EVENT_REJECTED: {
      // The status of an iWARP device is an errno.
      bool by_peer = event.status == kRejectConsumer || event.status < 0;
      by_peer = by_peer && event.card.magic == kHelloMagic && event.card.code != kOk;
      if (event.status == kRejectNoListener || (event.status == -ECONNREFUSED && !by_peer))
        return fail(kNoListener, "%s: nobody listens there", uri.text);
      if (by_peer) {
        if (event.card_code == kOk && event.card.path != knobs.path)
          return fail(kUri, "%s: this end has path=%s, the listener path=%s; give both the same", uri.text,
                      name_of_path(knobs.path), name_of_path(event.card.path));
        Hello h = {};
        h.code = event.card.code;
        strcpy(h.text, "its reason does not fit a reject; ask its operator");
        return event.card_code != kOk ? event.card_code : refused(h);
      }
      return fail_plain(kHandshake, "the listener went away, or had no place for one more client");
    }
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
      if (event.status == -ENODEV) return no_way(uri);
      return fail(kUnreachable, "%s: the host does not answer: %s; check the address, the network and the routes",
                  uri.text, strerror(-event.status));
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
      return fail(kNoDevice, "%s: the RDMA device was removed", uri.text);
    default:
      return fail(kHandshake, "the connection broke during the handshake (rdma_cm event %d)",
                  static_cast<int>(event.type));
  }
}

// kOk: the awaited event has come. kWouldBlock: not yet.
Code take_wanted(const Uri& uri, const RdmaPursuit& a, rdma_cm_event_type wanted, Card* card = nullptr) noexcept {
  Event event = {};
  Code code = take_event(a.e.channel, &event);
  if (code != kOk) return code;
  if (event.type != wanted) return explain(uri, a.knobs, event);
  if (card == nullptr) return kOk;
  *card = event.card;
  return event.card_code;
}

// What take() has, a completion; kWouldBlock: not yet. What came before a disconnect is still taken.
template <class Take>
Code take_completed(RdmaPursuit* a, Take take) noexcept {
  arm_completions(&a->e);
  Code code = take();
  if (code != kWouldBlock) return code;
  Event event = {};
  Code ended = take_event(a->e.channel, &event);
  if (ended == kWouldBlock) return kWouldBlock;
  if (ended == kOk) ended = fail_plain(kPeerDead, "the peer went away during the handshake");
  code = take();
  return code == kWouldBlock ? ended : code;
}

Code take_hello(RdmaPursuit* a, Hello::Kind kind, const RdmaHello** hello) noexcept {
  size_t bytes = 0;
  Code code = take_completed(a, [&]() noexcept { return receive_hello(&a->e, &a->parley, hello, &bytes); });
  return code == kOk ? check_rdma_hello(**hello, bytes, kind) : code;
}

Code delivered(RdmaPursuit* a) noexcept {
  return take_completed(a, [&]() noexcept { return hellos_delivered(&a->e, &a->parley); });
}

// ----------------------------------------------------------------------------------------------------------------
// one attempt

// What its URI says, and where that may be.
Code prepare(Context& context, const Uri& uri, const ChannelParams& params, RdmaPursuit* a,
             RdmaAddresses* to) noexcept {
  a->context = &context;
  Code code = read_knobs(uri, params.rdma_knobs, &a->knobs);
  if (code == kOk) code = open_rdma_cm();
  if (code == kOk) code = check_device_name(uri, a->knobs);
  return code == kOk ? resolve(uri, a->knobs, false, to) : code;
}

Code begin(const Uri& uri, RdmaPursuit* a) noexcept {
  a->stage = RdmaPursuit::kAddress;
  a->near = false;
  a->agreed = {};
  a->events = POLLIN;
  Code code = make_event_channel(&a->e.channel);
  if (code != kOk) return code;
  a->fd = epoll_create1(EPOLL_CLOEXEC);
  if (a->fd < 0 || !watch(a->fd, a->e.channel->fd)) return fail_errno(kSystem, "epoll for an attempt", errno);
  if (g_verbs.create_id(a->e.channel, &a->e.id, nullptr, RDMA_PS_TCP) != 0)
    return fail_errno(kSystem, "rdma_create_id", errno);
  code = set_options(a->e.id, a->knobs);
  if (code != kOk || g_verbs.resolve_addr(a->e.id, nullptr, reinterpret_cast<sockaddr*>(&a->to), kNeverMs) == 0)
    return code;
  if (errno == ENODEV) return no_way(uri);
  return fail(kUnreachable, "%s: there is no way to that address: %s; check it, the network and the routes", uri.text,
              strerror(errno));
}

Code find_route(const Uri& uri, RdmaPursuit* a) noexcept {
  Code code = take_wanted(uri, *a, RDMA_CM_EVENT_ADDR_RESOLVED);
  if (code != kOk) return code;
  a->stage = RdmaPursuit::kRoute;
  if (g_verbs.resolve_route(a->e.id, kNeverMs) == 0) return kOk;
  if (errno == ENODEV) return fail(kNoDevice, "%s: that address is not one of an RDMA device's", uri.text);
  return fail_errno(kSystem, "rdma_resolve_route", errno);
}

// The way leads back to the address that it begins at.
bool is_way_to_oneself(const sockaddr_storage& to, const rdma_cm_id* id) noexcept {
  const sockaddr* from = &id->route.addr.src_addr;
  if (from->sa_family != to.ss_family) return false;
  if (to.ss_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in*>(from)->sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in&>(to).sin_addr.s_addr;
  }
  return memcmp(&reinterpret_cast<const sockaddr_in6*>(from)->sin6_addr,
                &reinterpret_cast<const sockaddr_in6&>(to).sin6_addr, sizeof(in6_addr)) == 0;
}

// An iWARP device may make its TCP connection in the call.
Code connect_failed(const Uri& uri, int error) noexcept {
  if (error == ECONNREFUSED) return fail(kNoListener, "%s: nobody listens there", uri.text);
  if (error != ETIMEDOUT && error != EHOSTUNREACH) return fail_errno(kSystem, "rdma_connect", error);
  return fail(kUnreachable, "%s: the host does not answer: %s; check the address, the network and the routes", uri.text,
              strerror(error));
}

// Device and route are known: the attempt has its queue pair now.
Code call_listener(const Uri& uri, RdmaPursuit* a) noexcept {
  Code code = take_wanted(uri, *a, RDMA_CM_EVENT_ROUTE_RESOLVED);
  if (code == kOk) code = make_endpoint(*a->context, uri, a->knobs, &a->parley, &a->e);
  if (code != kOk) return code;
  Card card = make_card(kOk, a->knobs.path, a->e.mtu);
  rdma_conn_param p = connection_params(a->knobs, a->e, card);
  if (g_verbs.connect(a->e.id, &p) != 0) return connect_failed(uri, errno);
  a->near = is_way_to_oneself(a->to, a->e.id);
  a->stage = RdmaPursuit::kAnswer;
  return kOk;
}

Code ask(const Uri& uri, const ChannelParams& params, RdmaPursuit* a) noexcept {
  Card answer = {};
  bool iwarp = a->e.iwarp;
  Code code = take_wanted(uri, *a, iwarp ? RDMA_CM_EVENT_ESTABLISHED : RDMA_CM_EVENT_CONNECT_RESPONSE, &answer);
  if (code == kOk) code = enter_connection(a->knobs, answer.mtu, &a->e);
  if (code == kOk && !iwarp && g_verbs.establish(a->e.id) != 0) code = fail_errno(kSystem, "rdma_establish", errno);
  // Not before: shared queues may have events, which are dropped by who arms them (R7), and that is done from now on.
  if (code == kOk && !watch(a->fd, news_fd(a->e))) code = fail_errno(kSystem, "epoll for an attempt", errno);
  if (code != kOk) return code;
  a->stage = RdmaPursuit::kOffer;
  return send_hello(&a->e, &a->parley, make_hello(Hello::kAsk, params, params.ring_bytes));
}

Code check_offer(const ChannelParams& params, const RdmaHello& offer, RdmaPursuit* a) noexcept {
  uint64_t ring_bytes = offer.hello.ring_bytes;
  if (ring_bytes == 0 || ring_bytes > params.ring_bytes_max ||
      (params.ring_bytes != 0 && ring_bytes != params.ring_bytes)) {
    return fail(kSize, "the listener offers a ring of %llu bytes; this end wants %llu and its context allows %llu",
                static_cast<unsigned long long>(ring_bytes), static_cast<unsigned long long>(params.ring_bytes),
                static_cast<unsigned long long>(params.ring_bytes_max));
  }
  a->agreed.ring_bytes = ring_bytes;
  agree_on_ops(offer.hello, params, &a->agreed);
  return a->e.two_sided ? check_slots(offer) : check_inbox(offer, a->agreed.both_rings());
}

Code take_offer(const ChannelParams& params, RdmaPursuit* a) noexcept {
  Code code = take_hello(a, Hello::kOffer, &a->offer);
  if (code == kOk) code = check_offer(params, *a->offer, a);
  if (code == kOk) code = make_rings(*a->context, a->agreed, &a->e);
  if (code == kOk) a->stage = RdmaPursuit::kAsked;
  return code;
}

Code accept_offer(const ChannelParams& params, RdmaPursuit* a) noexcept {
  Code code = delivered(a);
  if (code != kOk) return code;
  a->stage = RdmaPursuit::kGo;
  return send_hello(&a->e, &a->parley, make_hello(Hello::kAccept, params, a->agreed.ring_bytes));
}

Code take_go(RdmaPursuit* a) noexcept {
  const RdmaHello* go = nullptr;
  Code code = take_hello(a, Hello::kGo, &go);
  if (code == kOk) a->stage = RdmaPursuit::kAccepted;
  return code;
}

// As far as it goes now. kNoListener, kUnreachable, kHandshake: worth another attempt.
Code go_on(const Uri& uri, const ChannelParams& params, RdmaPursuit* a) noexcept {
  for (;;) {
    Code code = kOk;
    switch (a->stage) {
      case RdmaPursuit::kAddress:
        code = find_route(uri, a);
        break;
      case RdmaPursuit::kRoute:
        code = call_listener(uri, a);
        break;
      case RdmaPursuit::kAnswer:
        code = ask(uri, params, a);
        break;
      case RdmaPursuit::kOffer:
        code = take_offer(params, a);
        break;
      case RdmaPursuit::kAsked:
        code = accept_offer(params, a);
        break;
      case RdmaPursuit::kGo:
        code = take_go(a);
        break;
      case RdmaPursuit::kAccepted:
        return delivered(a);
    }
    // A listener that closed before it said anything: another one may come.
    if (code == kPeerDead && a->parley.received == 0) return kHandshake;
    if (code != kOk) return code;
  }
}

// What has been made becomes the link's, or goes.
Code end(Code code, RdmaPursuit* a, RdmaLink* link) noexcept {
  if (code == kOk) {
    memcpy(link->identity, a->offer->hello.identity, sizeof link->identity);
    code = fill_link(*a->context, a->knobs, &a->e, *a->offer, a->agreed, link);
  }
  rdma_abandon(a);
  return code;
}

// ----------------------------------------------------------------------------------------------------------------
// in one call

// share: of the time for an answer, what this attempt has. A machine refuses at once what nobody of its own listens
// for: who is silent there is a listener, and has all of it.
Deadline until(const RdmaPursuit& a, Deadline deadline, Deadline answer, Deadline share, const Link* link) noexcept {
  if (a.stage > RdmaPursuit::kAnswer) return deadline.or_at(link->heard_until_ns);
  return a.near ? answer.or_at(link->heard_until_ns) : share;
}

Code attempt(const Uri& uri, const ChannelParams& params, Deadline deadline, Deadline answer, Deadline share,
             RdmaPursuit* a, RdmaLink* link) noexcept {
  Code code = begin(uri, a);
  while (code == kOk && (code = go_on(uri, params, a)) == kWouldBlock) {
    code = wait_readable(a->fd, a->context->stop_fd(), until(*a, deadline, answer, share, link));
    if (code == kTimeout) fail_plain(kTimeout, "the connection request was not accepted before the deadline");
  }
  link->heard = a->stage > RdmaPursuit::kAnswer || (a->near && code == kTimeout);
  return end(code, a, link);
}

// A later attempt may end otherwise.
bool passes(Code code) noexcept { return code == kNoListener || code == kUnreachable || code == kHandshake; }

// One attempt at each address of the name, until somebody answers, and again if the last one was silent. Only who is
// the only one has all the time. An address that no device has a way to is dropped, unless it is the only one. before:
// what came of the round before.
Code try_each(const Uri& uri, const ChannelParams& params, Deadline deadline, Deadline answer, Code before,
              RdmaAddresses* to, RdmaPursuit* a, RdmaLink* link) noexcept {
  bool refused = to->count > 1 && before == kNoListener;
  for (int i = 0;;) {
    int left = to->count - i;
    int64_t most = answer.left(now_ns()) / left;
    Deadline share = to->count == 1 ? answer : answer.sooner(most < kAttemptNs ? most : kAttemptNs);
    a->to = to->at[i];
    Code code = attempt(uri, params, deadline, answer, share, a, link);
    if (code == kNoDevice && to->count > 1) {
      to->at[i] = to->at[--to->count];
      if (i == to->count) i = 0;
      continue;
    }
    bool silent = code == kTimeout && !link->heard;
    if (left != 1 ? silent || passes(code) : silent && answer.left(now_ns()) != 0) {
      refused |= code == kNoListener;
      i = (i + 1) % to->count;
      continue;
    }
    // A refusal tells most: a machine is there.
    bool tells_less = silent || code == kUnreachable;
    return refused && tells_less ? fail(kNoListener, "%s: nobody listens there", uri.text) : code;
  }
}

}  // namespace

Code resolve(const Uri& uri, const Knobs& knobs, bool passive, RdmaAddresses* addresses) noexcept {
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
  *addresses = {};
  const addrinfo* next = found;
  do {
    memcpy(&addresses->at[addresses->count++], next->ai_addr, next->ai_addrlen);
    next = next->ai_next;
  } while (next != nullptr && addresses->count < kRdmaAddressesMax);
  freeaddrinfo(found);
  return kOk;
}

Code rdma_backend_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline,
                          Link* link) noexcept {
  RdmaPursuit a = {};
  RdmaAddresses to;
  a.fd = -1;
  Code code = prepare(context, uri, params, &a, &to);
  if (code != kOk) return code;
  Deadline answer = Deadline::after(kAnswerNs);
  if (deadline.at() > answer.at()) answer = deadline;
  Code before = kOk;
  for (int64_t pause = kRetryMinNs;; pause = pause * 2 < kRetryMaxNs ? pause * 2 : kRetryMaxNs) {
    code = try_each(uri, params, deadline, answer, before, &to, &a, static_cast<RdmaLink*>(link));
    if (code == kTimeout && before == kNoListener)
      return fail(kNoListener, "%s: nobody listened there before the deadline", uri.text);
    if (code == kTimeout && before != kHandshake && a.stage < RdmaPursuit::kAnswer)
      return fail(kUnreachable, "%s: no machine answers for that address; check it, the network and the routes",
                  uri.text);
    if (!passes(code)) return code;
    before = code;
    if (deadline.left(now_ns()) == 0) {
      return code != kHandshake ? code : fail_plain(kTimeout, "the listener was too busy until the deadline");
    }
    answer = deadline;
    Code stopped = wait_readable(-1, context.stop_fd(), deadline.sooner(pause));
    if (stopped != kTimeout) return stopped;
  }
}

Code rdma_pursue(Context& context, const Uri& uri, const ChannelParams& params, Deadline, Pursuit* p,
                 Link* link) noexcept {
  RdmaPursuit* a = rdma(p);
  Code code = kOk;
  if (a->fd < 0) {
    RdmaAddresses to;
    code = prepare(context, uri, params, a, &to);
    if (code != kOk) return code;
    a->addresses = static_cast<uint32_t>(to.count);
    a->to = to.at[a->turn++ % a->addresses];
    code = begin(uri, a);
  }
  if (code == kOk) code = go_on(uri, params, a);
  if (code == kWouldBlock) return code;
  link->heard = a->stage > RdmaPursuit::kAnswer;
  // Of several addresses only all say so: the next attempt goes on to the next one.
  a->without = code == kNoDevice ? a->without + 1 : 0;
  if (code == kNoDevice && a->without < a->addresses)
    code = fail(kUnreachable, "%s: no RDMA device of this machine has a way to one of its addresses", uri.text);
  return end(code, a, static_cast<RdmaLink*>(link));
}

void rdma_abandon(Pursuit* p) noexcept {
  RdmaPursuit* a = rdma(p);
  if (a->context == nullptr) return;  // nothing was begun
  drop_connection(&a->e);
  destroy_endpoint(*a->context, &a->e);
  if (a->fd >= 0) close(a->fd);
  a->fd = -1;
}

}  // namespace rc
#endif
