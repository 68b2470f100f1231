#include "harness/hostile/ordeal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "capi/rc.h"
#include "harness/hostile/babbler.h"
#include "harness/hostile/child.h"
#include "harness/hostile/raw_peer.h"
#include "harness/hostile/scribbler.h"
#include "harness/hostile/things.h"

namespace hostile {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kPatience = kPatienceMs * kMs;
constexpr int64_t kDeadline = kMs / 2;  // of each call
constexpr int64_t kBound = 5000 * kMs;  // what no call may take, however loaded the machine
constexpr size_t kMost = 3000;          // bytes of one call
constexpr size_t kGuard = 64;
#ifdef RC_SANITIZED
constexpr int64_t kGrowthMostKb = INT64_MAX;  // a sanitizer keeps what is freed
#else
constexpr int64_t kGrowthMostKb = 4096;
#endif

// One side's calls, and what they came to.
class Side {
 public:
  Side(rc_channel ch, uint32_t seed) : ch_(ch), random_(seed), buffer_(kMost + kGuard) {}

  // False once the channel is over.
  bool put_something();
  bool get_something(bool messages);
  bool look_around();
  OrdealReport report;

 private:
  size_t some() { return random_() % 4 == 0 ? random_() % kMost : random_() % 80; }
  // Guards the buffer and the clock around a call.
  template <class Call>
  bool checked(const char* name, size_t n, size_t* done, Call call);
  bool reserve_and_commit();
  bool peek_and_release();
  bool send(size_t n);
  bool receive(size_t n);

