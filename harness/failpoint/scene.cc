#include "harness/failpoint/scene.h"

#include <dirent.h>
#include <errno.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <random>
#include <thread>

#include "harness/conformance/tcp_uri.h"
#include "harness/failpoint/manual.h"
#include "harness/failpoint/scene_regions.h"
#include "harness/soak/stamp.h"

namespace failpoint {
namespace {

constexpr int64_t kMs = 1000 * 1000;
// No call of the exchange waits longer than the other end takes for its half of it.
constexpr int64_t kExchangeNs = 3000 * kMs;
constexpr uint64_t kRingBytes = 16384;

std::string random_text() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

void leave_stale_socket(const std::string& path) {
  int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un sa = {};
  sa.sun_family = AF_UNIX;
  strncpy(sa.sun_path, path.c_str(), sizeof sa.sun_path - 1);
  if (bind(s, reinterpret_cast<sockaddr*>(&sa), sizeof sa) != 0) abort();
  close(s);
}

// What both ends know of one attempt.
struct Attempt {
  const Scenario& scenario;
  bool faulty;                                      // short deadlines where the other end may be lost
  bool cut;                                         // the fault says that the connection has ended, so it may
  bool quick;                                       // no fault has to find its call: no need to sleep
  Faulty* at_exchange;                              // of the near end; not null: they begin there
  std::promise<void> listening{};                   // whoever listens does, or cannot
  std::atomic<bool> near_done{false};               // the far end need not wait for it any more
  std::atomic<bool> there[2] = {{false}, {false}};  // near, far: has a channel and has not begun to close it
};

class EndOfScene {
 public:
  EndOfScene(Attempt& attempt, bool near, rc_ctx ctx) : attempt_(attempt), near_(near), ctx_(ctx) {}

  void play() {
    bool listens = near_ == attempt_.scenario.near_listens;
    if (listens ? meet_as_listener() : meet_as_client()) {
      attempt_.there[near_ ? 0 : 1] = true;
      exchange();
      attempt_.there[near_ ? 0 : 1] = false;
      account.note("rc_channel_close", rc_channel_close(channel_));
      regions_.free();
    }
    if (listener_.id != 0) account.note("rc_listener_close", rc_listener_close(listener_));
    if (near_) attempt_.near_done = true;
  }

  Account account;

 private:
  rc_channel_config config() const {
    rc_channel_config c = {};
    c.size = sizeof c;
    c.wait = attempt_.quick ? RC_WAIT_ADAPTIVE : RC_WAIT_SLEEP;
    c.identity = near_ ? "near" : "far";
    c.token = "secret";
    return c;
  }

  // A try of the far end must not end while the near one, made slow by a sanitizer, is about to take it.
#ifdef RC_SANITIZED
  static constexpr int64_t kTryNs = 150 * kMs;
#else
  static constexpr int64_t kTryNs = 30 * kMs;
#endif
  int64_t meeting_ns() const { return attempt_.faulty ? (near_ ? 300 * kMs : kTryNs) : 10000 * kMs; }

  // The far end tries until the near one has given up: a fault of the near end may cost it an attempt.
  template <class F>
  bool try_to_meet(const char* function, F f) {
    for (;;) {
      int32_t code = f();
      bool again = attempt_.faulty && !near_ && code != RC_OK && !attempt_.near_done;
      if (!again) return account.note(function, code);
      std::string complaint = Manual::shipped().complaint(function, code);
      if (!complaint.empty()) account.complain(complaint);
    }
  }

  bool meet_as_listener() {
    rc_channel_config c = config();
    const char* uri = attempt_.scenario.uri.c_str();
    bool well = account.note("rc_listen", rc_listen(ctx_, uri, &c, &listener_));
    attempt_.listening.set_value();
    if (!well) return false;
    int32_t fd;
    account.note("rc_listener_fd", rc_listener_fd(listener_, &fd));
    return try_to_meet("rc_accept", [&] { return rc_accept(listener_, meeting_ns(), &channel_); });
  }

  // Of a list that tcp leads the faults are tcp's: whoever tried before anybody listened could be let in by shm.
  bool meet_as_client() {
    if (near_ && attempt_.scenario.list && attempt_.scenario.tcp) attempt_.listening.get_future().wait();
    rc_channel_config c = config();
    const char* uri = attempt_.scenario.uri.c_str();
    return try_to_meet("rc_connect", [&] { return rc_connect(ctx_, uri, &c, meeting_ns(), &channel_); });
  }

