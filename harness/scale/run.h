// Many channels between two processes, each of which has one context, one thread and one descriptor to wait on.
#ifndef HARNESS_SCALE_RUN_H_
#define HARNESS_SCALE_RUN_H_

#include <stdint.h>

#include <string>

namespace scale {

struct Options {
  std::string backend = "tcp";  // or shm
  uint32_t channels = 1000;
  double idle_seconds = 1;
  double seconds = 1;  // of messages
  // The first channels have more messages under way than the others, which are not to notice.
  uint32_t greedy = 10;
  uint32_t greedy_window = 16;
  bool progress_thread = false;  // in both contexts
};

// Of one process.
struct End {
  uint64_t idle_cpu_us;      // processor time of the idle second(s)
  uint64_t resident_bytes;   // grown by all channels
  uint64_t footprint_bytes;  // of the context, without rings
  uint64_t descriptors;      // taken by all channels
  uint64_t closed;           // channels whose end came in good order
};

struct Result {
  std::string skipped;  // why it cannot run here
  std::string problem;  // "" if all is well
  Options options;
  double connect_seconds = 0;
  End client = {}, server = {};
  uint64_t messages = 0, lost = 0;
  uint64_t least = 0, median = 0, most = 0;  // round trips of one channel that is not greedy
  uint64_t greedy_most = 0;
  std::string summary() const;
};

Result run(const Options& options);

}  // namespace scale

#endif  // HARNESS_SCALE_RUN_H_
