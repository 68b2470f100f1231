// rc_fd, rc_poll, rc_progress_all: a whole context at once.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <vector>

#include "harness/conformance/pair.h"

namespace conformance {
namespace {

constexpr int kForGood = static_cast<int>(kPatience / 1000000);

bool shows(int fd, int timeout_ms) {
  pollfd wait = {fd, POLLIN, 0};
  return poll(&wait, 1, timeout_ms) == 1;
}

// Which channels rc_poll names until it has named all that are ready: each is told of again and again.
std::map<uint64_t, int> named(rc_ctx ctx, int calls = 4) {
  std::map<uint64_t, int> times;
  rc_event events[64];
  for (int i = 0; i < calls; ++i) {
    uint32_t n = 0;
    int32_t code = rc_poll(ctx, events, 64, 0, &n);
    EXPECT_TRUE(code == (n != 0 ? RC_OK : RC_E_WOULD_BLOCK)) << rc_reason();
    for (uint32_t e = 0; e < n; ++e) {
      if (events[e].kind == RC_EVENT_CHANNEL) ++times[events[e].channel.id];
    }
  }
  return times;
}

#define SKIP_WITHOUT_DESCRIPTOR()                                          \
  do {                                                                     \
    int32_t none = -1;                                                     \
    if (!backend().has_descriptor) {                                       \
      EXPECT_RC(RC_OK, rc_fd(ctx_, &none)); /* its channel is not in it */ \
      EXPECT_FALSE(shows(none, 0));                                        \
      return;                                                              \
    }                                                                      \
  } while (0)

}  // namespace

TEST_P(Whole, DescriptorIsReadableWhileAChannelHasSomething) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1, again = -1;
  ASSERT_RC(RC_OK, rc_fd(ctx_, &fd));
  ASSERT_RC(RC_OK, rc_fd(ctx_, &again));
  EXPECT_EQ(fd, again);
  EXPECT_NE(0, fcntl(fd, F_GETFD) & FD_CLOEXEC);
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    EXPECT_FALSE(shows(fd, 0));
    EXPECT_FAR(RC_OK, 10u, far().put(10));
    EXPECT_TRUE(shows(fd, kForGood));
    EXPECT_TRUE(shows(fd, kForGood));  // looking does not clear it
    get(4);
    EXPECT_TRUE(shows(fd, kForGood));
    get(6);
    EXPECT_FALSE(shows(fd, 0));
  }
}

TEST_P(Whole, PollNamesThoseThatHaveSomethingAndNoOther) {
  SKIP_WITHOUT_DESCRIPTOR();
  constexpr uint32_t kMany = 6;
  std::vector<rc_channel> all = {ch_};
  for (uint32_t i = 1; i < kMany / 2; ++i) all.push_back(connect_another(0, i));
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_fd(ctx_, &fd));
  for (uint32_t i = kMany / 2; i < kMany; ++i) all.push_back(connect_another(0, i));  // they join by themselves
  EXPECT_TRUE(named(ctx_).empty());
  for (uint32_t slot : {1u, 4u}) {
    Call put = Far::bytes(Op::kPut, 5);
    put.slot = slot;
    EXPECT_FAR(RC_OK, 5u, far().call(put));
    ASSERT_TRUE(shows(fd, kForGood));
  }
  EXPECT_TRUE(eventually([&] { return named(ctx_, 1).size() == 2; }));
  std::map<uint64_t, int> times = named(ctx_, 8);
  EXPECT_EQ(2u, times.size());
  EXPECT_EQ(8, times[all[1].id]);
  EXPECT_EQ(8, times[all[4].id]);
  uint8_t bytes[5];
  EXPECT_RC(RC_OK, rc_try_get(all[1], bytes, 5));
  times = named(ctx_);
  EXPECT_EQ(0, times[all[1].id]);
  EXPECT_EQ(4, times[all[4].id]);
  EXPECT_RC(RC_OK, rc_channel_close(all[4]));
  EXPECT_TRUE(named(ctx_).count(all[4].id) == 0);
}

TEST_P(Whole, PollTakesTurns) {
  SKIP_WITHOUT_DESCRIPTOR();
  constexpr uint32_t kMany = 5;
  std::map<uint64_t, int> times = {{ch_.id, 0}};
  for (uint32_t i = 1; i < kMany; ++i) times[connect_another(0, i).id] = 0;
  for (uint32_t slot = 0; slot < kMany; ++slot) {
    Call put = Far::bytes(Op::kPut, 5);
    put.slot = slot;
    EXPECT_FAR(RC_OK, 5u, far().call(put));
  }
  EXPECT_TRUE(eventually([&] { return named(ctx_, 1).size() == kMany; }));
  for (uint32_t i = 0; i < 10 * kMany; ++i) {
    rc_event event;
    uint32_t n = 0;
    ASSERT_RC(RC_OK, rc_poll(ctx_, &event, 1, kPatience, &n));
    ASSERT_EQ(1u, n);
    ++times[event.channel.id];
  }
  for (auto& [id, n] : times) EXPECT_EQ(10, n) << id;
}

