// Model checking of a stream through a small ring: publish and look, credit, wrap-around.
#include <gtest/gtest.h>

#include "harness/model/explore.h"

namespace rc_model {
namespace {

// The writing end as the product uses it, or with a fault that a memory order cannot express.
template <Fault F>
class Writer {
 public:
  using Atomics = RelacyAtomics<F>;

  void init(ModelInbox* inbox, size_t capacity, uint64_t start) {
    inbox_ = inbox;
    tx_.init(&inbox->ring, capacity, start);
  }
  bool has_space(size_t n) {
    if (tx_.space() >= n) return true;
    RL_ASSERT(tx_.take_credit(inbox_->credit));
    return tx_.space() >= n;
  }
  void put(const uint8_t* from, size_t n) {
    if (F == Fault::kTailBeforePayload) {
      rc::Spans s = tx_.next(n);
      tx_.stage(n);
      tx_.publish(inbox_->line);
      fill(s, from);
    } else if (F == Fault::kWrapOffByOne) {
      // The wrap is noticed one byte too early, and the last byte of the ring is skipped.
      rc::Spans s = tx_.next(n);
      if (s.second != 0) s = {s.at, s.first - 1, s.second + 1};
      fill(s, from);
      tx_.stage(n);
      tx_.publish(inbox_->line);
    } else {
      // The straight way where the place allows it, else the general one, as the product does.
      if (tx_.runway() >= n) {
        tx_.template put_here<true>(from, n, inbox_->line);
      } else {
        tx_.extend_runway(2 * n, n);
        tx_.runway() >= n ? tx_.write_here(from, n) : tx_.write(from, n);
        tx_.publish(inbox_->line);
      }
    }
  }

 private:
  void fill(rc::Spans s, const uint8_t* from) {
    Atomics::ring_write(&inbox_->ring, s.at, from, s.first);
    Atomics::ring_write(&inbox_->ring, 0, from + s.first, s.second);
  }

  ModelInbox* inbox_;
  rc::TxRing<Atomics> tx_;
};

// Sizes are chosen by the scheduler. Each wait is one load, then a yield.
template <Fault F, size_t kCapacity, uint64_t kStart>
struct Stream : CountedSuite<Stream<F, kCapacity, kStart>, 2> {
  using Atomics = RelacyAtomics<F>;
  static constexpr size_t kMost = (kCapacity + 1) / 2;
  static constexpr uint64_t kTotal = 2 * kCapacity + 1;

  ModelInbox inbox;
  Writer<F> tx;
  rc::RxRing<Atomics> rx;

  void before() {
    inbox.start_at(kCapacity, kStart);
    tx.init(&inbox, kCapacity, kStart);
    rx.init(&inbox.ring, kCapacity, kStart);
  }

  void after() { RL_ASSERT(rx.read_index() == kStart + kTotal); }

  void thread(unsigned index) { index == 0 ? write_all() : read_all(); }

  void write_all() {
    uint8_t bytes[kMost];
    for (uint64_t position = 0; position < kTotal;) {
      uint64_t n = at_most(kTotal - position);
      while (!tx.has_space(n)) rl::yield(1, RL_INFO);
      fill_stream(bytes, n, position);
      tx.put(bytes, n);
      position += n;
    }
  }

  void read_all() {
    uint8_t bytes[kMost];
    for (uint64_t position = 0; position < kTotal;) {
      uint64_t n = at_most(kTotal - position);
      while (rx.available() < n) {
        RL_ASSERT(rx.look(inbox.line));
        if (rx.available() >= n) break;
        if (rx.untold() != 0) rx.tell_credit(inbox.credit);  // a get that comes up short gives all credit back
        rl::yield(1, RL_INFO);
      }
      if (rx.runway() >= n) {
        rx.template get_here<true>(bytes, n);
      } else {
        rx.copy_out(bytes, n);
        rx.consume(n);
        rx.extend_runway();
      }
      RL_ASSERT(is_stream(bytes, n, position));
      position += n;
      if (rx.credit_due()) rx.tell_credit(inbox.credit);
    }
  }

  static uint64_t at_most(uint64_t left) {
    uint64_t n = 1 + rl::rand(kMost);
    return n < left ? n : left;
  }
};

constexpr uint64_t kNear32 = (uint64_t{1} << 32) - 3;
constexpr uint64_t kNear64 = uint64_t{0} - 4;

TEST(StreamModel, OneByteRing) { expect_sound<Stream<Fault::kNone, 1, 0>>(kRandom); }
TEST(StreamModel, ThreeBytes) { expect_sound<Stream<Fault::kNone, 3, 0>>(kRandom); }
TEST(StreamModel, FourBytesFromNear32Bits) { expect_sound<Stream<Fault::kNone, 4, kNear32>>(kRandom); }
TEST(StreamModel, FiveBytesFromNear64Bits) { expect_sound<Stream<Fault::kNone, 5, kNear64>>(kRandom); }
TEST(StreamModel, TwoBytesEveryScheduleOfFewSwitches) {
  expect_sound<Stream<Fault::kNone, 2, kNear64>>(up_to_switches(2));
}

template <Fault F>
using Faulty = Stream<F, 3, kNear64>;

TEST(StreamModelFinds, RelaxedPublish) {
  expect_found<Faulty<Fault::kPublishRelaxed>>(kRandom, rl::test_result_data_race);
}
TEST(StreamModelFinds, RelaxedLook) { expect_found<Faulty<Fault::kLookRelaxed>>(kRandom, rl::test_result_data_race); }
TEST(StreamModelFinds, RelaxedTellCredit) {
  expect_found<Faulty<Fault::kTellCreditRelaxed>>(kRandom, rl::test_result_data_race);
}
TEST(StreamModelFinds, RelaxedTakeCredit) {
  expect_found<Faulty<Fault::kTakeCreditRelaxed>>(kRandom, rl::test_result_data_race);
}
TEST(StreamModelFinds, TailBeforePayload) {
  expect_found<Faulty<Fault::kTailBeforePayload>>(kRandom, rl::test_result_data_race);
}
TEST(StreamModelFinds, WrapOffByOne) {
  expect_found<Faulty<Fault::kWrapOffByOne>>(kRandom, rl::test_result_unitialized_access);
}

}  // namespace
}  // namespace rc_model
