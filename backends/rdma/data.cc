// The data path of rdma: WRITEs into the peer's inbox, in order, and what completes of them.
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <string.h>
#include <sys/timerfd.h>

#include "backends/rdma/devices.h"
#include "backends/rdma/link.h"
#include "backends/rdma/nic.h"
#include "backends/rdma/posting.h"
#include "backends/rdma/rdma.h"
#include "core/descriptors.h"
#include "core/mutex_lock.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr uint32_t kCompletionsPerLook = 64;  // of each queue
constexpr uint32_t kUnheardMost = 16;

RdmaLink* rdma(Link* link) noexcept { return static_cast<RdmaLink*>(link); }

Code state_of(const RdmaLink* link) noexcept {
  auto code = static_cast<Code>(link->state.load(std::memory_order_acquire));
  const char* why = link->why.get();
  return code == kOk ? kOk : fail_plain(code, why != nullptr ? why : "the peer is gone");
}

// ----------------------------------------------------------------------------------------------------------------
// completions

// A port that goes down may come up again before the retries end: what ends the link is that they do.
void take_device_events(RdmaLink* link) noexcept {
  hear_events(link->e.tenancy);
  if (link->e.tenancy->failed.load(std::memory_order_relaxed))
    break_link(link, kNoDevice, "the RDMA device failed for good or was removed (DEVICE_FATAL)");
}

bool port_is_down(const RdmaLink* link) noexcept {
  const PortEvents& port = link->e.tenancy->port(link->e.port_num);
  uint32_t downs = port.downs.load(std::memory_order_relaxed) - link->port_downs;
  return downs > port.ups.load(std::memory_order_relaxed) - link->port_ups;
}

void note_failure(RdmaLink* link, const ibv_wc& wc) noexcept {
  Meaning m = meaning_of(wc.status);
  take_device_events(link);
  if (wc.status == IBV_WC_RETRY_EXC_ERR && port_is_down(link))
    m.why = "the peer's NIC did not answer within the time-out (RETRY_EXC), and the port here is down (PORT_ERR)";
  break_link(link, m.code, m.why);
}

// Each WRITE with immediate, or message, took a receive: posts another one for it. About `most` of them.
bool reap_receives(RdmaLink* link, uint32_t most) noexcept {
  bool some = false;
  for (uint32_t all = 0; all < most;) {
    ibv_wc wc[kCompletionsMost];
    int n = take_completions(&link->e, kReceives, link->poll_most, wc);
    if (n <= 0) break;
    all += static_cast<uint32_t>(n);
    for (int i = 0; i < n; ++i) {
      some = true;
      if (wc[i].status != IBV_WC_SUCCESS) {
        note_failure(link, wc[i]);
      } else if (link->two.on) {
        take_message(link, wc[i]);
      } else if (post_receive(link->e.qp)) {
        ++link->receives;
      }
    }
  }
  if (link->receives - link->receives_told >= link->e.receive_depth / 4 && some) link->owed |= kOwesReceives;
  return some;
}

// R6. The other side may sleep for what this look has taken away. The own side's bell is left alone: this may be its
// last look before it sleeps, and the ring of that arming is then still to come.
void wake_sides(RdmaLink* link, Side self) noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the one in Channel::arm
  if (self != kGetSide && link->bells[kGetSide].must_ring(link->outbox->getter)) signal_fd(link->fd[kGetSide]);
  if (self != kPutSide && link->bells[kPutSide].must_ring(link->outbox->putter)) signal_fd(link->fd[kPutSide]);
}

// What the peer's NIC has written since the last look. Whatever the words say, core checks.
void take_mail(RdmaLink* link) noexcept {
  const Mail& mail = mail_of(link->inbox);
  Inbox* inbox = link->e.inbox;
  mail.getter.deliver(inbox->getter);
  uint64_t credit = 0, tail = 0, op_tail = 0;
  if (mail.credit.news(inbox->credit, &credit)) take_credit(link, credit);
  // Of a note and a letter the letter is the later one: after a note that has not been taken there are only letters.
  bool new_tail = mail.tail.value.load(std::memory_order_relaxed) != link->letter_taken && mail.tail.whole(&tail);
  take_note(link);
  if (new_tail) {
    link->tail_come = link->letter_taken = tail;
    uint64_t taken;
    if (mail.taken.whole(&taken)) link->peer_took = taken;
  }
  // Whoever sees the tail must see the operations that were posted before it (O3). Their letter came first: it is read
  // second and delivered first, and if a later one is half written over it, the tail waits for that one.
  if (link->op_ring_bytes != 0) {
    mail.op_credit.deliver(inbox->op_credit);
    if (!mail.op_tail.whole(&op_tail)) return;
    if (op_tail != inbox->op_line.tail.load(std::memory_order_relaxed))
      inbox->op_line.tail.store(op_tail, std::memory_order_release);  // pairs with the acquire in Ops::idle
  }
  if (link->tail_come != inbox->line.tail.load(std::memory_order_relaxed))
    inbox->line.tail.store(link->tail_come, std::memory_order_release);  // pairs with RxRing::look
}

