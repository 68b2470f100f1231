// The TCP socket of a connection: its options, and hellos over it.
#ifndef BACKENDS_TCP_SOCKET_H_
#define BACKENDS_TCP_SOCKET_H_

#include <stdint.h>

#include "backends/tcp/address.h"
#include "core/hello.h"
#include "core/result.h"

namespace rc {

// Close-on-exec, never blocking; -1: errno says why.
int new_tcp_socket(const TcpAddress& address) noexcept;
// Small frames at once; a machine that is gone noticed while nothing is under way; busy polling.
Code set_options(int socket, const TcpOptions& options) noexcept;

// A hello fits any fresh socket's buffer, so it goes out whole or the peer is gone (kPeerDead).
Code send_hello(int socket, const Hello& hello) noexcept;

// Takes what has come of a hello; *got counts its bytes. kWouldBlock: more is to come. kOk: it is complete, or so much
// of it has come that check_hello can tell what is wrong.
Code receive_hello(int socket, Hello* hello, uint32_t* got) noexcept;
// Whether the peer has hung up, as far as has been heard here.
bool hung_up(int socket) noexcept;

}  // namespace rc

#endif  // BACKENDS_TCP_SOCKET_H_
