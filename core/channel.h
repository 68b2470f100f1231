// One end of a channel: the ring code, a link that moves the bytes, and who may be in it.
#ifndef CORE_CHANNEL_H_
#define CORE_CHANNEL_H_

#include <stddef.h>
#include <stdint.h>

#include <atomic>

#include "core/backend.h"
#include "core/doorbell.h"
#include "core/fence.h"
#include "core/ops.h"
#include "core/ring.h"
#include "core/step.h"
#include "core/wait.h"
#include "core/walk.h"

namespace rc {

using Atomics = StdAtomics;

class Channel {
 public:
  // The id of a channel that is not open. Not 0: that is what a handle of nothing looks like, and no id is this.
  static constexpr uint64_t kNobody = UINT64_MAX;
  // Stands in its place while the channel is shut.
  static constexpr uint64_t kShut = UINT64_MAX - 1;

  // --- life; see context.cc ---
  void open(Context* context, uint64_t id, Link* link, uint32_t wait, uint64_t start = 0) noexcept;
  // Takes the handle away; true for the one caller that did it, who then closes.
  bool claim(uint64_t id) noexcept {
    for (uint64_t now = id; !id_.compare_exchange_weak(now, kNobody, std::memory_order_acq_rel); now = id) {
      if (now != id && now != kShut) return false;
    }
    runway_id_.store(kNobody, std::memory_order_relaxed);
    return true;
  }
  // For changes of what both sides use: keeps calls of other threads at the door until reopen. kBusy: one is inside;
  // kHandle: the channel is gone.
  Code shut(uint64_t id) noexcept;
  void reopen(uint64_t id) noexcept;
  // Wakes whoever is inside, waits until they have left, tells the peer and gives the link back. It is closed whatever
  // it returns; see Ops::close.
  Code close() noexcept;
  uint64_t id() const noexcept {
    uint64_t id;
    while (__builtin_expect((id = id_.load(std::memory_order_acquire)) == kShut, 0)) cpu_pause();
    return id;
  }
  Link* link() const noexcept { return link_; }

  // --- who is inside ---
  // One thread per side. A plain store instead of a locked exchange: evict() pairs with it by a heavy fence.
  Code enter(Side side, uint64_t id) noexcept {
    std::atomic<uint32_t>& inside = side == kPutSide ? put_.inside : get_.inside;
    for (;;) {
      if (__builtin_expect(inside.load(std::memory_order_relaxed) != 0, 0)) return kBusy;
      inside.store(1, std::memory_order_relaxed);
      light_fence(full_fence_);  // pairs with heavy_fence in evict, shut: it sees us inside, or we see the id gone
      uint64_t now = id_.load(std::memory_order_acquire);
      if (__builtin_expect(now == id, 1)) return kOk;
      leave(side);
      if (now != kShut) return kHandle;
      cpu_pause();
    }
  }
  // Who is on that side disturbs nobody. After a call both sides are looked at if there is a descriptor, so they are
  // one thread's then.
  bool alone(Side side) const noexcept {
    const std::atomic<uint32_t>& other = side == kPutSide ? get_.inside : put_.inside;
    return !has_descriptor() || other.load(std::memory_order_acquire) == 0;  // pairs with the release in leave
  }
  void leave(Side side) noexcept {
    (side == kPutSide ? put_.inside : get_.inside).store(0, std::memory_order_release);  // pairs with evict's acquire
  }

  // --- bytes ---
  // The straight path: a small put or get on a runway that is known to be free. It enters and leaves by itself, calls
  // nothing and takes no branch. kSmall: n <= kSmallBytes. False: nothing happened.
  template <bool kSmall>
  bool put_on_runway(uint64_t id, const void* data, size_t n) noexcept;
  template <bool kSmall>
  bool get_on_runway(uint64_t id, void* data, size_t n) noexcept;

  // From here on the caller is inside on that side.
  // Without a wait, over memory that both ends map. False: nothing happened.
  bool put_straight(const void* data, size_t n) noexcept;
  bool get_straight(void* data, size_t n, bool may_wait) noexcept;

