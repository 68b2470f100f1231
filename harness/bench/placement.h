// Which two processors the two processes of a measurement are pinned to, and what the machine is.
#ifndef HARNESS_BENCH_PLACEMENT_H_
#define HARNESS_BENCH_PLACEMENT_H_

#include <string>

namespace rcbench {

struct Placement {
  int cpu[2] = {0, 0};
  bool one_core = false;  // both processes share it: every hop waits for the scheduler
  std::string note;       // one sentence for the reader
};

// The first two allowed processors that are different cores; two threads of one core if there is no better; one
// processor twice if there is only one.
Placement choose_placement();

// Pins the calling process. False: the system refused.
bool pin_to(int cpu);

std::string cpu_model();
std::string kernel_release();

}  // namespace rcbench

#endif  // HARNESS_BENCH_PLACEMENT_H_