void look(RdmaLink* link, Side self, uint32_t most = kCompletionsPerLook) noexcept {
  bool wanted = link->wants_completions;
  bool sends = reap_sends(link, most);
  // Of a link that is over all is taken: nobody may look again.
  if (link->state.load(std::memory_order_relaxed) != kOk) most = link->e.receive_depth;
  bool receives = link->e.receive_depth != 0 && reap_receives(link, most);
  if (!link->two.on) take_mail(link);  // after the completions: what they announce is seen
  if (link->owed != 0) pay(link);
  if (link->e.event && (receives || (sends && wanted))) wake_sides(link, self);
}

// What the connection manager and the device say.
void take_events(RdmaLink* link) noexcept {
  take_device_events(link);
  rdma_cm_event* event = nullptr;
  while (link->e.channel != nullptr && g_verbs.get_cm_event(link->e.channel, &event) == 0) {
    rdma_cm_event_type type = event->event;
    g_verbs.ack_cm_event(event);
    switch (type) {
      case RDMA_CM_EVENT_DISCONNECTED:
      case RDMA_CM_EVENT_REJECTED:  // the peer went before it knew that it was connected
      case RDMA_CM_EVENT_CONNECT_ERROR:
      case RDMA_CM_EVENT_UNREACHABLE:
        drop_connection(&link->e);
        look(link, kNoSide, link->e.send_depth + link->e.receive_depth);
        break_link(link, kPeerDead, nullptr);
        break;
      case RDMA_CM_EVENT_DEVICE_REMOVAL:
        break_link(link, kNoDevice, "the RDMA device was removed");
        break;
      default:
        break;
    }
  }
}

// ----------------------------------------------------------------------------------------------------------------
// the seam

// In the queue, and among the peer's receives (R5): for a word, or for a put of so many WRITEs.
bool has_room(RdmaLink* link, bool word, uint64_t writes) noexcept {
  uint64_t receives = link->peer_depth != 0 ? peer_receives(link) : UINT64_MAX;
  if (word) return room(link) != 0 && receives > kCreditReserve;
  return room(link) >= writes + kSendReserve && receives > kPutReserve;
}

// Of path=send: what finds no room in the queue waits, and whoever may sleep is to hear of completions.
bool lacks_room(const RdmaLink* link) noexcept {
  return link->owed != 0 && room(link) <= (link->two.on ? kSendReserve : 0);
}

Code post_messages(RdmaLink* link, const WorkRequest* requests, uint32_t n) noexcept {
  add_requests(link, requests, n);
  if (room(link) < link->e.send_depth / 2) look(link, kNoSide);
  pay(link);
  if (lacks_room(link)) ask_for_completions(link);
  return state_of(link);
}

Code rdma_post(Link* l, const WorkRequest* requests, uint32_t n) noexcept {
  RdmaLink* link = rdma(l);
  MutexLock lock(&link->mutex);
  if (state_of(link) != kOk) return state_of(link);
  bool word = n == 1 && requests[0].copy;
  if (word && hold(link, requests[0])) return kOk;
  if (link->two.on) return post_messages(link, requests, n);
  uint64_t writes = 0;
  for (uint32_t i = 0; i < n; ++i) writes += writes_of(link, requests[i]);
  if (writes > kWritesMost) return fail_plain(kSize, "one put is too many WRITEs for this device");
  // What is reaped here may be what the other side sleeps for.
  if (room(link) < link->e.send_depth / 2) look(link, kNoSide);
  bool note = is_note(link, requests, n), held = link->holds && writes < kWritesMost;
  uint64_t needed = note ? 1 : held ? writes + 1 : writes;
  if (!has_room(link, word, needed)) {
    ask_for_completions(link);
    if (!has_room(link, word, needed)) {
      if (!word) return kWouldBlock;
      link->owed |= owed_for(requests[0].offset);
      return state_of(link);
    }
  }
  if (note) {
    post_note(link, requests);
    return state_of(link);
  }
  Chain chain;
  chain.n = 0;
  for (uint32_t i = 0; i < n; ++i) {
    const WorkRequest& r = requests[i];
    if (r.copy) {
      add_word(link, &chain, r.local, letter_of(r.offset));
    } else {
      add_span(link, &chain, r);
    }
  }
  if (!word) {
    if (held) add_held_credit(link, &chain);
    if (requests[n - 1].offset == kTail) memcpy(&link->tail_posted, requests[n - 1].local, sizeof link->tail_posted);
  }
  ring_doorbell(link, &chain, false);
  return state_of(link);
}

