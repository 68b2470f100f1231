// Endpoints by path=send whose peer is no ringchan: a raw endpoint that tells a good blob and then says what it likes.
#include <string.h>

#include "backends/rdma/knobs.h"
#include "backends/rdma/mail.h"
#include "backends/rdma/parley.h"
#include "backends/rdma/two_sided.h"
#include "harness/conformance/rdma_raw_end.h"

namespace conformance {
namespace {

using Head = rc::MessageHead;

constexpr const char* kPatient = "?timeout_ms=60000";  // it asks nothing of the stranger meanwhile

class EndpointStrangers : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    rc_config config = {};
    config.size = sizeof config;
    config.ring_bytes = 65536;
    ASSERT_RC(RC_OK, rc_open(&config, &ctx_));
  }
  void TearDown() override { EXPECT_RC(RC_OK, rc_close(ctx_)); }

  // The endpoint's blob, but of the stranger's queue pair, is what the endpoint gets for its peer's.
  void open(End* stranger) {
    size_t bytes = sizeof blob_;
    std::string uri = rdma_uri(std::string(kPatient) + "&path=send&mode=" + GetParam());
    ASSERT_RC(RC_OK, rc_endpoint_open(ctx_, uri.c_str(), nullptr, &blob_, &bytes, &endpoint_));
    ASSERT_EQ(sizeof blob_, bytes);
    stranger_knocks_ = stranger->address.qp_num < blob_.qp_num;
    rc_raw_address to = stranger->address;
    to.qp_num = blob_.qp_num;
    to.psn = blob_.psn;
    blob_.qp_num = stranger->address.qp_num;
    blob_.psn = stranger->address.psn;
    ASSERT_RC(RC_OK, rc_raw_connect(stranger->raw, &to));
    for (uint64_t i = 0; i < 8; ++i) ASSERT_RC(RC_OK, stranger->receive(1024 + i * 64, 64, i));
  }
  int32_t connect() {
    blob_.seal = 0;
    for (size_t at = 0; at < offsetof(rc::EndpointBlob, seal); at += sizeof blob_.seal) {
      uint64_t word;
      memcpy(&word, reinterpret_cast<const uint8_t*>(&blob_) + at, sizeof word);
      blob_.seal = rc::seal_of(blob_.seal ^ word);
    }
    return rc_endpoint_connect(endpoint_, &blob_, sizeof blob_, kPatience, &channel_);
  }
  // With a first word of so many bytes, if it is the stranger that knocks.
  void expect_connect(int32_t code, End* stranger, uint64_t bytes) {
    Doing connecting([this] { return connect(); });
    if (stranger_knocks_) {
      connecting.wait_until_inside();
      EXPECT_RC(RC_OK, stranger->send(0, bytes, 99));
    }
    EXPECT_DONE(code, connecting);
  }

  rc_ctx ctx_{0};
  rc_listener endpoint_{0};
  rc_channel channel_{0};
  rc::EndpointBlob blob_ = {};
  bool stranger_knocks_ = false;
};

}  // namespace

TEST_P(EndpointStrangers, SendNonsenseAndAreCorrupt) {
  const struct {
    Head head;
    size_t bytes;
  } all[] = {{{0, 0, 0, 1, Head::kBytes, 1, UINT64_MAX}, sizeof(Head) + 1},
             {{0, 0, 0, 1, Head::kBytes, 2, 0}, sizeof(Head) + 1},
             {{0, 0, 0, 0, 99, 0, 0}, sizeof(Head)},
             {{1, 0, 0, 0, Head::kNothing, 0, 0}, sizeof(Head)},
             {{0, 0, 0, UINT64_MAX, Head::kBytes, 1, 0}, sizeof(Head) + 1},
             {{0, 0, 0, 0, Head::kNothing, 0, 0}, 0}};
  for (const auto& a : all) {
    SCOPED_TRACE(&a - all);
    End stranger(kPatient);
    open(&stranger);
    expect_connect(RC_OK, &stranger, 0);
    memcpy(stranger.bytes, &a.head, sizeof a.head);
    EXPECT_RC(RC_OK, stranger.send(0, a.bytes, 100));
    uint8_t byte;
    EXPECT_RC(RC_E_CORRUPT, rc_get(channel_, &byte, 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_channel_close(channel_));
    EXPECT_RC(RC_OK, rc_listener_close(endpoint_));
  }
}

// The first word is an empty message. Rings and receives go with the endpoint.
TEST_P(EndpointStrangers, KnockWithAMessage) {
  End stranger(kPatient);
  open(&stranger);
  if (!stranger_knocks_) GTEST_SKIP() << "this device's queue pairs are not numbered upwards";
  expect_connect(RC_E_CORRUPT, &stranger, sizeof(Head));
  EXPECT_RC(RC_E_STATE, connect());
}

// Under a seal that fits.
TEST_P(EndpointStrangers, TellOfWhatCannotBe) {
  End stranger(kPatient);
  open(&stranger);
  blob_.path = rc::kPathSend + 1;
  EXPECT_RC_NAMES(RC_E_NOT_RINGCHAN, "cannot be", connect());
  blob_.path = rc::kPathSend;
  blob_.hello.receives = rc::kCellsLeast - 1;
  EXPECT_RC_NAMES(RC_E_NOT_RINGCHAN, "slots", connect());
  blob_.hello.receives = rc::kCellsMost;
  expect_connect(RC_OK, &stranger, 0);
}

INSTANTIATE_TEST_SUITE_P(On, EndpointStrangers, testing::Values("poll", "event"));

}  // namespace conformance
