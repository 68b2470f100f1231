// membarrier(2) may be missing or forbidden, at one end or at both: wake-ups then rest on full fences. Every process
// here is a fresh one, because a process that has once registered for it stays so.
#include <errno.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string.h>

#include "harness/failpoint/other_end.h"
#include "harness/failpoint/scene.h"
#include "harness/failpoint/wrap.h"
#include "harness/soak/stamp.h"

namespace failpoint {
namespace {

constexpr int64_t kPatienceNs = INT64_C(10) * 1000 * 1000 * 1000;
constexpr int kRounds = 15000;
constexpr uint64_t kPauseMost =
    150000;  // turns of a loop: as long as it takes to be woken, so that puts meet the arming
constexpr uint64_t kRingBytes = 256;

int g_error = 0;
int before(const char* call) { return strcmp(call, "syscall") == 0 ? g_error : 0; }
void after(const char*) {}
constexpr Hooks kHooks = {before, after};

struct End {
  std::string uri;
  bool listens;
  int error;  // of membarrier; 0: it works
};

// Stores that take long to leave this processor: those of the put that follows wait behind them, while its loads do
// not. That is the reordering which the fences are there to prevent, made a hundred times as likely.
void delay_stores() {
#if defined(__x86_64__)
  alignas(64) static volatile char lines[24 * 64];
  for (size_t i = 0; i < sizeof lines; i += 64) __builtin_ia32_clflush(const_cast<const char*>(&lines[i]));
  __builtin_ia32_mfence();
  for (size_t i = 0; i < sizeof lines; i += 64) lines[i] = 1;
#endif
}

// Small puts and gets that go to sleep at once, with a little of this and that in between: the last look before the
// sleep and the put that must ring meet at every distance from each other.
std::string meet_often(const End& end) {
  g_error = end.error;
  watch_this_thread(&kHooks);
  rc_config config = {};
  config.size = sizeof config;
  config.ring_bytes = kRingBytes;
  rc_channel_config channel_config = {};
  channel_config.size = sizeof channel_config;
  channel_config.wait = RC_WAIT_SLEEP;
  rc_ctx ctx;
  rc_listener listener;
  rc_channel ch = {};
  std::string p = expect_code("rc_open", rc_open(&config, &ctx), {RC_OK});
  const char* uri = end.uri.c_str();
  if (end.listens) {
    p += expect_code("rc_listen", rc_listen(ctx, uri, &channel_config, &listener), {RC_OK});
    p += expect_code("rc_accept", rc_accept(listener, kPatienceNs, &ch), {RC_OK});
  } else {
    p += expect_code("rc_connect", rc_connect(ctx, uri, &channel_config, kPatienceNs, &ch), {RC_OK});
  }
  soak::Choices choices(1);  // the same at both ends
  char bytes[kRingBytes * 3] = {};
  for (int i = 0; i < kRounds && p.empty(); ++i) {
    // A burst and its answer. The getter of a burst is awake when the last put of it comes, and may be about to sleep:
    // the wake-up that then gets lost is one that nobody repeats. Every eighth time more than the ring, so that the
    // putter sleeps too.
    uint64_t burst = i % 8 == 7 ? 1 : 1 + choices.below(4);
    size_t n = i % 8 == 7 ? sizeof bytes : 8;
    for (uint64_t j = 0; j < burst && p.empty(); ++j) {
      uint64_t pause = choices.below(kPauseMost);
      for (; !end.listens && pause != 0; --pause) asm volatile("");
      if (!end.listens) delay_stores();
      p += end.listens ? expect_code("rc_get", rc_get(ch, bytes, n, kPatienceNs, nullptr), {RC_OK})
                       : expect_code("rc_put", rc_put(ch, bytes, n, kPatienceNs, nullptr), {RC_OK});
    }
    if (!p.empty()) break;
    p += end.listens ? expect_code("rc_put", rc_put(ch, bytes, 1, kPatienceNs, nullptr), {RC_OK})
                     : expect_code("rc_get", rc_get(ch, bytes, 1, kPatienceNs, nullptr), {RC_OK});
  }
  if (!end.listens) return p + expect_code("rc_close", rc_close(ctx), {RC_OK});
  if (p.empty()) p += expect_code("rc_get", rc_get(ch, bytes, 1, kPatienceNs, nullptr), {RC_E_CLOSED});
  return p + expect_code("rc_close", rc_close(ctx), {RC_OK});
}

TEST(NoMembarrier, NoWakeUpIsLost) {
  constexpr int kErrors[][2] = {{0, 0}, {ENOSYS, ENOSYS}, {ENOSYS, 0}, {0, EPERM}};
  for (auto& errors : kErrors) {
    std::string uri = fresh_uri("fence");
    Child server([&] { return meet_often({uri, true, errors[0]}); });
    Child client([&] { return meet_often({uri, false, errors[1]}); });
    EXPECT_EQ("", client.problems()) << "client, membarrier fails with " << errors[0] << " there, " << errors[1]
                                     << " here";
    EXPECT_EQ("", server.problems()) << "server";
  }
}

TEST(NoMembarrier, EverythingElseWorks) {
  for (const Scenario& scenario : all_scenarios()) {
    for (int error : {ENOSYS, EPERM}) {
      Child child([&] {
        std::string problems;
        for (int i = 0; i < 5; ++i) {
          for (const std::string& p : play(scenario, {"syscall", 1, error, true}).problems) problems += p + "\n";
        }
        return problems;
      });
      EXPECT_EQ("", child.problems()) << scenario.name << ", " << error_name(error);
    }
  }
}

}  // namespace
}  // namespace failpoint
