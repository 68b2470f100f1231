// A name that has several addresses.
#include <sys/socket.h>

#include <future>
#include <string>
#include <vector>

#include "harness/tcp/loopback.h"
#include "harness/tcp/raw_tcp.h"

namespace raw_tcp {
namespace {

// A socket of 127.0.0.2 that answers nobody: its backlog is full.
class Silent {
 public:
  explicit Silent(uint16_t port) : at_(loopback(port)) {
    at_.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    int fd = open();
    EXPECT_EQ(0, bind(fd, reinterpret_cast<sockaddr*>(&at_), sizeof at_));
    EXPECT_EQ(0, listen(fd, 0));
    for (int i = 0; i < 4; ++i) static_cast<void>(connect(open(), reinterpret_cast<sockaddr*>(&at_), sizeof at_));
  }

 private:
  int open() {
    sockets_.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return sockets_.back().fd();
  }
  sockaddr_in at_;
  std::vector<Socket> sockets_;
};

TEST(Names, ASilentAddressLeavesTheOthersTheirTime) {
  rc_ctx ctx{0};
  rc_listener listener{0};
  rc_channel here{0}, there{0};
  uint16_t port = 0;
  Socket::listen_at(&port).close();
  Silent silent(port);
  const std::string own = "tcp://127.0.0.1:" + std::to_string(port);
  const std::string both = "tcp://127.0.0.1,127.0.0.2:" + std::to_string(port);
  ASSERT_RC(RC_OK, rc_open(nullptr, &ctx));
  auto connecting =
      std::async(std::launch::async, [&] { return rc_connect(ctx, both.c_str(), nullptr, kPatience, &there); });
  // So long the other one has been refused, too.
  EXPECT_RC(RC_E_NO_LISTENER, rc_connect(ctx, own.c_str(), nullptr, 300 * kMs, &here));
  EXPECT_RC(RC_OK, rc_listen(ctx, own.c_str(), nullptr, &listener));
  EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &here));
  EXPECT_RC(RC_OK, connecting.get());
  EXPECT_RC(RC_OK, rc_close(ctx));
}

}  // namespace
}  // namespace raw_tcp
