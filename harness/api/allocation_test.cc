// After rc_open and connect the data path asks nobody for memory: no malloc, no new, no mmap, no brk. Counted in both
// of two processes over shm, in one over loop, and on attached memory; and shown that the counters count.
#include <gtest/gtest.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "harness/api/counting.h"
#include "rc.h"

namespace counting {
namespace {

constexpr int64_t kShort = 2 * 1000 * 1000;

uint8_t g_bytes[4 * kRing];

// Every function of the data path, with an answering side; blocking both ways, and failing both ways.
void ask(rc_channel ch, Count* count) {
  rc_const_span out[2] = {{g_bytes, 10}, {g_bytes, 90}};
  rc_span in[2] = {{g_bytes, 10}, {g_bytes + 10, 90}};
  rc_span room[2];
  rc_const_span view[2];
  size_t n = 0, m = 0;
  uint32_t imm = 1, has = 0;
  for (int i = 0; i < 100; ++i) {
    WANT_RC(RC_OK, rc_put(ch, g_bytes, 100, kPatience, &n));
    WANT_RC(RC_OK, rc_get(ch, g_bytes, 100, kPatience, &n));
    WANT_RC(RC_OK, rc_putv(ch, out, 2, kPatience, &n));
    WANT_RC(RC_OK, rc_getv(ch, in, 2, kPatience, &n));
    WANT_RC(RC_OK, rc_try_put(ch, g_bytes, 100));
    WANT_RC(RC_OK, rc_get_some(ch, g_bytes, 1, kPatience, &n));
    WANT_RC(RC_OK, rc_get(ch, g_bytes, 99, kPatience, &n));
    WANT_RC(RC_E_WOULD_BLOCK, rc_try_get(ch, g_bytes, 1));
    WANT_RC(RC_OK, rc_put_more(ch, g_bytes, 40, kPatience, &n));
    WANT_RC(RC_OK, rc_put_some(ch, g_bytes, 60, &n));
    WANT_RC(RC_OK, rc_flush(ch));
    WANT_RC(RC_OK, rc_sync(ch, kPatience));
    WANT_RC(RC_OK, rc_peek(ch, 100, kPatience, view));
    WANT_RC(RC_OK, rc_release(ch, 100));
    WANT_RC(RC_OK, rc_reserve(ch, 100, kPatience, room));
    WANT_RC(RC_OK, rc_commit(ch, 100));
    WANT_RC(RC_OK, rc_get(ch, g_bytes, 100, kPatience, &n));
    WANT_RC(RC_OK, rc_ready(ch, &n, &m));
    WANT_RC(RC_OK, rc_progress(ch));
  }
  WANT_RC(RC_E_TIMEOUT, rc_get(ch, g_bytes, 1, kShort, &n));  // sleeps
  WANT_RC(RC_E_INVALID, rc_put(ch, nullptr, 1, kShort, &n));  // writes a reason
  WANT_RC(RC_E_HANDLE, rc_put(rc_channel{1}, g_bytes, 1, kShort, &n));
  WANT_RC(RC_OK, rc_put(ch, g_bytes, sizeof g_bytes, kPatience, &n));
  WANT_RC(RC_OK, rc_get(ch, g_bytes, sizeof g_bytes, kPatience, &n));
  WANT_RC(RC_OK, rc_send(ch, g_bytes, sizeof g_bytes, &imm, kPatience, &n));
  WANT_RC(RC_OK, rc_recv(ch, g_bytes, sizeof g_bytes, &n, &imm, &has, kPatience));
  rc_info info = {};
  rc_counters counters = {};
  info.size = sizeof info;
  counters.size = sizeof counters;
  WANT_RC(RC_OK, rc_channel_info(ch, &info));
  WANT_RC(RC_OK, rc_channel_counters(ch, &counters));
}

void answer(rc_channel ch, Count* count) {
  size_t n = 0;
  uint32_t imm = 0, has = 0;
  for (int i = 0; i < 500; ++i) {
    WANT_RC(RC_OK, rc_get(ch, g_bytes, 100, kPatience, &n));
    WANT_RC(RC_OK, rc_put(ch, g_bytes, 100, kPatience, &n));
  }
  WANT_RC(RC_OK, rc_get(ch, g_bytes, sizeof g_bytes, kPatience, &n));
  WANT_RC(RC_OK, rc_put(ch, g_bytes, sizeof g_bytes, kPatience, &n));
  WANT_RC(RC_OK, rc_recv(ch, g_bytes, sizeof g_bytes, &n, &imm, &has, kPatience));
  WANT_RC(RC_OK, rc_send(ch, g_bytes, sizeof g_bytes, &imm, kPatience, &n));
}

TEST(Allocation, CountersCount) {
  Children children;
  children.run([](Count* count) {
    Section section(count);
    void* volatile p = malloc(10);
    p = realloc(p, 20);
    free(p);
    delete new int volatile(1);
    if (mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) _exit(1);
    syscall(SYS_brk, 0);
    munmap(nullptr, 4096);
  });
  const Count& count = children.count(0);
  SKIP_WITHOUT_SECCOMP(count);
  ASSERT_TRUE(count.counted);
  EXPECT_EQ(5u, count.heap);
  EXPECT_EQ(3u, count.system);
}

TEST(Allocation, NoneOnTheDataPathOfShm) {
  std::string uri = random_uri("shm");
  for (uint32_t wait : {RC_WAIT_ADAPTIVE, RC_WAIT_SLEEP}) {
    SCOPED_TRACE(wait);
    Children pair;
    pair.run([&](Count* count) {
      rc_ctx ctx;
      rc_listener listener;
      rc_channel ch;
      rc_channel_config config = channel_config();
      config.wait = wait;
      WANT_RC(RC_OK, rc_open(nullptr, &ctx));
      WANT_RC(RC_OK, rc_listen(ctx, uri.c_str(), &config, &listener));
      WANT_RC(RC_OK, rc_accept(listener, kPatience, &ch));
      Section section(count);
      answer(ch, count);
    });
    pair.run([&](Count* count) {
      rc_ctx ctx;
      rc_channel ch;
      rc_channel_config config = channel_config();
      config.wait = wait;
      WANT_RC(RC_OK, rc_open(nullptr, &ctx));
      WANT_RC(RC_OK, rc_connect(ctx, uri.c_str(), &config, kPatience, &ch));
      Section section(count);
      ask(ch, count);
    });
    SKIP_WITHOUT_SECCOMP(pair.count(0));
    expect_none(pair.count(0));
    expect_none(pair.count(1));
  }
}

// Attached memory, mapped before; each side in its own process.
TEST(Allocation, NoneOnTheDataPathOfAttachedMemory) {
  size_t bytes = 2 * kRing;
  auto* memory =
      static_cast<uint8_t*>(mmap(nullptr, 2 * bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  auto attach = [&](Count* count, int end) {
    rc_ctx ctx;
    rc_channel ch{0};
    rc_attach_config config = {};
    config.size = sizeof config;
    config.tx = memory + (end == 0 ? 0 : bytes);
    config.rx = memory + (end == 0 ? bytes : 0);
    config.bytes = bytes;
    WANT_RC(RC_OK, rc_open(nullptr, &ctx));
    WANT_RC(RC_OK, rc_attach(ctx, &config, &ch));
    return ch;
  };
  Children pair;
  pair.run([&](Count* count) {
    rc_channel ch = attach(count, 0);
    Section section(count);
    answer(ch, count);
  });
  pair.run([&](Count* count) {
    rc_channel ch = attach(count, 1);
    Section section(count);
    ask(ch, count);
  });
  SKIP_WITHOUT_SECCOMP(pair.count(0));
  expect_none(pair.count(0));
  expect_none(pair.count(1));
  munmap(memory, 2 * bytes);
}

// Both ends in one thread, so that nothing but the library is counted.
TEST(Allocation, NoneOnTheDataPathOfLoop) {
  Children one;
  one.run([](Count* count) {
    rc_ctx ctx;
    rc_channel near{0}, far{0};
    WANT_RC(RC_OK, rc_open(nullptr, &ctx));
    connect_both(ctx, &near, &far, count);
    Section section(count);
    size_t n = 0;
    for (int i = 0; i < 200; ++i) {
      WANT_RC(RC_OK, rc_put(near, g_bytes, 1000, 0, &n));
      WANT_RC(RC_OK, rc_get(far, g_bytes, 1000, 0, &n));
      WANT_RC(RC_OK, rc_send(far, g_bytes, 500, nullptr, 0, &n));
      WANT_RC(RC_OK, rc_recv(near, g_bytes, 500, &n, nullptr, nullptr, 0));
    }
    WANT_RC(RC_E_TIMEOUT, rc_get(near, g_bytes, 1, kShort, &n));
  });
  SKIP_WITHOUT_SECCOMP(one.count(0));
  expect_none(one.count(0));
}

}  // namespace
}  // namespace counting