  // How much of what was asked for a call must move: all of it, waiting if need be; all of it or nothing, without
  // waiting; or what can be moved once one byte can.
  enum class Amount { kAll, kTry, kSome };
  Code put(const ConstSpan* spans, size_t n, Amount amount, bool publish, int64_t timeout_ns, size_t* done) noexcept;
  Code get(const Span* spans, size_t n, Amount amount, int64_t timeout_ns, size_t* done) noexcept;
  Code flush() noexcept;
  Code sync(int64_t timeout_ns) noexcept;
  Code ready(size_t* readable, size_t* writable) noexcept;

  Code reserve(size_t min, int64_t timeout_ns, Span spans[2]) noexcept;
  Code commit(size_t n) noexcept;
  Code peek(size_t min, int64_t timeout_ns, ConstSpan spans[2]) noexcept;
  Code release(size_t n) noexcept;

  // --- messages (message.cc) ---
  Code send(const void* data, size_t n, const uint32_t* imm, int64_t timeout_ns, size_t* done) noexcept;
  Code recv(void* data, size_t capacity, size_t* n, uint32_t* imm, uint32_t* has_imm, int64_t timeout_ns) noexcept;
  Code view(ConstSpan spans[2], size_t* n, uint32_t* imm, uint32_t* has_imm, int64_t timeout_ns) noexcept;
  Code end_view() noexcept;

  // --- memory (channel_ops.cc) ---
  // Those on the get side: region_get, remote_get and imm_get. The others count as the putter.
  Code operate(const Operation& operation, uint64_t* request) noexcept {
    bool done = direct_ && works() && ops_ != nullptr && ops_->run_at_once(operation, request);
    return done ? kOk : post(operation, request);
  }
  // Waits for the first of `count` requests, at least one, to be over; its result is the call's.
  Code request_wait(const uint64_t* requests, uint32_t count, int64_t timeout_ns, uint32_t* index,
                    uint64_t* value) noexcept {
    *index = 0;
    Code code = ops_ != nullptr ? ops_->collect(requests[0], value, nullptr) : kWouldBlock;  // often over when posted
    return code != kWouldBlock ? code : wait_for_first(requests, count, timeout_ns, index, value);
  }
  Code request_cancel(uint64_t request) noexcept;
  Code completions_get(Completion* completions, uint32_t capacity, int64_t timeout_ns, uint32_t* count) noexcept;
  Code grant(uint64_t region, uint64_t offset, uint64_t bytes, uint32_t rights, int64_t lease_ns, bool announced,
             uint64_t* grant) noexcept;
  Code revoke(uint64_t grant) noexcept;
  Code remote_alloc(uint64_t bytes, uint32_t rights, int64_t lease_ns, int64_t timeout_ns, uint64_t* remote) noexcept;
  Code remote_return(uint64_t remote, int64_t timeout_ns) noexcept;
  Code remote_release(uint64_t remote) noexcept;
  Code remote_get(int64_t timeout_ns, uint64_t* remote) noexcept;
  Code region_get(int64_t timeout_ns, uint64_t* region) noexcept;
  Code imm_get(int64_t timeout_ns, uint32_t* imm) noexcept;
  // Before anything else of a call: takes away what was granted directly and whose lease is over.
  void end_leases() noexcept {
    if (ops_ != nullptr) ops_->end_leases();
  }
  // Null: this channel has no operations.
  Ops* ops() const noexcept { return ops_; }
  // kOk: the channel has operations and works. Else what was under way has ended too.
  Code ops_gate() noexcept;

  // --- progress by somebody who is on neither side (drive.cc) ---
  // What to wait on for it; -1: there is nothing to do for this channel.
  int drive_fd() const noexcept;
  // From now on it is driven. Nobody is inside, or the caller is on both sides.
  void allow_driving() noexcept;
  // One bounded turn; one thread at a time. kWouldBlock: not now, somebody inside is at it. Else why the channel is
  // over.
  Code drive(uint64_t id) noexcept;
  // It is over, so that its descriptor stays readable for good. By the same thread.
  void stop_being_driven(uint64_t id) noexcept;

  // --- readiness (readiness.cc) ---
  Code descriptor(int* fd) noexcept;  // nobody else is inside
  bool has_descriptor() const noexcept { return epoll_fd_ >= 0; }
  void update_readiness() noexcept;
  void close_readiness() noexcept;
  // From now on every call looks at the clock, and whoever waits for the channel's descriptor, or drives it, is woken
  // when a lease is over.
  Code keep_time() noexcept;
  int64_t lease_due_ns() const noexcept;  // when the next lease is over
  bool keeps_time() const noexcept { return ops_ != nullptr && ops_->timer() >= 0; }
  void stop_keeping_time() noexcept;
  // The id under which the caller got it; see Context::adopt_channel. Under the context's ready lock.
  uint64_t adopted_id = 0;

