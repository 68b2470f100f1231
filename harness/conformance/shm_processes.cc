// The conformance suite on shm between two processes.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "harness/conformance/pair.h"

namespace conformance {

std::vector<Backend> backends() {
  Backend shm;
  shm.name = "Shm";
  shm.scheme = "shm";
  shm.direct = true;
  shm.make_uri = [] { return unique_name("shm:test-"); };
  shm.other_process = true;
  shm.knows_peer = true;
  shm.notices_death = true;
  Backend far_listens = shm;
  far_listens.name = "ShmFarListens";
  far_listens.near_listens = false;
  Backend sleep = shm;
  sleep.name = "ShmSleep";
  sleep.wait = RC_WAIT_SLEEP;
  Backend spin = shm;
  spin.name = "ShmSpin";
  spin.wait = RC_WAIT_SPIN;
  Backend path = shm;
  path.name = "ShmPath";
  path.make_uri = [] { return unique_name("shm:/tmp/rc-test-") + ".sock"; };
  return {shm, far_listens, sleep, spin, path};
}

// What only a path has.
class ShmPath : public Pair {};

TEST_P(ShmPath, SocketIsThereWhileSomebodyListensAndNoLonger) {
  std::string path = uri_.substr(4);
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  struct stat s;
  EXPECT_EQ(0, stat(path.c_str(), &s));
  EXPECT_TRUE(S_ISSOCK(s.st_mode));
  EXPECT_RC(RC_OK, rc_listener_close(listener_));
  EXPECT_NE(0, stat(path.c_str(), &s));
}

TEST_P(ShmPath, FileThatIsNoSocketIsNotTouched) {
  std::string path = uri_.substr(4);
  FILE* file = fopen(path.c_str(), "we");
  ASSERT_NE(nullptr, file);
  fputs("precious", file);
  fclose(file);
  EXPECT_RC_NAMES(RC_E_NAME_IN_USE, path, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  struct stat s;
  EXPECT_EQ(0, stat(path.c_str(), &s));
  EXPECT_EQ(8, s.st_size);
  unlink(path.c_str());
}

TEST_P(ShmPath, LongerThanASocketsPathIsRefused) {
  std::string uri = "shm:/tmp/" + std::string(110, 'x');
  EXPECT_RC_NAMES(RC_E_URI, "107", rc_listen(ctx_, uri.c_str(), nullptr, &listener_));
  EXPECT_RC_NAMES(RC_E_URI, "107", rc_connect(ctx_, uri.c_str(), nullptr, 0, &ch_));
}

TEST_P(ShmPath, FolderThatIsNotThereIsNamed) {
  std::string uri = "shm:/tmp/" + unique_name("no-such-folder-") + "/x.sock";
  int32_t code = rc_listen(ctx_, uri.c_str(), nullptr, &listener_);
  EXPECT_LE(code, -100);
  EXPECT_TRUE(reason_names("no-such-folder"));
}

// As another user, where this one may become one.
TEST_P(ShmPath, PermissionsOfThePathRule) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to try as another user";
  std::string path = uri_.substr(4);
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  ASSERT_EQ(0, chmod(path.c_str(), 0600));
  pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(100);
    rc_ctx ctx;
    rc_channel channel;
    if (rc_open(nullptr, &ctx) != RC_OK) _exit(101);
    int32_t code = rc_connect(ctx, uri_.c_str(), nullptr, kPatience, &channel);
    _exit(code == RC_E_NO_PERMISSION && rc_reason()[0] != '\0' ? 0 : 102);
  }
  int status = 0;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 100)
    GTEST_SKIP() << "this sandbox does not let root become another user";
  EXPECT_EQ(0, status) << WEXITSTATUS(status);
}

INSTANTIATE_TEST_SUITE_P(On, ShmPath, testing::Values(backends().back()), name_of);

}  // namespace conformance
