// A library that was built without rdma-core's headers: every call that needs RDMA says so, and lists go on without it.
#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <string>

#include "capi/rc.h"

namespace {

constexpr char kUri[] = "rdma://127.0.0.1:7000";

class WithoutHeaders : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx_)); }
  void TearDown() override { EXPECT_EQ(RC_OK, rc_close(ctx_)); }
  static void expect_absent(int32_t code) {
    EXPECT_EQ(RC_E_NO_DEVICE, code) << rc_reason();
    for (const char* names : {"built without rdma-core", "libibverbs-dev"}) {
      EXPECT_NE(nullptr, strstr(rc_reason(), names)) << rc_reason();
    }
  }

  rc_ctx ctx_ = {0};
  rc_listener listener_ = {0};
  rc_channel channel_ = {0};
};

}  // namespace

TEST_F(WithoutHeaders, EveryCallSaysSo) {
  char blob[512];
  size_t bytes = sizeof blob;
  rc_raw raw = {0};
  rc_raw_address address = {};
  rc_device device = {};
  address.size = sizeof address;
  device.size = sizeof device;
  expect_absent(rc_listen(ctx_, kUri, nullptr, &listener_));
  expect_absent(rc_connect(ctx_, kUri, nullptr, 0, &channel_));
  expect_absent(rc_endpoint_open(ctx_, kUri, nullptr, blob, &bytes, &listener_));
  expect_absent(rc_raw_open(ctx_, kUri, &address, &raw));
  expect_absent(rc_device_info(0, &device));
}

TEST_F(WithoutHeaders, UrisAreStillRead) {
  EXPECT_EQ(RC_E_URI, rc_listen(ctx_, "rdma://127.0.0.1:7000?nosuch=1", nullptr, &listener_));
  EXPECT_EQ(RC_E_URI, rc_connect(ctx_, "rdma://127.0.0.1", nullptr, 0, &channel_));
}

TEST_F(WithoutHeaders, AListTakesAnother) {
  char choice[640] = "";
  int own = getpid();  // an address of the loopback device that no other test has
  std::string uri = "rdma+tcp://127.77." + std::to_string(own >> 8 & 255) + "." + std::to_string(own & 255) + ":7000";
  ASSERT_EQ(RC_OK, rc_listen(ctx_, uri.c_str(), nullptr, &listener_)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_listener_choice(listener_, choice, sizeof choice));
  EXPECT_NE(nullptr, strstr(choice, "built without rdma-core")) << choice;
  EXPECT_EQ(RC_OK, rc_listener_close(listener_));
}