  // A call of the exchange. The other end does its half of it until it fails or is done.
  bool step(const char* function, int32_t code) {
    bool may_be_over = attempt_.cut && code == RC_E_PEER_DEAD;
    if (code <= -200 && code > -300 && attempt_.there[near_ ? 1 : 0] && !may_be_over) {
      account.complain(fmt::format("{} returned {}, but the other end is alive and has not closed: {}", function,
                                   rc_code_name(code), rc_reason()));
    }
    if (code == RC_E_TIMEOUT) account.complain(fmt::format("{} timed out: a wake-up was lost", function));
    return account.note(function, code);
  }

  bool put(size_t n) {
    soak::stamp_fill(buffer_, n, near_ ? 1 : 2, put_);
    put_ += n;
    return step("rc_put", rc_put(channel_, buffer_, n, kExchangeNs, nullptr));
  }

  bool take(const void* data, size_t n) {
    if (soak::stamp_check(data, n, near_ ? 2 : 1, got_) != n) account.complain("wrong content");
    got_ += n;
    return true;
  }

  bool get(size_t n) { return step("rc_get", rc_get(channel_, buffer_, n, kExchangeNs, nullptr)) && take(buffer_, n); }

  bool send() {
    uint32_t imm = 7;
    return step("rc_send", rc_send(channel_, "message", 7, &imm, kExchangeNs, nullptr));
  }

  bool recv() {
    size_t n;
    uint32_t imm, has_imm;
    if (!step("rc_recv", rc_recv(channel_, buffer_, sizeof buffer_, &n, &imm, &has_imm, kExchangeNs))) return false;
    if (n != 7 || memcmp(buffer_, "message", 7) != 0 || imm != 7 || has_imm != 1) account.complain("wrong message");
    return true;
  }

  bool put_in_place(size_t n) {
    rc_span spans[2];
    if (!step("rc_reserve", rc_reserve(channel_, n, kExchangeNs, spans))) return false;
    size_t first = spans[0].bytes < n ? spans[0].bytes : n;
    soak::stamp_fill(spans[0].data, first, near_ ? 1 : 2, put_);
    soak::stamp_fill(spans[1].data, n - first, near_ ? 1 : 2, put_ + first);
    put_ += n;
    return step("rc_commit", rc_commit(channel_, n));
  }

  bool get_in_place(size_t n) {
    rc_const_span spans[2];
    if (!step("rc_peek", rc_peek(channel_, n, kExchangeNs, spans))) return false;
    size_t first = spans[0].bytes < n ? spans[0].bytes : n;
    return take(spans[0].data, first) && take(spans[1].data, n - first) && step("rc_release", rc_release(channel_, n));
  }

  bool put_batch() {
    soak::stamp_fill(buffer_, 50, near_ ? 1 : 2, put_);
    put_ += 50;
    return step("rc_put_more", rc_put_more(channel_, buffer_, 50, kExchangeNs, nullptr)) &&
           step("rc_flush", rc_flush(channel_)) && step("rc_sync", rc_sync(channel_, kExchangeNs));
  }

  bool get_by_descriptor(size_t n) {
    int32_t fd;
    if (!step("rc_channel_fd", rc_channel_fd(channel_, &fd))) return false;
    for (;;) {
      int32_t code = rc_try_get(channel_, buffer_, n);
      if (code != RC_E_WOULD_BLOCK) return step("rc_try_get", code) && take(buffer_, n);
      pollfd p = {fd, POLLIN, 0};
      if (poll(&p, 1, static_cast<int>(kExchangeNs / kMs)) == 0) {
        account.complain("the descriptor did not become readable: a wake-up was lost");
        return false;
      }
    }
  }

  // The same by the context's descriptor; this end may be what the other one waits for.
  bool get_by_context(size_t n) {
    int32_t fd = -1;
    if (!step("rc_fd", rc_fd(ctx_, &fd)) || !step("rc_progress_all", rc_progress_all(ctx_))) return false;
    for (;;) {
      int32_t code = rc_try_get(channel_, buffer_, n);
      if (code != RC_E_WOULD_BLOCK) return step("rc_try_get", code) && take(buffer_, n);
      rc_event event;
      uint32_t count = 0;
      code = rc_poll(ctx_, &event, 1, kExchangeNs, &count);
      if (code == RC_E_TIMEOUT) {
        account.complain("rc_poll did not tell of the channel: a wake-up was lost");
        return false;
      }
      if (!step("rc_poll", code)) return false;
    }
  }

  void exchange() {
    bool well = attempt_.scenario.regions ? exchange_memory() : exchange_bytes();
    // The far end leaves first; the near one has all it needs.
    static_cast<void>(well && (near_ ? get(1) : put(1)));
  }

