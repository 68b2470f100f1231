// A machine with a device that this process may not open, as in a container that was not given it. Needs rdma-core's
// libraries, and no RDMA: the device is one that only has a name.
#include <gtest/gtest.h>
#include <string.h>

#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <unistd.h>

#include "backends/rdma/endpoint.h"
#include "capi/rc.h"

namespace {

ibv_device g_device;
ibv_device* g_list[] = {&g_device, nullptr};
ibv_context g_context;
bool g_opens;
int g_error, g_open;  // of them, those not closed

class RdmaAccess : public testing::Test {
 protected:
  void SetUp() override {
    rc_device device = {};
    device.size = sizeof device;
    rc_device_info(0, &device);  // fills the table, so that what follows stays in it
    if (rc::g_verbs.get_cm_event == nullptr) GTEST_SKIP() << "no rdma-core here: " << rc_reason();
    strcpy(g_device.name, "none0");
    strcpy(g_device.dev_name, "uverbs7");
    g_context.device = &g_device;
    g_opens = false;
    g_error = ENOENT;  // as libibverbs has it for one that may not be opened
    g_open = 0;
    rc::g_verbs.get_device_list = [](int* n) noexcept {
      *n = 1;
      return g_list;
    };
    rc::g_verbs.free_device_list = [](ibv_device**) noexcept {};
    rc::g_verbs.get_device_name = [](ibv_device* d) noexcept -> const char* { return d->name; };
    rc::g_verbs.open_device = [](ibv_device*) noexcept {
      errno = g_error;
      g_open += g_opens ? 1 : 0;
      return g_opens ? &g_context : nullptr;
    };
    rc::g_verbs.close_device = [](ibv_context*) noexcept {
      --g_open;
      return 0;
    };
    rc::g_verbs.query_device = [](ibv_context*, ibv_device_attr* attr) noexcept {
      *attr = {};
      return 0;
    };
    ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx_));
  }
  void TearDown() override {
    if (ctx_.id != 0) {
      EXPECT_EQ(RC_OK, rc_close(ctx_));
    }
    EXPECT_EQ(0, g_open);
  }

  static void expect(int32_t wanted, int32_t code, const char* names) {
    EXPECT_EQ(wanted, code) << rc_reason();
    EXPECT_NE(nullptr, strstr(rc_reason(), names)) << rc_reason();
  }
  int32_t listen(const char* uri) { return rc_listen(ctx_, uri, nullptr, &listener_); }
  int32_t connect(const char* uri) { return rc_connect(ctx_, uri, nullptr, 0, &channel_); }
  int32_t open_endpoint(const char* uri) {
    char blob[512];
    size_t bytes = sizeof blob;
    return rc_endpoint_open(ctx_, uri, nullptr, blob, &bytes, &listener_);
  }
  int32_t open_raw(const char* uri) {
    rc_raw_address address = {};
    address.size = sizeof address;
    return rc_raw_open(ctx_, uri, &address, &raw_);
  }
  static int32_t describe() {
    rc_device device = {};
    device.size = sizeof device;
    return rc_device_info(0, &device);
  }

  rc_ctx ctx_ = {0};
  rc_listener listener_ = {0};
  rc_channel channel_ = {0};
  rc_raw raw_ = {0};
};

}  // namespace

TEST_F(RdmaAccess, ADeviceThatCannotBeOpenedIsNamedByEveryCall) {
  for (const char* uri : {"rdma://127.0.0.1:7000", "rdma://127.0.0.1:7000?dev=none0"}) {
    SCOPED_TRACE(uri);
    for (const char* names : {"none0", "--device /dev/infiniband/uverbs7"}) {
      expect(RC_E_NO_DEVICE, listen(uri), names);
      expect(RC_E_NO_DEVICE, connect(uri), names);
      expect(RC_E_NO_DEVICE, open_endpoint(uri), names);
      expect(RC_E_NO_DEVICE, open_raw(uri), names);
      expect(RC_E_NO_DEVICE, describe(), names);
    }
  }
}

TEST_F(RdmaAccess, AShortageIsNotTheDevices) {
  g_error = EMFILE;
  expect(RC_E_NO_DESCRIPTORS, connect("rdma://127.0.0.1:7000"), "ulimit -n");
  expect(RC_E_NO_DESCRIPTORS, describe(), "ulimit -n");
}

// Who meets without rdma_cm gets as far as the device.
TEST_F(RdmaAccess, RdmaCmIsNamedWhereItIsNeeded) {
  g_opens = true;
  expect(RC_E_NO_DEVICE, open_endpoint("rdma://127.0.0.1:7000"), "no active RDMA port");
  expect(RC_E_RANGE, describe(), "fewer RDMA ports");
  if (access("/dev/infiniband/rdma_cm", R_OK | W_OK) == 0) GTEST_SKIP() << "rdma_cm can be opened here";
  expect(RC_E_NO_DEVICE, listen("rdma://127.0.0.1:7000"), "/dev/infiniband/rdma_cm");
  expect(RC_E_NO_DEVICE, connect("rdma://127.0.0.1:7000"), "/dev/infiniband/rdma_cm");
}
#endif
