// rc_listen and rc_accept: names, many clients, and the descriptor of a listener.
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include <vector>

#include "harness/conformance/pair.h"

namespace conformance {
namespace {

Call connect_to(const std::string& uri, uint32_t slot = 0) {
  Call connect{Op::kConnect};
  snprintf(connect.text, sizeof connect.text, "%s", uri.c_str());
  connect.slot = slot;
  connect.ring_bytes = 1000;
  return connect;
}

Call on_slot(Op op, uint32_t slot, size_t n = 0) {
  Call call = Far::bytes(op, n);
  call.slot = slot;
  return call;
}

bool shows(int fd, int64_t timeout_ns) {
  pollfd wait = {fd, POLLIN, 0};
  return poll(&wait, 1, static_cast<int>(timeout_ns / 1000000)) == 1 && (wait.revents & POLLIN) != 0;
}

}  // namespace

TEST_P(Listening, AcceptWithoutAClientWaits) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_accept(listener_, 0, &ch_));
  EXPECT_RC(RC_E_TIMEOUT, rc_accept(listener_, kShort, &ch_));
}

TEST_P(Listening, AcceptWakesWhenAClientComes) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  Doing accepting([&] { return rc_accept(listener_, RC_FOREVER, &ch_); });
  accepting.wait_until_inside();
  EXPECT_FAR(RC_OK, 0u, far().call(connect_to(uri_)));
  EXPECT_DONE(RC_OK, accepting);
  put(5);
  EXPECT_FAR(RC_OK, 5u, far().get(5));
}

TEST_P(Listening, NameInUseIsRefused) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  rc_listener second{0};
  if (backend().list_of == 0) {  // the context has no room for two lists
    EXPECT_RC_NAMES(RC_E_NAME_IN_USE, uri_, rc_listen(ctx_, uri_.c_str(), nullptr, &second));
  }
  Call listen{Op::kListen};
  snprintf(listen.text, sizeof listen.text, "%s", uri_.c_str());
  Reply reply = far().call(listen);
  EXPECT_FAR(RC_E_NAME_IN_USE, 0u, reply);
  EXPECT_NE(nullptr, strstr(reply.reason, uri_.c_str())) << reply.reason;
  // The first one is not disturbed.
  far().start(connect_to(uri_));
  EXPECT_RC(RC_OK, rc_accept(listener_, kPatience, &ch_));
  EXPECT_FAR(RC_OK, 0u, far().finish());
}

TEST_P(Listening, ClosedListenerFreesItsNameAtOnceAndItsChannelsLiveOn) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
    far().start(connect_to(uri_));
    ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &ch_));
    ASSERT_FAR(RC_OK, 0u, far().finish());
    EXPECT_RC(RC_OK, rc_listener_close(listener_));
    rc_channel none{0};
    EXPECT_RC(RC_E_HANDLE, rc_accept(listener_, 0, &none));
    out_.restart();
    in_.restart();
    put(5);
    EXPECT_FAR(RC_OK, 5u, far().get(5));
    EXPECT_FAR(RC_OK, 6u, far().put(6));
    get(6);
    if (i == 1) continue;  // the channel of this round stays open until the end
    disconnect();
  }
}

TEST_P(Listening, ClosedListenerIsNoListener) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  EXPECT_RC(RC_OK, rc_listener_close(listener_));
  Call connect = connect_to(uri_);
  connect.timeout_ns = kShort;
  EXPECT_FAR(RC_E_NO_LISTENER, 0u, far().call(connect));
}

// A client that waits when the listener goes is refused, and goes on looking for a listener until its deadline.
TEST_P(Listening, ClientsInTheBacklogOfAClosedListenerFindTheNextOne) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_listener_fd(listener_, &fd));
  far().start(connect_to(uri_));
  EXPECT_TRUE(shows(fd, kPatience));  // it is in the backlog
  EXPECT_RC(RC_OK, rc_listener_close(listener_));
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  EXPECT_RC(RC_OK, rc_accept(listener_, kPatience, &ch_));
  EXPECT_FAR(RC_OK, 0u, far().finish());
  put(5);
  EXPECT_FAR(RC_OK, 5u, far().get(5));
}

