// The client's half of the handshake, and the end of a connection.
//   client: ask + socket for the put side    server: offer + its segment    client: accept + its segment    server: go
// With the go comes a third socket, if the channel has operations: for the descriptors of direct grants.
#include <errno.h>
#include <poll.h>
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

// One try. 0: *fd is the connected socket; else what the system answered.
int dial_once(const Address& address, int* fd) noexcept {
  int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s < 0) return errno;
  if (connect(s, reinterpret_cast<const sockaddr*>(&address.sa), address.bytes) == 0) {
    *fd = s;
    return 0;
  }
  int error = errno;
  close(s);
  return error;
}

// Why there was no connection until the deadline; kOk: it may be worth to try again until then.
Code judge_error(const Uri& uri, int error, bool last) noexcept {
  if (error == EPROTOTYPE) return fail(kNotRingchan, "%s: another kind of socket listens there", uri.text);
  if (error != EINTR && !worth_retrying(error)) return fail_errno(kSystem, "connecting to a listener's socket", error);
  if (!last) return kOk;
  return error == EAGAIN ? fail(kTimeout, "%s: the listener's backlog stayed full until the deadline", uri.text)
                         : fail(kNoListener, "%s: nobody listened there before the deadline", uri.text);
}

// A connected socket, or the reason why there was none until the deadline.
Code dial(Context& context, const Uri& uri, const Address& address, Deadline deadline, int* fd) noexcept {
  for (int64_t pause = kRetryMinNs;; pause = pause * 2 < kRetryMaxNs ? pause * 2 : kRetryMaxNs) {
    int error = dial_once(address, fd);
    if (error == 0) return kOk;
    bool last = deadline.left(now_ns()) == 0;
    Code code = judge_error(uri, error, last);
    if (code != kOk || last) return code;
    code = wait_readable(-1, context.stop_fd(), deadline.sooner(pause));
    if (code != kTimeout) return code;
  }
}

Code ask(const ChannelParams& params, ShmPursuit* a) noexcept {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    return fail_errno(kSystem, "socketpair for a doorbell", errno);
  }
  a->put_fd = pair[0];
  Code code = send_hello(a->fd, make_hello(Hello::kAsk, params, params.ring_bytes), pair[1]);
  close(pair[1]);
  if (code != kOk && code != kPeerDead) return code;  // a listener that went away at once may have said why
  RC_STEP("connect: asked");
  return kOk;
}

// The listener has offered its segment: map it, make ours and send it.
Code accept_offer(const ChannelParams& params, ShmPursuit* a) noexcept {
  Hello offer;
  size_t bytes = 0;
  int theirs = -1, ours = -1;
  Code code = receive_hello(a->fd, &offer, &bytes, &theirs);
  if (code == kOk) code = check_hello(offer, bytes, Hello::kOffer);
  if (code == kOk && theirs < 0) code = fail_plain(kNotRingchan, "the listener sent no memory file");
  uint64_t ring_bytes = code == kOk ? offer.ring_bytes : 0;
  if (code == kOk && (ring_bytes == 0 || ring_bytes > params.ring_bytes_max ||
                      (params.ring_bytes != 0 && ring_bytes != params.ring_bytes))) {
    code = fail(kSize, "the listener offers a ring of %llu bytes; this end wants %llu and its context allows %llu",
                static_cast<unsigned long long>(ring_bytes), static_cast<unsigned long long>(params.ring_bytes),
                static_cast<unsigned long long>(params.ring_bytes_max));
  }
  Link* agreed = &a->agreed;
  if (code == kOk) {
    agreed->ring_bytes = ring_bytes;
    agree_on_ops(offer, params, agreed);
    memcpy(agreed->identity, offer.identity, sizeof agreed->identity);
    agreed->full_fence = offer.heavy_fence == 0;
    code = map_segment(theirs, agreed->both_rings(), &agreed->inbox);
  }
  if (code == kOk) code = make_segment(agreed->both_rings(), &ours, &agreed->outbox);
  if (code == kOk) code = send_hello(a->fd, make_hello(Hello::kAccept, params, ring_bytes), ours);
  if (theirs >= 0) drop_received(theirs);
  if (ours >= 0) close(ours);
  if (code != kOk) return code;
  a->accepted = true;
  RC_STEP("connect: accepted");
  return kOk;
}

// With the third socket, if the channel has operations.
Code receive_go(ShmPursuit* a) noexcept {
  Hello go;
  size_t bytes = 0;
  int fd = -1;
  Code code = receive_hello(a->fd, &go, &bytes, &fd);
  if (code == kOk) code = check_hello(go, bytes, Hello::kGo);
  bool wanted = a->agreed.op_ring_bytes != 0;
  if (code == kOk && fd >= 0 && !wanted)
    code = fail_plain(kNotRingchan, "the listener's last hello brings a descriptor");
  if (code == kOk && wanted && !is_unix_socket(fd, SOCK_STREAM))
    code = fail_plain(kNotRingchan, "the listener's last hello brings no socket for descriptors");
  if (code == kOk) {
    a->hand_fd = fd;
  } else if (fd >= 0) {
    drop_received(fd);
  }
  return code;
}

