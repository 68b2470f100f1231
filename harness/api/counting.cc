#include "harness/api/counting.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <random>
#include <thread>

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

namespace counting {
namespace {

void on_trapped_call(int, siginfo_t*, void* context) {
  g_memory_system_calls = g_memory_system_calls + 1;
#if defined(__x86_64__)
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = -ENOMEM;
#elif defined(__aarch64__)
  static_cast<ucontext_t*>(context)->uc_mcontext.regs[0] = static_cast<uint64_t>(-ENOMEM);
#endif
}

// Each try is counted from now on.
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

}  // namespace

Section::Section(Count* count) : count_(count) {
  count_->trapped = trap_memory_system_calls();
  g_heap_calls = g_memory_system_calls = 0;
  g_counting = true;
}

Section::~Section() {
  g_counting = false;
  count_->heap = g_heap_calls;
  count_->system = g_memory_system_calls;
  count_->counted = true;
}

void want(Count* count, int32_t code, int32_t got, const char* call) {
  if (code == got || count->wrong[0] != '\0') return;
  snprintf(count->wrong, sizeof count->wrong, "%s returned %s: %s", call, rc_code_name(got), rc_reason());
}
Children::Children()
    : counts_(static_cast<Count*>(
          mmap(nullptr, 2 * sizeof(Count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}

Children::~Children() { munmap(counts_, 2 * sizeof(Count)); }

void Children::run(const std::function<void(Count*)>& body) {
  pid_t child = fork();
  if (child == 0) {
    alarm(50);  // a child that hangs ends
    body(&counts_[started_]);
    _exit(0);
  }
  children_[started_++] = child;
}

const Count& Children::count(int n) {
  for (pid_t& child : children_) {
    if (child > 0) waitpid(child, nullptr, 0);
    child = 0;
  }
  return counts_[n];
}

std::string random_uri(const char* scheme) {
  std::random_device random;
  char text[64];
  snprintf(text, sizeof text, "%s:allocation-%08x%08x", scheme, random(), random());
  return text;
}

rc_channel_config channel_config() {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.ring_bytes = kRing;
  return config;
}

void connect_both(rc_ctx ctx, rc_channel* near, rc_channel* far, Count* count, const char* scheme) {
  std::string uri = random_uri(scheme);
  rc_listener listener;
  rc_channel_config config = channel_config();
  WANT_RC(RC_OK, rc_listen(ctx, uri.c_str(), &config, &listener));
  std::thread connecting([&] { rc_connect(ctx, uri.c_str(), nullptr, kPatience, far); });
  WANT_RC(RC_OK, rc_accept(listener, kPatience, near));
  connecting.join();
}

void expect_none(const Count& count) {
  EXPECT_STREQ("", count.wrong);
  ASSERT_TRUE(count.counted) << "the child died";
  EXPECT_EQ(0u, count.heap) << "calls of malloc and its family";
  EXPECT_EQ(0u, count.system) << "calls of mmap and its family";
}

}  // namespace counting
