// The honest half: every call of rc.h against a scribbling peer, each checked; the long form of the hostile tests.
#ifndef HARNESS_HOSTILE_ORDEAL_H_
#define HARNESS_HOSTILE_ORDEAL_H_

#include <stdint.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace hostile {

struct OrdealReport {
  uint64_t rounds = 0;
  uint64_t calls = 0;
  uint64_t bytes_put = 0, bytes_got = 0, messages_got = 0;
  int64_t longest_ns = 0;
  int64_t grown_kb = 0;                   // resident memory, since the first tenth was over
  std::map<std::string, uint64_t> codes;  // how often each call ended how
  std::vector<std::string> failures;      // with the seed of the round
};

enum class Over { kShm, kTcp };

// Runs rounds, each with a peer of its own chosen by a seed, one after the other from `seed`, until the seconds are
// over. `progress` is called now and then.
OrdealReport endure(Over over, double seconds, uint32_t seed, const std::function<void(const OrdealReport&)>& progress);

}  // namespace hostile

#endif  // HARNESS_HOSTILE_ORDEAL_H_
