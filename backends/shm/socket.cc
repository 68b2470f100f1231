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

constexpr int kPassRights = 83;        // SO_PASSRIGHTS, younger than the headers of Debian 12
constexpr int kDescriptorsMost = 253;  // in one message: SCM_MAX_FD

// What came along with a message.
struct Brought {
  int fd;    // the first descriptor, -1: none; the caller's
  int more;  // so many others, which are dropped
  bool cut;  // not all of them found a number in this process
  bool any;  // control data of whatever kind
};

void look_through(msghdr* message, Brought* brought) noexcept {
  for (cmsghdr* c = CMSG_FIRSTHDR(message); c != nullptr; c = CMSG_NXTHDR(message, c)) {
    brought->any = true;
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
      int fd;
      memcpy(&fd, reinterpret_cast<uint8_t*>(c) + at, sizeof fd);
      if (brought->fd >= 0) {
        drop_received(fd);
        brought->more += 1;
      } else {
        brought->fd = fd;
      }
    }
  }
}

// As recvmsg, at once. There is room for all the descriptors that can come, because those the kernel drops for want of
// room it closes with all that their owner has asked for.
ssize_t receive_with(int socket, iovec* iov, size_t pieces, int flags, Brought* brought) noexcept {
  union {
    cmsghdr header;
    char bytes[CMSG_SPACE(kDescriptorsMost * sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
  } control;
  msghdr message = {};
  message.msg_iov = iov;
  message.msg_iovlen = pieces;
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  *brought = {-1, 0, false, false};
  ssize_t n;
  do {
    n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | flags);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return n;
  look_through(&message, brought);
  brought->cut = (message.msg_flags & MSG_CTRUNC) != 0;
  return n;
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
  shutdown(fd, SHUT_RD);  // nobody else comes; those who have may have sent something
  int client;
  while ((client = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) close_socket(client);
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
  char more;  // a hello that is longer than ours must be noticed
  iovec iov[2] = {{hello, sizeof *hello}, {&more, 1}};
  Brought brought;
  ssize_t n = receive_with(socket, iov, 2, 0, &brought);
  // The peer hung up without reading all; its last words may still be behind that.
  if (n < 0 && errno == ECONNRESET) n = receive_with(socket, iov, 2, 0, &brought);
  *fd = brought.fd;
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return kWouldBlock;
  if (n < 0 && errno != ECONNRESET) return fail_errno(kSystem, "receiving a hello", errno);
  if (n > 0 && *fd < 0 && brought.cut) {
    return fail_errno(kNoDescriptors, "receiving the descriptor that came with a hello", EMFILE);
  }
  if (n > 0 && *fd >= 0 && !brought.cut && brought.more == 0) {
    *bytes = static_cast<size_t>(n);
    return kOk;
  }
  bool brings = *fd >= 0;
  if (brings) drop_received(*fd);
  *fd = -1;
  if (n <= 0) return fail_plain(kPeerDead, "the peer went away during the handshake");
  if (brings) return fail_plain(kNotRingchan, "the peer's hello brings more than one descriptor");
  *bytes = static_cast<size_t>(n);
  return kOk;
}

bool is_unix_socket(int fd, int type) noexcept {
  int has_type = 0, domain = 0;
  socklen_t type_bytes = sizeof has_type, domain_bytes = sizeof domain;
  return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &has_type, &type_bytes) == 0 && has_type == type &&
         getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_bytes) == 0 && domain == AF_UNIX;
}

void drop_received(int fd) noexcept {
  const linger reset = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);  // of what is no socket that only fails
  close(fd);
}

// An empty packet looks like the end; but credentials come with it.
void close_socket(int fd) noexcept {
  constexpr int kErrorsMost = 2;  // a reset is told once, and does not keep what came before it
  const int on = 1;
  bool packets = is_unix_socket(fd, SOCK_SEQPACKET);
  if (packets) setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  shutdown(fd, SHUT_RD);  // from now on nothing is added
  for (int errors = 0; errors < kErrorsMost;) {
    char bytes[256];
    iovec iov = {bytes, sizeof bytes};
    Brought brought;
    ssize_t n = receive_with(fd, &iov, 1, 0, &brought);
    if (brought.fd >= 0) drop_received(brought.fd);
    if (n == 0 && !(packets && brought.any)) break;
    if (n < 0) errors += 1;
  }
  close(fd);
}

void refuse_descriptors(int socket) noexcept {
  const int off = 0;
  setsockopt(socket, SOL_SOCKET, kPassRights, &off, sizeof off);  // older kernels know no such option
}

Bell take_bell(int socket) noexcept {
  char bell[8];
  iovec iov = {bell, sizeof bell};
  Brought brought;
  ssize_t n = receive_with(socket, &iov, 1, 0, &brought);
  if (brought.fd >= 0) drop_received(brought.fd);
  if (brought.fd >= 0 || brought.cut) return Bell::kWithDescriptor;
  if (n > 0) return Bell::kRung;
  // Whatever else the kernel may say (no memory): it says nothing of the peer.
  bool gone = n == 0 || errno == ECONNRESET || errno == EPIPE || errno == ENOTCONN;
  return gone ? Bell::kGone : Bell::kNone;
}

Code look_at_handed(int socket, uint64_t* key_id, int* fd) noexcept {
  iovec iov = {key_id, sizeof *key_id};
  Brought brought;
  ssize_t n = receive_with(socket, &iov, 1, MSG_PEEK, &brought);
  *fd = brought.fd;
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return kWouldBlock;
  if (n < 0 && errno != ECONNRESET) return fail_errno(kSystem, "receiving the descriptor of a direct grant", errno);
  bool one = *fd >= 0 && !brought.cut && brought.more == 0;
  if (n == static_cast<ssize_t>(sizeof *key_id) && one) return kOk;
  if (n > 0 && *fd < 0 && brought.cut)
    return fail_errno(kNoDescriptors, "receiving the descriptor of a direct grant", EMFILE);
  if (*fd >= 0) drop_received(*fd);
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
