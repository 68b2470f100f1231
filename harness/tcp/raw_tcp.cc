#include "harness/tcp/raw_tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <future>

#include "harness/tcp/loopback.h"

namespace raw_tcp {
namespace {

int with_patience(int fd) {
  timeval patience = {kPatience / 1000000000, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return fd;
}

}  // namespace

testing::AssertionResult returned(const char*, const char* call_text, int32_t expected, int32_t got) {
  if (expected == got) return testing::AssertionSuccess();
  return testing::AssertionFailure() << call_text << " returned " << rc_code_name(got) << ", expected "
                                     << rc_code_name(expected) << "; reason: " << rc_reason();
}

Socket& Socket::operator=(Socket&& other) noexcept {
  close();
  fd_ = std::exchange(other.fd_, -1);
  return *this;
}

Socket Socket::connect_to(uint16_t port) {
  int fd = with_patience(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at = loopback(port);
  if (connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) abort();
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return Socket(fd);
}

Socket Socket::listen_at(uint16_t* port) {
  int fd = with_patience(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at = loopback(0);
  socklen_t bytes = sizeof at;
  if (bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || listen(fd, 8) != 0) abort();
  getsockname(fd, reinterpret_cast<sockaddr*>(&at), &bytes);
  *port = ntohs(at.sin_port);
  return Socket(fd);
}

Socket Socket::accept() const { return Socket(with_patience(accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC))); }

void Socket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Socket::reset() {
  linger now = {1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

bool Socket::send(const void* data, size_t bytes) const {
  return ::send(fd_, data, bytes, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
}

bool Socket::receive(void* data, size_t bytes) const {
  return recv(fd_, data, bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes);
}

bool Socket::hung_up() const {
  char unread[4096];
  ssize_t n;
  while ((n = recv(fd_, unread, sizeof unread, 0)) > 0) {
  }
  return n == 0 || errno == ECONNRESET;
}

bool Socket::write(uint64_t offset, const void* data, uint32_t bytes) const {
  std::string all(sizeof(rc::Frame) + bytes, '\0');
  rc::Frame frame = {rc::Frame::kWrite, bytes, offset};
  memcpy(all.data(), &frame, sizeof frame);
  if (bytes != 0) memcpy(all.data() + sizeof frame, data, bytes);
  return send(all.data(), all.size());
}

rc::Hello say(rc::Hello::Kind kind, uint64_t ring_bytes) {
  rc::Hello hello = {};
  hello.magic = rc::kHelloMagic;
  hello.version = rc::kWireVersion;
  hello.kind = kind;
  hello.layout = rc::kLayoutHash;
  hello.ring_bytes = ring_bytes;
  return hello;
}

void Honest::SetUp() {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 8;
  config.rings_max = 16;
  config.ring_bytes = 65536;
  config.mr_bytes = mr_bytes_;
  config.op_ring_bytes = op_ring_;
  ASSERT_RC(RC_OK, rc_open(&config, &ctx_));
  ASSERT_RC(RC_OK, rc_listen(ctx_, "tcp://127.0.0.1:0", nullptr, &listener_));
  char uri[160];
  ASSERT_RC(RC_OK, rc_listener_uri(listener_, uri, sizeof uri));
  uri_ = uri;
  port_ = static_cast<uint16_t>(atoi(strrchr(uri, ':') + 1));
  ASSERT_NE(0, port_) << uri;
}

void Honest::TearDown() {
  expect_serves();
  EXPECT_RC(RC_OK, rc_close(ctx_));
}

Socket Honest::meet(rc_channel* channel) {
  Socket raw = Socket::connect_to(port_);
  rc::Hello ask = say(rc::Hello::kAsk), go;
  ask.op_ring_bytes = op_ring_;
  ask.requests = kRequests;
  EXPECT_TRUE(raw.send(&ask, sizeof ask));
  EXPECT_RC(RC_OK, rc_accept(listener_, kPatience, channel));
  EXPECT_TRUE(raw.receive(&go, sizeof go));
  EXPECT_EQ(rc::Hello::kGo, go.kind);
  EXPECT_EQ(kRing, go.ring_bytes);
  return raw;
}

void Honest::expect_refused(const void* opening, size_t bytes, int32_t code) {
  Socket raw = Socket::connect_to(port_);
  ASSERT_TRUE(raw.send(opening, bytes));
  rc_channel none = {0};
  EXPECT_RC(RC_E_TIMEOUT, rc_accept(listener_, kShort, &none));
  rc::Hello refusal = {};
  ASSERT_TRUE(raw.receive(&refusal, sizeof refusal));
  EXPECT_EQ(rc::kHelloMagic, refusal.magic);
  EXPECT_EQ(code, refusal.code) << refusal.text;
  EXPECT_NE('\0', refusal.text[0]);
  EXPECT_TRUE(raw.hung_up());
}

void Honest::expect_serves() {
  rc_channel client = {0}, server = {0};
  auto connecting =
      std::async(std::launch::async, [&] { return rc_connect(ctx_, uri_.c_str(), nullptr, kPatience, &client); });
  ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &server));
  ASSERT_EQ(RC_OK, connecting.get());
  char text[6] = "";
  EXPECT_RC(RC_OK, rc_put(client, "hello", 6, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_get(server, text, 6, kPatience, nullptr));
  EXPECT_STREQ("hello", text);
  EXPECT_RC(RC_OK, rc_channel_close(client));
  EXPECT_RC(RC_OK, rc_channel_close(server));
}

}  // namespace raw_tcp
