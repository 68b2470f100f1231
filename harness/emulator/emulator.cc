// An emulated network, and an example of a transport that is not part of the library.
//
// THE EMULATOR. emu+shm:NAME?rtt_ns=N&bytes_per_s=N is shm:NAME, but what this end sends arrives late: after the time
// it takes to send so many bytes at that bandwidth, one after the other, and half a round trip more. Order is kept.
// Each end delays its own direction, with its own parameters; the other end may be emulated too, or plain `shm:`. A
// parameter that is left out is no limit; with neither, the link is the inner backend's own and no code of this file
// runs on it any more.
//
// Progress is manual: what is due lands when this end makes a call that waits or looks (rc_sync, a blocking get or put,
// rc_progress). A program that puts and then does something else for a while delivers late. rc_channel_close waits
// until everything has landed.
//
// HOW A TRANSPORT OF YOUR OWN PLUGS IN. Three things, all of them in this folder:
//
//  1. A table: one `const rc::Backend` (core/backend.h) with a scheme and a function for every entry; kEmulatedShm is
//  one. Functions are
//     noexcept and report by rc::fail(code, "what was tried and what to do").
//       Control path: listen, interrupt_accept, unlisten, accept, connect, close. They make a Link: the inbox that the
//       peer
//     will write into, the outbox that core fills, the ring's size, and a descriptor per side to sleep on (or -1:
//     naps). ChannelParams, Hello and judge_ask (core/hello.h) settle ring size, token and identity.
//       Data path: if both ends can map the same memory, set `direct` and be done; core stores by itself and only calls
//       alive, ring and interrupt.
//     Otherwise core calls post() with WRITEs that must land in the peer's inbox, in order: ring bytes first, then the
//     word that publishes them. progress() moves what can be moved, delivered() says whether all of it has landed.
//     Putter and getter are two threads: post, progress, delivered and alive may run at the same time, so lock.
//  2. Memory: the context carves link_bytes and listen_bytes for every object, zeroed; rings come from
//  Context::take_ring.
//     Nothing needs to be allocated later.
//  3. A registry: one file that defines rc::g_backends with the tables you want, linked instead of //backends:registry
//     (registry.cc here). The program picks the transport by the scheme of the URI; nothing else changes.
#include "harness/emulator/emulator.h"

#include <string.h>

#include "backends/loop/loop.h"
#include "backends/shm/shm.h"
#include "core/context.h"
#include "core/wait.h"
#include "harness/emulator/inner.h"

