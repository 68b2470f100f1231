// The client's half of the handshake, and the end of a connection.
//   client: ask + socket for the put side    server: offer + its segment    client: accept + its segment    server: go
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "backends/shm/link.h"
#include "backends/shm/segment.h"
#include "core/context.h"
#include "core/step.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr int64_t kRetryMinNs = 500 * 1000;
constexpr int64_t kRetryMaxNs = 20 * 1000 * 1000;
constexpr int kPeerPidfd = 77;  // SO_PEERPIDFD, younger than the headers of Debian 12

bool worth_retrying(int error) noexcept { return error == ECONNREFUSED || error == ENOENT || error == EAGAIN; }

// A connected socket, or the reason why there was none until the deadline.
Code dial(Context& context, const Uri& uri, const Address& address, Deadline deadline, int* fd) noexcept {
  for (int64_t pause = kRetryMinNs;; pause = pause * 2 < kRetryMaxNs ? pause * 2 : kRetryMaxNs) {
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0) return fail_errno(kSystem, "socket for a connection", errno);
    int result = connect(s, reinterpret_cast<const sockaddr*>(&address.sa), address.bytes);
    int error = errno;
    if (result == 0) {
      *fd = s;
      return kOk;
    }
    close(s);
    if (error == EPROTOTYPE) return fail(kNotRingchan, "%s: another kind of socket listens there", uri.text);
    if (error != EINTR && !worth_retrying(error))
      return fail_errno(kSystem, "connecting to a listener's socket", error);
    int64_t left = deadline.left(now_ns());
    if (left == 0) {
      return error == EAGAIN ? fail(kTimeout, "%s: the listener's backlog stayed full until the deadline", uri.text)
                             : fail(kNoListener, "%s: nobody listened there before the deadline", uri.text);
    }
    Code code = wait_readable(-1, context.stop_fd(), deadline.sooner(pause));
    if (code != kTimeout) return code;
  }
}

Code await_hello(Context& context, int fd, Hello::Kind kind, Deadline deadline, Hello* hello,
                 int* received_fd) noexcept {
  for (;;) {
    size_t bytes = 0;
    Code code = receive_hello(fd, hello, &bytes, received_fd);
    if (code == kOk) return check_hello(*hello, bytes, kind);
    if (code != kWouldBlock) return code;
    code = wait_readable(fd, context.stop_fd(), deadline);
    if (code == kTimeout) return fail_plain(kTimeout, "somebody listens there but did not accept before the deadline");
    if (code != kOk) return code;
  }
}

struct Fds {
  int main = -1, put = -1, put_peer = -1, ours = -1, theirs = -1;
  void drop(int& fd) noexcept {
    if (fd >= 0) close(fd);
    fd = -1;
  }
};

Code shake_hands(Context& context, const ChannelParams& params, Deadline deadline, Fds& fds, Link* link) noexcept {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    return fail_errno(kSystem, "socketpair for a doorbell", errno);
  }
  fds.put = pair[0];
  fds.put_peer = pair[1];
  Code code = send_hello(fds.main, make_hello(Hello::kAsk, params, params.ring_bytes), fds.put_peer);
  if (code != kOk && code != kPeerDead) return code;  // a listener that went away at once may have said why
  fds.drop(fds.put_peer);
  RC_STEP("connect: asked");

  Hello offer;
  code = await_hello(context, fds.main, Hello::kOffer, deadline, &offer, &fds.theirs);
  if (code == kOk && fds.theirs < 0) code = fail_plain(kNotRingchan, "the listener sent no memory file");
  if (code != kOk) return code;
  uint64_t ring_bytes = offer.ring_bytes;
  if (ring_bytes == 0 || ring_bytes > params.ring_bytes_max ||
      (params.ring_bytes != 0 && ring_bytes != params.ring_bytes)) {
    return fail(kSize, "the listener offers a ring of %llu bytes; this end wants %llu and its context allows %llu",
                static_cast<unsigned long long>(ring_bytes), static_cast<unsigned long long>(params.ring_bytes),
                static_cast<unsigned long long>(params.ring_bytes_max));
  }
  link->ring_bytes = ring_bytes;
  agree_on_ops(offer, params, link);
  code = map_segment(fds.theirs, link->both_rings(), &link->inbox);
  if (code == kOk) code = make_segment(link->both_rings(), &fds.ours, &link->outbox);
  if (code == kOk) code = send_hello(fds.main, make_hello(Hello::kAccept, params, ring_bytes), fds.ours);
  if (code != kOk) return code;
  RC_STEP("connect: accepted");

  Hello go;
  int none = -1;
  code = await_hello(context, fds.main, Hello::kGo, deadline, &go, &none);
  if (code == kOk && none >= 0) code = fail_plain(kNotRingchan, "the listener's last hello brings a descriptor");
  fds.drop(none);
  if (code != kOk) return code;
  memcpy(link->identity, offer.identity, sizeof link->identity);
  link->full_fence = offer.heavy_fence == 0;
  return kOk;
}

}  // namespace

