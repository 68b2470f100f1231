// The op ring: draining it, filling it, and the life of what goes through it.
#include "core/ops.h"

#include <string.h>

#include <new>

#include "core/context.h"
#include "core/step.h"

namespace rc {
namespace {

template <class Entry>
Code find(Entry* entries, uint32_t count, uint64_t id, Id::Part part, const char* kind, Entry** found) noexcept {
  if (Id::is(id, part) && Id::index(id) < count && entries[Id::index(id)].id == id) {
    *found = &entries[Id::index(id)];
    return kOk;
  }
  return Handles::refuse(id, kind);
}

}  // namespace

void Ops::carve(Arena& arena, uint32_t requests_max) noexcept {
  requests_ = static_cast<Request*>(arena.carve(requests_max * sizeof(Request), alignof(Request)));
  answers_ = static_cast<Answer*>(arena.carve(requests_max * sizeof(Answer), alignof(Answer)));
  landings_ = static_cast<uint64_t*>(arena.carve(requests_max * sizeof(uint64_t), alignof(uint64_t)));
  grants_ = static_cast<Grant*>(arena.carve(kGrantsMax * sizeof(Grant), alignof(Grant)));
  remotes_ = static_cast<Remote*>(arena.carve(kRemotesMax * sizeof(Remote), alignof(Remote)));
  free_requests_.carve(arena, requests_max);
  free_grants_.carve(arena, kGrantsMax);
  free_tokens_.carve(arena, kGrantsMax);
  to_send_.carve(arena, requests_max + 3 * kGrantsMax);
  moving_.carve(arena, requests_max);
  due_.carve(arena, requests_max);
  imms_.carve(arena, requests_max);
  announced_.carve(arena, kGrantsMax);
  returned_.carve(arena, kGrantsMax);
  completions_.carve(arena, requests_max);
}

void Ops::open(Context* context, Link* link, uint32_t channel_slot, bool full_fence) noexcept {
  Locked locked(this);
  context_ = context;
  regions_ = &context->regions();
  link_ = link;
  inbox_ = link->inbox;
  outbox_ = link->outbox;
  channel_slot_ = channel_slot;
  full_fence_ = full_fence;
  requests_count_ = link->requests;
  link->landings = landings_;
  link->operations = this;
  placed_from_ = placed_to_ = 0;
  full_ = false;
  in_flight_ = by_nic_count_ = 0;
  last_ticket_ = 0;
  open_ = true;
  for_peer_bytes_ = 0;
  counts_ = {};
  newest_direct_ = {};
  timer_fd_ = -1;
  due_ns_.store(kNeverNs, std::memory_order_relaxed);
  wrong_ = nullptr;
  over_ = false;
  tx_.init(link->outbox_op_ring(), link->op_ring_bytes, 0);
  rx_.init(link->inbox_op_ring(), link->op_ring_bytes, 0);
  new (&getter_bell_) Ringer<StdAtomics>{};
  new (&putter_bell_) Ringer<StdAtomics>{};
  new (&server_bell_) Ringer<StdAtomics>{};
  if (!clean_) {  // the caller's memory may hold anything
    memset(static_cast<void*>(requests_), 0, context->limits().requests_max * sizeof(Request));
    memset(static_cast<void*>(answers_), 0, context->limits().requests_max * sizeof(Answer));
    memset(static_cast<void*>(grants_), 0, kGrantsMax * sizeof(Grant));
    memset(static_cast<void*>(remotes_), 0, kRemotesMax * sizeof(Remote));
    clean_ = true;
  }
  SlotQueue* const queues[] = {&free_requests_, &free_grants_, &free_tokens_, &to_send_,  &moving_,
                               &due_,           &imms_,        &announced_,   &returned_, &completions_};
  for (SlotQueue* queue : queues) queue->clear();
  for (uint32_t i = 0; i < requests_count_; ++i) {
    requests_[i].state = Request::kFree;
    requests_[i].queued = false;
    answers_[i].state = Answer::kNone;
    free_requests_.push(i);
  }
  for (uint32_t i = 0; i < kGrantsMax; ++i) {
    grants_[i].shared = grants_[i].ending = false;
    to_answer_[i] = 0;
    free_grants_.push(i);
    free_tokens_.push(kGrantsMax + i);
  }
  applied_.store(0, std::memory_order_relaxed);
  pending_.store(false, std::memory_order_relaxed);
  behind_.store(false, std::memory_order_relaxed);
}

Code Ops::close() noexcept {
  abort(kClosing);
  Locked locked(this);
  open_ = false;  // other threads, in reap, begin nothing that would have to be waited for
  Code code = kOk;
  for (uint32_t i = 0; i < requests_count_; ++i) requests_[i].id = 0;
  for (uint32_t i = 0; i < kGrantsMax; ++i) {
    settle(grants_[i]);
    if (grants_[i].state == Grant::kReturned) end_grant(grants_[i], Grant::kOver);
    if (grants_[i].shared && !grants_[i].by_nic) {  // else it ends with the link
      Code unshared = unshare(grants_[i]);
      if (unshared != kOk) regions_->let_go(Hold::kShare, grants_[i].piece.slot);
      if (unshared != kOk) code = unshared;
    }
    grants_[i].id = 0;
    grants_[i].state = Grant::kFree;
  }
  for (uint32_t i = 0; i < kRemotesMax; ++i) drop_remote(remotes_[i]);
  drop_local();
  set_due();
  return code;
}

// A request that the NIC is at keeps its regions until the NIC is stopped; at close, that the link goes does it.
void Ops::abort(Code why) noexcept {
  Locked locked(this);
  if (over_) return;
  over_ = true;
  why_ = why;
  to_send_.clear();
  due_.clear();
  bool exposed = false;
  for (uint32_t i = 0; i < requests_count_; ++i) {  // partly posted ones, and those whose immediate is a frame, too
    const Request& r = requests_[i];
    bool over = r.state == Request::kFree || r.state == Request::kDone;
    exposed |= !over && r.ticket != 0 && !nic().done(link_, r.ticket);
  }
  for (uint32_t i = 0; i < kGrantsMax; ++i) exposed |= grants_[i].shared && grants_[i].by_nic;
  if (exposed && why != kClosing) nic().halt(link_);
  moving_.clear();
  pending_.store(false, std::memory_order_relaxed);
  behind_.store(false, std::memory_order_release);
  for (uint32_t i = 0; i < requests_count_; ++i) {
    Request& r = requests_[i];
    r.queued = false;
    if (why == kClosing && r.ticket != 0) continue;
    if (r.state == Request::kQueued || r.state == Request::kSent || r.state == Request::kMoving) finish(r, why, 0);
    if (r.state == Request::kCancelled) free_request(r);
  }
  for (uint32_t i = 0; i < kGrantsMax; ++i) {
    if (grants_[i].state == Grant::kLive) end_grant(grants_[i], Grant::kOver);
  }
}

bool Ops::news() noexcept {
  Locked locked(this);
  return !imms_.empty() || !announced_.empty() || !returned_.empty() || !completions_.empty();
}

Ops::Counts Ops::counts() noexcept {
  Locked locked(this);
  return counts_;
}

Code Ops::serve() noexcept {
  end_leases();
  if (idle()) return kOk;
  Locked locked(this);
  return serve_locked();
}

Code Ops::serve_locked() noexcept {
  if (wrong_ != nullptr) return kCorrupt;
  if (over_) return kOk;
  Code code = arrived() ? drain() : kOk;
  if (code == kOk) land();
  return code == kOk ? pump() : code;
}

Code Ops::broken(const char* what) noexcept {
  if (wrong_ == nullptr) wrong_ = what;
  pending_.store(true, std::memory_order_relaxed);  // whoever serves next tells
  return kCorrupt;
}

Code Ops::find_request(uint64_t id, Request** request) noexcept {
  return find(requests_, requests_count_, id, Id::kRequest, "request", request);
}

Code Ops::find_grant(uint64_t id, Grant** grant) noexcept {
  return find(grants_, kGrantsMax, id, Id::kGrant, "grant", grant);
}

Code Ops::find_remote(uint64_t id, Remote** remote) noexcept {
  return find(remotes_, kRemotesMax, id, Id::kRemote, "remote memory", remote);
}

// ------------------------------------------------------------------------------------------------------------ draining

// Never waits and never needs room: what a request asks for is done, or noted as owed (O2).
Code Ops::drain() noexcept {
  if (!rx_.look(inbox_->op_line)) return broken("the peer's op tail went backwards or beyond the op ring");
  while (rx_.available() != 0) {
    OpFrame header[2];  // the second for gcc 12, which takes the end of the first for a place that is copied to
    OpFrame& frame = header[0];
    if (rx_.available() < sizeof frame) return broken("the peer published a part of an op frame");
    rx_.copy_out(&frame, sizeof frame);
    if (frame.bytes > payload_max(rx_.capacity()) || rx_.available() < sizeof frame + padded(frame.bytes))
      return broken("an op frame of the peer is longer than what it published");
    if (!execute(frame)) return broken("an op frame of the peer makes no sense");
    RC_STEP("ops: executed, not consumed");
    rx_.consume(sizeof frame + padded(frame.bytes));
    placed_from_ = placed_to_ = 0;
  }
  applied_.store(rx_.read_index(), std::memory_order_release);  // pairs with the acquire in idle
  return rx_.credit_due() ? tell_credit() : kOk;
}

Code Ops::tell_credit() noexcept {
  if (link_->direct) {
    rx_.tell_credit(outbox_->op_credit);
    RC_STEP("ops: credit told");
    ring_peer();
    return kOk;
  }
  outbox_->op_credit.store(rx_.credit_to_tell(), std::memory_order_relaxed);
  WorkRequest wr = {&outbox_->op_credit, offsetof(Inbox, op_credit), sizeof(uint64_t), true};
  return link_->ops->post(link_, &wr, 1);
}

// Whoever sleeps there may have to execute this: both sides are told, and who serves for both, at the getter's bell.
void Ops::ring_peer() noexcept {
  light_fence(full_fence_);  // pairs with the heavy_fence after Sleeper::arm (I7)
  bool getter = getter_bell_.must_ring(inbox_->getter), server = server_bell_.must_ring(inbox_->server);
  if (getter || server) link_->ops->ring(link_, kGetSide);
  if (putter_bell_.must_ring(inbox_->putter)) link_->ops->ring(link_, kPutSide);
}

// ------------------------------------------------------------------------------------------------------------- filling

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

// With the tail behind them.
Code Ops::post_written(WorkRequest* wr, uint32_t n) noexcept {
  uint64_t tail = tx_.written();
  wr[n++] = tail_at(&tail);
  Code code = link_->ops->post(link_, wr, n);
  if (code == kOk) tx_.set_published();
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
