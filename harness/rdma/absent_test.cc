// rdma:// on a machine without RDMA: its own code and a reason that says what to do, and everything else works.
#include <dirent.h>
#include <gtest/gtest.h>
#include <string.h>

#include "capi/rc.h"

namespace {

bool has_device() {
  DIR* folder = opendir("/sys/class/infiniband");
  bool some = false;
  for (dirent* d; folder != nullptr && (d = readdir(folder)) != nullptr;) some |= d->d_name[0] != '.';
  if (folder != nullptr) closedir(folder);
  return some;
}

}  // namespace

TEST(RdmaAbsent, IsNoDeviceAndSaysWhatToDo) {
  if (has_device()) GTEST_SKIP() << "this machine has an RDMA device";
  rc_ctx ctx{0};
  rc_listener listener{0};
  rc_channel channel{0};
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  for (int i = 0; i < 2; ++i) {  // the first one opens the libraries
    EXPECT_EQ(RC_E_NO_DEVICE, rc_listen(ctx, "rdma://0.0.0.0:7000", nullptr, &listener));
    bool names_way =
        strstr(rc_reason(), "apt-get install") != nullptr || strstr(rc_reason(), "rdma link add") != nullptr;
    EXPECT_TRUE(names_way) << rc_reason();
    EXPECT_EQ(RC_E_NO_DEVICE, rc_connect(ctx, "rdma://127.0.0.1:7000", nullptr, 0, &channel));
  }
  EXPECT_STREQ("RC_E_NO_DEVICE", rc_code_name(RC_E_NO_DEVICE));
  EXPECT_EQ(RC_E_URI, rc_listen(ctx, "rdma://0.0.0.0", nullptr, &listener));
  EXPECT_EQ(RC_E_URI, rc_connect(ctx, "rdma://127.0.0.1:7000?nosuch=1", nullptr, 0, &channel));
  EXPECT_EQ(RC_OK, rc_close(ctx));
}