TEST_P(Whole, EndOfAChannelIsNamed) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_fd(ctx_, &fd));
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  EXPECT_TRUE(shows(fd, kForGood));
  EXPECT_TRUE(eventually([&] { return named(ctx_, 1).count(ch_.id) == 1; }));
}

// A child that was forked holds copies of all descriptors, which would keep them in the set.
TEST_P(Whole, ClosedChannelIsForgottenAlthoughAChildHoldsCopies) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_fd(ctx_, &fd));
  EXPECT_FAR(RC_OK, 3u, far().put(3));
  EXPECT_TRUE(shows(fd, kForGood));
  pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  rc_event events[64];
  uint32_t n = 0;
  rc_poll(ctx_, events, 64, 0, &n);
  for (uint32_t e = 0; e < n; ++e) EXPECT_NE(ch_.id, events[e].channel.id);
  EXPECT_EQ(0, kill(child, SIGKILL));
  EXPECT_EQ(child, waitpid(child, nullptr, 0));
}

TEST_P(Whole, PollSleepsUntilSomethingComes) {
  SKIP_WITHOUT_DESCRIPTOR();
  rc_event event;
  uint32_t n = 7;
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_poll(ctx_, &event, 1, 0, &n));
  EXPECT_EQ(0u, n);
  EXPECT_RC(RC_E_TIMEOUT, rc_poll(ctx_, &event, 1, 1000000, &n));
  Doing polling([&] { return rc_poll(ctx_, &event, 1, kPatience, &n); });
  polling.wait_until_inside();
  EXPECT_FAR(RC_OK, 3u, far().put(3));
  EXPECT_DONE(RC_OK, polling);
  EXPECT_EQ(RC_EVENT_CHANNEL, event.kind);
  get(3);
  Doing stopped([&] { return rc_poll(ctx_, &event, 1, RC_FOREVER, &n); });
  stopped.wait_until_inside();
  EXPECT_RC(RC_OK, rc_stop(ctx_));
  EXPECT_DONE(RC_E_STOPPED, stopped);
}

TEST_P(Whole, WrongArgumentsAreRefused) {
  rc_event event;
  uint32_t n = 0;
  int32_t fd = 0;
  EXPECT_RC(RC_E_INVALID, rc_fd(ctx_, nullptr));
  EXPECT_RC(RC_E_INVALID, rc_poll(ctx_, nullptr, 1, 0, &n));
  EXPECT_RC(RC_E_INVALID, rc_poll(ctx_, &event, 0, 0, &n));
  EXPECT_RC(RC_E_INVALID, rc_poll(ctx_, &event, 1, 0, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_fd(rc_ctx{0}, &fd));
  EXPECT_RC(RC_E_HANDLE, rc_poll(rc_ctx{0}, &event, 1, 0, &n));
  EXPECT_RC(RC_E_HANDLE, rc_progress_all(rc_ctx{0}));
}

// A put that came short, a get, an answer: an event loop over the context's descriptor alone.
TEST_P(Whole, DrivesAnEventLoop) {
  SKIP_WITHOUT_DESCRIPTOR();
  constexpr size_t kAll = 30 * kCapacity;
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_fd(ctx_, &fd));  // before another thread is in a channel: the far one's may be of this context
  expect_echo(kAll, [&] {
    rc_event event;
    uint32_t n = 0;
    return rc_poll(ctx_, &event, 1, kPatience, &n) == RC_OK;
  });
}

// The far end's sync ends although this end makes no call on the channel itself.
TEST_P(Whole, ProgressOfAllIsProgressOfEach) {
  ASSERT_RC(RC_OK, rc_progress_all(ctx_));
  auto expect_sync_by_progress = [&] {
    std::atomic<bool> enough{false};
    Doing progress([&] {
      int32_t code = RC_OK;
      while (!enough && code == RC_OK) code = rc_progress_all(ctx_);
      return code;
    });
    EXPECT_FAR(RC_OK, 100u, far().put(100));
    EXPECT_FAR(RC_OK, 0u, far().call(Call{Op::kSync}));
    enough = true;
    EXPECT_DONE(RC_OK, progress);
    get(100);
  };
  expect_sync_by_progress();
  if (backend().attached) return;
  ch_ = connect_another(0, 0);  // joins by itself
  in_.restart();
  expect_sync_by_progress();
}

RC_CONFORMANCE(Whole);

}  // namespace conformance
