#include "harness/bench/program.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/bench/clock.h"
#include "harness/bench/placement.h"

namespace rcbench {
namespace {

constexpr int kNotStarted = 127;

[[noreturn]] void become(const std::vector<std::string>& argv, int cpu, const std::vector<std::string>& environment,
                         int output) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(output, STDOUT_FILENO);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) {
    dup2(null, STDIN_FILENO);
    dup2(null, STDERR_FILENO);
  }
  if (cpu >= 0) pin_to(cpu);
  for (const std::string& line : environment) {
    size_t equals = line.find('=');
    setenv(line.substr(0, equals).c_str(), line.substr(equals + 1).c_str(), 1);
  }
  std::vector<char*> pointers;
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  execvp(pointers[0], pointers.data());
  _exit(kNotStarted);
}

}  // namespace

Program::Program(const std::vector<std::string>& argv, int cpu, const std::vector<std::string>& environment)
    : name_(argv[0]) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    why_ = fmt::format("pipe: {}", strerror(errno));
    return;
  }
  pid_ = fork();
  if (pid_ == 0) become(argv, cpu, environment, ends[1]);
  if (pid_ < 0) why_ = fmt::format("fork: {}", strerror(errno));
  close(ends[1]);
  from_ = ends[0];
}

Program::~Program() { end(); }

void Program::end() {
  if (from_ >= 0) close(from_);
  from_ = -1;
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

bool Program::finish(int deadline_s) {
  if (pid_ < 0) return false;
  uint64_t deadline = monotonic_ns() + static_cast<uint64_t>(deadline_s) * 1000000000u;
  for (;;) {
    uint64_t now = monotonic_ns();
    pollfd fd = {from_, POLLIN, 0};
    int ready = now < deadline ? poll(&fd, 1, static_cast<int>((deadline - now) / 1000000) + 1) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      why_ = fmt::format("{} was not done after {} s", name_, deadline_s);
      end();
      return false;
    }
    char piece[4096];
    ssize_t n = read(from_, piece, sizeof(piece));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    output_.append(piece, static_cast<size_t>(n));
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  if (status == 0) return true;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotStarted) {
    why_ = fmt::format("cannot start {}", name_);
  } else if (WIFSIGNALED(status)) {
    why_ = fmt::format("{} was ended by signal {}", name_, WTERMSIG(status));
  } else {
    why_ = fmt::format("{} ended with status {}: {}", name_, WEXITSTATUS(status), output_);
  }
  return false;
}

}  // namespace rcbench
