// The kernel's own byte streams, as bare as a careful program uses them: one write per message; reads go through a
// buffer of 64 KiB, as one does with a byte stream. They are peers of ringchan, and TCP is the limit of what goes over
// tcp.
#ifndef HARNESS_BENCH_WIRES_H_
#define HARNESS_BENCH_WIRES_H_

#include <errno.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "harness/bench/loops.h"
#include "harness/bench/pair.h"
#include "harness/bench/placement.h"

namespace rcbench {

[[noreturn]] inline void fail_wire(const char* what) {
  throw std::runtime_error(fmt::format("{}: {}", what, strerror(errno)));
}

// Descriptors of the two sides: side i reads from in[i] and writes to out[i].
struct Wires {
  int in[2] = {-1, -1};
  int out[2] = {-1, -1};
  bool sockets = true;  // send and recv instead of write and read, which cost a little more

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
  WirePort(int in, int out, bool sockets) : in_(in), out_(out), sockets_(sockets) {}

  void send(const void* data, size_t n) {
    for (size_t at = 0; at < n;) {
      const uint8_t* from = static_cast<const uint8_t*>(data) + at;
      ssize_t now = sockets_ ? ::send(out_, from, n - at, MSG_NOSIGNAL) : write(out_, from, n - at);
      if (now > 0) at += static_cast<size_t>(now);
      if (now < 0 && errno != EAGAIN && errno != EINTR) fail_wire("write");
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
      ssize_t now = sockets_ ? ::recv(in_, to, n, 0) : read(in_, to, n);
      if (now > 0) return static_cast<size_t>(now);
      if (now == 0) throw std::runtime_error("the other side is gone");
      if (errno != EAGAIN && errno != EINTR) fail_wire("read");
    }
  }

  int in_, out_;
  bool sockets_;
  Buffer buffer_{kBuffer};
  size_t next_ = 0, end_ = 0;
};

// A connection over 127.0.0.1 with TCP_NODELAY.
void open_tcp(Wires& wires);

// A test over fresh wires; spins: with descriptors that do not block.
Sample wire_sample(void (*open)(Wires&), bool spins, const Placement& placement, Test test, const Job& job);

}  // namespace rcbench

#endif  // HARNESS_BENCH_WIRES_H_
