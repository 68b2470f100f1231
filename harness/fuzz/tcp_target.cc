// What comes over a socket of tcp, in pieces of any size. Frames: flags, the ring's size, the size of the pieces, then
// the stream; a second reading of it, as plain as can be, says what must come of it. Hello: the size of the pieces, the
// kind that is expected, then the stream.
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <new>
#include <string>

#include "backends/tcp/link.h"
#include "backends/tcp/socket.h"
#include "backends/tcp/tcp.h"
#include "harness/fuzz/targets.h"

namespace fuzz {
namespace {

using rc::Frame;

enum Flag : uint8_t { kAsked = 1, kArmed = 2 };

// One of the two ends is the fuzzer's.
class Sockets {
 public:
  Sockets() { PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds_) == 0); }
  ~Sockets() {
    hang_up();
    close(fds_[0]);
  }
  int honest() const { return fds_[0]; }
  int peer() const { return fds_[1]; }
  void send(const uint8_t* data, size_t bytes) {
    PROMISE(::send(fds_[1], data, bytes, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes));
  }
  void hang_up() {
    if (fds_[1] >= 0) close(fds_[1]);
    fds_[1] = -1;
  }

 private:
  int fds_[2];
};

size_t piece_bytes(uint8_t choice, size_t all) {
  constexpr size_t kPiecesMost = 64;  // else one run takes too long
  return choice == 0 ? all + 1 : std::max<size_t>(choice, all / kPiecesMost + 1);
}

// ------------------------------------------------------------------------------------------------------------- frames

struct Free {
  void operator()(void* p) const { free(p); }
};
template <class T>
std::unique_ptr<T, Free> zeroed(size_t bytes = sizeof(T)) {
  bytes = (bytes + 127) / 128 * 128;
  void* at = aligned_alloc(128, bytes);
  memset(at, 0, bytes);
  return std::unique_ptr<T, Free>(static_cast<T*>(at));
}

// What the stream means: the inbox that it leaves, and whether it breaks the protocol.
struct Reading {
  Reading(size_t ring, bool was_asked) : ring_bytes(ring), asked(was_asked), inbox(rc::kRingOffset + ring) {}

  void read(const uint8_t* at, size_t left) {
    while (left >= sizeof(Frame) && !corrupt) {
      Frame f;
      memcpy(&f, at, sizeof f);
      at += sizeof f;
      left -= sizeof f;
      if (f.kind != Frame::kWrite) {
        control(f);
      } else if (f.offset >= rc::kRingOffset) {
        corrupt = f.bytes == 0 || f.offset > inbox.size() || f.bytes > inbox.size() - f.offset;
        size_t n = corrupt ? 0 : std::min<size_t>(left, f.bytes);
        if (n != 0) memcpy(&inbox[f.offset], at, n);
        at += n;
        left -= n;
      } else if (f.bytes != 8) {
        corrupt = true;
      } else if (left < 8) {
        return;
      } else {
        word(f.offset, at);
        at += 8;
        left -= 8;
      }
    }
  }

  size_t ring_bytes;
  bool asked;
  Input inbox;
  bool corrupt = false, for_getter = false, for_putter = false, answered = false;
  uint64_t flushes = 0;

 private:
  void control(const Frame& f) {
    if (f.kind == Frame::kFlush && f.bytes == 0 && f.offset == flushes + 1) {
      ++flushes;
    } else if (f.kind == Frame::kFlushed && f.bytes == 0 && f.offset == 1 && asked && !answered) {
      answered = for_putter = true;
    } else if (f.kind != Frame::kWant || f.bytes != 0 || f.offset != 0) {
      corrupt = true;
    }
  }
  void word(uint64_t offset, const uint8_t* at) {
    bool tail = offset == offsetof(rc::Inbox, line) + 8, credit = offset == offsetof(rc::Inbox, credit);
    bool getter = offset == offsetof(rc::Inbox, getter);
    corrupt = !tail && !credit && !getter;
    if (corrupt) return;
    memcpy(&inbox[offset], at, 8);
    for_getter |= tail || getter;
    for_putter |= credit || getter;
  }
};

