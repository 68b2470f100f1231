#include "harness/hostile/honest.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace hostile {
namespace {

constexpr unsigned kTestSeconds = 120;

void say_that_it_hangs(int) {
  const char text[] = "\nHANG: a test of the honest end has not come back\n";
  ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
  static_cast<void>(ignored);
  abort();
}

}  // namespace

void Channel::close() {
  if (ch_.id == 0) return;
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  ch_.id = 0;
}

testing::AssertionResult returned(const char* expected_text, const char* call_text, int32_t expected, int32_t got) {
  std::string reason = rc_reason();
  if (got == expected) return testing::AssertionSuccess();
  return testing::AssertionFailure() << call_text << "\n  returned " << rc_code_name(got) << " (" << got
                                     << "), expected " << expected_text << "\n  reason: " << reason;
}

int32_t in_time(const char* what, const std::function<int32_t()>& call) {
  auto begin = std::chrono::steady_clock::now();
  int32_t code = call();
  auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  EXPECT_LT(took.count(), kBound / kMs) << what << " came back, with " << rc_code_name(code)
                                        << ", long after its deadline";
  return code;
}

// -------------------------------------------------------------------------------------------------------------- Attack

void Attack::open_honest(const rc_channel_config* config, uint64_t ring_max) {
  if (ctx_.id != 0) close_honest();
  signal(SIGALRM, say_that_it_hangs);
  alarm(kTestSeconds);
  name_ = unique_name();
  before_ = things_now();
  rc_config limits = {};
  limits.size = sizeof limits;
  limits.ring_bytes = ring_max;
  ASSERT_RC(RC_OK, rc_open(&limits, &ctx_));
  ASSERT_RC(RC_OK, rc_listen(ctx_, ("shm:" + name_).c_str(), config, &listener_));
  open_ = things_now();
}

// Lets the listener find out who has gone.
void Attack::settle() {
  for (int i = 0; i < 200 && !(things_now() == open_); ++i) {
    Outcome o = serve();
    if (o.code != RC_OK) usleep(1000);
  }
}

void Attack::expect_unharmed() {
  settle();
  EXPECT_EQ(things_now(), open_) << "the attack has left something behind";
  expect_serves();
  settle();
  EXPECT_EQ(things_now(), open_) << "serving an honest client has left something behind";
}

void Attack::close_honest() {
  EXPECT_RC(RC_OK, rc_close(ctx_));
  EXPECT_EQ(things_now(), before_) << "rc_close has left something behind";
  ctx_ = {0};
}

void Attack::TearDown() {
  if (ctx_.id != 0) {
    expect_unharmed();
    close_honest();
  }
  alarm(0);
}

Outcome Attack::serve() {
  Outcome o;
  rc_channel ch = {0};
  // Twice: a client may be taken from the backlog in one turn and heard in the next.
  for (int i = 0; i < 2 && ch.id == 0; ++i) o.code = IN_TIME(rc_accept(listener_, 0, &ch));
  o.reason = rc_reason();
  o.channel = Channel(ch);
  return o;
}

bool Attack::begin(RawClient& client) {
  if (!client.dial(name_) || !client.ask()) return false;
  Outcome o = serve();
  EXPECT_RC(RC_E_WOULD_BLOCK, o.code);
  return client.take_offer();
}

void Attack::expect_refused(RawClient& client, int32_t code, const std::string& word) {
  Outcome o = serve();
  EXPECT_RC(RC_E_WOULD_BLOCK, o.code) << "a client that misbehaves is no error of rc_accept";
  client.reply = receive_packet(client.end.main.get());
  ASSERT_TRUE(client.reply.is_hello()) << "no refusal came but " << client.reply.bytes << " bytes";
  ASSERT_EQ(rc_code_name(client.reply.hello.code), std::string(rc_code_name(code))) << client.reply.hello.text;
  std::string text(client.reply.hello.text, strnlen(client.reply.hello.text, sizeof client.reply.hello.text));
  EXPECT_NE(text.find(word), std::string::npos) << "the refusal says: " << text;
  EXPECT_TRUE(client.reply.fds.empty()) << "a refusal gives nothing away";
  EXPECT_EQ(receive_packet(client.end.main.get()).bytes, 0) << "a refused client is hung up on";
}

bool Attack::let_in(RawClient& client, Channel* channel) {
  if (!begin(client) || !client.accept()) return false;
  Outcome o = serve();
  EXPECT_RC(RC_OK, o.code) << o.reason;
  *channel = std::move(o.channel);
  return channel->open() && client.take_go();
}

