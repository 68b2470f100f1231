// Many victims: every crash point, random moments, single instructions, stops. Counts what happened and collects
// problems.
#ifndef HARNESS_KILL_CAMPAIGN_H_
#define HARNESS_KILL_CAMPAIGN_H_

#include <stdint.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "harness/kill/killer.h"

namespace killing {

// The two kinds of name that a shm URI has, and a port, never used before.
std::string fresh_name();
std::string fresh_path();
std::string fresh_port();

struct Tally {
  uint64_t victims = 0;       // started
  uint64_t died = 0;          // where they should
  uint64_t in_handshake = 0;  // of these: before there was a channel
  uint64_t lived = 0;         // did not get to the point where they should have died
  uint64_t late_once = 0;     // noticed late, but not when repeated
  uint64_t stops = 0;
  std::map<int32_t, uint64_t> codes;        // what survivors got
  std::map<std::string, uint64_t> died_at;  // crash points: how many died there
  std::vector<int64_t> from_kill_ns, from_death_ns;
  std::vector<std::string> problems;

  std::string summary();
};

class Campaign {
 public:
  using Progress = std::function<void(const Tally&)>;
  explicit Campaign(Progress progress = nullptr) : progress_(std::move(progress)) {}

  // Kills at each crash point that a victim of this setup passes: the first `occurrences` times it gets there, and the
  // last. `calls`: system calls are crash points too.
  void every_step(const Setup& setup, uint32_t occurrences, bool calls);
  // Kills at random moments.
  void at_random(const Setup& setup, uint64_t count, uint64_t seed);
  // Kills within the n-th call of a function, after each instruction, or after at most `most` of them, evenly spread.
  // False: tracing is forbidden here.
  bool every_instruction(const Setup& setup, const std::string& function, uint32_t occurrence, uint64_t most);
  void stops(const Setup& setup, uint32_t count, uint64_t seed);

  Tally& tally() { return tally_; }

 private:
  void take(std::vector<Outcome> outcomes);
  bool enough() const { return tally_.problems.size() >= 5; }  // to know that something is wrong
  void repeat_late(const Outcome& first);

  Tally tally_;
  Progress progress_;
};

}  // namespace killing

#endif  // HARNESS_KILL_CAMPAIGN_H_
