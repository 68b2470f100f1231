// Round trips over a spinning shm channel make no system call: both processes run under ptrace, which stops at every
// one. A waiting side looks about once a millisecond whether its peer still lives, so a few calls among thousands of
// round trips are in order; what is shown is that hundreds of them on end make none at all.
// Nor do operations on memory that was granted directly, in either process.
// Over tcp a put is one send, and a get that finds its bytes in the socket one recv; in bursts there are fewer.
#include <errno.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "capi/rc.h"
#include "harness/conformance/tcp_uri.h"

namespace {

constexpr int64_t kSetUpNs = 10'000'000'000;
constexpr int kDeadlineS = 45;

struct Task {
  uint32_t wait;  // RC_WAIT_*
  uint32_t batches;
  uint32_t trips;      // round trips of 8 B per batch
  bool calls_getppid;  // once per round trip, on one side: the counter's own test
  bool tcp = false;
  uint32_t burst = 0;    // puts of one side (rc_put_more, then rc_flush), then gets of the other; 0: round trips
  bool carried = false;  // a trip is a write, a read, an add and a gathered write of one side, done by the other
  bool direct = false;   // operations of both sides on directly granted memory instead of puts and gets
};

// Which batch each side is in, counted from 1; 0 outside.
struct Page {
  std::atomic<uint32_t> batch[2];
  std::atomic<uint64_t>
      turn;  // so many puts have been made: whoever gets finds its bytes, and need not wait in the call
};

struct Count {
  std::string skip;  // the system forbids ptrace
  std::string error;
  std::vector<uint64_t> calls;             // per batch, both sides together
  std::map<uint64_t, uint64_t> by_number;  // inside batches
};

bool connect_side(int index, const std::string& uri, uint32_t wait, rc_ctx* to, rc_channel* channel) {
  rc_config pools = {};
  pools.size = sizeof(pools);
  pools.mr_bytes = 65536;
  rc_ctx& ctx = *to;
  if (rc_open(&pools, &ctx) != RC_OK) return false;
  rc_channel_config config = {};
  config.size = sizeof(config);
  config.wait = wait;
  if (index == 1) return rc_connect(ctx, uri.c_str(), &config, kSetUpNs, channel) == RC_OK;
  rc_listener listener;
  return rc_listen(ctx, uri.c_str(), &config, &listener) == RC_OK && rc_accept(listener, kSetUpNs, channel) == RC_OK;
}

bool round_trip(int index, rc_channel channel, uint64_t number) {
  uint64_t got = 0;
  if (index == 0 && rc_put(channel, &number, sizeof(number), RC_FOREVER, nullptr) != RC_OK) return false;
  if (rc_get(channel, &got, sizeof(got), RC_FOREVER, nullptr) != RC_OK || got != number) return false;
  return index == 0 || rc_put(channel, &number, sizeof(number), RC_FOREVER, nullptr) == RC_OK;
}

// A wait that makes no system call.
void await_turn(const Page& page, uint64_t turn) {
  while (page.turn.load() < turn) {
  }
}

// The same round trip, or a burst one way, with the bytes in the socket before anybody asks for them.
bool trip_in_turn(int index, rc_channel channel, const Task& task, Page& page, uint64_t number) {
  uint64_t word = number, turns = task.burst == 0 ? 2 : 1;
  uint64_t before = (number - 1) * turns;
  if (index == 1) await_turn(page, before + 1);
  for (uint32_t i = 0; i < std::max(task.burst, 1u); ++i) {
    bool put = index == 0;
    int32_t code = !put              ? rc_get(channel, &word, sizeof word, RC_FOREVER, nullptr)
                   : task.burst == 0 ? rc_put(channel, &word, sizeof word, RC_FOREVER, nullptr)
                                     : rc_put_more(channel, &word, sizeof word, RC_FOREVER, nullptr);
    if (code != RC_OK || word != number) return false;
  }
  if (index == 0 && task.burst != 0 && rc_flush(channel) != RC_OK) return false;
  if (index == 0) page.turn.store(before + 1);
  if (task.burst != 0) return true;
  if (index == 1) {
    if (rc_put(channel, &word, sizeof word, RC_FOREVER, nullptr) != RC_OK) return false;
    page.turn.store(before + 2);
    return true;
  }
  await_turn(page, before + 2);
  return rc_get(channel, &word, sizeof word, RC_FOREVER, nullptr) == RC_OK && word == number;
}

// What each side has of the other's memory, and of its own.
struct Memory {
  rc_mr mine{0}, local{0};
  rc_remote theirs{0};
  uint8_t* at = nullptr;

