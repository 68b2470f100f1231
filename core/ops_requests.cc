// What this end asks of the peer: requests, from their post to the answer.
#include "core/context.h"
#include "core/ops.h"

namespace rc {
namespace {

using Unsigned = unsigned long long;

}  // namespace

const char* Ops::meaning(Code result) noexcept {
  switch (result) {
    case kOk:
      return "";
    case kRights:
      return "the owner has not granted that kind of access";
    case kRange:
      return "the bytes are not within what the owner has granted";
    case kAlignment:
      return "the word is not at a multiple of 8 of the owner's addresses";
    case kExpired:
      return "the lease is over; ask the owner for another grant";
    case kRevoked:
      return "the owner has revoked the grant, or never gave it";
    case kLimit:
      return "the peer's limits (rc_config.peer_*) do not allow it";
    case kPool:
      return "the peer has no region or grant left; release some, or raise its rc_config";
    case kClosed:
      return "the peer closed the channel before it answered";
    case kPeerDead:
      return "the peer died before it answered; what it has executed is not known";
    default:
      return "the channel ended before the peer answered";
  }
}

// What a request for memory went beyond; a number that no owner sends is none.
const char* Ops::exceeded(uint64_t what) noexcept {
  switch (what) {
    case kExceedsBytes:
      return "the region is larger than the peer allows (its rc_config.peer_mr_bytes); ask for less";
    case kExceedsTotal:
      return "the peer's total for this channel (its rc_config.peer_mr_total) has no room for it; release some";
    case kExceedsRights:
      return "the peer allows fewer rights (its rc_config.peer_rights); ask for less";
    default:
      return meaning(kLimit);
  }
}

Code Ops::tell(Code result) noexcept { return result == kOk ? kOk : fail_plain(result, meaning(result)); }

// ------------------------------------------------------------------------------------------------------------ requests

Code Ops::start(const OpFrame& frame, bool detached, Request** request) noexcept {
  if (over_) return tell(why_);
  if (free_requests_.empty()) {
    return fail(kPool, "all %u requests of this channel are in flight: wait for one, or raise rc_config.requests_max",
                requests_count_);
  }
  *request = &begin(frame, detached);
  enqueue(**request);
  return kOk;
}

Ops::Request& Ops::begin(const OpFrame& frame, bool detached) noexcept {
  Request& r = new_request(detached);
  r.frame = frame;
  r.frame.request = static_cast<uint32_t>(&r - requests_);
  in_flight_ += 1;
  return r;
}

void Ops::enqueue(Request& r) noexcept {
  r.state = Request::kQueued;
  r.queued = true;
  to_send_.push(kRequestItem | r.frame.request);
}

Ops::Request& Ops::new_request(bool detached) noexcept {
  uint32_t slot = free_requests_.pop();
  Request& r = requests_[slot];
  r.uses += 1;
  r.id = Id::make_part(Id::kRequest, Id::context(context_->id()), channel_slot_, slot, r.uses);
  r.queued = false;
  r.detached = detached;
  r.listed = false;
  r.done = r.remote = r.ticket = r.value = 0;
  r.result = kOk;
  r.by_nic = false;
  r.far_expires_ns = kNeverNs;
  return r;
}

// One that is over when it is posted.
void Ops::done_already(Code result, uint64_t value, bool detached, uint64_t* request) noexcept {
  if (detached) return;
  Request& done = new_request(false);
  done.state = Request::kDone;
  done.result = result;
  done.value = value;
  *request = done.id;
}

void Ops::free_request(Request& r) noexcept {
  r.id = 0;
  r.state = r.queued ? Request::kCancelled : Request::kFree;
  if (!r.queued) free_requests_.push(static_cast<uint32_t>(&r - requests_));
}

void Ops::finish(Request& r, Code result, uint64_t value) noexcept {
  r.local.let_go(regions_);
  in_flight_ -= 1;
  by_nic_count_ -= r.by_nic ? 1 : 0;
  r.by_nic = false;
  r.state = Request::kDone;
  r.result = result;
  r.value = value;
  if (r.listed) completions_.push(static_cast<uint32_t>(&r - requests_));
  if (r.detached) free_request(r);
}

Code Ops::post(const Operation& op, bool detached, uint64_t* request) noexcept {
  if (nic().able) look_around();
  Locked locked(this);
  Code code = post_locked(op, detached, request);
  if (code == kWouldBlock) {
    Gather local;  // until the request holds it, too
    lock_.unlock();
    code = keep_local(op, &local, true);
    lock_.lock();
    if (code == kOk) code = post_locked(op, detached, request);
    local.let_go(regions_);
  }
  if (code == kOk) ++counts_.posted;
  return code;
}

// kWouldBlock: the NIC is to do it, and does not know the local bytes.
Code Ops::post_locked(const Operation& op, bool detached, uint64_t* request) noexcept {
  Remote* remote = nullptr;
  Code code = find_remote(op.remote, &remote);
  if (code != kOk || remote == nullptr) return code;
  // Nobody else would notice that it is revoked, and then its slot may be another grant's. What fails here ends the
  // channel.
  if (remote->at != nullptr && !idle()) serve_locked();
  if (remote->id != op.remote) return tell(kRevoked);
  bool atomic = op.atomic();
  const Lease& lease = remote->lease;
  if (remote->state == Remote::kGone) return tell(gone(*remote));
  bool leased = (lease.rights & kDirect) != 0 && lease.expires_ns != kNeverNs;
  if (leased && lease.over(now_ns())) return tell(kExpired);
  if ((lease.rights & op.right()) == 0) return tell(kRights);
  if (!lease.covers(op.remote_offset, op.bytes)) {
    return fail(kRange, "%llu bytes at offset %llu are not within the %llu granted, or none",
                static_cast<Unsigned>(op.bytes), static_cast<Unsigned>(op.remote_offset),
                static_cast<Unsigned>(lease.bytes));
  }
  if (over_ || free_requests_.empty()) return start({}, false, nullptr);  // which says why not
  if (goes_direct(*remote)) return post_direct(op, *remote, detached, request);
  bool by_nic = reaches(*remote) && in_flight_ == by_nic_count_;
  if (by_nic && atomic && (remote->address + op.remote_offset) % sizeof(uint64_t) != 0) {
    done_already(kAlignment, 0, detached, request);
    return kOk;
  }
  if (!atomic) {
    Gather* local = &requests_[free_requests_.front()].local;  // of the request that begins
    code = by_nic ? keep_local(op, local, false) : op.hold(regions_, local);
    if (code != kOk) return code;
  }
  OpFrame frame = {};
  frame.type = op.type;
  frame.word = op.imm;
  frame.key = lease.key;
  frame.offset = op.remote_offset;
  frame.value = atomic ? op.value : op.bytes;
  frame.compare = atomic ? op.compare : 0;
  Request& r = begin(frame, detached);
  r.by_nic = by_nic;
  r.far_key = remote->key;
  r.far_address = remote->address;
  r.far_expires_ns = lease.expires_ns;
  by_nic_count_ += by_nic ? 1 : 0;
  *request = r.id;
  if (by_nic && move_at_once(r)) return kOk;
  enqueue(r);
  serve_locked();  // what fails here ends the channel, and the request with it
  return kOk;
}

Code Ops::ask(const OpFrame& frame, uint64_t* request) noexcept {
  Request* r = nullptr;
  Code code = start(frame, false, &r);
  if (code != kOk || r == nullptr) return code;
  *request = r->id;
  serve_locked();
  return kOk;
}

Code Ops::post_alloc(uint64_t bytes, uint32_t rights, int64_t lease_ns, uint64_t* request) noexcept {
  Locked locked(this);
  OpFrame frame = {};
  frame.type = kOpAlloc;
  frame.word = rights;
  frame.value = bytes;
  frame.compare = static_cast<uint64_t>(lease_ns);
  return ask(frame, request);
}

Code Ops::post_return(uint64_t remote, uint64_t* request) noexcept {
  Locked locked(this);
  Remote* held = nullptr;
  Code code = find_remote(remote, &held);
  if (code != kOk || held == nullptr) return code;
  if (held->state == Remote::kGone) return tell(gone(*held));
  OpFrame frame = {};
  frame.type = kOpReturn;
  frame.key = held->lease.key;
  return ask(frame, request);
}

Code Ops::release(uint64_t remote) noexcept {
  Locked locked(this);
  Remote* held = nullptr;
  Code code = find_remote(remote, &held);
  if (code != kOk || held == nullptr) return code;
  if ((held->state == Remote::kLive || held->state == Remote::kUnread) && !over_) {
    OpFrame frame = {};
    frame.type = kOpRelease;
    frame.key = held->lease.key;
    Request* r = nullptr;
    code = start(frame, true, &r);
    if (code != kOk || r == nullptr) return code;
  }
  drop_remote(*held);
  serve_locked();
  return kOk;
}

Code Ops::collect(uint64_t request, uint64_t* value, uint64_t* remote) noexcept {
  Locked locked(this);
  Request* r = nullptr;
  Code code = find_request(request, &r);
  if (code != kOk || r == nullptr) return code;
  if (r->listed) return fail_plain(kState, "the request is in the completion queue: rc_completions_get tells its end");
  if (r->state != Request::kDone) return kWouldBlock;
  code = r->result;
  if (value != nullptr) *value = r->value;
  if (remote != nullptr) *remote = r->remote;
  code = code == kLimit ? fail_plain(kLimit, exceeded(r->value)) : tell(code);
  free_request(*r);
  return code;
}

Code Ops::queue(uint64_t request, uint64_t tag) noexcept {
  Locked locked(this);
  Request* r = nullptr;
  Code code = find_request(request, &r);
  if (code != kOk || r == nullptr) return code;
  if (r->listed) return fail_plain(kState, "the request is in the completion queue already");
  r->listed = true;
  r->tag = tag;
  if (r->state == Request::kDone) completions_.push(Id::index(request));
  return kOk;
}

Code Ops::next_completions(Completion* completions, uint32_t capacity, uint32_t* count) noexcept {
  Locked locked(this);
  for (*count = 0; *count < capacity && !completions_.empty(); ++*count) {
    Request& r = requests_[completions_.pop()];
    completions[*count] = {r.id, r.tag, r.value, r.result, 0, meaning(r.result)};
    free_request(r);
  }
  return *count != 0 ? kOk : kWouldBlock;
}

Code Ops::cancel(uint64_t request) noexcept {
  Locked locked(this);
  Request* r = nullptr;
  Code code = find_request(request, &r);
  if (code != kOk || r == nullptr) return code;
  if (r->state != Request::kQueued || r->done != 0)
    return fail_plain(kState, "the request is on its way or over: wait for its result");
  r->detached = true;
  r->listed = false;  // whoever cancels knows
  finish(*r, kOk, 0);
  return kOk;
}

void Ops::detach(uint64_t request) noexcept {
  Locked locked(this);
  Request* r = nullptr;
  if (find_request(request, &r) != kOk || r == nullptr) return;
  r->detached = true;
  if (r->state == Request::kDone) free_request(*r);
}

// ------------------------------------------------------------------------------------------------------------- answers

bool Ops::fits_read(const OpFrame& f) const noexcept {
  if (f.request >= requests_count_) return false;
  const Request& r = requests_[f.request];
  bool asked = r.state == Request::kSent && r.frame.type == kOpRead;
  return asked && f.compare == r.done && f.bytes != 0 && f.bytes <= r.frame.value - r.done;
}

bool Ops::take_data(const OpFrame& f) noexcept {
  if (!fits_read(f)) return false;
  Request& r = requests_[f.request];
  size_t from = 0;
  r.local.each(r.done, f.bytes, [&](uint8_t* at, size_t n) noexcept {
    copy_payload(at, from, n);
    from += n;
  });
  r.done += f.bytes;
  if (r.done == r.frame.value) finish(r, kOk, 0);
  return true;
}

bool Ops::take_done(const OpFrame& f) noexcept {
  constexpr Code kPossible[] = {kOk, kRights, kRange, kAlignment, kExpired, kRevoked, kLimit, kPool};
  if (f.request >= requests_count_ || f.bytes != 0) return false;
  Request& r = requests_[f.request];
  auto result = static_cast<Code>(f.word);
  bool possible = false;
  for (Code code : kPossible) possible |= code == result;
  if (!possible || r.state != Request::kSent || (r.frame.type == kOpRead && result == kOk)) return false;
  if (result == kRevoked && r.far_expires_ns == kGoneNs) result = kExpired;  // the owner has no more of the key by now
  if (r.frame.type == kOpAlloc && result == kOk) {
    uint32_t slot = f.key.slot();
    if (slot >= kGrantsMax || f.compare > static_cast<uint64_t>(kLeaseMaxNs)) return false;
    Remote& held = remotes_[slot];
    if (held.state == Remote::kLive || held.state == Remote::kUnread) return false;
    if (r.detached) {  // who asked has given up: the peer may have it back
      r.frame.type = kOpRelease;
      r.frame.key = f.key;
      r.state = Request::kQueued;
      r.queued = true;
      to_send_.push(kRequestItem | f.request);
      return true;
    }
    Lease lease = {f.key, r.frame.value, r.frame.word, now_ns() + static_cast<int64_t>(f.compare)};
    r.remote = hold_remote(slot, lease, Remote::kLive)->id;
  }
  if (r.frame.type == kOpReturn && result == kOk) forget_key(r.frame.key.id, false);
  if (r.ticket != 0 && !nic().done(link_, r.ticket)) {  // the bytes before an immediate: the NIC may still read them
    r.result = result;
    r.value = f.value;
    r.state = Request::kMoving;
    moving_.push(f.request);
    return true;
  }
  finish(r, result, f.value);
  return true;
}

}  // namespace rc
