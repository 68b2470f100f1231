// rc_channel_fd: a level-triggered descriptor for epoll and friends.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <random>

#include "harness/conformance/pair.h"

namespace conformance {
namespace {

bool shows(int fd, int timeout_ms) {
  pollfd wait = {fd, POLLIN, 0};
  return poll(&wait, 1, timeout_ms) == 1 && (wait.revents & (POLLIN | POLLHUP | POLLERR)) != 0;
}
// Waits as long as it takes for good news, and not at all for bad.
bool readable_fd(int fd) { return shows(fd, static_cast<int>(kPatience / 1000000)); }
bool silent_fd(int fd) { return !shows(fd, 0); }

}  // namespace

#define SKIP_WITHOUT_DESCRIPTOR()                             \
  do {                                                        \
    int32_t none = -1;                                        \
    if (!backend().has_descriptor) {                          \
      EXPECT_RC(RC_E_UNSUPPORTED, rc_channel_fd(ch_, &none)); \
      return; /* that it says so is the test */               \
    }                                                         \
  } while (0)

TEST_P(Descriptor, ReadableExactlyWhileBytesAreThere) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    EXPECT_TRUE(silent_fd(fd));
    EXPECT_FAR(RC_OK, 10u, far().put(10));
    EXPECT_TRUE(readable_fd(fd));
    EXPECT_TRUE(readable_fd(fd));  // looking does not clear it
    get(4);
    EXPECT_TRUE(readable_fd(fd));
    EXPECT_FAR(RC_OK, 3u, far().put(3));
    get(6);
    EXPECT_TRUE(readable_fd(fd));
    get(3);
    EXPECT_TRUE(silent_fd(fd));
  }
}

TEST_P(Descriptor, ClearedByATryThatComesShort) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  EXPECT_FAR(RC_OK, 10u, far().put(10));
  EXPECT_TRUE(readable_fd(fd));
  Buffer bytes(kCapacity);
  size_t done = 0;
  EXPECT_RC(RC_OK, rc_get_some(ch_, bytes.data(), kCapacity, 0, &done));
  EXPECT_EQ(10u, done);
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_get_some(ch_, bytes.data(), kCapacity, 0, &done));
  EXPECT_TRUE(silent_fd(fd));
  EXPECT_FAR(RC_OK, 1u, far().put(1));
  EXPECT_TRUE(readable_fd(fd));
}

TEST_P(Descriptor, ShowsWhatArrivedBeforeItWasMade) {
  SKIP_WITHOUT_DESCRIPTOR();
  EXPECT_FAR(RC_OK, 10u, far().put(10));
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  EXPECT_TRUE(readable_fd(fd));
  Buffer bytes(10);
  ASSERT_RC(RC_OK, rc_try_get(ch_, bytes.data(), 10));
  EXPECT_TRUE(silent_fd(fd));
}

TEST_P(Descriptor, ShowsAnEndThatCameBeforeItWasMade) {
  SKIP_WITHOUT_DESCRIPTOR();
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  EXPECT_TRUE(readable_fd(fd));
}

TEST_P(Descriptor, ReadableForGoodAfterTheEnd) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  EXPECT_FAR(RC_OK, 5u, far().put(5));
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  EXPECT_TRUE(readable_fd(fd));
  get(5);
  EXPECT_TRUE(readable_fd(fd));
  Buffer bytes(5);
  size_t done = 0;
  EXPECT_RC(RC_E_CLOSED, rc_get_some(ch_, bytes.data(), 5, 0, &done));
  EXPECT_TRUE(readable_fd(fd));
  EXPECT_TRUE(readable_fd(fd));
}

TEST_P(Descriptor, WakesAPutThatCameShort) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  fill();
  EXPECT_TRUE(silent_fd(fd));  // no put has come short yet
  Buffer bytes = out_.next(50);
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_put(ch_, bytes.data(), 50));
  EXPECT_TRUE(silent_fd(fd));
  EXPECT_FAR(RC_OK, kCapacity, far().get(kCapacity));
  EXPECT_FAR(RC_E_WOULD_BLOCK, 0u, far().get_some(1, 0));
  EXPECT_TRUE(readable_fd(fd));
  EXPECT_TRUE(readable_fd(fd));
  uint8_t byte;
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(ch_, &byte, 1));
  EXPECT_TRUE(readable_fd(fd));  // the put can still make progress
  EXPECT_RC(RC_OK, rc_try_put(ch_, bytes.data(), 50));
  out_.move(50);
  EXPECT_TRUE(silent_fd(fd));  // that put was satisfied
  EXPECT_FAR(RC_OK, 50u, far().get(50));
}

