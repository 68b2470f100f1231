#include "harness/bench/pair.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <stdexcept>

#include "harness/bench/clock.h"
#include "harness/bench/loops.h"

namespace rcbench {
namespace {

Placement anywhere() {
  static const Placement placement = choose_placement();
  return placement;
}

[[noreturn]] void wait_for_ever(Side&) {
  for (;;) pause();
}

TEST(Pair, BothSidesSeeTheSameZeroedMemoryAndTheirReportsAreCombined) {
  auto a = [](Side& side) {
    if (side.memory()[100] != 0) throw std::runtime_error("not zeroed");
    side.start();
    side.memory()[100] = 7;
    side.meet();
  };
  auto b = [](Side& side) {
    side.meet();
    if (side.memory()[100] != 7) throw std::runtime_error("not the same memory");
    Histogram histogram;
    histogram.add(1000);
    side.report(histogram);
    side.stop(42);
  };
  Sample sample = run_pair(anywhere(), 4096, a, b);
  ASSERT_TRUE(sample.ok) << sample.why;
  EXPECT_EQ(sample.count, 42u);
  EXPECT_GT(sample.seconds, 0);
  EXPECT_GT(sample.p50, 0);
}

TEST(Pair, SidesAreTwoProcessesOnTheirProcessors) {
  Placement placement = anywhere();
  auto body = [&](Side& side) {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof(set), &set);
    auto* pids = reinterpret_cast<std::atomic<pid_t>*>(side.memory());
    int index = pids[0].exchange(getpid()) == 0 ? 0 : 1;
    side.meet();
    if (CPU_COUNT(&set) != 1) throw std::runtime_error("not pinned to one processor");
    if (index == 1 && pids[0].load() != getpid()) throw std::runtime_error("one process only");
    side.start();
    usleep(1);
    side.stop(1);
  };
  Sample sample = run_pair(placement, 4096, body, body);
  EXPECT_TRUE(sample.ok) << sample.why;
}

TEST(Pair, AThrowingSideEndsBothAndItsReasonIsTold) {
  auto thrower = [](Side&) { throw std::runtime_error("no luck today"); };
  for (int turn = 0; turn < 2; ++turn) {
    Sample sample =
        turn == 0 ? run_pair(anywhere(), 0, thrower, wait_for_ever) : run_pair(anywhere(), 0, wait_for_ever, thrower);
    EXPECT_FALSE(sample.ok);
    EXPECT_FALSE(sample.skipped);
    EXPECT_EQ(sample.why, "no luck today");
  }
}

TEST(Pair, ADyingSideEndsBothAndItsSignalIsTold) {
  auto dying = [](Side&) { raise(SIGKILL); };
  auto spinning = [](Side& side) { side.meet(); };  // for the one that never comes
  Sample sample = run_pair(anywhere(), 0, spinning, dying);
  EXPECT_FALSE(sample.ok);
  EXPECT_EQ(sample.why, "ended by signal 9");
}

TEST(Pair, ASideThatFindsSomethingMissingIsASkip) {
  auto finder = [](Side&) { throw Missing{"no such library"}; };
  Sample sample = run_pair(anywhere(), 0, finder, wait_for_ever);
  EXPECT_FALSE(sample.ok);
  EXPECT_TRUE(sample.skipped);
  EXPECT_EQ(sample.why, "no such library");
}

TEST(Pair, TheDeadlineEndsBoth) {
  Sample sample = run_pair(anywhere(), 0, wait_for_ever, wait_for_ever, 1);
  EXPECT_FALSE(sample.ok);
  EXPECT_EQ(sample.why, "not done after 1 s");
}

TEST(Pair, NobodyIsLeftBehind) {
  run_pair(anywhere(), 0, wait_for_ever, [](Side&) { throw std::runtime_error("gone"); });
  errno = 0;
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(Pair, SidesThatReportNothingAreAFailure) {
  Sample sample = run_pair(
      anywhere(), 0, [](Side&) {}, [](Side&) {});
  EXPECT_FALSE(sample.ok);
  EXPECT_EQ(sample.why, "no side reported a measurement");
}

// The content's own account: any change, loss, repetition or exchange of a message is noticed.

class Content : public testing::TestWithParam<size_t> {};

TEST_P(Content, PassesUnharmed) {
  Buffer buffer(GetParam());
  Reader reader;
  for (uint64_t i = 0; i < 10; ++i) {
    fill_content(buffer.data(), GetParam(), i);
    reader.take(buffer.data(), GetParam(), i);
  }
  EXPECT_NO_THROW(reader.check(GetParam(), 10));
  EXPECT_THROW(reader.check(GetParam(), 11), std::runtime_error) << "one is missing";
}

TEST_P(Content, EveryChangedByteIsNoticed) {
  Buffer buffer(GetParam());
  for (size_t at = 0; at < GetParam(); ++at) {
    fill_content(buffer.data(), GetParam(), 0);
    buffer.data()[at] ^= 1;
    Reader reader;
    reader.take(buffer.data(), GetParam(), 0);
    EXPECT_THROW(reader.check(GetParam(), 1), std::runtime_error) << at;
  }
}

TEST_P(Content, ExchangedMessagesAreNoticed) {
  Buffer first(GetParam()), second(GetParam());
  fill_content(first.data(), GetParam(), 0);
  fill_content(second.data(), GetParam(), 1);
  Reader reader;
  reader.take(second.data(), GetParam(), 0);
  reader.take(first.data(), GetParam(), 1);
  EXPECT_THROW(reader.check(GetParam(), 2), std::runtime_error);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Content, testing::Values(8, 16, 24, 40, 64, 72, 1024));

}  // namespace
}  // namespace rcbench