// An honest end at that socket, without the rest of the library.
class Honest {
 public:
  Honest(int socket, size_t ring_bytes, uint8_t flags)
      : inbox_(zeroed<rc::Inbox>(rc::kRingOffset + ring_bytes)),
        outbox_(zeroed<rc::Inbox>(rc::kRingOffset + ring_bytes)),
        memory_(zeroed<void>(sizeof(rc::TcpLink))),
        link(new (memory_.get()) rc::TcpLink()) {
    struct Descriptors {
      int common = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
      int bells[2] = {eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    };
    static const Descriptors fds;  // none of them remembers anything that matters here
    link->ops = &rc::kTcpBackend;
    link->own_inbox = inbox_.get();
    link->inbox = inbox_.get();
    link->outbox = outbox_.get();
    link->ring_bytes = ring_bytes;
    link->options = {rc::kTcpTimeoutMsMax, 0};
    link->socket = socket;
    link->common_fd = fds.common;
    link->timer_fd = fds.timer;
    memcpy(link->fd, fds.bells, sizeof link->fd);
    pthread_mutex_init(&link->sending, nullptr);
    if ((flags & kArmed) != 0) outbox_->getter = outbox_->putter = 1;
    if ((flags & kAsked) == 0) return;
    link->posted = 1;
    PROMISE(!link->ops->delivered(link));
  }
  Honest(const Honest&) = delete;
  Honest& operator=(const Honest&) = delete;
  ~Honest() {
    pthread_mutex_destroy(&link->sending);
    link->~TcpLink();
  }
  // Until there is nothing left to receive.
  void receive() {
    char byte;
    do {
      rc::receive_frames(link, rc::kNoSide);
    } while (status() == rc::kOk && recv(link->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
  }
  int32_t status() const { return link->status; }
  const uint8_t* inbox() const { return reinterpret_cast<const uint8_t*>(inbox_.get()); }

 private:
  std::unique_ptr<rc::Inbox, Free> inbox_, outbox_;
  std::unique_ptr<void, Free> memory_;

 public:
  rc::TcpLink* const link;
};

// The question that was asked, and answers that count up to the last flush.
void check_answers(int socket, const Reading& reading) {
  Frame f;
  uint64_t answered = 0;
  bool question = reading.asked;
  while (recv(socket, &f, sizeof f, MSG_DONTWAIT | MSG_WAITALL) == sizeof f) {
    bool is_question = f.kind == Frame::kFlush && f.offset == 1 && question;
    PROMISE(f.bytes == 0 && (is_question || (f.kind == Frame::kFlushed && f.offset > answered)));
    if (is_question) question = false;
    if (!is_question) answered = f.offset;
  }
  PROMISE(answered == reading.flushes && !question);
}

void check_outcome(const Honest& end, const Reading& reading, bool armed) {
  PROMISE(end.status() == (reading.corrupt ? rc::kCorrupt : rc::kOk));
  PROMISE((rc::link_over(end.link) == rc::kOk) == !reading.corrupt);
  if (reading.corrupt) check_reason(rc::reason());
  PROMISE(memcmp(end.inbox(), reading.inbox.data(), reading.inbox.size()) == 0);
  PROMISE(end.link->kicked[rc::kGetSide] == (reading.corrupt || (armed && reading.for_getter)));
  PROMISE(end.link->kicked[rc::kPutSide] == (reading.corrupt || (armed && reading.for_putter)));
  if (reading.asked && !reading.corrupt) PROMISE(end.link->ops->delivered(end.link) == reading.answered);
}

}  // namespace

void tcp_frames(const uint8_t* data, size_t bytes) {
  if (bytes < 3) return;
  uint8_t flags = data[0];
  size_t ring_bytes = 1 + size_t{data[1]} * 5, piece = piece_bytes(data[2], bytes);
  data += 3;
  bytes -= 3;
  Reading reading(ring_bytes, (flags & kAsked) != 0);
  reading.read(data, bytes);
  Sockets sockets;
  Honest end(sockets.honest(), ring_bytes, flags);
  for (size_t at = 0; at < bytes; at += piece) {
    sockets.send(data + at, std::min(piece, bytes - at));
    end.receive();
  }
  check_outcome(end, reading, (flags & kArmed) != 0);
  check_answers(sockets.peer(), reading);
  sockets.hang_up();
  end.receive();
  PROMISE(end.status() == (reading.corrupt ? rc::kCorrupt : rc::kPeerDead));
}

std::vector<Input> tcp_frames_seeds() {
  std::vector<Input> seeds;
  auto frame = [](Recipe& r, uint32_t kind, uint32_t bytes, uint64_t offset) -> Recipe& {
    return r.add(kind).add(bytes).add(offset);
  };
  for (uint8_t piece : {0, 1, 7, 17, 40}) {
    Recipe good;
    good.add<uint8_t>(kAsked | kArmed).add<uint8_t>(10).add(piece);
    frame(good, Frame::kWrite, 5, rc::kRingOffset + 46).add<uint32_t>(0x64636261).add<uint8_t>('e');
    frame(good, Frame::kWrite, 8, offsetof(rc::Inbox, line) + 8).add<uint64_t>(5);
    frame(good, Frame::kFlush, 0, 1);
    frame(good, Frame::kWant, 0, 0);
    frame(good, Frame::kFlushed, 0, 1);
    frame(good, Frame::kFlush, 0, 2);
    frame(good, Frame::kWrite, 8, offsetof(rc::Inbox, credit)).add<uint64_t>(9);
    frame(good, Frame::kWrite, 8, offsetof(rc::Inbox, getter)).add(rc::kClosedBit);
    seeds.push_back(good.input());
  }
  Recipe large;  // one WRITE that fills the ring, and comes in several pieces
  large.add<uint8_t>(kArmed).add<uint8_t>(40).add<uint8_t>(100);
  frame(large, Frame::kWrite, 201, rc::kRingOffset);
  for (uint8_t i = 0; i < 201; ++i) large.add(i);
  frame(large, Frame::kWrite, 8, offsetof(rc::Inbox, line) + 8).add<uint64_t>(201);
  seeds.push_back(large.input());
  Recipe wild;
  wild.add<uint8_t>(0).add<uint8_t>(0).add<uint8_t>(3);
  frame(wild, Frame::kWrite, UINT32_MAX, rc::kRingOffset + 1).add<uint64_t>(1);
  seeds.push_back(wild.input());
  return seeds;
}

// -------------------------------------------------------------------------------------------------------------- hello

void tcp_hello(const uint8_t* data, size_t bytes) {
  if (bytes < 2) return;
  size_t piece = piece_bytes(data[0], bytes);
  auto kind = data[1] % 2 == 0 ? rc::Hello::kAsk : rc::Hello::kGo;
  data += 2;
  bytes -= 2;
  Sockets sockets;
  rc::Hello hello = {};
  uint32_t got = 0;
  rc::Code code = rc::receive_hello(sockets.honest(), &hello, &got);
  PROMISE(code == rc::kWouldBlock && got == 0);
  size_t at = 0;
  for (; at < bytes && code == rc::kWouldBlock; at += piece) {
    sockets.send(data + at, std::min(piece, bytes - at));
    code = rc::receive_hello(sockets.honest(), &hello, &got);
    PROMISE(code == rc::kWouldBlock || code == rc::kOk);
    PROMISE(got == std::min({sizeof hello, bytes, at + piece}) && memcmp(&hello, data, got) == 0);
  }
  // It is taken as soon as it is complete or cannot become one.
  bool other = got >= 8 && hello.magic != rc::kHelloMagic, version = got >= 12 && hello.version != rc::kWireVersion;
  PROMISE((code == rc::kOk) == (got == sizeof hello || other || version));
  sockets.hang_up();
  if (code == rc::kWouldBlock) {
    code = rc::receive_hello(sockets.honest(), &hello, &got);
    PROMISE(code == (got != 0 ? rc::kNotRingchan : rc::kPeerDead));
    check_reason(rc::reason());
    return;
  }
  code = rc::check_hello(hello, got, kind);
  if (other) PROMISE(code == rc::kNotRingchan);
  if (!other && version) PROMISE(code == rc::kVersion);
  if (code == rc::kOk) PROMISE(got == sizeof hello && hello.kind == kind);
  if (code != rc::kOk) check_reason(rc::reason());
}

std::vector<Input> tcp_hello_seeds() {
  std::vector<Input> seeds;
  rc::ChannelParams speaker = {};
  strcpy(speaker.identity, "seed");
  rc::fail_plain(rc::kSize, "no");
  const rc::Hello hellos[] = {rc::make_hello(rc::Hello::kAsk, speaker, 4096),
                              rc::make_hello(rc::Hello::kGo, speaker, 4096), rc::make_refusal(speaker, rc::kSize)};
  for (uint8_t i = 0; i < 3; ++i) {
    Input seed = {static_cast<uint8_t>(i * 50), i};
    const auto* bytes = reinterpret_cast<const uint8_t*>(&hellos[i]);
    seed.insert(seed.end(), bytes, bytes + sizeof hellos[i]);
    seeds.push_back(seed);
  }
  const std::string text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  Input http = {3, 0};
  http.insert(http.end(), text.begin(), text.end());
  seeds.push_back(http);
  return seeds;
}

}  // namespace fuzz
