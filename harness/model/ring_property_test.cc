// Random command sequences on random rings against the byte model; RapidCheck shrinks what fails.
// RC_PARAMS="max_success=1000000" makes a long run, RC_PARAMS="seed=..." repeats one (RapidCheck's own variable).
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <stdlib.h>

#include <ostream>
#include <vector>

#include "harness/model/ring_model.h"

namespace rc_model {
namespace {

const int kCases = setenv("RC_PARAMS", "max_success=2000", 0);  // RapidCheck's default is 100; what is set stays

enum class Do {
  kStage,
  kStageInPlace,
  kExtendPutRunway,
  kPutHere,
  kStageHere,
  kEndPutRunway,
  kTakeBack,
  kPublish,
  kPublishWithCopy,
  kTakeCredit,
  kOwnAhead,
  kWantAhead,
  kLook,
  kGet,
  kGetInHalves,
  kGetBySpans,
  kGetNewest,
  kExtendGetRunway,
  kGetHere,
  kEndGetRunway,
  kTellCredit,
};
constexpr const char* kNames[] = {"stage",
                                  "stage in place",
                                  "extend put runway",
                                  "put here",
                                  "stage here",
                                  "end put runway",
                                  "take back",
                                  "publish",
                                  "publish with copy",
                                  "take credit",
                                  "own ahead",
                                  "want ahead",
                                  "look",
                                  "get",
                                  "get in halves",
                                  "get by spans",
                                  "get newest",
                                  "extend get runway",
                                  "get here",
                                  "end get runway",
                                  "tell credit"};
static_assert(sizeof kNames / sizeof *kNames == int(Do::kTellCredit) + 1);

// `size` is cut to what is possible when the command runs, so that every sequence is a legal one.
struct Command {
  Do what;
  size_t size;
};
std::ostream& operator<<(std::ostream& out, const Command& c) { return out << kNames[int(c.what)] << ' ' << c.size; }

size_t at_most(size_t n, size_t limit) { return n % (limit + 1); }

// What happened in all runs together, to see that the sequences reach everything.
struct Reached {
  uint64_t commands, bytes, newest_taken, newest_refused, wraps, full, taken_back, put_here, got_here;
} g_reached;

void run(const Command& c, Direction* d) {
  size_t space = d->tx().space();
  size_t there = d->rx().available();
  switch (c.what) {
    case Do::kStage:
      return d->stage(at_most(c.size, space));
    case Do::kStageInPlace:
      return d->stage_in_place(at_most(c.size, space));
    case Do::kExtendPutRunway:
      return d->extend_put_runway(c.size, c.size / 2);
    case Do::kPutHere: {
      if (d->staged() != 0) return;
      size_t n = at_most(c.size, d->tx().runway());
      g_reached.put_here += n;
      return d->put_here(n);
    }
    case Do::kStageHere:
      return d->stage_here(at_most(c.size, d->tx().runway()));
    case Do::kEndPutRunway:
      return d->tx().end_runway();
    case Do::kTakeBack: {
      size_t n = at_most(c.size, d->staged());
      g_reached.taken_back += n;
      return d->take_back(n);
    }
    case Do::kPublish:
      return d->publish();
    case Do::kPublishWithCopy:
      d->stage(at_most(c.size, space < rc::kTailBytes ? space : rc::kTailBytes));
      return d->publish_with_copy();
    case Do::kTakeCredit:
      g_reached.full += d->tx().space() == 0;
      d->space_after_look();
      return;
    case Do::kOwnAhead:
      return d->tx().own_ahead(c.size);
    case Do::kWantAhead:
      return d->rx().want_ahead(c.size);
    case Do::kLook:
      d->available_after_look();
      return;
    case Do::kGet:
      return d->get(at_most(c.size, there));
    case Do::kGetInHalves:
      return d->get_in_halves(at_most(c.size, there));
    case Do::kGetBySpans:
      return d->get_by_spans(at_most(c.size, there));
    case Do::kGetNewest:
      ++(d->get_newest() ? g_reached.newest_taken : g_reached.newest_refused);
      return;
    case Do::kExtendGetRunway:
      return d->extend_get_runway();
    case Do::kGetHere: {
      size_t n = at_most(c.size, d->rx().runway());
      g_reached.got_here += n;
      return d->get_here(n);
    }
    case Do::kEndGetRunway:
      return d->rx().end_runway();
    case Do::kTellCredit:
      return d->tell_credit();
  }
}

rc::Gen<std::vector<Command>> commands() {
  auto what = rc::gen::map(rc::gen::inRange(0, int(sizeof kNames / sizeof *kNames)), [](int i) { return Do(i); });
  auto size =
      rc::gen::weightedOneOf<size_t>({{4, rc::gen::inRange<size_t>(0, 60)}, {1, rc::gen::inRange<size_t>(0, 5000)}});
  auto one = rc::gen::map(rc::gen::pair(what, size), [](std::pair<Do, size_t> p) {
    return Command{p.first, p.second};
  });
  return rc::gen::scale(8.0, rc::gen::container<std::vector<Command>>(one));
}

rc::Gen<size_t> capacities() {
  return rc::gen::weightedOneOf<size_t>({{2, rc::gen::inRange<size_t>(1, 16)},
                                         {2, rc::gen::inRange<size_t>(16, 300)},
                                         {1, rc::gen::elementOf(std::vector<size_t>{4096, 64, 128})}});
}

rc::Gen<uint64_t> starts() {
  auto below = [](uint64_t wrap) {
    return rc::gen::map(rc::gen::inRange<uint64_t>(0, 400), [wrap](uint64_t back) { return wrap - back; });
  };
  return rc::gen::oneOf(rc::gen::just<uint64_t>(0), below(uint64_t{1} << 32), below(0), rc::gen::arbitrary<uint64_t>());
}

RC_GTEST_PROP(RingProperty, AnyCommandSequenceAgreesWithTheModel, ()) {
  size_t capacity = *capacities();
  uint64_t start = *starts();
  std::vector<Command> sequence = *commands();
  Direction d(capacity, start);
  for (const Command& c : sequence) {
    run(c, &d);
    ++g_reached.commands;
    RC_ASSERT(d.error() == "");
  }
  // Whatever was done, the rest comes out whole.
  d.publish();
  while (d.available_after_look() != 0) d.get(d.rx().available());
  d.tell_credit();
  RC_ASSERT(d.space_after_look() == capacity);
  RC_ASSERT(d.bytes_got() == d.bytes_put());
  RC_ASSERT(d.error() == "");
  g_reached.bytes += d.bytes_got();
  g_reached.wraps += start + d.bytes_got() < start;
}

TEST(RingProperty, TheSequencesReachEverything) {
  std::cout << "    " << g_reached.commands << " commands, " << g_reached.bytes << " bytes, " << g_reached.newest_taken
            << " out of the tail line, " << g_reached.newest_refused << " refused there, " << g_reached.wraps
            << " wrap-arounds of 2^64, " << g_reached.full << " times full\n";
  if (g_reached.commands == 0) GTEST_SKIP() << "the property was not run";
  EXPECT_GT(g_reached.bytes, 0u);
  EXPECT_GT(g_reached.newest_taken, 0u);
  EXPECT_GT(g_reached.newest_refused, 0u);
  EXPECT_GT(g_reached.wraps, 0u);
  EXPECT_GT(g_reached.full, 0u);
  EXPECT_GT(g_reached.taken_back, 0u);
  EXPECT_GT(g_reached.put_here, 0u);
  EXPECT_GT(g_reached.got_here, 0u);
}

// A peer writes what it likes into the words that this side loads: nothing is believed that cannot be.
RC_GTEST_PROP(RingProperty, NoClaimOfAPeerIsBelievedThatCannotBe, ()) {
  size_t capacity = *capacities();
  uint64_t start = *starts();
  std::vector<uint8_t> memory(capacity), bytes(capacity);
  TailLine line;
  for (auto& word : line.words) word.store(*rc::gen::arbitrary<uint64_t>());
  rc::StdAtomics::Word credit{start};
  rc::TxRing<rc::StdAtomics> tx;
  rc::RxRing<rc::StdAtomics> rx;
  tx.init(memory.data(), capacity, start);
  rx.init(memory.data(), capacity, start);
  for (int i = 0; i < 20; ++i) {
    tx.write(bytes.data(), *rc::gen::inRange<size_t>(0, tx.space() + 1));
    TailLine own;
    if (*rc::gen::arbitrary<bool>()) tx.publish(own);
    auto claim_near = [&](uint64_t index) {
      return *rc::gen::weightedOneOf<uint64_t>({{4, rc::gen::map(rc::gen::inRange<int64_t>(-10, int64_t(capacity) + 10),
                                                                 [index](int64_t by) { return index + uint64_t(by); })},
                                                {1, rc::gen::arbitrary<uint64_t>()}});
    };
    uint64_t claim = claim_near(tx.credit()), before = tx.credit();
    credit.store(claim);
    bool possible = claim - before <= tx.published() - before;
    RC_ASSERT(tx.take_credit(credit) == possible);
    RC_ASSERT(tx.credit() == (possible ? claim : before));
    RC_ASSERT(tx.space() <= capacity);

    claim = claim_near(rx.read_index());
    line.tail.store(claim);
    size_t available = rx.available();
    possible = claim - rx.read_index() <= capacity && claim - rx.read_index() >= available;
    RC_ASSERT(rx.look(line) == possible);
    RC_ASSERT(rx.available() == (possible ? claim - rx.read_index() : available));
    // The newest bytes are never more than were asked for, whatever `begin` says.
    size_t n = *rc::gen::inRange<size_t>(0, rc::kTailBytes + 3);
    line.begin.store(rc::TxRing<rc::StdAtomics>::tail_mark(claim, n));
    std::vector<uint8_t> to(n + 1, 0x5a);
    RC_ASSERT(rx.copy_newest(line, to.data(), n) == (possible && n <= rc::kTailBytes));
    RC_ASSERT(to[n] == 0x5a);
    rx.consume(*rc::gen::inRange<size_t>(0, rx.available() + 1));
    if (*rc::gen::arbitrary<bool>()) rx.tell_credit(credit);
  }
}

}  // namespace
}  // namespace rc_model
