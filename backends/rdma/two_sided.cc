#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <string.h>

#include "backends/rdma/posting.h"

namespace rc {
namespace {

// Slots of the peer that bytes leave for words, and both for the one that tells of slots; a question whether the peer
// is still there leaves one, too. The peer tells of a quarter, so it has told before any of these waits for long.
constexpr uint64_t kProbeReserve = 1;
uint64_t bytes_reserve(const RdmaLink* link) noexcept {
  return link->peer_depth / 4 < kPutReserve ? link->peer_depth / 4 : kPutReserve;
}
uint64_t words_reserve(const RdmaLink* link) noexcept { return bytes_reserve(link) / 2; }

// The chain of one doorbell.
struct Batch {
  ibv_send_wr wr[kWritesMost];
  ibv_sge pieces[kWritesMost][kMessagePieces];
  uint32_t n = 0;
};

uint64_t slots_left(const RdmaLink* link) noexcept {
  return link->peer_receives.load(std::memory_order_relaxed) + link->peer_depth - link->immediates;
}

uint64_t backlog(const RdmaLink* link) noexcept { return link->two.bytes.left + link->two.ops.left; }

// Every message says what this end owes in numbers. Its head lies at the place of the request in the queue, so there
// must be room for the request first.
MessageHead* add_message(RdmaLink* link, Batch* batch, MessageHead::Kind kind) noexcept {
  uint32_t i = batch->n++;
  const Cells& cells = link->two.cells;
  uint64_t place = (link->posted + i) % cells.count, ring = cells.ring(place);
  auto* head = reinterpret_cast<MessageHead*>(link->e.cells[ring] + cells.head_at(place));
  *head = {link->receives, link->credit_said, link->two.op_credit, 0, kind, 0, 0};
  batch->pieces[i][0] = {reinterpret_cast<uintptr_t>(head), sizeof *head, link->e.cells_mr[ring]->lkey};
  ibv_send_wr* wr = &batch->wr[i];
  memset(static_cast<void*>(wr), 0, sizeof *wr);
  if (i != 0) batch->wr[i - 1].next = wr;
  wr->wr_id = link->posted + batch->n;
  wr->opcode = IBV_WR_SEND;
  wr->sg_list = batch->pieces[i];
  wr->num_sge = 1;
  if (link->e.inline_bytes >= sizeof *head) wr->send_flags = IBV_SEND_INLINE;
  ++link->immediates;
  link->receives_told = link->receives;
  link->credit_posted = link->credit_said;
  link->holds = false;
  link->owed &= ~uint32_t{kOwesReceives | kOwesCredit | kOwesOpCredit};
  return head;
}

// The next bytes of a ring, at most `most`.
MessageHead* add_bytes(RdmaLink* link, Batch* batch, MessageHead::Kind kind, Backlog* from, uint64_t most,
                       uint8_t* ring, uint64_t capacity) noexcept {
  MessageHead* head = add_message(link, batch, kind);
  ibv_send_wr* wr = &batch->wr[batch->n - 1];
  uint64_t n = most < link->two.cells.payload() ? most : link->two.cells.payload();
  if (n > capacity) n = capacity;
  uint64_t first = n < capacity - from->at ? n : capacity - from->at;
  uint32_t lkey = link->e.outbox_mr->lkey;
  wr->sg_list[1] = {reinterpret_cast<uintptr_t>(ring + from->at), static_cast<uint32_t>(first), lkey};
  wr->sg_list[2] = {reinterpret_cast<uintptr_t>(ring), static_cast<uint32_t>(n - first), lkey};
  wr->num_sge = n == first ? 2 : 3;
  wr->send_flags = sizeof *head + n <= link->e.inline_bytes ? static_cast<unsigned>(IBV_SEND_INLINE) : 0;
  head->at = from->at;
  head->bytes = static_cast<uint32_t>(n);
  from->at = n == capacity - from->at ? 0 : n > first ? n - first : from->at + n;
  from->left -= n;
  head->word = from->tail - from->left;
  return head;
}

// A tail of the op ring covers whole frames: it goes with the last bytes of what was posted.
void add_ops(RdmaLink* link, Batch* batch) noexcept {
  TwoSided& two = link->two;
  uint64_t most = two.ops_first != 0 ? two.ops_first : two.ops.left;
  MessageHead* head =
      add_bytes(link, batch, MessageHead::kOps, &two.ops, most, link->outbox_op_ring(), link->op_ring_bytes);
  if (head->bytes == most) head->kind = MessageHead::kOpsEnd;
  if (two.ops_first != 0) two.ops_first -= head->bytes;
}

// `probe`: it is to complete in any case. So is what is among the peer's last slots: nothing may follow for long.
void ring_doorbell(RdmaLink* link, Batch* batch, bool probe) noexcept {
  bool many = link->posted + batch->n - link->signalled >= link->e.send_depth / 4;
  post_chain(link, batch->wr, batch->n, probe || many || slots_left(link) <= bytes_reserve(link));
}

void send_backlog(RdmaLink* link) noexcept {
  while (backlog(link) != 0 && link->state.load(std::memory_order_relaxed) == kOk) {
    Batch batch;
    while (backlog(link) != 0 && batch.n < kWritesMost && room(link) > kSendReserve + batch.n &&
           slots_left(link) > bytes_reserve(link)) {
      if (link->two.ops_first != 0 || link->two.bytes.left == 0) {
        add_ops(link, &batch);
      } else {
        Backlog* bytes = &link->two.bytes;
        add_bytes(link, &batch, MessageHead::kBytes, bytes, bytes->left, link->outbox_ring(), link->ring_bytes);
      }
    }
    if (batch.n == 0) return;
    ring_doorbell(link, &batch, false);
  }
}

void send_alone(RdmaLink* link, MessageHead::Kind kind, uint64_t word, bool probe) noexcept {
  if (link->state.load(std::memory_order_relaxed) != kOk) return;
  Batch batch;
  add_message(link, &batch, kind)->word = word;
  ring_doorbell(link, &batch, probe);
}

Backlog* backlog_of(RdmaLink* link, uint64_t* at) noexcept {
  size_t op_at = op_ring_at(link->ring_bytes);
  if (*at < op_at) return &link->two.bytes;
  *at -= op_at;
  return &link->two.ops;
}

uint64_t word_of(const WorkRequest& r) noexcept {
  uint64_t word;
  memcpy(&word, r.local, sizeof word);
  return word;
}

// ----------------------------------------------------------------------------------------------------------------
// coming in

bool corrupt(RdmaLink* link, const char* text) noexcept {
  break_link(link, kCorrupt, text);
  return false;
}

bool store_bytes(RdmaLink* link, const MessageHead& head, const uint8_t* from, uint8_t* ring,
                 uint64_t capacity) noexcept {
  if (head.bytes == 0 || head.bytes > capacity || head.at >= capacity)
    return corrupt(link, "the peer sends bytes for a place outside of the rings");
  uint64_t to_end = capacity - head.at;
  uint64_t first = head.bytes < to_end ? head.bytes : to_end;
  memcpy(ring + head.at, from, first);
  if (first != head.bytes) memcpy(ring, from + first, head.bytes - first);
  return true;
}

// A word of the inbox's head, by its owner. Whatever it says, core checks.
void store_word(std::atomic<uint64_t>& to, uint64_t word) noexcept {
  if (to.load(std::memory_order_relaxed) != word)
    to.store(word, std::memory_order_release);  // pairs with the acquires of core
}

bool take_kind(RdmaLink* link, const MessageHead& head, const uint8_t* bytes) noexcept {
  Inbox* inbox = link->e.inbox;
  switch (head.kind) {
    case MessageHead::kNothing:
    case MessageHead::kLastWord:
      if (head.bytes != 0) return corrupt(link, "the peer sent a message of words that has bytes");
      if (head.kind == MessageHead::kLastWord) store_word(inbox->getter, head.word);
      return true;
    case MessageHead::kBytes:
      if (!store_bytes(link, head, bytes, link->inbox_ring(), link->ring_bytes)) return false;
      store_word(inbox->line.tail, head.word);
      return true;
    case MessageHead::kOps:
    case MessageHead::kOpsEnd:
      if (!store_bytes(link, head, bytes, link->inbox_op_ring(), link->op_ring_bytes)) return false;
      if (head.kind == MessageHead::kOpsEnd) store_word(inbox->op_line.tail, head.word);
      return true;
    default:
      return corrupt(link, "the peer sent a message of an unknown kind");
  }
}

bool take_counts(RdmaLink* link, const MessageHead& head) noexcept {
  uint64_t known = link->peer_receives.load(std::memory_order_relaxed);
  if (head.receives < known || head.receives > link->immediates)
    return corrupt(link, "the peer claims to have posted receives that make no sense");
  if (head.op_credit != 0 && link->op_ring_bytes == 0)
    return corrupt(link, "the peer tells credit of an op ring that there is not");
  link->peer_receives.store(head.receives, std::memory_order_relaxed);
  store_word(link->e.inbox->credit, head.credit);
  store_word(link->e.inbox->op_credit, head.op_credit);
  return true;
}

}  // namespace

void begin_two_sided(RdmaLink* link) noexcept {
  link->two.on = true;
  link->two.cells = cells_of(link->ring_bytes, link->both_rings());
  if (link->peer_depth > link->two.cells.count) link->peer_depth = link->two.cells.count;
  if (link->e.send_depth > link->two.cells.count) link->e.send_depth = link->two.cells.count;
}

void add_requests(RdmaLink* link, const WorkRequest* requests, uint32_t n) noexcept {
  TwoSided& two = link->two;
  for (const WorkRequest* r = requests; r != requests + n; ++r) {
    if (!r->copy) {
      uint64_t at = r->offset - kRingOffset;
      Backlog* to = backlog_of(link, &at);
      if (to->left == 0) to->at = at;  // else it goes on there
      to->left += r->bytes;
      link->owed |= kOwesBytes;
    } else if (r->offset == kTail) {
      two.bytes.tail = word_of(*r);
      two.ops_first = two.ops.left;
    } else if (r->offset == kOpTail) {
      two.ops.tail = word_of(*r);
    } else {
      if (r->offset == offsetof(Inbox, op_credit)) two.op_credit = word_of(*r);
      if (r->offset == offsetof(Inbox, getter)) two.last_word = word_of(*r);
      link->owed |= owed_for(r->offset);
    }
  }
}

void send_messages(RdmaLink* link) noexcept {
  send_backlog(link);
  if (backlog(link) == 0) {
    link->owed &= ~uint32_t{kOwesBytes};
    if ((link->owed & kOwesGetter) != 0 && room(link) != 0 && slots_left(link) > words_reserve(link)) {
      link->owed &= ~uint32_t{kOwesGetter};
      send_alone(link, MessageHead::kLastWord, link->two.last_word, false);
    }
  }
  uint64_t reserve = (link->owed & kOwesReceives) != 0 ? 0 : words_reserve(link);
  if ((link->owed & (kOwesReceives | kOwesCredit | kOwesOpCredit)) != 0 && room(link) != 0 &&
      slots_left(link) > reserve) {
    send_alone(link, MessageHead::kNothing, 0, false);
  }
}

void take_message(RdmaLink* link, const ibv_wc& wc) noexcept {
  if (link->state.load(std::memory_order_relaxed) == kCorrupt) return;
  const Cells& cells = link->two.cells;
  const uint8_t* slot = link->e.cells[cells.ring(wc.wr_id)] + cells.slot_at(wc.wr_id);
  MessageHead head;
  memcpy(&head, slot, sizeof head);
  if (wc.opcode != IBV_WC_RECV || wc.byte_len < sizeof head || wc.byte_len - sizeof head != head.bytes) {
    corrupt(link, "the peer sent a message that is not as long as it says");
    return;
  }
  if (!take_kind(link, head, slot + sizeof head) || !take_counts(link, head)) return;
  link->two.unheard = 0;
  if (post_slot(&link->e, cells, wc.wr_id)) ++link->receives;
}

void send_probe(RdmaLink* link) noexcept {
  if (slots_left(link) > kProbeReserve) send_alone(link, MessageHead::kNothing, 0, true);
}

}  // namespace rc
#endif
