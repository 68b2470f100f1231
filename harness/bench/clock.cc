#include "harness/bench/clock.h"

#include <fstream>
#include <string>

namespace rcbench {

ClockRate g_clock;

namespace {

// The kernel itself takes the counter for its clock only after having found it steady and equal on all cores.
bool kernel_trusts_counter() {
  std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string name;
  return file >> name && name == "tsc";
}

}  // namespace

void calibrate_clock() {
#if defined(__x86_64__)
  if (!kernel_trusts_counter()) return;
  uint64_t from_ns = monotonic_ns();
  uint64_t from = __builtin_ia32_rdtsc();
  while (monotonic_ns() - from_ns < 20000000) {
  }
  uint64_t to_ns = monotonic_ns();
  uint64_t to = __builtin_ia32_rdtsc();
  if (to <= from) return;
  g_clock.counter = true;
  g_clock.ns_per_tick = static_cast<double>(to_ns - from_ns) / static_cast<double>(to - from);
#endif
}

}  // namespace rcbench
