// The client's half of the handshake.
//   client: ask    listener: go, or a refusal
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/tcp/link.h"
#include "backends/tcp/socket.h"
#include "core/context.h"
#include "core/step.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr int64_t kRetryMinNs = 500 * 1000;
constexpr int64_t kRetryMaxNs = 20 * 1000 * 1000;
// So long one of several addresses of a name may keep the others from being tried.
constexpr int64_t kAttemptNs = int64_t{2} * 1000 * 1000 * 1000;

// A port of the range that clients get may connect to itself when nobody listens.
bool is_own(int socket) noexcept {
  TcpAddress here, there;
  memset(&here, 0, sizeof here);
  memset(&there, 0, sizeof there);
  here.bytes = there.bytes = sizeof here.v6;
  return getsockname(socket, &here.sa, &here.bytes) == 0 && getpeername(socket, &there.sa, &there.bytes) == 0 &&
         here.bytes == there.bytes && memcmp(&here.sa, &there.sa, here.bytes) == 0;
}

// What became of an attempt whose time is up.
int outcome_now(int socket) noexcept {
  int error = 0;
  socklen_t bytes = sizeof error;
  TcpAddress there;
  there.bytes = sizeof there.v6;
  if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) return errno;
  if (error != 0) return error;
  return getpeername(socket, &there.sa, &there.bytes) == 0 ? 0 : EINPROGRESS;
}

// Begins an attempt at one address. *error: what the system answered; EINPROGRESS: nothing yet. *fd stays -1 if there
// is no socket of that kind.
Code begin_dial(const TcpAddress& address, int* fd, int* error) noexcept {
  *fd = new_tcp_socket(address);
  if (*fd < 0 && errno != EAFNOSUPPORT) return fail_errno(kSystem, "socket for a connection", errno);
  *error = ENETUNREACH;  // a machine without IPv6
  if (*fd >= 0) *error = connect(*fd, &address.sa, address.bytes) == 0 ? 0 : errno;
  if (*error == EINTR) *error = EINPROGRESS;
  return kOk;
}

// One attempt at one address. *error: what the system answered; 0: connected; EINPROGRESS: nothing until the deadline.
Code dial_one(Context& context, const TcpAddress& address, Deadline deadline, int* fd, int* error) noexcept {
  int s = -1;
  Code code = begin_dial(address, &s, error);
  if (s < 0) return code;
  if (*error == EINPROGRESS) {
    code = wait_writable(s, context.stop_fd(), deadline);
    if (code == kTimeout) code = kOk;
    if (code == kOk) *error = outcome_now(s);
  }
  if (code == kOk && *error == 0 && is_own(s)) *error = ECONNREFUSED;
  if (code == kOk && *error == 0) {
    *fd = s;
  } else {
    close(s);
  }
  return code;
}

// Why there was no connection until the deadline; kOk: it may be worth to try again until then.
Code judge_error(const Uri& uri, int error, bool last) noexcept {
  switch (error) {
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
      return last ? fail(kNoListener, "%s: nobody listened there before the deadline", uri.text) : kOk;
    case EINPROGRESS:
    case ETIMEDOUT:
      return last ? fail(kTimeout,
                         "%s: no answer before the deadline; the machine is down, a firewall drops what it is sent, or "
                         "the listener's backlog is full",
                         uri.text)
                  : kOk;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EADDRNOTAVAIL:
      return last
                 ? fail(kUnreachable,
                        "%s: there is no way to that address before the deadline; check it, the network and the routes",
                        uri.text)
                 : kOk;
    default:
      return fail_errno(kSystem, "connecting to a listener", error);
  }
}

