#include "harness/kill/plan.h"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

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

void pass(const char* prefix, const char* call) {
  char name[sizeof StepCounts::One::name];
  snprintf(name, sizeof name, "%s %s", prefix, call);
  rc_step(name);
}

int before(const char* call) {
  pass("before", call);
  return 0;
}

void after(const char* call) { pass("after", call); }

constexpr failpoint::Hooks kHooks = {before, after};

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

void die_by(const Plan& plan, StepCounts* counts, std::atomic<int64_t>* kill_ns, std::atomic<bool>* told) {
  g_plan = plan;
  g_counts = counts;
  g_kill_ns = kill_ns;
  g_told = told;
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
  if (strcmp(name, "close: told") == 0) g_told->store(true);
  if (g_plan.how != Plan::kLives && g_plan.how != Plan::kAtStep) return;
  uint32_t passed = count(name);
  if (g_plan.how == Plan::kAtStep && passed == g_plan.occurrence && g_plan.where == name) die();
}
