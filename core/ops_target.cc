// What the peer asks of this end: which of our memory it may touch, and touching it.
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "core/context.h"
#include "core/ops.h"
#include "core/step.h"

namespace rc {
namespace {

// Looks at every bit, so that the time taken tells nothing.
bool same_key(const RemoteKey& a, const RemoteKey& b) noexcept {
  return ((a.id ^ b.id) | (a.secret[0] ^ b.secret[0]) | (a.secret[1] ^ b.secret[1])) == 0;
}

}  // namespace

// -------------------------------------------------------------------------------------------------------------- grants

// Each piece of each operation comes by here (O5).
Code Ops::check(const RemoteKey& key, uint32_t right, uint64_t offset, uint64_t bytes, Grant** grant) noexcept {
  if (key.slot() >= kGrantsMax) return kRevoked;
  Grant& g = grants_[key.slot()];
  if ((g.state != Grant::kLive && g.state != Grant::kLapsed) || !same_key(g.lease.key, key)) return kRevoked;
  if (g.state == Grant::kLapsed || g.lease.over(now_ns())) return kExpired;
  if ((g.lease.rights & right) != right) return kRights;
  if (!g.lease.covers(offset, bytes)) return kRange;
  *grant = &g;
  return kOk;
}

// The region is held already.
Code Ops::make_grant(const Regions::Piece& piece, uint64_t bytes, uint32_t rights, int64_t lease_ns, bool for_peer,
                     Grant** grant) noexcept {
  expire(now_ns());
  if (free_grants_.empty()) return fail(kPool, "%u grants are given on this channel; revoke some", kGrantsMax);
  uint64_t secret[2];
  if (getrandom(secret, sizeof secret, 0) != static_cast<ssize_t>(sizeof secret))
    return fail_errno(kSystem, "getrandom for a grant's key", errno);
  uint32_t slot = free_grants_.pop();
  Grant& g = grants_[slot];
  g.uses += 1;
  g.id = for_peer ? 0 : Id::make_part(Id::kGrant, Id::context(context_->id()), channel_slot_, slot, g.uses);
  g.state = Grant::kLive;
  g.for_peer = for_peer;
  g.shared = g.ending = g.by_nic = g.asked = g.told = g.answered = false;
  int64_t expires_ns = g.due_ns = lease_ns == kLeaseNone ? kNeverNs : now_ns() + lease_ns;
  g.lease = {{g.uses << 16 | slot, {secret[0], secret[1]}}, bytes, rights, expires_ns};
  g.piece = piece;
  *grant = &g;
  return kOk;
}

// The peer cannot touch the memory any more; if it is shared, by no operation that is carried, until unshare does the
// rest in a call of the owner's program.
void Ops::end_grant(Grant& g, Grant::State state) noexcept {
  if (!g.shared && (g.state == Grant::kLive || g.state == Grant::kReturned)) {
    regions_->let_go(g.hold(), g.piece.slot);
    if (g.for_peer) {
      for_peer_bytes_ -= g.lease.bytes;
      regions_->free(g.piece.id);
    }
  }
  g.state = state;
}

// Its slot may be given again: the peer has been told, or has given it up.
void Ops::free_grant(Grant& g) noexcept {
  g.id = 0;
  g.state = Grant::kFree;
  free_grants_.push(static_cast<uint32_t>(&g - grants_));
}

void Ops::expire(int64_t now) noexcept {
  for (uint32_t i = 0; i < kGrantsMax; ++i) {
    Grant& g = grants_[i];
    if (g.state != Grant::kLive || !g.lease.over(now)) continue;
    end_grant(g, Grant::kLapsed);
    if (g.for_peer) to_send_.push(kRevokeItem | i);  // nobody here will revoke it
  }
}

void Ops::reap() noexcept {
  end_leases();
  Locked locked(this);
  if (over_) return;
  expire(now_ns());
  serve_locked();
}

Code Ops::grant(uint64_t region, uint64_t offset, uint64_t bytes, uint32_t rights, int64_t lease_ns, bool announced,
                uint64_t* grant) noexcept {
  Locked locked(this);
  if (over_) return tell(why_);
  expire(now_ns());  // what has lapsed is not in the way
  Regions::Piece piece = {};
  bool direct = (rights & kDirect) != 0;
  Hold why = direct && !nic().able ? Hold::kShare : Hold::kGrant;
  Code code = regions_->hold(why, region, offset, bytes, rights & kAllRights, &piece);
  if (code != kOk) return code;
  Grant* g = nullptr;
  code = make_grant(piece, bytes, rights, lease_ns, false, &g);
  if (code != kOk || g == nullptr) {
    regions_->let_go(why, piece.slot);
    return code;
  }
  if (direct) {
    code = share(*g);
    if (code != kOk) return code;
  }
  *grant = g->id;
  if (announced && !over_) to_send_.push(kGrantItem | g->lease.key.slot());
  serve_locked();
  return kOk;
}

Code Ops::revoke(uint64_t grant, bool patient) noexcept {
  Locked locked(this);
  Grant* g = nullptr;
  Code code = find_grant(grant, &g);
  if (code != kOk || g == nullptr) return code;
  if (g->state == Grant::kReturned)
    return fail_plain(kState, "the peer has given the region back: take it with rc_mr_take_back");
  if (g->shared && g->by_nic) return revoke_by_nic(*g, patient);
  if (g->shared) {
    Grant::State before = g->state;
    g->state = Grant::kOver;
    code = unshare(*g);
    if (code != kOk) {
      g->state = over_ ? Grant::kOver : before;
      return code;
    }
  }
  g->id = 0;
  end_grant(*g, Grant::kOver);
  RC_STEP("ops: revoked, not told");
  if (over_) return kOk;
  if (!g->asked) {
    to_send_.push(kRevokeItem | g->lease.key.slot());
    serve_locked();
  } else if (g->told) {  // when its lease was over; else when that has been written
    free_grant(*g);
  }
  return kOk;
}

Code Ops::next_imm(uint32_t* imm) noexcept {
  Locked locked(this);
  if (imms_.empty()) return kWouldBlock;
  uint32_t slot = imms_.pop();
  *imm = answers_[slot].frame.word;
  RC_STEP("ops: value taken, not answered");
  owe(slot, {});
  serve_locked();
  return kOk;
}

Code Ops::next_returned(uint64_t* region) noexcept {
  Locked locked(this);
  if (returned_.empty()) return kWouldBlock;
  Grant& g = grants_[returned_.front()];
  Code code = unshare(g);  // unless its lease is over
  if (code != kOk) return code;
  returned_.pop();
  *region = g.piece.id;
  if (g.for_peer) for_peer_bytes_ -= g.lease.bytes;  // it is this end's from now on
  regions_->let_go(g.hold(), g.piece.slot);
  free_grant(g);
  return kOk;
}

// ----------------------------------------------------------------------------------------------------------- executing

// False: the frame makes no sense.
bool Ops::execute(const OpFrame& f) noexcept {
  switch (f.type) {
    case kOpWrite:
    case kOpWriteImm:
      return take_write(f);
    case kOpRead:
    case kOpSwap:
    case kOpAdd:
    case kOpAlloc:
    case kOpReturn:
    case kOpRelease:
    case kOpImm:
      return take_request(f);
    case kOpGrant:
      return take_grant(f);
    case kOpRevoke:
      return take_revoke(f);
    case kOpRevoked:
      return take_revoked(f);
    case kOpData:
      return take_data(f);
    case kOpDone:
      return take_done(f);
    default:
      return false;
  }
}

void Ops::owe(uint32_t slot, const OpFrame& answer) noexcept {
  answers_[slot].state = Answer::kReady;
  answers_[slot].frame = answer;
  if (over_) return;
  due_.push(slot);
  pending_.store(true, std::memory_order_relaxed);
}

bool Ops::fits_write(const OpFrame& f) const noexcept {
  if (f.request >= requests_count_) return false;
  const Answer& a = answers_[f.request];
  bool next = a.state == Answer::kWriting && a.frame.type == f.type && a.frame.value == f.value && a.done == f.compare;
  if (f.compare == 0 ? a.state != Answer::kNone : !next) return false;
  return f.bytes != 0 && f.bytes <= f.value - f.compare;
}

bool Ops::take_write(const OpFrame& f) noexcept {
  if (!fits_write(f)) return false;
  Answer& a = answers_[f.request];
  if (f.compare == 0) a = {Answer::kWriting, f, 0, kOk};
  Grant* g = nullptr;
  if (a.result == kOk) a.result = check(f.key, kWrite, f.offset, f.value, &g);
  if (a.result == kOk) copy_payload(g->piece.at + f.offset + f.compare, 0, f.bytes);
  a.done += f.bytes;
  if (a.done < f.value) {
    RC_STEP("ops: a piece landed");
    return true;
  }
  if (a.result == kOk) ++counts_.served;
  if (f.type == kOpWriteImm && a.result == kOk) {
    a.state = Answer::kTaking;
    imms_.push(f.request);
    return true;
  }
  OpFrame answer = {};
  answer.word = static_cast<uint32_t>(a.result);
  owe(f.request, answer);
  return true;
}

bool Ops::take_request(const OpFrame& f) noexcept {
  if (f.request >= requests_count_ || f.bytes != 0 || answers_[f.request].state != Answer::kNone) return false;
  OpFrame answer = {};
  Grant* g = nullptr;
  Code result = kOk;
  switch (f.type) {
    case kOpRead:
      result = check(f.key, kRead, f.offset, f.value, &g);
      if (result != kOk) break;
      answers_[f.request] = {Answer::kReading, f, 0, kOk};
      due_.push(f.request);
      pending_.store(true, std::memory_order_relaxed);
      return true;
    case kOpAlloc:
      result = do_alloc(f, &answer);
      break;
    case kOpImm:
      result = check(f.key, kWrite, f.offset, f.value, &g);
      if (result != kOk) break;
      answers_[f.request] = {Answer::kTaking, f, 0, kOk};
      imms_.push(f.request);
      return true;
    case kOpReturn:
      result = check(f.key, 0, 0, 1, &g);
      if (result != kOk) break;
      g->state = Grant::kReturned;
      returned_.push(f.key.slot());
      break;
    case kOpRelease:
      if (check(f.key, 0, 0, 1, &g) != kOk) break;
      end_grant(*g, Grant::kOver);
      if (g->for_peer) free_grant(*g);
      break;
    default:
      result = do_atomic(f, &answer.value);
      break;
  }
  answer.word = static_cast<uint32_t>(result);
  owe(f.request, answer);
  return true;
}

Code Ops::do_atomic(const OpFrame& f, uint64_t* old) noexcept {
  Grant* g = nullptr;
  Code code = check(f.key, kAtomic, f.offset, sizeof(uint64_t), &g);
  if (code != kOk) return code;
  uint8_t* at = g->piece.at + f.offset;
  if (reinterpret_cast<uintptr_t>(at) % sizeof(uint64_t) != 0) return kAlignment;
  auto* word = reinterpret_cast<uint64_t*>(at);
  if (f.type == kOpAdd) {
    *old = __atomic_fetch_add(word, f.value, __ATOMIC_SEQ_CST);
  } else {
    *old = f.compare;  // stays so, or becomes what was there instead
    __atomic_compare_exchange_n(word, old, f.value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  }
  ++counts_.served;
  return kOk;
}

// The peer wants memory of ours: as much as this context's policy allows.
Code Ops::do_alloc(const OpFrame& f, OpFrame* answer) noexcept {
  const Limits& limits = context_->limits();
  if (f.value > limits.peer_mr_bytes) {
    answer->value = kExceedsBytes;
  } else if ((f.word & ~limits.peer_rights) != 0) {
    answer->value = kExceedsRights;
  } else if (f.value > limits.peer_mr_total - for_peer_bytes_) {
    answer->value = kExceedsTotal;
  }
  bool senseless = f.value == 0 || f.word == 0 || f.compare == 0 || f.compare > static_cast<uint64_t>(kLeaseMaxNs);
  if (answer->value != 0 || senseless) {
    expire(now_ns());
    return kLimit;
  }
  uint64_t id = 0;
  Regions::Piece piece = {};
  if (context_->alloc_region(f.value, true, &id) != kOk) return kPool;
  Grant* g = nullptr;
  Code code = regions_->hold(Hold::kGrant, id, 0, f.value, f.word, &piece);
  if (code == kOk) code = make_grant(piece, f.value, f.word, static_cast<int64_t>(f.compare), true, &g);
  if (code != kOk || g == nullptr) {
    regions_->let_go(Hold::kGrant, piece.slot);
    regions_->free(id);
    return kPool;
  }
  for_peer_bytes_ += f.value;
  RC_STEP("ops: allocated, not answered");
  answer->key = g->lease.key;
  answer->compare = f.compare;
  return kOk;
}

}  // namespace rc
