#include "core/channel.h"

#include <sched.h>

#include <new>

#include "core/context.h"

namespace rc {
namespace {

// An answer is published in small pieces, so that the reader copies one while the writer copies the next; a stream,
// which overlaps anyway, in large ones.
constexpr size_t kAnswerPiece = 8192;
constexpr size_t kStreamPiece = 131072;
// Looks before the spin loop starts to pause: an answer that is on its way must not wait for the end of a pause.
constexpr uint32_t kHotLooks = 4096;
constexpr uint32_t kLooksPerClock = 64;

// Walks a list of pieces. Piece is Span or ConstSpan.
template <class Piece>
class Walk {
 public:
  explicit Walk(const Piece* pieces) noexcept : piece_(pieces) {}
  // Calls f(pointer, bytes) for the next n bytes.
  template <class F>
  void take(size_t n, F f) noexcept {
    while (n != 0) {
      size_t some = piece_->bytes - at_ < n ? piece_->bytes - at_ : n;
      using Byte = decltype(byte_of(piece_->data));
      if (some != 0) f(static_cast<Byte>(piece_->data) + at_, some);
      at_ += some;
      n -= some;
      if (at_ == piece_->bytes) {
        ++piece_;
        at_ = 0;
      }
    }
  }
  // The next n bytes if they lie in one piece, else null.
  const void* in_one(size_t n) noexcept {
    while (piece_->bytes == at_ && n != 0) {
      ++piece_;
      at_ = 0;
    }
    return n != 0 && piece_->bytes - at_ >= n ? static_cast<const uint8_t*>(piece_->data) + at_ : nullptr;
  }

