// Direct grants: memory that the peer's processor reaches by itself (PROTOCOL.md "Direct grants").
#include <string.h>

#include "core/context.h"
#include "core/ops.h"

namespace rc {
namespace {

// So much is copied under the lock at once. Less than a ring's worth; smaller ones cost memcpy its way of large copies
// (1 MiB in pieces of 256 KiB: half the bandwidth).
constexpr uint64_t kPieceBytes = uint64_t{4} << 20;

// The other end may look at the bytes at any time: what was written before is there before they are, and a word is
// written or read as one.
inline void copy_shared(uint8_t* to, const uint8_t* from, uint64_t n) noexcept {
  bool word = n == sizeof(uint64_t) &&
              (reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % sizeof(uint64_t) == 0;
  std::atomic_thread_fence(std::memory_order_release);  // pairs with the acquire of whoever sees these bytes
  if (word) {
    uint64_t value = __atomic_load_n(reinterpret_cast<const uint64_t*>(from), __ATOMIC_RELAXED);
    __atomic_store_n(reinterpret_cast<uint64_t*>(to), value, __ATOMIC_RELAXED);
  } else {
    copy_bytes(to, from, n);
  }
  std::atomic_thread_fence(std::memory_order_acquire);  // pairs with the release of whoever wrote them
}

uint64_t do_atomic_at(uint8_t* at, const Operation& op) noexcept {
  auto* word = reinterpret_cast<uint64_t*>(at);
  if (op.type == kOpAdd) return __atomic_fetch_add(word, op.value, __ATOMIC_SEQ_CST);
  uint64_t old = op.compare;  // stays so, or becomes what was there instead
  __atomic_compare_exchange_n(word, &old, op.value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return old;
}

}  // namespace

// -------------------------------------------------------------------------------------------------------------- asking

// The put side goes on meanwhile, and may learn that the grant is revoked.
Code Ops::reach(Remote& r) noexcept {
  const uint64_t id = r.id;
  const Lease lease = r.lease;
  uint8_t* at = nullptr;
  lock_.unlock();
  Code code = link_->ops->extras->reach(link_, lease.key.id, lease.bytes, lease.rights, &at);
  lock_.lock();
  if (code == kCorrupt) return broken("the peer's direct grant came with no descriptor, or with one that will not do");
  if (code == kOk && newest_direct_.key.id == lease.key.id) newest_direct_ = {};
  bool revoked = r.id != id || r.state != Remote::kUnread;
  if (!revoked) r.at = at;
  if (revoked && code == kOk) link_->ops->extras->unreach(at, lease.bytes);
  return revoked ? kRevoked : code;
}

// Else an owner whose grants come and go too fast would have no room for the next one.
void Ops::pass_revoked() noexcept {
  if (newest_direct_.key.id == 0 || !link_->direct || over_) return;
  const Lease lease = newest_direct_;
  newest_direct_ = {};
  lock_.unlock();
  uint8_t* at = nullptr;
  if (link_->ops->extras->reach(link_, lease.key.id, lease.bytes, lease.rights, &at) == kOk)
    link_->ops->extras->unreach(at, lease.bytes);
  lock_.lock();
}

void Ops::leave(Remote& r) noexcept {
  if (r.at != nullptr) link_->ops->extras->unreach(r.at, r.lease.bytes);
  r.at = nullptr;
}

Code Ops::run_direct(const Operation& op, const Remote& remote, uint8_t* local, uint64_t* value) noexcept {
  uint64_t id = remote.id;
  if (op.atomic()) {
    uint8_t* at = remote.at + op.remote_offset;
    if (reinterpret_cast<uintptr_t>(at) % sizeof(uint64_t) != 0) return kAlignment;
    *value = do_atomic_at(at, op);
    return kOk;
  }
  for (uint64_t done = 0;;) {
    uint64_t left = op.bytes - done, n = left < kPieceBytes ? left : kPieceBytes;
    uint8_t *theirs = remote.at + op.remote_offset + done, *ours = local + done;
    copy_shared(op.type == kOpRead ? ours : theirs, op.type == kOpRead ? theirs : ours, n);
    done += n;
    if (done == op.bytes) return kOk;
    lock_.unlock();
    lock_.lock();
    if (over_) return why_;
    if (remote.id != id) return kRevoked;
    if (remote.at == nullptr) return gone(remote);
    if (remote.lease.over(now_ns())) return kExpired;
  }
}

Code Ops::find_local(const Operation& op, uint8_t** at) noexcept {
  if (!local_.holds(op)) {
    drop_local();
    Regions::Piece piece = {};
    Regions::Info info = {};
    Code code = regions_->hold(Hold::kKept, op.region, op.region_offset, op.bytes, op.access(), &piece);
    if (code == kOk) code = regions_->info(op.region, &info);
    if (code != kOk) return code;
    local_ = {op.region, static_cast<uint8_t*>(info.address), info.bytes, info.access, piece.slot};
  }
  *at = local_.at + op.region_offset;
  return kOk;
}

void Ops::drop_local() noexcept {
  if (local_.id != 0) regions_->let_go(Hold::kKept, local_.slot);
  local_ = {};
}

void Ops::forget_local(uint64_t region) noexcept {
  Locked locked(this);
  if (local_.id == region) drop_local();
}

// One piece after the other, as one operation. Not kOk: nothing was done; else *result is its result.
Code Ops::run_held(Operation op, const Remote& remote, Code* result) noexcept {
  Gather local;
  Code code = op.hold(regions_, &local);
  if (code != kOk) return code;
  uint64_t no_value = 0;  // only atomics have one
  local.each(0, op.bytes, [&](uint8_t* at, size_t n) noexcept {
    op.bytes = n;
    if (*result == kOk) *result = run_direct(op, remote, at, &no_value);
    op.remote_offset += n;
  });
  local.let_go(regions_);
  return kOk;
}

// All that post looks at, in one place: a small operation is not to cost more than the bytes it moves. What is not as
// it usually is, also what is wrong, is left to post.
bool Ops::run_at_once(const Operation& op, uint64_t* request) noexcept {
  uint32_t index = Id::index(op.remote);
  if (index >= kRemotesMax || op.pieces_count != 0 || op.type == kOpWriteImm) return false;
  Locked locked(this);
  const Remote& r = remotes_[index];
  const Lease& lease = r.lease;
  bool reached = r.id == op.remote && goes_direct(r) && !over_ && idle() && !free_requests_.empty();
  if (!reached || (lease.rights & op.right()) == 0 || !lease.covers(op.remote_offset, op.bytes)) return false;
  if (lease.expires_ns != kNeverNs && lease.over(now_ns())) return false;
  uint8_t* at = r.at + op.remote_offset;
  uint64_t old = 0;
  if (op.atomic()) {
    if (reinterpret_cast<uintptr_t>(at) % sizeof(uint64_t) != 0) return false;
    old = do_atomic_at(at, op);
  } else {
    if (op.bytes > kPieceBytes || !local_.holds(op)) return false;
    uint8_t* ours = local_.at + op.region_offset;
    copy_shared(op.type == kOpRead ? ours : at, op.type == kOpRead ? at : ours, op.bytes);
  }
  if (request != nullptr) done_already(kOk, old, false, request);
  ++counts_.posted;
  return true;
}

// No request of this channel is under way, so nothing that was posted before is overtaken.
Code Ops::post_direct(const Operation& op, const Remote& remote, bool detached, uint64_t* request) noexcept {
  uint8_t* local = nullptr;
  uint64_t value = 0;
  Code result = kOk, code = kOk;
  bool held = op.pieces_count != 0 || op.bytes > kPieceBytes;
  if (held) {
    code = run_held(op, remote, &result);
  } else if (!op.atomic()) {
    code = find_local(op, &local);
  }
  if (code != kOk) return code;
  if (!held) result = run_direct(op, remote, local, &value);
  if (op.type == kOpWriteImm && result == kOk) return tell_imm(op, remote.lease.key, detached, request);
  done_already(result, value, detached, request);
  return kOk;
}

// The bytes are there, the immediate is to follow.
Code Ops::tell_imm(const Operation& op, const RemoteKey& key, bool detached, uint64_t* request) noexcept {
  OpFrame frame = {};
  frame.type = kOpImm;
  frame.word = op.imm;
  frame.key = key;
  frame.offset = op.remote_offset;
  frame.value = op.bytes;
  Request* r = nullptr;
  Code code = start(frame, detached, &r);
  if (code != kOk || r == nullptr) return code;
  *request = r->id;
  serve_locked();  // what fails here ends the channel, and the request with it
  return kOk;
}

// --------------------------------------------------------------------------------------------------------- being asked

// Not announced yet, so the lock may be given up. On failure the grant is free again.
Code Ops::share(Grant& g) noexcept {
  g.shared = g.ending = true;
  g.by_nic = nic().able;
  Share* share = g.by_nic ? &g.exposed : regions_->share_of(g.piece.slot);
  *share = Share{};
  share->at = g.piece.at;
  share->bytes = g.lease.bytes;
  lock_.unlock();
  if (!g.by_nic) context_->forget_region(g.piece.id);  // registrations know the pages that are about to go
  Code code = link_->ops->extras->share(link_, g.lease.key.id, g.lease.rights, share);
  lock_.lock();
  g.ending = false;
  if (code == kOk && g.due_ns != kNeverNs) set_due();
  if (code == kOk) return kOk;
  g.shared = false;
  regions_->let_go(g.hold(), g.piece.slot);
  free_grant(g);
  return code;
}

// Who is at it is rc_mr_free of another thread.
void Ops::settle(const Grant& g) noexcept {
  while (g.ending) {
    lock_.unlock();
    sched_yield();
    lock_.lock();
  }
}

Code Ops::unshare(Grant& g) noexcept {
  settle(g);
  if (!g.shared) return kOk;
  g.ending = true;
  lock_.unlock();
  Code code = g.by_nic ? g.exposed.by->unshare(&g.exposed) : regions_->unshare(g.piece.slot);
  lock_.lock();
  g.ending = false;
  if (code != kOk) return code;
  g.shared = false;
  if (g.due_ns != kNeverNs) set_due();
  if (g.state != Grant::kReturned) regions_->let_go(g.hold(), g.piece.slot);  // else when it is taken, or the end
  return kOk;
}

Code Ops::end_direct(uint64_t region) noexcept {
  Locked locked(this);
  for (uint32_t i = 0; i < kGrantsMax; ++i) {
    Grant& g = grants_[i];
    if (!over_ || !g.shared || g.state == Grant::kReturned || g.piece.id != region) continue;
    Code code = unshare(g);
    if (code != kOk) return code;
  }
  return kOk;
}

}  // namespace rc
