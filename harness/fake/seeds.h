// The arguments of programs that run many seeds: --seed=FIRST --seeds=COUNT.
#ifndef HARNESS_FAKE_SEEDS_H_
#define HARNESS_FAKE_SEEDS_H_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace fake_seeds {

#ifdef RC_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

struct Seeds {
  uint64_t first;
  uint64_t count;
};

// Under a sanitizer, which is some ten times slower, fewer of them.
inline Seeds read_seeds(int argc, char** argv, uint64_t count) {
  Seeds seeds = {1, kSanitized ? count / 20 : count};
  for (int i = 1; i < argc; ++i) {
    if (strncmp(argv[i], "--seed=", 7) == 0) {
      seeds.first = strtoull(argv[i] + 7, nullptr, 10);
    } else if (strncmp(argv[i], "--seeds=", 8) == 0) {
      seeds.count = strtoull(argv[i] + 8, nullptr, 10);
    } else {
      fprintf(stderr, "%s: wanted --seed=FIRST and --seeds=COUNT, not %s\n", argv[0], argv[i]);
      exit(2);
    }
  }
  return seeds;
}

}  // namespace fake_seeds

#endif  // HARNESS_FAKE_SEEDS_H_
