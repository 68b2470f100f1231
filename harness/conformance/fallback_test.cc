// Lists of transports: what is taken, what is told of the others, and lists that are none.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "harness/conformance/own_context.h"
#include "harness/conformance/tcp_uri.h"

namespace conformance {
namespace {

// "//127.1.2.3:PORT" that nobody else uses.
std::string unique_place() { return unique_tcp_uri("127.0.0.1").substr(4); }

class Fallback : public testing::Test {
 protected:
  void SetUp() override {
    rc_config config = small_config();
    config.channels_max = 8;
    config.listeners_max = 8;
    ASSERT_RC(RC_OK, rc_open(&config, &ctx_));
  }
  void TearDown() override { EXPECT_RC(RC_OK, rc_close(ctx_)); }

  rc_listener listen(const std::string& uri) {
    rc_listener listener{0};
    EXPECT_RC(RC_OK, rc_listen(ctx_, uri.c_str(), nullptr, &listener));
    return listener;
  }
  // Connects, accepts, and passes a byte each way; returns the client's channel.
  rc_channel meet(rc_listener listener, const std::string& uri) {
    rc_channel client{0}, server{0};
    Doing connecting([&] { return rc_connect(ctx_, uri.c_str(), nullptr, kPatience, &client); });
    EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &server));
    EXPECT_DONE(RC_OK, connecting);
    char byte = 0;
    EXPECT_RC(RC_OK, rc_put(client, "x", 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_get(server, &byte, 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_put(server, "y", 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_get(client, &byte, 1, kPatience, nullptr));
    EXPECT_EQ('y', byte);
    EXPECT_EQ(info_of(client).backend, std::string(info_of(server).backend));
    accepted_ = server;
    return client;
  }
  static rc_info info_of(rc_channel channel) {
    rc_info info = {};
    info.size = sizeof info;
    EXPECT_RC(RC_OK, rc_channel_info(channel, &info));
    return info;
  }
  static std::string taken(rc_channel channel) { return info_of(channel).backend; }
  static std::string choice(rc_channel channel) {
    char text[640] = "";
    EXPECT_RC(RC_OK, rc_channel_choice(channel, text, sizeof text));
    return text;
  }
  static std::string choice(rc_listener listener) {
    char text[640] = "";
    EXPECT_RC(RC_OK, rc_listener_choice(listener, text, sizeof text));
    return text;
  }
  static void expect_has(const std::string& text, const std::string& part) {
    EXPECT_NE(std::string::npos, text.find(part)) << "\"" << text << "\" does not say \"" << part << "\"";
  }

  rc_ctx ctx_{0};
  rc_channel accepted_{0};
};

TEST_F(Fallback, FindsSharedMemoryOnOneHost) {
  std::string place = unique_place();
  rc_listener listener = listen("shm+tcp:" + place);
  rc_channel client = meet(listener, "shm+tcp:" + place);
  EXPECT_EQ("shm", taken(client));
  EXPECT_EQ("shm was taken", choice(client));
  EXPECT_EQ("shm was taken by the client", choice(accepted_));
  EXPECT_EQ("shm:" + place.substr(2), info_of(client).uri);
  expect_has(choice(listener), "listens at shm:" + place.substr(2) + " tcp:" + place);
}

TEST_F(Fallback, TheClientsOrderDecides) {
  std::string place = unique_place();
  rc_listener listener = listen("shm+tcp:" + place);
  EXPECT_EQ("tcp", taken(meet(listener, "tcp+shm:" + place)));
  EXPECT_EQ("tcp", taken(meet(listener, "tcp:" + place)));
  EXPECT_EQ("shm", taken(meet(listener, "shm:" + place.substr(2))));
}

TEST_F(Fallback, AListenerAtAllAddressesIsFoundAtEach) {
  std::string port = unique_place().substr(2);
  port = port.substr(port.find(':'));
  rc_listener listener = listen("shm+tcp://0.0.0.0" + port);
  EXPECT_EQ("shm", taken(meet(listener, "shm+tcp://127.0.0.1" + port)));
  EXPECT_EQ("shm", taken(meet(listener, "shm+tcp://localhost" + port)));
}

TEST_F(Fallback, PassesOverWhatTheListenerDoesNotListenAtAndSaysSo) {
  std::string place = unique_place();
  rc_listener listener = listen("tcp:" + place);
  rc_channel client = meet(listener, "shm+tcp:" + place);
  EXPECT_EQ("tcp", taken(client));
  expect_has(choice(client), "tcp was taken; not shm: shm:" + place.substr(2) + ": nobody listened there");
}

TEST_F(Fallback, RdmaWithoutADeviceIsNamedAndPassedOver) {
  std::string place = unique_place();
  rc_channel none{0};
  int32_t code = rc_connect(ctx_, ("rdma:" + place).c_str(), nullptr, 0, &none);
  if (code != RC_E_NO_DEVICE) GTEST_SKIP() << "this machine has RDMA";
  rc_listener listener = listen("rdma+shm+tcp:" + place);
  expect_has(choice(listener), "; not rdma: ");
  rc_channel client = meet(listener, "rdma+shm+tcp:" + place);
  EXPECT_EQ("shm", taken(client));
  expect_has(choice(client), "shm was taken; not rdma: ");
}

TEST_F(Fallback, AnotherHostIsNotTriedOverSharedMemory) {
  rc_channel none{0};
  // TEST-NET-1: nobody's address.
  int32_t code = rc_connect(ctx_, "shm+tcp://192.0.2.1:7000", nullptr, 20 * kShort, &none);
  // By what the network does to such packets.
  EXPECT_TRUE(code == RC_E_TIMEOUT || code == RC_E_UNREACHABLE || code == RC_E_NO_LISTENER) << code;
  expect_has(rc_reason(), "shm: 192.0.2.1 is not this machine");
  expect_has(rc_reason(), "; tcp: tcp://192.0.2.1:7000: ");
}

TEST_F(Fallback, WaitsForAListenerThatComesLater) {
  std::string place = unique_place();
  for (const char* scheme : {"shm:", "tcp:"}) {
    rc_channel client{0}, server{0};
    Doing connecting([&] { return rc_connect(ctx_, ("shm+tcp:" + place).c_str(), nullptr, kPatience, &client); });
    usleep(30 * 1000);  // some rounds without anybody; less would do as well
    std::string uri = scheme + (scheme[0] == 's' ? place.substr(2) : place);
    rc_listener listener = listen(uri);
    EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &server));
    EXPECT_DONE(RC_OK, connecting);
    EXPECT_EQ(std::string(scheme).substr(0, 3), taken(client));
    EXPECT_RC(RC_OK, rc_listener_close(listener));
  }
}

// A listener that is there but slow is not a reason to take the next, however ready that is.
TEST_F(Fallback, StaysWithAListenerThatDoesNotAcceptYet) {
  std::string place = unique_place();
  rc_listener slow = listen("shm:" + place.substr(2)), ready = listen("tcp:" + place);
  rc_channel client{0}, server{0};
  Doing connecting([&] { return rc_connect(ctx_, ("shm+tcp:" + place).c_str(), nullptr, kPatience, &client); });
  EXPECT_RC(RC_E_TIMEOUT, rc_accept(ready, 100 * kShort, &server));
  EXPECT_RC(RC_OK, rc_accept(slow, kPatience, &server));
  EXPECT_DONE(RC_OK, connecting);
  EXPECT_EQ("shm", taken(client));
}

TEST_F(Fallback, NobodyAnywhereHasAReasonOfEach) {
  std::string place = unique_place();
  rc_channel none{0};
  EXPECT_RC_NAMES(RC_E_NO_LISTENER,
                  "shm: shm:", rc_connect(ctx_, ("shm+tcp:" + place).c_str(), nullptr, kShort, &none));
  EXPECT_TRUE(reason_names("; tcp: tcp:"));
}

TEST_F(Fallback, AListenerThatDoesNotAcceptIsATimeout) {
  std::string place = unique_place();
  listen("shm+tcp:" + place);
  rc_channel none{0};
  EXPECT_RC_NAMES(RC_E_TIMEOUT, "did not accept",
                  rc_connect(ctx_, ("shm+tcp:" + place).c_str(), nullptr, 20 * kShort, &none));
}

TEST_F(Fallback, StopEndsIt) {
  rc_channel none{0};
  EXPECT_RC(RC_OK, rc_stop(ctx_));
  EXPECT_RC(RC_E_STOPPED, rc_connect(ctx_, ("shm+tcp:" + unique_place()).c_str(), nullptr, kPatience, &none));
}

TEST_F(Fallback, APortThatIsTakenIsTakenForAll) {
  std::string place = unique_place();
  rc_listener busy = listen("tcp:" + place), none{0};
  EXPECT_RC_NAMES(RC_E_NAME_IN_USE, "tcp:" + place, rc_listen(ctx_, ("shm+tcp:" + place).c_str(), nullptr, &none));
  EXPECT_RC(RC_OK, rc_listener_close(busy));
  busy = listen("shm:" + place.substr(2));
  EXPECT_RC_NAMES(RC_E_NAME_IN_USE, "shm:", rc_listen(ctx_, ("tcp+shm:" + place).c_str(), nullptr, &none));
  EXPECT_RC(RC_OK, rc_listener_close(busy));
  listen("shm+tcp:" + place);  // what failed has left nothing behind
}

TEST_F(Fallback, PortZeroIsTheSameForAll) {
  rc_listener listener = listen("shm+tcp://127.0.0.1:0");
  char uri[160] = "";
  EXPECT_RC(RC_OK, rc_listener_uri(listener, uri, sizeof uri));
  EXPECT_EQ(0, std::string(uri).rfind("shm+tcp://127.0.0.1:", 0));
  EXPECT_NE("shm+tcp://127.0.0.1:0", std::string(uri));
  EXPECT_EQ("shm", taken(meet(listener, uri)));
  EXPECT_EQ("tcp", taken(meet(listener, std::string(uri).substr(4))));
  rc_channel none{0};
  EXPECT_RC_NAMES(RC_E_URI, "port 0", rc_connect(ctx_, "shm+tcp://127.0.0.1:0", nullptr, 0, &none));
}

TEST_F(Fallback, AMemberThatCannotChooseAPortLeavesItToTheOthers) {
  rc_listener listener = listen("rdma+tcp://127.0.0.1:0");
  char uri[160] = "";
  EXPECT_RC(RC_OK, rc_listener_uri(listener, uri, sizeof uri));
  EXPECT_EQ("tcp", taken(meet(listener, std::string(uri).substr(5))));
}

TEST_F(Fallback, ClosingTheListenerWakesAnAccept) {
  rc_listener listener = listen("shm+tcp:" + unique_place());
  rc_channel none{0};
  Doing accepting([&] { return rc_accept(listener, kPatience, &none); });
  usleep(20 * 1000);
  EXPECT_RC(RC_OK, rc_listener_close(listener));
  Outcome ended = accepting.outcome();
  EXPECT_TRUE(ended.code == RC_E_CLOSING || ended.code == RC_E_HANDLE) << ended.code;
}

TEST_F(Fallback, NobodyToAcceptIsNoError) {
  rc_listener listener = listen("shm+tcp:" + unique_place());
  rc_channel none{0};
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_accept(listener, 0, &none));
  EXPECT_RC(RC_E_TIMEOUT, rc_accept(listener, kShort, &none));
}

