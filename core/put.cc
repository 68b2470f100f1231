// The put side of a channel: bytes into the peer's inbox.
#include "core/channel_wait.h"
#include "core/walk.h"

namespace rc {
namespace {

// An answer is published in small pieces, so that the reader copies one while the writer copies the next; a stream,
// which overlaps anyway, in large ones.
constexpr size_t kAnswerPiece = 8192;
constexpr size_t kStreamPiece = 131072;
constexpr char kBehindText[] =
    "operations that were posted before wait for the peer to make room, or, to give memory back or up, for reads of it";
constexpr char kQueueText[] = "the queue of the socket or device is full until the peer takes what is in it";

}  // namespace

Code Channel::look_for_space(size_t n) noexcept {
  if (!direct_) {
    Code code = link_->ops->progress(link_, kPutSide);
    if (code != kOk) return end(code);
  }
  if (!put_.ring.take_credit(inbox_->credit))
    return corrupt("the peer's credit went backwards or beyond what was sent");
  if (serve_ops() == kCorrupt) return kCorrupt;
  return put_.ring.space() >= n ? kOk : kWouldBlock;
}

Code Channel::look_for_delivery() noexcept {
  end_leases();
  Code code = link_->ops->progress(link_, kPutSide);
  if (code != kOk) return end(code);
  return link_->ops->delivered(link_) ? kOk : kWouldBlock;
}

Code Channel::wait_for_space(size_t n, Wait& wait) noexcept {
  put_.wanted = n;
  Code code = kOk;
  if (put_.ring.space() < n) {
    code = publish_piece(nullptr, 0, wait);  // the peer can only make room for what it can see
    if (code != kOk) return code;
    code = wait_for(
        kPutSide, [this, n]() noexcept { return look_for_space(n); }, wait);
    code = unmet(code, "the ring is too full until the peer reads",
                 "the deadline passed before the peer made room by reading");
  }
  if (code == kOk) put_.wanted = 1;
  return code;
}

bool Channel::put_straight(const void* data, size_t n) noexcept {
  if (!put_.straight || n > kStraightBytes || over_.load(std::memory_order_relaxed) != kOk) return false;
  if (!put_.getter_bell.quiet(inbox_->getter)) return false;
  bool answer = answering_.load(std::memory_order_relaxed);
  if (n > put_.ring.runway()) {
    put_.ring.extend_runway(n > kRunwayBytes ? n : kRunwayBytes, answer ? 0 : kStreamAhead);
    if (n > put_.ring.runway()) return false;
  }
  RC_STEP("put: before the bytes");
  if (answer) {
    answer_here(data, n);
  } else {
    put_.ring.write_here(data, n);
    show(nullptr, 0);  // no operation is behind: posting one ends the straight path
  }
  RC_STEP("put: published");
  ring_getter();
  return true;
}

// The peer's processor has these lines; all of them together take as long to get as one.
void Channel::answer_here(const void* data, size_t n) noexcept {
  own_line(&outbox_->line);
  put_.ring.own_ahead(n);
  put_.ring.write_here(data, n);
  show(data, n);
  put_.ring.own_ahead(kAnswerAhead);  // while the peer reads
}

// from: where the unpublished bytes lie, if not in the outbox.
Code Channel::post_written(const uint8_t* from) noexcept {
  Spans s = put_.ring.unpublished();
  const uint8_t* first = from != nullptr ? from : link_->outbox_ring() + s.at;
  const uint8_t* second = from != nullptr ? from + s.first : link_->outbox_ring();
  WorkRequest wr[3];
  uint32_t n = 0;
  if (s.first != 0) wr[n++] = {first, kRingOffset + s.at, static_cast<uint32_t>(s.first), false};
  if (s.second != 0) wr[n++] = {second, kRingOffset, static_cast<uint32_t>(s.second), false};
  if (n == 0) return kOk;
  // The tail alone: nothing promises the order of bytes inside one WRITE, so no copy of the newest bytes travels with
  // it.
  uint64_t tail = put_.ring.written();
  wr[n++] = {&tail, offsetof(Inbox, line) + offsetof(TailLineOf<std::atomic<uint64_t>>, tail), sizeof tail, true};
  Code code = link_->ops->post(link_, wr, n);
  if (code == kOk) {
    put_.ring.set_published();
    answering_.store(false, std::memory_order_relaxed);
    outbox_->line.tail.store(tail, std::memory_order_relaxed);  // for counts()
  }
  return code == kOk || code == kWouldBlock ? code : end(code);
}

// Makes everything written visible to the peer. `newest`: the last n bytes, if they are at hand in one piece.
Code Channel::publish(const void* newest, size_t n) noexcept {
  if (put_.ring.staged() == 0) return kOk;
  if (ops_behind()) {  // the bytes may be a notice of what those write (O3)
    Code code = serve_ops();
    if (code != kOk || ops_behind()) return code != kOk ? code : kWouldBlock;
  }
  if (!direct_) return post_written(nullptr);
  publish_direct(newest, n);
  return kOk;
}

void Channel::publish_direct(const void* newest, size_t n) noexcept {
  RC_STEP("put: bytes written, not published");
  show(newest, n);
  RC_STEP("put: published");
  ring_getter();
}

// To a reader that looks by itself.
void Channel::show(const void* newest, size_t n) noexcept {
  if (newest != nullptr && n <= kTailBytes && answering_.load(std::memory_order_relaxed)) {
    put_.ring.publish_with_copy(outbox_->line, newest, n);
  } else {
    put_.ring.publish(outbox_->line);
  }
  answering_.store(false, std::memory_order_relaxed);
}

// The same, but waits while the link's queue is full.
Code Channel::publish_piece(const void* newest, size_t n, Wait& wait) noexcept {
  Code code = publish(newest, n);
  if (code != kWouldBlock) return code;
  code = wait_for(
      kPutSide,
      [this]() noexcept {
        end_leases();
        Code c = direct_ ? kOk : link_->ops->progress(link_, kPutSide);
        return c == kOk ? publish(nullptr, 0) : end(c);
      },
      wait);
  const char* why = ops_behind() ? kBehindText : kQueueText;
  return unmet(code, why, why);
}

Code Channel::put_gate(PutMode wanted) noexcept {
  Code code = ended();
  if (code != kOk) return code;
  if (put_.mode == wanted || put_.mode == kPlainPut) return kOk;
  return put_.mode == kReserved ? fail_plain(kState, "ring memory is reserved: rc_commit first")
                                : fail_plain(kState, "a message is half sent: repeat its rc_send first");
}

// Posts the caller's own bytes, without a copy in the outbox. False: nothing happened, or the channel is over (*code).
bool Channel::lend(const void* data, size_t n, Code* code) noexcept {
  if (!link_->borrows || n < kLendBytes || put_.ring.staged() != 0 || ops_behind()) return false;
  put_.ring.stage(n);
  Code posted = post_written(static_cast<const uint8_t*>(data));
  if (posted == kOk) return true;
  put_.ring.take_back(n);
  if (posted != kWouldBlock) *code = posted;
  return false;
}

// Copies n bytes into the ring, waiting whenever fewer than `need` of those left fit.
Code Channel::stream_out(const ConstSpan* spans, size_t n, size_t need, bool publish_now, Wait& wait,
                         size_t* done) noexcept {
  Walk<ConstSpan> walk(spans);
  size_t most = answering_.load(std::memory_order_relaxed) ? kAnswerPiece : kStreamPiece;
  if (!direct_ && need == n) most = n;  // all or nothing: the queue may refuse, so it is asked once
  *done = 0;
  while (*done < n) {
    size_t left = n - *done;
    Code code = wait_for_space(least(need, left), wait);
    if (code != kOk) return code;
    size_t piece = least(least(left, put_.ring.space()), most);
    const void* newest = walk.in_one(piece);
    RC_STEP("put: before the bytes");
    bool lent = publish_now && newest != nullptr && lend(newest, piece, &code);
    if (code != kOk) return code;
    walk.take(piece, [&](const uint8_t* p, size_t bytes) noexcept {
      if (!lent) put_.ring.write(p, bytes);
    });
    if (publish_now && !lent) {
      code = publish_piece(newest, piece, wait);
      if (code != kOk) {
        if (put_.ring.staged() != 0) put_.ring.take_back(piece);
        return code;
      }
    }
    *done += piece;
    need = 1;  // the first piece proved that there is room for all, or nobody asked for that
  }
  return kOk;
}

Code Channel::put(const ConstSpan* spans, size_t n, Amount amount, bool publish_now, int64_t timeout_ns,
                  size_t* done) noexcept {
  *done = 0;
  Code code = put_gate(kPlainPut);
  if (code != kOk) return code;
  size_t capacity = put_.ring.capacity();
  size_t need = n;
  if (amount == Amount::kTry && n > capacity) {
    return fail(kSize, "%zu bytes do not fit the ring of %zu: use rc_put, which streams", n, capacity);
  }
  if (amount == Amount::kSome) {
    need = least(n, 1);
    if (n != 0 && put_.ring.space() < n) {
      put_.wanted = 1;
      code = look_for_space(n);
      if (code == kCorrupt) return code;
      if (put_.ring.space() != 0) n = least(n, put_.ring.space());
    }
  } else if (amount == Amount::kAll && n > capacity / 2) {
    need = 1;
  }
  Wait wait(timeout_ns);
  if (n == 0) return publish_now ? publish_piece(nullptr, 0, wait) : kOk;
  if (ops_ != nullptr) allow_straight(kPutSide);  // again, if operations were behind
  return stream_out(spans, n, need, publish_now, wait, done);
}

Code Channel::flush() noexcept {
  Code code = put_gate(kInMessage);
  Wait wait(0);
  return code != kOk ? code : publish_piece(nullptr, 0, wait);
}

Code Channel::sync(int64_t timeout_ns) noexcept {
  Wait wait(timeout_ns);
  Code code = put_gate(kInMessage);
  if (code == kOk) code = publish_piece(nullptr, 0, wait);
  if (code != kOk) return code;
  if (direct_) return check_alive_sometimes(kPutSide, now_ns());
  code = wait_for(
      kPutSide, [this]() noexcept { return look_for_delivery(); }, wait);
  return unmet(code, "not all of it has been delivered", "the deadline passed before all of it was delivered");
}

Code Channel::reserve(size_t min, int64_t timeout_ns, Span spans[2]) noexcept {
  Code code = put_gate(kPlainPut);
  if (code != kOk) return code;
  if (min == 0 || min > put_.ring.capacity()) {
    return fail(kSize, "reserve: %zu is not in 1..%zu, the ring's capacity", min, put_.ring.capacity());
  }
  Wait wait(timeout_ns);
  code = wait_for_space(min, wait);
  if (code != kOk) return code;
  put_.mode = kReserved;
  allow_straight(kPutSide);
  put_.reserved = put_.ring.space();
  Spans s = put_.ring.next(put_.reserved);
  spans[0] = {link_->outbox_ring() + s.at, s.first};
  spans[1] = {link_->outbox_ring(), s.second};
  return kOk;
}

Code Channel::commit(size_t n) noexcept {
  if (put_.mode != kReserved) return fail_plain(kState, "commit: nothing is reserved");
  if (n > put_.reserved) return fail(kSize, "commit: %zu bytes, but only %zu are reserved", n, put_.reserved);
  Code code = ended();
  put_.mode = kPlainPut;
  allow_straight(kPutSide);
  if (code != kOk) return code;
  put_.ring.stage(n);
  Wait wait(-1);
  return publish_piece(nullptr, 0, wait);
}

}  // namespace rc
