// A raw side in a process of its own, for attacks that stop, kill or change that process.
#ifndef HARNESS_HOSTILE_CHILD_H_
#define HARNESS_HOSTILE_CHILD_H_

#include <signal.h>
#include <sys/types.h>

#include <functional>

namespace hostile {

class Child {
 public:
  // Runs body in a forked child that has closed every descriptor of this process but 0, 1 and 2; its result is the exit
  // code.
  explicit Child(const std::function<int()>& body);
  ~Child();  // kills it if need be
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void signal(int number) const { kill(pid_, number); }
  // Whether it has ended; takes its exit code, 128 + the signal if one killed it.
  bool ended();
  bool stopped();   // by SIGSTOP
  int exit_code();  // waits

 private:
  pid_t pid_;
  bool ended_ = false;
  int code_ = -1;
};

}  // namespace hostile

#endif  // HARNESS_HOSTILE_CHILD_H_