TEST_F(Fallback, ListsThatAreNoneAreRefusedWithTheirReason) {
  struct Case {
    const char* uri;
    int32_t code;
    const char* names;
  };
  rc_listener listener{0};
  rc_channel none{0};
  for (const Case& c : std::vector<Case>{
           {"tcp+tcp://127.0.0.1:7000", RC_E_URI, "tcp stands in the list twice"},
           {"+tcp://127.0.0.1:7000", RC_E_URI, "is empty"},
           {"tcp+://127.0.0.1:7000", RC_E_URI, "is empty"},
           {"shm++tcp://127.0.0.1:7000", RC_E_URI, "is empty"},
           {"+://127.0.0.1:7000", RC_E_URI, "is empty"},
           {"shm+smoke://127.0.0.1:7000", RC_E_SCHEME, "\"smoke\""},
           {"loop+tcp://127.0.0.1:7000", RC_E_URI, "loop has no HOST:PORT"},
           {"shm+tcp:name", RC_E_URI, "HOST:PORT"},
           {"shm+tcp://127.0.0.1", RC_E_URI, "HOST:PORT"},
           {"shm+tcp://:7000", RC_E_URI, "HOST:PORT"},
           {"shm+tcp://::1:7000", RC_E_URI, "brackets"},
           {"shm+tcp://[::1:7000", RC_E_URI, "brackets"},
           {"shm+tcp://127.0.0.1:70000", RC_E_URI, "port"},
           {"shm+tcp://127.0.0.1:x", RC_E_URI, "port"},
           {"shm+tcp://127.0.0.1:7000?timeout_ms=2000", RC_E_URI, "tcp.timeout_ms=2000"},
           {"shm+tcp://127.0.0.1:7000?rdma.mode=event", RC_E_URI, "rdma.mode=event"},
           {"shm+tcp://127.0.0.1:7000?shm.nosuch=1", RC_E_URI, "nosuch"},
           {"shm+tcp://127.0.0.1:7000?tcp.timeout_ms=2000&tcp.nosuch=1", RC_E_URI, "nosuch"},
       }) {
    SCOPED_TRACE(c.uri);
    EXPECT_RC_NAMES(c.code, c.names, rc_listen(ctx_, c.uri, nullptr, &listener));
    EXPECT_RC_NAMES(c.code, c.names, rc_connect(ctx_, c.uri, nullptr, kShort, &none));
  }
}

