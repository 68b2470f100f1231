// A series of victims and one survivor: starts them, kills, and judges what the survivor got.
#ifndef HARNESS_KILL_KILLER_H_
#define HARNESS_KILL_KILLER_H_

#include <stdint.h>
#include <sys/types.h>

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "harness/kill/ends.h"

namespace killing {

// The bound of the issue. It is held against the survivor's own time: from the moment at which the kernel tells the
// victim's death (its pidfd), or at which the survivor's call began if that is later, to the call's return.
inline constexpr int64_t kNoticeNs = INT64_C(100) * 1000 * 1000;
inline constexpr int64_t kTcpNoticeNs = INT64_C(1000) * 1000 * 1000;

struct Outcome {
  Setup setup;
  Plan plan;
  uint64_t run = 0;
  bool died = false;       // as planned; false: it did not get there and ended in good order
  bool connected = false;  // the survivor had a channel with this victim
  int32_t code = RC_OK;    // what the survivor got
  int64_t from_death_ns = 0;
  int64_t from_kill_ns = 0;
  bool late = false;    // beyond kNoticeNs, or kTcpNoticeNs
  std::string problem;  // empty: all as promised

  std::string text() const;
};

class Killer {
 public:
  explicit Killer(const Setup& setup, uint32_t rounds);
  ~Killer();
  Killer(const Killer&) = delete;
  Killer& operator=(const Killer&) = delete;

  // One victim. Its outcome may be known only after a later one.
  void run(const Plan& plan);
  // Stops victim and survivor in turn, for 10..300 ms each, `count` times, while they work; then kills the victim.
  void run_stopped(uint32_t count, uint64_t seed);
  // A last victim that lives, and the survivor's last look. All outcomes so far.
  std::vector<Outcome> finish();

  // Crash points that the last kLives victim passed, and how often.
  std::map<std::string, uint32_t> steps() const;
  // Of the last kAtInstruction victim: the instructions it executed under way, and whether this place allows tracing.
  uint64_t stepped() const { return stepped_; }
  bool traceable() const { return traceable_; }
  // The survivor is gone: nothing more can be run.
  bool broken() const { return broken_; }

 private:
  struct Pending {
    Outcome outcome;
    int64_t dead_ns = 0;  // 0: it still lives
    int64_t kill_ns = 0;
    int status = 0;
    uint32_t stage = 0;
    bool told = false;
    uint64_t put_tried = 0, put_done = 0, got = 0;
    std::string problem;
  };

  void start(const Plan& plan, uint32_t rounds);
  void await_channel();
  void await_death();
  void step_through(const Plan& plan);
  void settle(bool all);
  bool receive(int64_t wait_ns);
  void take(const Message& m);
  void judge(Pending& p, const Message& m);
  void judge_never_connected(Pending& p);
  void fail(const std::string& what);
  bool wait_progress(const Progress& of, std::atomic<uint64_t> Progress::*counter, uint64_t from);

  Setup setup_;
  uint32_t rounds_;
  std::string path_;  // of a socket file; empty: an abstract name
  Board* board_;
  pid_t survivor_ = -1;
  pid_t victim_ = -1;
  int victim_pidfd_ = -1;
  int messages_ = -1;
  uint64_t last_run_ = 0;
  uint64_t stepped_ = 0;
  bool traceable_ = true;
  bool broken_ = false;
  bool finished_ = false;
  std::deque<Pending> pending_;
  std::vector<Outcome> outcomes_;
};

}  // namespace killing

#endif  // HARNESS_KILL_KILLER_H_