  bool exchange(rc_ctx ctx, rc_channel channel, uint32_t rights) {
    rc_grant grant;
    rc_region region = {};
    region.size = sizeof(region);
    if (rc_mr_alloc(ctx, 4096, 0, &mine) != RC_OK || rc_mr_alloc(ctx, 4096, 0, &local) != RC_OK) return false;
    if (rc_mr_info(mine, &region) != RC_OK) return false;
    at = static_cast<uint8_t*>(region.address);
    return rc_mr_grant(channel, mine, 0, 4096, rights, (rights & RC_MR_DIRECT) != 0 ? RC_LEASE_NONE : 0, &grant) ==
               RC_OK &&
           rc_remote_get(channel, kSetUpNs, &theirs) == RC_OK;
  }
  // A count in the other's memory, by an atomic, with a write and a read before it; then one comes here.
  bool round_trip(int index, uint64_t number) const {
    if (index == 1) await(number);
    rc_request request;
    uint64_t old = 0;
    bool good = rc_write(local, 0, theirs, 64, 1024, nullptr) == RC_OK &&
                rc_read(local, 0, theirs, 64, 1024, &request) == RC_OK && rc_request_test(request, nullptr) == RC_OK &&
                rc_compare_swap(theirs, 8, 0, 0, nullptr) == RC_OK && rc_fetch_add(theirs, 0, 1, &request) == RC_OK &&
                rc_request_test(request, &old) == RC_OK && old == number - 1;
    if (index == 0) await(number);
    return good;
  }
  // The second side serves until all four of the first are done.
  bool operate(int index, rc_channel channel, Page& page, uint64_t number) const {
    if (index == 1) {
      while (page.turn.load() < number) {
        if (rc_progress(channel) != RC_OK) return false;
      }
      return true;
    }
    const rc_slice list[2] = {{local, 0, 8}, {local, 64, 56}};
    rc_request all[4];
    bool good = rc_write(local, 0, theirs, 64, 64, &all[0]) == RC_OK &&
                rc_read(local, 128, theirs, 64, 64, &all[1]) == RC_OK && rc_fetch_add(theirs, 0, 1, &all[2]) == RC_OK &&
                rc_writev(list, 2, theirs, 128, nullptr, &all[3]) == RC_OK;
    uint64_t old = 0;
    for (int i = 0; good && i < 4; ++i) good = rc_request_wait(all[i], RC_FOREVER, i == 2 ? &old : nullptr) == RC_OK;
    page.turn.store(number);
    return good && old + 1 == number;
  }
  void await(uint64_t number) const {
    while (__atomic_load_n(reinterpret_cast<const uint64_t*>(at), __ATOMIC_ACQUIRE) < number) {
    }
  }
};

// Each side has its own processor: else the scheduler may leave both on one for seconds.
void pin_to_own_processor(int index) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof(allowed), &allowed);
  int left = CPU_COUNT(&allowed) > 1 ? index : 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || left-- > 0) continue;
    CPU_ZERO(&allowed);
    CPU_SET(cpu, &allowed);
    sched_setaffinity(0, sizeof(allowed), &allowed);
    return;
  }
}

[[noreturn]] void run_side(int index, const std::string& uri, const Task& task, Page& page) {
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(77);
  raise(SIGSTOP);
  pin_to_own_processor(index);
  rc_ctx ctx;
  rc_channel channel;
  if (!connect_side(index, uri, task.wait, &ctx, &channel)) _exit(2);
  uint64_t number = 0;
  while (number < 1000) {  // until both sides are at it, and know how to wait
    if (!round_trip(index, channel, ++number)) _exit(3);
  }
  Memory memory;
  uint32_t rights = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC | (task.direct ? RC_MR_DIRECT : 0);
  if ((task.direct || task.carried) && !memory.exchange(ctx, channel, rights)) _exit(5);
  for (uint32_t batch = 1; batch <= task.batches; ++batch) {
    page.batch[index].store(batch);
    for (uint32_t trip = 0; trip < task.trips; ++trip) {
      ++number;
      bool good = task.direct    ? memory.round_trip(index, number - 1000)
                  : task.carried ? memory.operate(index, channel, page, number - 1000)
                  : task.tcp     ? trip_in_turn(index, channel, task, page, number - 1000)
                                 : round_trip(index, channel, number);
      if (!good) _exit(4);
      if (task.calls_getppid && index == 0) syscall(SYS_getppid);
    }
    page.batch[index].store(0);
  }
  // One more, so that neither closes while the other is still in its last batch.
  round_trip(index, channel, ++number);
  _exit(0);
}