TEST_F(Fallback, ParametersReachTheirTransport) {
  std::string uri = "shm+tcp:" + unique_place() + "?tcp.timeout_ms=2000&tcp.busy_poll_us=0";
  rc_listener listener = listen(uri);
  EXPECT_EQ("shm", taken(meet(listener, uri)));
  expect_has(choice(listener), "?timeout_ms=2000&busy_poll_us=0");
}

TEST_F(Fallback, AChoiceIsForListsOnly) {
  std::string uri = "tcp:" + unique_place();
  rc_listener listener = listen(uri);
  rc_channel client = meet(listener, uri);
  EXPECT_EQ("", choice(client));
  EXPECT_EQ("", choice(listener));
  char small[4];
  EXPECT_RC(RC_E_INVALID, rc_channel_choice(client, nullptr, 640));
  EXPECT_RC(RC_E_INVALID, rc_listener_choice(listener, nullptr, 640));
  EXPECT_RC(RC_E_SIZE, rc_channel_choice(client, small, 0));
  EXPECT_RC(RC_E_HANDLE, rc_channel_choice(rc_channel{0}, small, 4));
  EXPECT_RC(RC_E_HANDLE, rc_listener_choice(rc_listener{0}, small, 4));
}

}  // namespace
}  // namespace conformance
