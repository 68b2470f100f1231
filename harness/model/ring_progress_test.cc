// Progress: from no state that a putter and a getter of fixed sizes can reach, in whatever order they take their steps,
// may both be stuck. All states are visited; a state is what the shipped ring ends hold, seen relative to each other.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <numeric>
#include <set>

#include "core/ring.h"

namespace rc_model {
namespace {

// One thread, no bytes: only indices matter here.
struct IndicesOnly {
  struct Own {
    uint64_t value = 0;
    void set(uint64_t n) { value = n; }
    uint64_t get() const { return value; }
  };
  struct Word {
    uint64_t value = 0;
  };
  struct Ring {};
  static uint64_t load_relaxed(const Word& w) noexcept { return w.value; }
  static uint64_t load_acquire(const Word& w) noexcept { return w.value; }
  static void store_relaxed(Word& w, uint64_t v) noexcept { w.value = v; }
  static void store_release(Word& w, uint64_t v) noexcept { w.value = v; }
  static void fence_acquire() noexcept {}
  static void fence_release() noexcept {}
  static void ring_write(Ring, size_t, const void*, size_t) noexcept {}
  static void ring_read(Ring, size_t, void*, size_t) noexcept {}
  static void ring_write_small(Ring, size_t, const void*, size_t) noexcept {}
  static void ring_read_small(Ring, size_t, void*, size_t) noexcept {}
  static void ring_want(Ring, size_t) noexcept {}
  static void ring_own(Ring, size_t) noexcept {}
};

// When a getter tells its credit: the product's rule, and two that hang.
enum class Credit { kDueOrShort, kDueOnly, kHalfOnly };

// How a call moves its bytes: all or nothing, as the try forms do; or as rc_put and rc_get do, which move what they can
// as soon as n is more than half the ring.
enum class Calls { kTry, kBlocking };

struct Sizes {
  size_t least, most;  // each call takes any size in between
};

struct Setting {
  size_t capacity;
  Sizes put, get;
  Credit credit;
  Calls calls;
  uint64_t start;
};

class State {
 public:
  explicit State(const Setting& s) : setting_(&s) {
    line_.tail.value = credit_.value = s.start;
    tx_.init({}, s.capacity, s.start);
    rx_.init({}, s.capacity, s.start);
  }

  // Everything that decides what happens next, whatever the absolute indices are.
  using Key = std::array<size_t, 9>;
  Key key() const {
    uint64_t tail = line_.tail.value;
    return {tx_.in_flight(), size_t(credit_.value - tx_.credit()),
            rx_.available(), size_t(tail - rx_.read_index() - rx_.available()),
            rx_.untold(),    put_size_,
            put_left_,       get_size_,
            get_left_};
  }

  bool put_is_over() const { return put_left_ == 0; }
  bool get_is_over() const { return get_left_ == 0; }
  void begin_put(size_t n) { put_left_ = put_size_ = n; }
  void begin_get(size_t n) { get_left_ = get_size_ = n; }

  // One look and what can be done then. False: the peer's honest word was refused.
  bool putter_step() {
    if (!tx_.take_credit(credit_) || tx_.space() > setting_->capacity) return false;
    size_t n = piece(put_left_, put_size_, tx_.space());
    if (n == 0) return true;
    tx_.stage(n);
    tx_.publish(line_);
    put_left_ -= n;
    return true;
  }

  bool getter_step() {
    if (!rx_.look(line_)) return false;
    size_t n = piece(get_left_, get_size_, rx_.available());
    if (n == 0) {
      if (setting_->credit == Credit::kDueOrShort && rx_.untold() != 0) rx_.tell_credit(credit_);
      return true;
    }
    rx_.consume(n);
    get_left_ -= n;
    bool half = rx_.untold() * 2 >= setting_->capacity;
    if (setting_->credit == Credit::kHalfOnly ? half : rx_.credit_due()) rx_.tell_credit(credit_);
    return true;
  }

 private:
  size_t piece(size_t left, size_t n, size_t there) const {
    bool whole = setting_->calls == Calls::kTry || n <= setting_->capacity / 2;
    if (whole) return there >= left ? left : 0;
    return there < left ? there : left;
  }

