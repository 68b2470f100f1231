#include "core/fallback.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/context.h"
#include "core/local_addresses.h"
#include "core/wait.h"

namespace rc {
namespace {

// How long one try of a member lasts if nobody answers: on this machine a refusal comes at once. It doubles from round
// to round, so that a far one is given the time it needs.
constexpr int64_t kTryNearNs = 1000 * 1000;
constexpr int64_t kTryFarNs = 250 * 1000 * 1000;
constexpr int64_t kTryMostNs = int64_t{2} * 1000 * 1000 * 1000;
constexpr int64_t kPauseMinNs = 500 * 1000;
constexpr int64_t kPauseMaxNs = 20 * 1000 * 1000;
// What the members of a listener do by the clock (clients that do not complete the handshake) is looked after so often.
constexpr int64_t kLookNs = int64_t{1} * 1000 * 1000 * 1000;

int64_t doubled(int64_t ns, int64_t most) noexcept { return ns * 2 < most ? ns * 2 : most; }

void note(MemberResult* result, Code code) noexcept {
  result->code = code;
  snprintf(result->reason, sizeof result->reason, "%s", reason());
}

// A text that grows; what does not fit is cut.
struct Text {
  char* at;
  size_t room;
  size_t used = 0;
  void add(const char* format, ...) noexcept __attribute__((format(printf, 2, 3))) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(at + used, room - used, format, args);
    va_end(args);
    used += static_cast<size_t>(n);
    if (used >= room) used = room - 1;
  }
};

// "SCHEME: REASON" of each member that has one, up to `end`.
void add_reasons(const Transports& list, const MemberResult* results, uint32_t end, Text* text) noexcept {
  const char* before = "";
  for (uint32_t i = 0; i < end; ++i) {
    if (results[i].code == kOk) continue;
    text->add("%s%s: %s", before, list.at[i]->scheme, results[i].reason);
    before = "; ";
  }
}

// Its code is that of the first member somebody answered, else that of the last one.
Code all_failed(const Uri& uri, const Transports& list, const MemberResult* results) noexcept {
  char reasons[kChoiceBytes] = "";
  Text text = {reasons, sizeof reasons};
  add_reasons(list, results, list.count, &text);
  Code code = results[list.count - 1].code;
  for (uint32_t i = list.count; i-- > 0;) {
    if (results[i].answered) code = results[i].code;
  }
  return fail(code, "%s: no transport of the list will do: %s", uri.text, reasons);
}

// A member's URI for this host. Two processes must agree on the last two: PROTOCOL.md T1.
Code uri_for(const Uri& uri, const Backend* member, const char* host, uint16_t port, Uri* out) noexcept {
  char name[kUriBytes + 16];
  snprintf(name, sizeof name, "%s%s:%u", member->reach == kThisHost ? "" : "//", host, unsigned{port});
  return member_uri(uri, member->scheme, name, out);
}

Code not_here(const Transports& list) noexcept {
  return fail(kUnreachable, "%s is not this machine: none of its interfaces has that address", list.host);
}

// ----------------------------------------------------------------------------------------------------------------
// connecting

struct Connecting {
  Context& context;
  const Uri& uri;
  const ChannelParams& params;
  Deadline deadline;
  Link* link;
  Transports list;
  MemberResult* results;
  LocalNumbers here;  // numeric addresses of the host, if it is this machine
};

// Whether a later try may end otherwise.
bool passes(Code code) noexcept {
  return code == kNoListener || code == kTimeout || code == kUnreachable || code == kPeerDead || code == kHandshake;
}

Code try_at(Connecting& c, const Backend* member, const char* host, Deadline until, MemberResult* result) noexcept {
  Uri uri;
  Code code = uri_for(c.uri, member, host, c.list.port, &uri);
  if (code != kOk) return code;
  Context::blank(c.link, member->link_bytes);
  c.link->ops = member;
  c.link->heard_until_ns = c.deadline.at();
  memcpy(c.link->uri, uri.text, sizeof c.link->uri);
  code = member->connect(c.context, uri, c.params, until, c.link);
  if (code == kOk) return code;
  note(result, code);
  result->answered = c.link->heard;
  return code;
}

// A listener of this machine may listen at the very address, or at all of them: the first is looked for first, as the
// system does it for tcp.
Code try_here(Connecting& c, const Backend* member, Deadline until, MemberResult* result) noexcept {
  MemberResult first = {};
  for (uint32_t i = 0; i < c.here.count; ++i) {
    Code code = try_at(c, member, c.here.at[i], until, result);
    if (code != kNoListener || result->answered) return code;
    if (i == 0) first = *result;
  }
  *result = first;
  return first.code;
}

Code try_member(Connecting& c, uint32_t i, int64_t try_ns) noexcept {
  const Backend* member = c.list.at[i];
  MemberResult* result = &c.results[i];
  uint32_t left = 0;
  for (uint32_t k = 0; k < c.list.count; ++k) left += c.results[k].out ? 0 : 1;
  // With nobody else to be tried it may have all the time, but for one that has several places to look at.
  Deadline until = left == 1 && member->reach != kThisHost ? c.deadline : c.deadline.sooner(try_ns);
  Code code =
      member->reach == kThisHost ? try_here(c, member, until, result) : try_at(c, member, c.list.host, until, result);
  result->out = code != kOk && !passes(code);
  return code;
}

void tell_choice(const Connecting& c, uint32_t taken) noexcept {
  Text text = {c.link->choice, sizeof c.link->choice};
  text.add("%s was taken", c.list.at[taken]->scheme);
  if (taken == 0) return;
  text.add("; not ");
  add_reasons(c.list, c.results, taken, &text);
}

// Looks the host up once: a machine keeps its addresses while we try.
Code look_at_host(Connecting& c) noexcept {
  bool needed = false;
  for (uint32_t i = 0; i < c.list.count; ++i) needed |= c.list.at[i]->reach == kThisHost;
  if (!needed) return kOk;
  LocalAddresses addresses;
  Code code = addresses.read();
  if (code == kOk) code = addresses.find(c.list.host, true, &c.here);
  for (uint32_t i = 0; i < c.list.count; ++i) {
    if (c.list.at[i]->reach != kThisHost || (code == kOk && c.here.count != 0)) continue;
    if (code == kOk) not_here(c.list);
    note(&c.results[i], code == kOk ? kUnreachable : code);
    c.results[i].out = true;
  }
  return kOk;
}

// A client's list; port 0 is none.
Code read_client_list(const Uri& uri, Transports* list) noexcept {
  Code code = read_transports(uri, list);
  if (code != kOk || list->port != 0) return code;
  return fail(kUri, "URI \"%s\": port 0 is for listeners; a client names the port that the listener got", uri.text);
}

Code fallback_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline,
                      Link* link) noexcept {
  MemberResult results[kTransportsMax] = {};
  Connecting c = {context, uri, params, deadline, link, {}, results, {}};
  Code code = read_client_list(uri, &c.list);
  if (code == kOk) code = look_at_host(c);
  if (code != kOk) return code;
  int64_t try_ns = c.here.count != 0 ? kTryNearNs : kTryFarNs;
  for (int64_t pause = kPauseMinNs;; pause = doubled(pause, kPauseMaxNs), try_ns = doubled(try_ns, kTryMostNs)) {
    bool hope = false;
    for (uint32_t i = 0; i < c.list.count; ++i) {
      if (c.results[i].out) continue;
      code = try_member(c, i, try_ns);
      if (code == kOk) {
        tell_choice(c, i);
        return kOk;
      }
      if (code == kStopped || code == kUri) return code;
      hope |= !c.results[i].out;
    }
    if (!hope || deadline.left(now_ns()) == 0) return all_failed(uri, c.list, c.results);
    code = wait_readable(-1, context.stop_fd(), deadline.sooner(pause));
    if (code != kTimeout) return code;
  }
}

