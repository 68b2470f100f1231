// Descriptors that are waited for.
#ifndef CORE_DESCRIPTORS_H_
#define CORE_DESCRIPTORS_H_

#include <fcntl.h>
#include <sys/epoll.h>

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

}  // namespace rc

#endif  // CORE_DESCRIPTORS_H_
