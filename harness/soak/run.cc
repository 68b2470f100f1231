#include "harness/soak/run.h"

#include <dirent.h>
#include <errno.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include "capi/rc.h"
#include "core/deadline.h"
#include "harness/soak/load.h"

namespace soak {
namespace {

constexpr int64_t kPatienceNs = INT64_C(30) * 1000 * 1000 * 1000;
constexpr int64_t kTickNs = INT64_C(100) * 1000 * 1000;
constexpr uint64_t kSmallestLargest = 4096;

void sleep_ns(int64_t ns) {
  timespec t = {ns / 1000000000, ns % 1000000000};
  nanosleep(&t, nullptr);
}

uint64_t resident_bytes(pid_t pid) {
  FILE* f = fopen(fmt::format("/proc/{}/statm", pid).c_str(), "re");
  unsigned long all = 0, resident = 0;
  if (f == nullptr || fscanf(f, "%lu %lu", &all, &resident) != 2) resident = 0;
  if (f != nullptr) fclose(f);
  return uint64_t{resident} * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

int descriptors(pid_t pid) {
  DIR* d = opendir(fmt::format("/proc/{}/fd", pid).c_str());
  int n = 0;
  while (d != nullptr && readdir(d) != nullptr) ++n;
  if (d != nullptr) closedir(d);
  return n - 2;  // "." and ".."
}

// ----------------------------------------------------------------------------------------------------------- one end

class EndProcess {
 public:
  EndProcess(const Options& options, const std::string& uri, Board* board, int which)
      : options_(options), uri_(uri), board_(board), which_(which) {}

  [[noreturn]] void run() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (open_all()) load_all();
    ++board_->ended;
    // A peer that closes early would cut the other one's last look short.
    while (board_->ended < 2 && !board_->wrong) sleep_ns(kTickNs / 100);
    if (ctx_.id != 0) must("rc_close", rc_close(ctx_));
    _exit(board_->wrong ? 1 : 0);
  }

 private:
  bool must(const char* call, int32_t code) {
    if (code != RC_OK) board_->complain(fmt::format("{}: {}: {}", call, rc_code_name(code), rc_reason()));
    return code == RC_OK;
  }

  bool open_all() {
    rc_config config = {};
    config.size = sizeof config;
    config.channels_max = options_.channels;
    config.ring_bytes = options_.ring_bytes;
    rc_listener listener;
    if (!must("rc_open", rc_open(&config, &ctx_))) return false;
    if (which_ == 0 && !must("rc_listen", rc_listen(ctx_, uri_.c_str(), nullptr, &listener))) return false;
    for (uint32_t i = 0; i < options_.channels; ++i) {  // one after the other: both ends count alike
      rc_channel channel;
      rc_channel_config channel_config = {};
      channel_config.size = sizeof channel_config;
      channel_config.wait = i % 4 < 2 ? RC_WAIT_ADAPTIVE : RC_WAIT_SLEEP;  // this end only; the listener's are adaptive
      bool ok = which_ == 0
                    ? must("rc_accept", rc_accept(listener, kPatienceNs, &channel))
                    : must("rc_connect", rc_connect(ctx_, uri_.c_str(), &channel_config, kPatienceNs, &channel));
      if (!ok) return false;
      channels_.push_back(channel);
    }
    return true;
  }

  void load_all() {
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < options_.channels; ++i) {
      for (int sender = 0; sender < 2; ++sender) {
        Load load;
        load.channel = channels_[i];
        load.messages = i % 2 == 1;
        load.seed = (options_.seed << 20) + 2 * i + static_cast<uint64_t>(sender) + 1;
        load.seed <<= 32;  // messages add their number
        load.largest = std::max(options_.ring_bytes * 5 / 2, kSmallestLargest);
        load.lane = &board_->lanes[i][sender];
        load.board = board_;
        threads.emplace_back([load, this, sender] { sender == which_ ? put_all(load) : get_all(load); });
      }
    }
    for (std::thread& t : threads) t.join();
    for (rc_channel channel : channels_) {
      rc_counters c = {};
      c.size = sizeof c;
      must("rc_channel_counters", rc_channel_counters(channel, &c));
      board_->counters[which_].waits += c.put_waits + c.get_waits;
      board_->counters[which_].sleeps += c.sleeps;
      board_->counters[which_].rings += c.rings;
    }
  }

  const Options& options_;
  std::string uri_;
  Board* board_;
  int which_;
  rc_ctx ctx_ = {};
  std::vector<rc_channel> channels_;
};

// ----------------------------------------------------------------------------------------------------------- the run

class Run {
 public:
  explicit Run(const Options& options) : options_(options) {
    void* at = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || options.channels == 0 || options.channels > kChannelsMax) abort();
    board_ = new (at) Board{};
    std::random_device device;
    std::string uri = fmt::format("shm:soak-{:08x}{:08x}", device(), device());
    for (int i = 0; i < 2; ++i) {
      pids_[i] = fork();
      if (pids_[i] == 0) EndProcess(options_, uri, board_, i).run();
    }
  }
  ~Run() { munmap(board_, sizeof(Board)); }

