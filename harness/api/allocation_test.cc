// After rc_open and connect the data path asks nobody for memory: no malloc, no new, no mmap, no brk. Counted in both
// of two processes over shm, in one over loop, and on attached memory; and shown that the counters count.
#include <errno.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <functional>
#include <random>
#include <string>

#include "rc.h"

namespace {

// In this process, while it counts.
volatile bool g_counting = false;
volatile unsigned g_heap_calls = 0;
volatile unsigned g_memory_system_calls = 0;

}  // namespace

// The heap's door, all of it: operator new comes through here too.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

static void count_heap_call() {
  if (g_counting) g_heap_calls = g_heap_calls + 1;
}
void* malloc(size_t n) {
  count_heap_call();
  return __libc_malloc(n);
}
void* calloc(size_t n, size_t each) {
  count_heap_call();
  return __libc_calloc(n, each);
}
void* realloc(void* p, size_t n) {
  count_heap_call();
  return __libc_realloc(p, n);
}
void* memalign(size_t align, size_t n) {
  count_heap_call();
  return __libc_memalign(align, n);
}
void* aligned_alloc(size_t align, size_t n) {
  count_heap_call();
  return __libc_memalign(align, n);
}
int posix_memalign(void** p, size_t align, size_t n) {
  count_heap_call();
  *p = __libc_memalign(align, n);
  return *p != nullptr ? 0 : ENOMEM;
}
void free(void* p) {
  count_heap_call();
  __libc_free(p);
}
}

