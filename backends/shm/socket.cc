#include "backends/shm/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace rc {
namespace {

constexpr char kAbstractPrefix[] = "ringchan/";
constexpr int kBacklog = 128;
constexpr int kLockTries = 100;
constexpr long kLockTryNs = 10 * 1000 * 1000;

int new_socket() noexcept { return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

// Holds a lock on a directory, so that two that find the same stale socket do not both replace it.
class DirectoryLock {
 public:
  explicit DirectoryLock(const char* path) noexcept {
    char directory[sizeof(sockaddr_un::sun_path)];
    strncpy(directory, path, sizeof directory - 1);
    directory[sizeof directory - 1] = '\0';
    char* slash = strrchr(directory, '/');
    slash[slash == directory ? 1 : 0] = '\0';
    fd_ = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const timespec pause = {0, kLockTryNs};
    for (int i = 0; fd_ >= 0 && flock(fd_, LOCK_EX | LOCK_NB) != 0 && i < kLockTries; ++i) nanosleep(&pause, nullptr);
  }
  ~DirectoryLock() {
    if (fd_ >= 0) close(fd_);
  }

 private:
  int fd_;
};

bool somebody_listens(const Address& address) noexcept {
  int probe = new_socket();
  if (probe < 0) return true;  // cannot tell: leave the file alone
  int result;
  do {
    result = connect(probe, reinterpret_cast<const sockaddr*>(&address.sa), address.bytes);
  } while (result != 0 && errno == EINTR);
  int error = errno;
  close(probe);
  return result == 0 || error != ECONNREFUSED;
}

// Of those that came along; -1: none did.
int first_descriptor(msghdr* message) noexcept {
  int fd = -1;
  for (cmsghdr* c = CMSG_FIRSTHDR(message); c != nullptr; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    if (c->cmsg_len >= CMSG_LEN(sizeof(int))) memcpy(&fd, CMSG_DATA(c), sizeof fd);
  }
  return fd;
}

}  // namespace

Code make_address(const Uri& uri, Address* address) noexcept {
  constexpr const char* kNone[] = {nullptr};
  Code code = uri.only(kNone);
  if (code != kOk) return code;
  memset(address, 0, sizeof *address);
  address->sa.sun_family = AF_UNIX;
  address->path = uri.name[0] == '/';
  size_t name = strlen(uri.name);
  size_t prefix = address->path ? 0 : 1 + strlen(kAbstractPrefix);  // abstract: a leading NUL
  if (prefix + name >= sizeof address->sa.sun_path) {
    return fail(kUri, "URI \"%s\": the name has %zu bytes, at most %zu fit a unix socket", uri.text, name,
                sizeof address->sa.sun_path - prefix - 1);
  }
  if (!address->path && strchr(uri.name, '/') != nullptr) {
    return fail(kUri, "URI \"%s\": a name has no '/'; a path begins with one", uri.text);
  }
  if (!address->path) memcpy(address->sa.sun_path + 1, kAbstractPrefix, strlen(kAbstractPrefix));
  memcpy(address->sa.sun_path + prefix, uri.name, name);
  address->bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + prefix + name);
  return kOk;
}

Code listen_at(const Uri& uri, const Address& address, int* fd) noexcept {
  int s = new_socket();
  if (s < 0) return fail_errno(kSystem, "socket for a listener", errno);
  auto* sa = reinterpret_cast<const sockaddr*>(&address.sa);
  int bound = bind(s, sa, address.bytes);
  if (bound != 0 && errno == EADDRINUSE && address.path) {
    DirectoryLock lock(address.sa.sun_path);
    struct stat st;
    bool socket_file = lstat(address.sa.sun_path, &st) == 0 && S_ISSOCK(st.st_mode);
    errno = EADDRINUSE;
    if (socket_file && !somebody_listens(address)) {  // its owner died
      unlink(address.sa.sun_path);
      bound = bind(s, sa, address.bytes);
    } else {
      errno = EADDRINUSE;
    }
  }
  if (bound == 0 && listen(s, kBacklog) == 0) {
    *fd = s;
    return kOk;
  }
  int error = errno;
  close(s);
  if (error == EADDRINUSE)
    return fail(kNameInUse, "%s: somebody listens there already, or another file has that path", uri.text);
  if (error == ENOENT || error == ENOTDIR) return fail(kUri, "%s: the directory does not exist", uri.text);
  char tried[kUriBytes + 32];
  snprintf(tried, sizeof tried, "listening at %s", uri.text);
  return fail_errno(kSystem, tried, error);
}

