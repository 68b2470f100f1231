#include "harness/bench/pair.h"

#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <exception>

#include "harness/bench/clock.h"

namespace rcbench {

void Side::meet() {
  uint32_t mine = page_.arrived[index_].count.load(std::memory_order_relaxed) + 1;
  page_.arrived[index_].count.store(mine, std::memory_order_release);
  while (page_.arrived[1 - index_].count.load(std::memory_order_acquire) < mine) {
    if (while_waiting) while_waiting();
    if (yields_) sched_yield();
  }
}

void Side::start() { page_.report[index_].start_ns = monotonic_ns(); }

void Side::stop(uint64_t count) {
  page_.report[index_].end_ns = monotonic_ns();
  page_.report[index_].count = count;
}

void Side::report(const Histogram& histogram) {
  ControlPage::Report& report = page_.report[index_];
  report.p50 = histogram.percentile(50) * g_clock.ns_per_tick;
  report.p99 = histogram.percentile(99) * g_clock.ns_per_tick;
  report.p999 = histogram.percentile(99.9) * g_clock.ns_per_tick;
}

namespace {

// A mapping that is the same memory after fork.
class SharedMemory {
 public:
  explicit SharedMemory(size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    int fd = memfd_create("ringchan-bench", MFD_CLOEXEC);
    if (fd < 0) return;
    if (ftruncate(fd, static_cast<off_t>(bytes)) == 0) {
      void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (at != MAP_FAILED) at_ = at;
    }
    close(fd);
  }
  ~SharedMemory() {
    if (at_ != nullptr) munmap(at_, bytes_);
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  void* at() const { return at_; }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_;
  void* at_ = nullptr;
};

// The write end of `alive` is held by the side alone: it hangs up when the side is gone.
struct Child {
  pid_t pid = -1;
  int alive = -1;
  int status = 0;
  bool ended_here = false;  // by us, because of the other or of the time

  void end() {
    if (alive < 0) return;
    ended_here = true;
    kill(pid, SIGKILL);
  }
};

// Takes and keeps a random number of pages, up to 4 MiB. A round trip over one cache line costs up to a third more or
// less depending on which physical page the line lies in; without this every sample of a lane could get the same
// page back from the kernel, and the lanes would be compared by their luck.
void take_random_pages() {
  uint32_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) return;
  size_t bytes = (random % 1024 + 1) * 4096;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  static_cast<void>(at);  // until the process ends
}

// Maps every page of the shared memory into this process, so that no page fault is measured.
void touch_pages(void* memory, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 4096) {
    reinterpret_cast<std::atomic<uint8_t>*>(static_cast<uint8_t*>(memory) + at)->fetch_or(0);
  }
}

uint64_t interruptions() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_nivcsw);
}

[[noreturn]] void run_side(const Body& body, Side& side, size_t bytes, ControlPage::Report& report, int cpu) {
  int code = 1;
  std::string why;
  try {
    if (!pin_to(cpu)) throw std::runtime_error(fmt::format("cannot pin to processor {}: {}", cpu, strerror(errno)));
    take_random_pages();
    touch_pages(side.memory(), bytes);
    uint64_t before = interruptions();  // moving to the processor was one
    body(side);
    report.interruptions = interruptions() - before;
    code = 0;
  } catch (const Missing& missing) {
    report.skipped = 1;
    why = missing.what;
  } catch (const std::exception& error) {
    why = error.what();
  }
  snprintf(report.why, sizeof(report.why), "%s", why.c_str());
  _exit(code);
}

Child fork_side(const Body& body, int index, const Placement& placement, ControlPage& page,
                const SharedMemory& memory) {
  Child child;
  int ends[2];
  if (pipe(ends) != 0) return child;
  fflush(nullptr);
  child.pid = fork();
  if (child.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(ends[0]);
    Side side(page, index, memory.at(), placement.one_core);
    run_side(body, side, memory.bytes(), page.report[index], placement.cpu[index]);
  }
  close(ends[1]);
  child.alive = ends[0];
  return child;
}

// Waits until both are gone. If one ends badly, or time is up, the other is ended too. False: time was up.
bool await(Child (&children)[2], int deadline_s) {
  uint64_t deadline = monotonic_ns() + static_cast<uint64_t>(deadline_s) * 1000000000u;
  bool in_time = true;
  for (int left = 2; left > 0;) {
    pollfd fds[2] = {{children[0].alive, POLLIN, 0}, {children[1].alive, POLLIN, 0}};
    uint64_t now = monotonic_ns();
    int timeout_ms = now < deadline ? static_cast<int>((deadline - now) / 1000000) + 1 : 0;
    int ready = poll(fds, 2, timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      in_time = false;
      for (Child& child : children) child.end();
    }
    for (int i = 0; i < 2; ++i) {
      if (children[i].alive < 0 || (ready > 0 && fds[i].revents == 0)) continue;
      close(children[i].alive);
      children[i].alive = -1;
      waitpid(children[i].pid, &children[i].status, 0);
      --left;
      if (children[i].status != 0) children[1 - i].end();
    }
  }
  return in_time;
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return fmt::format("ended by signal {}", WTERMSIG(status));
  return fmt::format("exit status {}", WEXITSTATUS(status));
}

Sample to_sample(const ControlPage& page, const Child (&children)[2], bool in_time, int deadline_s) {
  for (const ControlPage::Report& report : page.report) {
    if (report.skipped) return Sample::skip(report.why);  // the other side may have failed for that
  }
  for (const ControlPage::Report& report : page.report) {
    if (report.why[0] != '\0') return Sample::failure(report.why);
  }
  if (!in_time) return Sample::failure(fmt::format("not done after {} s", deadline_s));
  for (const Child& child : children) {
    if (child.status != 0 && !child.ended_here) return Sample::failure(how_it_ended(child.status));
  }
  Sample sample;
  uint64_t start = UINT64_MAX, end = 0;
  for (const ControlPage::Report& report : page.report) {
    if (report.start_ns != 0) start = std::min(start, report.start_ns);
    end = std::max(end, report.end_ns);
    sample.count = std::max(sample.count, report.count);
    sample.interruptions += report.interruptions;
    sample.p50 = std::max(sample.p50, report.p50);
    sample.p99 = std::max(sample.p99, report.p99);
    sample.p999 = std::max(sample.p999, report.p999);
  }
  sample.ok = sample.count != 0 && end > start;
  if (!sample.ok) return Sample::failure("no side reported a measurement");
  sample.seconds = static_cast<double>(end - start) / 1e9;
  return sample;
}

}  // namespace

Sample run_pair(const Placement& placement, size_t bytes, const Body& a, const Body& b, int deadline_s) {
  SharedMemory control(sizeof(ControlPage));
  SharedMemory memory(bytes);
  if (control.at() == nullptr || (bytes != 0 && memory.at() == nullptr)) {
    return Sample::failure(fmt::format("cannot map {} bytes of shared memory: {}", bytes, strerror(errno)));
  }
  auto& page = *static_cast<ControlPage*>(control.at());
  Child children[2];
  children[0] = fork_side(a, 0, placement, page, memory);
  if (children[0].pid < 0) return Sample::failure(fmt::format("cannot fork: {}", strerror(errno)));
  children[1] = fork_side(b, 1, placement, page, memory);
  if (children[1].pid < 0) {
    kill(children[0].pid, SIGKILL);
    waitpid(children[0].pid, nullptr, 0);
    close(children[0].alive);
    return Sample::failure(fmt::format("cannot fork: {}", strerror(errno)));
  }
  bool in_time = await(children, deadline_s);
  return to_sample(page, children, in_time, deadline_s);
}

}  // namespace rcbench