  Code progress() noexcept;
  // Why the channel is over; kOk while it works.
  Code over() const noexcept { return static_cast<Code>(over_.load(std::memory_order_acquire)); }

  struct Counts {
    uint64_t put_bytes, got_bytes, sent_messages, received_messages, put_waits, get_waits, sleeps, rings;
  };
  Counts counts() const noexcept;

 private:
  void evict() noexcept;
  bool publish_before_close() noexcept;

  enum PutMode : uint8_t { kPlainPut, kReserved, kInMessage };
  enum GetMode : uint8_t { kPlainGet, kPeeked, kInMessageGet, kViewed };

  // One look at what a wait waits for, no system call. kWouldBlock: not yet.
  Code look_for_space(size_t n) noexcept;
  Code look_for_bytes(size_t n) noexcept;
  Code look_for_delivery() noexcept;
  // Does what the peer has asked for. Every look at the peer's tail is followed by it: bytes below that tail are handed
  // out only after the writes that came before them (O3).
  Code serve_ops() noexcept;
  Code wait_for_first(const uint64_t* requests, uint32_t count, int64_t timeout_ns, uint32_t* index,
                      uint64_t* value) noexcept;
  // Until next() has something.
  template <class Next>
  Code wait_for_ops(Side side, Next next, int64_t timeout_ns) noexcept;
  Code wait_for_answer(uint64_t request, int64_t timeout_ns, uint64_t* remote) noexcept;
  // Changes whenever something was done for the peer.
  uint64_t served_ops() const noexcept { return ops_ != nullptr ? ops_->applied() : 0; }
  // Operations were posted that the peer cannot see yet.
  bool ops_behind() const noexcept { return ops_ != nullptr && ops_->behind(); }
  // Waits until so much may be written, or read; returns credit before it waits.
  Code wait_for_space(size_t n, Wait& wait) noexcept;
  Code wait_for_bytes(size_t n, Wait& wait) noexcept;
  // Spins, yields and sleeps until look() says other than kWouldBlock, or the wait ends for another reason. The text
  // for kWouldBlock and kTimeout is the caller's: unmet().
  template <class Look>
  Code wait_for(Side side, Look look, Wait& wait) noexcept;
  // False: the peer may not see it, so do not count on being rung.
  bool arm(Side side) noexcept;

  // For operate: whatever stands in the way.
  Code post(const Operation& operation, uint64_t* request) noexcept;
  // There is nothing for ended() to notice but our own close, which waits for who is inside.
  bool works() const noexcept {
    return over_.load(std::memory_order_acquire) == kOk &&
           (inbox_->getter.load(std::memory_order_acquire) & kClosedBit) == 0;  // pairs with the release in close
  }
  // Notices the end of the channel: the peer's last word, our own eviction, what an earlier call found.
  Code ended() noexcept;
  Code end(Code why) noexcept;
  Code corrupt(const char* what) noexcept;
  Code make_descriptor() noexcept;
  // The right to eat the getter's doorbells, which the getter has while it waits. Of no meaning unless the channel is
  // driven.
  class Bell;
  // Tells who waits for the descriptor that a doorbell was eaten. Under the bell.
  void signal_eaten() noexcept;
  // Makes the peer's next op frame ring, and does what came before. Under the bell.
  Code arm_server() noexcept;
  Code drive_inside() noexcept;
  // For the get side: under the bell.
  Code check_alive(Side side) noexcept;
  Code check_alive_sometimes(Side side, int64_t now) noexcept;

  Code publish(const void* newest, size_t n) noexcept;
  void publish_direct(const void* newest, size_t n) noexcept;
  void show(const void* newest, size_t n) noexcept;
  // Puts n <= the runway's bytes as an answer and shows them.
  void answer_here(const void* data, size_t n) noexcept;
  Code post_written(const uint8_t* from) noexcept;
  bool lend(const void* data, size_t n, Code* code) noexcept;
  // Looks for n bytes without settling down to wait. False: not there, or something is wrong, which the wait will say.
  bool look_first(size_t n, bool may_wait) noexcept;
  void pace() noexcept;
  // lazy: the caller goes on to wait.
  void tell_credit(bool lazy = false) noexcept;
  void tell_credit_if_any(bool lazy = false) noexcept {
    if (get_.ring.untold() != 0) tell_credit(lazy);
  }
  void ring_getter() noexcept;
  void ring_putter() noexcept;
  void wake(Side side) noexcept;
  // Whether calls of a side may take the straight path from now on.
  void allow_straight(Side side) noexcept;

