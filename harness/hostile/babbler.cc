#include "harness/hostile/babbler.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "backends/tcp/frame.h"
#include "core/hello.h"
#include "core/wire.h"
#include "harness/tcp/loopback.h"

namespace hostile {
namespace {

using rc::Frame;
using rc::Hello;

constexpr int kPatienceMs = 20'000;
constexpr int kFramesPerTurn = 50;
constexpr uint32_t kOpRing = 4096;
constexpr uint64_t kTail = offsetof(rc::Inbox, line) + 8;
constexpr uint64_t kCredit = offsetof(rc::Inbox, credit);
constexpr uint64_t kGetter = offsetof(rc::Inbox, getter);
constexpr uint64_t kOpTail = offsetof(rc::Inbox, op_line) + 8;
constexpr uint64_t kOpCredit = offsetof(rc::Inbox, op_credit);

int dial(uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  sockaddr_in at = loopback(port);
  if (connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) {
    close(fd);
    return -1;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

int take_client(uint16_t port) {
  uint16_t same = port;
  int fd = bound_socket(&same);
  pollfd p = {fd, POLLIN, 0};
  if (fd < 0 || listen(fd, 8) != 0 || poll(&p, 1, kPatienceMs) != 1) return -1;
  return accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
}

bool take_hello(int fd, Hello* hello) {
  pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, kPatienceMs) == 1 && recv(fd, hello, sizeof *hello, MSG_WAITALL) == sizeof *hello;
}

Hello say(Hello::Kind kind, const Plague& plague) {
  Hello hello = {};
  hello.magic = rc::kHelloMagic;
  hello.version = rc::kWireVersion;
  hello.kind = kind;
  hello.layout = rc::kLayoutHash;
  hello.ring_bytes = plague.ring_bytes;
  hello.op_ring_bytes = plague.seed % 2 != 0 ? kOpRing : 0;
  hello.requests = hello.op_ring_bytes != 0 ? 8 : 0;
  return hello;
}

// Those who never get in, or should not.
class Crowd {
 public:
  Crowd(uint16_t port, const Plague& plague) : port_(port), plague_(plague), random_(plague.seed) {}
  void gather() {
    for (auto n = random_() % 30; n > 0; --n) {
      int fd = dial(port_);
      if (fd >= 0) shout(fd);
    }
  }

 private:
  void shout(int fd) {
    Hello ask = say(Hello::kAsk, plague_);
    std::string bytes(reinterpret_cast<char*>(&ask), sizeof ask);
    switch (random_() % 5) {
      case 0:
        return;  // half open, for as long as this process lives
      case 1:
        bytes = "GET / HTTP/1.1\r\nHost: ringchan\r\n\r\n";
        break;
      case 2:
        bytes.resize(1 + random_() % 3000);
        for (char& c : bytes) c = static_cast<char>(random_());
        break;
      case 3:
        bytes.resize(random_() % bytes.size());
        break;
      default:  // never a good one: that would be let in, and the honest end waits for us
        bytes[random_() % 16] ^= static_cast<char>(1 << (random_() % 8));
    }
    ssize_t ignored = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    static_cast<void>(ignored);
    if (random_() % 3 == 0) shutdown(fd, SHUT_WR);
    if (random_() % 2 == 0) close(fd);
  }

  uint16_t port_;
  const Plague& plague_;
  std::mt19937_64 random_;
};

class Babbler {
 public:
  Babbler(int fd, const Plague& plague) : fd_(fd), plague_(plague), random_(plague.seed + 1) {}

  void run() {
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(plague_.ms);
    while (!gone_ && std::chrono::steady_clock::now() < end) {
      for (int i = 0; i < kFramesPerTurn; ++i) say_something();
      if (!plague_.descriptors) listen_on();  // else it never reads: what the honest end sends piles up
      send_out();
    }
    if (random_() % 3 == 0) {  // with a reset
      linger now = {1, 0};
      setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
  }

 private:
  uint64_t any() { return random_() >> (random_() % 64); }
  void add(const void* data, size_t n) { out_.append(static_cast<const char*>(data), n); }
  void add_frame(uint32_t kind, uint32_t bytes, uint64_t offset) {
    Frame f = {kind, bytes, offset};
    add(&f, sizeof f);
  }
  void add_word(uint64_t offset, uint64_t word) {
    add_frame(Frame::kWrite, 8, offset);
    add(&word, sizeof word);
  }
  void add_noise(size_t n) {
    for (; n > 0; --n) out_.push_back(static_cast<char>(random_()));
  }

  void say_something() {
    if (out_.size() > 100'000) return;
    switch (random_() % 10) {
      case 0:
      case 1:
      case 2:
        return bring_bytes();
      case 3:
        return add_word(kCredit, plague_.plausible ? their_tail_ : their_tail_ - any());
      case 4:
        return add_frame(Frame::kFlush, 0, ++flushes_);
      case 5:
        return add_frame(Frame::kWant, 0, 0);
      case 6:
        return op_nonsense();
      default:
        if (!plague_.plausible && random_() % 100 == 0) return break_protocol();
    }
  }
  // Into the ring where the honest end reads next, and the tail behind it; the bytes are garbage, or a message's
  // header.
  void bring_bytes() {
    uint64_t room = plague_.ring_bytes - (tail_ - their_credit_);
    if (room == 0 || room > plague_.ring_bytes) return;
    uint64_t n = 1 + random_() % std::min<uint64_t>(room, 300), at = tail_ % plague_.ring_bytes;
    n = std::min(n, plague_.ring_bytes - at);
    add_frame(Frame::kWrite, static_cast<uint32_t>(n), rc::kRingOffset + at);
    rc::MessageHeader header = {random_() % 4 != 0 ? random_() % 64 : any(), 7, 0, sequence_};
    if (plague_.messages && n >= sizeof header) {
      add(&header, sizeof header);
      add_noise(n - sizeof header);
      sequence_ += random_() % 2;
    } else {
      add_noise(n);
    }
    tail_ += n;
    add_word(kTail, tail_);
  }
  void op_nonsense() {
    if (plague_.seed % 2 == 0) return;
    uint64_t ring = rc::kRingOffset + rc::op_ring_at(plague_.ring_bytes);
    size_t n = 8 + random_() % 15 * 8;
    add_frame(Frame::kWrite, static_cast<uint32_t>(n), ring + random_() % ((kOpRing - n) / 8) * 8);
    add_noise(n);
    if (random_() % 20 == 0) add_word(random_() % 2 != 0 ? kOpTail : kOpCredit, any() % (2 * kOpRing));
  }
  void break_protocol() {
    switch (random_() % 6) {
      case 0:
        return add_noise(1 + random_() % 500);
      case 1:
        return add_word(kTail, any());
      case 2:
        return add_frame(static_cast<uint32_t>(any()), static_cast<uint32_t>(any()), any());
      case 3:
        return add_word(kGetter, any());
      case 4:
        return add_frame(Frame::kFlushed, 0, any());
      default:
        return add_frame(Frame::kWrite, static_cast<uint32_t>(any()), rc::kRingOffset + any());
    }
  }

  // In pieces of any size, so that frames are cut anywhere.
  void send_out() {
    while (!out_.empty()) {
      size_t piece = std::min<size_t>(out_.size(), 1 + random_() % 5000);
      ssize_t n = send(fd_, out_.data(), piece, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) {
        gone_ = errno != EAGAIN;
        return;
      }
      out_.erase(0, static_cast<size_t>(n));
    }
  }
  // What the honest end has read and written, so that what is said can be near the truth.
  void listen_on() {
    char bytes[16384];
    ssize_t n = recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
    gone_ = gone_ || n == 0;
    if (n > 0) in_.append(bytes, static_cast<size_t>(n));
    size_t at = 0;
    for (Frame f; in_.size() - at >= sizeof f; at += sizeof f + f.bytes) {
      memcpy(&f, &in_[at], sizeof f);
      if (in_.size() - at - sizeof f < f.bytes) break;
      if (f.kind != Frame::kWrite || f.bytes != 8) continue;
      uint64_t word;
      memcpy(&word, &in_[at + sizeof f], sizeof word);
      if (f.offset == kCredit) their_credit_ = word;
      if (f.offset == kTail) their_tail_ = word;
    }
    in_.erase(0, at);
  }

  int fd_;
  Plague plague_;
  std::mt19937_64 random_;
  std::string out_, in_;
  uint64_t tail_ = 0, their_tail_ = 0, their_credit_ = 0, flushes_ = 0;
  uint16_t sequence_ = 0;
  bool gone_ = false;
};

}  // namespace

int bound_socket(uint16_t* port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  sockaddr_in at = loopback(*port);
  socklen_t bytes = sizeof at;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) {
    close(fd);
    return -1;
  }
  getsockname(fd, reinterpret_cast<sockaddr*>(&at), &bytes);
  *port = ntohs(at.sin_port);
  return fd;
}

int babble(uint16_t port, const Plague& plague) {
  Hello hello = {};
  int fd;
  if (plague.client) {
    Crowd crowd(port, plague);
    crowd.gather();
    fd = dial(port);
    Hello ask = say(Hello::kAsk, plague);
    if (fd < 0 || send(fd, &ask, sizeof ask, MSG_NOSIGNAL) != sizeof ask || !take_hello(fd, &hello)) return 1;
    crowd.gather();
  } else {
    fd = take_client(port);
    Hello go = say(Hello::kGo, plague);
    if (fd < 0 || !take_hello(fd, &hello) || send(fd, &go, sizeof go, MSG_NOSIGNAL) != sizeof go) return 1;
  }
  Babbler(fd, plague).run();
  return 0;
}

}  // namespace hostile
