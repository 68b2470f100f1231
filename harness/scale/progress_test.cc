// The progress thread: the target's program never calls, and yet what is asked of it is done.
#include <errno.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "rc.h"

// The linker puts this between the library and pthread_create.
static bool g_no_threads = false;
extern "C" int __real_pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
extern "C" int __wrap_pthread_create(pthread_t* t, const pthread_attr_t* a, void* (*f)(void*), void* x) {
  return g_no_threads ? EAGAIN : __real_pthread_create(t, a, f, x);
}

namespace {

constexpr int64_t kPatience = INT64_C(20) * 1000 * 1000 * 1000;
constexpr uint64_t kBytes = 64 * 1024;

#define EXPECT_RC(code, call) EXPECT_EQ(code, call) << rc_reason()
#define ASSERT_RC(code, call) ASSERT_EQ(code, call) << rc_reason()

rc_ctx open_context(bool thread) {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 8;
  config.ring_bytes = 64 * 1024;
  config.mr_bytes = 1 << 20;
  config.progress_thread = thread ? 1 : 0;
  rc_ctx ctx{0};
  EXPECT_RC(RC_OK, rc_open(&config, &ctx));
  return ctx;
}

#ifdef RC_TEST_RDMA  // in the rdma lane
constexpr const char* kUris[] = {"rdma"};
#else
constexpr const char* kUris[] = {"shm", "tcp"};
#endif

// Only in event mode can anything wake the thread.
std::string rdma_uri() {
  static int port = 7000;
  const char* address = getenv("RC_RDMA_ADDRESS");
  return std::string("rdma://") + (address != nullptr ? address : "10.77.0.1") + ":" + std::to_string(++port) +
         "?mode=event";
}

// An initiator without a thread, and a target that has one.
class Progress : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    near_ = open_context(false);
    far_ = open_context(true);
    std::string uri = GetParam();
    if (uri == "shm") uri = "shm:progress-" + std::to_string(getpid());
    if (uri == "tcp") uri = "tcp://127.0.0.1:0";
    if (uri == "rdma") uri = rdma_uri();
    rc_listener listener{0};
    ASSERT_RC(RC_OK, rc_listen(far_, uri.c_str(), nullptr, &listener));
    char got[160];
    ASSERT_RC(RC_OK, rc_listener_uri(listener, got, sizeof got));
    std::thread connecting([&] { EXPECT_RC(RC_OK, rc_connect(near_, got, nullptr, kPatience, &ch_)); });
    EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &far_ch_));
    connecting.join();
    ASSERT_RC(RC_OK, rc_mr_alloc(near_, kBytes, 0, &local_));
    ASSERT_RC(RC_OK, rc_mr_alloc(far_, kBytes, 0, &remote_mr_));
    rc_grant grant{0};
    ASSERT_RC(RC_OK, rc_mr_grant(far_ch_, remote_mr_, 0, kBytes, RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC, 0, &grant));
    ASSERT_RC(RC_OK, rc_remote_get(ch_, kPatience, &remote_));
    mine_ = static_cast<uint8_t*>(address(local_));
  }
  void TearDown() override {
    EXPECT_RC(RC_OK, rc_close(near_));
    EXPECT_RC(RC_OK, rc_close(far_));
  }
  static void* address(rc_mr mr) {
    rc_region region = {};
    region.size = sizeof region;
    EXPECT_RC(RC_OK, rc_mr_info(mr, &region));
    return region.address;
  }
  void write_and_wait(uint64_t n) {
    rc_request request{0};
    ASSERT_RC(RC_OK, rc_write(local_, 0, remote_, 0, n, &request));
    ASSERT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
  }
  // A write, a read and an atomic: each is over without the target.
  void expect_served(int rounds) {
    for (int i = 0; i < rounds && !HasFatalFailure(); ++i) {
      memset(mine_, i + 1, kBytes);
      write_and_wait(kBytes);
      rc_request request{0};
      uint64_t old = 0;
      memset(mine_, 0, kBytes);
      ASSERT_RC(RC_OK, rc_read(local_, 0, remote_, 0, kBytes, &request));
      ASSERT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
      for (uint64_t b = 0; b < kBytes; b += 4093) ASSERT_EQ(static_cast<uint8_t>(i + 1), mine_[b]);
      ASSERT_RC(RC_OK, rc_fetch_add(remote_, 8, 1, &request));
      ASSERT_RC(RC_OK, rc_request_wait(request, kPatience, &old));
      uint64_t wanted = 0;
      memset(&wanted, i + 1, sizeof wanted);
      ASSERT_EQ(wanted, old);
    }
  }

  rc_ctx near_{0}, far_{0};
  rc_channel ch_{0}, far_ch_{0};
  rc_mr local_{0}, remote_mr_{0};
  rc_remote remote_{0};
  uint8_t* mine_ = nullptr;
};