TEST_P(Listening, CloseWakesAnAcceptOfAnotherThread) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  Doing accepting([&] { return rc_accept(listener_, RC_FOREVER, &ch_); });
  accepting.wait_until_inside();
  EXPECT_RC(RC_OK, rc_listener_close(listener_));
  EXPECT_DONE(RC_E_CLOSING, accepting);
}

TEST_P(Listening, CloseOfTheContextWakesAnAccept) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  Doing accepting([&] { return rc_accept(listener_, RC_FOREVER, &ch_); });
  accepting.wait_until_inside();
  rc_ctx closing = ctx_;
  ctx_ = rc_ctx{0};
  EXPECT_RC(RC_OK, rc_close(closing));
  EXPECT_DONE(RC_E_CLOSING, accepting);
}

TEST_P(Listening, StopWakesAnAccept) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  Doing accepting([&] { return rc_accept(listener_, RC_FOREVER, &ch_); });
  accepting.wait_until_inside();
  EXPECT_RC(RC_OK, rc_stop(ctx_));
  EXPECT_DONE(RC_E_STOPPED, accepting);
  EXPECT_RC(RC_E_STOPPED, rc_accept(listener_, kPatience, &ch_));
}

TEST_P(Listening, SecondAcceptIsTurnedAway) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  Doing accepting([&] { return rc_accept(listener_, RC_FOREVER, &ch_); });
  accepting.wait_until_inside();
  rc_channel none{0};
  EXPECT_RC(RC_E_BUSY, rc_accept(listener_, 0, &none));
  EXPECT_FAR(RC_OK, 0u, far().call(connect_to(uri_)));
  EXPECT_DONE(RC_OK, accepting);
}

TEST_P(Listening, ClientsInTurn) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  for (int i = 0; i < 20; ++i) {
    SCOPED_TRACE(i);
    far().start(connect_to(uri_));
    ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &ch_));
    ASSERT_FAR(RC_OK, 0u, far().finish());
    out_.restart();
    in_.restart();
    put(50);
    EXPECT_FAR(RC_OK, 50u, far().get(50));
    EXPECT_FAR(RC_OK, 60u, far().put(60));
    get(60);
    disconnect();
  }
}

TEST_P(Listening, ManyClientsOfOnePeerDoNotMix) {
  constexpr uint32_t kClients = 8;
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  rc_channel channels[kClients];
  for (uint32_t i = 0; i < kClients; ++i) {
    far().start(connect_to(uri_, i));
    ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &channels[i]));
    ASSERT_FAR(RC_OK, 0u, far().finish());
  }
  // Each channel has its own pace; its far end checks its own stream.
  for (uint32_t i = 0; i < kClients; ++i) {
    Pattern out{kNearToFar};
    Buffer bytes = out.next(10 + 7 * i);
    EXPECT_RC(RC_OK, rc_put(channels[i], bytes.data(), bytes.size(), kPatience, nullptr));
  }
  for (uint32_t i = kClients; i-- > 0;) {
    EXPECT_FAR(RC_OK, 10 + 7 * i, far().call(on_slot(Op::kGet, i, 10 + 7 * i)));
    Call put = on_slot(Op::kPut, i, 20 + i);
    EXPECT_FAR(RC_OK, 20 + i, far().call(put));
  }
  for (uint32_t i = 0; i < kClients; ++i) {
    ch_ = channels[i];
    in_.restart();
    get(20 + i);
    EXPECT_EQ(0u, readable());
  }
}

