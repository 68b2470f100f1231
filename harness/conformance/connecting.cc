// rc_connect: finding the listener, agreeing on sizes, secrets, and what is said when it does not work.
#include <string.h>

#include "harness/conformance/pair.h"

namespace conformance {
namespace {

rc_channel_config with_token(const char* token) {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.ring_bytes = 1000;
  config.token = token;
  return config;
}

Call connect_to(const std::string& uri, uint64_t ring_bytes) {
  Call connect{Op::kConnect};
  snprintf(connect.text, sizeof connect.text, "%s", uri.c_str());
  connect.ring_bytes = ring_bytes;
  return connect;
}

}  // namespace

TEST_P(Connecting, WaitsUntilSomebodyListens) {
  rc_channel_config config = near_config(kCapacity);
  Doing connecting([&] { return rc_connect(ctx_, uri_.c_str(), &config, kPatience, &ch_); });
  connecting.wait_until_inside();
  Call listen{Op::kListen};
  snprintf(listen.text, sizeof listen.text, "%s", uri_.c_str());
  EXPECT_FAR(RC_OK, 0u, far().call(listen));
  EXPECT_FAR(RC_OK, 0u, far().call(Call{Op::kAccept}));
  EXPECT_DONE(RC_OK, connecting);
  put(5);
  EXPECT_FAR(RC_OK, 5u, far().get(5));
}

TEST_P(Connecting, DeadlineWithoutAListenerNamesWhoWasAwaited) {
  rc_channel_config config = near_config();
  EXPECT_RC_NAMES(RC_E_NO_LISTENER, uri_, rc_connect(ctx_, uri_.c_str(), &config, kShort, &ch_));
  EXPECT_RC_NAMES(RC_E_NO_LISTENER, uri_, rc_connect(ctx_, uri_.c_str(), &config, 0, &ch_));
}

TEST_P(Connecting, DeadlineWithAListenerThatDoesNotAcceptIsATimeout) {
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  Call connect = connect_to(uri_, kCapacity);
  connect.timeout_ns = kShort;
  EXPECT_FAR(RC_E_TIMEOUT, 0u, far().call(connect));
  // The next one is served; the one that gave up is no client.
  connect.timeout_ns = kPatience;
  far().start(connect);
  EXPECT_RC(RC_OK, rc_accept(listener_, kPatience, &ch_));
  EXPECT_FAR(RC_OK, 0u, far().finish());
  put(5);
  EXPECT_FAR(RC_OK, 5u, far().get(5));
  rc_channel none{0};
  EXPECT_RC(RC_E_TIMEOUT, rc_accept(listener_, kShort, &none));
}

TEST_P(Connecting, StopWakesIt) {
  Doing connecting([&] { return rc_connect(ctx_, uri_.c_str(), nullptr, kPatience, &ch_); });
  connecting.wait_until_inside();
  EXPECT_RC(RC_OK, rc_stop(ctx_));
  EXPECT_DONE(RC_E_STOPPED, connecting);
  EXPECT_RC(RC_E_STOPPED, rc_connect(ctx_, uri_.c_str(), nullptr, kPatience, &ch_));
}

TEST_P(Connecting, BothEndsTellWhoTheyAre) {
  std::string longest(63, 'i');
  rc_channel_config config = near_config(kCapacity);
  config.identity = longest.c_str();
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), &config, &listener_));
  Call connect = connect_to(uri_, 0);
  strcpy(connect.identity, "the far end");
  far().start(connect);
  EXPECT_RC(RC_OK, rc_accept(listener_, kPatience, &ch_));
  EXPECT_FAR(RC_OK, 0u, far().finish());
  rc_info info = {};
  info.size = sizeof info;
  EXPECT_RC(RC_OK, rc_channel_info(ch_, &info));
  EXPECT_STREQ("the far end", info.identity);
  if (backend().list_of == 0) {  // else that of the transport that was taken
    EXPECT_EQ(uri_, info.uri);
  }
  Reply reply = far().call(Call{Op::kInfo});
  EXPECT_FAR(RC_OK, 0u, reply);
  EXPECT_EQ(longest, reply.text);
}

TEST_P(Connecting, RingSizesAreAgreed) {
  struct Case {
    uint64_t listener, client, agreed;
  };
  for (const Case& c : {Case{0, 0, kRingMax}, Case{0, 500, 500}, Case{500, 0, 500}, Case{500, 500, 500}}) {
    SCOPED_TRACE(testing::Message() << "listener " << c.listener << ", client " << c.client);
    rc_channel_config config = near_config(c.listener);
    ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), &config, &listener_));
    far().start(connect_to(uri_, c.client));
    EXPECT_RC(RC_OK, rc_accept(listener_, kPatience, &ch_));
    EXPECT_FAR(RC_OK, 0u, far().finish());
    rc_info info = {};
    info.size = sizeof info;
    EXPECT_RC(RC_OK, rc_channel_info(ch_, &info));
    EXPECT_EQ(c.agreed, info.ring_bytes);
    EXPECT_EQ(c.agreed, writable());
    disconnect();
    EXPECT_RC(RC_OK, rc_listener_close(listener_));
  }
}

