// Fault 13 of the proof in its short form, and the stamps that it rests on.
#include <gtest/gtest.h>
#include <string.h>

#include <vector>

#include "harness/soak/run.h"
#include "harness/soak/stamp.h"

namespace soak {
namespace {

TEST(Stamp, SaysWhereAByteBelongs) {
  std::vector<uint8_t> all(5000), piece(5000);
  stamp_fill(all.data(), all.size(), 7, 0);
  Choices choices(1);
  for (int i = 0; i < 2000; ++i) {
    size_t at = choices.below(all.size()), n = choices.below(all.size() - at + 1);
    stamp_fill(piece.data(), n, 7, at);
    ASSERT_EQ(0, memcmp(piece.data(), all.data() + at, n)) << at << " " << n;
    ASSERT_EQ(n, stamp_check(all.data() + at, n, 7, at));
    if (n == 0) continue;
    // One bit changed, the wrong place, the wrong stream.
    size_t bad = choices.below(n);
    piece[bad] = static_cast<uint8_t>(piece[bad] ^ (1u << choices.below(8)));
    ASSERT_EQ(bad, stamp_check(piece.data(), n, 7, at));
    if (n < 64) continue;
    ASSERT_LT(stamp_check(all.data() + at, n, 7, at + 1), n);
    ASSERT_LT(stamp_check(all.data() + at, n, 7, at + 8), n);
    ASSERT_LT(stamp_check(all.data() + at, n, 8, at), n);
  }
}

void expect_sound(const Options& options, uint64_t least_bytes) {
  Result r = run(options);
  printf("%s", r.summary().c_str());
  EXPECT_EQ("", r.problem);
  EXPECT_GE(r.bytes, least_bytes);
  EXPECT_GT(r.messages, 0u);
  // Sanitizers keep books of their own; a leak per call would be far more than this.
  EXPECT_LT(r.resident_last, r.resident_first + (32 << 20));
}

TEST(Soak, EveryByteArrives) {
  Options options;
  options.seconds = 5;
  options.bytes = 2000 * 1000 * 1000;
  expect_sound(options, 1000 * 1000);
}

// Rings so small that everything wraps, waits and is split all the time.
TEST(Soak, EveryByteArrivesThroughTinyRings) {
  Options options;
  options.seconds = 3;
  options.bytes = 200 * 1000 * 1000;
  options.channels = 6;
  options.ring_bytes = 4500;
  expect_sound(options, 100 * 1000);
}

}  // namespace
}  // namespace soak
