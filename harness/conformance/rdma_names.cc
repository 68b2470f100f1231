// A name that has several addresses, of which the device's is one.
#include <chrono>
#include <string>

#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

class RdmaNames : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ASSERT_RC(RC_OK, rc_open(nullptr, &ctx_));
    uri_ = rdma_uri("");
    size_t host = sizeof "rdma://" - 1;
    if (other_ == "silent") other_ = uri_.substr(host, uri_.rfind('.') - host) + ".99";  // of the device's network
  }
  void TearDown() override { EXPECT_RC(RC_OK, rc_close(ctx_)); }
  // The device's address is one of two.
  std::string first() const { return std::string(uri_).insert(uri_.rfind(':'), "," + other_); }
  std::string last() const { return std::string(uri_).insert(sizeof "rdma://" - 1, other_ + ","); }

  rc_ctx ctx_{0};
  std::string uri_, other_ = GetParam();
};

}  // namespace

TEST_P(RdmaNames, TheNextAddressIsTried) {
  rc_listener listener{0};
  rc_channel here{0}, there{0};
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener));
  Doing connecting([&] { return rc_connect(ctx_, last().c_str(), nullptr, kPatience, &there); });
  EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &here));
  EXPECT_DONE(RC_OK, connecting);
  char byte = 0;
  EXPECT_RC(RC_OK, rc_put(there, "x", 1, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_get(here, &byte, 1, kPatience, nullptr));
  EXPECT_EQ('x', byte);
}

TEST_P(RdmaNames, WhereNobodyListensThatIsTold) {
  rc_channel none{0};
  for (const auto& uri : {first(), last()}) {
    EXPECT_RC(RC_E_NO_LISTENER, rc_connect(ctx_, uri.c_str(), nullptr, INT64_C(1000) * 1000 * 1000, &none)) << uri;
  }
}

// Its silence says that somebody listens, so it is not given up for the other address.
TEST_P(RdmaNames, AListenerOfThisMachineHasAllTheTime) {
  rc_listener listener{0};
  rc_channel none{0};
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener));
  for (const auto& uri : {first(), last()}) {
    constexpr std::chrono::milliseconds kTime{2000};
    auto begun = std::chrono::steady_clock::now();
    EXPECT_RC(RC_E_TIMEOUT, rc_connect(ctx_, uri.c_str(), nullptr, std::chrono::nanoseconds(kTime).count(), &none));
    EXPECT_GE(std::chrono::steady_clock::now() - begun, kTime) << uri;
  }
}

TEST_P(RdmaNames, AListenerThatComesLaterIsFound) {
  rc_listener listener{0};
  rc_channel here{0}, there{0};
  Doing connecting([&] { return rc_connect(ctx_, first().c_str(), nullptr, kPatience, &there); });
  // So long the other one has been refused, too.
  EXPECT_RC(RC_E_NO_LISTENER, rc_connect(ctx_, uri_.c_str(), nullptr, INT64_C(500) * 1000 * 1000, &here));
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener));
  EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &here));
  EXPECT_DONE(RC_OK, connecting);
}

// An attempt of a mesh is at one address only. That this one is no device's is not the end of the mesh.
TEST_P(RdmaNames, AMeshGoesOnToTheNextAddress) {
  const std::string hosts = "0 " + rdma_uri("") + "\n1 " + first() + "\n";
  rc_ctx other{0};
  ASSERT_RC(RC_OK, rc_open(nullptr, &other));
  auto open = [&](rc_ctx ctx, uint32_t id) {
    rc_mesh mesh{0};
    rc_mesh_config config = {};
    config.size = sizeof config;
    config.flags = RC_MESH_ID;
    config.id = id;
    config.hosts = hosts.c_str();
    return rc_mesh_open(ctx, &config, kPatience, &mesh);
  };
  Doing opening([&] { return open(other, 0); });
  // So long each address has had its turn.
  rc_channel none{0};
  EXPECT_RC(RC_E_NO_LISTENER, rc_connect(ctx_, uri_.c_str(), nullptr, INT64_C(1000) * 1000 * 1000, &none));
  EXPECT_RC(RC_OK, open(ctx_, 1));
  EXPECT_DONE(RC_OK, opening);
  EXPECT_RC(RC_OK, rc_close(other));
}

// No device's; no way to it; a machine that is not there.
INSTANTIATE_TEST_SUITE_P(On, RdmaNames, testing::Values("127.0.0.1", "192.0.2.1", "silent"),
                         [](const auto& each) { return "Before" + std::to_string(each.index); });

}  // namespace conformance
