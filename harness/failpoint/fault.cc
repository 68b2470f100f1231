#include "harness/failpoint/fault.h"

#include <errno.h>
#include <fmt/format.h>
#include <netdb.h>
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
      {"epoll_wait", {EINTR}},
      {"eventfd", {EMFILE, ENFILE, ENOMEM}},
      {"fcntl", {EPERM, EBUSY, ENOMEM}},
      {"flock", {EINTR, ENOLCK}},
      {"fstat", {ENOMEM, EACCES}},
      {"fstatfs", {EINTR, ENOMEM, EACCES}},
      {"ftruncate", {EINTR, EPERM, EFBIG, ENOSPC}},
      {"getaddrinfo", {EAI_AGAIN, EAI_FAIL, EAI_MEMORY, EAI_NONAME, EAI_SYSTEM}},
      {"getifaddrs", {ENOMEM, EMFILE, EACCES}},
      {"getpeername", {ENOBUFS, ENOTCONN}},
      {"getsockname", {ENOBUFS}},
      {"getrandom", {ENOSYS, EAGAIN}},
      {"getsockopt", {EPERM, ENOMEM}},
      {"ioctl", {ENOMEM}},
      {"listen", {EACCES, EADDRINUSE}},
      {"lstat", {EACCES, ENOMEM}},
      {"madvise", {ENOMEM, EINVAL, EPERM}},
      {"memfd_create", {EMFILE, ENFILE, ENOMEM, EPERM, EACCES, ENOSYS}},
      {"mincore", {ENOMEM, EAGAIN}},
      {"mmap", {ENOMEM, EAGAIN, ENFILE}},
      {"mprotect", {ENOMEM}},
      {"mremap", {ENOMEM}},
      {"munlock", {ENOMEM}},
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
      {"setsockopt", {ENOMEM, EPERM, ENOPROTOOPT}},
      {"socket", {EMFILE, ENFILE, ENOMEM, EACCES, EPERM}},
      {"socketpair", {EMFILE, ENFILE, ENOMEM, EPERM}},
      {"syscall", {ENOSYS, EPERM, ENOMEM}},
      {"timerfd_create", {EMFILE, ENFILE, ENOMEM, ENODEV}},
      {"timerfd_settime", {ENOMEM}},
      {"unlink", {EACCES, EPERM}},
      {"write", {EINTR}},
  };
  return errors;
}

// Where sockets of tcp say something else: no descriptors travel over them, and a connection may end.
const std::map<std::string, std::vector<int>>& tcp_table() {
  static const std::map<std::string, std::vector<int>> errors = {
      {"accept4", {EINTR, EAGAIN, EMFILE, ENFILE, ENOMEM, ENOBUFS, EPERM, ECONNABORTED, EPROTO, EHOSTUNREACH}},
      {"bind", {EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOMEM}},
      {"connect", {EINTR, EAGAIN, EACCES, ENOMEM, ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EADDRNOTAVAIL}},
      {"recv", {EINTR, EAGAIN, ENOMEM, ECONNRESET, ETIMEDOUT}},
      {"recvmsg", {EINTR, EAGAIN, ENOMEM, ECONNRESET, ETIMEDOUT}},
      {"send", {EINTR, ENOMEM, ENOBUFS, EPIPE}},
      {"sendmsg", {EINTR, EAGAIN, ENOMEM, ENOBUFS, EPIPE, ETIMEDOUT}},
      {"socket", {EMFILE, ENFILE, ENOMEM, EACCES, EAFNOSUPPORT}},
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

const std::vector<int>& plausible_errors(const std::string& call, bool tcp) {
  static const std::vector<int> none;
  auto special = tcp_table().find(call);
  if (tcp && special != tcp_table().end()) return special->second;
  auto found = table().find(call);
  return found == table().end() ? none : found->second;
}

const char* error_name(int error) { return error > 0 ? strerrorname_np(error) : gai_strerror(error); }

bool Fault::ends_connection() const {
  return error == ECONNRESET || error == EPIPE || (error == ETIMEDOUT && call != "connect");
}

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
