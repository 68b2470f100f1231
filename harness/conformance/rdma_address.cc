#include "harness/conformance/rdma_address.h"

#include <stdlib.h>

namespace conformance {
namespace {

// rdma-core keeps a device open once it was used: before a test counts descriptors.
class Warm : public testing::Environment {
 public:
  void SetUp() override {
    rc_ctx ctx{0};
    rc_listener listener{0};
    rc_channel near{0}, far{0};
    std::string uri = rdma_uri("");
    ASSERT_RC(RC_OK, rc_open(nullptr, &ctx));
    ASSERT_RC(RC_OK, rc_listen(ctx, uri.c_str(), nullptr, &listener));
    Doing connecting([&] { return rc_connect(ctx, uri.c_str(), nullptr, kPatience, &far); });
    EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &near));
    EXPECT_DONE(RC_OK, connecting);
    EXPECT_RC(RC_OK, rc_close(ctx));
  }
};

[[maybe_unused]] const testing::Environment* const kWarm = testing::AddGlobalTestEnvironment(new Warm);

}  // namespace

std::string rdma_uri(const std::string& query) {
  static int port = 7000;
  const char* address = getenv("RC_RDMA_ADDRESS");
  return std::string("rdma://") + (address != nullptr ? address : "10.77.0.1") + ":" + std::to_string(++port) + query;
}

}  // namespace conformance
