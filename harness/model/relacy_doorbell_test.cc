// Model checking of sleep and wake over a ring: a getter that sleeps for bytes and a putter that sleeps for credit.
// Nobody may sleep for ever; Relacy reports that as a deadlock.
#include <gtest/gtest.h>

#include <type_traits>

#include "harness/model/explore.h"

namespace rc_model {
namespace {

// How the two fences of the doorbell are made (PROTOCOL.md I7).
//
// In the product the ringer's light fence only stops the compiler, and the sleeper's heavy fence, membarrier(2) with
// GLOBAL_EXPEDITED, makes a full fence on both sides at once; Relacy has that as a system-wide fence. Where a kernel
// lacks it, both are sequentially consistent fences. Both ways are checked.
enum class Fences { kBothFull, kMembarrier };

template <Fences kFences>
void heavy_fence() {
  kFences == Fences::kBothFull ? rl::atomic_thread_fence(rl::mo_seq_cst, RL_INFO) : rl::systemwide_fence(RL_INFO);
}
template <Fences kFences>
void light_fence() {
  if (kFences == Fences::kBothFull) rl::atomic_thread_fence(rl::mo_seq_cst, RL_INFO);
}

// The socket between the ends, as far as one sleeper sees it: rung or not. A ring that nobody waits for stays.
class Bell {
 public:
  void open() { event_.init(false, false, RL_INFO); }
  void close() { event_.deinit(RL_INFO); }
  void ring() { event_.set(RL_INFO); }
  void wait() { event_.wait(false, false, RL_INFO); }
  void wait_until_deadline() { event_.wait(false, true, RL_INFO); }
  void drain() { event_.wait(true, false, RL_INFO); }

 private:
  rl::generic_event event_;
};

// Sleeper and Ringer begin at zero; this makes them begin elsewhere, to see the count wrap.
template <class End>
void begin_count_at(End* end, uint64_t count) {
  static_assert(std::is_trivially_copyable<End>::value && sizeof(End) == sizeof count);
  memcpy(static_cast<void*>(end), &count, sizeof count);
}

struct Shape {
  size_t capacity;
  size_t put;  // bytes of each put, all or nothing
  size_t get;
  unsigned puts;
  uint64_t start;
  uint64_t arms;  // where the arm counts begin
};

template <Fault F, Fences kFences, const Shape& kShape, bool kDeadlines = false>
struct SleepWake : CountedSuite<SleepWake<F, kFences, kShape, kDeadlines>, 2> {
  using Atomics = RelacyAtomics<F>;
  static constexpr size_t kTotal = kShape.put * kShape.puts;
  static_assert(kTotal % kShape.get == 0);

  ModelInbox inbox;
  Bell getter_bell;
  Bell putter_bell;

  // The putting end, private to thread 0.
  rc::TxRing<Atomics> tx;
  rc::Ringer<Atomics> getter_ringer;
  rc::Sleeper<Atomics> putter_sleeper;
  unsigned getter_rings = 0;
  unsigned putter_arms = 0;

  // The getting end, private to thread 1.
  rc::RxRing<Atomics> rx;
  rc::Ringer<Atomics> putter_ringer;
  rc::Sleeper<Atomics> getter_sleeper;
  unsigned putter_rings = 0;
  unsigned getter_arms = 0;

  void before() {
    inbox.start_at(kShape.capacity, kShape.start, kShape.arms);
    tx.init(&inbox.ring, kShape.capacity, kShape.start);
    rx.init(&inbox.ring, kShape.capacity, kShape.start);
    begin_count_at(&getter_ringer, kShape.arms);
    begin_count_at(&putter_ringer, kShape.arms);
    begin_count_at(&getter_sleeper, kShape.arms);
    begin_count_at(&putter_sleeper, kShape.arms);
    getter_bell.open();
    putter_bell.open();
  }

