#include "harness/scale/run.h"

#include <dirent.h>
#include <fmt/format.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <unordered_map>
#include <vector>

#include "rc.h"

namespace scale {
namespace {

constexpr int64_t kPatience = INT64_C(60) * 1000 * 1000 * 1000;
constexpr uint64_t kRing = 4096;
constexpr uint32_t kEvents = 64;
// Answered at one go; the rest waits its turn.
constexpr int kMessagesPerTurn = 4;
constexpr uint32_t kSpareDescriptors = 100;

using Clock = std::chrono::steady_clock;

struct Message {
  uint32_t channel;
  uint32_t zero;
  uint64_t number;
};

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

uint64_t cpu_us() {
  rusage r = {};
  getrusage(RUSAGE_SELF, &r);
  return static_cast<uint64_t>((r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 + r.ru_utime.tv_usec +
                               r.ru_stime.tv_usec);
}

uint64_t resident() {
  unsigned long total = 0, here = 0;
  FILE* f = fopen("/proc/self/statm", "r");
  if (f == nullptr || fscanf(f, "%lu %lu", &total, &here) != 2) here = 0;
  if (f != nullptr) fclose(f);
  return here * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

uint64_t descriptors() {
  uint64_t n = 0;
  DIR* all = opendir("/proc/self/fd");
  while (all != nullptr && readdir(all) != nullptr) ++n;
  if (all != nullptr) closedir(all);
  return n;
}

// What one end of a channel takes, with the context's descriptor: tcp a socket, an epoll set, a timer and two eventfds,
// shm two sockets and a pidfd, and both an epoll set and an eventfd for readiness.
uint64_t descriptors_each(const Options& o) { return o.backend == "tcp" ? 7 : 5; }

std::string raise_limit(const Options& o) {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  rlim_t wanted = o.channels * descriptors_each(o) + kSpareDescriptors;
  if (limit.rlim_cur >= wanted) return "";
  limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur == wanted) return "";
  return fmt::format("{} channels over {} take {} descriptors, and this process may have {} (ulimit -Hn)", o.channels,
                     o.backend, wanted, limit.rlim_max);
}

// One process: its context, its channels, and what was wrong first.
class Side {
 public:
  explicit Side(const Options& o) : options(o) {
    rc_config config = {};
    config.size = sizeof config;
    config.channels_max = o.channels;
    config.ring_bytes = kRing;
    config.rings_max = o.backend == "tcp" ? 2 * o.channels : 1;
    config.progress_thread = o.progress_thread ? 1 : 0;
    want(RC_OK, rc_open(&config, &ctx), "rc_open");
    rc_footprint(&config, &end.footprint_bytes);
    end.footprint_bytes -= uint64_t{config.rings_max} * 2 * kRing;  // a ring, its head, and whole pages
    int32_t fd;
    want(RC_OK, rc_fd(ctx, &fd), "rc_fd");
    resident_before = resident();
    descriptors_before = descriptors();
  }
  bool want(int32_t code, int32_t got, const char* call) {
    if (got == code) return true;
    if (problem.empty()) problem = fmt::format("{}: {}: {}", call, rc_code_name(got), rc_reason());
    return false;
  }
  void all_connected() {
    end.resident_bytes = resident() - std::min(resident(), resident_before);
    end.descriptors = descriptors() - descriptors_before;
  }
  // Sleeps in the context's wait; nobody has anything to say.
  void idle() {
    rc_event event;
    uint32_t n = 0;
    while (problem.empty() && rc_poll(ctx, &event, 1, 0, &n) == RC_OK) clear(event);  // stale doorbells
    uint64_t before = cpu_us();
    want(RC_E_TIMEOUT, rc_poll(ctx, &event, 1, static_cast<int64_t>(options.idle_seconds * 1e9), &n),
         "rc_poll of idle channels");
    end.idle_cpu_us = cpu_us() - before;
  }
  void clear(const rc_event& event) {
    Message m;
    size_t n = 0;
    if (event.kind == RC_EVENT_CHANNEL)
      want(RC_E_WOULD_BLOCK, rc_recv(event.channel, &m, sizeof m, &n, nullptr, nullptr, 0), "rc_recv when idle");
  }

  const Options& options;
  rc_ctx ctx{0};
  End end = {};
  std::string problem;
  uint64_t resident_before = 0, descriptors_before = 0;
};

// ----------------------------------------------------------------------------------------------------------- server

// Echoes until every channel has been closed by the client.
void echo(Side& side) {
  uint64_t open = side.options.channels;
  rc_event events[kEvents];
  while (open != 0 && side.problem.empty()) {
    uint32_t n = 0;
    if (!side.want(RC_OK, rc_poll(side.ctx, events, kEvents, kPatience, &n), "rc_poll of the server")) return;
    for (uint32_t e = 0; e < n && side.problem.empty(); ++e) {
      if (events[e].kind != RC_EVENT_CHANNEL) continue;
      rc_channel ch = events[e].channel;
      for (int i = 0; i < kMessagesPerTurn; ++i) {
        Message m;
        size_t bytes = 0;
        int32_t code = rc_recv(ch, &m, sizeof m, &bytes, nullptr, nullptr, 0);
        if (code == RC_E_WOULD_BLOCK) break;
        if (code == RC_E_CLOSED) {
          side.want(RC_OK, rc_channel_close(ch), "rc_channel_close");
          ++side.end.closed;
          --open;
          break;
        }
        if (!side.want(RC_OK, code, "rc_recv of the server")) return;
        side.want(RC_OK, rc_send(ch, &m, bytes, nullptr, kPatience, nullptr), "rc_send of the server");
      }
    }
  }
}

// Tells the URI, accepts all, is idle, echoes, and tells how it went.
int serve(const Options& o, int to_client) {
  Side side(o);
  std::string uri = o.backend == "tcp" ? "tcp://127.0.0.1:0" : "shm:scale-" + std::to_string(getpid());
  rc_listener listener{0};
  char told[160] = "";
  side.want(RC_OK, rc_listen(side.ctx, uri.c_str(), nullptr, &listener), "rc_listen");
  rc_listener_uri(listener, told, sizeof told);
  bool sent = write(to_client, told, sizeof told) == static_cast<ssize_t>(sizeof told);
  for (uint32_t i = 0; i < o.channels && sent && side.problem.empty(); ++i) {
    rc_channel ch;
    side.want(RC_OK, rc_accept(listener, kPatience, &ch), "rc_accept");
  }
  side.want(RC_OK, rc_listener_close(listener), "rc_listener_close");
  side.all_connected();
  if (side.problem.empty()) side.idle();
  // Until then the client keeps silent.
  sent = sent && write(to_client, "", 1) == 1;
  if (side.problem.empty()) echo(side);
  side.want(RC_OK, rc_close(side.ctx), "rc_close");
  char problem[400] = "";
  snprintf(problem, sizeof problem, "%s", side.problem.c_str());
  sent = sent && write(to_client, &side.end, sizeof side.end) == static_cast<ssize_t>(sizeof side.end) &&
         write(to_client, problem, sizeof problem) == static_cast<ssize_t>(sizeof problem);
  return sent ? 0 : 1;
}

// ----------------------------------------------------------------------------------------------------------- client

struct Talk {
  rc_channel ch{0};
  uint64_t sent = 0, got = 0;
};

class Client {
 public:
  Client(Side& side, Result& result) : side_(side), result_(result), talks_(side.options.channels) {}

  bool connect(const char* uri) {
    Clock::time_point start = Clock::now();
    for (Talk& t : talks_) {
      if (!side_.want(RC_OK, rc_connect(side_.ctx, uri, nullptr, kPatience, &t.ch), "rc_connect")) return false;
      number_[t.ch.id] = static_cast<uint32_t>(&t - talks_.data());
    }
    result_.connect_seconds = since(start);
    return true;
  }

  void talk() {
    Clock::time_point start = Clock::now();
    for (uint32_t i = 0; i < talks_.size(); ++i) {
      uint32_t window = i < side_.options.greedy ? side_.options.greedy_window : 1;
      for (uint32_t w = 0; w < window; ++w) send(i);
    }
    rc_event events[kEvents];
    uint64_t under_way = 1;
    while (under_way != 0 && side_.problem.empty()) {
      uint32_t n = 0;
      bool more = since(start) < side_.options.seconds;
      if (!more) {
        under_way = 0;
        for (const Talk& t : talks_) under_way += t.sent - t.got;
        if (under_way == 0) break;
      }
      if (!side_.want(RC_OK, rc_poll(side_.ctx, events, kEvents, kPatience, &n), "rc_poll of the client")) return;
      for (uint32_t e = 0; e < n && side_.problem.empty(); ++e) answered(number_[events[e].channel.id], more);
    }
  }

  void close() {
    for (Talk& t : talks_) {
      result_.messages += t.got;
      result_.lost += t.sent - t.got;
      if (t.ch.id != 0) side_.want(RC_OK, rc_channel_close(t.ch), "rc_channel_close");
    }
    side_.end.closed = talks_.size();
  }

  void count() {
    std::vector<uint64_t> others;
    for (uint32_t i = 0; i < talks_.size(); ++i) {
      if (i < side_.options.greedy) result_.greedy_most = std::max(result_.greedy_most, talks_[i].got);
      if (i >= side_.options.greedy) others.push_back(talks_[i].got);
    }
    if (others.empty()) return;
    std::sort(others.begin(), others.end());
    result_.least = others.front();
    result_.median = others[others.size() / 2];
    result_.most = others.back();
  }

 private:
  void send(uint32_t i) {
    Message m = {i, 0, talks_[i].sent++};
    side_.want(RC_OK, rc_send(talks_[i].ch, &m, sizeof m, nullptr, kPatience, nullptr), "rc_send of the client");
  }
  void answered(uint32_t i, bool more) {
    for (int turn = 0; turn < kMessagesPerTurn; ++turn) {
      Message m;
      size_t bytes = 0;
      int32_t code = rc_recv(talks_[i].ch, &m, sizeof m, &bytes, nullptr, nullptr, 0);
      if (code == RC_E_WOULD_BLOCK || !side_.want(RC_OK, code, "rc_recv of the client")) return;
      if (bytes != sizeof m || m.channel != i || m.number != talks_[i].got) {
        side_.problem = fmt::format("channel {}: message {} of channel {} instead of number {}", i, m.number, m.channel,
                                    talks_[i].got);
        return;
      }
      ++talks_[i].got;
      if (more) send(i);
    }
  }

  Side& side_;
  Result& result_;
  std::vector<Talk> talks_;
  std::unordered_map<uint64_t, uint32_t> number_;
};

bool read_all(int fd, void* to, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t n = read(fd, static_cast<char*>(to) + done, bytes - done);
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

void run_client(Result& result, int from_server) {
  Side side(result.options);
  Client client(side, result);
  char uri[160], problem[400] = "";
  if (!read_all(from_server, uri, sizeof uri)) side.problem = "the server said nothing";
  if (side.problem.empty() && client.connect(uri)) {
    side.all_connected();
    side.idle();
    char idle_too;
    if (side.problem.empty() && !read_all(from_server, &idle_too, 1)) side.problem = "the server died";
    if (side.problem.empty()) client.talk();
    client.close();
    client.count();
  }
  side.want(RC_OK, rc_close(side.ctx), "rc_close");
  bool told =
      read_all(from_server, &result.server, sizeof result.server) && read_all(from_server, problem, sizeof problem);
  result.client = side.end;
  result.problem = side.problem;
  if (result.problem.empty() && !told) result.problem = "the server died";
  if (result.problem.empty() && problem[0] != '\0') result.problem = std::string("server: ") + problem;
  if (result.problem.empty() && result.lost != 0) result.problem = fmt::format("{} messages are lost", result.lost);
  if (result.problem.empty() && result.server.closed != result.options.channels)
    result.problem = fmt::format("the server has seen {} channels end", result.server.closed);
}

}  // namespace

Result run(const Options& options) {
  Result result;
  result.options = options;
  result.skipped = raise_limit(options);
  if (!result.skipped.empty()) return result;
  int pipe_fds[2];
  if (pipe(pipe_fds) != 0) {
    result.problem = "pipe";
    return result;
  }
  pid_t child = fork();
  if (child == 0) {
    close(pipe_fds[0]);
    _exit(serve(options, pipe_fds[1]));
  }
  close(pipe_fds[1]);
  run_client(result, pipe_fds[0]);
  close(pipe_fds[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (result.problem.empty() && status != 0) result.problem = fmt::format("the server ended with status {:#x}", status);
  return result;
}

std::string Result::summary() const {
  if (!skipped.empty()) return "skipped: " + skipped + "\n";
  const Options& o = options;
  auto per = [&](uint64_t n) { return static_cast<double>(n) / o.channels; };
  std::string s = fmt::format("{} channels over {}{}: connected in {:.2f} s ({:.0f} per second)\n", o.channels,
                              o.backend, o.progress_thread ? ", with progress threads" : "", connect_seconds,
                              o.channels / std::max(connect_seconds, 1e-9));
  const std::pair<const char*, const End*> ends[] = {{"client", &client}, {"server", &server}};
  for (auto& [name, e] : ends) {
    s += fmt::format(
        "  {}: {:.1f} descriptors, {:.1f} KB resident, {:.1f} KB of the context per channel (rings not counted); "
        "idle for {:.1f} s: {} us of processor time\n",
        name, per(e->descriptors), per(e->resident_bytes) / 1024, per(e->footprint_bytes) / 1024, o.idle_seconds,
        e->idle_cpu_us);
  }
  s += fmt::format(
      "  active for {:.1f} s: {} round trips, {} lost; per channel least {}, median {}, most {}; the {} greedy ones "
      "(window {}) up to {}\n",
      o.seconds, messages, lost, least, median, most, o.greedy, o.greedy_window, greedy_most);
  if (!problem.empty()) s += "  PROBLEM: " + problem + "\n";
  return s;
}

}  // namespace scale