  Result go(const Progress& progress) {
    int64_t begun = rc::now_ns();
    watch(begun, progress);
    result_.seconds = static_cast<double>(rc::now_ns() - begun) / 1e9;
    for (int i = 0; i < 2; ++i) reap(i);
    tally();
    return result_;
  }

 private:
  uint64_t total(std::atomic<uint64_t> Lane::*counter) const {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < options_.channels; ++i) {
      for (const Lane& lane : board_->lanes[i]) sum += (lane.*counter).load(std::memory_order_relaxed);
    }
    return sum;
  }

  // Until the ends are through; looks whether they get on, and what they use.
  void watch(int64_t begun, const Progress& progress) {
    int64_t moved_ns = begun, shown_ns = begun;
    uint64_t last = 0;
    while (board_->ended < 2 && !board_->wrong) {
      sleep_ns(kTickNs);
      int64_t now = rc::now_ns();
      uint64_t bytes = total(&Lane::got);
      double seconds = static_cast<double>(now - begun) / 1e9;
      double share =
          std::max(options_.seconds > 0 ? seconds / options_.seconds : 0,
                   options_.bytes > 0 ? static_cast<double>(bytes) / static_cast<double>(options_.bytes) : 0);
      if (share > 0.1 && board_->ended == 0) measure();
      if (share >= 1) board_->stop = true;
      if (bytes != last) moved_ns = now;
      last = bytes;
      if (now - moved_ns > kPatienceNs) board_->complain(stalled());
      if (waitpid(pids_[0], nullptr, WNOHANG) != 0 || waitpid(pids_[1], nullptr, WNOHANG) != 0) {
        if (board_->ended < 2) board_->complain("one of the processes has died");
      }
      if (progress && now - shown_ns > 5 * kTickNs) {
        progress(seconds, bytes);
        shown_ns = now;
      }
    }
  }

  void measure() {
    result_.resident_last = resident_bytes(pids_[0]) + resident_bytes(pids_[1]);
    result_.descriptors_last = descriptors(pids_[0]) + descriptors(pids_[1]);
    if (result_.resident_first != 0) return;
    result_.resident_first = result_.resident_last;
    result_.descriptors_first = result_.descriptors_last;
  }

  std::string stalled() const {
    std::string text = "nothing moves; put/got by lane:";
    for (uint32_t i = 0; i < options_.channels; ++i) {
      for (const Lane& lane : board_->lanes[i]) text += fmt::format(" {}/{}", lane.put.load(), lane.got.load());
    }
    return text;
  }

  void reap(int i) {
    int status = 0;
    for (int64_t until = rc::now_ns() + kPatienceNs; waitpid(pids_[i], &status, WNOHANG) == 0;) {
      if (rc::now_ns() > until || board_->wrong) kill(pids_[i], SIGKILL);
      sleep_ns(kTickNs / 100);
    }
    if (WIFSIGNALED(status)) board_->complain(fmt::format("a process was ended by signal {}", WTERMSIG(status)));
  }

  void tally() {
    result_.bytes = total(&Lane::got);
    result_.messages = total(&Lane::received);
    for (auto& c : board_->counters) {
      result_.waits += c.waits;
      result_.sleeps += c.sleeps;
      result_.rings += c.rings;
    }
    if (!board_->wrong && (total(&Lane::put) != result_.bytes || total(&Lane::messages) != result_.messages)) {
      board_->complain("not everything that was put was got");
    }
    if (!board_->wrong && result_.descriptors_first != result_.descriptors_last)
      board_->complain("the number of descriptors changed");
    result_.problem = board_->problem;
  }

  const Options options_;
  Board* board_;
  pid_t pids_[2];
  Result result_;
};

}  // namespace

std::string Result::summary() const {
  auto mib = [](uint64_t n) { return static_cast<double>(n) / (1 << 20); };
  return fmt::format(
             "{:.2f} GB got and found right in {:.1f} s ({:.2f} GB/s), {} messages among them\n"
             "{} waits, {} of them asleep, {} doorbells\n"
             "resident memory of both processes {:.1f} -> {:.1f} MiB, descriptors {} -> {}\n",
             static_cast<double>(bytes) / 1e9, seconds, static_cast<double>(bytes) / 1e9 / seconds, messages, waits,
             sleeps, rings, mib(resident_first), mib(resident_last), descriptors_first, descriptors_last) +
         (problem.empty() ? "no error\n" : "ERROR " + problem + "\n");
}

Result run(const Options& options, const Progress& progress) { return Run(options).go(progress); }

}  // namespace soak
