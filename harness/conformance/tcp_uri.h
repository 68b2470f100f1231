// URIs of tcp listeners for tests.
#ifndef HARNESS_CONFORMANCE_TCP_URI_H_
#define HARNESS_CONFORMANCE_TCP_URI_H_

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace conformance {

// A URI that nobody else uses. The port lies below those that the system hands out, and instead of 127.0.0.1 one of
// the millions of other addresses of the loopback device is taken; ::1 is alone there, so its port is tried first.
inline std::string unique_tcp_uri(const std::string& host) {
  for (;;) {
    uint32_t random[2];
    if (getrandom(random, sizeof random, 0) != sizeof random) abort();
    uint16_t port = static_cast<uint16_t>(20000 + random[0] % 12000);
    if (host == "127.0.0.1") {
      return "tcp://127." + std::to_string(1 + random[1] % 254) + "." + std::to_string(random[1] >> 8 & 255) + "." +
             std::to_string(1 + (random[1] >> 16) % 254) + ":" + std::to_string(port);
    }
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 at = {};
    at.sin6_family = AF_INET6;
    at.sin6_addr = in6addr_loopback;
    at.sin6_port = htons(port);
    bool free = bind(probe, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
    close(probe);
    if (free) return "tcp://" + host + ":" + std::to_string(port);
  }
}

inline bool has_tcp_v6() {
  int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 at = {};
  at.sin6_family = AF_INET6;
  at.sin6_addr = in6addr_loopback;
  bool has = probe >= 0 && bind(probe, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
  if (probe >= 0) close(probe);
  return has;
}

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_TCP_URI_H_
