// A client of another user.
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>

#include "harness/hostile/child.h"
#include "harness/hostile/honest.h"

namespace hostile {
namespace {

constexpr uid_t kNobody = 65534;

bool become_nobody() { return setgroups(0, nullptr) == 0 && setgid(kNobody) == 0 && setuid(kNobody) == 0; }

class OtherUser : public Attack {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can try what another user may do";
    if (Child([] { return become_nobody() ? 0 : 1; }).exit_code() != 0)
      GTEST_SKIP() << "setuid is not possible in this sandbox";
    Attack::SetUp();
  }
  // The code that another user's client is refused with, RC_OK if it gets in; 1 if anything else happens.
  int32_t try_as_nobody() {
    Child child([this] {
      if (!become_nobody()) return 255;
      RawClient client(kRing);
      if (!client.dial(name_)) return 254;
      client.ask();  // too late if it is refused already
      if (!client.take_offer()) return client.reply.is_hello() ? exit_code_of(client.reply.hello.code) : 253;
      return client.accept() && client.take_go() ? 0 : 252;
    });
    return serve_until_end(child);
  }
  // The same by the library itself.
  int32_t try_honestly_as_nobody() {
    Child child([this] {
      rc_ctx ctx;
      rc_channel ch;
      if (!become_nobody() || rc_open(nullptr, &ctx) != RC_OK) return 255;
      int32_t code = rc_connect(ctx, ("shm:" + name_).c_str(), nullptr, 2000 * kMs, &ch);
      rc_close(ctx);
      return exit_code_of(code);
    });
    return serve_until_end(child);
  }

 private:
  static int exit_code_of(int32_t code) { return code == RC_OK ? 0 : code <= -300 && code > -400 ? -code - 200 : 254; }
  int32_t serve_until_end(Child& child) {
    while (!child.ended()) {
      Outcome o = serve();
      usleep(100);
    }
    int code = child.exit_code();
    return code == 0 ? RC_OK : code >= 100 && code < 200 ? -(code + 200) : 1;
  }
};

TEST_F(OtherUser, IsRefused) { EXPECT_EQ(try_as_nobody(), RC_E_NO_PERMISSION); }

TEST_F(OtherUser, LearnsWhy) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(try_honestly_as_nobody(), RC_E_NO_PERMISSION);
}

TEST_F(OtherUser, IsAcceptedWithAnyUser) {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.flags = RC_ANY_USER;
  open_honest(&config);
  EXPECT_EQ(try_as_nobody(), RC_OK);
  EXPECT_EQ(try_honestly_as_nobody(), RC_OK);
}

TEST_F(OtherUser, IsKeptOutByThePermissionsOfAPath) {
  char directory[] = "/tmp/rc-hostile-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  ASSERT_EQ(chmod(directory, 0755), 0);
  std::string path = std::string(directory) + "/sock";
  rc_listener listener = {0};
  ASSERT_RC(RC_OK, rc_listen(ctx_, ("shm:" + path).c_str(), nullptr, &listener));
  auto connect_as_nobody = [&path] {
    return Child([&path] {
             Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
             sockaddr_un sa = {};
             sa.sun_family = AF_UNIX;
             strcpy(sa.sun_path, path.c_str());
             if (!become_nobody()) return 255;
             return connect(fd.get(), reinterpret_cast<sockaddr*>(&sa), sizeof sa) == 0 ? 0 : errno;
           })
        .exit_code();
  };
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  EXPECT_EQ(connect_as_nobody(), EACCES);
  ASSERT_EQ(chmod(path.c_str(), 0666), 0);
  EXPECT_EQ(connect_as_nobody(), 0);
  EXPECT_RC(RC_OK, rc_listener_close(listener));
  EXPECT_EQ(rmdir(directory), 0) << "the socket file was left behind";
}

}  // namespace
}  // namespace hostile