void stop_listening(const Address& address, int fd) noexcept {
  if (address.path) unlink(address.sa.sun_path);
  close(fd);
}

ssize_t send_with(int socket, const void* data, size_t bytes, int fd) noexcept {
  iovec iov = {const_cast<void*>(data), bytes};
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  ssize_t n;
  do {
    n = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n;
}

Code send_hello(int socket, const Hello& hello, int fd) noexcept {
  ssize_t n = send_with(socket, &hello, sizeof hello, fd);
  if (n == static_cast<ssize_t>(sizeof hello)) return kOk;
  if (n < 0 && errno != EPIPE && errno != ECONNRESET) return fail_errno(kSystem, "sending a hello", errno);
  return fail_plain(kPeerDead, "the peer went away during the handshake");
}

Code receive_hello(int socket, Hello* hello, size_t* bytes, int* fd) noexcept {
  memset(hello, 0, sizeof *hello);
  *fd = -1;
  char more;  // a hello that is longer than ours must be noticed
  iovec iov[2] = {{hello, sizeof *hello}, {&more, 1}};
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  msghdr message = {};
  message.msg_iov = iov;
  message.msg_iovlen = 2;
  message.msg_control = &control;
  message.msg_controllen = CMSG_LEN(sizeof(int));  // room for one: the kernel drops any others before they are ours
  ssize_t n;
  bool reset = false;
  do {
    n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    // The peer hung up without reading all; its last words may still be behind that.
    if (n >= 0 || errno != ECONNRESET || reset) continue;
    reset = true;
    errno = EINTR;
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return kWouldBlock;
  if (n < 0 && errno != ECONNRESET) return fail_errno(kSystem, "receiving a hello", errno);
  if (n >= 0) *fd = first_descriptor(&message);
  if (n > 0 && (message.msg_flags & MSG_CTRUNC) != 0) {
    if (*fd < 0) return fail_errno(kNoDescriptors, "receiving the descriptor that came with a hello", EMFILE);
    close(*fd);
    *fd = -1;
    return fail_plain(kNotRingchan, "the peer's hello brings more than one descriptor");
  }
  if (n <= 0) return fail_plain(kPeerDead, "the peer went away during the handshake");
  if (*fd < 0 && (message.msg_flags & MSG_CTRUNC) != 0) {
    return fail_errno(kNoDescriptors, "receiving the peer's descriptor", EMFILE);
  }
  *bytes = static_cast<size_t>(n);
  return kOk;
}

bool is_unix_socket(int fd, int type) noexcept {
  int has_type = 0, domain = 0;
  socklen_t type_bytes = sizeof has_type, domain_bytes = sizeof domain;
  return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &has_type, &type_bytes) == 0 && has_type == type &&
         getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_bytes) == 0 && domain == AF_UNIX;
}

Code look_at_handed(int socket, uint64_t* key_id, int* fd) noexcept {
  iovec iov = {key_id, sizeof *key_id};
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = CMSG_LEN(sizeof(int));  // room for one
  ssize_t n;
  do {
    n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_PEEK | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return kWouldBlock;
  if (n < 0 && errno != ECONNRESET) return fail_errno(kSystem, "receiving the descriptor of a direct grant", errno);
  *fd = n > 0 ? first_descriptor(&message) : -1;
  bool cut = (message.msg_flags & MSG_CTRUNC) != 0;
  if (n == static_cast<ssize_t>(sizeof *key_id) && *fd >= 0 && !cut) return kOk;
  if (n > 0 && *fd < 0 && cut) return fail_errno(kNoDescriptors, "receiving the descriptor of a direct grant", EMFILE);
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return fail_plain(kCorrupt, "the peer sent something else than one descriptor of a direct grant");
}

void take_handed(int socket) noexcept {
  uint64_t key_id;
  ssize_t n;
  do {
    n = recv(socket, &key_id, sizeof key_id, MSG_DONTWAIT);  // the descriptor beside it is dropped
  } while (n < 0 && errno == EINTR);
}

}  // namespace rc
