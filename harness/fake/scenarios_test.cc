// The acceptance scenarios that are about memory, on the fake with a few seeds, both roles in one process.
#include "harness/conformance/roles.h"

namespace conformance {

std::vector<std::string> schemes() {
  std::vector<std::string> seeds;
#ifdef RC_SANITIZED
  constexpr int kSeeds = 3;
#else
  constexpr int kSeeds = 10;
#endif
  for (int seed = 0; seed < kSeeds; ++seed) seeds.push_back("fake" + std::to_string(seed));
  return seeds;
}

}  // namespace conformance
