#include "backends/tcp/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

namespace rc {
namespace {

constexpr int kProbes = 4;
constexpr int kRtoMaxMs = 44;  // TCP_RTO_MAX_MS, younger than the headers of Debian 12

bool set(int socket, int level, int name, int value) noexcept {
  return setsockopt(socket, level, name, &value, sizeof value) == 0;
}

int at_least_one_s(int64_t ms) noexcept { return ms < 1000 ? 1 : static_cast<int>(ms / 1000); }

}  // namespace

int new_tcp_socket(const TcpAddress& address) noexcept {
  return socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
}

// Keep-alive probes find a dead machine while nothing is under way: half of the time-out quiet, the other half probes.
// The kernel counts in whole seconds: of the least time-out, one is quiet and another waits for the answer to one
// probe. TCP_USER_TIMEOUT would find it while something is, but it also ends a connection whose peer is alive and has
// not read for so long; check_silence does it instead.
Code set_options(int socket, const TcpOptions& options) noexcept {
  int idle_s = at_least_one_s(options.timeout_ms / 2);
  int interval_s = at_least_one_s(options.timeout_ms / 2 / kProbes);
  int probes = static_cast<int>(options.timeout_ms / 1000 - idle_s) / interval_s;
  if (probes < 1) probes = 1;
  if (!set(socket, IPPROTO_TCP, TCP_NODELAY, 1) || !set(socket, SOL_SOCKET, SO_KEEPALIVE, 1) ||
      !set(socket, IPPROTO_TCP, TCP_KEEPIDLE, idle_s) || !set(socket, IPPROTO_TCP, TCP_KEEPINTVL, interval_s) ||
      !set(socket, IPPROTO_TCP, TCP_KEEPCNT, probes)) {
    return fail_errno(kSystem, "setting a connection's options", errno);
  }
  // Retransmissions and probes of a closed window keep coming at least four times in the time-out. A kernel before
  // Linux 6.15 lets their distance grow to two minutes.
  static_cast<void>(set(socket, IPPROTO_TCP, kRtoMaxMs, 1000 * at_least_one_s(options.timeout_ms / 4)));
  if (options.busy_poll_us != 0 && !set(socket, SOL_SOCKET, SO_BUSY_POLL, static_cast<int>(options.busy_poll_us)))
    return fail_errno(kSystem, "busy_poll_us: SO_BUSY_POLL", errno);
  return kOk;
}

Code send_hello(int socket, const Hello& hello) noexcept {
  ssize_t n;
  do {
    n = send(socket, &hello, sizeof hello, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof hello)) return kOk;
  if (n < 0 && (errno == ENOMEM || errno == ENOBUFS)) return fail_errno(kNoMemory, "sending a hello", errno);
  return fail_plain(kPeerDead, "the peer went away during the handshake");
}

Code receive_hello(int socket, Hello* hello, uint32_t* got) noexcept {
  constexpr uint32_t kMagicBytes = sizeof hello->magic;
  constexpr uint32_t kVersionBytes = offsetof(Hello, version) + sizeof hello->version;
  for (;;) {
    ssize_t n = recv(socket, reinterpret_cast<char*>(hello) + *got, sizeof *hello - *got, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return kWouldBlock;
    if (n == 0 && *got != 0)
      return fail_plain(kNotRingchan, "whoever answered does not speak ringchan: it hung up within its hello");
    if (n <= 0) return fail_plain(kPeerDead, "the peer went away during the handshake");
    *got += static_cast<uint32_t>(n);
    // Somebody else's protocol may never send as much as a hello has.
    bool other = *got >= kMagicBytes && hello->magic != kHelloMagic;
    bool other_version = *got >= kVersionBytes && hello->version != kWireVersion;
    if (*got == sizeof *hello || other || other_version) return kOk;
  }
}

bool hung_up(int socket) noexcept {
  char byte;
  ssize_t n;
  do {
    n = recv(socket, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  } while (n < 0 && errno == EINTR);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

}  // namespace rc