// ------------------------------------------------------------------------------------------- connecting in several
// calls

FallbackPursuit* fallback(Pursuit* p) noexcept { return static_cast<FallbackPursuit*>(p); }

void move_to(FallbackPursuit* a, uint32_t member, uint32_t place) noexcept {
  a->fd = -1;
  a->member = member;
  a->place = place;
}

// The attempt at the place whose turn it is may begin. Not kOk: there is none.
Code begin_place(Connecting& c, FallbackPursuit* a) noexcept {
  const Backend* member = c.list.at[a->member];
  bool near = member->reach == kThisHost;
  if (near && c.here.count == 0) {
    Code code = look_at_host(c);
    if (code != kOk) note(&c.results[a->member], code);
    if (c.results[a->member].code != kOk) return c.results[a->member].code;
  }
  if (near && a->place >= c.here.count) a->place = 0;  // the machine's addresses have changed meanwhile
  Uri uri;
  Code code = uri_for(c.uri, member, near ? c.here.at[a->place] : c.list.host, c.list.port, &uri);
  if (code != kOk) return code;
  memcpy(a->uri, uri.text, sizeof a->uri);
  memset(static_cast<void*>(a->own()), 0, member->pursuit_bytes);
  a->own()->ops = member;
  a->own()->fd = -1;
  a->own()->turn = a->turn;
  return kOk;
}

