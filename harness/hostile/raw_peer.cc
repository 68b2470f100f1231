#include "harness/hostile/raw_peer.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <new>
#include <random>

namespace hostile {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr int kMostFds = 253;  // of the kernel, in one packet

sockaddr_un address_of(const std::string& name, socklen_t* bytes) {
  sockaddr_un sa = {};
  sa.sun_family = AF_UNIX;
  std::string full = name[0] == '/' ? name : std::string(1, '\0') + "ringchan/" + name;  // a path, or abstract
  memcpy(sa.sun_path, full.data(), full.size());
  *bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + full.size());
  return sa;
}

bool wait_readable(int fd, int patience_ms) {
  pollfd p = {fd, POLLIN, 0};
  int n;
  do {
    n = poll(&p, 1, patience_ms);
  } while (n < 0 && errno == EINTR);
  return n > 0;
}

}  // namespace

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

// ------------------------------------------------------------------------------------------------------------ sockets

std::string unique_name() {
  std::random_device random;
  char digits[40];
  snprintf(digits, sizeof digits, "hostile-%08x%08x", random(), random());
  return digits;
}

Fd dial(const std::string& name) {
  Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  socklen_t bytes;
  sockaddr_un sa = address_of(name, &bytes);
  if (fd.ok() && connect(fd.get(), reinterpret_cast<sockaddr*>(&sa), bytes) != 0) fd.reset();
  return fd;
}

Fd listen_as(const std::string& name, int type) {
  Fd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  socklen_t bytes;
  sockaddr_un sa = address_of(name, &bytes);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&sa), bytes) != 0 ||
      (type != SOCK_DGRAM && listen(fd.get(), 128) != 0)) {
    fd.reset();
  }
  return fd;
}

std::pair<Fd, Fd> socket_pair(int type) {
  int pair[2] = {-1, -1};
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) != 0) return std::make_pair(Fd(), Fd());
  return {Fd(pair[0]), Fd(pair[1])};
}

bool send_packet(int socket, const void* data, size_t bytes, const std::vector<int>& fds) {
  iovec iov = {const_cast<void*>(data), bytes};
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  std::vector<uint64_t> control(CMSG_SPACE(fds.size() * sizeof(int)) / sizeof(uint64_t));
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
}

Packet receive_packet(int socket, int patience_ms) {
  Packet packet;
  if (!wait_readable(socket, patience_ms)) return packet;
  iovec iov = {&packet.hello, sizeof packet.hello};
  msghdr message = {};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMostFds * sizeof(int))];
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  packet.bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (packet.bytes < 0 &&
      errno == ECONNRESET) {  // it hung up without having read everything: its last words are behind that
    packet.bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (packet.bytes < 0) packet.bytes = 0;
  }
  if (packet.bytes < 0) return packet;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
      int fd;
      memcpy(&fd, reinterpret_cast<char*>(c) + at, sizeof fd);
      packet.fds.emplace_back(fd);
    }
  }
  return packet;
}

// ------------------------------------------------------------------------------------------------------------- hellos

rc::Hello say(rc::Hello::Kind kind, uint64_t ring_bytes, bool fences) {
  rc::Hello h = {};
  h.magic = rc::kHelloMagic;
  h.version = rc::kWireVersion;
  h.kind = kind;
  h.layout = rc::kLayoutHash;
  h.ring_bytes = ring_bytes;
  h.heavy_fence = fences ? 1 : 0;
  strcpy(h.identity, "raw");
  return h;
}

// ------------------------------------------------------------------------------------------------------------- memory

