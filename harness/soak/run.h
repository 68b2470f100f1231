// A soak run: two processes, several channels, both directions of each under load; every byte checked.
#ifndef HARNESS_SOAK_RUN_H_
#define HARNESS_SOAK_RUN_H_

#include <stdint.h>

#include <functional>
#include <string>

namespace soak {

struct Options {
  double seconds = 0;     // 0: no limit
  uint64_t bytes = 0;     // all directions together; 0: no limit
  uint32_t channels = 4;  // every other one carries messages
  uint64_t ring_bytes = uint64_t{1} << 20;
  uint64_t seed = 1;
};

struct Result {
  double seconds = 0;
  uint64_t bytes = 0, messages = 0;  // got and found right
  uint64_t waits = 0, sleeps = 0, rings = 0;
  // Of both processes: after the first tenth, and in the end.
  uint64_t resident_first = 0, resident_last = 0;
  int descriptors_first = 0, descriptors_last = 0;
  std::string problem;  // empty: none

  std::string summary() const;
};

// Every half second or so: how far it is.
using Progress = std::function<void(double seconds, uint64_t bytes)>;

Result run(const Options& options, const Progress& progress = nullptr);

}  // namespace soak

#endif  // HARNESS_SOAK_RUN_H_
