// Handles that are closed, forged, zero, of another kind, or the parent's.
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "harness/conformance/pair.h"

namespace conformance {
namespace {

struct Named {
  const char* name;
  std::function<int32_t(uint64_t id)> call;
};

// Every function that takes a channel, with arguments that are good.
std::vector<Named> channel_calls() {
  static uint8_t bytes[16];
  static rc_span in[2] = {{bytes, 1}, {bytes, 1}};
  static rc_const_span out[2] = {{bytes, 1}, {bytes, 1}};
  static size_t n;
  static int32_t fd;
  static rc_info info;
  static rc_counters counters;
  info.size = sizeof info;
  counters.size = sizeof counters;
  using Id = uint64_t;
  return {
      {"rc_put", [](Id id) { return rc_put(rc_channel{id}, bytes, 1, 0, &n); }},
      {"rc_put_more", [](Id id) { return rc_put_more(rc_channel{id}, bytes, 1, 0, &n); }},
      {"rc_flush", [](Id id) { return rc_flush(rc_channel{id}); }},
      {"rc_sync", [](Id id) { return rc_sync(rc_channel{id}, 0); }},
      {"rc_get", [](Id id) { return rc_get(rc_channel{id}, bytes, 1, 0, &n); }},
      {"rc_try_put", [](Id id) { return rc_try_put(rc_channel{id}, bytes, 1); }},
      {"rc_try_get", [](Id id) { return rc_try_get(rc_channel{id}, bytes, 1); }},
      {"rc_put_some", [](Id id) { return rc_put_some(rc_channel{id}, bytes, 1, &n); }},
      {"rc_get_some", [](Id id) { return rc_get_some(rc_channel{id}, bytes, 1, 0, &n); }},
      {"rc_putv", [](Id id) { return rc_putv(rc_channel{id}, out, 2, 0, &n); }},
      {"rc_getv", [](Id id) { return rc_getv(rc_channel{id}, in, 2, 0, &n); }},
      {"rc_ready", [](Id id) { return rc_ready(rc_channel{id}, &n, &n); }},
      {"rc_reserve", [](Id id) { return rc_reserve(rc_channel{id}, 1, 0, in); }},
      {"rc_commit", [](Id id) { return rc_commit(rc_channel{id}, 0); }},
      {"rc_peek", [](Id id) { return rc_peek(rc_channel{id}, 1, 0, out); }},
      {"rc_release", [](Id id) { return rc_release(rc_channel{id}, 0); }},
      {"rc_send", [](Id id) { return rc_send(rc_channel{id}, bytes, 1, nullptr, 0, &n); }},
      {"rc_recv", [](Id id) { return rc_recv(rc_channel{id}, bytes, 1, &n, nullptr, nullptr, 0); }},
      {"rc_channel_fd", [](Id id) { return rc_channel_fd(rc_channel{id}, &fd); }},
      {"rc_progress", [](Id id) { return rc_progress(rc_channel{id}); }},
      {"rc_channel_info", [](Id id) { return rc_channel_info(rc_channel{id}, &info); }},
      {"rc_channel_counters", [](Id id) { return rc_channel_counters(rc_channel{id}, &counters); }},
      {"rc_channel_close", [](Id id) { return rc_channel_close(rc_channel{id}); }},
  };
}

std::vector<Named> listener_calls() {
  static rc_channel channel;
  static int32_t fd;
  using Id = uint64_t;
  return {
      {"rc_accept", [](Id id) { return rc_accept(rc_listener{id}, 0, &channel); }},
      {"rc_listener_fd", [](Id id) { return rc_listener_fd(rc_listener{id}, &fd); }},
      {"rc_listener_close", [](Id id) { return rc_listener_close(rc_listener{id}); }},
  };
}

std::vector<Named> context_calls(const std::string& uri) {
  static rc_channel channel;
  static rc_listener listener;
  alignas(128) static uint8_t memory[2][4096];
  static rc_attach_config attach;
  attach = {};
  attach.size = sizeof attach;
  attach.tx = memory[0];
  attach.rx = memory[1];
  attach.bytes = sizeof memory[0];
  using Id = uint64_t;
  return {
      {"rc_listen", [uri](Id id) { return rc_listen(rc_ctx{id}, uri.c_str(), nullptr, &listener); }},
      {"rc_connect", [uri](Id id) { return rc_connect(rc_ctx{id}, uri.c_str(), nullptr, 0, &channel); }},
      {"rc_attach", [](Id id) { return rc_attach(rc_ctx{id}, &attach, &channel); }},
      {"rc_stop", [](Id id) { return rc_stop(rc_ctx{id}); }},
      {"rc_close", [](Id id) { return rc_close(rc_ctx{id}); }},
  };
}

void expect_all(int32_t code, const std::vector<Named>& calls, uint64_t id) {
  for (const Named& call : calls) {
    SCOPED_TRACE(testing::Message() << call.name << " of " << std::hex << id);
    EXPECT_RC(code, call.call(id));
  }
}

}  // namespace

TEST_P(Handles, ZeroIsAnError) {
  expect_all(RC_E_HANDLE, channel_calls(), 0);
  expect_all(RC_E_HANDLE, listener_calls(), 0);
  expect_all(RC_E_HANDLE, context_calls("loop:x"), 0);
}

// The slot that a handle of all zeros would lead to is free then.
TEST_P(Handles, ZeroIsAnErrorWhenNoChannelIsOpen) {
  disconnect();
  expect_all(RC_E_HANDLE, channel_calls(), 0);
}

TEST_P(Handles, ForgedIsAnErrorAndHarmsNobody) {
  rc_channel other{0};
  if (!backend().attached) other = connect_another(0, 1);
  for (uint64_t id : {UINT64_MAX, uint64_t{1} << 63, uint64_t{0xdeadbeef}, ctx_.id ^ (uint64_t{1} << 62)}) {
    expect_all(RC_E_HANDLE, channel_calls(), id);
    expect_all(RC_E_HANDLE, listener_calls(), id);
    expect_all(RC_E_HANDLE, context_calls("loop:x"), id);
  }
  // One bit off, where that is not by chance a handle of this test.
  for (int bit = 0; bit < 64; ++bit) {
    uint64_t id = ch_.id ^ (uint64_t{1} << bit);
    rc_info info = {};
    info.size = sizeof info;
    if (id == other.id || rc_channel_info(rc_channel{id}, &info) == RC_OK) continue;
    expect_all(RC_E_HANDLE, channel_calls(), id);
  }
  put(5);
  EXPECT_FAR(RC_OK, 5u, far().get(5));
}

TEST_P(Handles, OfAnotherKindIsAnError) {
  if (listener_.id != 0) {
    expect_all(RC_E_HANDLE, channel_calls(), listener_.id);
    expect_all(RC_E_HANDLE, context_calls("loop:x"), listener_.id);
  }
  expect_all(RC_E_HANDLE, channel_calls(), ctx_.id);
  expect_all(RC_E_HANDLE, listener_calls(), ctx_.id);
  expect_all(RC_E_HANDLE, listener_calls(), ch_.id);
  expect_all(RC_E_HANDLE, context_calls("loop:x"), ch_.id);
  put(5);
  EXPECT_FAR(RC_OK, 5u, far().get(5));
}

TEST_P(Handles, ClosedIsAnErrorAlsoWhenItsPlaceIsUsedAgain) {
  uint64_t old = ch_.id;
  disconnect();
  expect_all(RC_E_HANDLE, channel_calls(), old);
  for (int i = 0; i < 40; ++i) {  // more than there are places
    connect();
    ASSERT_NE(old, ch_.id);
    EXPECT_RC(RC_E_HANDLE, rc_put(rc_channel{old}, "x", 1, 0, nullptr));
    if (i == 39) break;
    disconnect();
  }
  expect_all(RC_E_HANDLE, channel_calls(), old);
  put(5);
  EXPECT_FAR(RC_OK, 5u, far().get(5));
  expect_drained();
}

TEST_P(Handles, OfAClosedContextAreErrors) {
  uint64_t context = ctx_.id, listener = listener_.id;
  EXPECT_FAR(RC_OK, 0u, far().call(Call{Op::kClose}));
  EXPECT_RC(RC_OK, rc_close(ctx_));
  ctx_ = rc_ctx{0};
  expect_all(RC_E_HANDLE, context_calls("loop:x"), context);
  expect_all(RC_E_HANDLE, channel_calls(), ch_.id);
  if (listener != 0) expect_all(RC_E_HANDLE, listener_calls(), listener);
}

TEST_P(Handles, NullForAResultIsInvalid) {
  EXPECT_RC(RC_E_INVALID, rc_peek(ch_, 1, 0, nullptr));
  EXPECT_RC(RC_E_INVALID, rc_reserve(ch_, 1, 0, nullptr));
  EXPECT_RC(RC_E_INVALID, rc_put_some(ch_, "x", 1, nullptr));
  uint8_t byte;
  EXPECT_RC(RC_E_INVALID, rc_get_some(ch_, &byte, 1, 0, nullptr));
  EXPECT_RC(RC_E_INVALID, rc_recv(ch_, &byte, 1, nullptr, nullptr, nullptr, 0));
  EXPECT_RC(RC_E_INVALID, rc_attach(ctx_, nullptr, nullptr));
  put(5);
  EXPECT_FAR(RC_OK, 5u, far().get(5));
}

TEST_P(Handles, OfTheParentAreErrorsInAForkedChild) {
  int answer[2];
  ASSERT_EQ(0, pipe(answer));
  std::vector<Named> all = channel_calls();
  std::vector<uint64_t> ids(all.size(), ch_.id);
  auto add = [&](const std::vector<Named>& calls, uint64_t id) {
    all.insert(all.end(), calls.begin(), calls.end());
    ids.resize(all.size(), id);
  };
  if (listener_.id != 0) add(listener_calls(), listener_.id);
  add(context_calls("loop:x"), ctx_.id);
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    for (size_t i = 0; i < all.size(); ++i) {
      int32_t code = all[i].call(ids[i]);
      if (code == RC_E_FORKED && rc_reason()[0] != '\0') continue;
      char text[200];
      int n = snprintf(text, sizeof text, "%s: %s; ", all[i].name, rc_code_name(code));
      if (write(answer[1], text, static_cast<size_t>(n)) != n) break;
    }
    _exit(0);
  }
  close(answer[1]);
  std::string wrong;
  char text[256];
  for (ssize_t n; (n = read(answer[0], text, sizeof text)) > 0;) wrong.append(text, static_cast<size_t>(n));
  close(answer[0]);
  int status = 0;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, status) << "the child died";
  EXPECT_EQ("", wrong) << "these were not RC_E_FORKED with a reason";
  // The parent goes on as if nothing had been.
  put(20);
  EXPECT_FAR(RC_OK, 20u, far().get(20));
  EXPECT_FAR(RC_OK, 2 * kCapacity - 1000, far().put(2 * kCapacity - 1000));
  get(2 * kCapacity - 1000);
}

RC_CONFORMANCE(Handles);

}  // namespace conformance
