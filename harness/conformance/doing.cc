#include "harness/conformance/doing.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "capi/rc.h"
#include "harness/conformance/expect.h"

namespace conformance {
namespace {

// 'S' asleep, 'R' running, 0 gone: the letter behind the last parenthesis of the thread's stat file.
char thread_state(pid_t tid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  FILE* f = fopen(path, "re");
  if (f == nullptr) return 0;
  size_t n = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[n] = '\0';
  const char* end = strrchr(text, ')');
  return end != nullptr && end[1] == ' ' ? end[2] : 0;
}

}  // namespace

Doing::Doing(std::function<int32_t()> call) {
  std::promise<Outcome> promise;
  future_ = promise.get_future();
  thread_ = std::thread([this, call = std::move(call), promise = std::move(promise)]() mutable {
    forget_reason();
    tid_.store(static_cast<pid_t>(syscall(SYS_gettid)));
    int32_t code = call();
    promise.set_value({code, code < 0 && !reason_is_stale() ? rc_reason() : ""});
  });
}

Doing::~Doing() {
  if (future_.valid()) outcome();
  if (thread_.joinable()) thread_.join();
}

bool Doing::finished() { return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }

void Doing::wait_until_inside() {
  while (tid_.load() == 0) sched_yield();
  clockid_t clock;
  pthread_getcpuclockid(thread_.native_handle(), &clock);
  timespec start = {}, now = {};
  clock_gettime(clock, &start);
  for (int asleep = 0; asleep < 3 && !finished();) {
    asleep = thread_state(tid_.load()) == 'S' ? asleep + 1 : 0;
    // Nothing between here and the call takes this much processor time: it spins in the call. (Much less would do on a
    // processor of one's own; an emulated one is charged with what it waits for the machine's.)
    if (clock_gettime(clock, &now) != 0) return;
    if ((now.tv_sec - start.tv_sec) * 1000000000L + now.tv_nsec - start.tv_nsec > 20000000) return;
    sched_yield();
  }
}

Outcome Doing::outcome() {
  if (future_.wait_for(std::chrono::nanoseconds(2 * kPatience)) != std::future_status::ready) {
    auto* test = testing::UnitTest::GetInstance()->current_test_info();
    fprintf(stderr, "a call did not return long after its deadline, in %s.%s\n", test->test_suite_name(), test->name());
    abort();
  }
  Outcome outcome = future_.get();
  thread_.join();
  return outcome;
}

testing::AssertionResult ended_with(const char* code_text, const char* doing_text, int32_t code,
                                    const Outcome& outcome) {
  if (outcome.code == code && (code == RC_OK || !outcome.reason.empty())) return testing::AssertionSuccess();
  return testing::AssertionFailure() << doing_text << "\n  returned " << rc_code_name(outcome.code) << " ("
                                     << outcome.code << "), expected " << code_text << "\n  reason: " << outcome.reason;
}

}  // namespace conformance