  void after() {
    RL_ASSERT(rx.read_index() == kShape.start + kTotal);
    // A sleeper that is awake is not rung.
    RL_ASSERT(getter_rings <= getter_arms);
    RL_ASSERT(putter_rings <= putter_arms);
    getter_bell.close();
    putter_bell.close();
  }

  void thread(unsigned index) { index == 0 ? put_all() : get_all(); }

  void put_all() {
    uint8_t bytes[kShape.put];
    for (uint64_t position = 0; position < kTotal; position += kShape.put) {
      while (!has_space()) {
        putter_sleeper.arm(inbox.putter);
        ++putter_arms;
        if (F != Fault::kNoPutterSleepFence) heavy_fence<kFences>();
        if (F != Fault::kNoLastLook && has_space()) break;
        sleep(putter_bell);
      }
      fill_stream(bytes, kShape.put, position);
      tx.write(bytes, kShape.put);
      if (F == Fault::kRingBeforePublish) ring_getter();
      if (position % (2 * kShape.put) == 0) {
        tx.publish(inbox.line);
      } else {
        tx.publish_with_copy(inbox.line, bytes, kShape.put);
      }
      if (F != Fault::kRingBeforePublish) ring_getter();
    }
  }

  void get_all() {
    uint8_t bytes[kShape.get];
    for (uint64_t position = 0; position < kTotal; position += kShape.get) {
      while (!has_bytes()) {
        // A get that comes up short gives back all credit before it waits.
        if (F != Fault::kCreditWithheld && rx.untold() != 0) tell_credit();
        getter_sleeper.arm(inbox.getter);
        ++getter_arms;
        if (F != Fault::kNoGetterSleepFence) heavy_fence<kFences>();
        if (F != Fault::kNoLastLook && has_bytes()) break;
        sleep(getter_bell);
      }
      if (rx.available() != kShape.get || !rx.copy_newest(inbox.line, bytes, kShape.get))
        rx.copy_out(bytes, kShape.get);
      RL_ASSERT(is_stream(bytes, kShape.get, position));
      rx.consume(kShape.get);
      // The plain rule that hangs tells at half a ring and not when a get comes up short.
      bool due = F == Fault::kCreditWithheld ? rx.untold() * 2 >= kShape.capacity : rx.credit_due();
      if (due) tell_credit();
    }
  }

  bool has_space() {
    RL_ASSERT(tx.take_credit(inbox.credit));
    return tx.space() >= kShape.put;
  }
  bool has_bytes() {
    RL_ASSERT(rx.look(inbox.line));
    return rx.available() >= kShape.get;
  }

  // A deadline may pass at any time: the sleeper leaves, its arming stays, it comes back later. That every sleep ends
  // is no merit then, so only some of them have one.
  void sleep(Bell& bell) {
    if (F == Fault::kDrainAfterLook) bell.drain();
    kDeadlines&& rl::rand(2) == 0 ? bell.wait_until_deadline() : bell.wait();
  }

