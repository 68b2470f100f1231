// The short form of the fuzzers, with any compiler: every built-in input, every one bit of it flipped, every beginning
// of it, and some random changes.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <ostream>
#include <random>
#include <string>

#include "harness/fuzz/targets.h"

namespace fuzz {

static void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

namespace {

class Replay : public testing::TestWithParam<Target> {
 protected:
  void run(const Input& input) {
    // Exactly so many bytes, so that the sanitizer sees a step outside.
    std::unique_ptr<uint8_t[]> copy(new uint8_t[input.size()]);
    std::copy(input.begin(), input.end(), copy.get());
    GetParam().run(copy.get(), input.size());
  }
};

INSTANTIATE_TEST_SUITE_P(All, Replay, testing::ValuesIn(targets()),
                         [](const auto& target) { return std::string(target.param.name); });

TEST_P(Replay, EverySeed) {
  ASSERT_FALSE(GetParam().seeds.empty());
  for (const Input& seed : GetParam().seeds) run(seed);
}

TEST_P(Replay, EveryBitFlipped) {
  for (const Input& seed : GetParam().seeds) {
    Input input = seed;
    for (size_t bit = 0; bit < 8 * seed.size(); ++bit) {
      input[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
      run(input);
      input[bit / 8] = seed[bit / 8];
    }
  }
}

TEST_P(Replay, EveryBeginning) {
  for (const Input& seed : GetParam().seeds) {
    for (size_t n = 0; n < seed.size(); ++n) run(Input(seed.begin(), seed.begin() + static_cast<ptrdiff_t>(n)));
  }
}

TEST_P(Replay, RandomChanges) {
  const uint32_t number = std::random_device{}();
  // A broken promise ends the program: say first what led to it.
  fprintf(stderr, "random seed %u\n", number);
  std::mt19937 random(number);
  for (int i = 0; i < 5000; ++i) {
    const Input& a = GetParam().seeds[random() % GetParam().seeds.size()];
    const Input& b = GetParam().seeds[random() % GetParam().seeds.size()];
    Input input = a;
    if (!b.empty()) input.insert(input.end(), b.begin() + static_cast<ptrdiff_t>(random() % b.size()), b.end());
    for (uint32_t changes = random() % 8; changes != 0 && !input.empty(); --changes) {
      input[random() % input.size()] = static_cast<uint8_t>(random());
    }
    run(input);
  }
}

}  // namespace
}  // namespace fuzz
