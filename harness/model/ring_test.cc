// Small rings, exhaustively: every pair of sizes in lock step against the byte model, runways, the tail line, arm
// counts.
#include "core/ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/doorbell.h"
#include "harness/model/ring_model.h"

namespace rc_model {
namespace {

constexpr size_t kMostCapacity = 12;

// What a step of a blocking put or get does to a ring: all n at once if n is at most half of it, else as much as there
// is room for (rc.h, rc_put and rc_get).
size_t piece(size_t left, size_t n, size_t there, size_t capacity) {
  if (n <= capacity / 2) return there >= left ? left : 0;
  return there < left ? there : left;
}

class Putter {
 public:
  Putter(Direction* d, size_t n, bool tail_line) : d_(*d), n_(n), left_(n), tail_line_(tail_line) {}
  // One look and what can be put then; how many bytes.
  size_t step() {
    size_t now = piece(left_, n_, d_.space_after_look(), d_.capacity());
    if (now == 0) return 0;
    if (now <= d_.tx().runway()) {
      d_.put_here(now);
    } else {
      d_.stage(now);
      tail_line_&& now <= rc::kTailBytes ? d_.publish_with_copy() : d_.publish();
      if (!tail_line_) d_.extend_put_runway(3 * now, now);
    }
    left_ = left_ == now ? n_ : left_ - now;
    return now;
  }

 private:
  Direction& d_;
  size_t n_, left_;
  bool tail_line_;
};

class Getter {
 public:
  Getter(Direction* d, size_t n) : d_(*d), n_(n), left_(n) {}
  size_t step() {
    size_t there = d_.available_after_look();
    size_t now = piece(left_, n_, there, d_.capacity());
    if (now == 0) {
      if (d_.rx().untold() != 0) d_.tell_credit();
      return 0;
    }
    if (now <= d_.rx().runway()) {
      d_.get_here(now);
    } else if (now != there || !d_.get_newest()) {
      d_.get(now);
      d_.extend_get_runway();
    }
    if (d_.rx().credit_due()) d_.tell_credit();
    left_ = left_ == now ? n_ : left_ - now;
    return now;
  }