  Code put_gate(PutMode wanted) noexcept;
  Code get_gate(GetMode wanted) noexcept;
  // Waits for the next message's header; consumes nothing.
  Code wait_for_message(Wait& wait) noexcept;
  Code stream_out(const ConstSpan* spans, size_t n, size_t need, bool publish, Wait& wait, size_t* done) noexcept;
  Code publish_piece(const void* newest, size_t n, Wait& wait) noexcept;
  Code stream_in(const Span* spans, size_t n, bool whole, Wait& wait, size_t* done) noexcept;

  // Read by both sides, written when the channel is opened or ends.
  alignas(kPair) std::atomic<uint64_t> id_{kNobody};
  // The same while the channel works, kNobody once it is over: the runways look at nothing else.
  std::atomic<uint64_t> runway_id_{kNobody};
  Link* link_ = nullptr;
  Inbox* outbox_ = nullptr;
  const Inbox* inbox_ = nullptr;
  Context* context_ = nullptr;
  Ops* ops_ = nullptr;
  std::atomic<int32_t> over_{kOk};
  std::atomic<const char*> over_text_{nullptr};
  bool direct_ = false;
  bool full_fence_ = true;
  uint8_t wait_ = 0;
  // The get side had to wait: what is put next is likely an answer, and goes into the tail line (PROTOCOL.md I5).
  std::atomic<bool> answering_{false};

  // The put side's own.
  struct alignas(kPair) PutSide {
    std::atomic<uint32_t> inside{0};
    bool straight;  // put_straight and put_on_runway may be taken
    TxRing<Atomics> ring;
    Ringer<Atomics> getter_bell;  // rings the peer's getter
    Sleeper<Atomics> sleeper;     // sleeps for credit
    SpinBudget spin;
    int64_t alive_checked_ns;
    PutMode mode;
    size_t wanted;  // what the last put came short of; readiness waits for so much space
    size_t reserved;
    // A message under way.
    uint64_t message_done;   // bytes put of its header and body
    uint64_t message_bytes;  // its body's size
    uint16_t sequence;
    Counter sent, waits, sleeps, rings;
  } put_;

  // The get side's own.
  struct alignas(kPair) GetSide {
    std::atomic<uint32_t> inside{0};
    bool straight;  // get_straight and get_on_runway may be taken
    RxRing<Atomics> ring;
    Ringer<Atomics> putter_bell;  // rings the peer's putter
    Sleeper<Atomics> sleeper;     // sleeps for bytes
    SpinBudget spin;
    int64_t alive_checked_ns;
    GetMode mode;
    uint32_t run;       // first looks in a row that found bytes, with nothing put since put_seen
    uint64_t put_seen;  // what this end had put when the run began
    size_t peeked;
    size_t wanted;  // what the last get came short of; readiness waits for so many bytes
    // A message under way.
    MessageHeader message;
    uint64_t message_left;
    uint16_t sequence;
    Counter received, waits, sleeps, rings;
  } get_;

  // Readiness (readiness.cc).
  int epoll_fd_ = -1;
  int self_fd_ = -1;
  bool self_signalled_ = false;
  bool eaten_signalled_ = false;  // under the bell

  // Progress by somebody else (drive.cc).
  std::atomic<uint32_t> driving_{0};  // he is inside
  std::atomic<bool> driven_{false};
  SpinLock bell_;
  Sleeper<Atomics> server_;  // under the bell
};

class Channel::Bell {
 public:
  // null: the caller eats none.
  explicit Bell(Channel* channel) noexcept
      : channel_(channel != nullptr && channel->driven_.load(std::memory_order_relaxed) && channel->direct_ ? channel
                                                                                                            : nullptr) {
    if (channel_ != nullptr) channel_->bell_.lock();
  }
  ~Bell() {
    if (channel_ != nullptr) channel_->bell_.unlock();
  }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

 private:
  Channel* channel_;
};

}  // namespace rc

#include "core/channel_inline.h"

#endif  // CORE_CHANNEL_H_
