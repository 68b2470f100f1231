#include "harness/kill/plan.h"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "core/deadline.h"
#include "harness/failpoint/wrap.h"

// In builds with RC_STEPS the library calls this at every numbered step of the protocol.
extern "C" void rc_step(const char* name);

namespace killing {
namespace {

Plan g_plan;
StepCounts* g_counts = nullptr;  // null: this process is no victim
std::atomic<int64_t>* g_kill_ns = nullptr;
std::atomic<bool>* g_told = nullptr;
uint32_t g_traced_calls = 0;
bool g_tcp = false;
bool g_dies_after_send = false;

uint32_t count(const char* name) {
  for (uint32_t i = 0; i < g_counts->used; ++i) {
    if (strcmp(g_counts->steps[i].name, name) == 0) return ++g_counts->steps[i].count;
  }
  if (g_counts->used == StepCounts::kMost) abort();  // kMost is too small
  StepCounts::One& one = g_counts->steps[g_counts->used++];
  strncpy(one.name, name, sizeof one.name - 1);
  return one.count = 1;
}

[[noreturn]] void die() {
  g_kill_ns->store(rc::now_ns());
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// Counts it as passed.
bool dies_here(const char* name) {
  uint32_t passed = count(name);
  return g_plan.how == Plan::kAtStep && passed == g_plan.occurrence && g_plan.where == name;
}

void pass(const char* prefix, const char* call) {
  char name[sizeof StepCounts::One::name];
  snprintf(name, sizeof name, "%s %s", prefix, call);
  rc_step(name);
}

int before(const char* call) {
  pass("before", call);
  return 0;
}

void after(const char* call) {
  if (g_dies_after_send) die();
  pass("after", call);
}

// The first n bytes of it, for the only send that needs them.
const msghdr* beginning(const msghdr* message, size_t n) {
  static iovec pieces[64];
  static msghdr part;
  part = *message;
  part.msg_iov = pieces;
  for (part.msg_iovlen = 0; n != 0; ++part.msg_iovlen) {
    pieces[part.msg_iovlen] = message->msg_iov[part.msg_iovlen];
    pieces[part.msg_iovlen].iov_len = std::min(n, pieces[part.msg_iovlen].iov_len);
    n -= pieces[part.msg_iovlen].iov_len;
  }
  return &part;
}

// A stream may be torn anywhere: amid a frame, between the bytes and the tail that publishes them, and within the tail.
const msghdr* sends(const msghdr* message) {
  constexpr size_t kTailBytes = 16 + 8;  // the frame of a word
  size_t all = 0;
  for (size_t i = 0; i < message->msg_iovlen; ++i) all += message->msg_iov[i].iov_len;
  const struct {
    const char* name;
    size_t bytes;
  } cuts[] = {{"sent: half", all / 2}, {"sent: not the tail", all - kTailBytes}, {"sent: all but a byte", all - 1}};
  for (auto& cut : cuts) {
    if (!g_tcp || cut.bytes == 0 || cut.bytes >= all) continue;
    g_dies_after_send = dies_here(cut.name);
    if (g_dies_after_send) return beginning(message, cut.bytes);
  }
  return message;
}

constexpr failpoint::Hooks kHooks = {before, after, nullptr, sends};

}  // namespace

std::string Plan::text() const {
  switch (how) {
    case kLives:
      return "lives";
    case kAtStep:
      return fmt::format("dies at \"{}\" number {}", where, occurrence);
    case kFromStart:
      return fmt::format("is killed {} us after its start", delay_ns / 1000);
    case kFromConnected:
      return fmt::format("is killed when it has had a channel for {} us", delay_ns / 1000);
    case kAtInstruction:
      return fmt::format("dies after instruction {} of {} number {}", instruction, where, occurrence);
  }
  return "";
}

void die_by(const Plan& plan, StepCounts* counts, std::atomic<int64_t>* kill_ns, std::atomic<bool>* told, bool tcp) {
  g_plan = plan;
  g_counts = counts;
  g_kill_ns = kill_ns;
  g_told = told;
  g_tcp = tcp;
  if (plan.how == Plan::kLives || plan.how == Plan::kAtStep) failpoint::watch_this_thread(&kHooks);
}

Traced::Traced(const char* function)
    : stepped_(g_counts != nullptr && g_plan.how == Plan::kAtInstruction && g_plan.where == function &&
               ++g_traced_calls == g_plan.occurrence) {
  if (!stepped_) return;
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(kNotTraceable);
  raise(SIGSTOP);  // the supervisor comes in and goes on step by step
}

Traced::~Traced() {
  if (stepped_) raise(SIGSTOP);  // the call is over
}

}  // namespace killing

extern "C" void rc_step(const char* name) {
  using namespace killing;
  if (g_counts == nullptr) return;
  // What tcp was told it may still have to send.
  if (strcmp(name, g_tcp ? "close: lingered" : "close: told") == 0) g_told->store(true);
  if (g_plan.how != Plan::kLives && g_plan.how != Plan::kAtStep) return;
  if (dies_here(name)) die();
}