// Goes on with the attempt at one place, or begins it. kWouldBlock, kPool: a->fd tells whether it is under way.
Code pursue_place(Connecting& c, FallbackPursuit* a) noexcept {
  const Backend* member = c.list.at[a->member];
  Uri uri;
  Code code = uri.parse(a->uri);
  if (code != kOk) return code;
  Context::blank(c.link, member->link_bytes);
  c.link->ops = member;
  c.link->heard_until_ns = c.deadline.at();
  memcpy(c.link->uri, uri.text, sizeof c.link->uri);
  code = member->pursue(c.context, uri, c.params, c.deadline, a->own(), c.link);
  a->fd = a->own()->fd;
  a->events = a->own()->events;
  if (code == kOk || a->fd >= 0) return code;
  MemberResult* result = &c.results[a->member];
  result->answered = c.link->heard;
  // Of several places where nobody listens the first one's reason is told.
  if (a->place == 0 || code != kNoListener || result->answered) note(result, code);
  return code;
}

// Through the list once. A member whose attempts do not go on has the call's time.
Code fallback_pursue(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Pursuit* pursuit,
                     Link* link) noexcept {
  FallbackPursuit* a = fallback(pursuit);
  Connecting c = {context, uri, params, deadline, link, {}, a->results, {}};
  Code code = read_client_list(uri, &c.list);
  if (code != kOk) return code;
  if (a->fd < 0 && a->member >= c.list.count) a->member = 0;
  if (a->fd < 0 && a->member == 0) {
    memset(static_cast<void*>(a->results), 0, sizeof a->results);
    ++a->turn;
  }
  while (a->member < c.list.count) {
    if (a->fd < 0) code = begin_place(c, a);
    if (a->fd >= 0 || code == kOk) code = pursue_place(c, a);
    if (a->fd >= 0) return code;
    if (code == kOk) tell_choice(c, a->member);
    if (code == kOk || code == kStopped || code == kUri) {
      move_to(a, 0, 0);
      return code;
    }
    // A member whose attempts do not go on, and whose listener had no time: the next attempt is made there, too.
    if (code == kTimeout && c.results[a->member].answered) {
      move_to(a, 0, 0);
      break;
    }
    bool more = code == kNoListener && !c.results[a->member].answered && a->place + 1 < c.here.count;
    bool stays = more && c.list.at[a->member]->reach == kThisHost;
    move_to(a, stays ? a->member : a->member + 1, stays ? a->place + 1 : 0);
  }
  return all_failed(uri, c.list, c.results);
}

// The member after the one that was silent has its turn now: or those behind it never had one.
void fallback_abandon(Pursuit* pursuit) noexcept {
  FallbackPursuit* a = fallback(pursuit);
  a->own()->ops->abandon(a->own());
  a->results[a->member].answered = false;
  note(&a->results[a->member], fail_plain(kTimeout, "no answer in the time that an attempt has"));
  move_to(a, a->member + 1, 0);
}

// ----------------------------------------------------------------------------------------------------------------
// listening