Code rdma_progress(Link* l, Side side) noexcept {
  RdmaLink* link = rdma(l);
  MutexLock lock(&link->mutex);
  look(link, side);
  return state_of(link);
}

// Writes nothing, but completes after everything before it, and tells whether the peer's NIC is still there. Over
// iWARP a WRITE completes when TCP has it; the answer to a READ comes after all before it has arrived. What it reads is
// a word that nobody uses.
void post_marker(RdmaLink* link) noexcept {
  if (link->signalled == link->posted && link->signalled != link->completed) return;  // there is one
  if (room(link) == 0 || link->state.load(std::memory_order_relaxed) != kOk) return;
  if (link->two.on) return send_probe(link);
  Chain chain;
  chain.n = 0;
  ibv_send_wr* wr = add(link, &chain, link->e.iwarp ? kKnockLetter : 0);
  if (link->e.iwarp) {
    auto to = reinterpret_cast<uintptr_t>(link->e.inbox) + kKnockLetter;
    chain.from[0] = {to, sizeof(Sealed), link->e.inbox_mr->lkey};
    wr->opcode = IBV_WR_RDMA_READ;
    wr->sg_list = chain.from;
    wr->num_sge = 1;
  }
  if (ring_doorbell(link, &chain, true) == kOk && link->e.iwarp) link->read = link->posted;
}

bool rdma_delivered(Link* l) noexcept {
  RdmaLink* link = rdma(l);
  MutexLock lock(&link->mutex);
  bool shown = !link->e.iwarp || link->read == link->posted;
  if (link->completed == link->posted && link->owed == 0 && shown) return true;
  link->wants_completions = true;
  if (link->signalled != link->posted || !shown) post_marker(link);
  return false;
}

// A side that waits for long without posting would never learn that the wire is cut. With path=send a question takes a
// slot of the peer's, who may not look for long: the time between them doubles until it says something.
void probe_if_quiet(RdmaLink* link, int64_t now) noexcept {
  uint64_t steps = link->posted + link->completed;
  if (steps != link->steps_at_look || link->quiet_since_ns == 0) {
    link->steps_at_look = steps;
    link->quiet_since_ns = now;
  } else if (link->e.iwarp && link->signalled == link->posted && link->completed != link->posted) {
    // Its tries are TCP's, which gives up after a quarter of an hour.
    if (now - link->quiet_since_ns >= link->quiet_most_ns * kProbesPerTimeout * 3 / 4)
      break_link(link, kPeerDead, "the peer's NIC did not answer within the time-out");
  } else if (now - link->quiet_since_ns >= link->quiet_most_ns << link->two.unheard) {
    if (link->two.on && link->two.unheard < kUnheardMost) ++link->two.unheard;
    post_marker(link);
  }
}

// Nor would a program that only waits for a descriptor: the timer makes it look. Each look puts the timer off, so that
// it is silent while there are looks enough.
void put_off_timer(RdmaLink* link, int64_t now) noexcept {
  int64_t quiet = link->quiet_most_ns;
  if (link->timer_fd < 0 || link->timer_due_ns > now + quiet * 3 / 4) return;
  int64_t due = now + quiet;
  itimerspec when = {};
  when.it_value = {due / 1000000000, due % 1000000000};
  if (timerfd_settime(link->timer_fd, TFD_TIMER_ABSTIME, &when, nullptr) == 0) link->timer_due_ns = due;
}

// Before a side sleeps, and a thousand times a second while one spins: nothing has gone that a credit could go with
// (R3).
void release_credit(RdmaLink* link) noexcept {
  if (!link->holds) return;
  link->holds = false;
  link->credit_posted = link->credit_said;
  link->owed |= kOwesCredit;
  pay(link);
}