volatile sig_atomic_t time_is_up;

// Again and again: the first may come while the tracer is not in waitpid, but about to enter it.
void on_alarm(int) {
  time_is_up = 1;
  alarm(1);
}

class Tracer {
 public:
  explicit Tracer(const Task& task) : task_(task) { count_.calls.resize(task.batches); }

  Count run() {
    void* at = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t random[2];
    if (at == MAP_FAILED || getrandom(random, sizeof(random), 0) != sizeof(random)) {
      count_.error = strerror(errno);
      return count_;
    }
    page_ = new (at) Page();
    std::string uri = task_.tcp ? conformance::unique_tcp_uri("127.0.0.1")
                                : fmt::format("shm:ringchan-syscall-{:016x}{:016x}", random[0], random[1]);
    for (int index = 0; index < 2; ++index) {
      pids_[index] = fork();
      if (pids_[index] == 0) run_side(index, uri, task_, *page_);
    }
    arm_deadline();
    while (alive_ > 0 && count_.error.empty() && count_.skip.empty()) step();
    alarm(0);
    for (int index = 0; index < 2; ++index) {
      if (pids_[index] <= 0) continue;
      kill(pids_[index], SIGKILL);
      waitpid(pids_[index], nullptr, 0);
    }
    munmap(at, sizeof(Page));
    return count_;
  }

 private:
  static void arm_deadline() {
    struct sigaction action = {};
    action.sa_handler = on_alarm;  // no SA_RESTART: waitpid ends
    sigaction(SIGALRM, &action, nullptr);
    time_is_up = 0;
    alarm(kDeadlineS);
  }

  void step() {
    int status = 0;
    pid_t pid = waitpid(-1, &status, __WALL);
    if (time_is_up != 0) {
      count_.error = fmt::format("not done after {} s: the sides are in batches {} and {} of {}", kDeadlineS,
                                 page_->batch[0].load(), page_->batch[1].load(), task_.batches);
      return;
    }
    if (pid < 0) {
      count_.error = strerror(errno);
      return;
    }
    int index = pid == pids_[0] ? 0 : 1;
    if (!WIFSTOPPED(status)) return ended(index, status);
    int signal = WSTOPSIG(status);
    if (signal == SIGSTOP && !started_[index]) {
      started_[index] = true;
      ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
      signal = 0;
    } else if (signal == (SIGTRAP | 0x80)) {
      entered_[index] = !entered_[index];
      if (entered_[index]) note(index);
      signal = 0;
    }
    ptrace(PTRACE_SYSCALL, pid, nullptr, static_cast<long>(signal));
  }

  void ended(int index, int status) {
    pids_[index] = -1;
    --alive_;
    if (status == 0) return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
      count_.skip = "ptrace is not allowed here";
    } else {
      count_.error = fmt::format("side {} ended with wait status {:#x}", index, status);
    }
  }

  void note(int index) {
    uint32_t batch = page_->batch[index].load();
    if (batch == 0) return;
    ++count_.calls[batch - 1];
    __ptrace_syscall_info info = {};
    ptrace(PTRACE_GET_SYSCALL_INFO, pids_[index], sizeof(info), &info);
    ++count_.by_number[info.op == PTRACE_SYSCALL_INFO_ENTRY ? info.entry.nr : UINT64_MAX];
  }

  Task task_;
  Count count_;
  Page* page_ = nullptr;
  pid_t pids_[2] = {-1, -1};
  bool started_[2] = {false, false};
  bool entered_[2] = {false, false};
  int alive_ = 2;
};

bool has_two_processors() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  return sched_getaffinity(0, sizeof(allowed), &allowed) == 0 && CPU_COUNT(&allowed) >= 2;
}

std::string described(const Task& task, const Count& count) {
  auto silent = std::count(count.calls.begin(), count.calls.end(), 0u);
  std::string out = fmt::format("{} of {} batches of {} round trips made no system call; calls in the others:", silent,
                                task.batches, task.trips);
  for (auto [number, times] : count.by_number) out += fmt::format(" number {} {} times", number, times);
  return out;
}

TEST(SystemCalls, SpinningRoundTripsMakeNone) {
  if (!has_two_processors()) GTEST_SKIP() << "one processor: the two sides cannot spin at the same time";
  Task task = {RC_WAIT_SPIN, 1000, 200, false};
  Count count = Tracer(task).run();
  if (!count.skip.empty()) GTEST_SKIP() << count.skip;
  ASSERT_EQ(count.error, "");
  std::cout << described(task, count) << "\n";
  EXPECT_EQ(*std::min_element(count.calls.begin(), count.calls.end()), 0u) << described(task, count);
}

