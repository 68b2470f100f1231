#include "harness/failpoint/fault.h"

#include <errno.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <string.h>

#include "harness/failpoint/wrap.h"

namespace failpoint {
namespace {

// Not among them, because the kernel does not say it without cause: EAGAIN of send and of eventfd's write, which means
// that bells wait there already.
const std::map<std::string, std::vector<int>>& table() {
  static const std::map<std::string, std::vector<int>> errors = {
      {"accept4", {EINTR, EAGAIN, EMFILE, ENFILE, ENOMEM, ENOBUFS, EPERM, ECONNABORTED}},
      {"bind", {EACCES, EPERM, ENOMEM, ENOSPC}},
      {"close", {EINTR}},
      {"connect", {EINTR, EAGAIN, EACCES, EPERM, ENOMEM}},
      {"epoll_create1", {EMFILE, ENFILE, ENOMEM}},
      {"epoll_ctl", {ENOMEM, ENOSPC}},
      {"eventfd", {EMFILE, ENFILE, ENOMEM}},
      {"fcntl", {EPERM, EBUSY, ENOMEM}},
      {"flock", {EINTR, ENOLCK}},
      {"fstat", {ENOMEM, EACCES}},
      {"fstatfs", {EINTR, ENOMEM, EACCES}},
      {"ftruncate", {EINTR, EPERM, EFBIG, ENOSPC}},
      {"getrandom", {ENOSYS, EAGAIN}},
      {"getsockopt", {EPERM, ENOMEM}},
      {"listen", {EACCES, EADDRINUSE}},
      {"lstat", {EACCES, ENOMEM}},
      {"madvise", {ENOMEM, EINVAL, EPERM}},
      {"memfd_create", {EMFILE, ENFILE, ENOMEM, EPERM, EACCES, ENOSYS}},
      {"mincore", {ENOMEM, EAGAIN}},
      {"mmap", {ENOMEM, EAGAIN, ENFILE}},
      {"nanosleep", {EINTR}},
      {"open", {EINTR, EMFILE, ENFILE, ENOMEM, EACCES}},
      {"poll", {EINTR, ENOMEM}},
      {"posix_fallocate", {EINTR, ENOSPC, EFBIG, ENOMEM, EPERM}},
      {"ppoll", {EINTR, ENOMEM}},
      {"read", {EINTR, EAGAIN, ENOMEM, EACCES}},
      {"recv", {EINTR, EAGAIN, ENOMEM}},
      {"recvmsg", {EINTR, EAGAIN, ENOMEM}},
      {"send", {EINTR, ENOMEM, ENOBUFS}},
      {"sendmsg", {EINTR, EAGAIN, ENOMEM, ENOBUFS, EPERM, EMFILE, ETOOMANYREFS}},
      {"socket", {EMFILE, ENFILE, ENOMEM, EACCES, EPERM}},
      {"socketpair", {EMFILE, ENFILE, ENOMEM, EPERM}},
      {"syscall", {ENOSYS, EPERM, ENOMEM}},
      {"unlink", {EACCES, EPERM}},
      {"write", {EINTR}},
  };
  return errors;
}

struct State {
  Fault fault;
  bool happened = false;
  std::map<std::string, uint32_t> calls;
};
State* g_state = nullptr;

int before(const char* call) {
  uint32_t nth = ++g_state->calls[call];
  const Fault& f = g_state->fault;
  if (f.call != call || (f.from_then_on ? nth < f.nth : nth != f.nth)) return 0;
  g_state->happened = true;
  return f.error;
}

void after(const char*) {}

constexpr Hooks kHooks = {before, after};

}  // namespace

const std::vector<int>& plausible_errors(const std::string& call) {
  static const std::vector<int> none;
  auto found = table().find(call);
  return found == table().end() ? none : found->second;
}

const char* error_name(int error) { return strerrorname_np(error); }

std::string Fault::text() const {
  if (call.empty()) return "no fault";
  return fmt::format("{} {}{} fails with {}", call, nth, from_then_on ? " and later" : "", error_name(error));
}

Faulty::Faulty(const Fault& fault) {
  if (g_state != nullptr) abort();
  g_state = new State;
  g_state->fault = fault;
  resume();
}

Faulty::~Faulty() {
  pause();
  delete g_state;
  g_state = nullptr;
}

void Faulty::pause() { watch_this_thread(nullptr); }
void Faulty::resume() { watch_this_thread(&kHooks); }
bool Faulty::happened() const { return g_state->happened; }
const std::map<std::string, uint32_t>& Faulty::calls() const { return g_state->calls; }

}  // namespace failpoint