// Several clients, each in its own thread or process, connect and talk at the same time.
TEST_P(Listening, ManyClientsAtOnce) {
  constexpr size_t kClients = 4;
  constexpr size_t kBytes = 8 * kCapacity;
  for (size_t i = 0; i < kClients; ++i) far(i);
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  for (size_t i = 0; i < kClients; ++i) far(i).start(connect_to(uri_));
  rc_channel channels[kClients];
  for (rc_channel& channel : channels) ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &channel));
  for (size_t i = 0; i < kClients; ++i) ASSERT_FAR(RC_OK, 0u, far(i).finish());
  for (size_t i = 0; i < kClients; ++i) far(i).start(Far::pieces(Op::kEcho, kBytes, 200 + i));
  std::vector<std::unique_ptr<Doing>> serving;
  for (rc_channel channel : channels) {
    serving.push_back(std::make_unique<Doing>([channel] {
      Pattern out{kNearToFar};
      // Half a ring under way at a time, so that neither side waits for the other for good.
      while (out.at() < kBytes) {
        size_t n = std::min<size_t>(400, kBytes - out.at());
        Buffer bytes = out.next(n), back(n);
        int32_t code = rc_put(channel, bytes.data(), n, kPatience, nullptr);
        if (code != RC_OK) return code;
        out.move(n);
        if (out.at() == kBytes) break;
      }
      return RC_OK;
    }));
  }
  std::vector<std::unique_ptr<Doing>> reading;
  for (rc_channel channel : channels) {
    reading.push_back(std::make_unique<Doing>([channel] {
      Pattern in{kNearToFar};
      while (in.at() < kBytes) {
        size_t n = std::min<size_t>(333, kBytes - in.at());
        Buffer back(n);
        int32_t code = rc_get(channel, back.data(), n, kPatience, nullptr);
        if (code != RC_OK) return code;
        if (in.wrong(back.data(), n) != n) return RC_E_CORRUPT;
        in.move(n);
      }
      return RC_OK;
    }));
  }
  for (auto& doing : serving) EXPECT_DONE(RC_OK, *doing);
  for (auto& doing : reading) EXPECT_DONE(RC_OK, *doing);
  for (size_t i = 0; i < kClients; ++i) EXPECT_FAR(RC_OK, kBytes, far(i).finish());
}

TEST_P(Listening, GoesOnAfterAClientDied) {
  if (!backend().other_process) GTEST_SKIP() << "on " << backend().name << " a client does not die alone";
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  rc_channel survivor{0};
  far(0);
  far(1);
  far(1).start(connect_to(uri_));
  ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &survivor));
  ASSERT_FAR(RC_OK, 0u, far(1).finish());
  far(0).start(connect_to(uri_));
  ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &ch_));
  ASSERT_FAR(RC_OK, 0u, far(0).finish());
  far(0).kill();
  uint8_t byte;
  EXPECT_RC(RC_E_PEER_DEAD, rc_get(ch_, &byte, 1, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  ch_ = survivor;
  other_end_ = 1;
  put(5);
  EXPECT_FAR(RC_OK, 5u, far(1).get(5));
  far(2).start(connect_to(uri_));
  ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &ch_));
  ASSERT_FAR(RC_OK, 0u, far(2).finish());
  out_.restart();
  other_end_ = 2;
  put(9);
  EXPECT_FAR(RC_OK, 9u, far(2).get(9));
}

TEST_P(Listening, NameOfADeadListenerOpensAgainAtOnce) {
  if (!backend().other_process) GTEST_SKIP() << "on " << backend().name << " the listener does not die alone";
  Call listen{Op::kListen};
  snprintf(listen.text, sizeof listen.text, "%s", uri_.c_str());
  ASSERT_FAR(RC_OK, 0u, far(0).call(listen));
  far(1);
  far(0).kill();
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  far(1).start(connect_to(uri_));
  ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &ch_));
  ASSERT_FAR(RC_OK, 0u, far(1).finish());
  other_end_ = 1;
  put(5);
  EXPECT_FAR(RC_OK, 5u, far(1).get(5));
}

TEST_P(Listening, DescriptorShowsAClient) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  int32_t fd = -1, again = -1;
  if (!backend().has_listener_descriptor) {
    EXPECT_RC(RC_E_UNSUPPORTED, rc_listener_fd(listener_, &fd));
    return;
  }
  ASSERT_RC(RC_OK, rc_listener_fd(listener_, &fd));
  EXPECT_RC(RC_OK, rc_listener_fd(listener_, &again));
  EXPECT_EQ(fd, again);
  EXPECT_NE(0, fcntl(fd, F_GETFD) & FD_CLOEXEC);
  EXPECT_RC(RC_E_INVALID, rc_listener_fd(listener_, nullptr));
  for (uint32_t i = 0; i < 2; ++i) {
    EXPECT_FALSE(shows(fd, 0));
    far().start(connect_to(uri_, i));
    EXPECT_TRUE(shows(fd, kPatience));
    // What it shows may be half a handshake: ask until the client is there.
    int32_t code = RC_E_WOULD_BLOCK;
    while (code == RC_E_WOULD_BLOCK && shows(fd, kPatience)) code = rc_accept(listener_, 0, &ch_);
    EXPECT_EQ(RC_OK, code) << rc_reason();
    EXPECT_FAR(RC_OK, 0u, far().finish());
  }
}

