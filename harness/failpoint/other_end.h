// A test whose near end lives in a process of its own, where limits hold and forks happen; the far end is the test
// itself.
#ifndef HARNESS_FAILPOINT_OTHER_END_H_
#define HARNESS_FAILPOINT_OTHER_END_H_

#include <stdint.h>
#include <sys/types.h>

#include <functional>
#include <set>
#include <string>

#include "capi/rc.h"

namespace failpoint {

std::string fresh_uri(const std::string& prefix);  // "shm:" and a name that nobody uses

// A child process that runs f and reports what f returns: problems, one a line; empty if all is well.
class Child {
 public:
  explicit Child(const std::function<std::string()>& f);
  ~Child();  // kills it if it still lives
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool ended();            // it does not wait
  std::string problems();  // waits; a child that died or hangs is a problem too
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
  int from_ = -1;
  int status_ = 0;
  bool reaped_ = false;
};

// Sends back what comes, on one channel after the other, until the child has ended. Returns the codes that rc_accept or
// rc_connect ended with.
std::set<int32_t> echo_while(Child& child, const std::string& uri, bool listens);

// Puts and gets back a few bytes of each size. The first code that is not RC_OK, else RC_OK.
int32_t ask_echo(rc_channel channel);

// For one call of rc.h: "" if it returned one of these, else a line that says what it did return.
std::string expect_code(const char* call, int32_t code, const std::set<int32_t>& wanted);

}  // namespace failpoint

#endif  // HARNESS_FAILPOINT_OTHER_END_H_
