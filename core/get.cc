// The get side of a channel: bytes out of this end's inbox.
#include "core/channel_wait.h"
#include "core/walk.h"

namespace rc {
namespace {

// rc_get_some that has fewer than this at hand looks whether more have come.
constexpr size_t kSomeBytes = 8192;

}  // namespace

Code Channel::look_for_bytes(size_t n) noexcept {
  Code code = kOk;
  if (!direct_) {
    code = link_->ops->progress(link_, kGetSide);
    if (code != kOk && get_.ring.available() == 0 && over_.load(std::memory_order_relaxed) == kOk) end(code);
  }
  if (!get_.ring.look(inbox_->line)) return corrupt("the peer's tail went backwards or beyond the ring");
  code = serve_ops();
  if (code == kCorrupt) return code;
  return get_.ring.available() >= n ? kOk : kWouldBlock;
}

Code Channel::wait_for_bytes(size_t n, Wait& wait) noexcept {
  get_.wanted = n;
  Code code = get_.ring.available() >= n ? kOk : look_for_bytes(n);
  if (code == kWouldBlock) {
    tell_credit_if_any(wait.may_wait());  // a get that comes up short: PROTOCOL.md I6
    code = wait_for(
        kGetSide, [this, n]() noexcept { return look_for_bytes(n); }, wait);
    if (code == kTimeout && !direct_) check_alive(kGetSide);  // a credit that the link holds back goes now
    if (code == kOk) answering_.store(true, std::memory_order_relaxed);
    code = unmet(code, "not enough bytes have arrived", "the deadline passed before enough bytes arrived");
  }
  if (code == kOk) get_.wanted = 1;
  return code;
}

void Channel::tell_credit(bool lazy) noexcept {
  RC_STEP("get: before the credit");
  if (direct_) {
    get_.ring.tell_credit(outbox_->credit);
    RC_STEP("get: credit told");
    ring_putter();
    return;
  }
  outbox_->credit.store(get_.ring.credit_to_tell(), std::memory_order_relaxed);
  WorkRequest wr = {&outbox_->credit, offsetof(Inbox, credit), 8, true, lazy};
  Code code = link_->ops->post(link_, &wr, 1);
  if (code != kOk) end(code);
}

bool Channel::get_straight(void* data, size_t n, bool may_wait) noexcept {
  if (!get_.straight || n > kStraightBytes || over_.load(std::memory_order_relaxed) == kCorrupt) return false;
  if (n > get_.ring.runway()) {
    if (get_.ring.available() < n) {
      if (!look_first(n, may_wait)) return false;
      if (get_.ring.available() == n && get_.ring.copy_newest(inbox_->line, data, n)) {
        get_.ring.consume(n);
        if (get_.ring.credit_due()) tell_credit();
        return true;
      }
    }
    if (get_.ring.credit_due()) tell_credit();
    get_.ring.extend_runway();
    if (n > get_.ring.runway()) return false;
  }
  if (n >= kWantBytes) get_.ring.want_ahead(n + kWantAhead);
  RC_STEP("get: before the copy");
  get_.ring.get_here<false>(data, n);
  RC_STEP("get: consumed");
  return true;
}

bool Channel::look_first(size_t n, bool may_wait) noexcept {
  pace();
  uint32_t looks = may_wait && wait_ != kWaitSleep ? kFirstLooks : 1;
  uint32_t left = looks;
  do {
    if (!get_.ring.look(inbox_->line)) return false;
  } while (get_.ring.available() < n && --left != 0);
  bool found = serve_ops() != kCorrupt && get_.ring.available() >= n;
  get_.run = found ? get_.run + 1 : 0;
  if (found && left != looks) {
    answering_.store(true, std::memory_order_relaxed);
    get_.waits.add(1);
  }
  return found;
}

// A reader that has caught up with a stream lets the writer get ahead, so that lines move in runs. Not while the two
// ends answer each other: a request may well come in several puts.
void Channel::pace() noexcept {
  uint64_t put = put_.ring.written();
  if (put != get_.put_seen) {
    get_.put_seen = put;
    get_.run = 0;
  }
  if (get_.run < kStreamLooks) return;
  int64_t end = now_ns() + kStreamPauseNs;
  do {
    cpu_pause();
  } while (now_ns() < end);
}

Code Channel::get_gate(GetMode wanted) noexcept {
  if (id_.load(std::memory_order_relaxed) == kNobody) return ended();
  if (over_.load(std::memory_order_relaxed) == kCorrupt) return ended();
  if (get_.mode == wanted || get_.mode == kPlainGet) return kOk;
  if (get_.mode == kPeeked) return fail_plain(kState, "a view is open: rc_release first");
  return get_.mode == kViewed ? fail_plain(kState, "a message is in view: rc_message_release first")
                              : fail_plain(kState, "a message is half received: repeat its rc_recv first");
}

// Copies n bytes out as they arrive. `whole`: nothing is consumed before all are there or the channel is over; else
// each piece is consumed, so that more than the ring can pass.
Code Channel::stream_in(const Span* spans, size_t n, bool whole, Wait& wait, size_t* done) noexcept {
  Walk<Span> walk(spans);
  Code code = kOk;
  size_t copied = 0;  // not consumed yet
  *done = 0;
  while (*done + copied < n) {
    size_t left = n - *done - copied;
    if (get_.ring.available() == copied) {
      code = wait_for_bytes(copied + 1, wait);
      if (code != kOk) break;
    }
    size_t piece = least(left, get_.ring.available() - copied);
    size_t skip = copied;
    void* to = const_cast<void*>(walk.in_one(piece));
    bool newest =
        to != nullptr && piece == n && get_.ring.available() == n && get_.ring.copy_newest(inbox_->line, to, n);
    walk.take(piece, [&](uint8_t* p, size_t bytes) noexcept {
      if (!newest) get_.ring.copy_out(p, bytes, skip);
      skip += bytes;
    });
    copied += piece;
    if (whole) continue;
    get_.ring.consume(copied);
    *done += copied;
    copied = 0;
    if (get_.ring.credit_due()) tell_credit();
  }
  RC_STEP("get: copied, not consumed");
  if (code == kOk || code == kClosed || code == kPeerDead) {  // the end of the channel delivers what had arrived
    get_.ring.consume(copied);
    *done += copied;
  }
  if (get_.ring.credit_due()) tell_credit();
  if (code == kOk) get_.wanted = 1;
  return code;
}

Code Channel::get(const Span* spans, size_t n, Amount amount, int64_t timeout_ns, size_t* done) noexcept {
  *done = 0;
  Code code = get_gate(kPlainGet);
  if (code != kOk || n == 0) return code;
  Wait wait(timeout_ns);
  size_t capacity = get_.ring.capacity();
  if (amount == Amount::kAll) return stream_in(spans, n, n <= capacity / 2, wait, done);
  if (amount == Amount::kTry && n > capacity) {
    return fail(kSize, "%zu bytes do not fit the ring of %zu: use rc_get, which streams", n, capacity);
  }
  size_t need = amount == Amount::kTry ? n : 1;
  if (get_.ring.available() < (amount == Amount::kTry ? n : least(n, kSomeBytes))) {
    if (!direct_ || !look_first(need, wait.may_wait())) code = wait_for_bytes(need, wait);
    if (code == kOk && get_.ring.available() < n) code = look_for_bytes(need);
    if (code != kOk) return code;
  }
  return stream_in(spans, least(n, get_.ring.available()), true, wait, done);
}

Code Channel::peek(size_t min, int64_t timeout_ns, ConstSpan spans[2]) noexcept {
  Code code = get_gate(kPeeked);
  if (code != kOk) return code;
  if (min == 0 || min > get_.ring.capacity()) {
    return fail(kSize, "peek: %zu is not in 1..%zu, the ring's capacity", min, get_.ring.capacity());
  }
  Wait wait(timeout_ns);
  code = wait_for_bytes(min, wait);
  if (code == kOk) code = look_for_bytes(min);
  if (code != kOk) return code;
  get_.mode = kPeeked;
  allow_straight(kGetSide);
  get_.peeked = get_.ring.available();
  Spans s = get_.ring.next(get_.peeked);
  spans[0] = {link_->inbox_ring() + s.at, s.first};
  spans[1] = {link_->inbox_ring(), s.second};
  return kOk;
}

Code Channel::release(size_t n) noexcept {
  if (get_.mode != kPeeked) return fail_plain(kState, "release: nothing is peeked");
  if (n > get_.peeked) return fail(kSize, "release: %zu bytes, but only %zu are in the view", n, get_.peeked);
  get_.mode = kPlainGet;
  allow_straight(kGetSide);
  get_.ring.consume(n);
  if (get_.ring.credit_due()) tell_credit();
  return kOk;
}

}  // namespace rc