namespace {

constexpr int64_t kPatience = INT64_C(20) * 1000 * 1000 * 1000;
constexpr int64_t kShort = 2 * 1000 * 1000;
constexpr size_t kRing = 8192;

void on_trapped_call(int, siginfo_t*, void* context) {
  g_memory_system_calls = g_memory_system_calls + 1;
#if defined(__x86_64__)
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = -ENOMEM;
#elif defined(__aarch64__)
  static_cast<ucontext_t*>(context)->uc_mcontext.regs[0] = static_cast<uint64_t>(-ENOMEM);
#endif
}

// From now on, and for good, this process is not given memory by the kernel, and each try is counted.
bool trap_memory_system_calls() {
  struct sigaction action = {};
  action.sa_sigaction = on_trapped_call;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSYS, &action, nullptr);
  const uint32_t kTrapped[] = {SYS_mmap, SYS_munmap, SYS_mremap, SYS_brk, SYS_mprotect, SYS_madvise, SYS_memfd_create};
  constexpr size_t kCount = sizeof kTrapped / sizeof kTrapped[0];
  sock_filter filter[kCount + 3];
  size_t n = 0;
  filter[n++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  for (size_t i = 0; i < kCount; ++i) {
    filter[n++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kTrapped[i], static_cast<uint8_t>(kCount - i), 0);
  }
  filter[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  filter[n++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
  sock_fprog program = {static_cast<unsigned short>(n), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// What a child tells the test.
struct Count {
  bool trapped;  // the kernel let us trap
  bool counted;  // the section was reached and left
  unsigned heap;
  unsigned system;
  char wrong[300];  // the first call that did not return what it should
};

class Section {
 public:
  explicit Section(Count* count) : count_(count) {
    count_->trapped = trap_memory_system_calls();
    g_heap_calls = g_memory_system_calls = 0;
    g_counting = true;
  }
  ~Section() {
    g_counting = false;
    count_->heap = g_heap_calls;
    count_->system = g_memory_system_calls;
    count_->counted = true;
  }

 private:
  Count* count_;
};

void want(Count* count, int32_t code, int32_t got, const char* call) {
  if (code == got || count->wrong[0] != '\0') return;
  snprintf(count->wrong, sizeof count->wrong, "%s returned %s: %s", call, rc_code_name(got), rc_reason());
}
#define WANT_RC(code, call) want(count, code, call, #call)

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

rc_channel_config channel_config() {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.ring_bytes = kRing;
  return config;
}

// Runs in a process of its own; what it writes into its Count is seen here.
class Children {
 public:
  Children()
      : counts_(static_cast<Count*>(
            mmap(nullptr, 2 * sizeof(Count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~Children() { munmap(counts_, 2 * sizeof(Count)); }
  void run(const std::function<void(Count*)>& body) {
    pid_t child = fork();
    if (child == 0) {
      alarm(50);  // a child that hangs ends
      body(&counts_[started_]);
      _exit(0);
    }
    children_[started_++] = child;
  }
  // Waits for all; the n-th child's count.
  const Count& count(int n) {
    for (pid_t& child : children_) {
      if (child > 0) waitpid(child, nullptr, 0);
      child = 0;
    }
    return counts_[n];
  }

 private:
  Count* counts_;
  pid_t children_[2] = {0, 0};
  int started_ = 0;
};

std::string random_uri(const char* scheme) {
  std::random_device random;
  char text[64];
  snprintf(text, sizeof text, "%s:allocation-%08x%08x", scheme, random(), random());
  return text;
}

void expect_none(const Count& count) {
  EXPECT_STREQ("", count.wrong);
  ASSERT_TRUE(count.counted) << "the child died";
  EXPECT_EQ(0u, count.heap) << "calls of malloc and its family";
  EXPECT_EQ(0u, count.system) << "calls of mmap and its family";
}

#define SKIP_WITHOUT_SECCOMP(count) \
  if ((count).counted && !(count).trapped) GTEST_SKIP() << "this machine does not let a process trap its system calls"

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

// Operations between two processes: nothing is allocated, mapped or registered for one, at either end.
TEST(Allocation, NoneForOperationsOverShm) {
  constexpr int kTimes = 1000;
  std::string uri = random_uri("shm");
  rc_config pools = {};
  pools.size = sizeof pools;
  pools.mr_bytes = 1 << 20;
  Children pair;
  pair.run([&](Count* count) {
    rc_ctx ctx;
    rc_listener listener;
    rc_channel ch;
    rc_mr mr{0};
    rc_grant grant{0};
    WANT_RC(RC_OK, rc_open(&pools, &ctx));
    WANT_RC(RC_OK, rc_listen(ctx, uri.c_str(), nullptr, &listener));
    WANT_RC(RC_OK, rc_accept(listener, kPatience, &ch));
    WANT_RC(RC_OK, rc_mr_alloc(ctx, 65536, 0, &mr));
    WANT_RC(RC_OK, rc_mr_grant(ch, mr, 0, 65536, RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC, 0, &grant));
    Section section(count);
    size_t n = 0;
    WANT_RC(RC_OK, rc_get(ch, g_bytes, 1, kPatience, &n));  // serves until the other end is done
  });
  pair.run([&](Count* count) {
    rc_ctx ctx;
    rc_channel ch;
    rc_mr mr{0};
    rc_remote remote{0};
    WANT_RC(RC_OK, rc_open(&pools, &ctx));
    WANT_RC(RC_OK, rc_connect(ctx, uri.c_str(), nullptr, kPatience, &ch));
    WANT_RC(RC_OK, rc_mr_alloc(ctx, 65536, 0, &mr));
    WANT_RC(RC_OK, rc_remote_get(ch, kPatience, &remote));
    Section section(count);
    const rc_slice slices[2] = {{mr, 0, 1000}, {mr, 5000, 60000}};
    for (int i = 0; i < kTimes; ++i) {
      rc_request all[5];
      WANT_RC(RC_OK, rc_write(mr, 0, remote, 0, 64, &all[0]));
      WANT_RC(RC_OK, rc_read(mr, 0, remote, 0, 64, &all[1]));
      WANT_RC(RC_OK, rc_fetch_add(remote, 0, 1, &all[2]));
      WANT_RC(RC_OK, rc_writev(slices, 2, remote, 0, nullptr, &all[3]));
      WANT_RC(RC_OK, rc_readv(slices, 2, remote, 0, &all[4]));
      for (rc_request request : all) WANT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
    }
    rc_region region = {};
    region.size = sizeof region;
    WANT_RC(RC_OK, rc_mr_info(mr, &region));
    want(count, 0, static_cast<int32_t>(region.requests), "requests that hold the region");
    WANT_RC(RC_OK, rc_put(ch, g_bytes, 1, kPatience, nullptr));
  });
  SKIP_WITHOUT_SECCOMP(pair.count(0));
  expect_none(pair.count(0));
  expect_none(pair.count(1));
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

// Both ends of a channel in one context.
void connect_both(rc_ctx ctx, rc_channel* near, rc_channel* far, Count* count, const char* scheme = "loop") {
  std::string uri = random_uri(scheme);
  rc_listener listener;
  rc_channel_config config = channel_config();
  WANT_RC(RC_OK, rc_listen(ctx, uri.c_str(), &config, &listener));
  pthread_t thread;
  struct Connect {
    rc_ctx ctx;
    const char* uri;
    rc_channel* channel;
  } connect = {ctx, uri.c_str(), far};
  pthread_create(
      &thread, nullptr,
      [](void* argument) -> void* {
        auto* c = static_cast<Connect*>(argument);
        rc_connect(c->ctx, c->uri, nullptr, kPatience, c->channel);
        return nullptr;
      },
      &connect);
  WANT_RC(RC_OK, rc_accept(listener, kPatience, near));
  pthread_join(thread, nullptr);
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

// Nor for memory regions out of the pool, grants and operations.
TEST(Allocation, NoneForOperations) {
  Children one;
  one.run([](Count* count) {
    rc_config config = {};
    config.size = sizeof config;
    config.mr_bytes = 1 << 20;
    config.peer_mr_bytes = 4096;
    rc_ctx ctx;
    rc_channel near{0}, far{0};
    WANT_RC(RC_OK, rc_open(&config, &ctx));
    connect_both(ctx, &near, &far, count);
    Section section(count);
    for (int i = 0; i < 100; ++i) {
      rc_mr local{0}, lent{0};
      rc_grant grant{0};
      rc_remote remote{0};
      rc_request write{0}, read{0}, add{0}, list{0};
      rc_slice slices[2] = {}, rest = {};
      WANT_RC(RC_OK, rc_mr_alloc(ctx, 4096, 0, &local));
      WANT_RC(RC_OK, rc_mr_alloc(ctx, 4096, 0, &lent));
      WANT_RC(RC_OK, rc_mr_grant(far, lent, 0, 4096, RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC, 0, &grant));
      WANT_RC(RC_OK, rc_remote_get(near, 0, &remote));
      WANT_RC(RC_OK, rc_write(local, 0, remote, 0, 4096, &write));
      WANT_RC(RC_OK, rc_read(local, 0, remote, 0, 4096, &read));
      WANT_RC(RC_OK, rc_fetch_add(remote, 8, 1, &add));
      WANT_RC(RC_OK, rc_write(local, 0, remote, 64, 8, nullptr));
      WANT_RC(RC_OK, rc_mr_slice(local, 0, 100, &rest));
      WANT_RC(RC_OK, rc_slice_next(&rest, 33, &slices[0]));
      WANT_RC(RC_OK, rc_slice_next(&rest, 67, &slices[1]));
      WANT_RC(RC_OK, rc_writev(slices, 2, remote, 8, nullptr, &list));
      WANT_RC(RC_OK, rc_readv(slices, 2, remote, 8, nullptr));
      WANT_RC(RC_OK, rc_progress(far));
      WANT_RC(RC_OK, rc_request_wait(list, 0, nullptr));
      WANT_RC(RC_OK, rc_request_wait(add, 0, nullptr));
      WANT_RC(RC_OK, rc_request_wait(read, 0, nullptr));
      WANT_RC(RC_OK, rc_request_wait(write, 0, nullptr));
      WANT_RC(RC_OK, rc_grant_revoke(grant));
      WANT_RC(RC_OK, rc_remote_release(remote));
      WANT_RC(RC_OK, rc_mr_free(lent));
      WANT_RC(RC_OK, rc_mr_free(local));
      WANT_RC(RC_E_WOULD_BLOCK, rc_remote_alloc(near, 4096, RC_MR_READ, 0, 0, &remote));
      WANT_RC(RC_OK, rc_progress(far));
      WANT_RC(RC_OK, rc_progress(near));
      WANT_RC(RC_OK, rc_progress(far));
    }
  });
  SKIP_WITHOUT_SECCOMP(one.count(0));
  expect_none(one.count(0));
}

// Nor for operations on memory that is granted directly, once it is.
TEST(Allocation, NoneForDirectOperations) {
  Children one;
  one.run([](Count* count) {
    rc_config config = {};
    config.size = sizeof config;
    config.mr_bytes = 1 << 20;
    rc_ctx ctx;
    rc_channel near{0}, far{0};
    rc_mr local{0}, lent{0};
    rc_grant grant{0};
    rc_remote remote{0};
    WANT_RC(RC_OK, rc_open(&config, &ctx));
    connect_both(ctx, &near, &far, count, "shm");
    WANT_RC(RC_OK, rc_mr_alloc(ctx, 65536, 0, &local));
    WANT_RC(RC_OK, rc_mr_alloc(ctx, 65536, 0, &lent));
    WANT_RC(RC_OK, rc_mr_grant(far, lent, 0, 65536, RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC | RC_MR_DIRECT,
                               RC_LEASE_NONE, &grant));
    WANT_RC(RC_OK, rc_remote_get(near, 0, &remote));
    Section section(count);
    for (int i = 0; i < 1000; ++i) {
      rc_request write{0}, read{0}, add{0};
      WANT_RC(RC_OK, rc_write(local, 0, remote, 0, 65536, &write));
      WANT_RC(RC_OK, rc_read(local, 0, remote, 0, 65536, &read));
      WANT_RC(RC_OK, rc_fetch_add(remote, 8, 1, &add));
      WANT_RC(RC_OK, rc_compare_swap(remote, 8, 1, 2, nullptr));
      WANT_RC(RC_OK, rc_request_test(add, nullptr));
      WANT_RC(RC_OK, rc_request_test(read, nullptr));
      WANT_RC(RC_OK, rc_request_test(write, nullptr));
    }
  });
  SKIP_WITHOUT_SECCOMP(one.count(0));
  expect_none(one.count(0));
}

}  // namespace
