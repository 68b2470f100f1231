// The cheapest clock the machine has: the time-stamp counter where it runs at one rate on all cores, else the
// monotonic clock. Every lane of the bench reads the same one, once per round trip.
#ifndef HARNESS_BENCH_CLOCK_H_
#define HARNESS_BENCH_CLOCK_H_

#include <stdint.h>
#include <time.h>

namespace rcbench {

inline uint64_t monotonic_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

// Set once, before any process is forked; the children inherit it.
struct ClockRate {
  bool counter = false;  // ticks() reads the time-stamp counter
  double ns_per_tick = 1;
};
extern ClockRate g_clock;

// Looks whether the counter can be trusted and measures its rate (20 ms).
void calibrate_clock();

inline uint64_t ticks() {
#if defined(__x86_64__)
  if (g_clock.counter) return __builtin_ia32_rdtsc();
#endif
  return monotonic_ns();
}

}  // namespace rcbench

#endif  // HARNESS_BENCH_CLOCK_H_