TEST_P(Progress, TargetNeverCalls) { expect_served(20); }

TEST_P(Progress, InitiatorMayComeAfterALongSilence) {
  expect_served(1);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(
        std::chrono::milliseconds(20));  // the thread is asleep by now, or it is not: both must do
    expect_served(1);
  }
}

// The target's own threads get, sleep for bytes and put meanwhile. Nothing is lost, nobody sleeps through anything.
TEST_P(Progress, TargetsOwnThreadsGoOnAsEver) {
  constexpr uint32_t kWords = 3000;
  std::thread getter([&] {
    for (uint32_t i = 0; i < kWords; ++i) {
      uint32_t word = 0;
      ASSERT_RC(RC_OK, rc_get(far_ch_, &word, sizeof word, kPatience, nullptr));
      ASSERT_EQ(i, word);
    }
  });
  std::thread putter([&] {
    for (uint32_t i = 0; i < kWords; ++i) ASSERT_RC(RC_OK, rc_put(far_ch_, &i, sizeof i, kPatience, nullptr));
  });
  std::thread reader([&] {
    for (uint32_t i = 0; i < kWords; ++i) {
      uint32_t word = 0;
      ASSERT_RC(RC_OK, rc_get(ch_, &word, sizeof word, kPatience, nullptr));
      ASSERT_EQ(i, word);
    }
  });
  for (uint32_t i = 0; i < kWords; ++i) {
    ASSERT_RC(RC_OK, rc_put(ch_, &i, sizeof i, kPatience, nullptr));
    if (i % 100 == 0) write_and_wait(512);
    if (i % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // so that the getter goes to sleep
  }
  getter.join();
  putter.join();
  reader.join();
  expect_served(3);
}

// A thread of the target's polls without ever sleeping, and eats what rings for the progress thread. When it stops,
// nobody but the progress thread is left, which must still be rung.
TEST_P(Progress, TargetThatPollsAndThenStops) {
  for (int round = 0; round < 5 && !HasFatalFailure(); ++round) {
    std::atomic<bool> enough{false};
    std::thread poller([&] {
      uint8_t byte;
      while (!enough) EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(far_ch_, &byte, 1));
    });
    expect_served(30);
    enough = true;
    poller.join();
    expect_served(2);
  }
}

// The target sleeps in poll(2) on its descriptor, and the thread may take its doorbell away.
TEST_P(Progress, TargetsDescriptorStaysTrue) {
  int32_t fd = -1;
  rc_event event;
  uint32_t n = 0;
  ASSERT_RC(RC_OK, rc_fd(far_, &fd));
  for (uint32_t i = 0; i < 300 && !HasFatalFailure(); ++i) {
    if (i % 3 == 0) write_and_wait(64);
    ASSERT_RC(RC_OK, rc_put(ch_, &i, sizeof i, kPatience, nullptr));
    uint32_t word = 0;
    int32_t code = RC_E_WOULD_BLOCK;
    while (code == RC_E_WOULD_BLOCK) {
      pollfd wait = {fd, POLLIN, 0};
      ASSERT_EQ(1, poll(&wait, 1, static_cast<int>(kPatience / 1000000))) << "asleep beside " << i;
      int32_t polled = rc_poll(far_, &event, 1, 0, &n);
      ASSERT_TRUE(polled == RC_OK || polled == RC_E_WOULD_BLOCK) << rc_reason();
      code = rc_try_get(far_ch_, &word, sizeof word);
    }
    ASSERT_RC(RC_OK, code);
    ASSERT_EQ(i, word);
  }
  uint8_t byte;
  // Nothing is left: the descriptor of the channel falls silent.
  bool silent = false;
  for (int tries = 0; tries < 1000 && !silent; ++tries) {
    EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(far_ch_, &byte, 1));
    silent = rc_poll(far_, &event, 1, 0, &n) == RC_E_WOULD_BLOCK;
  }
  EXPECT_TRUE(silent);
}

