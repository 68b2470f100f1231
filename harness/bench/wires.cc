#include "harness/bench/wires.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "harness/tcp/loopback.h"

namespace rcbench {

void open_tcp(Wires& wires) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || bind(listener, any, size) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, any, &size) != 0) {
    fail_wire("listen on 127.0.0.1");
  }
  int ends[2];
  ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (ends[0] < 0 || connect(ends[0], any, size) != 0) fail_wire("connect to 127.0.0.1");
  ends[1] = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (ends[1] < 0) fail_wire("accept");
  close(listener);
  for (int i = 0; i < 2; ++i) {
    int on = 1;
    setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    wires.in[i] = wires.out[i] = ends[i];
  }
}

Sample wire_sample(void (*open)(Wires&), bool spins, const Placement& placement, Test test, const Job& job) try {
  Wires wires;
  open(wires);
  for (int i = 0; spins && i < 2; ++i) fcntl(wires.in[i], F_SETFL, O_NONBLOCK);
  auto body = [&](int index) {
    return [&, index](Side& side) {
      // Only one's own ends stay open, so that a side that dies is noticed.
      close(wires.in[1 - index]);
      if (wires.out[1 - index] != wires.in[1 - index]) close(wires.out[1 - index]);
      WirePort port(wires.in[index], wires.out[index], wires.sockets);
      run_side_of(test, index, side, port, job);
    };
  };
  return run_pair(placement, 0, body(0), body(1));
} catch (const std::exception& error) {
  return Sample::failure(error.what());
}

}  // namespace rcbench