  const Setting* setting_;
  rc::TxRing<IndicesOnly> tx_;
  rc::RxRing<IndicesOnly> rx_;
  rc::TailLineOf<IndicesOnly::Word> line_;
  IndicesOnly::Word credit_;
  size_t put_size_ = 0, put_left_ = 0;  // left 0: between two calls
  size_t get_size_ = 0, get_left_ = 0;
};

constexpr size_t kTooManyStates = 500000;

struct Visited {
  size_t states = 0;
  size_t stuck = 0;    // both sides are in a call, and neither one's step changes anything any more
  size_t refused = 0;  // an end refused what the other honestly told
};

Visited visit_all(const Setting& setting) {
  Visited out;
  std::set<State::Key> seen;
  std::deque<State> open;
  auto add = [&](const State& s) {
    if (seen.insert(s.key()).second) open.push_back(s);
  };
  add(State(setting));
  while (!open.empty()) {
    if (++out.states == kTooManyStates) {
      ADD_FAILURE() << "the states do not end";
      return out;
    }
    State now = open.front();
    open.pop_front();
    bool moves = false;
    auto step = [&](bool over, Sizes sizes, void (State::*begin)(size_t), bool (State::*go_on)()) {
      if (over) {
        for (size_t n = sizes.least; n <= sizes.most; ++n) {
          State next = now;
          (next.*begin)(n);
          add(next);
        }
        moves = true;
      } else {
        State next = now;
        out.refused += !(next.*go_on)();
        moves |= next.key() != now.key();
        add(next);
      }
    };
    step(now.put_is_over(), setting.put, &State::begin_put, &State::putter_step);
    step(now.get_is_over(), setting.get, &State::begin_get, &State::getter_step);
    out.stuck += !moves;
  }
  return out;
}

constexpr size_t kMostCapacity = 12;
constexpr uint64_t kStarts[] = {0, (uint64_t{1} << 32) - 5, uint64_t{0} - 5};

template <class Check>
void for_all_pairs(size_t beyond_capacity, Check check) {
  for (size_t capacity = 1; capacity <= kMostCapacity; ++capacity) {
    for (size_t put = 1; put <= capacity + beyond_capacity; ++put) {
      for (size_t get = 1; get <= capacity + beyond_capacity; ++get) {
        check(capacity, put, get, kStarts[(capacity + put + get) % 3]);  // a state is the same from any start
      }
    }
  }
}

#define WHERE "capacity " << capacity << ", put " << put << ", get " << get << ", start " << start

TEST(RingProgress, BlockingCallsOfAnySizesNeverHang) {
  size_t states = 0;
  for_all_pairs(3, [&](size_t capacity, size_t put, size_t get, uint64_t start) {
    Visited v = visit_all({capacity, {put, put}, {get, get}, Credit::kDueOrShort, Calls::kBlocking, start});
    EXPECT_EQ(v.stuck, 0u) << WHERE;
    EXPECT_EQ(v.refused, 0u) << WHERE;
    states += v.states;
  });
  EXPECT_GT(states, 10000u) << "too little was visited to mean anything";
  std::cout << "    " << states << " states\n";
}

// The same with a new size at each call, from 1 to beyond the ring.
TEST(RingProgress, BlockingCallsOfMixedSizesNeverHang) {
  size_t states = 0;
  for (size_t capacity = 1; capacity <= 7; ++capacity) {
    Sizes all = {1, capacity + 1};
    Visited v = visit_all({capacity, all, all, Credit::kDueOrShort, Calls::kBlocking, uint64_t{0} - 3});
    EXPECT_EQ(v.stuck, 0u) << capacity;
    EXPECT_EQ(v.refused, 0u) << capacity;
    states += v.states;
  }
  std::cout << "    " << states << " states\n";
}
TEST(RingProgress, TryCallsOfMixedSizesUpToHalfTheRingNeverHang) {
  size_t states = 0;
  for (size_t capacity = 2; capacity <= 12; ++capacity) {
    Sizes half = {1, capacity / 2};
    Visited v = visit_all({capacity, half, half, Credit::kDueOrShort, Calls::kTry, 0});
    EXPECT_EQ(v.stuck, 0u) << capacity;
    EXPECT_EQ(v.refused, 0u) << capacity;
    states += v.states;
  }
  std::cout << "    " << states << " states\n";
}

// The limit of the try forms is exact: they can hang each other only if put + get > capacity + gcd(put, get). So up to
// half the capacity each, which rc.h promises, they never do.
TEST(RingProgress, TryCallsHangOnlyBeyondTheirLimit) {
  size_t beyond = 0;
  for_all_pairs(0, [&](size_t capacity, size_t put, size_t get, uint64_t start) {
    Visited v = visit_all({capacity, {put, put}, {get, get}, Credit::kDueOrShort, Calls::kTry, start});
    bool may_hang = put + get > capacity + std::gcd(put, get);
    EXPECT_EQ(v.stuck != 0, may_hang) << WHERE;
    EXPECT_EQ(v.refused, 0u) << WHERE;
    if (put <= capacity / 2 && get <= capacity / 2) {
      EXPECT_FALSE(may_hang) << WHERE;
    }
    beyond += may_hang;
  });
  EXPECT_GT(beyond, 0u);
}

// The test that proves the test: a getter that gives credit back at half a ring and not when it comes up short.
TEST(RingProgressFinds, ThePlainHalfRingRuleHangsAtPutFiveGetFourCapacityTen) {
  for (uint64_t start : kStarts) {
    for (Calls calls : {Calls::kTry, Calls::kBlocking}) {
      EXPECT_GT(visit_all({10, {5, 5}, {4, 4}, Credit::kHalfOnly, calls, start}).stuck, 0u);
      EXPECT_EQ(visit_all({10, {5, 5}, {4, 4}, Credit::kDueOrShort, calls, start}).stuck, 0u);
    }
  }
}

// Telling sooner than at half a ring does not help by itself: the get that comes up short must tell.
TEST(RingProgressFinds, TellingWhenDueOnlyHangsToo) {
  constexpr size_t kCapacity = 16;  // the smallest where two bytes may stay untold
  Sizes half = {1, kCapacity / 2};
  EXPECT_GT(visit_all({kCapacity, half, half, Credit::kDueOnly, Calls::kBlocking, 0}).stuck, 0u);
}

TEST(RingProgressFinds, ThePlainHalfRingRuleHangsForManyPairs) {
  size_t pairs = 0, hanging = 0;
  for_all_pairs(0, [&](size_t capacity, size_t put, size_t get, uint64_t start) {
    ++pairs;
    hanging += visit_all({capacity, {put, put}, {get, get}, Credit::kHalfOnly, Calls::kBlocking, start}).stuck != 0;
  });
  EXPECT_GT(hanging, 0u);
  std::cout << "    " << hanging << " of " << pairs << " hang\n";
}

}  // namespace
}  // namespace rc_model