 private:
  static uint8_t* byte_of(void*) noexcept;
  static const uint8_t* byte_of(const void*) noexcept;
  const Piece* piece_;
  size_t at_ = 0;
};

size_t least(size_t a, size_t b) noexcept { return a < b ? a : b; }

}  // namespace

// ---------------------------------------------------------------------------------------------------------------- life

void Channel::open(Context* context, uint64_t id, Link* link, uint32_t wait, uint64_t start) noexcept {
  context_ = context;
  link_ = link;
  outbox_ = link->outbox;
  inbox_ = link->inbox;
  direct_ = link->direct;
  full_fence_ = link->full_fence || !heavy_fence_registered();
  wait_ = static_cast<uint8_t>(wait);
  over_.store(kOk, std::memory_order_relaxed);
  over_text_.store(nullptr, std::memory_order_relaxed);
  answering_.store(false, std::memory_order_relaxed);
  new (&put_) PutSide{};
  new (&get_) GetSide{};
  put_.ring.init(link->outbox_ring(), link->ring_bytes, start);
  get_.ring.init(link->inbox_ring(), link->ring_bytes, start);
  put_.wanted = get_.wanted = 1;
  epoll_fd_ = self_fd_ = -1;
  self_signalled_ = false;
  allow_straight(kPutSide);
  allow_straight(kGetSide);
  runway_id_.store(id, std::memory_order_release);  // pairs with the acquire in put_on_runway
  id_.store(id, std::memory_order_release);         // pairs with the acquire in enter
}

void Channel::allow_straight(Side side) noexcept {
  bool plain = side == kPutSide ? put_.mode == kPlainPut : get_.mode == kPlainGet;
  bool allowed = direct_ && plain && !has_descriptor() && !full_fence_;
  if (side == kPutSide) {
    put_.straight = allowed;
    if (!allowed) put_.ring.end_runway();
  } else {
    get_.straight = allowed;
    if (!allowed) get_.ring.end_runway();
  }
}

void Channel::evict() noexcept {
  heavy_fence();  // after claim has taken the id: pairs with the light_fence in enter
  for (;;) {
    // Pairs with the release in leave.
    if (put_.inside.load(std::memory_order_acquire) == 0 && get_.inside.load(std::memory_order_acquire) == 0) return;
    link_->ops->interrupt(link_);
    nap(-1, -1, kNapMinNs);
  }
}

// wait_for is of no use here: the id is gone, so every wait would end at once. False: something staged is lost.
bool Channel::publish_before_close() noexcept {
  Deadline deadline = Deadline::after(kCloseFlushNs);
  for (;;) {
    if (over_.load(std::memory_order_relaxed) != kOk) return true;  // nobody would get it
    Code code = publish(nullptr, 0);
    if (code != kWouldBlock) return code == kOk;
    if (link_->ops->progress(link_) != kOk || deadline.left(now_ns()) == 0) return false;
    sched_yield();
  }
}

void Channel::close() noexcept {
  evict();
  RC_STEP("close: nobody inside");
  bool all = publish_before_close();
  RC_STEP("close: published");
  uint64_t last_word = outbox_->getter.load(std::memory_order_relaxed) | kClosedBit;
  outbox_->getter.store(last_word, std::memory_order_release);  // pairs with the acquire in ended
  if (direct_) {
    wake(kGetSide);
    wake(kPutSide);
  } else if (all) {  // without the last word the peer is told RC_E_PEER_DEAD, which is the truth if bytes are missing
    WorkRequest last = {&outbox_->getter, offsetof(Inbox, getter), sizeof last_word, true};
    link_->ops->post(link_, &last, 1);
  }
  RC_STEP("close: told");
  close_readiness();
  link_->ops->close(*context_, link_);
}

// ---------------------------------------------------------------------------------------------------------------- ends

Code Channel::end(Code why) noexcept {
  // A link that breaks after the peer's last word has arrived is how a close looks on some backends.
  if (why == kPeerDead && (inbox_->getter.load(std::memory_order_acquire) & kClosedBit) != 0) why = kClosed;
  int32_t none = kOk;
  over_.compare_exchange_strong(none, why, std::memory_order_acq_rel);  // the first reason stays
  runway_id_.store(0, std::memory_order_relaxed);
  return ended();
}

Code Channel::corrupt(const char* what) noexcept {
  over_text_.store(what, std::memory_order_release);
  return end(kCorrupt);
}

Code Channel::ended() noexcept {
  if (id_.load(std::memory_order_relaxed) == 0)
    return fail_plain(kClosing, "this channel is being closed by another thread");
  int32_t why = over_.load(std::memory_order_acquire);
  if (why == kOk) {
    if ((inbox_->getter.load(std::memory_order_acquire) & kClosedBit) == 0)
      return kOk;  // pairs with the release in close
    over_.compare_exchange_strong(why, kClosed, std::memory_order_acq_rel);
    runway_id_.store(0, std::memory_order_relaxed);
    why = over_.load(std::memory_order_acquire);
  }
  const char* text = over_text_.load(std::memory_order_acquire);
  if (why == kClosed) return fail_plain(kClosed, "the peer closed the channel");
  if (why == kPeerDead)
    return fail_plain(kPeerDead, "the peer died or dropped the connection without closing; reconnect");
  return fail_plain(static_cast<Code>(why), text != nullptr ? text : "the channel is over");
}

Code Channel::check_alive(Side side) noexcept {
  Code code = link_->ops->alive(link_, side);
  return code == kOk ? kOk : end(code);
}

// For a program that polls with try calls and never sleeps.
Code Channel::check_alive_sometimes(Side side, int64_t now) noexcept {
  int64_t& checked = side == kGetSide ? get_.alive_checked_ns : put_.alive_checked_ns;
  if (now - checked < kAliveCheckNs) return kOk;
  checked = now;
  return check_alive(side);
}

// ----------------------------------------------------------------------------------------------------------------
// waits

Code Channel::look_for_space(size_t n) noexcept {
  if (!direct_) {
    Code code = link_->ops->progress(link_);
    if (code != kOk) return end(code);
  }
  if (!put_.ring.take_credit(inbox_->credit))
    return corrupt("the peer's credit went backwards or beyond what was sent");
  return put_.ring.space() >= n ? kOk : kWouldBlock;
}

Code Channel::look_for_bytes(size_t n) noexcept {
  if (!direct_) {
    Code code = link_->ops->progress(link_);
    if (code != kOk && get_.ring.available() == 0 && over_.load(std::memory_order_relaxed) == kOk) end(code);
  }
  if (!get_.ring.look(inbox_->line)) return corrupt("the peer's tail went backwards or beyond the ring");
  return get_.ring.available() >= n ? kOk : kWouldBlock;
}

Code Channel::look_for_delivery() noexcept {
  Code code = link_->ops->progress(link_);
  if (code != kOk) return end(code);
  return link_->ops->delivered(link_) ? kOk : kWouldBlock;
}

// Makes the next store of the peer ring us: see PROTOCOL.md I7. Eats doorbells of earlier armings first.
Code Channel::arm(Side side) noexcept {
  Code code = check_alive(side);
  if (side == kGetSide) {
    get_.sleeper.arm(outbox_->getter);
  } else {
    put_.sleeper.arm(outbox_->putter);
  }
  RC_STEP("wait: armed");
  heavy_fence();  // pairs with the light_fence in ring_if_armed
  return code;
}

template <class Look>
Code Channel::wait_for(Side side, Look look, Wait& wait) noexcept {
  Code code = look();
  if (code != kWouldBlock) return code;
  // A look that follows the end notice sees everything that the peer did before it.
  auto last_look = [&](Code why) noexcept {
    Code last = look();
    if (last != kWouldBlock) return last;
    if (why == kTimeout || why == kStopped) return why;
    last = ended();
    return last != kOk ? last : why;
  };
  code = ended();
  int64_t start = now_ns();
  if (code == kOk) code = check_alive_sometimes(side, start);
  if (code != kOk) return last_look(code);
  if (!wait.may_wait())
    return fail_plain(kWouldBlock, side == kGetSide ? "not enough bytes have arrived" : "the ring is full");

  bool get = side == kGetSide;
  (get ? get_.waits : put_.waits).add(1);
  SpinBudget& budget = get ? get_.spin : put_.spin;
  Deadline deadline = wait.deadline();
  const char* timeout_text = get ? "the deadline passed before enough bytes arrived"
                                 : "the deadline passed before the peer made room by reading";
  // What each turn that does not sleep does once in a while.
  auto check = [&](int64_t now) noexcept {
    Code c = ended();
    if (c == kOk && context_->stopped()) c = fail_plain(kStopped, "rc_stop was called on the context");
    if (c == kOk && deadline.left(now) == 0) c = fail_plain(kTimeout, timeout_text);
    return c != kOk ? c : check_alive_sometimes(side, now);
  };

  if (wait_ != kWaitSleep) {
    for (uint32_t i = 1;; ++i) {
      code = look();
      if (code != kWouldBlock) {
        budget.paid();
        return code;
      }
      if (i > kHotLooks) cpu_pause();
      if (i % kLooksPerClock != 0) continue;
      int64_t now = now_ns();
      if ((code = check(now)) != kOk) return last_look(code);
      if (wait_ == kWaitAdaptive && now - start > budget.ns()) break;
    }
    budget.wasted();
    for (int i = 0; i < kYields; ++i) {
      sched_yield();
      if ((code = look()) != kWouldBlock) return code;
    }
  }

  int fd = link_->fd[side];
  for (int64_t nap_ns = kNapMinNs;; nap_ns = nap_ns * 2 < kNapMaxNs ? nap_ns * 2 : kNapMaxNs) {
    code = arm(side);
    if (code == kOk) code = ended();
    if (code != kOk) return last_look(code);
    if ((code = look()) != kWouldBlock) return code;
    (get ? get_.sleeps : put_.sleeps).add(1);
    if (fd >= 0) {
      code = wait_readable(fd, context_->stop_fd(), deadline, link_->death_fd);
      if (code == kTimeout) code = fail_plain(kTimeout, timeout_text);
    } else {
      int64_t left = deadline.left(now_ns());
      nap(-1, context_->stop_fd(), left < nap_ns ? left : nap_ns);
      code = check(now_ns());
    }
    RC_STEP("wait: woken");
    if (code != kOk) return last_look(code);
    if ((code = look()) != kWouldBlock) return code;
  }
}

Code Channel::wait_for_space(size_t n, Wait& wait) noexcept {
  put_.wanted = n;
  Code code = kOk;
  if (put_.ring.space() < n) {
    code = publish_piece(nullptr, 0, wait);  // the peer can only make room for what it can see
    if (code == kOk)
      code = wait_for(
          kPutSide, [this, n]() noexcept { return look_for_space(n); }, wait);
  }
  if (code == kOk) put_.wanted = 1;
  return code;
}

Code Channel::wait_for_bytes(size_t n, Wait& wait) noexcept {
  get_.wanted = n;
  Code code = get_.ring.available() >= n ? kOk : look_for_bytes(n);
  if (code == kWouldBlock) {
    tell_credit_if_any();  // a get that comes up short: PROTOCOL.md I6
    code = wait_for(
        kGetSide, [this, n]() noexcept { return look_for_bytes(n); }, wait);
    if (code == kOk) answering_.store(true, std::memory_order_relaxed);
  }
  if (code == kOk) get_.wanted = 1;
  return code;
}

void Channel::wake(Side side) noexcept {
  RC_STEP("ring");
  (side == kGetSide ? put_.rings : get_.rings).add(1);
  link_->ops->ring(link_, side);
}

// ---------------------------------------------------------------------------------------------------------------- put
// side

bool Channel::put_straight(const void* data, size_t n) noexcept {
  if (!put_.straight || n > kStraightBytes || over_.load(std::memory_order_relaxed) != kOk) return false;
  if (!put_.getter_bell.quiet(inbox_->getter)) return false;
  bool answer = answering_.load(std::memory_order_relaxed);
  if (n > put_.ring.runway()) {
    put_.ring.extend_runway(n > kRunwayBytes ? n : kRunwayBytes, answer ? 0 : kStreamAhead);
    if (n > put_.ring.runway()) return false;
  }
  if (answer) {  // the peer's processor has these lines; all of them together take as long as one
    own_line(&outbox_->line);
    put_.ring.own_next(n);
  }
  RC_STEP("put: before the bytes");
  put_.ring.write_here(data, n);
  publish(data, n);
  if (answer) put_.ring.own_ahead(kAnswerAhead);  // while the peer reads
  return true;
}

Code Channel::post_written() noexcept {
  Spans s = put_.ring.unpublished();
  uint8_t* ring = link_->outbox_ring();
  WorkRequest wr[3];
  uint32_t n = 0;
  if (s.first != 0) wr[n++] = {ring + s.at, kRingOffset + s.at, static_cast<uint32_t>(s.first), false};
  if (s.second != 0) wr[n++] = {ring, kRingOffset, static_cast<uint32_t>(s.second), false};
  if (n == 0) return kOk;
  // The tail alone: nothing promises the order of bytes inside one WRITE, so no copy of the newest bytes travels with
  // it.
  uint64_t tail = put_.ring.written();
  wr[n++] = {&tail, offsetof(Inbox, line) + offsetof(TailLineOf<std::atomic<uint64_t>>, tail), sizeof tail, true};
  Code code = link_->ops->post(link_, wr, n);
  if (code == kOk) {
    put_.ring.set_published();
    outbox_->line.tail.store(tail, std::memory_order_relaxed);  // for counts()
  }
  return code == kOk || code == kWouldBlock ? code : end(code);
}

// Makes everything written visible to the peer. `newest`: the last n bytes, if they are at hand in one piece.
Code Channel::publish(const void* newest, size_t n) noexcept {
  if (!direct_) return post_written();
  if (put_.ring.staged() == 0) return kOk;
  RC_STEP("put: bytes written, not published");
  if (newest != nullptr && n <= kTailBytes && answering_.load(std::memory_order_relaxed)) {
    put_.ring.publish_with_copy(outbox_->line, newest, n);
  } else {
    put_.ring.publish(outbox_->line);
  }
  answering_.store(false, std::memory_order_relaxed);
  RC_STEP("put: published");
  ring_getter();
  return kOk;
}

// The same, but waits while the link's queue is full.
Code Channel::publish_piece(const void* newest, size_t n, Wait& wait) noexcept {
  Code code = publish(newest, n);
  if (code != kWouldBlock) return code;
  return wait_for(
      kPutSide,
      [this]() noexcept {
        Code c = link_->ops->progress(link_);
        return c == kOk ? post_written() : end(c);
      },
      wait);
}

Code Channel::put_gate(PutMode wanted) noexcept {
  Code code = ended();
  if (code != kOk) return code;
  if (put_.mode == wanted || put_.mode == kPlainPut) return kOk;
  return put_.mode == kReserved ? fail_plain(kState, "ring memory is reserved: rc_commit first")
                                : fail_plain(kState, "a message is half sent: repeat its rc_send first");
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
    walk.take(piece, [this](const uint8_t* p, size_t bytes) noexcept { put_.ring.write(p, bytes); });
    if (publish_now) {
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
  if (code != kOk || direct_) return code;
  return wait_for(
      kPutSide, [this]() noexcept { return look_for_delivery(); }, wait);
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

// ---------------------------------------------------------------------------------------------------------------- get
// side

void Channel::tell_credit() noexcept {
  RC_STEP("get: before the credit");
  if (direct_) {
    get_.ring.tell_credit(outbox_->credit);
    RC_STEP("get: credit told");
    ring_putter();
    return;
  }
  outbox_->credit.store(get_.ring.credit_to_tell(), std::memory_order_relaxed);
  WorkRequest wr = {&outbox_->credit, offsetof(Inbox, credit), 8, true};
  Code code = link_->ops->post(link_, &wr, 1);
  if (code != kOk) end(code);
}

bool Channel::get_straight(void* data, size_t n) noexcept {
  if (!get_.straight || n > kStraightBytes || over_.load(std::memory_order_relaxed) == kCorrupt) return false;
  if (n > get_.ring.runway()) {
    if (get_.ring.available() < n) {
      pause_in_stream();
      if (!get_.ring.look(inbox_->line)) return false;  // the slow path looks again and says what is wrong
      size_t have = get_.ring.available();
      get_.backlog = have > n;
      if (have < n) return false;
      if (have == n && get_.ring.copy_newest(inbox_->line, data, n)) {
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

// A reader that has caught up with a stream lets the writer get ahead, so that lines move in runs. Not while the two
// ends answer each other: then this end has put since it last waited.
void Channel::pause_in_stream() noexcept {
  if (!get_.backlog && !answering_.load(std::memory_order_relaxed)) return;
  for (int i = 0; i < kStreamPauses; ++i) cpu_pause();
}

Code Channel::get_gate(GetMode wanted) noexcept {
  if (id_.load(std::memory_order_relaxed) == 0) return ended();
  if (over_.load(std::memory_order_relaxed) == kCorrupt) return ended();
  if (get_.mode == wanted || get_.mode == kPlainGet) return kOk;
  return get_.mode == kPeeked ? fail_plain(kState, "a view is open: rc_release first")
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
      get_.backlog = get_.ring.available() > n;
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
  if (get_.ring.available() < (amount == Amount::kTry ? n : least(n, kAnswerPiece))) {
    pause_in_stream();
    code = wait_for_bytes(need, wait);
    if (code == kOk && get_.ring.available() < n) code = look_for_bytes(need);
    if (code != kOk) return code;
    get_.backlog = get_.ring.available() > n;
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

// ----------------------------------------------------------------------------------------------------------------
// looking

Code Channel::ready(size_t* readable, size_t* writable) noexcept {
  Code code = id_.load(std::memory_order_relaxed) == 0 ? ended() : kOk;
  if (code == kOk && readable != nullptr) {
    code = look_for_bytes(1);
    if (code == kWouldBlock) code = kOk;
    *readable = get_.ring.available();
  }
  if (code == kOk && writable != nullptr) {
    code = look_for_space(1);
    if (code == kWouldBlock) code = kOk;
    *writable = put_.ring.space();
  }
  return code;
}

Code Channel::progress() noexcept {
  Code code = direct_ ? kOk : link_->ops->progress(link_);
  if (code != kOk) return end(code);
  code = ended();
  return code == kOk ? check_alive_sometimes(kGetSide, now_ns()) : code;
}

Channel::Counts Channel::counts() const noexcept {
  return {outbox_->line.tail.load(std::memory_order_relaxed),
          get_.ring.read_index(),
          put_.sent.get(),
          get_.received.get(),
          put_.waits.get(),
          get_.waits.get(),
          put_.sleeps.get() + get_.sleeps.get(),
          put_.rings.get() + get_.rings.get()};
}

}  // namespace rc
