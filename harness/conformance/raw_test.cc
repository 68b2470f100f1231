// Raw endpoints, as far as no RDMA device is needed: who has none says so, and wrong calls are refused.
#include <unistd.h>

#include "harness/conformance/pair.h"

namespace conformance {
namespace {

class RawWithoutDevice : public testing::Test {
 protected:
  void SetUp() override { ASSERT_RC(RC_OK, rc_open(nullptr, &ctx_)); }
  void TearDown() override { EXPECT_RC(RC_OK, rc_close(ctx_)); }
  int32_t open(const char* uri) {
    int32_t code = rc_raw_open(ctx_, uri, &address_, &raw_);
    EXPECT_EQ(0u, raw_.id);
    return code;
  }

  rc_ctx ctx_{0};
  rc_raw raw_{0};
  rc_raw_address address_ = {sizeof address_, 0, 0, 0, 0, 0, {}};
};

TEST_F(RawWithoutDevice, OtherBackendsHaveNone) {
  for (const char* uri : {"loop:x", "shm:x", "tcp://127.0.0.1:1", "rdma+tcp://127.0.0.1:1"})
    EXPECT_RC_NAMES(RC_E_UNSUPPORTED, uri, open(uri));
  // No place of a listener is lost by that.
  for (int i = 0; i < 100; ++i) EXPECT_RC(RC_E_UNSUPPORTED, open("loop:x"));
}

TEST_F(RawWithoutDevice, UrisAreCheckedFirst) {
  EXPECT_RC(RC_E_SCHEME, open("none:x"));
  EXPECT_RC_NAMES(RC_E_URI, "mode", open("rdma://127.0.0.1:1?mode=sleep"));
  EXPECT_RC_NAMES(RC_E_URI, "path=send", open("rdma://127.0.0.1:1?path=send"));
  EXPECT_RC(RC_E_URI, open("rdma://127.0.0.1"));
  if (access("/sys/class/infiniband", F_OK) != 0) {
    EXPECT_RC(RC_E_NO_DEVICE, open("rdma://127.0.0.1:1"));
  }
}

TEST_F(RawWithoutDevice, WrongArgumentsAreNamed) {
  rc_raw_completion completion;
  uint32_t count = 0;
  rc_listener listener{0};
  EXPECT_RC_NAMES(RC_E_INVALID, "raw", rc_raw_open(ctx_, "loop:x", &address_, nullptr));
  EXPECT_RC_NAMES(RC_E_INVALID, "address", rc_raw_open(ctx_, "loop:x", nullptr, &raw_));
  EXPECT_RC(RC_E_HANDLE, rc_raw_open(rc_ctx{1}, "loop:x", &address_, &raw_));
  EXPECT_RC_NAMES(RC_E_INVALID, "peer", rc_raw_connect(raw_, nullptr));
  EXPECT_RC_NAMES(RC_E_INVALID, "completions", rc_raw_poll(raw_, nullptr, 1, 0, &count));
  EXPECT_RC_NAMES(RC_E_INVALID, "count", rc_raw_poll(raw_, &completion, 1, 0, nullptr));
  EXPECT_RC_NAMES(RC_E_INVALID, "capacity", rc_raw_poll(raw_, &completion, 0, 0, &count));
  rc_raw_address short_one = address_;
  short_one.size = 4;
  EXPECT_RC(RC_E_CONFIG, rc_raw_open(ctx_, "loop:x", &short_one, &raw_));
  EXPECT_RC(RC_E_CONFIG, rc_raw_connect(raw_, &short_one));
  // A listener is no raw endpoint.
  ASSERT_RC(RC_OK, rc_listen(ctx_, "loop:raw", nullptr, &listener));
  for (uint64_t id : {UINT64_C(0), UINT64_MAX, listener.id, ctx_.id}) {
    EXPECT_RC(RC_E_HANDLE, rc_raw_connect(rc_raw{id}, &address_));
    EXPECT_RC(RC_E_HANDLE, rc_raw_post_recv(rc_raw{id}, rc_mr{0}, 0, 1, 0));
    EXPECT_RC(RC_E_HANDLE, rc_raw_post_send(rc_raw{id}, rc_mr{0}, 0, 1, nullptr, 0));
    EXPECT_RC(RC_E_HANDLE, rc_raw_poll(rc_raw{id}, &completion, 1, 0, &count));
    EXPECT_RC(RC_E_HANDLE, rc_raw_close(rc_raw{id}));
  }
}

}  // namespace
}  // namespace conformance
