// The system calls of the library, seen from outside: every libc function in calls.bzl is wrapped at link time.
#ifndef HARNESS_FAILPOINT_WRAP_H_
#define HARNESS_FAILPOINT_WRAP_H_

#include <sys/socket.h>

namespace failpoint {

// Called around the library's calls on threads that asked for it.
struct Hooks {
  int (*before)(const char* call);  // 0 lets the call happen, else the errno it shall fail with
  void (*after)(const char* call);
  const char* (*opens)(const char* path) = nullptr;         // the file that open shall really open
  const msghdr* (*sends)(const msghdr* message) = nullptr;  // what sendmsg shall really send
};

// From now on, for the calling thread only; null: none.
void watch_this_thread(const Hooks* hooks);

}  // namespace failpoint

#endif  // HARNESS_FAILPOINT_WRAP_H_
