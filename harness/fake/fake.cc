// The fake's links. A connection is one of loop, wrapped; each end has an outbox of its own from the context's pool and
// a Wire from there to the peer's inbox. Everything is under the context's lock: speed is not what this backend is for.
#include "harness/fake/fake.h"

#include <string.h>

#include "backends/loop/loop.h"
#include "core/context.h"
#include "harness/emulator/inner.h"
#include "harness/fake/profile.h"
#include "harness/fake/wire.h"

namespace rc {
namespace {

enum Stream : uint64_t { kListener = 1, kClient = 2 };

struct FakeLink : Link {
  InnerLink inner;
  Context* context;
  FakeLink* next;   // in g_unpaired
  FakeLink* peer;   // null: it has closed, or is not there yet
  bool paired;      // there is or was a peer
  bool down;        // the link is, in both directions
  bool told;        // the caller knows
  bool lost;        // something that was posted will never land
  uint64_t notice;  // calls until he is told
  fake::Profile profile;
  fake::Wire wire;       // to the peer
  fake::Wire late_wire;  // what a peer that has closed has left under way to us
  Inbox* late_outbox;    // and its memory; null: nothing
};

// Ends whose other end has not returned from connect or accept yet. Under the contexts' locks an end is found only by
// its own context's links, but the list itself is everybody's.
pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
FakeLink* g_unpaired = nullptr;

FakeLink* fake_link(Link* link) noexcept { return static_cast<FakeLink*>(link); }

class Locked {
 public:
  explicit Locked(Context& context) noexcept : context_(context) { context_.lock(); }
  ~Locked() { context_.unlock(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  Context& context_;
};

// ----------------------------------------------------------------------------------------------------------------
// making it

FakeLink* take_unpaired(FakeLink* link) noexcept {
  for (FakeLink** p = &g_unpaired; *p != nullptr; p = &(*p)->next) {
    FakeLink* other = *p;
    if (other != link && other->inner.get()->inbox != link->inner.get()->outbox) continue;
    *p = other->next;
    return other;
  }
  return nullptr;
}

void go_down(FakeLink* link, uint64_t notice) noexcept {
  if (link == nullptr || link->down) return;
  link->down = true;
  link->notice = notice;
}

// The second of the two ends finds the first.
void pair_up(Context& context, FakeLink* link) noexcept {
  Locked locked(context);
  pthread_mutex_lock(&g_mutex);
  FakeLink* other = take_unpaired(link);
  if (other == nullptr) {
    link->next = g_unpaired;
    g_unpaired = link;
  }
  pthread_mutex_unlock(&g_mutex);
  if (other == nullptr) return;
  link->peer = other;
  other->peer = link;
  link->paired = other->paired = true;
  if (other->down) go_down(link, 0);
}

// The inner connection is there: puts ours around it.
Code wrap(Context& context, const fake::Profile& profile, uint64_t stream, FakeLink* link) noexcept {
  Inbox* outbox = context.take_ring();
  if (outbox == nullptr) {
    abandon(context, link->inner.get());
    return kPool;
  }
  const Link& inner = *link->inner.get();
  link->ops = &kFakeBackend;
  take_over(inner, outbox, link);
  link->context = &context;
  link->profile = profile;
  link->wire.open(profile, stream, outbox, inner);
  pair_up(context, link);
  return kOk;
}

Code fake_listen(Context& context, ListenPoint* p) noexcept {
  fake::Profile unused;
  Code code = fake::read_profile(p->uri, kListener, &unused);
  return code == kOk ? listen_inside(context, kLoopBackend, static_cast<WrappingPoint*>(p)) : code;
}

void fake_interrupt_accept(ListenPoint* p) noexcept { interrupt_accept_inside(static_cast<WrappingPoint*>(p)); }

void fake_unlisten(Context& context, ListenPoint* p) noexcept {
  unlisten_inside(context, static_cast<WrappingPoint*>(p));
}

Code fake_accept(Context& context, ListenPoint* p, Deadline deadline, Link* l) noexcept {
  fake::Profile profile;
  Code code = fake::read_profile(p->uri, kListener, &profile);
  if (code == kOk)
    code = accept_inside(context, static_cast<WrappingPoint*>(p), deadline, l, fake_link(l)->inner.get());
  return code == kOk ? wrap(context, profile, kListener, fake_link(l)) : code;
}

Code fake_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Link* l) noexcept {
  fake::Profile profile;
  Code code = fake::read_profile(uri, kClient, &profile);
  if (code == kOk) code = connect_inside(context, kLoopBackend, uri, params, deadline, l, fake_link(l)->inner.get());
  return code == kOk ? wrap(context, profile, kClient, fake_link(l)) : code;
}

// ----------------------------------------------------------------------------------------------------------------
// breaking it

// Leaves what is under way to the peer, which goes on executing it. Without a peer there is nobody to leave it to.
void fake_close(Context& context, Link* l) noexcept {
  FakeLink* link = fake_link(l);
  Inbox* outbox = link->outbox;
  Inbox* late_outbox = nullptr;
  {
    Locked locked(context);
    pthread_mutex_lock(&g_mutex);
    if (!link->paired) take_unpaired(link);
    pthread_mutex_unlock(&g_mutex);
    FakeLink* peer = link->peer;
    if (peer != nullptr) {
      peer->peer = nullptr;
      peer->lost |= !peer->wire.idle();
      peer->late_wire = link->wire;
      peer->late_outbox = outbox;
      outbox = nullptr;
    } else if (!link->paired) {
      link->wire.finish();
    }
    late_outbox = link->late_outbox;
  }
  if (outbox != nullptr) context.give_ring(outbox);
  if (late_outbox != nullptr) context.give_ring(late_outbox);
  link->inner.get()->ops->close(context, link->inner.get());
}

void look_for_breaks(fake::Wire& wire, FakeLink* from, FakeLink* to) noexcept {
  if (wire.state() == fake::Wire::kWorks) return;
  go_down(from, wire.state() == fake::Wire::kFailed ? 0 : wire.notice_after());
  go_down(to, wire.notice_after());
}

// Whether the caller learns now that the link is of no use any more.
Code tell(FakeLink* link) noexcept {
  bool alone =
      link->paired && link->peer == nullptr && link->late_wire.idle();  // and all that was under way has landed
  bool closed = (link->inbox->getter.load(std::memory_order_relaxed) & kClosedBit) != 0;
  if (link->down && link->notice != 0) {
    --link->notice;
  } else if (link->down || (alone && (link->profile.gone || !closed))) {
    link->told = true;
  }
  return link->told ? fail_plain(kPeerDead, "the fake link is down") : kOk;
}

// ---------------------------------------------------------------------------------------------------------------- data
// path

Code fake_post(Link* l, const WorkRequest* requests, uint32_t n) noexcept {
  FakeLink* link = fake_link(l);
  Locked locked(*link->context);
  if (link->down || (link->paired && link->peer == nullptr)) {
    link->lost = true;
    return tell(link);
  }
  Code code = link->wire.post(requests, n);
  look_for_breaks(link->wire, link, link->peer);
  return code;
}

// Executes something of both directions: a NIC does not wait for its owner.
Code fake_progress(Link* l, Side) noexcept {
  FakeLink* link = fake_link(l);
  Locked locked(*link->context);
  if (!link->down && (!link->paired || link->peer != nullptr)) {
    link->wire.step();
    look_for_breaks(link->wire, link, link->peer);
  }
  if (!link->down && link->peer != nullptr) {
    link->peer->wire.step();
    look_for_breaks(link->peer->wire, link->peer, link);
  }
  if (!link->down && link->late_outbox != nullptr) {
    link->late_wire.step();
    look_for_breaks(link->late_wire, nullptr, link);
  }
  return tell(link);
}

bool fake_delivered(Link* l) noexcept {
  FakeLink* link = fake_link(l);
  Locked locked(*link->context);
  return !link->lost && !link->down && link->wire.idle();
}

// Only what a post or progress has told before: when it is called depends on the clock, and a seed must not.
Code fake_alive(Link* l, Side) noexcept {
  FakeLink* link = fake_link(l);
  Locked locked(*link->context);
  return link->told ? kPeerDead : kOk;
}

// Both sides nap, so there is nobody to wake.
void fake_ring(Link*, Side) noexcept {}
void fake_interrupt(Link*) noexcept {}

}  // namespace

const Backend kFakeBackend = {"fake",
                              sizeof(FakeLink),
                              sizeof(WrappingPoint),
                              fake_listen,
                              fake_interrupt_accept,
                              fake_unlisten,
                              fake_accept,
                              fake_connect,
                              fake_close,
                              fake_post,
                              fake_progress,
                              fake_delivered,
                              fake_alive,
                              fake_ring,
                              fake_interrupt};

}  // namespace rc
