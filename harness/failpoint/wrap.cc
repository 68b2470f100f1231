#include "harness/failpoint/wrap.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <time.h>

namespace failpoint {
namespace {

thread_local const Hooks* t_hooks = nullptr;

int before(const char* call) { return t_hooks != nullptr ? t_hooks->before(call) : 0; }

void after(const char* call) {
  if (t_hooks == nullptr) return;
  int kept = errno;
  t_hooks->after(call);
  errno = kept;
}

// Fails with `failed`, or calls f and tells that it has happened.
template <class Result, class F>
Result through(const char* call, Result failed, F f) {
  int kept = errno;
  int error = before(call);
  if (error != 0) {
    errno = error;
    return failed;
  }
  errno = kept;
  Result result = f();
  after(call);
  return result;
}

const char* opened(const char* path) {
  return t_hooks != nullptr && t_hooks->opens != nullptr ? t_hooks->opens(path) : path;
}

const msghdr* sent(const msghdr* message) {
  return t_hooks != nullptr && t_hooks->sends != nullptr ? t_hooks->sends(message) : message;
}

}  // namespace

void watch_this_thread(const Hooks* hooks) { t_hooks = hooks; }

}  // namespace failpoint

using failpoint::through;

// WRAP(result, name, failed, (parameters), (arguments)): __wrap_name, which the library calls, and __real_name, libc's.
#define WRAP_AS(result, name, shown, failed, parameters, arguments)                 \
  extern "C" result __real_##name parameters;                                       \
  extern "C" result __wrap_##name parameters {                                      \
    return through<result>(shown, failed, [&] { return __real_##name arguments; }); \
  }
#define WRAP(result, name, failed, parameters, arguments) WRAP_AS(result, name, #name, failed, parameters, arguments)

WRAP(int, accept4, -1, (int fd, sockaddr* sa, socklen_t* n, int flags), (fd, sa, n, flags))
WRAP(int, bind, -1, (int fd, const sockaddr* sa, socklen_t n), (fd, sa, n))
WRAP(int, connect, -1, (int fd, const sockaddr* sa, socklen_t n), (fd, sa, n))
WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_ctl, -1, (int set, int op, int fd, epoll_event* e), (set, op, fd, e))
WRAP(int, epoll_wait, -1, (int set, epoll_event* e, int n, int ms), (set, e, n, ms))
WRAP(int, eventfd, -1, (unsigned n, int flags), (n, flags))
WRAP(int, flock, -1, (int fd, int op), (fd, op))
WRAP(int, fstat, -1, (int fd, struct stat* st), (fd, st))
WRAP(int, fstatfs, -1, (int fd, struct statfs* fs), (fd, fs))
WRAP(int, ftruncate, -1, (int fd, off_t n), (fd, n))
WRAP(int, getpeername, -1, (int fd, sockaddr* sa, socklen_t* n), (fd, sa, n))
WRAP(int, getsockname, -1, (int fd, sockaddr* sa, socklen_t* n), (fd, sa, n))
WRAP(int, getifaddrs, -1, (ifaddrs * *first), (first))
WRAP(ssize_t, getrandom, -1, (void* to, size_t n, unsigned flags), (to, n, flags))
WRAP(int, getsockopt, -1, (int fd, int level, int name, void* value, socklen_t* n), (fd, level, name, value, n))
WRAP(int, listen, -1, (int fd, int n), (fd, n))
WRAP(int, lstat, -1, (const char* path, struct stat* st), (path, st))
WRAP(int, madvise, -1, (void* at, size_t n, int advice), (at, n, advice))
WRAP(int, memfd_create, -1, (const char* name, unsigned flags), (name, flags))
WRAP(int, mincore, -1, (void* at, size_t n, unsigned char* pages), (at, n, pages))
WRAP(void*, mmap, MAP_FAILED, (void* at, size_t n, int prot, int flags, int fd, off_t offset),
     (at, n, prot, flags, fd, offset))
WRAP(int, mprotect, -1, (void* at, size_t n, int protection), (at, n, protection))
WRAP(int, munlock, -1, (const void* at, size_t n), (at, n))
WRAP(int, munmap, -1, (void* at, size_t n), (at, n))
WRAP(int, nanosleep, -1, (const timespec* t, timespec* left), (t, left))
WRAP(int, poll, -1, (pollfd * fds, nfds_t n, int ms), (fds, n, ms))
WRAP_AS(int, __poll_chk, "poll", -1, (pollfd * fds, nfds_t n, int ms, size_t size), (fds, n, ms, size))
WRAP(int, ppoll, -1, (pollfd * fds, nfds_t n, const timespec* t, const sigset_t* set), (fds, n, t, set))
WRAP_AS(int, __ppoll_chk, "ppoll", -1, (pollfd * fds, nfds_t n, const timespec* t, const sigset_t* set, size_t size),
        (fds, n, t, set, size))