Code shm_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline,
                 Link* link) noexcept {
  Address address;
  Code code = make_address(uri, &address);
  if (code != kOk) return code;
  Fds fds;
  for (int64_t pause = kRetryMinNs;; pause = pause * 2 < kRetryMaxNs ? pause * 2 : kRetryMaxNs) {
    code = dial(context, uri, address, deadline, &fds.main);
    link->heard = code == kOk;
    if (code == kOk) code = shake_hands(context, params, deadline, fds, link);
    fds.drop(fds.ours);
    fds.drop(fds.theirs);
    fds.drop(fds.put_peer);
    if (code == kOk) break;
    fds.drop(fds.main);
    fds.drop(fds.put);
    if (link->inbox != nullptr) unmap_segment(link->inbox, link->both_rings());
    if (link->outbox != nullptr) unmap_segment(link->outbox, link->both_rings());
    link->inbox = link->outbox = nullptr;
    // A listener that closed with us in its backlog: another one may come. One that died later is an answer.
    // A crowd at the listener may have cost us our place.
    bool again = code == kHandshake || (code == kPeerDead && link->ring_bytes == 0);
    link->ring_bytes = link->op_ring_bytes = link->requests = 0;
    if (!again) return code;
    if (deadline.left(now_ns()) == 0)
      return code == kHandshake ? fail_plain(kTimeout, "the listener was too busy until the deadline") : code;
    Code stopped = wait_readable(-1, context.stop_fd(), deadline.sooner(pause));
    if (stopped != kTimeout) return stopped;
  }
  link->direct = true;
  link->fd[kGetSide] = fds.main;
  link->fd[kPutSide] = fds.put;
  read_credentials(fds.main, link);
  watch_process(fds.main, link);
  RC_STEP("connect: done");
  return kOk;
}

void shm_close(Context&, Link* link) noexcept {
  for (int& fd : link->fd) close(fd);
  if (link->common_fd >= 0) close(link->common_fd);
  unmap_segment(link->inbox, link->both_rings());
  unmap_segment(link->outbox, link->both_rings());
}

// A child that the peer has forked holds copies of its sockets, so that they do not hang up when the peer dies. Since
// Linux 6.5 the kernel names the process itself (SO_PEERPIDFD, socket(7)), before by a number that a dead one has given
// back. A kernel without pidfd_open (before 5.3), or a peer in another process namespace, leaves us with the sockets.
void watch_process(int socket, Link* link) noexcept {
  socklen_t bytes = sizeof link->common_fd;
  if (getsockopt(socket, SOL_SOCKET, kPeerPidfd, &link->common_fd, &bytes) == 0) return;
  link->common_fd = link->peer_pid > 0 ? static_cast<int>(syscall(SYS_pidfd_open, link->peer_pid, 0)) : -1;
}

void read_credentials(int socket, Link* link) noexcept {
  ucred who = {};
  socklen_t bytes = sizeof who;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0) return;
  link->peer_pid = who.pid;
  link->peer_uid = who.uid;
}

}  // namespace rc