  void ring_getter() {
    if (F != Fault::kNoFenceAfterPublish) light_fence<kFences>();
    if (!getter_ringer.must_ring(inbox.getter)) return;
    ++getter_rings;
    getter_bell.ring();
  }
  void tell_credit() {
    rx.tell_credit(inbox.credit);
    if (F != Fault::kNoFenceAfterCredit) light_fence<kFences>();
    if (!putter_ringer.must_ring(inbox.putter)) return;
    ++putter_rings;
    putter_bell.ring();
  }
};

constexpr Shape kOneByte = {1, 1, 1, 3, 0, 0};
constexpr Shape kUneven = {3, 1, 2, 6, uint64_t{0} - 2, 0};
constexpr Shape kArmsNear32Bits = {1, 1, 1, 4, 0, 0xfffffffe};
constexpr Shape kArmsWrap = {1, 1, 1, 4, 0, uint64_t{0} - 2};
constexpr Shape kFiveFour = {10, 5, 4, 4, 0, 0};  // the pair that the plain half-ring rule hangs on

TEST(DoorbellModel, OneByteBothFencesFull) {
  expect_sound<SleepWake<Fault::kNone, Fences::kBothFull, kOneByte>>(kRandom);
}
TEST(DoorbellModel, OneByteMembarrier) {
  expect_sound<SleepWake<Fault::kNone, Fences::kMembarrier, kOneByte>>(kRandom);
}
TEST(DoorbellModel, UnevenSizesFromNear64BitsBothFencesFull) {
  expect_sound<SleepWake<Fault::kNone, Fences::kBothFull, kUneven>>(kRandom);
}
TEST(DoorbellModel, UnevenSizesFromNear64BitsMembarrier) {
  expect_sound<SleepWake<Fault::kNone, Fences::kMembarrier, kUneven>>(kRandom);
}
TEST(DoorbellModel, ArmCountPasses32Bits) {
  expect_sound<SleepWake<Fault::kNone, Fences::kBothFull, kArmsNear32Bits>>(kRandom);
}
TEST(DoorbellModel, ArmCountWraps) { expect_sound<SleepWake<Fault::kNone, Fences::kBothFull, kArmsWrap>>(kRandom); }
TEST(DoorbellModel, SleepsWithDeadlines) {
  expect_sound<SleepWake<Fault::kNone, Fences::kMembarrier, kOneByte, true>>(kRandom);
}
TEST(DoorbellModel, PutFiveGetFourOfTen) {
  expect_sound<SleepWake<Fault::kNone, Fences::kBothFull, kFiveFour>>(kRandom);
}
TEST(DoorbellModel, EveryScheduleOfFewSwitchesBothFencesFull) {
  expect_sound<SleepWake<Fault::kNone, Fences::kBothFull, kOneByte>>(up_to_switches(3));
}
TEST(DoorbellModel, EveryScheduleOfFewSwitchesMembarrier) {
  expect_sound<SleepWake<Fault::kNone, Fences::kMembarrier, kOneByte>>(up_to_switches(3));
}

template <Fault F, Fences kFences = Fences::kBothFull, const Shape& kShape = kOneByte>
using Faulty = SleepWake<F, kFences, kShape>;

TEST(DoorbellModelFinds, NoGetterSleepFence) {
  expect_found<Faulty<Fault::kNoGetterSleepFence>>(kRandom, rl::test_result_deadlock);
  expect_found<Faulty<Fault::kNoGetterSleepFence, Fences::kMembarrier>>(kRandom, rl::test_result_deadlock);
}
TEST(DoorbellModelFinds, NoPutterSleepFence) {
  expect_found<Faulty<Fault::kNoPutterSleepFence>>(kRandom, rl::test_result_deadlock);
  expect_found<Faulty<Fault::kNoPutterSleepFence, Fences::kMembarrier>>(kRandom, rl::test_result_deadlock);
}
TEST(DoorbellModelFinds, NoFenceAfterPublish) {
  expect_found<Faulty<Fault::kNoFenceAfterPublish>>(kRandom, rl::test_result_deadlock);
}
TEST(DoorbellModelFinds, NoFenceAfterCredit) {
  expect_found<Faulty<Fault::kNoFenceAfterCredit>>(kRandom, rl::test_result_deadlock);
}
TEST(DoorbellModelFinds, NoLastLook) { expect_found<Faulty<Fault::kNoLastLook>>(kRandom, rl::test_result_deadlock); }
TEST(DoorbellModelFinds, RingBeforePublish) {
  expect_found<Faulty<Fault::kRingBeforePublish>>(kRandom, rl::test_result_deadlock);
}
TEST(DoorbellModelFinds, DrainAfterLook) {
  expect_found<Faulty<Fault::kDrainAfterLook>>(kRandom, rl::test_result_deadlock);
}
TEST(DoorbellModelFinds, CreditWithheld) {
  expect_found<Faulty<Fault::kCreditWithheld, Fences::kBothFull, kFiveFour>>(kRandom, rl::test_result_deadlock);
}

}  // namespace
}  // namespace rc_model