Code rdma_alive(Link* l, Side side) noexcept {
  RdmaLink* link = rdma(l);
  MutexLock lock(&link->mutex);
  release_credit(link);
  if (link->e.event) {
    if (side != kNoSide) drain_fd(link->fd[side]);
    arm_completions(&link->e, link->wants_completions);
    link->sends_armed = link->wants_completions;
    // The event that was dropped may have been what wakes the other side. All that the queues held by then is taken:
    // what is left makes no event.
    look(link, side, link->e.send_depth + link->e.receive_depth);
    if (lacks_room(link)) ask_for_completions(link);
  }
  take_events(link);
  int64_t now = now_ns();
  probe_if_quiet(link, now);
  put_off_timer(link, now);
  return state_of(link);
}

// The peer's NIC wakes its owner.
void rdma_ring(Link*, Side) noexcept {}

void rdma_interrupt(Link* link) noexcept {
  if (!rdma(link)->e.event) return;
  for (int fd : link->fd) signal_fd(fd);
}

}  // namespace

bool reap_sends(RdmaLink* link, uint32_t most) noexcept {
  uint32_t all = 0;
  for (int n = link->poll_most; n == link->poll_most && all < most;) {
    if (link->posted == link->completed) break;  // what fails completes although it was not signalled
    ibv_wc wc[kCompletionsMost];
    n = take_completions(&link->e, kSends, link->poll_most, wc);
    if (n > 0) all += static_cast<uint32_t>(n);
    for (int i = 0; i < n; ++i) {
      if (wc[i].status != IBV_WC_SUCCESS) {
        note_failure(link, wc[i]);
        if (wc[i].wr_id > link->failed) link->failed = wc[i].wr_id;
      } else if (wc[i].wr_id > link->completed) {
        link->completed.store(wc[i].wr_id, std::memory_order_release);  // pairs with rdma_done
      }
    }
  }
  link->completions += all;
  if (link->posted == link->completed) link->wants_completions = false;
  return all != 0;
}

void ask_for_completions(RdmaLink* link) noexcept {
  link->wants_completions = true;
  if (!link->e.event || link->sends_armed || link->e.seat != nullptr) return;  // shared queues stay armed (R7)
  ibv_req_notify_cq(link->e.send_cq, 0);
  link->sends_armed = true;
  look(link, kNoSide);  // what came before that makes none
}

bool fetches_are_back(RdmaLink* link) noexcept {
  reap_sends(link, link->e.send_depth);
  return link->completed >= link->fetched || link->failed >= link->fetched;
}

void break_link(RdmaLink* link, Code code, const char* why) noexcept {
  if (link->state.load(std::memory_order_relaxed) != kOk) return;
  link->why.set(why);
  link->state.store(code, std::memory_order_release);
  rdma_interrupt(link);
}

const Extras kRdmaExtras = {rdma_figures, rdma_device,  rdma_open_endpoint, rdma_connect_endpoint,
                            rdma_share,   rdma_unshare, rdma_reach,         no_unreach,
                            &kRdmaRaw,    &kRdmaNic};

// By path=send and over iWARP nobody reaches anything: a grant that says otherwise is RC_E_CORRUPT, and rdma_share says
// why not.
const Extras kRdmaSendExtras = {rdma_figures, rdma_device,  rdma_open_endpoint, rdma_connect_endpoint,
                                rdma_share,   rdma_unshare, no_reach,           no_unreach};

namespace {

constexpr Backend with(const Extras* extras) noexcept {
  return {"rdma",
          sizeof(RdmaLink),
          sizeof(RdmaPoint),
          rdma_backend_listen,
          rdma_backend_interrupt_accept,
          rdma_backend_unlisten,
          rdma_backend_accept,
          rdma_backend_connect,
          rdma_backend_close,
          rdma_post,
          rdma_progress,
          rdma_delivered,
          rdma_alive,
          rdma_ring,
          rdma_interrupt,
          kAnyHost,
          extras,
          sizeof(RdmaPursuit),
          rdma_pursue,
          rdma_abandon,
          sizeof(Tenancies)};
}

}  // namespace

const Backend kRdmaBackend = with(&kRdmaExtras);
const Backend kRdmaSendBackend = with(&kRdmaSendExtras);

}  // namespace rc
#endif
