// rc_version, rc_code_name, rc_reason, and the promise to be silent.
#include <string.h>
#include <unistd.h>

#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "harness/conformance/own_context.h"

namespace conformance {

TEST(Library, TellsItsVersion) { EXPECT_GE(rc_version(), 100u); }

TEST(Library, NamesEveryCode) {
  const std::vector<std::pair<int32_t, const char*>> kCodes = {
      {RC_OK, "RC_OK"},
      {RC_E_WOULD_BLOCK, "RC_E_WOULD_BLOCK"},
      {RC_E_TIMEOUT, "RC_E_TIMEOUT"},
      {RC_E_NO_LISTENER, "RC_E_NO_LISTENER"},
      {RC_E_STOPPED, "RC_E_STOPPED"},
      {RC_E_INVALID, "RC_E_INVALID"},
      {RC_E_HANDLE, "RC_E_HANDLE"},
      {RC_E_FORKED, "RC_E_FORKED"},
      {RC_E_BUSY, "RC_E_BUSY"},
      {RC_E_URI, "RC_E_URI"},
      {RC_E_SCHEME, "RC_E_SCHEME"},
      {RC_E_SIZE, "RC_E_SIZE"},
      {RC_E_POOL, "RC_E_POOL"},
      {RC_E_CONFIG, "RC_E_CONFIG"},
      {RC_E_TRUNCATED, "RC_E_TRUNCATED"},
      {RC_E_STATE, "RC_E_STATE"},
      {RC_E_UNSUPPORTED, "RC_E_UNSUPPORTED"},
      {RC_E_NAME_IN_USE, "RC_E_NAME_IN_USE"},
      {RC_E_HOSTS, "RC_E_HOSTS"},
      {RC_E_CLOSED, "RC_E_CLOSED"},
      {RC_E_PEER_DEAD, "RC_E_PEER_DEAD"},
      {RC_E_CORRUPT, "RC_E_CORRUPT"},
      {RC_E_CLOSING, "RC_E_CLOSING"},
      {RC_E_NO_MEMORY, "RC_E_NO_MEMORY"},
      {RC_E_NO_SPACE, "RC_E_NO_SPACE"},
      {RC_E_NO_DESCRIPTORS, "RC_E_NO_DESCRIPTORS"},
      {RC_E_NO_PERMISSION, "RC_E_NO_PERMISSION"},
      {RC_E_VERSION, "RC_E_VERSION"},
      {RC_E_LAYOUT, "RC_E_LAYOUT"},
      {RC_E_NOT_RINGCHAN, "RC_E_NOT_RINGCHAN"},
      {RC_E_REFUSED, "RC_E_REFUSED"},
      {RC_E_HANDSHAKE, "RC_E_HANDSHAKE"},
      {RC_E_SYSTEM, "RC_E_SYSTEM"},
      {RC_E_NO_HOST, "RC_E_NO_HOST"},
      {RC_E_UNREACHABLE, "RC_E_UNREACHABLE"},
      {RC_E_NO_DEVICE, "RC_E_NO_DEVICE"},
      {RC_E_IDENTITY, "RC_E_IDENTITY"},
      {RC_E_DUPLICATE, "RC_E_DUPLICATE"},
      {RC_E_RIGHTS, "RC_E_RIGHTS"},
      {RC_E_RANGE, "RC_E_RANGE"},
      {RC_E_ALIGNMENT, "RC_E_ALIGNMENT"},
      {RC_E_EXPIRED, "RC_E_EXPIRED"},
      {RC_E_REVOKED, "RC_E_REVOKED"},
      {RC_E_IN_USE, "RC_E_IN_USE"},
      {RC_E_FAULT, "RC_E_FAULT"},
      {RC_E_LIMIT, "RC_E_LIMIT"},
  };
  for (auto& [code, name] : kCodes) EXPECT_STREQ(name, rc_code_name(code));
  std::set<std::string> known;
  for (int32_t code = -1000; code <= 1000; ++code) {
    if (strcmp(rc_code_name(code), "RC_E_UNKNOWN") != 0) known.insert(rc_code_name(code));
  }
  EXPECT_EQ(kCodes.size(), known.size());
  EXPECT_STREQ("RC_E_UNKNOWN", rc_code_name(INT32_MIN));
  EXPECT_STREQ("RC_E_UNKNOWN", rc_code_name(INT32_MAX));
}

TEST(Library, HasNoReasonBeforeTheFirstFailure) {
  std::string fresh = "x";
  std::thread thread([&] { fresh = rc_reason(); });
  thread.join();
  EXPECT_EQ("", fresh);
}

TEST(Library, ReasonOfAFailureSurvivesSuccess) {
  EXPECT_RC(RC_E_URI, [] {
    rc_ctx ctx;
    rc_listener listener;
    rc_open(nullptr, &ctx);
    int32_t code = rc_listen(ctx, "no-colon", nullptr, &listener);
    rc_close(ctx);
    return code;
  }());
  EXPECT_TRUE(reason_names("no-colon"));
}

TEST(Library, SaysNothingOnItsOwn) {
  int out[2];
  ASSERT_EQ(0, pipe(out));
  fflush(stdout);
  fflush(stderr);
  int saved_out = dup(1), saved_err = dup(2);
  dup2(out[1], 1);
  dup2(out[1], 2);
  rc_config config = small_config();
  rc_ctx ctx{0};
  rc_channel channel{0};
  rc_open(&config, &ctx);
  exchange(ctx);
  rc_connect(ctx, "shm:nobody-at-home", nullptr, kShort, &channel);
  rc_connect(ctx, "", nullptr, kShort, &channel);
  rc_close(ctx);
  rc_close(ctx);
  dup2(saved_out, 1);
  dup2(saved_err, 2);
  close(saved_out);
  close(saved_err);
  close(out[1]);
  char text[100];
  ssize_t n = read(out[0], text, sizeof text);
  close(out[0]);
  EXPECT_EQ(0, n) << std::string(text, static_cast<size_t>(n > 0 ? n : 0));
}

}  // namespace conformance
