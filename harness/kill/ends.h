// The two processes of a run: the victim, a new one each time, and the survivor, which meets one victim after the
// other.
#ifndef HARNESS_KILL_ENDS_H_
#define HARNESS_KILL_ENDS_H_

#include <stdint.h>

#include <atomic>
#include <string>

#include "harness/kill/plan.h"
#include "harness/kill/script.h"

namespace killing {

struct Setup {
  std::string uri;
  Script script = Script::kPuts;
  bool victim_serves = false;  // the victim listens and accepts, the survivor connects; or the reverse
  int64_t slice_ns = INT64_C(20) * 1000 * 1000 * 1000;  // see End
  bool tcp() const { return uri.rfind("tcp:", 0) == 0; }
};

// Longer than anything takes that works.
inline constexpr int64_t kPatienceNs = INT64_C(20) * 1000 * 1000 * 1000;

// What a victim leaves behind; read after its death.
struct Victim {
  enum Stage : uint32_t { kStarting, kListening, kConnected, kClosing, kGone };
  Progress progress;
  std::atomic<uint32_t> stage;
  std::atomic<bool> told;  // it has stored that it closes
  std::atomic<int64_t> kill_ns;
  StepCounts steps;
  char problem[400];  // something that must not be
};

// Memory that all processes of a series share.
struct Board {
  Victim victim;
  Progress survivor;               // of the channel that is open
  std::atomic<uint64_t> last_run;  // the survivor leaves after it; 0: there will be more
};

// What the survivor says, through a pipe.
struct Message {
  enum Kind : uint32_t {
    kOpened,     // has a channel with victim `run`
    kEnded,      // it is over, the rest tells how
    kNotOpened,  // rc_connect ended with `code`
    kFinished,   // served the last run, gave everything back
    kTrouble,    // `text` must not be; the survivor has ended
  };
  Kind kind;
  int32_t code;
  uint64_t run;
  uint64_t put_tried, got;
  int64_t call_ns, return_ns;
  char text[400];  // something that must not be
};

[[noreturn]] void be_victim(const Setup& setup, const Plan& plan, uint64_t run, uint32_t rounds, Victim* self);
[[noreturn]] void be_survivor(const Setup& setup, Board* board, int messages);

}  // namespace killing

#endif  // HARNESS_KILL_ENDS_H_