TEST_P(Connecting, RingSizesThatDifferAreRefusedAndNamed) {
  for (uint64_t wanted : {499, 501}) {
    rc_channel_config config = near_config(500);
    ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), &config, &listener_));
    Reply reply = refused_client(listener_, connect_to(uri_, wanted));
    EXPECT_FAR(RC_E_SIZE, 0u, reply);
    EXPECT_NE(nullptr, strstr(reply.reason, std::to_string(wanted).c_str())) << reply.reason;
    EXPECT_NE(nullptr, strstr(reply.reason, "500")) << reply.reason;
  }
}

TEST_P(Connecting, RingsAboveTheContextsAreRefused) {
  rc_channel_config config = near_config(kRingMax + 1);
  EXPECT_RC_NAMES(RC_E_SIZE, std::to_string(kRingMax), rc_listen(ctx_, uri_.c_str(), &config, &listener_));
  EXPECT_RC_NAMES(RC_E_SIZE, std::to_string(kRingMax), rc_connect(ctx_, uri_.c_str(), &config, kShort, &ch_));
  config.ring_bytes = UINT64_MAX;
  EXPECT_RC(RC_E_SIZE, rc_connect(ctx_, uri_.c_str(), &config, kShort, &ch_));
}

// The listener's context has small rings: a client may not make it take large ones.
TEST_P(Connecting, RingsAboveTheListenersContextAreRefused) {
  if (backend().one_context) GTEST_SKIP() << "both ends are of one context";
  rc_config small = {};
  small.size = sizeof small;
  small.ring_bytes = 600;
  rc_ctx ctx{0};
  ASSERT_RC(RC_OK, rc_open(&small, &ctx));
  rc_listener listener{0};
  ASSERT_RC(RC_OK, rc_listen(ctx, uri_.c_str(), nullptr, &listener));
  Reply reply = refused_client(listener, connect_to(uri_, 601));
  EXPECT_FAR(RC_E_SIZE, 0u, reply);
  EXPECT_NE(nullptr, strstr(reply.reason, "600")) << reply.reason;
  EXPECT_RC(RC_OK, rc_close(ctx));
}

TEST_P(Connecting, TokensMustAgree) {
  std::string longest(63, 't'), other = longest;
  other[62] = 'u';
  struct Case {
    const char* listener;
    const char* client;
    bool good;
  };
  for (const Case& c : {Case{"secret", "secret", true}, Case{longest.c_str(), longest.c_str(), true},
                        Case{"secret", "", false}, Case{"", "secret", false}, Case{"secret", "secreT", false},
                        Case{"secret", "secret1", false}, Case{longest.c_str(), other.c_str(), false}}) {
    SCOPED_TRACE(testing::Message() << "listener \"" << c.listener << "\", client \"" << c.client << "\"");
    rc_channel_config config = with_token(c.listener[0] != '\0' ? c.listener : nullptr);
    ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), &config, &listener_));
    Call connect = connect_to(uri_, 1000);
    strcpy(connect.token, c.client);
    if (c.good) {
      far().start(connect);
      EXPECT_RC(RC_OK, rc_accept(listener_, kPatience, &ch_));
      EXPECT_FAR(RC_OK, 0u, far().finish());
      disconnect();
      EXPECT_RC(RC_OK, rc_listener_close(listener_));
    } else {
      Reply reply = refused_client(listener_, connect);
      EXPECT_FAR(RC_E_NO_PERMISSION, 0u, reply);
      EXPECT_NE(nullptr, strstr(reply.reason, "token")) << reply.reason;
      EXPECT_EQ(nullptr, strstr(reply.reason, "secret")) << "the reason betrays it: " << reply.reason;
    }
  }
}

TEST_P(Connecting, ConfigsThatMakeNoSenseAreRefused) {
  std::string long_text(64, 'x'), longer_text(512, 'x');
  struct Case {
    const char* what;
    int32_t code;
    std::function<void(rc_channel_config*)> spoil;
  };
  for (const Case& c : std::vector<Case>{
           {"size", RC_E_CONFIG, [](auto* config) { config->size = 0; }},
           {"size", RC_E_CONFIG, [](auto* config) { config->size = 3; }},
           {"wait", RC_E_INVALID, [](auto* config) { config->wait = 3; }},
           {"flags", RC_E_CONFIG, [](auto* config) { config->flags = 0x80; }},
           {"reserved", RC_E_CONFIG, [](auto* config) { config->reserved = 1; }},
           {"identity", RC_E_INVALID, [&](auto* config) { config->identity = long_text.c_str(); }},
           {"token", RC_E_INVALID, [&](auto* config) { config->token = long_text.c_str(); }},
           {"rdma_knobs", RC_E_INVALID, [&](auto* config) { config->rdma_knobs = longer_text.c_str(); }}}) {
    SCOPED_TRACE(c.what);
    rc_channel_config config = near_config(500);
    c.spoil(&config);
    EXPECT_RC_NAMES(c.code, c.what, rc_listen(ctx_, uri_.c_str(), &config, &listener_));
    EXPECT_RC_NAMES(c.code, c.what, rc_connect(ctx_, uri_.c_str(), &config, 0, &ch_));
  }
}