// A connected socket, or the reason why there was none until the deadline.
Code dial(Context& context, const Uri& uri, const TcpAddresses& addresses, Deadline deadline, int* fd) noexcept {
  int error = 0;
  for (int64_t pause = kRetryMinNs;; pause = pause * 2 < kRetryMaxNs ? pause * 2 : kRetryMaxNs) {
    for (int i = 0; i < addresses.count; ++i) {
      bool alone = addresses.count == 1;
      int answer = 0;
      Code code = dial_one(context, addresses.at[i], alone ? deadline : deadline.sooner(kAttemptNs), fd, &answer);
      if (code != kOk) return code;
      if (answer == 0) return kOk;
      // An earlier answer tells more than none, and of several addresses a refusal tells most: a machine is there.
      bool known = error != 0 && (answer == EINPROGRESS || (i != 0 && error == ECONNREFUSED));
      if (!known) error = answer;
    }
    bool last = deadline.left(now_ns()) == 0;
    Code code = judge_error(uri, error, last);
    if (code != kOk || last) return code;
    code = wait_readable(-1, context.stop_fd(), deadline.sooner(pause));
    if (code != kTimeout) return code;
  }
}

// kWouldBlock: the listener has not said all yet.
Code receive_go(int fd, Hello* go, uint32_t* got) noexcept {
  Code code = *got != sizeof *go ? receive_hello(fd, go, got) : kOk;
  return code == kOk ? check_hello(*go, *got, Hello::kGo) : code;
}

Code await_go(Context& context, int fd, Deadline deadline, Hello* go) noexcept {
  uint32_t got = 0;
  for (;;) {
    Code code = receive_go(fd, go, &got);
    if (code != kWouldBlock) return code;
    code = wait_readable(fd, context.stop_fd(), deadline);
    if (code == kTimeout) return fail_plain(kTimeout, "somebody listens there but did not accept before the deadline");
    if (code != kOk) return code;
  }
}

Code ask(int fd, const ChannelParams& params) noexcept {
  Code code = send_hello(fd, make_hello(Hello::kAsk, params, params.ring_bytes));
  if (code != kOk && code != kPeerDead) return code;  // a listener that went away at once may have said why
  RC_STEP("connect: asked");
  return kOk;
}

// Makes the link that the listener has agreed to. On failure the socket stays the caller's.
Code make_link(const Hello& go, const ChannelParams& params, const TcpOptions& options, int fd,
               TcpLink* link) noexcept {
  if (go.ring_bytes == 0 || go.ring_bytes > params.ring_bytes_max ||
      (params.ring_bytes != 0 && go.ring_bytes != params.ring_bytes)) {
    return fail(kSize, "the listener offers a ring of %llu bytes; this end wants %llu and its context allows %llu",
                static_cast<unsigned long long>(go.ring_bytes), static_cast<unsigned long long>(params.ring_bytes),
                static_cast<unsigned long long>(params.ring_bytes_max));
  }
  RC_STEP("connect: let in");
  Code code = open_link(link, fd, options, go.ring_bytes);
  if (code != kOk) return code;
  agree_on_ops(go, params, link);
  memcpy(link->identity, go.identity, sizeof link->identity);
  return kOk;
}

Code shake_hands(Context& context, const ChannelParams& params, const TcpOptions& options, Deadline deadline, int fd,
                 TcpLink* link) noexcept {
  Hello go = {};
  Code code = ask(fd, params);
  if (code == kOk) code = await_go(context, fd, deadline, &go);
  return code == kOk ? make_link(go, params, options, fd, link) : code;
}

