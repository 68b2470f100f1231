// A client's list: tried round after round, in one call or in several.
#include <string.h>

#include "core/context.h"
#include "core/fallback_members.h"
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

int64_t doubled(int64_t ns, int64_t most) noexcept { return ns * 2 < most ? ns * 2 : most; }

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
  note_result(result, code);
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
    note_result(&c.results[i], code == kOk ? kUnreachable : code);
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

}  // namespace

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

namespace {

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
    if (code != kOk) note_result(&c.results[a->member], code);
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
  memcpy(c.link->uri, uri.text, sizeof c.link->uri);
  code = member->pursue(c.context, uri, c.params, c.deadline, a->own(), c.link);
  a->fd = a->own()->fd;
  a->events = a->own()->events;
  if (code == kOk || a->fd >= 0) return code;
  MemberResult* result = &c.results[a->member];
  result->answered = c.link->heard;
  // Of several places where nobody listens the first one's reason is told.
  if (a->place == 0 || code != kNoListener || result->answered) note_result(result, code);
  return code;
}

}  // namespace

// Through the list once.
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
    // That nobody listens at a place of this machine shows in the call that begins the attempt, which knows the places.
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
  // The caller's own reason stays: this may be the end of its mesh.
  constexpr char kSilent[] = "no answer in the time that an attempt has";
  MemberResult* result = &a->results[a->member];
  result->code = kTimeout;
  result->answered = false;
  memcpy(result->reason, kSilent, sizeof kSilent);
  move_to(a, a->member + 1, 0);
}

}  // namespace rc