std::future<Outcome> Attack::connect_to(const std::string& name, int64_t timeout_ns, rc_channel_config config) {
  config.size = sizeof config;
  return std::async(std::launch::async, [ctx = ctx_, name, timeout_ns, config] {
    Outcome o;
    rc_channel ch = {0};
    o.code = rc_connect(ctx, ("shm:" + name).c_str(), &config, timeout_ns, &ch);
    o.reason = o.code == RC_OK ? "" : rc_reason();
    o.channel = Channel(ch);
    return o;
  });
}

void Attack::expect_serves() {
  std::future<Outcome> client = connect_to(name_);
  rc_channel accepted = {0};
  EXPECT_RC(RC_OK, rc_accept(listener_, kPatience, &accepted));
  Channel server(accepted);
  Outcome o = client.get();
  ASSERT_RC(RC_OK, o.code) << o.reason;
  if (!server.open()) return;
  uint64_t sent = 0x0123456789abcdef, got = 0;
  EXPECT_RC(RC_OK, rc_put(o.channel, &sent, sizeof sent, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_get(server, &got, sizeof got, kPatience, nullptr));
  EXPECT_EQ(got, sent);
  EXPECT_RC(RC_OK, rc_put(server, &got, sizeof got, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_get(o.channel, &got, sizeof got, kPatience, nullptr));
  EXPECT_EQ(got, sent);
}

void expect_exact(rc_channel channel, RawEnd& raw) {
  uint8_t sent[100], got[100] = {};
  size_t n = static_cast<size_t>(std::min<uint64_t>(sizeof sent, raw.ring_bytes));
  for (size_t i = 0; i < n; ++i) sent[i] = static_cast<uint8_t>(i * 7 + 1);
  ASSERT_RC(RC_OK, rc_put(channel, sent, n, kPatience, nullptr));
  ASSERT_TRUE(raw.get(got, n));
  EXPECT_EQ(memcmp(sent, got, n), 0);
  raw.put(got, n);
  memset(got, 0, sizeof got);
  ASSERT_RC(RC_OK, rc_get(channel, got, n, kPatience, nullptr));
  EXPECT_EQ(memcmp(sent, got, n), 0);
}

// ---------------------------------------------------------------------------------------------------------------- Duel

std::ostream& operator<<(std::ostream& out, const Role& role) {
  const char* wait = role.wait == RC_WAIT_SPIN ? "Spins" : role.wait == RC_WAIT_SLEEP ? "Sleeps" : "Adapts";
  return out << (role.honest_listens ? "HonestListener" : "HonestClient") << wait
             << (role.fences ? "" : "WithoutFences");
}

std::string role_name(const testing::TestParamInfo<Role>& info) { return testing::PrintToString(info.param); }

void Duel::SetUp() {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.wait = GetParam().wait;
  open_honest(&config);
  if (!HasFatalFailure()) meet();
}

void Duel::meet() {
  if (GetParam().honest_listens) {
    RawClient client(kRing, GetParam().fences);
    ASSERT_TRUE(let_in(client, &honest_));
    raw_ = std::move(client.end);
    return;
  }
  RawListener listener;
  std::string name = unique_name();
  ASSERT_TRUE(listener.listen(name));
  rc_channel_config config = {};
  config.wait = GetParam().wait;
  std::future<Outcome> connecting = connect_to(name, kPatience, config);
  bool shaken = listener.take_client() && listener.take_ask() &&
                listener.offer(say(rc::Hello::kOffer, kRing, GetParam().fences)) && listener.take_accept() &&
                listener.go();
  Outcome o = connecting.get();
  ASSERT_RC(RC_OK, o.code) << o.reason;
  ASSERT_TRUE(shaken);
  honest_ = std::move(o.channel);
  raw_ = std::move(listener.end);
}

void Duel::meet_again() {
  honest_.close();
  raw_ = RawEnd();
  meet();
}

void Duel::expect_over(int32_t code) {
  char byte = 0;
  size_t done = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_RC(code, IN_TIME(rc_get(honest_, &byte, 1, kShort, &done)));
    EXPECT_RC(code, IN_TIME(rc_put(honest_, &byte, 1, kShort, &done)));
    EXPECT_RC(code, IN_TIME(rc_progress(honest_)));
    EXPECT_RC(code, IN_TIME(rc_send(honest_, &byte, 1, nullptr, kShort, &done)));
  }
  rc_info info = {};
  info.size = sizeof info;
  EXPECT_RC(RC_OK, rc_channel_info(honest_, &info));
  EXPECT_EQ(info.state, code);
}

void Duel::TearDown() {
  honest_.close();
  raw_ = RawEnd();
  Attack::TearDown();
}

}  // namespace hostile