WRAP(ssize_t, read, -1, (int fd, void* to, size_t n), (fd, to, n))
WRAP_AS(ssize_t, __read_chk, "read", -1, (int fd, void* to, size_t n, size_t size), (fd, to, n, size))
WRAP(ssize_t, recv, -1, (int fd, void* to, size_t n, int flags), (fd, to, n, flags))
WRAP_AS(ssize_t, __recv_chk, "recv", -1, (int fd, void* to, size_t n, size_t size, int flags), (fd, to, n, size, flags))
WRAP(ssize_t, recvmsg, -1, (int fd, msghdr* m, int flags), (fd, m, flags))
WRAP(int, sched_yield, -1, (), ())
WRAP(ssize_t, send, -1, (int fd, const void* from, size_t n, int flags), (fd, from, n, flags))
WRAP(ssize_t, sendmsg, -1, (int fd, const msghdr* m, int flags), (fd, failpoint::sent(m), flags))
WRAP(int, setsockopt, -1, (int fd, int level, int name, const void* value, socklen_t n), (fd, level, name, value, n))
WRAP(int, shutdown, -1, (int fd, int how), (fd, how))
WRAP(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, socketpair, -1, (int domain, int type, int protocol, int* pair), (domain, type, protocol, pair))
WRAP(int, timerfd_create, -1, (int clock, int flags), (clock, flags))
WRAP(int, timerfd_settime, -1, (int fd, int flags, const itimerspec* to, itimerspec* was), (fd, flags, to, was))
WRAP(int, unlink, -1, (const char* path), (path))
WRAP(ssize_t, write, -1, (int fd, const void* from, size_t n), (fd, from, n))

// close: the descriptor is gone even if the call fails.
extern "C" int __real_close(int fd);
extern "C" int __wrap_close(int fd) {
  int error = failpoint::before("close");
  int result = __real_close(fd);
  if (error != 0) {
    errno = error;
    return -1;
  }
  failpoint::after("close");
  return result;
}

// posix_fallocate returns the error instead of setting errno.
extern "C" int __real_posix_fallocate(int fd, off_t at, off_t n);
extern "C" int __wrap_posix_fallocate(int fd, off_t at, off_t n) {
  int error = failpoint::before("posix_fallocate");
  if (error != 0) return error;
  int result = __real_posix_fallocate(fd, at, n);
  failpoint::after("posix_fallocate");
  return result;
}

// getaddrinfo returns an EAI_ code. Of these only EAI_SYSTEM comes with an errno.
extern "C" int __real_getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found);
extern "C" int __wrap_getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
  int error = failpoint::before("getaddrinfo");
  if (error == EAI_SYSTEM) errno = EMFILE;
  if (error != 0) return error;
  int result = __real_getaddrinfo(host, service, hints, found);
  failpoint::after("getaddrinfo");
  return result;
}

// Those with variable arguments: at most one, or six, of them, all words.
extern "C" int __real_open(const char* path, int flags, ...);
extern "C" int __wrap_open(const char* path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  unsigned mode = (flags & 0100) != 0 ? va_arg(args, unsigned) : 0;  // O_CREAT
  va_end(args);
  return through<int>("open", -1, [&] { return __real_open(failpoint::opened(path), flags, mode); });
}

extern "C" void* __real_mremap(void* at, size_t old_bytes, size_t bytes, int flags, ...);
extern "C" void* __wrap_mremap(void* at, size_t old_bytes, size_t bytes, int flags, ...) {
  va_list args;
  va_start(args, flags);
  void* to = (flags & MREMAP_FIXED) != 0 ? va_arg(args, void*) : nullptr;
  va_end(args);
  return through<void*>("mremap", MAP_FAILED, [&] { return __real_mremap(at, old_bytes, bytes, flags, to); });
}

extern "C" int __real_fcntl(int fd, int command, ...);
extern "C" int __wrap_fcntl(int fd, int command, ...) {
  va_list args;
  va_start(args, command);
  long argument = va_arg(args, long);
  va_end(args);
  return through<int>("fcntl", -1, [&] { return __real_fcntl(fd, command, argument); });
}

extern "C" int __real_ioctl(int fd, unsigned long request, ...);
extern "C" int __wrap_ioctl(int fd, unsigned long request, ...) {
  va_list args;
  va_start(args, request);
  void* argument = va_arg(args, void*);
  va_end(args);
  return through<int>("ioctl", -1, [&] { return __real_ioctl(fd, request, argument); });
}

extern "C" long __real_syscall(long number, ...);
// The sixth word is read although fewer may have been passed.
extern "C" __attribute__((no_sanitize("address"))) long __wrap_syscall(long number, ...) {
  long a[6];
  va_list args;
  va_start(args, number);
  for (long& one : a) one = va_arg(args, long);
  va_end(args);
  return through<long>("syscall", -1, [&] { return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]); });
}
