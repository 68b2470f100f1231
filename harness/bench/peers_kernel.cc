// What the kernel offers: pipe, unix socket, TCP over loopback. One write per message; reads go through a buffer of
// 64 KiB, as one does with a byte stream.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "harness/bench/peers.h"

namespace rcbench {
namespace {

[[noreturn]] void fail(const char* what) { throw std::runtime_error(fmt::format("{}: {}", what, strerror(errno))); }

// Descriptors of the two sides: side i reads from in[i] and writes to out[i].
struct Wires {
  int in[2] = {-1, -1};
  int out[2] = {-1, -1};

  ~Wires() {
    for (int i = 0; i < 2; ++i) {
      if (in[i] >= 0) close(in[i]);
      if (out[i] >= 0 && out[i] != in[i]) close(out[i]);
    }
  }
};

// With descriptors that do not block, it spins.
class WirePort {
 public:
  WirePort(int in, int out) : in_(in), out_(out) {}

  void send(const void* data, size_t n) {
    for (size_t at = 0; at < n;) {
      ssize_t now = write(out_, static_cast<const uint8_t*>(data) + at, n - at);
      if (now > 0) at += static_cast<size_t>(now);
      if (now < 0 && errno != EAGAIN && errno != EINTR) fail("write");
    }
  }
  const void* recv(void* data, size_t n) {
    auto* to = static_cast<uint8_t*>(data);
    for (size_t at = 0; at < n;) {
      if (next_ == end_ && n - at >= kBuffer) {  // a large message needs no stop on the way
        at += take(to + at, n - at);
        continue;
      }
      if (next_ == end_) {
        next_ = 0;
        end_ = take(buffer_.data(), kBuffer);
      }
      size_t now = std::min(end_ - next_, n - at);
      memcpy(to + at, buffer_.data() + next_, now);
      next_ += now;
      at += now;
    }
    return data;
  }
  void flush() {}

 private:
  static constexpr size_t kBuffer = 65536;

  size_t take(void* to, size_t n) {
    for (;;) {
      ssize_t now = read(in_, to, n);
      if (now > 0) return static_cast<size_t>(now);
      if (now == 0) throw std::runtime_error("the other side is gone");
      if (errno != EAGAIN && errno != EINTR) fail("read");
    }
  }

  int in_, out_;
  Buffer buffer_{kBuffer};
  size_t next_ = 0, end_ = 0;
};

void open_pipes(Wires& wires) {
  for (int i = 0; i < 2; ++i) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
    wires.out[i] = ends[1];
    wires.in[1 - i] = ends[0];
  }
}

void open_unix_socket(Wires& wires) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail("socketpair");
  for (int i = 0; i < 2; ++i) wires.in[i] = wires.out[i] = ends[i];
}

void open_tcp(Wires& wires) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (listener < 0 || bind(listener, any, size) != 0 || listen(listener, 1) != 0 ||
      getsockname(listener, any, &size) != 0) {
    fail("listen on 127.0.0.1");
  }
  int ends[2];
  ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (ends[0] < 0 || connect(ends[0], any, size) != 0) fail("connect to 127.0.0.1");
  ends[1] = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (ends[1] < 0) fail("accept");
  close(listener);
  for (int i = 0; i < 2; ++i) {
    int on = 1;
    setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    wires.in[i] = wires.out[i] = ends[i];
  }
}

Sample run(void (*open)(Wires&), bool spins, const Placement& placement, const std::string& case_name,
           const Job& job) try {
  Wires wires;
  open(wires);
  for (int i = 0; spins && i < 2; ++i) fcntl(wires.in[i], F_SETFL, O_NONBLOCK);
  auto body = [&](int index) {
    return [&, index](Side& side) {
      // Only one's own ends stay open, so that a side that dies is noticed.
      close(wires.in[1 - index]);
      if (wires.out[1 - index] != wires.in[1 - index]) close(wires.out[1 - index]);
      WirePort port(wires.in[index], wires.out[index]);
      run_side_of(test_of(case_name), index, side, port, job);
    };
  };
  return run_pair(placement, 0, body(0), body(1));
} catch (const std::exception& error) {
  return Sample::failure(error.what());
}

Peer peer(const char* name, void (*open)(Wires&), bool spins) {
  std::vector<std::string> cases = {"pingpong", "stream"};
  if (!spins) cases.push_back("wake");
  auto sample = [=](const Placement& placement, const std::string& case_name, const Job& job) {
    return run(open, spins, placement, case_name, job);
  };
  return {name, "", cases, SIZE_MAX, sample};
}

}  // namespace

std::vector<Peer> kernel_peers() {
  return {peer("pipe", open_pipes, false), peer("unix socket", open_unix_socket, false),
          peer("TCP loopback, spinning", open_tcp, true), peer("TCP loopback, blocking", open_tcp, false)};
}

}  // namespace rcbench
