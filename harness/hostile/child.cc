#include "harness/hostile/child.h"

#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hostile {
namespace {

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

Child::Child(const std::function<int()>& body) : pid_(fork()) {
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  syscall(SYS_close_range, 3, ~0u, 0);
  _exit(body());
}

Child::~Child() {
  if (ended()) return;
  signal(SIGKILL);
  exit_code();
}

bool Child::ended() {
  int status = 0;
  if (!ended_ && waitpid(pid_, &status, WNOHANG) == pid_) {
    ended_ = true;
    code_ = code_of(status);
  }
  return ended_;
}

bool Child::stopped() {
  siginfo_t info = {};
  return waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
}

int Child::exit_code() {
  int status = 0;
  if (!ended_ && waitpid(pid_, &status, 0) == pid_) {
    ended_ = true;
    code_ = code_of(status);
  }
  return code_;
}

}  // namespace hostile