 private:
  Direction& d_;
  size_t n_, left_;
};

struct Pair {
  size_t capacity, put, get;
  uint64_t start;
};
std::ostream& operator<<(std::ostream& out, const Pair& p) {
  return out << "capacity " << p.capacity << ", put " << p.put << ", get " << p.get << ", start " << p.start;
}

// Runs both sides in turn. Twice in a row nothing moved: nothing ever will.
void run_in_lock_step(const Pair& p, bool tail_line) {
  Direction d(p.capacity, p.start);
  Putter putter(&d, p.put, tail_line);
  Getter getter(&d, p.get);
  uint64_t enough = 8 * p.capacity + 4 * (p.put + p.get);
  for (int idle = 0; d.bytes_got() < enough;) {
    size_t moved = putter.step() + getter.step();
    idle = moved == 0 ? idle + 1 : 0;
    ASSERT_LT(idle, 2) << "stuck after " << d.bytes_got() << " bytes: " << p;
    ASSERT_EQ(d.error(), "") << p;
  }
}

TEST(RingLockStep, EveryPairOfSizesAtEveryStart) {
  for (size_t capacity = 1; capacity <= kMostCapacity; ++capacity) {
    for (size_t put = 1; put <= capacity + 1; ++put) {
      for (size_t get = 1; get <= capacity + 1; ++get) {
        for (uint64_t start : kStarts) {
          for (bool tail_line : {false, true}) run_in_lock_step({capacity, put, get, start}, tail_line);
        }
      }
    }
  }
}

TEST(RingLockStep, SizesMuchLargerThanTheRing) {
  for (size_t capacity : {1, 2, 7, 12}) {
    for (uint64_t start : kStarts) {
      run_in_lock_step({capacity, 100, 37, start}, true);
      run_in_lock_step({capacity, 1, 100, start}, true);
    }
  }
}

TEST(RingSizes, NothingOneAlmostAllAndAll) {
  for (size_t capacity = 1; capacity <= kMostCapacity; ++capacity) {
    for (uint64_t start : kStarts) {
      Direction d(capacity, start);
      for (size_t n : {size_t{0}, size_t{1}, capacity - 1, capacity}) {
        for (size_t offset = 0; offset < capacity; ++offset) {  // from every place in the ring
          d.stage(n);
          ASSERT_EQ(d.available_after_look(), 0u);
          d.publish();
          ASSERT_EQ(d.available_after_look(), n);
          ASSERT_EQ(d.tx().space(), capacity - n);
          d.get_by_spans(n);
          ASSERT_EQ(d.space_after_look(), capacity - n) << "credit that was not told";
          d.tell_credit();
          ASSERT_EQ(d.space_after_look(), capacity);
          d.stage(1);
          d.publish();
          d.available_after_look();
          d.get_in_halves(1);
          d.tell_credit();
          d.space_after_look();
          ASSERT_EQ(d.error(), "");
        }
      }
    }
  }
}

TEST(RingSizes, StagedBytesAreInvisibleAndCanBeTakenBack) {
  for (uint64_t start : kStarts) {
    Direction d(5, start);
    for (size_t round = 0; round < 20; ++round) {
      d.stage(3);
      d.publish();
      d.stage(2);
      ASSERT_EQ(d.available_after_look(), 3u);
      ASSERT_EQ(d.tx().space(), 0u);
      rc::Spans s = d.tx().unpublished();
      ASSERT_EQ(s.at, (round * 4 + 3) % 5);
      ASSERT_EQ(d.tx().staged(), 2u);
      ASSERT_EQ(s.first + s.second, 2u);
      d.take_back(1);
      ASSERT_EQ(d.tx().space(), 1u);
      d.take_back(1);
      d.stage_in_place(1);
      d.publish();
      ASSERT_EQ(d.available_after_look(), 4u);
      d.get(4);
      d.tell_credit();
      ASSERT_EQ(d.space_after_look(), 5u);
      ASSERT_EQ(d.error(), "");
    }
  }
}

// A runway is one piece of the ring, and what is free or there; it may be used in any steps.
TEST(RingRunway, IsOnePieceOfWhatIsFree) {
  for (size_t capacity = 1; capacity <= kMostCapacity; ++capacity) {
    for (uint64_t start : kStarts) {
      Direction d(capacity, start);
      for (size_t step = 0; step < 200; ++step) {
        size_t at = d.bytes_put() % capacity;
        size_t space = d.space_after_look();
        size_t most = 1 + step % (capacity + 2);
        d.extend_put_runway(most, 2 * capacity);
        ASSERT_EQ(d.tx().runway(), std::min({most, space, capacity - at}));
        while (d.tx().runway() != 0) d.put_here(1);
        at = d.bytes_got() % capacity;
        size_t there = d.available_after_look();
        d.extend_get_runway();
        ASSERT_LE(d.rx().runway(), std::min(there, capacity - at));
        d.get_here(d.rx().runway());
        if (step % 3 == 0) d.get(d.available_after_look());
        if (d.rx().credit_due()) d.tell_credit();
        if (step % 5 == 0) d.tell_credit();
        ASSERT_EQ(d.error(), "");
      }
    }
  }
}

// A small get on a runway tells no credit, so no such get may be the one that makes it due: a getter that has read half
// the ring and does something else then would leave the putter waiting before a ring that is half empty (I6).
TEST(RingRunway, EndsBeforeCreditIsDue) {
  for (size_t capacity = 1; capacity <= 64; ++capacity) {
    Direction d(capacity, 0);
    for (size_t step = 0; step < 100; ++step) {
      d.space_after_look();
      d.stage(std::min(d.tx().space(), 1 + step % capacity));
      d.publish();
      d.available_after_look();
      d.extend_get_runway();
      d.get_here(d.rx().runway());
      ASSERT_FALSE(d.rx().credit_due()) << "capacity " << capacity << ": " << d.rx().untold() << " bytes untold";
      d.get(std::min(d.rx().available(), step % 3));
      if (d.rx().credit_due()) d.tell_credit();
      ASSERT_EQ(d.error(), "");
    }
  }
}

TEST(TailLine, CarriesUpToSixWordsAndOnlyTheNewestBytes) {
  for (uint64_t start : kStarts) {
    Direction d(64, start);
    for (size_t n = 0; n <= rc::kTailBytes; ++n) {
      d.stage(n);
      d.publish_with_copy();
      d.available_after_look();
      ASSERT_TRUE(d.get_newest()) << n;
      d.tell_credit();
      d.space_after_look();
      ASSERT_EQ(d.error(), "") << n;
    }
    d.stage(rc::kTailBytes + 1);
    d.publish();
    d.available_after_look();
    ASSERT_FALSE(d.get_newest()) << "too many bytes";
    d.get(rc::kTailBytes + 1);
    d.tell_credit();
    d.space_after_look();
    // The line of an earlier put is no use for a later plain one, nor for two together.
    d.stage(8);
    d.publish_with_copy();
    d.stage(8);
    d.publish();
    d.available_after_look();
    ASSERT_FALSE(d.get_newest());
    d.get(8);
    ASSERT_FALSE(d.get_newest());
    d.get(8);
    d.stage(4);
    d.stage(8);
    d.publish_with_copy();
    d.available_after_look();
    ASSERT_FALSE(d.get_newest());
    d.get(4);
    ASSERT_TRUE(d.get_newest());
    ASSERT_EQ(d.error(), "");
  }
}

// ------------------------------------------------------------------------------------------------- lines asked for

std::multiset<size_t> g_owned;
std::multiset<size_t> g_wanted;

// Notes which places are asked for.
struct OwnedNoted : rc::StdAtomics {
  static void ring_own(Ring, size_t at) noexcept { g_owned.insert(at); }
  static void ring_want(Ring, size_t at) noexcept { g_wanted.insert(at); }
};

TEST(OwnAhead, AsksForEachFreeLineOnceAndForNoOther) {
  constexpr size_t kCapacity = 1024;
  for (uint64_t start : kStarts) {
    std::vector<uint8_t> memory(kCapacity), bytes(kCapacity);
    rc::TailLineOf<OwnedNoted::Word> line;
    OwnedNoted::Word credit{start};
    rc::TxRing<OwnedNoted> tx;
    tx.init(memory.data(), kCapacity, start);
    g_owned.clear();
    for (size_t put = 0; put < kCapacity / 16; ++put) {
      tx.own_ahead(256);
      for (size_t at : g_owned) ASSERT_LT(at, kCapacity);
      tx.write(bytes.data(), 16);
      tx.publish(line);
    }
    EXPECT_EQ(g_owned.size(), kCapacity / rc::kLine);
    EXPECT_EQ(std::set<size_t>(g_owned.begin(), g_owned.end()).size(), kCapacity / rc::kLine) << "a line twice";
    tx.own_ahead(256);
    EXPECT_EQ(g_owned.size(), kCapacity / rc::kLine) << "the ring is full, nothing is free";
    credit.store(start + 64);
    ASSERT_TRUE(tx.take_credit(credit));
    tx.own_ahead(256);
    EXPECT_EQ(g_owned.size(), kCapacity / rc::kLine + 1);
    EXPECT_EQ(g_owned.count(0), 2u);
    credit.store(start + kCapacity);
    ASSERT_TRUE(tx.take_credit(credit));
    tx.write(bytes.data(), kCapacity - 64);
    g_owned.clear();
    tx.own_ahead(64);
    EXPECT_EQ(g_owned, std::multiset<size_t>{kCapacity - 64});
    tx.write(bytes.data(), 0);
    tx.publish(line);
  }
}

TEST(OwnAhead, NeverTouchesBytesThatThePeerMayStillRead) {
  for (size_t capacity = 1; capacity <= 200; capacity += 7) {
    std::vector<uint8_t> memory(capacity), bytes(capacity);
    rc::TailLineOf<OwnedNoted::Word> line;
    OwnedNoted::Word credit{0};
    rc::TxRing<OwnedNoted> tx;
    tx.init(memory.data(), capacity, 0);
    for (size_t step = 0; step < 500; ++step) {
      g_owned.clear();
      tx.own_ahead(1000);
      size_t at = static_cast<size_t>(tx.written() % capacity);
      for (size_t own : g_owned) ASSERT_LT(own, capacity);
      for (size_t own : g_owned) ASSERT_LT((own + capacity - at) % capacity, tx.space()) << capacity;
      size_t n = step * 13 % (tx.space() + 1);
      tx.write(bytes.data(), n);
      tx.publish(line);
      credit.store(tx.credit() + step * 5 % (tx.in_flight() + 1));
      ASSERT_TRUE(tx.take_credit(credit));
    }
  }
}

TEST(WantAhead, AsksForEachArrivedLineOnceAndForNoOther) {
  constexpr size_t kCapacity = 1024;
  for (uint64_t start : kStarts) {
    std::vector<uint8_t> memory(kCapacity), bytes(kCapacity);
    rc::TailLineOf<OwnedNoted::Word> line;
    rc::RxRing<OwnedNoted> rx;
    rx.init(memory.data(), kCapacity, start);
    g_wanted.clear();
    for (size_t lap = 1; lap <= 5; ++lap) {
      for (size_t got = 0; got < kCapacity; got += 16) {
        line.tail.store(rx.read_index() + kCapacity / 2);
        ASSERT_TRUE(rx.look(line));
        rx.want_ahead(256);
        rx.copy_out(bytes.data(), 16);
        rx.consume(16);
      }
      for (size_t at : g_wanted) ASSERT_LT(at, kCapacity);
      for (size_t at = 0; at < kCapacity; at += rc::kLine) {
        ASSERT_GE(g_wanted.count(at), lap) << at;
        ASSERT_LE(g_wanted.count(at), lap + 1) << at;
      }
    }
    line.tail.store(rx.read_index() + kCapacity / 2);
    ASSERT_TRUE(rx.look(line));
    g_wanted.clear();
    rx.want_ahead(10000);
    for (size_t at : g_wanted) ASSERT_LT(at, kCapacity / 2) << "not arrived";
  }
}

// ------------------------------------------------------------------------------------------------- arm counts

TEST(ArmCount, RingsOncePerArmingWhateverTheCount) {
  // How often has been armed before; both ends hold nothing but the count.
  for (uint64_t before : {uint64_t{0}, (uint64_t{1} << 32) - 2, uint64_t{0} - 2}) {
    rc::Sleeper<rc::StdAtomics> sleeper;
    rc::Ringer<rc::StdAtomics> ringer;
    static_assert(sizeof sleeper == sizeof before && sizeof ringer == sizeof before);
    memcpy(static_cast<void*>(&sleeper), &before, sizeof before);
    memcpy(static_cast<void*>(&ringer), &before, sizeof before);
    rc::StdAtomics::Word count{before};
    EXPECT_FALSE(ringer.must_ring(count)) << "nobody sleeps";
    EXPECT_TRUE(ringer.quiet(count));
    for (int i = 0; i < 4; ++i) {
      sleeper.arm(count);
      EXPECT_FALSE(ringer.quiet(count));
      EXPECT_TRUE(ringer.must_ring(count));
      EXPECT_TRUE(ringer.quiet(count));
      EXPECT_FALSE(ringer.must_ring(count)) << "rung already";
    }
    sleeper.arm(count);
    sleeper.arm(count);
    EXPECT_TRUE(ringer.must_ring(count));
    EXPECT_FALSE(ringer.must_ring(count)) << "one ring for two armings";
  }
}

}  // namespace
}  // namespace rc_model
