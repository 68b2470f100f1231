#include "core/channel.h"

#include <sched.h>

#include <new>

#include "core/context.h"

namespace rc {

void Channel::open(Context* context, uint64_t id, Link* link, uint32_t wait, uint64_t start) noexcept {
  context_ = context;
  link_ = link;
  outbox_ = link->outbox;
  inbox_ = link->inbox;
  direct_ = link->direct;
  full_fence_ = link->full_fence || !heavy_fence_registered();
  wait_ = static_cast<uint8_t>(wait);
  ops_ = link->op_ring_bytes != 0 ? context->ops_of(this) : nullptr;
  if (ops_ != nullptr) ops_->open(context, link, static_cast<uint32_t>(id & 0xffff), full_fence_);
  over_.store(kOk, std::memory_order_relaxed);
  over_text_.store(nullptr, std::memory_order_relaxed);
  answering_.store(false, std::memory_order_relaxed);
  new (&put_) PutSide{};
  new (&get_) GetSide{};
  put_.ring.init(link->outbox_ring(), link->ring_bytes, start);
  get_.ring.init(link->inbox_ring(), link->ring_bytes, start);
  put_.wanted = get_.wanted = 1;
  epoll_fd_ = self_fd_ = -1;
  self_signalled_ = eaten_signalled_ = false;
  driven_.store(false, std::memory_order_relaxed);
  new (&server_) Sleeper<Atomics>{};
  allow_straight(kPutSide);
  allow_straight(kGetSide);
  runway_id_.store(id, std::memory_order_release);  // pairs with the acquire in put_on_runway
  id_.store(id, std::memory_order_release);         // pairs with the acquire in enter
}

void Channel::allow_straight(Side side) noexcept {
  bool allowed = direct_ && !has_descriptor() && !full_fence_;
  if (side == kPutSide) {  // each side looks at its own half only
    put_.straight = allowed && put_.mode == kPlainPut && !ops_behind();
    if (!put_.straight) put_.ring.end_runway();
  } else {
    get_.straight = allowed && get_.mode == kPlainGet;
    if (!get_.straight) get_.ring.end_runway();
  }
}

void Channel::evict() noexcept {
  // After claim has taken the id: pairs with the light_fence in enter. Where the kernel refuses it now, a store that
  // was made before is given time to be seen; a nap is many times what any processor takes.
  if (!heavy_fence()) nap(-1, -1, kNapMaxNs);
  for (;;) {
    // Pairs with the release in leave.
    if (put_.inside.load(std::memory_order_acquire) == 0 && get_.inside.load(std::memory_order_acquire) == 0 &&
        driving_.load(std::memory_order_acquire) == 0)
      return;
    link_->ops->interrupt(link_);
    nap(-1, -1, kNapMinNs);
  }
}

Code Channel::shut(uint64_t id) noexcept {
  uint64_t now = id;
  if (!id_.compare_exchange_strong(now, kShut, std::memory_order_acq_rel)) return kHandle;
  runway_id_.store(kNobody, std::memory_order_relaxed);
  if (!heavy_fence()) nap(-1, -1, kNapMaxNs);  // as in evict
  // Pairs with the release in leave.
  if (put_.inside.load(std::memory_order_acquire) == 0 && get_.inside.load(std::memory_order_acquire) == 0) return kOk;
  reopen(id);
  return kBusy;
}

void Channel::reopen(uint64_t id) noexcept {
  if (over_.load(std::memory_order_relaxed) == kOk && !keeps_time()) runway_id_.store(id, std::memory_order_release);
  id_.store(id, std::memory_order_release);  // pairs with the acquire in enter
}

// wait_for is of no use here: the id is gone, so every wait would end at once. False: something staged is lost.
bool Channel::publish_before_close() noexcept {
  Deadline deadline = Deadline::after(kCloseFlushNs);
  for (;;) {
    if (over_.load(std::memory_order_relaxed) != kOk) return true;  // nobody would get it
    Code code = publish(nullptr, 0);
    if (code != kWouldBlock) return code == kOk;
    if (link_->ops->progress(link_, kPutSide) != kOk || deadline.left(now_ns()) == 0) return false;
    sched_yield();
  }
}

Code Channel::close() noexcept {
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
  if (driven_.load(std::memory_order_relaxed)) context_->stop_driving(drive_fd());
  Code code = ops_ != nullptr ? ops_->close() : kOk;
  stop_keeping_time();
  link_->ops->close(*context_, link_);
  if (ops_ != nullptr) ops_->closed();
  return code;
}

// ---------------------------------------------------------------------------------------------------------------- ends

Code Channel::end(Code why) noexcept {
  // A link that breaks after the peer's last word has arrived is how a close looks on some backends.
  if (why == kPeerDead && (inbox_->getter.load(std::memory_order_acquire) & kClosedBit) != 0) why = kClosed;
  int32_t none = kOk;
  over_.compare_exchange_strong(none, why, std::memory_order_acq_rel);  // the first reason stays
  runway_id_.store(kNobody, std::memory_order_relaxed);
  return ended();
}

Code Channel::corrupt(const char* what) noexcept {
  over_text_.store(what, std::memory_order_release);
  return end(kCorrupt);
}

Code Channel::ended() noexcept {
  if (id_.load(std::memory_order_relaxed) == kNobody)
    return fail_plain(kClosing, "this channel is being closed by another thread");
  int32_t why = over_.load(std::memory_order_acquire);
  if (why == kOk) {
    if ((inbox_->getter.load(std::memory_order_acquire) & kClosedBit) == 0)
      return kOk;  // pairs with the release in close
    over_.compare_exchange_strong(why, kClosed, std::memory_order_acq_rel);
    runway_id_.store(kNobody, std::memory_order_relaxed);
    why = over_.load(std::memory_order_acquire);
  }
  const char* text = over_text_.load(std::memory_order_acquire);
  if (text == nullptr) text = link_->why.get();
  if (why == kClosed) return fail_plain(kClosed, "the peer closed the channel");
  if (text == nullptr && why == kPeerDead) text = "the peer died or dropped the connection without closing; reconnect";
  return fail_plain(static_cast<Code>(why), text != nullptr ? text : "the channel is over");
}

Code Channel::check_alive(Side side) noexcept {
  Code code = link_->ops->alive(link_, side);
  if (code != kOk) return end(code);
  // Who eats the bell answers for what it rang for.
  if (side == kGetSide && direct_ && driven_.load(std::memory_order_relaxed)) arm_server();
  return kOk;
}

// For a program that polls with try calls and never sleeps.
Code Channel::check_alive_sometimes(Side side, int64_t now) noexcept {
  int64_t& checked = side == kGetSide ? get_.alive_checked_ns : put_.alive_checked_ns;
  if (now - checked < kAliveCheckNs) return kOk;
  checked = now;
  return check_alive(side);
}

// Makes the next store of the peer ring us: see PROTOCOL.md I7.
bool Channel::arm(Side side) noexcept {
  if (side == kGetSide) {
    get_.sleeper.arm(outbox_->getter);
  } else {
    put_.sleeper.arm(outbox_->putter);
  }
  RC_STEP("wait: armed");
  if (direct_) return heavy_fence();  // pairs with the light_fence in ring_getter and ring_putter
  // What the link's progress lets land in another thread: pairs with the fence there.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return true;
}

void Channel::wake(Side side) noexcept {
  RC_STEP("ring");
  (side == kGetSide ? put_.rings : get_.rings).add(1);
  link_->ops->ring(link_, side);
}

Code Channel::ready(size_t* readable, size_t* writable) noexcept {
  Code code = id_.load(std::memory_order_relaxed) == kNobody ? ended() : kOk;
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
  Code code = direct_ ? kOk : link_->ops->progress(link_, kGetSide);
  if (code != kOk) return end(code);
  code = serve_ops();
  if (code == kOk) code = ended();
  if (code != kOk) return code;
  Bell bell(this);
  return check_alive_sometimes(kGetSide, now_ns());
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
