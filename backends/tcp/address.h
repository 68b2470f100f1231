// tcp://HOST:PORT?KEY=VALUE: what it says, and which socket addresses it stands for.
#ifndef BACKENDS_TCP_ADDRESS_H_
#define BACKENDS_TCP_ADDRESS_H_

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/result.h"
#include "core/uri.h"

namespace rc {

struct TcpOptions {
  int64_t timeout_ms;     // so long may the peer's machine be silent
  uint32_t busy_poll_us;  // SO_BUSY_POLL; 0: none
};

inline constexpr int64_t kTcpTimeoutMsDefault = 10'000;
inline constexpr int64_t kTcpTimeoutMsMin = 1'000;
inline constexpr int64_t kTcpTimeoutMsMax = 24 * 3600 * 1000;

struct TcpAddress {
  union {
    sockaddr sa;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  socklen_t bytes;
};

struct TcpTarget {
  char host[kUriBytes];  // without brackets
  uint16_t port;
  TcpOptions options;
};

inline constexpr int kTcpAddressesMax = 8;
struct TcpAddresses {
  TcpAddress at[kTcpAddressesMax];
  int count;
};

// kUri says what is wrong with it.
Code read_target(const Uri& uri, TcpTarget* target) noexcept;
// Numbers are taken as they are; a name is looked up, which may take longer than any deadline (getaddrinfo(3)).
Code resolve(const Uri& uri, const TcpTarget& target, TcpAddresses* addresses) noexcept;
// Writes the port that a listener got into a URI that asked for port 0.
Code tell_port(Uri* uri, uint16_t port) noexcept;

}  // namespace rc

#endif  // BACKENDS_TCP_ADDRESS_H_
