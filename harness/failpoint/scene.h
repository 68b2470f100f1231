// Two ends in one process: the near one, whose system calls may fail, on the calling thread, the far one on a thread of
// its own.
#ifndef HARNESS_FAILPOINT_SCENE_H_
#define HARNESS_FAILPOINT_SCENE_H_

#include <stdint.h>

#include <atomic>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "capi/rc.h"
#include "harness/failpoint/fault.h"

namespace failpoint {

struct Scenario {
  std::string name;
  std::string uri;
  bool near_listens;
  bool one_context;      // both ends must belong to one context: loop
  bool stale_socket;     // a socket file that nobody listens behind is in the way
  bool tcp = false;      // is what they talk over
  bool regions = false;  // they exchange memory instead of bytes
  bool list = false;     // of transports
};

inline std::ostream& operator<<(std::ostream& out, const Scenario& s) { return out << s.name; }

// All scenarios, with names that nobody uses.
std::vector<Scenario> all_scenarios();
std::vector<Scenario> tcp_scenarios();

// What one end did: the codes it got, and what must not be.
class Account {
 public:
  // Notes a call of rc.h; true if it succeeded.
  bool note(const char* function, int32_t code);
  void complain(const std::string& what) { complaints_.push_back(what); }
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }  // the first call that failed
  int32_t code() const { return code_; }                   // and its code
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  std::string failure_;
  int32_t code_ = 0;
  std::vector<std::string> complaints_;
};

struct Verdict {
  bool happened = false;  // the fault
  std::map<std::string, uint32_t> calls;
  std::vector<std::string> problems;
  int32_t code = 0;  // of the near end's first call that failed
};

// Opens contexts, and lets both ends meet, exchange and part; the near end with this fault. Then once more in the same
// contexts without it, which must succeed, and everything must have been given back in the end.
Verdict play(const Scenario& scenario, const Fault& fault);

int count_descriptors();
int count_ring_mappings();

}  // namespace failpoint

#endif  // HARNESS_FAILPOINT_SCENE_H_
