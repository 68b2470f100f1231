// A small context, and something that needs all of it.
#ifndef HARNESS_CONFORMANCE_OWN_CONTEXT_H_
#define HARNESS_CONFORMANCE_OWN_CONTEXT_H_

#include <gtest/gtest.h>

#include <string>

#include "capi/rc.h"
#include "harness/conformance/backend.h"
#include "harness/conformance/doing.h"
#include "harness/conformance/expect.h"

namespace conformance {

inline rc_config small_config() {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 3;
  config.listeners_max = 2;
  config.ring_bytes = 1000;
  return config;
}

// Sends bytes both ways over loop in this context.
inline void exchange(rc_ctx ctx) {
  std::string uri = unique_name("loop:");
  rc_listener listener;
  rc_channel one, other;
  ASSERT_RC(RC_OK, rc_listen(ctx, uri.c_str(), nullptr, &listener));
  Doing connecting([&] { return rc_connect(ctx, uri.c_str(), nullptr, kPatience, &other); });
  ASSERT_RC(RC_OK, rc_accept(listener, kPatience, &one));
  EXPECT_DONE(RC_OK, connecting);
  char bytes[900] = "some bytes";
  char got[900] = "";
  for (int i = 0; i < 5; ++i) {
    EXPECT_RC(RC_OK, rc_put(one, bytes, sizeof bytes, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_get(other, got, sizeof got, kPatience, nullptr));
    EXPECT_STREQ(bytes, got);
    EXPECT_RC(RC_OK, rc_put(other, got, sizeof got, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_get(one, bytes, sizeof bytes, kPatience, nullptr));
  }
  EXPECT_RC(RC_OK, rc_channel_close(one));
  EXPECT_RC(RC_OK, rc_channel_close(other));
  EXPECT_RC(RC_OK, rc_listener_close(listener));
}

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_OWN_CONTEXT_H_
