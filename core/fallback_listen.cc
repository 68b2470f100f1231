// A listener's list: all of its members listen, and whose client is through is accepted.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/context.h"
#include "core/fallback_members.h"
#include "core/local_addresses.h"
#include "core/wait.h"

namespace rc {
namespace {

// What the members of a listener do by the clock (clients that do not complete the handshake) is looked after so often.
constexpr int64_t kLookNs = int64_t{1} * 1000 * 1000 * 1000;

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
      note_result(&results[i], code);
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
  char name[2 * kUriBytes], text[3 * kUriBytes + sizeof point->uri.query];
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
    note_result(&results[i], code);
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

}  // namespace

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

namespace {

// One look at every member; kTimeout: no client is through.
Code accept_once(Context& context, FallbackPoint* point, Link* link) noexcept {
  MemberResult trouble = {};
  for (uint32_t i = 0; i < point->count; ++i) {
    ListenPoint* member = point->members[(point->turn + i) % point->count];
    bool told = member->gone && point->count > 1;  // once is enough: the others go on
    Context::blank(link, member->ops->link_bytes);
    Code code = member->ops->accept(context, member, Deadline::after(0), link);
    if (point->count == 1) point->gone = member->gone;
    if (code == kOk) {
      point->turn = (point->turn + i + 1) % point->count;
      memcpy(link->uri, member->uri.text, sizeof link->uri);
      snprintf(link->choice, sizeof link->choice, "%s was taken by the client", member->ops->scheme);
    }
    if (code == kOk || code == kClosing || code == kStopped) return code;
    if (code != kTimeout && !told && trouble.code == kOk) note_result(&trouble, code);
  }
  if (trouble.code != kOk) return fail(trouble.code, "%s", trouble.reason);
  return kTimeout;
}

}  // namespace

Code fallback_accept(Context& context, ListenPoint* p, Deadline deadline, Link* link) noexcept {
  for (;;) {
    Code code = accept_once(context, fallback(p), link);
    if (code != kTimeout) return code;
    code = wait_readable(p->fd, context.stop_fd(), deadline.sooner(kLookNs));
    if (code == kTimeout && deadline.left(now_ns()) != 0) continue;
    if (code != kOk) return code;
  }
}

}  // namespace rc
