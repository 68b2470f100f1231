#include "harness/conformance/far.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <utility>
#include <vector>

#include "harness/conformance/actor.h"

namespace conformance {
namespace {

constexpr const char* kFarEnd = "--far-end";
constexpr int kControl = 3;  // the descriptor over which a far process is told what to do

// A far end that does not answer within twice the patience hangs in the library: there is no way on.
constexpr int kHungMs = static_cast<int>(2 * kPatience / 1000000);

[[noreturn]] void hung(const char* what) {
  auto* test = testing::UnitTest::GetInstance()->current_test_info();
  fprintf(stderr, "%s did not return long after its deadline, in %s.%s\n", what,
          test != nullptr ? test->test_suite_name() : "?", test != nullptr ? test->name() : "?");
  abort();
}

class FarHere : public Far {
 public:
  ~FarHere() override {
    if (pending_.valid()) finish();
  }
  Reply call(const Call& call) override {
    // A call that was started makes progress by itself; a second one in its direction would only be in its way.
    bool busy = pending_.valid() && pending_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
    if (busy && (call.op == Op::kProgress || call.op == Op::kSync)) return Reply{};
    return actor_.act(call);
  }
  void start(const Call& call) override {
    pending_ = std::async(std::launch::async, [this, call] { return actor_.act(call); });
  }
  Reply finish() override {
    if (pending_.wait_for(std::chrono::milliseconds(kHungMs)) != std::future_status::ready) hung("the far end");
    return pending_.get();
  }
  bool pending() const override { return pending_.valid(); }
  pid_t pid() const override { return getpid(); }
  void share(rc_ctx ctx) override { actor_.share(ctx); }
  void kill() override { abort(); }

 private:
  Actor actor_;
  std::future<Reply> pending_;
};

// A process that runs this program as a far end.
class FarProcess {
 public:
  FarProcess() {
    int control[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0) abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, control[1], kControl);
    char program[] = "/proc/self/exe";
    std::string flag = kFarEnd;
    char* argv[] = {program, flag.data(), nullptr};
    if (posix_spawn(&pid_, program, &actions, nullptr, argv, environ) != 0) abort();
    posix_spawn_file_actions_destroy(&actions);
    close(control[1]);
    control_ = control[0];
  }
  FarProcess(const FarProcess&) = delete;
  FarProcess& operator=(const FarProcess&) = delete;
  ~FarProcess() {
    close(control_);  // it exits when it sees this
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
  }

  void tell(const Call& call) {
    if (::send(control_, &call, sizeof call, MSG_NOSIGNAL) != sizeof call) abort();
  }
  bool has_answered() {
    pollfd now = {control_, POLLIN, 0};
    return poll(&now, 1, 0) == 1;
  }
  Reply hear() {
    pollfd wait = {control_, POLLIN, 0};
    if (poll(&wait, 1, kHungMs) != 1) hung("the far process");
    Reply reply;
    if (::recv(control_, &reply, sizeof reply, 0) != sizeof reply) {
      fprintf(stderr, "the far process is gone\n");
      reap();
      reply.code = INT32_MIN;
    }
    return reply;
  }
  void kill() {
    ::kill(pid_, SIGKILL);
    reap();
  }
  void reap() {
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  bool lives() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int control_ = -1;
};

// Far processes that no test uses at the moment.
std::vector<std::unique_ptr<FarProcess>>& idle_processes() {
  static std::vector<std::unique_ptr<FarProcess>> idle;
  return idle;
}

class FarElsewhere : public Far {
 public:
  FarElsewhere() {
    auto& idle = idle_processes();
    if (idle.empty()) idle.push_back(std::make_unique<FarProcess>());
    process_ = std::move(idle.back());
    idle.pop_back();
  }
  ~FarElsewhere() override {
    if (started_) finish();
    if (!process_->lives()) return;
    call(Call{Op::kClose});
    if (process_->lives()) idle_processes().push_back(std::move(process_));
  }
  Reply call(const Call& call) override {
    if (started_ && (call.op == Op::kProgress || call.op == Op::kSync)) {  // as in FarHere
      if (!heard_ && !process_->has_answered()) return Reply{};
      if (!heard_) early_ = process_->hear();
      heard_ = true;
      process_->tell(call);
      return process_->hear();
    }
    start(call);
    return finish();
  }
  void start(const Call& call) override {
    if (!process_->lives()) {
      ADD_FAILURE() << "the far process is dead";
      return;
    }
    process_->tell(call);
    started_ = true;
    exits_ = call.op == Op::kExit;
  }
  Reply finish() override {
    if (!started_) return Reply{INT32_MIN};
    started_ = false;
    if (std::exchange(heard_, false)) return early_;
    if (!exits_) return process_->hear();
    process_->reap();
    return Reply{};
  }
  bool pending() const override { return started_; }
  bool lives() const override { return process_->lives(); }
  pid_t pid() const override { return process_->pid(); }
  void share(rc_ctx) override { abort(); }
  void kill() override {
    started_ = heard_ = false;
    process_->kill();
  }

 private:
  std::unique_ptr<FarProcess> process_;
  bool started_ = false;
  bool heard_ = false;  // the answer to what was started
  Reply early_;
  bool exits_ = false;
};

}  // namespace

std::unique_ptr<Far> make_far(bool other_process) {
  if (other_process) return std::make_unique<FarElsewhere>();
  return std::make_unique<FarHere>();
}

void serve_if_far_end(int argc, char** argv) {
  if (argc != 2 || strcmp(argv[1], kFarEnd) != 0) return;
  fcntl(kControl, F_SETFD, FD_CLOEXEC);
  Actor actor;
  Call call;
  while (::recv(kControl, &call, sizeof call, 0) == sizeof call) {
    Reply reply = actor.act(call);
    if (::send(kControl, &reply, sizeof reply, MSG_NOSIGNAL) != sizeof reply) break;
  }
  actor.act(Call{Op::kClose});
  exit(0);
}

testing::AssertionResult replied(const char* code_text, const char* done_text, const char* reply_text, int32_t code,
                                 uint64_t done, const Reply& reply) {
  if (reply.code == code && reply.done == done && reply.wrong == reply.done) {
    if (code == RC_OK || reply.reason[0] != '\0') return testing::AssertionSuccess();
    return testing::AssertionFailure() << reply_text << ": " << code_text << " without a reason";
  }
  auto failure = testing::AssertionFailure()
                 << reply_text << "\n  returned " << rc_code_name(reply.code) << " (" << reply.code << ") after "
                 << reply.done << " bytes, expected " << code_text << " after " << done_text << " = " << done;
  if (reply.wrong != reply.done) failure << "\n  byte " << reply.wrong << " of them is wrong";
  if (reply.code < 0) failure << "\n  reason: " << reply.reason;
  return failure;
}

}  // namespace conformance
