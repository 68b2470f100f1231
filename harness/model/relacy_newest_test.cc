// Model checking of the tail line that carries the newest bytes: a sequence lock whose words are used again by every
// put.
#include <gtest/gtest.h>

#include "harness/model/explore.h"

namespace rc_model {
namespace {

constexpr size_t kOneWord = 3;   // bytes of a put that needs one word of the tail line
constexpr size_t kTwoWords = 9;  // and of one that needs two

// How the writer publishes; a mix is what the product does, since only an answer goes into the tail line.
enum class Puts { kAllWithCopy, kMixed };

template <Fault F, Puts kPuts, size_t kCapacity, uint64_t kStart>
struct Newest : CountedSuite<Newest<F, kPuts, kCapacity, kStart>, 2> {
  using Atomics = RelacyAtomics<F>;
  static constexpr unsigned kCount = 4;

  ModelInbox inbox;
  rc::TxRing<Atomics> tx;
  rc::RxRing<Atomics> rx;

  void before() {
    Atomics::repeat_begin = false;
    inbox.start_at(kCapacity, kStart);
    tx.init(&inbox.ring, kCapacity, kStart);
    rx.init(&inbox.ring, kCapacity, kStart);
  }

  void after() { RL_ASSERT(rx.read_index() == tx.written()); }

  void thread(unsigned index) { index == 0 ? write_all() : read_all(); }

  void write_all() {
    uint8_t bytes[kTwoWords];
    uint64_t position = 0;
    for (unsigned i = 0; i < kCount; ++i) {
      size_t n = size_of_put(i);
      while (tx.space() < n) {
        RL_ASSERT(tx.take_credit(inbox.credit));
        if (tx.space() < n) rl::yield(1, RL_INFO);
      }
      fill_stream(bytes, n, position);
      tx.write(bytes, n);
      position += n;
      unsigned how = kPuts == Puts::kAllWithCopy ? 0 : rl::rand(3);
      if (how == 0) tx.publish_with_copy(inbox.line, bytes, n);
      if (how == 1) tx.publish(inbox.line);
      // how == 2: staged, the next one publishes both
    }
    tx.publish(inbox.line);
  }

  void read_all() {
    uint8_t bytes[kCapacity];
    uint64_t position = 0;
    while (position < kTotal) {
      RL_ASSERT(rx.look(inbox.line));
      size_t n = rx.available();
      if (n == 0) {
        if (rx.untold() != 0) rx.tell_credit(inbox.credit);
        rl::yield(1, RL_INFO);
        continue;
      }
      if (!rx.copy_newest(inbox.line, bytes, n)) rx.copy_out(bytes, n);
      RL_ASSERT(is_stream(bytes, n, position));
      rx.consume(n);
      position += n;
      if (rx.credit_due()) rx.tell_credit(inbox.credit);
    }
  }

  // One and two words in turn: a torn copy of two is made of a put of one.
  static size_t size_of_put(unsigned i) { return i % 2 == 0 ? kTwoWords : kOneWord; }
  static constexpr uint64_t kTotal = kCount / 2 * (kOneWord + kTwoWords);
};

constexpr uint64_t kNear64 = uint64_t{0} - 10;

// A ring with room for two puts, so that the writer uses the tail line again while the reader copies from it.
TEST(NewestModel, EveryPutInTheTailLine) { expect_sound<Newest<Fault::kNone, Puts::kAllWithCopy, 14, 0>>(kRandom); }
TEST(NewestModel, EveryPutInTheTailLineFromNear64Bits) {
  expect_sound<Newest<Fault::kNone, Puts::kAllWithCopy, 24, kNear64>>(kRandom);
}
TEST(NewestModel, MixedWithPlainAndStagedPuts) {
  expect_sound<Newest<Fault::kNone, Puts::kMixed, 24, kNear64>>(kRandom);
}
TEST(NewestModel, EveryScheduleOfFewSwitches) {
  expect_sound<Newest<Fault::kNone, Puts::kAllWithCopy, 14, 0>>(up_to_switches(2));
}

template <Fault F>
using Faulty = Newest<F, Puts::kAllWithCopy, 24, 0>;

TEST(NewestModelFinds, NoReleaseFence) {
  expect_found<Faulty<Fault::kNoReleaseFence>>(kRandom, rl::test_result_user_assert_failed);
}
TEST(NewestModelFinds, NoAcquireFence) {
  expect_found<Faulty<Fault::kNoAcquireFence>>(kRandom, rl::test_result_user_assert_failed);
}
TEST(NewestModelFinds, NoSecondCheck) {
  expect_found<Faulty<Fault::kNoSecondCheck>>(kRandom, rl::test_result_user_assert_failed);
}
TEST(NewestModelFinds, RelaxedPublish) {
  expect_found<Faulty<Fault::kPublishRelaxed>>(kRandom, rl::test_result_user_assert_failed);
}

}  // namespace
}  // namespace rc_model
