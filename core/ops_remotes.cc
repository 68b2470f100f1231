// The peer's memory, as far as it is granted to this end: announced, taken, opened by token, revoked, given up.
#include "core/context.h"
#include "core/ops.h"

namespace rc {

// The caller has made sure that the slot may be taken.
Ops::Remote* Ops::hold_remote(uint32_t slot, const Lease& lease, Remote::State state) noexcept {
  Remote& r = remotes_[slot];
  r.uses += 1;
  r.id = Id::make_part(Id::kRemote, Id::context(context_->id()), channel_slot_, slot, r.uses);
  r.state = state;
  r.lease = lease;
  r.at = nullptr;
  r.by_nic = false;
  return &r;
}

void Ops::drop_remote(Remote& r) noexcept {
  auto slot = static_cast<uint32_t>(&r - remotes_);
  if (slot >= kGrantsMax && r.state != Remote::kFree) free_tokens_.push(slot);
  // The next grant by this slot comes at the end, as its descriptor does.
  if (r.state == Remote::kUnread) announced_.remove(slot);
  leave(r);
  r.id = 0;
  r.state = Remote::kFree;
}

Code Ops::open_token(const Lease& lease, uint64_t* remote) noexcept {
  Locked locked(this);
  if (free_tokens_.empty())
    return fail(kPool, "%u pieces of remote memory are open by token; release some", kGrantsMax);
  *remote = hold_remote(free_tokens_.pop(), lease, Remote::kLive)->id;
  return kOk;
}

Code Ops::remote_lease(uint64_t remote, Lease* lease) noexcept {
  Locked locked(this);
  Remote* r = nullptr;
  Code code = find_remote(remote, &r);
  if (code != kOk || r == nullptr) return code;
  *lease = r->lease;
  return r->state == Remote::kGone && gone(*r) != kExpired ? tell(kRevoked) : kOk;
}

void Ops::forget_remote(uint64_t remote) noexcept {
  Locked locked(this);
  Remote* r = nullptr;
  if (find_remote(remote, &r) == kOk && r != nullptr) drop_remote(*r);
}

Code Ops::next_remote(uint64_t* remote) noexcept {
  Locked locked(this);
  Code code = kRevoked;
  while (code == kRevoked) {
    if (announced_.empty()) pass_revoked();
    if (announced_.empty()) return kWouldBlock;
    Remote& first = remotes_[announced_.front()];
    *remote = first.id;
    code = (first.lease.rights & kDirect) != 0 && !over_ ? reach(first) : kOk;  // also by the NIC
    if (code == kRevoked || code == kCorrupt) *remote = 0;
  }
  if (code != kOk) return code;  // *remote: whoever cannot take it may release it, and go on to those behind it
  Remote& r = remotes_[announced_.pop()];
  r.state = Remote::kLive;
  *remote = r.id;
  return kOk;
}

// ---------------------------------------------------------------------------------------------- what the peer says of
// it

// What can be checked of it (N4).
bool Ops::take_grant(const OpFrame& f) noexcept {
  uint32_t slot = f.key.slot();
  bool direct = (f.word & kDirect) != 0, by_nic = direct && nic().able;
  uint64_t end;
  bool sensible =
      f.bytes == 0 && slot < kGrantsMax && f.value != 0 && (f.word & kAllRights) != 0 &&
      (f.word & ~(kAllRights | kDirect)) == 0 && f.compare <= static_cast<uint64_t>(kLeaseMaxNs) &&
      (!direct || f.value <= kDirectMax) &&
      (!direct || (by_nic ? !__builtin_add_overflow(f.offset, f.value, &end) : pages_allow(f.word & kAllRights)));
  if (!sensible) return false;
  Remote& r = remotes_[slot];
  if (r.state == Remote::kLive || r.state == Remote::kUnread)
    return false;  // the owner gives a slot again after revoke
  int64_t expires_ns = direct && f.compare == 0 ? kNeverNs : now_ns() + static_cast<int64_t>(f.compare);
  Remote* held = hold_remote(slot, {f.key, f.value, f.word, expires_ns}, Remote::kUnread);
  held->by_nic = by_nic;
  held->key = f.request;
  held->address = f.offset;
  if (direct && !by_nic) newest_direct_ = held->lease;
  announced_.push(slot);
  return true;
}

// The owner may give the slot again at once, so this must not wait for who holds the handle.
void Ops::forget_key(uint64_t key_id, bool expired) noexcept {
  for (uint32_t i = 0; i < kRemotesMax; ++i) {
    Remote& r = remotes_[i];
    if (r.state == Remote::kFree || r.lease.key.id != key_id) continue;
    if (r.state == Remote::kUnread) {
      drop_remote(r);
    } else {
      leave(r);
      r.state = Remote::kGone;
      if (expired) r.lease.expires_ns = kGoneNs;
    }
  }
  for (uint32_t i = 0; expired && i < requests_count_; ++i) {
    if (requests_[i].frame.key.id == key_id) requests_[i].far_expires_ns = kGoneNs;
  }
}

bool Ops::take_revoke(const OpFrame& f) noexcept {
  bool answer = f.word != 0, expired = f.value != 0;
  // Key 0 is no grant's: where answers are owed it says that none is.
  if (f.bytes != 0 || (answer && (f.key.slot() >= kGrantsMax || f.key.id == 0))) return false;
  forget_key(f.key.id, expired);
  stop_using(f.key, expired ? kExpired : kRevoked, answer);
  return true;
}

}  // namespace rc
