// rdma-core keeps a device open once it was used: it is, before any test counts descriptors.
#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

class Warm : public testing::Environment {
 public:
  void SetUp() override {
    if (getenv("RC_RDMA_URI") != nullptr) return;  // a program that is kept from connecting (rdma_errors.cc)
    use(rdma_uri(""));
    const char* wire = getenv("RC_RDMA_WIRE");
    if (wire != nullptr) use(rdma_uri_at(wire, ""));
  }

 private:
  static void use(const std::string& uri) {
    rc_ctx ctx{0};
    rc_listener listener{0};
    rc_channel near{0}, far{0};
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
}  // namespace conformance