TEST_P(Listening, FullPoolOfListenersIsNamedAndRecovers) {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 1;
  config.listeners_max = 2 * (backend().list_of + 1);  // a list takes one of its own
  config.ring_bytes = 4096;
  rc_ctx ctx{0};
  ASSERT_RC(RC_OK, rc_open(&config, &ctx));
  rc_listener listeners[3] = {};
  EXPECT_RC(RC_OK, rc_listen(ctx, backend().make_uri().c_str(), nullptr, &listeners[0]));
  EXPECT_RC(RC_OK, rc_listen(ctx, backend().make_uri().c_str(), nullptr, &listeners[1]));
  EXPECT_RC_NAMES(RC_E_POOL, "listener", rc_listen(ctx, uri_.c_str(), nullptr, &listeners[2]));
  EXPECT_TRUE(reason_names(std::to_string(config.listeners_max)));
  EXPECT_RC(RC_OK, rc_listener_close(listeners[0]));
  EXPECT_RC(RC_OK, rc_listen(ctx, uri_.c_str(), nullptr, &listeners[2]));
  EXPECT_RC(RC_OK, rc_close(ctx));
}

TEST_P(Listening, NullForAChannelIsInvalid) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  EXPECT_RC(RC_E_INVALID, rc_accept(listener_, 0, nullptr));
}

TEST_P(Listening, NamesThatAreNoneAreRefused) {
  std::string scheme = backend().scheme;
  struct Case {
    std::string uri;
    int32_t code;
    std::string names;
  };
  for (const Case& c : std::vector<Case>{
           {"", RC_E_URI, "URI"},
           {"name", RC_E_URI, "name"},
           {":name", RC_E_URI, "scheme"},
           {scheme + ":", RC_E_URI, "name"},
           {scheme, RC_E_URI, scheme},
           {"nosuch:name", RC_E_SCHEME, "nosuch"},
           {scheme + "x:name", RC_E_SCHEME, scheme + "x"},
           {"Sh m:name", RC_E_URI, "URI"},
           {scheme + ":na me", RC_E_URI, "byte"},
           {scheme + ":na\nme", RC_E_URI, "byte"},
           {scheme + ":" + std::string(160, 'x'), RC_E_URI, "159"},
           {scheme + ":" + std::string(100000, 'x'), RC_E_URI, "159"},
           {uri_ + (uri_.find('?') == std::string::npos ? "?" : "&") + "nosuch=1", RC_E_URI, "nosuch"},
       }) {
    SCOPED_TRACE(c.uri.substr(0, 200));
    EXPECT_RC_NAMES(c.code, c.names, rc_listen(ctx_, c.uri.c_str(), nullptr, &listener_));
    EXPECT_RC_NAMES(c.code, c.names, rc_connect(ctx_, c.uri.c_str(), nullptr, 0, &ch_));
  }
  EXPECT_RC(RC_E_URI, rc_listen(ctx_, nullptr, nullptr, &listener_));
  EXPECT_RC(RC_E_URI, rc_connect(ctx_, nullptr, nullptr, 0, &ch_));
}

TEST_P(Listening, EveryDescriptorIsClosedOnExec) {
  std::vector<bool> before(1024);
  for (int fd = 0; fd < 1024; ++fd) before[static_cast<size_t>(fd)] = fcntl(fd, F_GETFD) >= 0;
  connect();
  int32_t fd_of_channel = -1;
  rc_channel_fd(ch_, &fd_of_channel);
  for (int fd = 0; fd < 1024; ++fd) {
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || before[static_cast<size_t>(fd)]) continue;
    EXPECT_NE(0, flags & FD_CLOEXEC) << "descriptor " << fd;
  }
}

RC_CONFORMANCE_BY_URI(Listening);

}  // namespace conformance
