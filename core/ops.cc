// The op ring: the life of what goes through it, and draining it.
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
  if (code == kOk) code = pump();
  return code == kOk && rx_.credit_due() ? tell_credit() : code;  // if no answer took it along
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
  return kOk;
}

Code Ops::tell_credit() noexcept {
  if (link_->direct) {
    rx_.tell_credit(outbox_->op_credit);
    RC_STEP("ops: credit told");
    ring_peer();
    return kOk;
  }
  uint64_t credit = rx_.credit_to_tell();
  WorkRequest wr = credit_at(&credit);
  return link_->ops->post(link_, &wr, 1);
}

// Whoever sleeps there may have to execute this: both sides are told, and who serves for both, at the getter's bell.
void Ops::ring_peer() noexcept {
  light_fence(full_fence_);  // pairs with the heavy_fence after Sleeper::arm (I7)
  bool getter = getter_bell_.must_ring(inbox_->getter), server = server_bell_.must_ring(inbox_->server);
  if (getter || server) link_->ops->ring(link_, kGetSide);
  if (putter_bell_.must_ring(inbox_->putter)) link_->ops->ring(link_, kPutSide);
}

}  // namespace rc