// What a get came short of matters until that get is satisfied, and no longer; calls in between change nothing.
TEST_P(Descriptor, ForgetsAShortGetThatWasSatisfied) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  EXPECT_FAR(RC_OK, 60u, far().put(60));
  Buffer bytes(100);
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(ch_, bytes.data(), 100));
  EXPECT_FAR(RC_OK, 40u, far().put(40));
  EXPECT_TRUE(readable_fd(fd));
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  EXPECT_TRUE(readable_fd(fd));
  EXPECT_RC(RC_OK, rc_try_get(ch_, bytes.data(), 100));
  EXPECT_TRUE(right(bytes, 100));
  EXPECT_TRUE(silent_fd(fd));
  EXPECT_FAR(RC_OK, 10u, far().put(10));
  EXPECT_TRUE(readable_fd(fd));
  EXPECT_RC(RC_OK, soon([&] { return rc_flush(ch_); }));
  EXPECT_TRUE(shows(fd, 100)) << "10 bytes are there, and no get came short of more";
  get(10);
  EXPECT_TRUE(silent_fd(fd));
}

TEST_P(Descriptor, IsMadeOnceAndClosedOnExec) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1, again = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &again));
  EXPECT_EQ(fd, again);
  EXPECT_NE(0, fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

TEST_P(Descriptor, IsGoneWithTheChannel) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  EXPECT_EQ(-1, fcntl(fd, F_GETFD));
}

TEST_P(Descriptor, FollowsAnyMixOfPutsAndGets) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  std::mt19937 random(11);
  size_t there = 0;
  for (int i = 0; i < 100; ++i) {
    SCOPED_TRACE(i);
    if (random() % 2 == 0 && there < kHalf) {
      size_t n = 1 + random() % 90;
      ASSERT_FAR(RC_OK, n, far().put(n));
      there += n;
    } else if (there > 0) {
      size_t n = 1 + random() % there;
      get(n);
      there -= n;
    }
    ASSERT_EQ(there > 0, there > 0 ? readable_fd(fd) : !silent_fd(fd));
  }
}

// A program that sleeps in epoll_wait only and never blocks in the library, in both directions at once.
TEST_P(Descriptor, DrivesAnEventLoop) {
  SKIP_WITHOUT_DESCRIPTOR();
  constexpr size_t kAll = 30 * kCapacity;
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event = {};
  event.events = EPOLLIN;
  ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
  expect_echo(kAll, [&] { return epoll_wait(epoll, &event, 1, static_cast<int>(kPatience / 1000000)) == 1; });
  close(epoll);
}

TEST_P(Descriptor, BlockingCallsGoOnWorking) {
  SKIP_WITHOUT_DESCRIPTOR();
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  far().start(Far::pieces(Op::kEcho, 20 * 30, 30));
  for (int i = 0; i < 20; ++i) {
    Buffer bytes = out_.next(30);
    ASSERT_RC(RC_OK, rc_put(ch_, bytes.data(), 30, kPatience, nullptr));
    ASSERT_RC(RC_OK, rc_get(ch_, bytes.data(), 30, kPatience, nullptr));
    out_.move(30);
  }
  EXPECT_FAR(RC_OK, 600u, far().finish());
  // The last doorbell may have come after its bytes had been taken; a try clears it.
  uint8_t byte;
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(ch_, &byte, 1));
  EXPECT_TRUE(silent_fd(fd));
}

TEST_P(Descriptor, NullIsInvalid) {
  SKIP_WITHOUT_DESCRIPTOR();
  EXPECT_RC(RC_E_INVALID, rc_channel_fd(ch_, nullptr));
}

RC_CONFORMANCE(Descriptor);

}  // namespace conformance
