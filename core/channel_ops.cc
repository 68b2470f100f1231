// The memory calls of a channel: what they wait for, and when they must not begin.
#include "core/channel_wait.h"
#include "core/ops.h"

namespace rc {

Code Channel::ops_gate() noexcept {
  if (ops_ == nullptr) {
    return fail_plain(kUnsupported,
                      "this channel has no operations: both contexts need regions (rc_config.mrs_max, op_ring_bytes)");
  }
  Code code = ended();
  if (code == kOk || code == kClosing) return code;
  if (code != kCorrupt) serve_ops();  // what had arrived counts
  ops_->abort(code);
  return ended();
}

template <class Next>
Code Channel::wait_for_ops(Side side, Next next, int64_t timeout_ns) noexcept {
  Wait wait(timeout_ns);
  bool found = false;
  Code result = kOk;
  Code code = wait_for(
      side,
      [&]() noexcept {
        Code gone = direct_ ? kOk : link_->ops->progress(link_, side);
        if (serve_ops() == kCorrupt) return kCorrupt;
        result = next();
        found = result != kWouldBlock;
        return found || gone == kOk ? result : end(gone);  // what had arrived counts
      },
      wait);
  if (found) return result;
  Code why = over();
  if (why != kOk) {
    ops_->abort(why);
    result = next();
    if (result != kWouldBlock) return result;
    return ended();
  }
  return unmet(code, "it has not come to that yet", "the deadline passed before the peer did its part");
}

Code Channel::post(const Operation& operation, uint64_t* request) noexcept {
  Code code = works() && ops_ != nullptr ? kOk : ops_gate();
  uint64_t unwanted = 0;
  if (code == kOk) code = ops_->post(operation, request == nullptr, request != nullptr ? request : &unwanted);
  if (code == kOk && ops_->behind()) allow_straight(kPutSide);
  return code;
}

Code Channel::wait_for_first(const uint64_t* requests, uint32_t count, int64_t timeout_ns, uint32_t* index,
                             uint64_t* value) noexcept {
  if (ops_ == nullptr) return Handles::refuse(count != 0 ? requests[0] : 0, "request");
  auto collect_one = [&]() noexcept {
    for (uint32_t i = 0; i < count; ++i) {
      *index = i;
      Code code = ops_->collect(requests[i], value, nullptr);
      if (code != kWouldBlock) return code;
    }
    return kWouldBlock;
  };
  return wait_for_ops(kPutSide, collect_one, timeout_ns);
}

Code Channel::completions_get(Completion* completions, uint32_t capacity, int64_t timeout_ns,
                              uint32_t* count) noexcept {
  if (ops_ == nullptr) return ops_gate();
  return wait_for_ops(
      kPutSide, [&]() noexcept { return ops_->next_completions(completions, capacity, count); }, timeout_ns);
}

Code Channel::request_cancel(uint64_t request) noexcept {
  return ops_ == nullptr ? Handles::refuse(request, "request") : ops_->cancel(request);
}

Code Channel::grant(uint64_t region, uint64_t offset, uint64_t bytes, uint32_t rights, int64_t lease_ns, bool announced,
                    uint64_t* grant) noexcept {
  Code code = ops_gate();
  if (code == kOk && (rights & kDirect) != 0 && lease_ns != kLeaseNone) code = keep_time();
  if (code == kOk) code = ops_->grant(region, offset, bytes, rights, lease_ns, announced, grant);
  if (code == kOk && ops_->behind()) allow_straight(kPutSide);
  return code;
}

// A peer whose NIC may be at work in the memory is waited for, but not for long: then the NIC is refused, and that ends
// the channel.
Code Channel::revoke(uint64_t grant) noexcept {
  Code code = ops_->revoke(grant, true);
  if (code != kWouldBlock) return code;
  wait_for_ops(
      kPutSide, [&]() noexcept { return code = ops_->revoke(grant, true); }, kNicWaitNs);
  return code == kWouldBlock ? ops_->revoke(grant, false) : code;
}

// Nobody will ask for what comes too late.
Code Channel::wait_for_answer(uint64_t request, int64_t timeout_ns, uint64_t* remote) noexcept {
  bool over = false;
  Code code = wait_for_ops(
      kPutSide,
      [&]() noexcept {
        Code c = ops_->collect(request, nullptr, remote);
        over = c != kWouldBlock;
        return c;
      },
      timeout_ns);
  if (!over) ops_->detach(request);
  return code;
}

Code Channel::remote_alloc(uint64_t bytes, uint32_t rights, int64_t lease_ns, int64_t timeout_ns,
                           uint64_t* remote) noexcept {
  Code code = ops_gate();
  uint64_t request = 0;
  if (code == kOk) code = ops_->post_alloc(bytes, rights, lease_ns, &request);
  return code == kOk ? wait_for_answer(request, timeout_ns, remote) : code;
}

Code Channel::remote_return(uint64_t remote, int64_t timeout_ns) noexcept {
  Code code = ops_gate();
  uint64_t request = 0;
  if (code == kOk) code = ops_->post_return(remote, &request);
  if (code == kOk) code = wait_for_answer(request, timeout_ns, nullptr);
  if (code == kOk) ops_->forget_remote(remote);
  if (ops_->behind()) allow_straight(kPutSide);
  return code;
}

Code Channel::remote_release(uint64_t remote) noexcept {
  Code code = ops_->release(remote);
  if (ops_->behind()) allow_straight(kPutSide);
  return code;
}

Code Channel::remote_get(int64_t timeout_ns, uint64_t* remote) noexcept {
  if (ops_ == nullptr) return ops_gate();
  Code code = wait_for_ops(
      kGetSide, [&]() noexcept { return ops_->next_remote(remote); }, timeout_ns);
  return code == kCorrupt ? serve_ops() : code;  // which ends the channel
}

Code Channel::region_get(int64_t timeout_ns, uint64_t* region) noexcept {
  if (ops_ == nullptr) return ops_gate();
  return wait_for_ops(
      kGetSide, [&]() noexcept { return ops_->next_returned(region); }, timeout_ns);
}

Code Channel::imm_get(int64_t timeout_ns, uint32_t* imm) noexcept {
  if (ops_ == nullptr) return ops_gate();
  return wait_for_ops(
      kGetSide, [&]() noexcept { return ops_->next_imm(imm); }, timeout_ns);
}

}  // namespace rc
