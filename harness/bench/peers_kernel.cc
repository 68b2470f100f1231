// What the kernel offers: pipe, unix socket, TCP over loopback.
#include <fcntl.h>
#include <sys/socket.h>

#include "harness/bench/peers.h"
#include "harness/bench/wires.h"

namespace rcbench {
namespace {

void open_pipes(Wires& wires) {
  wires.sockets = false;
  for (int i = 0; i < 2; ++i) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail_wire("pipe");
    wires.out[i] = ends[1];
    wires.in[1 - i] = ends[0];
  }
}

void open_unix_socket(Wires& wires) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail_wire("socketpair");
  for (int i = 0; i < 2; ++i) wires.in[i] = wires.out[i] = ends[i];
}

Peer peer(const char* name, void (*open)(Wires&), bool spins) {
  std::vector<std::string> cases = {"pingpong", "stream"};
  if (!spins) cases.push_back("wake");
  auto sample = [=](const Placement& placement, const std::string& case_name, const Job& job) {
    return wire_sample(open, spins, placement, test_of(case_name), job);
  };
  return {name, "", cases, SIZE_MAX, sample};
}

}  // namespace

std::vector<Peer> kernel_peers() {
  return {peer("pipe", open_pipes, false), peer("unix socket", open_unix_socket, false),
          peer("TCP loopback, spinning", open_tcp, true), peer("TCP loopback, blocking", open_tcp, false)};
}

}  // namespace rcbench