TEST_P(Connecting, NullForAResultIsInvalid) {
  EXPECT_RC(RC_E_INVALID, rc_listen(ctx_, uri_.c_str(), nullptr, nullptr));
  EXPECT_RC(RC_E_INVALID, rc_connect(ctx_, uri_.c_str(), nullptr, 0, nullptr));
  // Nobody listens there now.
  EXPECT_RC(RC_E_NO_LISTENER, rc_connect(ctx_, uri_.c_str(), nullptr, 0, &ch_));
}

TEST_P(Connecting, FullPoolOfChannelsIsNamedAndRecovers) {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 2;
  config.rings_max = 2 * backend().rings_per_end;
  config.ring_bytes = kRingMax;
  rc_ctx ctx{0};
  rc_listener listener{0};
  ASSERT_RC(RC_OK, rc_open(&config, &ctx));
  Call connect = connect_to(uri_, kCapacity);
  std::unique_ptr<Far> client = hire();
  open(*client, ctx);  // if the context is shared, the first connection takes both of its channels
  ASSERT_RC(RC_OK, rc_listen(ctx, uri_.c_str(), nullptr, &listener));
  rc_channel channels[2] = {};
  const uint32_t kFirst = backend().one_context ? 1 : 2;
  for (uint32_t i = 0; i < kFirst; ++i) {
    connect.slot = i;
    client->start(connect);
    ASSERT_RC(RC_OK, rc_accept(listener, kPatience, &channels[i]));
    ASSERT_FAR(RC_OK, 0u, client->finish());
  }
  if (backend().one_context) {
    rc_channel none{0};
    EXPECT_RC_NAMES(RC_E_POOL, "2", rc_connect(ctx, uri_.c_str(), nullptr, kShort, &none));
    EXPECT_TRUE(reason_names("channel"));
  } else {
    connect.slot = kFirst;
    connect.timeout_ns = 20 * kShort;
    client->start(connect);
    rc_channel none{0};
    EXPECT_RC_NAMES(RC_E_POOL, "2", rc_accept(listener, kPatience, &none));
    EXPECT_TRUE(reason_names("channel"));
    EXPECT_NE(RC_OK, client->finish().code);
  }
  // The ones there are work, and a place that is closed can be taken again.
  EXPECT_RC(RC_OK, rc_put(channels[0], "x", 1, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_channel_close(channels[0]));
  EXPECT_FAR(RC_OK, 0u, client->close_channel());
  connect.slot = 0;
  connect.timeout_ns = kPatience;
  client->start(connect);
  EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &channels[0]));
  EXPECT_FAR(RC_OK, 0u, client->finish());
  client->call(Call{Op::kClose});
  EXPECT_RC(RC_OK, rc_close(ctx));
}

TEST_P(Connecting, FullPoolOfRingsIsNamedAndRecovers) {
  if (backend().rings_per_end == 0) GTEST_SKIP() << backend().name << " takes no rings from the pool";
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 8;
  config.rings_max = 3 * backend().rings_per_end;  // enough for three ends
  config.ring_bytes = kCapacity;
  rc_ctx ctx{0};
  rc_listener listener{0};
  ASSERT_RC(RC_OK, rc_open(&config, &ctx));
  ASSERT_RC(RC_OK, rc_listen(ctx, uri_.c_str(), nullptr, &listener));
  for (int round = 0; round < 2; ++round) {
    rc_channel near{0}, far{0}, none{0};
    Doing connecting([&] { return rc_connect(ctx, uri_.c_str(), nullptr, kPatience, &far); });
    EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &near));
    EXPECT_DONE(RC_OK, connecting);
    // Whichever end comes second finds the pool empty and says so; where an end takes two, both may.
    rc_channel nobody{0};
    Doing accepting([&] { return rc_accept(listener, kPatience, &nobody); });
    Doing too_many([&] { return rc_connect(ctx, uri_.c_str(), nullptr, 500 * kShort, &none); });
    Outcome connected = too_many.outcome();
    EXPECT_RC(RC_OK, rc_listener_close(listener));
    Outcome accepted = accepting.outcome();
    ASSERT_RC(RC_OK, rc_listen(ctx, uri_.c_str(), nullptr, &listener));
    const Outcome& refused = connected.code == RC_E_POOL ? connected : accepted;
    EXPECT_EQ(RC_E_POOL, refused.code);
    EXPECT_NE(std::string::npos, refused.reason.find("ring")) << refused.reason;
    EXPECT_NE(std::string::npos, refused.reason.find(std::to_string(config.rings_max))) << refused.reason;
    for (rc_channel open : {near, far, nobody, none}) {
      if (open.id == 0) continue;
      EXPECT_RC(RC_OK, rc_channel_close(open));
    }
  }
  EXPECT_RC(RC_OK, rc_close(ctx));
}

RC_CONFORMANCE_BY_URI(Connecting);

}  // namespace conformance
