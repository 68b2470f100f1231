#include "core/wait.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <time.h>

#include "core/atomics.h"
#include "core/spin_lock.h"

namespace rc {
namespace {

// ppoll with a negative time-out meaning none; EINTR counts as "look again".
int poll_ns(pollfd* fds, nfds_t count, int64_t ns) noexcept {
  timespec t;
  t.tv_sec = ns / 1000000000;
  t.tv_nsec = ns % 1000000000;
  return ppoll(fds, count, ns < 0 ? nullptr : &t, nullptr);
}

Code wait_ready(int fd, short events, int stop_fd, Deadline deadline, int other_fd) noexcept {
  pollfd fds[3] = {{fd, events, 0}, {stop_fd, POLLIN, 0}, {other_fd, POLLIN, 0}};
  for (;;) {
    int64_t left = deadline.never() ? -1 : deadline.left(now_ns());
    int n = poll_ns(fds, 3, left);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {  // no memory: a short sleep, then the caller looks again, if there is something to look at
      const timespec pause = {0, kNapMinNs};
      nanosleep(&pause, nullptr);
      return left == 0 || (fd < 0 && other_fd < 0) ? fail_plain(kTimeout, "the deadline passed") : kOk;
    }
    if (fds[1].revents != 0) return fail_plain(kStopped, "rc_stop was called on the context");
    if (n > 0 && left != 0) return kOk;  // else whoever keeps ringing would keep us
    if (left == 0) return fail_plain(kTimeout, "the deadline passed");
  }
}

}  // namespace

// Who holds it may be of a lower real-time priority, which no yield lets run: in the end a sleep does.
void SpinLock::wait() noexcept {
  constexpr int kPauses = 100, kYieldsToo = 200;
  for (int turns = 0; !try_lock(); ++turns) {
    if (turns < kPauses) {
      cpu_pause();
    } else if (turns < kYieldsToo) {
      sched_yield();
    } else {
      nap(-1, -1, kNapMinNs);
    }
  }
}

Code wait_readable(int fd, int stop_fd, Deadline deadline, int other_fd) noexcept {
  return wait_ready(fd, POLLIN, stop_fd, deadline, other_fd);
}

Code wait_writable(int fd, int stop_fd, Deadline deadline) noexcept {
  return wait_ready(fd, POLLOUT, stop_fd, deadline, -1);
}

void nap(int fd, int stop_fd, int64_t ns) noexcept {
  pollfd fds[2] = {{fd, POLLIN, 0}, {stop_fd, POLLIN, 0}};
  poll_ns(fds, 2, ns);
}

}  // namespace rc
