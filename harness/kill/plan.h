// How a victim dies, and the two hooks in its code that see to it.
#ifndef HARNESS_KILL_PLAN_H_
#define HARNESS_KILL_PLAN_H_

#include <stdint.h>

#include <atomic>
#include <string>

namespace killing {

struct Plan {
  enum How {
    kLives,          // does its work and ends in good order
    kAtStep,         // kills itself at a crash point: RC_STEP, or before or after a system call, or amid a send
    kFromStart,      // is killed delay_ns after its start, wherever it is
    kFromConnected,  // the same, after it has a channel
    kAtInstruction,  // is killed after so many machine instructions of one call of rc.h
  };
  How how = kLives;
  std::string where;        // kAtStep: the step; kAtInstruction: the function
  uint32_t occurrence = 1;  // the n-th time that it gets there
  uint64_t instruction = 0;
  int64_t delay_ns = 0;

  std::string text() const;
};

// Which crash points a run has passed, and how often. Lies in memory that victim and supervisor share.
struct StepCounts {
  static constexpr uint32_t kMost = 160;
  struct One {
    char name[44];
    uint32_t count;
  } steps[kMost];
  uint32_t used;
};

// Makes the calling process a victim: it dies by this plan. What it passes is counted; kill_ns is set just before it
// kills itself, and `told` when it has told the peer that it closes. tcp: what is sent is a stream, of which a part may
// go.
void die_by(const Plan& plan, StepCounts* counts, std::atomic<int64_t>* kill_ns, std::atomic<bool>* told, bool tcp);

// The exit status of a victim that may not be traced here.
inline constexpr int kNotTraceable = 77;

// One call of rc.h in a victim. With kAtInstruction the supervisor is let in as its tracer.
class Traced {
 public:
  explicit Traced(const char* function);
  ~Traced();

 private:
  bool stepped_;
};

}  // namespace killing

#endif  // HARNESS_KILL_PLAN_H_
