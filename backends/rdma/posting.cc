#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <string.h>

#include "backends/rdma/posting.h"

namespace rc {

uint64_t peer_receives(RdmaLink* link) noexcept {
  mail_of(link->inbox).receives.deliver(link->peer_receives);
  uint64_t left = link->peer_receives.load(std::memory_order_relaxed) + link->peer_depth - link->immediates;
  if (left > link->peer_depth) {
    break_link(link, kCorrupt, "the peer claims to have posted receives that make no sense");
    return 0;
  }
  return left;
}

ibv_send_wr* add(RdmaLink* link, Chain* chain, uint64_t offset) noexcept {
  ibv_send_wr* wr = &chain->wr[chain->n];
  if (chain->n != 0) chain->wr[chain->n - 1].next = wr;
  memset(static_cast<void*>(wr), 0, sizeof *wr);
  wr->wr_id = link->posted + ++chain->n;
  wr->opcode = IBV_WR_RDMA_WRITE;
  wr->wr.rdma.remote_addr = link->peer_inbox + offset;
  wr->wr.rdma.rkey = link->peer_rkey;
  return wr;
}

uint64_t writes_of(const RdmaLink* link, const WorkRequest& r) noexcept {
  return r.copy ? 1 : (uint64_t{r.bytes} + link->e.message_most - 1) / link->e.message_most;
}

void add_span(RdmaLink* link, Chain* chain, const WorkRequest& r) noexcept {
  auto from = reinterpret_cast<uintptr_t>(r.local);
  for (uint32_t done = 0; done < r.bytes;) {
    uint32_t bytes = r.bytes - done < link->e.message_most ? r.bytes - done : link->e.message_most;
    ibv_sge* sge = &chain->from[chain->n];
    *sge = {from + done, bytes, link->e.outbox_mr->lkey};
    ibv_send_wr* wr = add(link, chain, r.offset + done);
    wr->sg_list = sge;
    wr->num_sge = 1;
    if (bytes <= link->e.inline_bytes) wr->send_flags = IBV_SEND_INLINE;
    done += bytes;
  }
}

void add_word(RdmaLink* link, Chain* chain, const void* word, uint64_t letter) noexcept {
  Sealed* slot = &link->staging[(link->posted + chain->n) % kStagingSlots];
  memcpy(&slot->value, word, sizeof slot->value);
  slot->seal = seal_of(slot->value);
  ibv_sge* sge = &chain->from[chain->n];
  *sge = {reinterpret_cast<uintptr_t>(slot), sizeof *slot, link->staging_mr != nullptr ? link->staging_mr->lkey : 0};
  if (letter == letter_of(kTail) && link->e.inline_bytes >= sizeof chain->tail) {
    chain->tail[0] = *slot;
    chain->tail[1] = {link->tail_come, seal_of(link->tail_come)};
    *sge = {reinterpret_cast<uintptr_t>(chain->tail), sizeof chain->tail, 0};
  }
  ibv_send_wr* wr = add(link, chain, letter);
  wr->sg_list = sge;
  wr->num_sge = 1;
  if (link->staging_mr == nullptr) wr->send_flags = IBV_SEND_INLINE;
  if (link->peer_depth != 0) {
    wr->opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
    ++link->immediates;
  }
}

Code ring_doorbell(RdmaLink* link, Chain* chain, bool signal) noexcept {
  return post_chain(link, chain->wr, chain->n, signal);
}

// Few ask for a completion (R4).
Code post_chain(RdmaLink* link, ibv_send_wr* first, uint32_t n, bool signal) noexcept {
  ibv_send_wr* last = first + n - 1;
  if (++link->unsignalled_posts >= link->signal_every || signal) {
    last->send_flags |= IBV_SEND_SIGNALED;
    link->unsignalled_posts = 0;
    link->signalled = last->wr_id;
  }
  // A WRITE or SEND may otherwise be executed before a READ or atomic that was posted before it, and an atomic before a
  // READ. READs come after both.
  bool atomic = first->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD || first->opcode == IBV_WR_ATOMIC_CMP_AND_SWP;
  bool waits = first->opcode != IBV_WR_RDMA_READ && (atomic ? link->read : link->fetched) > link->completed;
  if (waits) first->send_flags |= IBV_SEND_FENCE;
  ibv_send_wr* bad = nullptr;
  int error = ibv_post_send(link->e.qp, first, &bad);
  if (error != 0) {
    break_link(link, kPeerDead, "the queue pair takes no more requests: the connection is broken");
    return kPeerDead;
  }
  link->posted += n;
  ++link->doorbells;
  return kOk;
}

namespace {

Code post_word(RdmaLink* link, const void* word, uint64_t letter) noexcept {
  Chain chain;
  chain.n = 0;
  add_word(link, &chain, word, letter);
  return ring_doorbell(link, &chain, false);
}

}  // namespace

// ----------------------------------------------------------------------------------------------------------------
// notes (R2)

// Of the ring; a larger credit is one that a put of the peer may wait for.
constexpr uint64_t kHeldShare = 8;

bool hold(RdmaLink* link, const WorkRequest& r) noexcept {
  if (r.offset != offsetof(Inbox, credit)) return false;
  memcpy(&link->credit_said, r.local, sizeof link->credit_said);
  link->holds = r.lazy && link->credit_said - link->credit_posted < link->ring_bytes / kHeldShare;
  if (!link->holds) link->credit_posted = link->credit_said;
  return link->holds;
}

bool is_note(const RdmaLink* link, const WorkRequest* requests, uint32_t n) noexcept {
  return n == 2 && requests[1].offset == kTail && requests[0].bytes <= kNoteBytes &&
         link->e.inline_bytes >= sizeof(SealedNote) &&
         (link->peer_took == link->tail_posted ||
          link->inbox->credit.load(std::memory_order_relaxed) == link->tail_posted);
}

void post_note(RdmaLink* link, const WorkRequest* requests) noexcept {
  SealedNote note;
  uint64_t tail;
  memcpy(&tail, requests[1].local, sizeof tail);
  fill_note(&note, tail, link->credit_said, link->tail_come, requests[0].offset - kRingOffset, requests[0].local,
            requests[0].bytes);
  Chain chain;
  chain.n = 0;
  ibv_send_wr* wr = add(link, &chain, kNoteOffset);
  chain.from[0] = {reinterpret_cast<uintptr_t>(&note), static_cast<uint32_t>(note.size()), 0};
  wr->sg_list = chain.from;
  wr->num_sge = 1;
  wr->send_flags = IBV_SEND_INLINE;
  if (link->peer_depth != 0) {
    wr->opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
    ++link->immediates;
  }
  if (ring_doorbell(link, &chain, false) != kOk) return;
  link->tail_posted = tail;
  link->credit_posted = link->credit_said;
  link->holds = false;
  link->owed &= ~uint32_t{kOwesCredit};
}

void add_held_credit(RdmaLink* link, Chain* chain) noexcept {
  add_word(link, chain, &link->credit_said, letter_of(offsetof(Inbox, credit)));
  link->credit_posted = link->credit_said;
  link->holds = false;
}

void take_credit(RdmaLink* link, uint64_t credit) noexcept {
  std::atomic<uint64_t>& to = link->e.inbox->credit;
  if (static_cast<int64_t>(credit - to.load(std::memory_order_relaxed)) > 0)
    to.store(credit, std::memory_order_release);  // pairs with TxRing::take_credit
}

void take_note(RdmaLink* link) noexcept {
  const Note& from = mail_of(link->inbox).note;
  SealedNote note;
  if (from.tail.load(std::memory_order_relaxed) == link->note_taken || !from.whole(&note)) return;
  link->note_taken = note.tail;
  if (note.at() > link->ring_bytes || note.bytes() > link->ring_bytes - note.at()) {
    break_link(link, kCorrupt, "the peer sent bytes for a place outside the ring");
    return;
  }
  memcpy(link->inbox_ring() + note.at(), note.words, note.bytes());
  link->tail_come = note.tail;
  link->peer_took = note.taken;
  take_credit(link, note.credit);
}

Owed owed_for(uint64_t offset) noexcept {
  if (offset == offsetof(Inbox, op_credit)) return kOwesOpCredit;
  return offset == offsetof(Inbox, credit) ? kOwesCredit : kOwesGetter;
}

void pay(RdmaLink* link) noexcept {
  if (link->two.on) return send_messages(link);
  struct Debt {
    Owed owed;
    const void* word;
    uint64_t letter;
    uint64_t reserve;
  };
  const Debt debts[] = {
      {kOwesReceives, &link->receives, kReceivesLetter, 0},
      {kOwesCredit, &link->credit_said, letter_of(offsetof(Inbox, credit)), kCreditReserve},
      {kOwesOpCredit, &link->outbox->op_credit, letter_of(offsetof(Inbox, op_credit)), kCreditReserve},
      {kOwesGetter, &link->outbox->getter, letter_of(offsetof(Inbox, getter)), kCreditReserve},
  };
  for (const Debt& d : debts) {
    if ((link->owed & d.owed) == 0 || room(link) == 0) continue;
    if (link->peer_depth != 0 && peer_receives(link) <= d.reserve) continue;
    if (link->state.load(std::memory_order_relaxed) != kOk || post_word(link, d.word, d.letter) != kOk) return;
    link->owed &= ~uint32_t{d.owed};
    if (d.owed == kOwesReceives) link->receives_told = link->receives;
  }
}

}  // namespace rc

#endif
