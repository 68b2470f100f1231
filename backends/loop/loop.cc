#include "backends/loop/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/context.h"
#include "core/descriptors.h"
#include "core/hello.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr int64_t kRetryNs = 1000 * 1000;

enum State : uint32_t { kWaiting, kPaired, kTurnedDown, kListenerLeft };

// Everything a pair shares is known to both links; the end that closes last gives it back. Under the context's lock,
// except what the data path reads, which is fixed once the pair is made.
struct LoopLink : Link {
  LoopLink* peer;  // null once it has closed
  LoopLink* next;  // in a listener's queue
  int peer_fd[2];  // the peer's doorbells
  State state;     // of a connect under way
  Code verdict;    // with kTurnedDown
  char text[168];  // its reason
  Hello ask;
};

struct LoopPoint : ListenPoint {
  bool open;
  LoopLink* first;  // clients in their order
  LoopLink* last;
};

LoopLink* loop(Link* link) noexcept { return static_cast<LoopLink*>(link); }

Code check_uri(const Uri& uri) noexcept {
  constexpr const char* kNone[] = {nullptr};
  return uri.only(kNone);
}

// ----------------------------------------------------------------------------------------------------------------
// listener

Code loop_listen(Context& context, ListenPoint* p) noexcept {
  auto* point = static_cast<LoopPoint*>(p);
  Code code = check_uri(p->uri);
  if (code != kOk) return code;
  // The list has the newest first: of two that listen at once, the older one wins.
  context.lock();
  for (ListenPoint* other = p->next; other != nullptr; other = other->next) {
    if (other->ops == p->ops && strcmp(other->uri.name, p->uri.name) == 0) code = kNameInUse;
  }
  context.unlock();
  if (code != kOk) return fail(kNameInUse, "%s: this context listens there already", p->uri.text);
  p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (p->fd < 0) return fail_errno(kSystem, "eventfd for a loop listener", errno);
  context.lock();
  point->open = true;
  context.unlock();
  return kOk;
}

void loop_interrupt_accept(ListenPoint* p) noexcept { signal_fd(p->fd); }

void loop_unlisten(Context& context, ListenPoint* p) noexcept {
  auto* point = static_cast<LoopPoint*>(p);
  context.lock();
  point->open = false;
  for (LoopLink* link = point->first; link != nullptr; link = link->next) {
    link->state = kListenerLeft;
    signal_fd(link->fd[kGetSide]);
  }
  point->first = point->last = nullptr;
  context.unlock();
  ::close(p->fd);
}

// ---------------------------------------------------------------------------------------------------------------- both
// ends

