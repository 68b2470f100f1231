// This machine, seen from itself.
#ifndef HARNESS_TCP_LOOPBACK_H_
#define HARNESS_TCP_LOOPBACK_H_

#include <netinet/in.h>
#include <stdint.h>

// 127.0.0.1; port 0: any.
inline sockaddr_in loopback(uint16_t port) {
  sockaddr_in at = {};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

#endif  // HARNESS_TCP_LOOPBACK_H_
