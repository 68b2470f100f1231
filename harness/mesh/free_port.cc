#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <stdexcept>

#include "harness/mesh/members.h"

namespace meshes {

uint16_t free_port(int* held) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  sockaddr_in address = {};
  socklen_t bytes = sizeof address;
  address.sin_family = AF_INET;
  // Bound, but not listening: with SO_REUSEADDR on both sockets the mesh can listen there, and no one is given it.
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) {
    throw std::runtime_error(std::string("looking for a free port: ") + strerror(errno));
  }
  *held = fd;
  return ntohs(address.sin_port);
}

}  // namespace meshes