Code make_end(Context& context, LoopLink* link) noexcept {
  Inbox* inbox = context.take_ring();
  if (inbox == nullptr) return kPool;
  link->inbox = inbox;
  for (int& fd : link->fd) fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (link->fd[0] >= 0 && link->fd[1] >= 0) return kOk;
  int error = errno;
  for (int& fd : link->fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  context.give_ring(inbox);
  return fail_errno(kSystem, "eventfd for a loop channel", error);
}

void give_back(Context& context, const Inbox* inbox, const int fd[2]) noexcept {
  context.give_ring(const_cast<Inbox*>(inbox));
  ::close(fd[0]);
  ::close(fd[1]);
}

void pair_one(LoopLink* link, LoopLink* peer, uint64_t ring_bytes, const char* identity) noexcept {
  link->peer = peer;
  link->outbox = const_cast<Inbox*>(peer->inbox);
  link->ring_bytes = ring_bytes;
  link->direct = true;
  link->peer_fd[0] = peer->fd[0];
  link->peer_fd[1] = peer->fd[1];
  link->peer_pid = getpid();
  link->peer_uid = getuid();
  memcpy(link->identity, identity, sizeof link->identity);
}

LoopLink* pop(LoopPoint* point) noexcept {
  LoopLink* link = point->first;
  if (link == nullptr) return nullptr;
  point->first = link->next;
  if (point->first == nullptr) point->last = nullptr;
  return link;
}

Code loop_accept(Context& context, ListenPoint* p, Deadline deadline, Link* l) noexcept {
  auto* point = static_cast<LoopPoint*>(p);
  LoopLink* link = loop(l);
  link->ops = p->ops;
  Code code = make_end(context, link);
  if (code != kOk) return code;
  for (;;) {
    context.lock();
    LoopLink* client = pop(point);
    if (point->first == nullptr) drain_fd(p->fd);
    if (client != nullptr) {
      uint64_t ring_bytes = 0;
      Code verdict = judge_ask(client->ask, p->params, &ring_bytes);
      if (verdict == kOk) {
        pair_one(link, client, ring_bytes, client->ask.identity);
        pair_one(client, link, ring_bytes, p->params.identity);
        agree_on_ops(client->ask, p->params, link);
        agree_on_ops(client->ask, p->params, client);
      } else {
        client->verdict = verdict;
        strncpy(client->text, reason(), sizeof client->text - 1);
      }
      client->state = verdict == kOk ? kPaired : kTurnedDown;
      signal_fd(client->fd[kGetSide]);
      context.unlock();
      if (verdict == kOk) return kOk;
      continue;
    }
    context.unlock();
    if (p->closing.load(std::memory_order_acquire))
      code = fail_plain(kClosing, "the listener is being closed by another thread");
    if (code == kOk) code = wait_readable(p->fd, context.stop_fd(), deadline);
    if (code != kOk) {
      give_back(context, link->inbox, link->fd);
      return code;
    }
  }
}

// Takes the client out of the queue if it is still in it. Under the context's lock.
void leave_queue(Context& context, const Uri& uri, const LoopLink* link) noexcept {
  for (ListenPoint* p = context.listen_points(); p != nullptr; p = p->next) {
    if (p->ops != &kLoopBackend || strcmp(p->uri.name, uri.name) != 0) continue;
    auto* point = static_cast<LoopPoint*>(p);
    LoopLink* before = nullptr;
    for (LoopLink* c = point->first; c != nullptr; before = c, c = c->next) {
      if (c != link) continue;
      (before == nullptr ? point->first : before->next) = c->next;
      if (point->last == c) point->last = before;
      return;
    }
  }
}

bool join_queue(Context& context, const Uri& uri, LoopLink* link) noexcept {
  for (ListenPoint* p = context.listen_points(); p != nullptr; p = p->next) {
    auto* point = static_cast<LoopPoint*>(p);
    if (p->ops != &kLoopBackend || !point->open || strcmp(p->uri.name, uri.name) != 0) continue;
    link->state = kWaiting;
    link->next = nullptr;
    (point->last == nullptr ? point->first : point->last->next) = link;
    point->last = link;
    signal_fd(p->fd);
    return true;
  }
  return false;
}

// False: the channel stands, a listener was faster.
bool give_up(Context& context, const Uri& uri, const LoopLink* link) noexcept {
  context.lock();
  bool paired = link->state == kPaired;
  if (!paired) leave_queue(context, uri, link);
  context.unlock();
  return !paired;
}

Code loop_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Link* l) noexcept {
  LoopLink* link = loop(l);
  Code code = check_uri(uri);
  if (code == kOk) code = make_end(context, link);
  if (code != kOk) return code;
  link->ask = make_hello(Hello::kAsk, params, params.ring_bytes);
  bool queued = false;
  for (;;) {
    context.lock();
    if (!queued || link->state == kListenerLeft) queued = join_queue(context, uri, link);
    State state = queued ? link->state : kListenerLeft;
    context.unlock();
    if (state == kPaired) {
      drain_fd(link->fd[kGetSide]);
      return kOk;
    }
    if (state == kTurnedDown) {
      code = fail(link->verdict, "the listener refused: %s", link->text);
      break;
    }
    // Queued: until the listener says something. Else: until somebody may listen.
    code = wait_readable(link->fd[kGetSide], context.stop_fd(), queued ? deadline : deadline.sooner(kRetryNs));
    if (code == kOk) drain_fd(link->fd[kGetSide]);
    if (code == kTimeout && (queued || deadline.left(now_ns()) == 0)) {
      if (queued && !give_up(context, uri, link)) continue;
      code = queued ? fail(kTimeout, "%s: somebody listens there but did not accept before the deadline", uri.text)
                    : fail(kNoListener, "%s: nobody listened there before the deadline", uri.text);
      break;
    }
    if (code == kStopped || code == kSystem) {
      if (queued && !give_up(context, uri, link)) continue;
      break;
    }
  }
  give_back(context, link->inbox, link->fd);
  return code;
}

void loop_close(Context& context, Link* l) noexcept {
  LoopLink* link = loop(l);
  for (int fd : link->peer_fd) signal_fd(fd);
  context.lock();
  LoopLink* peer = link->peer;
  if (peer != nullptr) peer->peer = nullptr;
  context.unlock();
  if (peer != nullptr) return;  // it still uses all of it
  give_back(context, link->inbox, link->fd);
  give_back(context, link->outbox, link->peer_fd);
}

// ---------------------------------------------------------------------------------------------------------------- data
// path

Code loop_post(Link*, const WorkRequest*, uint32_t) noexcept { return kUnsupported; }  // the link is direct
Code loop_progress(Link*, Side) noexcept { return kOk; }
bool loop_delivered(Link*) noexcept { return true; }

Code loop_alive(Link* link, Side side) noexcept {
  drain_fd(link->fd[side]);
  return kOk;  // the peer shares our fate; its close shows in `closed`
}

void loop_ring(Link* link, Side side) noexcept { signal_fd(loop(link)->peer_fd[side]); }

void loop_interrupt(Link* link) noexcept {
  for (int fd : link->fd) signal_fd(fd);
}

}  // namespace

const Backend kLoopBackend = {"loop",        sizeof(LoopLink), sizeof(LoopPoint), loop_listen, loop_interrupt_accept,
                              loop_unlisten, loop_accept,      loop_connect,      loop_close,  loop_post,
                              loop_progress, loop_delivered,   loop_alive,        loop_ring,   loop_interrupt};

}  // namespace rc
