// One system call that fails, once.
#ifndef HARNESS_FAILPOINT_FAULT_H_
#define HARNESS_FAILPOINT_FAULT_H_

#include <stdint.h>

#include <map>
#include <string>
#include <vector>

namespace failpoint {

struct Fault {
  std::string call;  // empty: none
  uint32_t nth = 1;  // of the calls that the watched thread makes
  int error = 0;
  bool from_then_on = false;  // not this one only, but all later ones too

  std::string text() const;
  bool ends_connection() const;  // the kernel says that there is no connection any more
};

// The errors that a call may end with although its arguments are right; EAI_ codes are negative. Empty: it cannot fail
// so. tcp: its sockets are TCP's.
const std::vector<int>& plausible_errors(const std::string& call, bool tcp = false);
const char* error_name(int error);

// While it lives, calls of the library on the thread that made it are counted, and the fault happens. One at a time.
class Faulty {
 public:
  explicit Faulty(const Fault& fault);
  ~Faulty();
  Faulty(const Faulty&) = delete;
  Faulty& operator=(const Faulty&) = delete;

  // Counting and failing pause, and go on.
  void pause();
  void resume();

  bool happened() const;
  const std::map<std::string, uint32_t>& calls() const;
};

}  // namespace failpoint

#endif  // HARNESS_FAILPOINT_FAULT_H_
