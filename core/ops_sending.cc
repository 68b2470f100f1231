// The op ring's other half: filling it with requests, answers and news of grants (PROTOCOL.md "The op ring").
#include "core/context.h"
#include "core/ops.h"
#include "core/step.h"

namespace rc {

bool Ops::has_room(size_t bytes) noexcept {
  if (tx_.space() >= bytes) return true;
  if (!tx_.take_credit(inbox_->op_credit)) broken("the peer's op credit went backwards or beyond what was sent");
  return tx_.space() >= bytes;
}

void Ops::write_frame(const OpFrame& frame) noexcept { tx_.write(&frame, sizeof frame); }

template <class Write>
void Ops::write_frame(const OpFrame& frame, Write write) noexcept {
  constexpr uint8_t kZeros[8] = {};
  write_frame(frame);
  write();
  tx_.write(kZeros, padded(frame.bytes) - frame.bytes);
}

uint32_t Ops::room_for(uint64_t left) noexcept {
  constexpr size_t kWorthwhile = 512;  // smaller pieces only if they are the last
  size_t least = sizeof(OpFrame) + (left < kWorthwhile ? padded(left) : kWorthwhile);
  if (!has_room(least)) return 0;
  size_t room = (tx_.space() - sizeof(OpFrame)) / 8 * 8, most = payload_max(tx_.capacity());
  room = room < most ? room : most;
  return static_cast<uint32_t>(left < room ? left : room);
}

Code Ops::pump() noexcept {
  Code code = kOk;
  for (;;) {  // answers first: they are what the peer waits for
    if (!due_.empty() && send_answer(due_.front())) {
      due_.pop();
    } else if (due_.empty() && !to_send_.empty() && send_item(to_send_.front())) {
      to_send_.pop();
    } else {
      break;
    }
    if (tx_.staged() > tx_.capacity() / 4 && (code = publish()) != kOk) break;
  }
  if (wrong_ != nullptr) return kCorrupt;
  if (code == kOk) code = publish();
  bool unsent = !to_send_.empty() || tx_.staged() != 0;
  behind_.store(unsent, std::memory_order_release);
  pending_.store(unsent || !due_.empty() || !moving_.empty(), std::memory_order_relaxed);
  return code == kWouldBlock ? kOk : code;
}

// kWouldBlock: the link's queue is full, and what is staged stays so.
Code Ops::publish() noexcept {
  if (tx_.staged() == 0) return kOk;
  RC_STEP("ops: written, not published");
  if (link_->direct) {
    tx_.publish(outbox_->op_line);
    RC_STEP("ops: published");
    ring_peer();
    return kOk;
  }
  WorkRequest wr[kPublishMost];
  return post_written(wr, place(tx_.unpublished(), nullptr, wr));
}

// The WRITEs of bytes of the ring that lie at `from`; null: in the outbox.
uint32_t Ops::place(const Spans& s, const uint8_t* from, WorkRequest* wr) noexcept {
  uint8_t* ring = link_->outbox_op_ring();
  size_t begin = kRingOffset + op_ring_at(link_->ring_bytes);
  const uint8_t* first = from != nullptr ? from : ring + s.at;
  const uint8_t* second = from != nullptr ? from + s.first : ring;
  wr[0] = {first, begin + s.at, static_cast<uint32_t>(s.first), false};
  if (s.second == 0) return 1;
  wr[1] = {second, begin, static_cast<uint32_t>(s.second), false};
  return 2;
}

WorkRequest Ops::tail_at(const uint64_t* tail) noexcept {
  return {tail, offsetof(Inbox, op_line) + offsetof(TailLineOf<std::atomic<uint64_t>>, tail), sizeof *tail, true};
}

WorkRequest Ops::credit_at(const uint64_t* credit) noexcept {
  return {credit, offsetof(Inbox, op_credit), sizeof *credit, true};
}

// With the tail behind them, and credit that is due: two posts would be two system calls, or two doorbells.
Code Ops::post_written(WorkRequest* wr, uint32_t n) noexcept {
  uint64_t tail = tx_.written(), credit = rx_.read_index();
  bool due = rx_.credit_due();
  if (due) wr[n++] = credit_at(&credit);
  wr[n++] = tail_at(&tail);
  Code code = link_->ops->post(link_, wr, n);
  if (code == kOk) tx_.set_published();
  if (code == kOk && due) rx_.credit_to_tell();
  full_ = code == kWouldBlock;
  return code;
}

// Publishes a frame whose payload stays where it is, without a copy in the outbox, and first what is staged, with a
// tail of its own: what the frame follows is executed before its payload comes (O7). False: nothing happened.
bool Ops::lend(const OpFrame& frame, const uint8_t* payload) noexcept {
  bool worthwhile = frame.bytes >= kLendBytes && frame.bytes % 8 == 0 && !full_;  // a full link is not asked twice
  if (!link_->borrows || !worthwhile) return false;
  WorkRequest wr[2 * kPublishMost];
  uint32_t n = 0;
  uint64_t before = tx_.written();
  if (tx_.staged() != 0) {
    n = place(tx_.unpublished(), nullptr, wr);
    wr[n++] = tail_at(&before);
  }
  n += place(tx_.next(sizeof frame), nullptr, wr + n);
  write_frame(frame);
  n += place(tx_.next(frame.bytes), payload, wr + n);
  tx_.stage(frame.bytes);
  RC_STEP("ops: written, not published");
  if (post_written(wr, n) == kOk) return true;
  tx_.take_back(sizeof frame + frame.bytes);
  return false;
}

// False: not all of it has found room, or it must not go yet.
bool Ops::send_item(uint32_t item) noexcept {
  uint32_t slot = item & 0xffff;
  if (item < kGrantItem) return send_request(slot);
  if (item >= kRevokedItem) return send_revoked(slot);
  Grant& g = grants_[slot];
  bool revoked = item >= kRevokeItem;
  if (!revoked && g.state != Grant::kLive) return true;
  if (!has_room(sizeof(OpFrame))) return false;
  OpFrame frame = {};
  frame.type = revoked ? kOpRevoke : kOpGrant;
  frame.key = g.lease.key;
  frame.word = revoked && g.by_nic ? 1 : 0;
  frame.value = g.state == Grant::kLapsed ? 1 : 0;
  if (!revoked && g.by_nic) {
    frame.offset = g.exposed.address;
    frame.request = g.exposed.key;
  }
  if (!revoked) {
    const Lease& lease = g.lease;
    int64_t left = lease.expires_ns - now_ns(), least = (lease.rights & kDirect) != 0 ? 1 : 0;
    frame.word = lease.rights;
    frame.value = lease.bytes;
    if (lease.expires_ns != kNeverNs) frame.compare = static_cast<uint64_t>(left > least ? left : least);
  }
  write_frame(frame);
  g.told = revoked;
  if (revoked && !g.shared && g.id == 0) free_grant(g);
  return true;
}

bool Ops::reads_from(const RemoteKey& key) const noexcept {
  for (uint32_t i = 0; i < requests_count_; ++i) {
    const Request& r = requests_[i];
    if (r.state == Request::kSent && r.frame.type == kOpRead && r.frame.key.id == key.id) return true;
  }
  return false;
}

bool Ops::send_request(uint32_t slot) noexcept {
  Request& r = requests_[slot];
  if (r.state == Request::kCancelled) {
    r.queued = false;
    free_request(r);
    return true;
  }
  if (r.by_nic) return move(r);
  if ((r.frame.type == kOpReturn || r.frame.type == kOpRelease) && reads_from(r.frame.key)) return false;
  bool carries = r.frame.type == kOpWrite || r.frame.type == kOpWriteImm;
  if (!carries) {
    if (!has_room(sizeof r.frame)) return false;
    write_frame(r.frame);
  }
  while (carries && r.done < r.frame.value) {
    OpFrame frame = r.frame;
    frame.compare = r.done;
    frame.bytes = room_for(r.frame.value - r.done);
    if (frame.bytes == 0) return false;
    Gather::Part part = r.local.at(r.done);
    if (part.bytes < frame.bytes || !lend(frame, part.at)) {
      write_frame(frame, [&]() noexcept {
        r.local.each(r.done, frame.bytes, [&](const uint8_t* piece, size_t n) noexcept { tx_.write(piece, n); });
      });
    }
    r.done += frame.bytes;
    if (link_->direct) publish();  // the peer copies out while we copy in
  }
  if (carries) r.done = 0;
  r.queued = false;
  r.state = Request::kSent;
  return true;
}

bool Ops::send_answer(uint32_t slot) noexcept {
  Answer& a = answers_[slot];
  while (a.state == Answer::kReading) {
    Grant* g = nullptr;
    Code code = check(a.frame.key, kRead, a.frame.offset, a.frame.value, &g);
    if (code != kOk) {
      OpFrame refusal = {};
      refusal.word = static_cast<uint32_t>(code);
      a.frame = refusal;
      a.state = Answer::kReady;
      break;
    }
    OpFrame frame = {};
    frame.type = kOpData;
    frame.request = slot;
    frame.compare = a.done;
    frame.bytes = room_for(a.frame.value - a.done);
    if (frame.bytes == 0) return false;
    const uint8_t* at = g->piece.at + a.frame.offset + a.done;
    if (!lend(frame, at)) write_frame(frame, [&]() noexcept { tx_.write(at, frame.bytes); });
    a.done += frame.bytes;
    if (a.done == a.frame.value) {
      a.state = Answer::kNone;
      ++counts_.served;
    }
    if (link_->direct) publish();
  }
  if (a.state == Answer::kNone) return true;
  if (!has_room(sizeof a.frame)) return false;
  a.frame.type = kOpDone;
  a.frame.request = slot;
  a.frame.bytes = 0;
  write_frame(a.frame);
  a.state = Answer::kNone;
  return true;
}

}  // namespace rc
