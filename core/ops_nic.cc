// Direct grants over a link whose NIC reaches the peer's memory (PROTOCOL.md "Direct grants over rdma").
#include "core/context.h"
#include "core/ops.h"

namespace rc {

const NicTable& Ops::nic() const noexcept { return *link_->ops->extras->nic; }

// -------------------------------------------------------------------------------------------------------------- asking

// A revoke that has come ends the grant here, too; what the NIC is done with makes room.
void Ops::look_around() noexcept {
  if (idle() && !nic().news(link_)) return;
  link_->ops->progress(link_, kPutSide);
  serve();
}

Code Ops::keep_local(const Operation& op, Gather* local, bool may_enter) noexcept {
  Code code = op.hold(regions_, local, Hold::kPinned);
  if (code == kOk) code = local->keep(nic(), link_, regions_, may_enter);
  if (code != kOk) local->let_go(regions_);
  return code;
}

// Its turn among the frames (N1). False: the queue is full, or the immediate behind the bytes has found no room.
bool Ops::move(Request& r) noexcept {
  bool atomic = is_atomic(r.frame.type);
  uint64_t bytes = atomic ? sizeof(uint64_t) : r.frame.value;
  if (r.far_expires_ns != kNeverNs && now_ns() >= r.far_expires_ns && r.result == kOk) r.result = kExpired;
  while (r.done < bytes && r.result == kOk) {
    Gather::Part piece = {nullptr, sizeof(uint64_t), 0, 0, nullptr};
    if (!atomic) piece = r.local.at(r.done);
    NicWork work = {r.frame.type == kOpWriteImm ? kOpWrite : r.frame.type,
                    r.far_key,
                    r.far_address + r.frame.offset + r.done,
                    piece.kept,
                    piece.at,
                    piece.bytes,
                    r.frame.value,
                    r.frame.compare,
                    r.frame.request};
    uint64_t posted = 0;
    if (nic().operate(link_, work, &posted, &r.ticket) != kOk) return false;  // a link that broke is noticed elsewhere
    last_ticket_ = r.ticket;
    r.done += posted;
  }
  if (r.frame.type == kOpWriteImm && r.result == kOk) {  // the immediate follows the bytes
    r.by_nic = false;
    --by_nic_count_;
    r.frame.type = kOpImm;
    r.frame.compare = 0;
    return send_request(r.frame.request);
  }
  r.queued = false;
  r.state = Request::kMoving;
  moving_.push(r.frame.request);
  return true;
}

// No frame is before it, and none comes with it.
bool Ops::move_at_once(Request& r) noexcept {
  bool next = to_send_.empty() && tx_.staged() == 0 && wrong_ == nullptr;
  if (!next || r.frame.type == kOpWriteImm || !move(r)) return false;
  land();  // a NIC of software is done by now
  pending_.store(!moving_.empty() || !due_.empty(), std::memory_order_relaxed);
  return true;
}

void Ops::land() noexcept {
  while (!moving_.empty()) {
    Request& r = requests_[moving_.front()];
    if (!nic().done(link_, r.ticket)) return;
    moving_.pop();
    bool atomic = r.by_nic && is_atomic(r.frame.type);
    finish(r, r.result, atomic && r.result == kOk ? landings_[r.frame.request] : r.value);
  }
}

// What has not been posted will not be; what has, the owner waits for.
void Ops::stop_using(const RemoteKey& key, Code why, bool answer) noexcept {
  for (uint32_t i = 0; i < requests_count_; ++i) {
    Request& r = requests_[i];
    if (r.state == Request::kQueued && r.by_nic && r.frame.key.id == key.id) r.result = why;
  }
  if (!answer) return;
  uint64_t& place = to_answer_[key.slot()];
  if (place == 0) to_send_.push(kRevokedItem | key.slot());
  place = key.id;
  pending_.store(true, std::memory_order_relaxed);
}

bool Ops::send_revoked(uint32_t slot) noexcept {
  if (!nic().done(link_, last_ticket_) || !has_room(sizeof(OpFrame))) return false;
  OpFrame frame = {};
  frame.type = kOpRevoked;
  frame.key.id = to_answer_[slot];
  to_answer_[slot] = 0;
  write_frame(frame);
  return true;
}

// --------------------------------------------------------------------------------------------------------- being asked

bool Ops::take_revoked(const OpFrame& f) noexcept {
  uint32_t slot = f.key.slot();
  if (f.bytes != 0 || slot >= kGrantsMax) return false;
  Grant& g = grants_[slot];
  if (!g.by_nic || g.lease.key.id != f.key.id || !g.asked) return true;  // it comes too late
  g.answered = true;
  if (g.state == Grant::kLapsed) {  // nobody waits for it, so the next call is to see to it
    g.due_ns = 1;
    set_due();
  }
  return true;
}

// The peer is told first, and asked whether something of its is under way: what its NIC is refused ends the channel
// (N2). kWouldBlock: it has not answered.
Code Ops::revoke_by_nic(Grant& g, bool patient) noexcept {
  if (!over_ && !g.asked) {
    g.state = Grant::kOver;
    g.asked = true;
    to_send_.push(kRevokeItem | g.lease.key.slot());
    serve_locked();
  }
  if (!over_ && patient && !g.answered) return kWouldBlock;
  g.state = Grant::kOver;
  Code code = unshare(g);
  if (code != kOk) return code;
  g.id = 0;
  if (g.told) free_grant(g);  // else when the revoke has been written
  return kOk;
}

// The link is closed: nothing of the peer's, and no NIC, is at work any more (N3).
void Ops::closed() noexcept {
  Locked locked(this);
  for (uint32_t i = 0; i < requests_count_; ++i) requests_[i].local.let_go(regions_);
  for (uint32_t i = 0; i < kGrantsMax; ++i) {
    Grant& g = grants_[i];
    if (!g.shared || !g.by_nic) continue;
    g.shared = false;
    regions_->let_go(Hold::kGrant, g.piece.slot);
  }
}

void Ops::forget_region(uint64_t region) noexcept {
  Locked locked(this);
  if (open_) nic().forget(link_, region);
}

}  // namespace rc
