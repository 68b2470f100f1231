// The unix socket of a connection: addresses, hellos with descriptors, doorbells.
#ifndef BACKENDS_SHM_SOCKET_H_
#define BACKENDS_SHM_SOCKET_H_

#include <sys/socket.h>
#include <sys/un.h>

#include "core/hello.h"
#include "core/result.h"
#include "core/uri.h"

namespace rc {

struct Address {
  sockaddr_un sa;
  socklen_t bytes;
  bool path;  // in the file system; else abstract
};

// "NAME" or "/path"; kUri says what is wrong with it.
Code make_address(const Uri& uri, Address* address) noexcept;

// Binds and listens. A socket file that nobody listens behind any more is replaced.
Code listen_at(const Uri& uri, const Address& address, int* fd) noexcept;
void stop_listening(const Address& address, int fd) noexcept;

// Sends one hello, and fd beside it unless it is -1. Never blocks: the socket is fresh and the hello small.
Code send_hello(int socket, const Hello& hello, int fd) noexcept;

// Receives one hello if one is there: kWouldBlock if not. *fd is the descriptor that came with it, -1 if none did; more
// than one is an error. *bytes: what arrived of the hello.
Code receive_hello(int socket, Hello* hello, size_t* bytes, int* fd) noexcept;

// Sends bytes, and fd beside them unless it is -1. Never blocks; as sendmsg.
ssize_t send_with(int socket, const void* data, size_t bytes, int fd) noexcept;

// Of a socket that came from the peer; what else it may be only harms the peer.
bool is_unix_socket(int fd, int type) noexcept;

// Closes a descriptor that came from the peer, which may have asked a socket to wait in close (SO_LINGER).
void drop_received(int fd) noexcept;
// Closes a socket that the peer may have left such descriptors in.
void close_socket(int fd) noexcept;
// The peer cannot send any through it from now on, if the kernel can refuse them (Linux 6.16).
void refuse_descriptors(int socket) noexcept;

enum class Bell { kNone, kRung, kGone, kWithDescriptor };
// Eats one.
Bell take_bell(int socket) noexcept;

// The descriptor of the next direct grant, which stays the next one; kWouldBlock: none has come. *fd is the caller's.
Code look_at_handed(int socket, uint64_t* key_id, int* fd) noexcept;
// On to the one after it.
void take_handed(int socket) noexcept;

}  // namespace rc

#endif  // BACKENDS_SHM_SOCKET_H_
