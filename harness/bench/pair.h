// One sample is one fresh pair of processes, forked, pinned, and gone when it is over. What they share is a control
// page, and as much plain shared memory as they ask for.
#ifndef HARNESS_BENCH_PAIR_H_
#define HARNESS_BENCH_PAIR_H_

#include <stddef.h>
#include <stdint.h>

#include <atomic>
#include <functional>
#include <string>

#include "harness/bench/histogram.h"
#include "harness/bench/placement.h"

namespace rcbench {

// What one sample gave.
struct Sample {
  bool ok = false;
  bool skipped = false;               // not a failure: something that is needed is not here
  std::string why;                    // if it is not ok
  uint64_t count = 0;                 // round trips or messages
  double seconds = 0;                 // for all of them
  double p50 = 0, p99 = 0, p999 = 0;  // ns, round trips only
  uint64_t interruptions = 0;         // times that others took a side's processor away

  static Sample failure(std::string why) {
    Sample sample;
    sample.why = std::move(why);
    return sample;
  }
  static Sample skip(std::string why) {
    Sample sample = failure(std::move(why));
    sample.skipped = true;
    return sample;
  }
};

// Thrown in a side that finds that the machine lacks something; the sample is then skipped, not failed.
struct Missing {
  std::string what;
};

// Shared by the two sides and the process that waits for them.
struct ControlPage {
  struct Report {
    char why[400];
    uint32_t skipped;
    uint64_t count, start_ns, end_ns, interruptions;
    double p50, p99, p999;
  };
  struct alignas(128) Arrivals {
    std::atomic<uint32_t> count;
  };
  Arrivals arrived[2];
  Report report[2];
};

// One of the two processes, as its body sees it.
class Side {
 public:
  Side(ControlPage& page, int index, void* memory, bool yields)
      : page_(page), index_(index), memory_(static_cast<uint8_t*>(memory)), yields_(yields) {}

  uint8_t* memory() const { return memory_; }  // zeroed, the same bytes in both processes

  // Waits for the other side. If that one dies, the process that waits for both ends this one.
  void meet();
  // What a side must go on doing meanwhile so that the other one gets there; none for most.
  std::function<void()> while_waiting;

  // The measured section is between the start of the first and the stop of the last side to say so.
  void start();
  void stop(uint64_t count);
  // Round-trip times in clock ticks.
  void report(const Histogram& histogram);

 private:
  ControlPage& page_;
  int index_;
  uint8_t* memory_;
  bool yields_;
};

using Body = std::function<void(Side&)>;

// Runs the two bodies, `a` on the first processor and `b` on the second, with `bytes` of shared memory (a sealed-size
// memory file, as the shm backend uses). A side that throws, dies, or is not done after deadline_s makes it a failure;
// no process outlives the call.
Sample run_pair(const Placement& placement, size_t bytes, const Body& a, const Body& b, int deadline_s = 60);

}  // namespace rcbench

#endif  // HARNESS_BENCH_PAIR_H_