FallbackPoint* fallback(ListenPoint* p) noexcept { return static_cast<FallbackPoint*>(p); }

void leave_members(Context& context, FallbackPoint* point) noexcept {
  for (uint32_t i = 0; i < point->count; ++i) {
    point->members[i]->ops->unlisten(context, point->members[i]);
    context.drop_point(point->members[i]);
  }
  point->count = 0;
  if (point->fd >= 0) close(point->fd);
}

// What makes a listener wrong as a whole. An address that is taken at one member leads clients to somebody else.
bool is_of_all(Code code) noexcept { return code == kUri || code == kNameInUse || code == kPool; }

Code listen_member(Context& context, FallbackPoint* point, const Backend* member, const char* host, uint16_t port,
                   ListenPoint** made) noexcept {
  Uri uri;
  Code code = uri_for(point->uri, member, host, port, &uri);
  if (code != kOk) return code;
  ListenPoint* m = context.take_point(member, uri, point->params);
  if (m == nullptr) return kPool;
  code = member->listen(context, m);
  epoll_event event = {};
  event.events = EPOLLIN;
  if (code == kOk && epoll_ctl(point->fd, EPOLL_CTL_ADD, m->fd, &event) != 0) {
    code = fail_errno(kSystem, "watching a member of a listener", errno);
    member->unlisten(context, m);
  }
  if (code != kOk) {
    context.drop_point(m);
    return code;
  }
  point->members[point->count++] = m;
  *made = m;
  return kOk;
}

uint16_t port_of(const Uri& uri) noexcept {
  return static_cast<uint16_t>(strtoul(strrchr(uri.name, ':') + 1, nullptr, 10));
}

// Port 0: the first member that says what the system chose decides for all.
Code choose_port(Context& context, FallbackPoint* point, Transports* list, MemberResult* results) noexcept {
  for (uint32_t i = 0; i < list->count && list->port == 0; ++i) {
    if (list->at[i]->reach != kAnyHost) continue;
    ListenPoint* made = nullptr;
    Code code = listen_member(context, point, list->at[i], list->host, 0, &made);
    if (code == kUri) continue;  // it may want a port; it is asked again when there is one
    if (code != kOk) {
      note(&results[i], code);
      if (is_of_all(code)) return code;
      continue;
    }
    list->port = port_of(made->uri);
    results[i].answered = true;  // it listens
    if (list->port != 0) continue;
    results[i].answered = false;
    made->ops->unlisten(context, made);
    context.drop_point(made);
    --point->count;
  }
  if (list->port == 0)
    return fail(kUri, "URI \"%s\": no transport of the list that this machine has can choose a port; name one",
                point->uri.text);
  char name[2 * kUriBytes], text[4 * kUriBytes];
  snprintf(name, sizeof name, "//%s:%u", list->host, unsigned{list->port});
  snprintf(text, sizeof text, "%s:%s%s%s", point->uri.scheme, name, point->uri.query[0] != '\0' ? "?" : "",
           point->uri.query);
  return point->uri.parse(text);
}

Code listen_everywhere(Context& context, FallbackPoint* point, const Transports& list, const LocalNumbers& here,
                       MemberResult* results) noexcept {
  for (uint32_t i = 0; i < list.count; ++i) {
    if (results[i].answered || results[i].code != kOk) continue;
    bool near = list.at[i]->reach == kThisHost;
    ListenPoint* made = nullptr;
    Code code = near && here.count == 0
                    ? not_here(list)
                    : listen_member(context, point, list.at[i], near ? here.at[0] : list.host, list.port, &made);
    results[i].answered = code == kOk;
    if (code == kOk) continue;
    note(&results[i], code);
    if (is_of_all(code)) return fail(code, "%s: %s: %s", point->uri.text, list.at[i]->scheme, results[i].reason);
  }
  return kOk;
}

void tell_where(FallbackPoint* point, const Transports& list, const MemberResult* results) noexcept {
  Text text = {point->choice, sizeof point->choice};
  text.add("listens at");
  for (uint32_t i = 0; i < point->count; ++i) text.add(" %s", point->members[i]->uri.text);
  if (point->count == list.count) return;
  text.add("; not ");
  add_reasons(list, results, list.count, &text);
}

