#include "harness/kill/killer.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "core/deadline.h"
#include "harness/soak/stamp.h"

namespace killing {
namespace {

constexpr uint32_t kEndless = UINT32_MAX;

bool readable(int fd, int64_t wait_ns) {
  pollfd p = {fd, POLLIN, 0};
  int64_t until = rc::now_ns() + wait_ns;
  for (;;) {
    int64_t left = std::max<int64_t>(0, until - rc::now_ns());
    timespec t = {left / 1000000000, left % 1000000000};
    int n = ppoll(&p, 1, &t, nullptr);
    if (n >= 0 || errno != EINTR) return n > 0;
  }
}

void sleep_ns(int64_t ns) {
  timespec t = {ns / 1000000000, ns % 1000000000};
  nanosleep(&t, nullptr);
}

// Keeps this process, and what it starts, on one processor: a step is then a switch between two processes there, and
// not the wake-up of another processor, which takes ten times as long.
class OnOneProcessor {
 public:
  OnOneProcessor() {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  ~OnOneProcessor() { sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

}  // namespace

std::string Outcome::text() const {
  return fmt::format("{}, {}, victim {}, run {}, {}: {}", setup.uri, script_name(setup.script),
                     setup.victim_serves ? "serves" : "connects", run, plan.text(), problem);
}

Killer::Killer(const Setup& setup, uint32_t rounds) : setup_(setup), rounds_(rounds) {
  void* at = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int ends[2];
  if (at == MAP_FAILED || pipe2(ends, O_CLOEXEC) != 0) abort();
  board_ = new (at) Board{};
  messages_ = ends[0];
  if (setup.uri.rfind("shm:/", 0) == 0) path_ = setup.uri.substr(strlen("shm:"));
  survivor_ = fork();
  if (survivor_ == 0) {
    close(ends[0]);
    be_survivor(setup_, board_, ends[1]);
  }
  close(ends[1]);
}

Killer::~Killer() {
  for (pid_t pid : {victim_, survivor_}) {
    if (pid > 0) kill(pid, SIGKILL), waitpid(pid, nullptr, 0);
  }
  if (victim_pidfd_ >= 0) close(victim_pidfd_);
  close(messages_);
  if (!path_.empty()) unlink(path_.c_str());  // there is none, unless the series broke off
  munmap(board_, sizeof(Board));
}

std::map<std::string, uint32_t> Killer::steps() const {
  std::map<std::string, uint32_t> counts;
  for (uint32_t i = 0; i < board_->victim.steps.used; ++i) {
    counts[board_->victim.steps.steps[i].name] = board_->victim.steps.steps[i].count;
  }
  return counts;
}

// Something that is no single victim's outcome.
void Killer::fail(const std::string& what) {
  Outcome o;
  o.setup = setup_;
  o.run = last_run_;
  if (!pending_.empty()) o.plan = pending_.back().outcome.plan;
  o.problem = what;
  outcomes_.push_back(o);
  broken_ = true;
}

// ------------------------------------------------------------------------------------------------------------- a
// victim

void Killer::start(const Plan& plan, uint32_t rounds) {
  memset(static_cast<void*>(&board_->victim), 0, sizeof board_->victim);
  Pending p;
  p.outcome.setup = setup_;
  p.outcome.plan = plan;
  p.outcome.run = ++last_run_;
  pending_.push_back(p);
  victim_ = fork();
  if (victim_ == 0) {
    close(messages_);
    be_victim(setup_, plan, last_run_, rounds, &board_->victim);
  }
  victim_pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, victim_, 0));
  if (victim_pidfd_ < 0) abort();
}

// Takes what the victim left behind.
void Killer::await_death() {
  bool gone = readable(victim_pidfd_, kPatienceNs + kPatienceNs / 2);
  Pending& p = pending_.back();
  p.dead_ns = rc::now_ns();
  if (!gone) {
    fail("the victim hangs");
    kill(victim_, SIGKILL);
  }
  int status;
  if (waitpid(victim_, &status, 0) == victim_) p.status = status;  // else step_through has seen it end
  close(victim_pidfd_);
  victim_ = victim_pidfd_ = -1;
  const Victim& v = board_->victim;
  if (p.kill_ns == 0) p.kill_ns = v.kill_ns;
  p.stage = v.stage;
  p.told = v.told;
  p.put_tried = v.progress.put_tried;
  p.put_done = v.progress.put_done;
  p.got = v.progress.got;
  p.problem = v.problem;
  p.outcome.died = WIFSIGNALED(p.status) && WTERMSIG(p.status) == SIGKILL;
  bool ended_well = WIFEXITED(p.status) && (WEXITSTATUS(p.status) == 0 || WEXITSTATUS(p.status) == kNotTraceable);
  if (!p.outcome.died && !ended_well && p.problem.empty()) {
    p.problem = fmt::format("the victim ended with status {:#x}", p.status);
  }
}

void Killer::await_channel() {
  int64_t until = rc::now_ns() + kPatienceNs;
  while (board_->victim.stage < Victim::kConnected && rc::now_ns() < until && !readable(victim_pidfd_, 50 * 1000)) {
  }
}

void Killer::run(const Plan& plan) {
  if (broken_) return;
  std::optional<OnOneProcessor> one;
  if (plan.how == Plan::kAtInstruction) one.emplace();
  bool from_outside = plan.how == Plan::kFromStart || plan.how == Plan::kFromConnected;
  start(plan, from_outside ? kEndless : rounds_);
  if (plan.how == Plan::kFromConnected) await_channel();
  if (from_outside && !readable(victim_pidfd_, plan.delay_ns)) {
    pending_.back().kill_ns = rc::now_ns();
    kill(victim_, SIGKILL);
  }
  if (plan.how == Plan::kAtInstruction) step_through(plan);
  await_death();
  settle(false);
}

// The victim stops itself where the call begins and where it ends.
void Killer::step_through(const Plan& plan) {
  stepped_ = 0;
  int status = 0;
  bool stopped = waitpid(victim_, &status, WUNTRACED) == victim_ && WIFSTOPPED(status);
  while (stopped && stepped_ < plan.instruction) {
    if (ptrace(PTRACE_SINGLESTEP, victim_, nullptr, nullptr) != 0) break;
    stopped = waitpid(victim_, &status, 0) == victim_ && WIFSTOPPED(status);
    if (stopped && WSTOPSIG(status) == SIGSTOP) {  // the call is over before
      ptrace(PTRACE_DETACH, victim_, nullptr, nullptr);
      return;
    }
    ++stepped_;
  }
  if (!stopped) {  // it never got there, or may not be traced
    pending_.back().status = status;
    traceable_ = !(WIFEXITED(status) && WEXITSTATUS(status) == kNotTraceable);
    return;
  }
  pending_.back().kill_ns = rc::now_ns();
  kill(victim_, SIGKILL);
}

// -------------------------------------------------------------------------------------------------------------
// verdicts

bool Killer::receive(int64_t wait_ns) {
  if (!readable(messages_, wait_ns)) return false;
  Message m;
  if (read(messages_, &m, sizeof m) != static_cast<ssize_t>(sizeof m)) {
    if (!finished_) fail("the survivor died");
    return false;
  }
  take(m);
  return true;
}

// Victims before `run` that the survivor never met will not be met any more.
void Killer::take(const Message& m) {
  if (m.kind == Message::kTrouble) return fail(m.text);
  if (m.kind == Message::kNotOpened) return;  // RC_E_PEER_DEAD: the survivor tries again
  if (m.kind == Message::kFinished) {
    finished_ = true;
    return;
  }
  while (!pending_.empty() && pending_.front().outcome.run < m.run) {
    judge_never_connected(pending_.front());
    pending_.pop_front();
  }
  if (pending_.empty() || pending_.front().outcome.run != m.run)
    return fail("the survivor met a victim that is not there");
  Pending& p = pending_.front();
  p.outcome.connected = true;
  if (m.kind != Message::kEnded) return;
  if (p.dead_ns == 0) {
    p.outcome.problem =
        fmt::format("{} while the victim lives: {}", m.code > 0 ? "wrong content" : rc_code_name(m.code), m.text);
    kill(victim_, SIGKILL);
    await_death();
  } else {
    judge(p, m);
  }
  // One problem is enough: a survivor that notices nothing would wait out its deadline with every victim.
  if (!p.outcome.problem.empty()) broken_ = true;
  outcomes_.push_back(p.outcome);
  pending_.pop_front();
}

// Waits for the verdict on each dead victim that the survivor has met; `all`: on the last one in any case.
void Killer::settle(bool all) {
  while (!broken_ && receive(0)) {
  }
  while (!broken_ && !pending_.empty() && (all || pending_.front().outcome.connected)) {
    if (!receive(kPatienceNs) && !broken_) fail("the survivor hangs");
  }
}

void Killer::judge(Pending& p, const Message& m) {
  Outcome& o = p.outcome;
  o.code = m.code;
  int64_t death = std::max(p.dead_ns, m.call_ns), kill = std::max(p.kill_ns, m.call_ns);
  o.from_death_ns = std::max<int64_t>(0, m.return_ns - death);
  o.from_kill_ns = std::max<int64_t>(0, m.return_ns - kill);
  o.late = o.died && o.from_death_ns > (setup_.tcp() ? kTcpNoticeNs : kNoticeNs);
  bool may_be_closed = p.stage >= Victim::kClosing, must_be_closed = p.told || p.stage >= Victim::kGone;
  bool right_code = (m.code == RC_E_CLOSED && may_be_closed) || (m.code == RC_E_PEER_DEAD && !must_be_closed);
  // Over shm what was put lies in the survivor's memory. With a sender on tcp dies what the survivor's machine does not
  // have yet: a beginning remains, and all of it if the victim could close.
  uint64_t least = setup_.tcp() && m.code != RC_E_CLOSED ? 0 : p.put_done;
  std::string& problem = o.problem;
  if (!p.problem.empty()) {
    problem = p.problem;
  } else if (!right_code) {
    problem = fmt::format("the survivor got {} from a victim that {}: {}",
                          m.code > 0 ? "wrong content" : rc_code_name(m.code),
                          must_be_closed  ? "had said that it closes"
                          : may_be_closed ? "was closing"
                                          : "was at work",
                          m.text);
  } else if (m.got < least || m.got > p.put_tried) {
    problem = fmt::format("the survivor got {}; the victim had put {}, and tried {}", m.got, p.put_done, p.put_tried);
  } else if (p.got > m.put_tried) {
    problem = fmt::format("the victim got {} of {}", p.got, m.put_tried);
  }
}

void Killer::judge_never_connected(Pending& p) {
  Outcome& o = p.outcome;
  o.problem = p.problem;
  if (o.problem.empty() && p.stage >= Victim::kConnected) o.problem = "the victim had a channel, the survivor had none";
  outcomes_.push_back(o);
}

std::vector<Outcome> Killer::finish() {
  if (!broken_) {
    board_->last_run = last_run_ + 1;
    run(Plan{});
    settle(true);
    if (!broken_ && !finished_ && !receive(kPatienceNs) && !broken_) fail("the survivor does not finish");
    if (!broken_ && !path_.empty() && access(path_.c_str(), F_OK) == 0) fail(path_ + " was left behind");
  }
  for (Pending& p : pending_) {
    p.outcome.problem = "no verdict: the series broke off";
    outcomes_.push_back(p.outcome);
  }
  pending_.clear();
  return std::move(outcomes_);
}

// ------------------------------------------------------------------------------------------------------------- stopped

bool Killer::wait_progress(const Progress& of, std::atomic<uint64_t> Progress::*counter, uint64_t from) {
  int64_t until = rc::now_ns() + kPatienceNs;
  while ((of.*counter).load() <= from) {
    if (receive(0) || broken_ || rc::now_ns() > until || readable(victim_pidfd_, 0)) return false;
    sleep_ns(1000 * 1000);
  }
  return true;
}

void Killer::run_stopped(uint32_t count, uint64_t seed) {
  if (broken_) return;
  soak::Choices choices(seed);
  Plan plan;
  plan.how = Plan::kFromConnected;
  start(plan, kEndless);
  if (receive(kPatienceNs)) {  // it has met the survivor
    for (uint32_t i = 0; i < count && !broken_ && !pending_.empty(); ++i) {
      bool victim = i % 2 == 0;
      pid_t pid = victim ? victim_ : survivor_;
      const Progress& stopped = victim ? board_->victim.progress : board_->survivor;
      const Progress& other = victim ? board_->survivor : board_->victim.progress;
      std::string who = victim ? "the victim" : "the survivor";
      int status;
      kill(pid, SIGSTOP);
      bool stands = waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status);
      uint64_t timeouts = other.timeouts, done = stopped.put_done + stopped.got;
      sleep_ns(static_cast<int64_t>(10 + choices.below(291)) * 1000 * 1000);
      // A deadline that passes while the peer stands still.
      bool kept = stands && wait_progress(other, &Progress::timeouts, timeouts);
      if (victim_ < 0) return;  // the survivor ended the channel: take() has said so
      kill(pid, SIGCONT);
      if (!kept)
        return fail(fmt::format("stop {} of {}: the other end's deadlines did not pass, or it gave up", i, who));
      int64_t until = rc::now_ns() + kPatienceNs;
      while (stopped.put_done + stopped.got <= done && rc::now_ns() < until) sleep_ns(100 * 1000);
      if (receive(0)) break;  // if the survivor has ended, its reason is the first one
      if (stopped.put_done + stopped.got <= done)
        return fail(fmt::format("stop {} of {}: no progress afterwards {}", i, who, board_->victim.problem));
    }
  }
  if (broken_ || pending_.empty() || victim_ < 0) return;
  pending_.back().kill_ns = rc::now_ns();
  kill(victim_, SIGKILL);
  await_death();
  settle(false);
}

}  // namespace killing