TEST(SystemCalls, DirectOperationsMakeNone) {
  if (!has_two_processors()) GTEST_SKIP() << "one processor: the two sides cannot spin at the same time";
  Task task = {RC_WAIT_SPIN, 20, 500, false};
  task.direct = true;
  Count count = Tracer(task).run();
  if (!count.skip.empty()) GTEST_SKIP() << count.skip;
  ASSERT_EQ(count.error, "");
  EXPECT_EQ(*std::max_element(count.calls.begin(), count.calls.end()), 0u) << described(task, count);
}

// Carried as they are, they ring nobody who is awake.
TEST(SystemCalls, OperationsOverShmMakeNoneWhileTheOwnerLooks) {
  if (!has_two_processors()) GTEST_SKIP() << "one processor: the two sides cannot spin at the same time";
  Task task = {RC_WAIT_SPIN, 300, 100, false};
  task.carried = true;
  Count count = Tracer(task).run();
  if (!count.skip.empty()) GTEST_SKIP() << count.skip;
  ASSERT_EQ(count.error, "");
  std::cout << described(task, count) << "\n";
  EXPECT_EQ(*std::min_element(count.calls.begin(), count.calls.end()), 0u) << described(task, count);
}

TEST(SystemCalls, TheCounterNoticesOneCallPerRoundTrip) {
  if (!has_two_processors()) GTEST_SKIP() << "one processor: the two sides cannot spin at the same time";
  Task task = {RC_WAIT_SPIN, 3, 500, true};
  Count count = Tracer(task).run();
  if (!count.skip.empty()) GTEST_SKIP() << count.skip;
  ASSERT_EQ(count.error, "");
  EXPECT_GE(*std::min_element(count.calls.begin(), count.calls.end()), task.trips) << described(task, count);
  EXPECT_EQ(count.by_number[SYS_getppid], uint64_t{task.batches} * task.trips);
}

TEST(SystemCalls, OverTcpAPutIsOneSendAndAGetOneReceive) {
  if (!has_two_processors()) GTEST_SKIP() << "one processor: the two sides cannot spin at the same time";
  // Few: every call stops twice, and each stop lasts until the tracer, a third process, has a processor.
  Task task = {RC_WAIT_SPIN, 50, 20, false, true, 0};
  Count count = Tracer(task).run();
  if (!count.skip.empty()) GTEST_SKIP() << count.skip;
  ASSERT_EQ(count.error, "");
  std::cout << described(task, count) << "\n";
  // Two puts and two gets a round trip. The best batch: in another one a side may have found its bytes late.
  EXPECT_LE(*std::min_element(count.calls.begin(), count.calls.end()), 4u * task.trips) << described(task, count);
  uint64_t puts = 2 * uint64_t{task.batches} * task.trips;
  uint64_t sends = count.by_number[SYS_sendto] + count.by_number[SYS_sendmsg];
  EXPECT_LE(sends, puts);
  EXPECT_GE(sends, puts * 9 / 10) << "every put is sent at once, else the counter does not count";
}

TEST(SystemCalls, OverTcpABurstIsLessThanOneCallEach) {
  if (!has_two_processors()) GTEST_SKIP() << "one processor: the two sides cannot spin at the same time";
  Task task = {RC_WAIT_SPIN, 20, 20, false, true, 50};
  Count count = Tracer(task).run();
  if (!count.skip.empty()) GTEST_SKIP() << count.skip;
  ASSERT_EQ(count.error, "");
  std::cout << described(task, count) << "\n";
  uint64_t puts = uint64_t{task.batches} * task.trips * task.burst;
  EXPECT_LT(count.by_number[SYS_sendto] + count.by_number[SYS_sendmsg], puts / 4) << "of " << puts << " puts";
  EXPECT_LT(count.by_number[SYS_recvfrom] + count.by_number[SYS_recvmsg], puts / 4) << "of " << puts << " gets";
}

TEST(SystemCalls, SleepingRoundTripsAreCounted) {
  Task task = {RC_WAIT_SLEEP, 3, 100, false};
  Count count = Tracer(task).run();
  if (!count.skip.empty()) GTEST_SKIP() << count.skip;
  ASSERT_EQ(count.error, "");
  EXPECT_GE(*std::min_element(count.calls.begin(), count.calls.end()), task.trips) << described(task, count);
}

}  // namespace
