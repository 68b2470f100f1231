// Descriptors that are waited for.
#ifndef CORE_DESCRIPTORS_H_
#define CORE_DESCRIPTORS_H_

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace rc {

inline bool nonblocking(int fd) noexcept {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

// One descriptor more in an epoll set.
inline bool watch(int set, int fd) noexcept {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = fd;
  return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0;
}

// Makes an eventfd readable; false: it was already, and holds no more.
inline bool signal_fd(int fd) noexcept {
  const uint64_t one = 1;
  ssize_t n;
  do {
    n = ::write(fd, &one, sizeof one);
  } while (n < 0 && errno == EINTR);
  return n == sizeof one;
}

// Takes back what an eventfd or a timer has signalled, of a semaphore one; false: nothing.
inline bool drain_fd(int fd) noexcept {
  uint64_t count;
  ssize_t n;
  do {
    n = ::read(fd, &count, sizeof count);
  } while (n < 0 && errno == EINTR);
  return n == sizeof count;
}

}  // namespace rc

#endif  // CORE_DESCRIPTORS_H_