  // Each end is the owner once.
  bool exchange_memory() {
    if (near_ && attempt_.at_exchange != nullptr) attempt_.at_exchange->resume();
    return regions_.make(ctx_, channel_) &&
           (near_ ? regions_.own() && regions_.use() : regions_.use() && regions_.own());
  }

  // Both ways of everything; small, and larger than the ring.
  bool exchange_bytes() {
    auto both = [&](auto out, auto in) { return near_ ? out() && in() : in() && out(); };
    rc_info info = {};
    info.size = sizeof info;
    rc_counters counters = {};
    counters.size = sizeof counters;
    return both([&] { return put(100); }, [&] { return get(100); }) &&
           both([&] { return put(40000); }, [&] { return get(40000); }) &&
           both([&] { return put_in_place(3000); }, [&] { return get_in_place(3000); }) &&
           both([&] { return put_batch(); }, [&] { return get(50); }) &&
           both([&] { return put(8); }, [&] { return get_by_descriptor(8); }) &&
           both([&] { return put(8); }, [&] { return get_by_context(8); }) &&
           step("rc_progress", rc_progress(channel_)) && step("rc_channel_info", rc_channel_info(channel_, &info)) &&
           step("rc_channel_counters", rc_channel_counters(channel_, &counters)) &&
           both([&] { return send(); }, [&] { return recv(); });
  }