// As far as what the listener has said allows; kWouldBlock: it has not said all yet.
Code go_on(const ChannelParams& params, ShmPursuit* a) noexcept {
  Code code = a->accepted ? kOk : accept_offer(params, a);
  return code == kOk ? receive_go(a) : code;
}

void begin(ShmPursuit* a) noexcept {
  a->fd = a->put_fd = a->hand_fd = -1;
  a->events = POLLIN;
  a->accepted = false;
  a->agreed = Link{};
}

void make_link(ShmPursuit* a, Link* link) noexcept {
  link->inbox = a->agreed.inbox;
  link->outbox = a->agreed.outbox;
  link->ring_bytes = a->agreed.ring_bytes;
  link->op_ring_bytes = a->agreed.op_ring_bytes;
  link->requests = a->agreed.requests;
  link->full_fence = a->agreed.full_fence;
  memcpy(link->identity, a->agreed.identity, sizeof link->identity);
  link->direct = true;
  link->fd[kGetSide] = a->fd;
  link->fd[kPutSide] = a->put_fd;
  for (int fd : link->fd) refuse_descriptors(fd);
  static_cast<ShmLink*>(link)->hand_fd = a->hand_fd;
  static_cast<ShmLink*>(link)->hand_measure = 0;
  read_credentials(a->fd, link);
  watch_process(a->fd, link);
  a->fd = -1;
  RC_STEP("connect: done");
}

Code shake_hands(Context& context, const ChannelParams& params, Deadline deadline, ShmPursuit* a) noexcept {
  Code code = ask(params, a);
  while (code == kOk && (code = go_on(params, a)) == kWouldBlock) {
    code = wait_readable(a->fd, context.stop_fd(), deadline);
    if (code == kTimeout) return fail_plain(kTimeout, "somebody listens there but did not accept before the deadline");
    if (code != kOk) return code;
  }
  return code;
}

}  // namespace

void shm_abandon(Pursuit* pursuit) noexcept {
  auto* a = static_cast<ShmPursuit*>(pursuit);
  const int sockets[] = {a->fd, a->put_fd, a->hand_fd};
  for (int fd : sockets) {
    if (fd >= 0) close_socket(fd);
  }
  a->fd = a->put_fd = a->hand_fd = -1;
  if (a->agreed.inbox != nullptr) unmap_segment(a->agreed.inbox, a->agreed.both_rings());
  if (a->agreed.outbox != nullptr) unmap_segment(a->agreed.outbox, a->agreed.both_rings());
  a->agreed.inbox = a->agreed.outbox = nullptr;
}

Code shm_pursue(Context&, const Uri& uri, const ChannelParams& params, Deadline, Pursuit* pursuit,
                Link* link) noexcept {
  auto* a = static_cast<ShmPursuit*>(pursuit);
  Code code = kOk;
  if (a->fd < 0) {
    begin(a);
    Address address;
    code = make_address(uri, &address);
    int error = code == kOk ? dial_once(address, &a->fd) : 0;
    if (error != 0) code = judge_error(uri, error, true);
    if (code == kOk) code = ask(params, a);
  }
  link->heard = a->fd >= 0;
  if (code == kOk) code = go_on(params, a);
  if (code == kWouldBlock) return code;
  if (code == kOk) {
    make_link(a, link);
  } else {
    shm_abandon(a);
  }
  return code;
}

Code shm_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline,
                 Link* link) noexcept {
  Address address;
  Code code = make_address(uri, &address);
  if (code != kOk) return code;
  for (int64_t pause = kRetryMinNs;; pause = pause * 2 < kRetryMaxNs ? pause * 2 : kRetryMaxNs) {
    ShmPursuit a;
    begin(&a);
    code = dial(context, uri, address, deadline, &a.fd);
    link->heard = code == kOk;
    if (code == kOk) code = shake_hands(context, params, deadline.or_at(link->heard_until_ns), &a);
    if (code == kOk) {
      make_link(&a, link);
      return kOk;
    }
    shm_abandon(&a);
    // A listener that closed with us in its backlog: another one may come. One that died later is an answer.
    // A crowd at the listener may have cost us our place.
    bool again = code == kHandshake || (code == kPeerDead && a.agreed.ring_bytes == 0);
    if (!again) return code;
    if (deadline.left(now_ns()) == 0)
      return code == kHandshake ? fail_plain(kTimeout, "the listener was too busy until the deadline") : code;
    Code stopped = wait_readable(-1, context.stop_fd(), deadline.sooner(pause));
    if (stopped != kTimeout) return stopped;
  }
}

void shm_close(Context&, Link* link) noexcept {
  for (int fd : link->fd) close_socket(fd);
  int hand_fd = static_cast<ShmLink*>(link)->hand_fd;
  if (hand_fd >= 0) close_socket(hand_fd);
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