  rc_channel ch_;
  std::mt19937 random_;
  std::vector<uint8_t> buffer_;
  size_t half_sent_ = 0;  // size of the message that must go on
};

bool allowed(int32_t code) {
  for (int32_t ok : {RC_OK, RC_E_WOULD_BLOCK, RC_E_TIMEOUT, RC_E_SIZE, RC_E_STATE, RC_E_TRUNCATED, RC_E_CLOSED,
                     RC_E_PEER_DEAD, RC_E_CORRUPT}) {
    if (code == ok) return true;
  }
  return false;
}

template <class Call>
bool Side::checked(const char* name, size_t n, size_t* done, Call call) {
  memset(buffer_.data() + n, 0xa5, kGuard);
  auto begin = Clock::now();
  int32_t code = call(buffer_.data());
  int64_t took = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
  ++report.calls;
  ++report.codes[rc_code_name(code)];
  if (took > report.longest_ns) report.longest_ns = took;
  std::string wrong;
  if (!allowed(code)) wrong = "ended with " + std::string(rc_code_name(code)) + ": " + rc_reason();
  if (done != nullptr && *done > n) wrong = "claims " + std::to_string(*done) + " bytes of " + std::to_string(n);
  if (took > kBound) wrong = "took " + std::to_string(took / kMs) + " ms";
  for (size_t i = 0; i < kGuard; ++i) {
    if (buffer_[n + i] != 0xa5) wrong = "wrote behind its buffer";
  }
  if (!wrong.empty()) report.failures.push_back(std::string(name) + " of " + std::to_string(n) + " bytes " + wrong);
  return code > -200;
}

bool Side::reserve_and_commit() {
  rc_span spans[2] = {};
  size_t n = 1 + some() % 60;
  bool fine = checked("rc_reserve", 0, nullptr, [&](uint8_t*) { return rc_reserve(ch_, n, kDeadline, spans); });
  for (const rc_span& s : spans) {
    if (s.bytes != 0) memset(s.data, 'r', s.bytes);
  }
  return checked("rc_commit", 0, nullptr, [&](uint8_t*) { return rc_commit(ch_, spans[0].bytes != 0 ? n : 0); }) &&
         fine;
}

bool Side::peek_and_release() {
  rc_const_span spans[2] = {};
  bool fine = checked("rc_peek", 0, nullptr, [&](uint8_t*) { return rc_peek(ch_, 1, kDeadline, spans); });
  size_t n = 0;
  for (const rc_const_span& s : spans) {
    for (size_t i = 0; i < s.bytes && n < kMost; ++i) buffer_[n++] = static_cast<const volatile uint8_t*>(s.data)[i];
  }
  return checked("rc_release", 0, nullptr, [&](uint8_t*) { return rc_release(ch_, n); }) && fine;
}

bool Side::send(size_t n) {
  size_t done = 0;
  int32_t code = RC_OK;
  bool fine =
      checked("rc_send", n, &done, [&](uint8_t* p) { return code = rc_send(ch_, p, n, nullptr, kDeadline, &done); });
  half_sent_ = code == RC_OK || code == RC_E_STATE ? 0 : n;
  report.bytes_put += done;
  return fine;
}

bool Side::receive(size_t n) {
  size_t got = 0;
  int32_t code = RC_OK;
  bool fine = checked("rc_recv", n, nullptr,
                      [&](uint8_t* p) { return code = rc_recv(ch_, p, n, &got, nullptr, nullptr, kDeadline); });
  if (code == RC_OK && got > n) report.failures.push_back("rc_recv gave more than the buffer holds");
  report.messages_got += code == RC_OK;
  // What cannot be received is skipped as bytes, so that the next header comes.
  return fine && (code != RC_E_TRUNCATED ||
                  checked("rc_get", 16, nullptr, [&](uint8_t* p) { return rc_get(ch_, p, 16, kDeadline, nullptr); }));
}

bool Side::put_something() {
  size_t n = some(), done = 0;
  bool fine;
  if (half_sent_ != 0) return send(half_sent_);
  switch (random_() % 8) {
    case 0:
      fine = checked("rc_put_some", n, &done, [&](uint8_t* p) { return rc_put_some(ch_, p, n, &done); });
      break;
    case 1:
      fine = checked("rc_try_put", n, nullptr, [&](uint8_t* p) { return rc_try_put(ch_, p, n); });
      break;
    case 2:
      fine = checked("rc_put_more", n, &done, [&](uint8_t* p) { return rc_put_more(ch_, p, n, kDeadline, &done); });
      break;
    case 3:
      fine = checked("rc_flush", 0, nullptr, [&](uint8_t*) { return rc_flush(ch_); });
      break;
    case 4:
      fine = reserve_and_commit();
      break;
    case 5:
      return send(n);
    default:
      fine = checked("rc_put", n, &done, [&](uint8_t* p) { return rc_put(ch_, p, n, kDeadline, &done); });
  }
  report.bytes_put += done;
  return fine;
}

bool Side::get_something(bool messages) {
  size_t n = some(), done = 0;
  if (messages) return receive(n);
  bool fine;
  switch (random_() % 8) {
    case 0:
      fine = checked("rc_get_some", n, &done, [&](uint8_t* p) { return rc_get_some(ch_, p, n, kDeadline, &done); });
      break;
    case 1:
      fine = checked("rc_try_get", n, nullptr, [&](uint8_t* p) { return rc_try_get(ch_, p, n); });
      break;
    case 2:
      fine = peek_and_release();
      break;
    case 3:
      fine = checked("rc_getv", n, &done, [&](uint8_t* p) {
        rc_span spans[2] = {{p, n / 2}, {p + n / 2, n - n / 2}};
        return rc_getv(ch_, spans, 2, kDeadline, &done);
      });
      break;
    default:
      fine = checked("rc_get", n, &done, [&](uint8_t* p) { return rc_get(ch_, p, n, kDeadline, &done); });
  }
  report.bytes_got += done;
  return fine;
}

bool Side::look_around() {
  size_t readable = 0, writable = 0;
  int32_t fd = -1;
  bool fine = checked("rc_channel_fd", 0, nullptr, [&](uint8_t*) { return rc_channel_fd(ch_, &fd); });
  pollfd p = {fd, POLLIN, 0};
  poll(&p, 1, 0);
  return checked("rc_ready", 0, nullptr, [&](uint8_t*) { return rc_ready(ch_, &readable, &writable); }) && fine;
}

void add(OrdealReport& to, const OrdealReport& from, const std::string& where) {
  to.calls += from.calls;
  to.bytes_put += from.bytes_put;
  to.bytes_got += from.bytes_got;
  to.messages_got += from.messages_got;
  if (from.longest_ns > to.longest_ns) to.longest_ns = from.longest_ns;
  for (const auto& [code, times] : from.codes) to.codes[code] += times;
  for (const std::string& failure : from.failures) to.failures.push_back(where + failure);
}

int64_t resident_kb() {
  int64_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

class Ordeal {
 public:
  Ordeal(Over over, OrdealReport& report) : over_(over), report_(report) {
    rc_config config = {};
    config.size = sizeof config;
    expect(rc_open(&config, &ctx_), "rc_open");
    if (over_ == Over::kTcp) held_ = bound_socket(&rogue_port_);
    std::string uri = over_ == Over::kTcp ? "tcp://127.0.0.1:0" : "shm:" + unique_name();
    char found[160] = "";
    expect(rc_listen(ctx_, uri.c_str(), nullptr, &listener_), "rc_listen");
    expect(rc_listener_uri(listener_, found, sizeof found), "rc_listener_uri");
    uri_ = found;
  }
  ~Ordeal() {
    expect(rc_close(ctx_), "rc_close");
    if (held_ >= 0) close(held_);
  }

  void round(uint32_t seed) {
    where_ = "seed " + std::to_string(seed) + ": ";
    Plague plague = choose_plague(seed);
    Things before = things_now();
    std::string rogue = plague.client         ? uri_
                        : over_ == Over::kTcp ? "tcp://127.0.0.1:" + std::to_string(rogue_port_)
                                              : "shm:" + unique_name();
    {
      Child child([&] { return torment(rogue, plague); });
      rc_channel ch = {0};
      int32_t code = plague.client ? rc_accept(listener_, kPatience, &ch)
                                   : rc_connect(ctx_, rogue.c_str(), nullptr, kPatience, &ch);
      expect(code, "the handshake");
      if (code == RC_OK) suffer(ch, plague);
      child.signal(SIGKILL);
    }
    ++report_.rounds;
    if (over_ == Over::kTcp) see_off(before);
    Things after = things_now();
    if (!(after == before)) report_.failures.push_back(where_ + "left behind:\n" + after.listing);
  }

 private:
  int torment(const std::string& uri, const Plague& plague) const {
    if (over_ == Over::kTcp) return babble(static_cast<uint16_t>(atoi(strrchr(uri.c_str(), ':') + 1)), plague);
    return scribble(uri.substr(strlen("shm:")), plague);
  }
  // The crowd has died with its process; the listener notices when it is looked at, and may hear of it bit by bit.
  void see_off(const Things& before) {
    rc_channel none = {0};
    int32_t code = RC_OK;
    auto end = Clock::now() + std::chrono::nanoseconds(kBound);
    for (pollfd p = {-1, POLLIN, 0}; Clock::now() < end; poll(&p, 0, 1)) {
      code = rc_accept(listener_, 0, &none);
      if (code == RC_E_WOULD_BLOCK && things_now() == before) return;
    }
    if (code != RC_E_WOULD_BLOCK) expect(code == RC_OK ? RC_E_STATE : code, "rc_accept after the crowd has gone");
  }
  void expect(int32_t code, const char* what) {
    if (code != RC_OK)
      report_.failures.push_back(where_ + what + " ended with " + rc_code_name(code) + ": " + rc_reason());
  }
  void suffer(rc_channel ch, const Plague& plague) {
    auto end = Clock::now() + std::chrono::milliseconds(plague.ms);
    Side putter(ch, plague.seed + 1), getter(ch, plague.seed + 2);
    if (plague.seed % 3 == 0) {  // one thread, with a descriptor
      while (Clock::now() < end && putter.put_something() && getter.get_something(plague.messages) &&
             getter.look_around())
        continue;
    } else {
      std::thread puts([&] {
        while (Clock::now() < end && putter.put_something()) continue;
      });
      while (Clock::now() < end && getter.get_something(plague.messages)) continue;
      puts.join();
    }
    expect(rc_channel_close(ch), "rc_channel_close");
    add(report_, putter.report, where_);
    add(report_, getter.report, where_);
  }

  const Over over_;
  OrdealReport& report_;
  rc_ctx ctx_ = {0};
  rc_listener listener_ = {0};
  std::string uri_, where_;
  int held_ = -1;  // keeps the port where peers listen ours
  uint16_t rogue_port_ = 0;
};

}  // namespace

OrdealReport endure(Over over, double seconds, uint32_t seed,
                    const std::function<void(const OrdealReport&)>& progress) {
  OrdealReport report;
  auto begin = Clock::now(), told = begin;
  auto elapsed = [](Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); };
  Ordeal ordeal(over, report);
  int64_t at_first_kb = 0;
  while (elapsed(begin) < seconds && report.failures.size() < 10) {
    ordeal.round(seed++);
    // What is touched for the first time is no growth.
    if (at_first_kb == 0 && elapsed(begin) >= seconds / 10) at_first_kb = resident_kb();
    if (at_first_kb != 0) report.grown_kb = resident_kb() - at_first_kb;
    if (elapsed(told) < 2) continue;
    told = Clock::now();
    progress(report);
  }
  if (report.grown_kb > kGrowthMostKb)
    report.failures.push_back("memory has grown by " + std::to_string(report.grown_kb) + " KB");
  return report;
}

}  // namespace hostile