TEST_P(Progress, DeadAndClosedPeersDoNotKeepItAwake) {
  expect_served(1);
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  uint8_t byte;
  EXPECT_RC(RC_E_CLOSED, rc_get(far_ch_, &byte, 1, kPatience, nullptr));
  rusage before = {}, after = {};
  getrusage(RUSAGE_SELF, &before);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  getrusage(RUSAGE_SELF, &after);
  auto us = [](const rusage& r) {
    return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000L + r.ru_utime.tv_usec + r.ru_stime.tv_usec;
  };
  EXPECT_LT(us(after) - us(before), 150000) << "microseconds of processor time in 300 ms beside a closed channel";
}

TEST_P(Progress, ChannelsComeAndGoMeanwhile) {
  rc_listener listener{0};
  std::string uri = GetParam();
  if (uri == "shm") uri = "shm:come-" + std::to_string(getpid());
  if (uri == "tcp") uri = "tcp://127.0.0.1:0";
  if (uri == "rdma") uri = rdma_uri();
  ASSERT_RC(RC_OK, rc_listen(far_, uri.c_str(), nullptr, &listener));
  char got[160];
  ASSERT_RC(RC_OK, rc_listener_uri(listener, got, sizeof got));
  for (int i = 0; i < 50 && !HasFatalFailure(); ++i) {
    rc_channel one{0}, other{0};
    std::thread connecting([&] { EXPECT_RC(RC_OK, rc_connect(near_, got, nullptr, kPatience, &one)); });
    EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &other));
    connecting.join();
    rc_request request{0};
    EXPECT_RC(RC_OK, rc_write(local_, 0, remote_, 0, 64, &request));
    EXPECT_RC(RC_OK, rc_channel_close(i % 2 == 0 ? one : other));
    EXPECT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_channel_close(i % 2 == 0 ? other : one));
  }
}

INSTANTIATE_TEST_SUITE_P(On, Progress, testing::ValuesIn(kUris), [](const auto& test) { return test.param; });

int threads_of_this_process() {
  int n = 0;
  char line[256];
  FILE* status = fopen("/proc/self/status", "r");
  while (status != nullptr && fgets(line, sizeof line, status) != nullptr) sscanf(line, "Threads: %d", &n);
  if (status != nullptr) fclose(status);
  return n;
}

std::atomic<int> g_handled_by{0};
void note_thread(int) { g_handled_by = gettid(); }

TEST(ProgressThread, IsThereOnlyIfAskedForAndUntilTheContextIsClosed) {
  std::thread([] {}).join();  // a sanitizer's own thread comes with the first one
  int before = 0;
  // One that has been joined may still be seen for a moment.
  auto left = [&] {
    auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kPatience);
    while (threads_of_this_process() != before && std::chrono::steady_clock::now() < end) sched_yield();
    return threads_of_this_process();
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  before = threads_of_this_process();
  rc_ctx without = open_context(false);
  EXPECT_EQ(before, threads_of_this_process());
  rc_ctx with = open_context(true);
  EXPECT_EQ(before + 1, threads_of_this_process());
  EXPECT_RC(RC_OK, rc_close(with));
  EXPECT_EQ(before, left());
  EXPECT_RC(RC_OK, rc_close(without));
}

TEST(ProgressThread, RunsNoSignalHandler) {
  rc_ctx with = open_context(true);
  signal(SIGUSR1, note_thread);
  sigset_t usr1, old;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, &old);  // so nobody is left who could take it
  kill(getpid(), SIGUSR1);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(0, g_handled_by);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  EXPECT_EQ(gettid(), g_handled_by);
  signal(SIGUSR1, SIG_DFL);
  EXPECT_RC(RC_OK, rc_close(with));
}

TEST(ProgressThread, ThatCannotStartIsNamedAndLeavesNothing) {
  rc_config config = {};
  config.size = sizeof config;
  config.progress_thread = 1;
  rc_ctx ctx{7};
  int before = dup(0);
  close(before);
  g_no_threads = true;
  EXPECT_EQ(RC_E_SYSTEM, rc_open(&config, &ctx));
  g_no_threads = false;
  EXPECT_NE(nullptr, strstr(rc_reason(), "progress thread")) << rc_reason();
  EXPECT_NE(nullptr, strstr(rc_reason(), "ulimit -u")) << rc_reason();
  EXPECT_EQ(0u, ctx.id);
  int after = dup(0);
  close(after);
  EXPECT_EQ(before, after) << "descriptors are left open";
  config.progress_thread = 2;
  EXPECT_EQ(RC_E_INVALID, rc_open(&config, &ctx));
  config.progress_thread = 0;
  config.flags = 0x80000000u;
  EXPECT_EQ(RC_E_CONFIG, rc_open(&config, &ctx));
}

}  // namespace