  Attempt& attempt_;
  bool near_;
  rc_ctx ctx_;
  rc_listener listener_ = {};
  rc_channel channel_ = {};
  uint64_t put_ = 0, got_ = 0;
  uint8_t buffer_[40000];
  Regions regions_{kExchangeNs, [this](const char* function, int32_t code) { return step(function, code); },
                   [this](const std::string& what) { account.complain(what); }};
};

bool said_by_tcp(const Fault& fault) {
  const std::vector<int>& errors = plausible_errors(fault.call, true);
  return std::find(errors.begin(), errors.end(), fault.error) != errors.end();
}

rc_config config_of(const Scenario& s) {
  rc_config c = {};
  c.size = sizeof c;
  // Just enough: whatever is not given back is missed at once.
  c.channels_max = s.one_context ? 2 : 1;
  c.listeners_max = s.list ? 3 : 1;
  c.rings_max = s.one_context || s.tcp || s.list ? 2 : 1;
  c.ring_bytes = kRingBytes;
  if (!s.regions) return c;
  c.mrs_max = (s.one_context ? 2 : 1) * Regions::kOfOneEnd + Regions::kForTheOther;
  c.mr_bytes = ((s.one_context ? 2 : 1) + Regions::kForTheOther) * Regions::kBytes;
  c.op_ring_bytes = Regions::kBytes;
  c.requests_max = 4;
  c.peer_mr_bytes = Regions::kBytes;
  return c;
}

// One attempt, on this thread and another; with a fault the near end may fail, and so the far one.
void attempt(const Scenario& s, rc_ctx near, rc_ctx far, const Fault* fault, Faulty& faults, Verdict* verdict) {
  if (s.stale_socket) leave_stale_socket(s.uri.substr(strlen("shm:")));
  bool faulty = fault != nullptr, may_fail = faulty && fault->error != EINTR;  // an interrupted call is repeated
  std::vector<std::string>* problems = &verdict->problems;
  // The calls before the exchange are left to the scenarios that exchange bytes.
  bool later = faulty && s.regions;
  // Of a list tcp may have been taken, which ends over what its sockets never say.
  bool cut = faulty && (fault->ends_connection() || (s.list && !said_by_tcp(*fault)));
  Attempt a{s, may_fail && !later, cut, s.regions && !faulty, later ? &faults : nullptr};
  EndOfScene far_end(a, false, far), near_end(a, true, near);
  std::thread thread([&] { far_end.play(); });
  if (faulty && !later) faults.resume();
  near_end.play();
  faults.pause();
  thread.join();
  const Account &n = near_end.account, &f = far_end.account;
  for (const std::string& c : n.complaints()) problems->push_back("near end: " + c);
  for (const std::string& c : f.complaints()) problems->push_back("far end: " + c);
  const std::string when = faulty ? "must succeed, " : "afterwards, ";
  if (!may_fail && n.failed()) problems->push_back(when + "near end: " + n.failure());
  if (!may_fail && f.failed()) problems->push_back(when + "far end: " + f.failure());
  if (may_fail && !n.failed() && f.failed())
    problems->push_back("the near end had no error, but the far end: " + f.failure());
  if (faulty) verdict->code = n.code();
  if (s.stale_socket) unlink(s.uri.c_str() + strlen("shm:"));
}

}  // namespace

bool Account::note(const char* function, int32_t code) {
  std::string complaint = Manual::shipped().complaint(function, code);
  if (!complaint.empty()) complain(complaint);
  if (code != RC_OK && failure_.empty()) {
    code_ = code;
    failure_ = fmt::format("{}: {}: {}", function, rc_code_name(code), rc_reason());
  }
  return code == RC_OK;
}

std::vector<Scenario> all_scenarios() {
  std::string name = "shm:fail-" + random_text(), path = "shm:/tmp/fail-" + random_text(),
              loop = "loop:fail-" + random_text();
  std::vector<Scenario> all = {
      {"ShmNearListens", name, true, false, false},  {"ShmNearConnects", name, false, false, false},
      {"PathNearListens", path, true, false, false}, {"StalePathNearListens", path, true, false, true},
      {"LoopNearListens", loop, true, true, false},  {"LoopNearConnects", loop, false, true, false}};
  for (const Scenario& s : tcp_scenarios()) all.push_back(s);
  std::string place = conformance::unique_tcp_uri("127.0.0.1").substr(strlen("tcp"));
  all.push_back({"ListNearListens", "shm+tcp" + place, true, false, false, false, false, true});
  all.push_back({"ListNearConnects", "shm+tcp" + place, false, false, false, false, false, true});
  all.push_back({"TcpOfListNearConnects", "tcp+shm" + place, false, false, false, true, false, true});
  for (const char* of : {"ShmNearConnects", "LoopNearConnects", "TcpNearConnects"}) {
    Scenario regions = *std::find_if(all.begin(), all.end(), [of](const Scenario& s) { return s.name == of; });
    regions.name += "Regions";
    regions.regions = true;
    all.push_back(regions);
  }
  return all;
}

// By number, and by name where names can be looked up.
std::vector<Scenario> tcp_scenarios() {
  std::string number = conformance::unique_tcp_uri("127.0.0.1"),
              name = "tcp://localhost" + number.substr(number.rfind(':'));
  std::vector<Scenario> all = {{"TcpNearListens", number, true, false, false, true},
                               {"TcpNearConnects", number, false, false, false, true}};
  addrinfo* found = nullptr;
  if (getaddrinfo("localhost", nullptr, nullptr, &found) != 0) return all;
  freeaddrinfo(found);
  all.push_back({"TcpNameNearListens", name, true, false, false, true});
  all.push_back({"TcpNameNearConnects", name, false, false, false, true});
  return all;
}

int count_descriptors() {
  DIR* d = opendir("/proc/self/fd");
  int n = 0;
  while (readdir(d) != nullptr) ++n;
  closedir(d);
  return n;
}

int count_ring_mappings() {
  FILE* f = fopen("/proc/self/maps", "re");
  char line[512];
  int n = 0;
  while (fgets(line, sizeof line, f) != nullptr) n += strstr(line, "memfd:ringchan") != nullptr;
  fclose(f);
  return n;
}

Verdict play(const Scenario& s, const Fault& fault) {
  Verdict v;
  int descriptors = count_descriptors(), mappings = count_ring_mappings();
  rc_config config = config_of(s);
  rc_ctx near = {}, far = {};
  Account opening;
  {
    Faulty faults(fault);
    if (s.regions) faults.pause();
    if (!opening.note("rc_open", rc_open(&config, &near))) {
      faults.pause();
      opening.note("rc_open", rc_open(&config, &near));
    }
    faults.pause();
    if (s.one_context) {
      far = near;
      // The first of these calls needs a moment without the other thread.
      int32_t fd = -1;
      if (!s.regions) opening.note("rc_fd", rc_fd(near, &fd));
      if (!s.regions) opening.note("rc_progress_all", rc_progress_all(near));
    } else {
      opening.note("rc_open", rc_open(&config, &far));
    }
    attempt(s, near, far, &fault, faults, &v);
    attempt(s, near, far, nullptr, faults, &v);
    faults.resume();
    opening.note("rc_close", rc_close(near));
    faults.pause();
    v.happened = faults.happened();
    v.calls = faults.calls();
  }
  if (!s.one_context) opening.note("rc_close", rc_close(far));
  for (const std::string& c : opening.complaints()) v.problems.push_back(c);
  if (count_descriptors() != descriptors) {
    v.problems.push_back(fmt::format("{} descriptors before, {} after", descriptors, count_descriptors()));
  }
  if (count_ring_mappings() != mappings) {
    v.problems.push_back(fmt::format("{} rings are still mapped", count_ring_mappings() - mappings));
  }
  return v;
}

}  // namespace failpoint