uint64_t file_bytes(uint64_t ring_bytes) {
  return (rc::kRingOffset + ring_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

Fd make_file(const FileKind& kind, rc::Inbox** inbox) {
  Fd fd(memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING | kind.flags));
  if (!fd.ok() || ftruncate(fd.get(), static_cast<off_t>(kind.bytes)) != 0) return Fd();
  if (kind.reserved && kind.bytes != 0) posix_fallocate(fd.get(), 0, static_cast<off_t>(kind.bytes));
  if (inbox != nullptr) {
    void* at = mmap(nullptr, kind.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (at == MAP_FAILED) return Fd();
    *inbox = new (at) rc::Inbox{};
  }
  if (kind.seals != 0 && fcntl(fd.get(), F_ADD_SEALS, kind.seals) != 0) return Fd();
  return fd;
}

// ---------------------------------------------------------------------------------------------------------- connection

RawEnd& RawEnd::operator=(RawEnd&& other) noexcept {
  unmap();
  main = std::move(other.main);
  bell = std::move(other.bell);
  file = std::move(other.file);
  ring_bytes = other.ring_bytes;
  outbox = std::exchange(other.outbox, nullptr);
  inbox = std::exchange(other.inbox, nullptr);
  written = other.written;
  read = other.read;
  return *this;
}

bool RawEnd::map(const Fd& honest_file) {
  void* at = mmap(nullptr, file_bytes(ring_bytes), PROT_READ, MAP_SHARED, honest_file.get(), 0);
  if (at == MAP_FAILED) return false;
  inbox = static_cast<const rc::Inbox*>(at);
  return true;
}

void RawEnd::unmap() {
  if (outbox != nullptr) munmap(outbox, file_bytes(ring_bytes));
  if (inbox != nullptr) munmap(const_cast<rc::Inbox*>(inbox), file_bytes(ring_bytes));
  outbox = nullptr;
  inbox = nullptr;
}

void RawEnd::put(const void* data, size_t n) {
  for (size_t i = 0; i < n; ++i) ring()[(written + i) % ring_bytes] = static_cast<const uint8_t*>(data)[i];
  written += n;
  outbox->line.tail.store(written, std::memory_order_release);
  send(main.get(), "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool RawEnd::get(void* data, size_t n) {
  auto* from = reinterpret_cast<const uint8_t*>(inbox) + rc::kRingOffset;
  for (size_t i = 0; i < n; ++i) {
    for (int turns = 0; inbox->line.tail.load(std::memory_order_acquire) == read; ++turns) {
      if (turns == kPatienceMs) return false;
      const timespec pause = {0, 1000 * 1000};
      nanosleep(&pause, nullptr);
    }
    static_cast<uint8_t*>(data)[i] = from[read++ % ring_bytes];
    outbox->credit.store(read, std::memory_order_release);
  }
  return true;
}

void RawEnd::close() {
  outbox->getter.fetch_or(rc::kClosedBit);
  main.reset();
  bell.reset();
}

// -------------------------------------------------------------------------------------------------------------- client

bool RawClient::dial(const std::string& name) { return (end.main = hostile::dial(name)).ok(); }

bool RawClient::ask(const rc::Hello& hello) { return ask(&hello, sizeof hello); }

bool RawClient::ask(const void* data, size_t bytes) {
  auto [near, far] = socket_pair();
  end.bell = std::move(near);
  return send_packet(end.main.get(), data, bytes, {far.get()});
}

bool RawClient::take_offer() {
  reply = receive_packet(end.main.get());
  if (!reply.is_hello() || reply.hello.kind != rc::Hello::kOffer || reply.hello.code != 0 || reply.fds.size() != 1)
    return false;
  end.ring_bytes = reply.hello.ring_bytes;
  end.file = std::move(reply.fds[0]);
  return end.map(end.file);
}

bool RawClient::accept(const void* data, size_t bytes) {
  Fd file = make_file({file_bytes(end.ring_bytes)}, &end.outbox);
  return file.ok() && send_packet(end.main.get(), data, bytes, {file.get()});
}

bool RawClient::take_go() {
  reply = receive_packet(end.main.get());
  return reply.is_hello() && reply.hello.kind == rc::Hello::kGo && reply.hello.code == 0;
}

// ------------------------------------------------------------------------------------------------------------ listener

bool RawListener::take_client(int patience_ms) {
  if (!wait_readable(socket_.get(), patience_ms)) return false;
  end = RawEnd();
  end.main.reset(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return end.main.ok();
}

bool RawListener::take_ask() {
  reply = receive_packet(end.main.get());
  if (!reply.is_hello() || reply.hello.kind != rc::Hello::kAsk || reply.fds.size() != 1) return false;
  end.bell = std::move(reply.fds[0]);
  return true;
}

bool RawListener::offer(uint64_t ring_bytes) { return offer(say(rc::Hello::kOffer, ring_bytes)); }

bool RawListener::offer(const void* data, size_t bytes, uint64_t ring_bytes) {
  end.ring_bytes = ring_bytes;
  Fd file = make_file({file_bytes(ring_bytes)}, &end.outbox);
  return file.ok() && send_packet(end.main.get(), data, bytes, {file.get()});
}

bool RawListener::take_accept() {
  reply = receive_packet(end.main.get());
  if (!reply.is_hello() || reply.hello.kind != rc::Hello::kAccept || reply.fds.size() != 1) return false;
  end.file = std::move(reply.fds[0]);
  return end.map(end.file);
}

}  // namespace hostile
