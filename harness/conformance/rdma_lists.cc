// Lists of transports where there is an RDMA device: rdma is taken, or passed over with its reason.
#include <string.h>

#include <string>
#include <vector>

#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

// "//HOST:PORT" at the device's address.
std::string place_of_device() { return rdma_uri("").substr(strlen("rdma:")); }

Backend list(const char* name, const char* schemes, const char* taken) {
  Backend b;
  b.name = name;
  b.scheme = taken;
  b.make_uri = [=] { return schemes + (":" + place_of_device()); };
  b.list_of = 3;
  b.other_process = true;
  b.near_listens = false;
  b.lands_alone = false;
  return b;
}

}  // namespace

class RdmaLists : public Pair {
 protected:
  static std::string choice_of(rc_channel channel) {
    char text[640] = "";
    EXPECT_RC(RC_OK, rc_channel_choice(channel, text, sizeof text));
    return text;
  }
  void exchange() {
    Buffer out = out_.next(5 * kCapacity);
    far().start(Far::bytes(Op::kGet, out.size()));
    EXPECT_RC(RC_OK, rc_put(ch_, out.data(), out.size(), kPatience, nullptr));
    EXPECT_FAR(RC_OK, out.size(), far().finish());
    out_.move(out.size());
  }
};

TEST_P(RdmaLists, TheFirstThatBothHaveIsTaken) {
  connect();
  rc_info info = {};
  info.size = sizeof info;
  EXPECT_RC(RC_OK, rc_channel_info(ch_, &info));
  EXPECT_EQ(backend().scheme, info.backend);
  EXPECT_EQ(backend().scheme + " was taken", choice_of(ch_));
  exchange();
}

TEST_P(RdmaLists, AKilledPeerIsDead) {
  connect();
  exchange();
  uint8_t byte;
  Doing doing([&] { return rc_get(ch_, &byte, 1, kPatience, nullptr); });
  doing.wait_until_inside();
  far().kill();
  EXPECT_DONE(RC_E_PEER_DEAD, doing);
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
}

INSTANTIATE_TEST_SUITE_P(On, RdmaLists,
                         testing::Values(list("RdmaFirst", "rdma+shm+tcp", "rdma"),
                                         list("ShmFirst", "shm+rdma+tcp", "shm"),
                                         list("TcpFirst", "tcp+rdma+shm", "tcp")),
                         [](const auto& each) { return each.param.name; });

class PassedOver : public testing::Test {
 protected:
  void SetUp() override {
    rc_config config = {};
    config.size = sizeof config;
    config.listeners_max = 8;
    ASSERT_RC(RC_OK, rc_open(&config, &ctx_));
  }
  void TearDown() override { EXPECT_RC(RC_OK, rc_close(ctx_)); }
  // What the client, and what the listener tells of its choice.
  void meet(const std::string& listen_at, const std::string& connect_to) {
    char text[640] = "";
    rc_listener listener{0};
    rc_channel client{0}, server{0};
    ASSERT_RC(RC_OK, rc_listen(ctx_, listen_at.c_str(), nullptr, &listener));
    Doing connecting([&] { return rc_connect(ctx_, connect_to.c_str(), nullptr, kPatience, &client); });
    EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &server));
    EXPECT_DONE(RC_OK, connecting);
    EXPECT_RC(RC_OK, rc_put(client, "x", 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_get(server, text, 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_channel_choice(client, text, sizeof text));
    client_says_ = text;
    EXPECT_RC(RC_OK, rc_listener_choice(listener, text, sizeof text));
    listener_says_ = text;
    EXPECT_RC(RC_OK, rc_channel_close(client));
    EXPECT_RC(RC_OK, rc_channel_close(server));
    EXPECT_RC(RC_OK, rc_listener_close(listener));
  }
  static void expect_has(const std::string& text, const std::string& part) {
    EXPECT_NE(std::string::npos, text.find(part)) << "\"" << text << "\" does not say \"" << part << "\"";
  }

  rc_ctx ctx_{0};
  std::string client_says_, listener_says_;
};

TEST_F(PassedOver, TheListenerHasNoRdma) {
  std::string place = place_of_device();
  meet("shm+tcp:" + place, "rdma+shm+tcp:" + place);
  expect_has(client_says_, "shm was taken; not rdma: rdma:" + place + ": nobody listen");
  place = place_of_device();
  meet("tcp:" + place, "rdma+tcp:" + place);
  expect_has(client_says_, "tcp was taken; not rdma: rdma:" + place + ": nobody listen");
}

TEST_F(PassedOver, TheClientWantsNoRdma) {
  std::string place = place_of_device();
  meet("rdma+shm+tcp:" + place, "tcp:" + place);
  expect_has(listener_says_, "rdma:" + place);
  expect_has(listener_says_, "tcp:" + place);
}

// The kernel lets a program listen for RDMA at the loopback's address, which no device has: the client is told.
TEST_F(PassedOver, TheAddressIsOfNoDevice) {
  std::string place = place_of_device();
  place = "//127.0.0.1" + place.substr(place.rfind(':'));
  meet("rdma+shm+tcp:" + place, "rdma+shm+tcp:" + place);
  expect_has(client_says_, "shm was taken; not rdma: rdma:" + place + ": that address is not one of an RDMA device's");
}

// A listener that is there but slow is not a reason to take the next, however ready that is.
TEST_F(PassedOver, IsNotAListenerThatDoesNotAcceptYet) {
  std::string place = place_of_device();
  rc_listener slow{0}, ready{0};
  rc_channel client{0}, server{0};
  ASSERT_RC(RC_OK, rc_listen(ctx_, ("rdma:" + place).c_str(), nullptr, &slow));
  ASSERT_RC(RC_OK, rc_listen(ctx_, ("tcp:" + place).c_str(), nullptr, &ready));
  Doing connecting([&] { return rc_connect(ctx_, ("rdma+tcp:" + place).c_str(), nullptr, kPatience, &client); });
  EXPECT_RC(RC_E_TIMEOUT, rc_accept(ready, 100 * kShort, &server));
  EXPECT_RC(RC_OK, rc_accept(slow, kPatience, &server));
  EXPECT_DONE(RC_OK, connecting);
  char text[640] = "";
  EXPECT_RC(RC_OK, rc_channel_choice(client, text, sizeof text));
  EXPECT_STREQ("rdma was taken", text);
}

// Named in the list's parameters: what cannot be had is told, and the next is taken.
TEST_F(PassedOver, TheDeviceIsNotThere) {
  std::string place = place_of_device();
  meet("rdma+tcp:" + place, "rdma+tcp:" + place + "?rdma.dev=nosuch");
  expect_has(client_says_, "tcp was taken; not rdma: ");
  expect_has(client_says_, "nosuch");
}

}  // namespace conformance