Code fallback_listen(Context& context, ListenPoint* p) noexcept {
  FallbackPoint* point = fallback(p);
  Transports list;
  MemberResult results[kTransportsMax] = {};
  LocalAddresses addresses;
  LocalNumbers here = {};
  Code code = read_transports(p->uri, &list);
  if (code == kOk) code = addresses.read();
  if (code == kOk) code = addresses.find(list.host, false, &here);
  if (code != kOk) return code;
  p->fd = epoll_create1(EPOLL_CLOEXEC);
  if (p->fd < 0) return fail_errno(kSystem, "epoll for a listener", errno);
  if (list.port == 0) code = choose_port(context, point, &list, results);
  if (code == kOk) code = listen_everywhere(context, point, list, here, results);
  if (code == kOk && point->count == 0) {
    for (MemberResult& r : results) r.answered = false;
    code = all_failed(p->uri, list, results);
  }
  if (code == kOk) {
    tell_where(point, list, results);
  } else {
    leave_members(context, point);
  }
  return code;
}

void fallback_interrupt_accept(ListenPoint* p) noexcept {
  FallbackPoint* point = fallback(p);
  for (uint32_t i = 0; i < point->count; ++i) {
    point->members[i]->closing.store(true, std::memory_order_seq_cst);
    point->members[i]->ops->interrupt_accept(point->members[i]);
  }
}

void fallback_unlisten(Context& context, ListenPoint* p) noexcept { leave_members(context, fallback(p)); }

// One look at every member; kTimeout: no client is through.
Code accept_once(Context& context, FallbackPoint* point, Link* link) noexcept {
  MemberResult trouble = {};
  for (uint32_t i = 0; i < point->count; ++i) {
    ListenPoint* member = point->members[(point->turn + i) % point->count];
    Context::blank(link, member->ops->link_bytes);
    Code code = member->ops->accept(context, member, Deadline::after(0), link);
    if (code == kOk) {
      point->turn = (point->turn + i + 1) % point->count;
      memcpy(link->uri, member->uri.text, sizeof link->uri);
      snprintf(link->choice, sizeof link->choice, "%s was taken by the client", member->ops->scheme);
    }
    if (code == kOk || code == kClosing || code == kStopped) return code;
    if (code != kTimeout && trouble.code == kOk) note(&trouble, code);
  }
  if (trouble.code != kOk) return fail(trouble.code, "%s", trouble.reason);
  return kTimeout;
}

Code fallback_accept(Context& context, ListenPoint* p, Deadline deadline, Link* link) noexcept {
  for (;;) {
    Code code = accept_once(context, fallback(p), link);
    if (code != kTimeout) return code;
    code = wait_readable(p->fd, context.stop_fd(), deadline.sooner(kLookNs));
    if (code == kTimeout && deadline.left(now_ns()) != 0) continue;
    if (code != kOk) return code;
  }
}

// What no link leads to: an accepted or connected one is its member's.
void no_close(Context&, Link*) noexcept {}
Code no_post(Link*, const WorkRequest*, uint32_t) noexcept { return kUnsupported; }
Code no_progress(Link*, Side) noexcept { return kUnsupported; }
bool no_delivered(Link*) noexcept { return false; }
Code no_alive(Link*, Side) noexcept { return kUnsupported; }
void no_ring(Link*, Side) noexcept {}
void no_interrupt(Link*) noexcept {}

}  // namespace

const Backend kFallbackBackend = {"list",
                                  sizeof(Link),
                                  sizeof(FallbackPoint),
                                  fallback_listen,
                                  fallback_interrupt_accept,
                                  fallback_unlisten,
                                  fallback_accept,
                                  fallback_connect,
                                  no_close,
                                  no_post,
                                  no_progress,
                                  no_delivered,
                                  no_alive,
                                  no_ring,
                                  no_interrupt,
                                  kNotListed,
                                  &kNoExtras,
                                  sizeof(FallbackPursuit),
                                  fallback_pursue,
                                  fallback_abandon};

}  // namespace rc