// Until a listener lets us in. A listener that closed with us in its backlog: another one may come. A crowd at the
// listener may have cost us our place.
Code find_listener(Context& context, const Uri& uri, const TcpTarget& target, const ChannelParams& params,
                   Deadline deadline, TcpLink* link) noexcept {
  TcpAddresses addresses;
  Code code = resolve(uri, target, &addresses);
  if (code != kOk) return code;
  for (int64_t pause = kRetryMinNs;; pause = pause * 2 < kRetryMaxNs ? pause * 2 : kRetryMaxNs) {
    int fd = -1;
    code = dial(context, uri, addresses, deadline, &fd);
    link->heard = code == kOk;
    if (code != kOk) return code;
    RC_STEP("connect: dialled");
    code = shake_hands(context, params, target.options, deadline.or_at(link->heard_until_ns), fd, link);
    if (code == kOk) return kOk;
    close(fd);
    if (code != kHandshake && code != kPeerDead) return code;
    if (deadline.left(now_ns()) == 0)
      return code == kHandshake ? fail_plain(kTimeout, "the listener was too busy until the deadline") : code;
    Code stopped = wait_readable(-1, context.stop_fd(), deadline.sooner(pause));
    if (stopped != kTimeout) return stopped;
  }
}

Code read_client_target(const Uri& uri, TcpTarget* target) noexcept {
  Code code = read_target(uri, target);
  if (code != kOk || target->port != 0) return code;
  return fail(kUri, "URI \"%s\": port 0 is for listeners; a client names the port that the listener got", uri.text);
}

// ------------------------------------------------------------------------------------------------- in several calls

// Of several addresses each attempt tries the next one.
Code begin(const Uri& uri, TcpPursuit* a) noexcept {
  TcpTarget target;
  TcpAddresses addresses;
  Code code = read_client_target(uri, &target);
  if (code == kOk) code = resolve(uri, target, &addresses);
  if (code != kOk) return code;
  a->options = target.options;
  a->asked = false;
  a->events = POLLOUT;
  a->got = 0;
  memset(&a->go, 0, sizeof a->go);
  int error = 0;
  code = begin_dial(addresses.at[a->turn++ % static_cast<uint32_t>(addresses.count)], &a->fd, &error);
  return code == kOk && error != 0 && error != EINPROGRESS ? judge_error(uri, error, true) : code;
}

// fresh: else the socket has said that it has an answer.
Code ask_when_connected(const Uri& uri, const ChannelParams& params, bool fresh, TcpPursuit* a) noexcept {
  int error = outcome_now(a->fd);
  if (error == EINPROGRESS && fresh) return kWouldBlock;
  if (error == 0 && is_own(a->fd)) error = ECONNREFUSED;
  a->asked = error == 0;
  Code code = error == 0 ? ask(a->fd, params) : judge_error(uri, error, true);
  a->events = POLLIN;
  return code;
}

}  // namespace

Code tcp_pursue(Context& context, const Uri& uri, const ChannelParams& params, Deadline, Pursuit* pursuit,
                Link* l) noexcept {
  auto* a = static_cast<TcpPursuit*>(pursuit);
  TcpLink* link = tcp(l);
  bool fresh = a->fd < 0;
  Code code = fresh ? begin(uri, a) : kOk;
  if (code == kOk && !a->asked) code = ask_when_connected(uri, params, fresh, a);
  link->heard = a->fd >= 0 && a->asked;
  if (code == kOk) code = receive_go(a->fd, &a->go, &a->got);
  if (code == kWouldBlock) return code;
  if (code == kOk) {
    code = take_rings(context, link);
    if (code != kOk) return code;  // some may come free while the answer waits here
    code = make_link(a->go, params, a->options, a->fd, link);
    if (code != kOk) give_rings(context, link);
  }
  if (code != kOk) {
    tcp_abandon(a);
    return code;
  }
  a->fd = -1;
  RC_STEP("connect: done");
  return kOk;
}

void tcp_abandon(Pursuit* a) noexcept {
  if (a->fd >= 0) close(a->fd);
  a->fd = -1;
}

Code tcp_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Link* l) noexcept {
  TcpLink* link = tcp(l);
  TcpTarget target;
  Code code = read_client_target(uri, &target);
  if (code == kOk) code = take_rings(context, link);
  if (code != kOk) return code;
  code = find_listener(context, uri, target, params, deadline, link);
  if (code != kOk) give_rings(context, link);
  RC_STEP("connect: done");
  return code;
}

}  // namespace rc