namespace rc {
namespace {

std::atomic<uint64_t> g_calls{0};

// Words under way. When they are used up, puts wait; the last few are for credits and the last word, which never wait.
constexpr uint32_t kWords = 1024;
constexpr uint32_t kReserved = 8;

constexpr uint64_t kRttMost = UINT64_C(100) * 1000 * 1000 * 1000;
constexpr uint64_t kBytesPerSecondLeast = 1000;

// A word of the head of the peer's inbox, and when it may be seen there.
struct Word {
  uint64_t offset;
  uint64_t value;
  int64_t due_ns;
};

struct Delay {
  uint64_t rtt_ns;
  uint64_t bytes_per_s;  // 0: no limit
  bool none() const noexcept { return rtt_ns == 0 && bytes_per_s == 0; }
  int64_t to_send_ns(uint64_t bytes) const noexcept {
    return bytes_per_s == 0 ? 0 : static_cast<int64_t>((bytes * 1000000000 + bytes_per_s - 1) / bytes_per_s);
  }
};

struct EmulatedLink : Link {
  InnerLink inner;
  pthread_mutex_t mutex;  // of all below
  Delay delay;
  int64_t wire_free_ns;  // when the last byte posted so far will have been sent
  Ringer<StdAtomics> getter_bell, putter_bell;
  uint32_t head, count;
  Word words[kWords];
};

EmulatedLink* emulated(Link* link) noexcept { return static_cast<EmulatedLink*>(link); }

class Locked {
 public:
  explicit Locked(EmulatedLink* link) noexcept : link_(link) {
    g_calls.fetch_add(1, std::memory_order_relaxed);
    pthread_mutex_lock(&link_->mutex);
  }
  ~Locked() { pthread_mutex_unlock(&link_->mutex); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  EmulatedLink* link_;
};

// ----------------------------------------------------------------------------------------------------------------
// control path

Code read_delay(const Uri& uri, Delay* delay) noexcept {
  constexpr const char* kKnown[] = {"rtt_ns", "bytes_per_s", nullptr};
  Code code = uri.only(kKnown);
  if (code == kOk) code = uri.number("rtt_ns", 0, &delay->rtt_ns);
  if (code == kOk) code = uri.number("bytes_per_s", 0, &delay->bytes_per_s);
  if (code == kOk && delay->rtt_ns > kRttMost) code = fail(kUri, "URI \"%s\": rtt_ns is above 100 s", uri.text);
  if (code == kOk && delay->bytes_per_s != 0 && delay->bytes_per_s < kBytesPerSecondLeast) {
    code = fail(kUri, "URI \"%s\": bytes_per_s is below 1000", uri.text);
  }
  return code;
}

// The inner connection is there: puts ours around it.
Code wrap(Context& context, const Backend& ops, const Delay& delay, EmulatedLink* link) noexcept {
  Link* inner = link->inner.get();
  Inbox* outbox = context.take_ring();
  if (outbox == nullptr) {
    abandon(context, inner);
    return kPool;
  }
  link->ops = &ops;
  take_over(*inner, outbox, link);
  pthread_mutex_init(&link->mutex, nullptr);
  link->delay = delay;
  return kOk;
}

template <const Backend& kInner>
Code emulated_listen(Context& context, ListenPoint* p) noexcept {
  Delay unused;
  Code code = read_delay(p->uri, &unused);
  return code == kOk ? listen_inside(context, kInner, static_cast<WrappingPoint*>(p)) : code;
}

void emulated_interrupt_accept(ListenPoint* p) noexcept { interrupt_accept_inside(static_cast<WrappingPoint*>(p)); }

void emulated_unlisten(Context& context, ListenPoint* p) noexcept {
  unlisten_inside(context, static_cast<WrappingPoint*>(p));
}

Code emulated_accept(Context& context, ListenPoint* p, Deadline deadline, Link* link) noexcept {
  Delay delay;
  Code code = read_delay(p->uri, &delay);
  if (code != kOk) return code;
  Link* inner = delay.none() ? link : emulated(link)->inner.get();
  code = accept_inside(context, static_cast<WrappingPoint*>(p), deadline, link, inner);
  return code == kOk && inner != link ? wrap(context, *p->ops, delay, emulated(link)) : code;
}

template <const Backend& kInner>
Code emulated_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline,
                      Link* link) noexcept {
  const Backend& ops = *link->ops;
  Delay delay;
  Code code = read_delay(uri, &delay);
  if (code != kOk) return code;
  Link* inner = delay.none() ? link : emulated(link)->inner.get();
  code = connect_inside(context, kInner, uri, params, deadline, link, inner);
  return code == kOk && inner != link ? wrap(context, ops, delay, emulated(link)) : code;
}

// ---------------------------------------------------------------------------------------------------------------- data
// path

void ring_inside(EmulatedLink* link, Side side) noexcept {
  Link* inner = link->inner.get();
  inner->ops->ring(inner, side);
}

// Stores what is due where the peer sees it, and wakes the peer as core does on a direct link (PROTOCOL.md I7).
void land(EmulatedLink* link, int64_t now) noexcept {
  Link* inner = link->inner.get();
  bool landed = false;
  for (; link->count != 0 && link->words[link->head].due_ns <= now; --link->count) {
    const Word& word = link->words[link->head];
    uint8_t* to = reinterpret_cast<uint8_t*>(inner->outbox) + word.offset;
    // Pairs with the acquires of RxRing::look, TxRing::take_credit and Channel::ended.
    reinterpret_cast<std::atomic<uint64_t>*>(to)->store(word.value, std::memory_order_release);
    link->head = (link->head + 1) % kWords;
    landed = true;
    if (word.offset != offsetof(Inbox, getter)) continue;
    ring_inside(link, kGetSide);  // the last word: whoever sleeps must see it
    ring_inside(link, kPutSide);
  }
  if (!landed) return;
  light_fence(true);  // pairs with the heavy_fence of a peer that sleeps
  if (link->getter_bell.must_ring(inner->inbox->getter)) ring_inside(link, kGetSide);
  if (link->putter_bell.must_ring(inner->inbox->putter)) ring_inside(link, kPutSide);
}

Word& word_at(EmulatedLink* link, uint32_t i) noexcept { return link->words[(link->head + i) % kWords]; }

// All reserved places are taken, so there are credits of both rings, or `coming` is another of theirs: one that is
// followed by another of its kind says nothing that the other does not.
void forget_a_credit(EmulatedLink* link, uint64_t coming) noexcept {
  bool credit = coming == offsetof(Inbox, credit), op_credit = coming == offsetof(Inbox, op_credit);
  uint32_t i = --link->count;
  for (;; --i) {
    bool& followed = word_at(link, i).offset == offsetof(Inbox, credit) ? credit : op_credit;
    if (word_at(link, i).offset != offsetof(Inbox, credit) && word_at(link, i).offset != offsetof(Inbox, op_credit))
      continue;
    if (followed) break;
    followed = true;
  }
  for (; i < link->count; ++i) word_at(link, i) = word_at(link, i + 1);
}

Code emulated_post(Link* l, const WorkRequest* requests, uint32_t n) noexcept {
  EmulatedLink* link = emulated(l);
  Locked locked(link);
  int64_t now = now_ns();
  land(link, now);
  bool single = n == 1 && requests[0].copy;
  if (!single && link->count + n + kReserved > kWords) return kWouldBlock;
  if (single && link->count == kWords) forget_a_credit(link, requests[0].offset);
  if (link->wire_free_ns < now) link->wire_free_ns = now;
  for (uint32_t i = 0; i < n; ++i) {
    const WorkRequest& request = requests[i];
    link->wire_free_ns += link->delay.to_send_ns(request.bytes);
    if (request.offset >= kRingOffset) {
      // Nobody looks at ring bytes before the word that publishes them, so they may arrive early.
      memcpy(reinterpret_cast<uint8_t*>(link->inner.get()->outbox) + request.offset, request.local, request.bytes);
      continue;
    }
    Word& word = word_at(link, link->count++);
    word.offset = request.offset;
    memcpy(&word.value, request.local, sizeof word.value);
    word.due_ns = link->wire_free_ns + static_cast<int64_t>(link->delay.rtt_ns / 2);
  }
  return kOk;
}

Code emulated_progress(Link* l, Side) noexcept {
  Locked locked(emulated(l));
  land(emulated(l), now_ns());
  return kOk;
}

bool emulated_delivered(Link* l) noexcept {
  Locked locked(emulated(l));
  return emulated(l)->count == 0;
}

// Both sides nap, so there is nobody to wake at this end; the other end's doorbells are the inner link's.
Code emulated_alive(Link* l, Side side) noexcept {
  g_calls.fetch_add(1, std::memory_order_relaxed);
  Link* inner = emulated(l)->inner.get();
  return inner->ops->alive(inner, side);
}
void emulated_ring(Link* l, Side side) noexcept { ring_inside(emulated(l), side); }
void emulated_interrupt(Link*) noexcept {}

// Waits until everything has landed, which is a matter of the emulated bandwidth and not of the peer; unless the peer
// has died or rc_stop was called: then the rest is lost, as on a network.
void emulated_close(Context& context, Link* l) noexcept {
  EmulatedLink* link = emulated(l);
  Link* inner = link->inner.get();
  for (;;) {
    int64_t now = now_ns();
    land(link, now);
    if (link->count == 0 || context.stopped() || inner->ops->alive(inner, kGetSide) != kOk) break;
    int64_t left = link->words[link->head].due_ns - now;
    nap(-1, context.stop_fd(), left < kNapMaxNs ? left : kNapMaxNs);
  }
  pthread_mutex_destroy(&link->mutex);
  context.give_ring(link->outbox);
  inner->ops->close(context, inner);
}

template <const Backend& kInner>
constexpr Backend table(const char* scheme) noexcept {
  return {scheme,
          sizeof(EmulatedLink),
          sizeof(WrappingPoint),
          emulated_listen<kInner>,
          emulated_interrupt_accept,
          emulated_unlisten,
          emulated_accept,
          emulated_connect<kInner>,
          emulated_close,
          emulated_post,
          emulated_progress,
          emulated_delivered,
          emulated_alive,
          emulated_ring,
          emulated_interrupt};
}

}  // namespace

const Backend kEmulatedLoop = table<kLoopBackend>("emu+loop");
const Backend kEmulatedShm = table<kShmBackend>("emu+shm");

uint64_t emulator::calls() noexcept { return g_calls.load(std::memory_order_relaxed); }

}  // namespace rc
