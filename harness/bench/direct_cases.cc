#include "harness/bench/direct_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "capi/rc.h"
#include "harness/bench/ringchan_cases.h"

namespace rcbench {
namespace {

constexpr int64_t kSetUpNs = 10'000'000'000;
constexpr uint32_t kAll = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;

void must(int32_t code, const char* call) {
  if (code != RC_OK) throw std::runtime_error(fmt::format("{}: {}: {}", call, rc_code_name(code), rc_reason()));
}

size_t whole_pages(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

// Both ends of either kind: memory of one's own that the other reaches, and ways into the other's.
class DirectEnd {
 public:
  DirectEnd(int index, const std::string& uri, size_t bytes) {
    rc_config config = {};
    config.size = sizeof(config);
    config.channels_max = 1;
    config.listeners_max = 1;
    config.ring_bytes = 65536;
    config.mr_bytes = 2 * whole_pages(bytes);
    must(rc_open(&config, &ctx_), "rc_open");
    if (index == 0) {
      rc_listener listener;
      must(rc_listen(ctx_, uri.c_str(), nullptr, &listener), "rc_listen");
      must(rc_accept(listener, kSetUpNs, &channel_), "rc_accept");
    } else {
      must(rc_connect(ctx_, uri.c_str(), nullptr, kSetUpNs, &channel_), "rc_connect");
    }
    rc_mr shared;
    rc_grant grant;
    must(rc_mr_alloc(ctx_, bytes, 0, &shared), "rc_mr_alloc");
    must(rc_mr_alloc(ctx_, bytes, 0, &local_), "rc_mr_alloc");
    must(rc_mr_grant(channel_, shared, 0, bytes, kAll | RC_MR_DIRECT, RC_LEASE_NONE, &grant), "rc_mr_grant");
    must(rc_remote_get(channel_, kSetUpNs, &theirs_), "rc_remote_get");
    mine = address_of(shared);
    local = address_of(local_);
  }
  ~DirectEnd() { rc_close(ctx_); }
  DirectEnd(const DirectEnd&) = delete;
  DirectEnd& operator=(const DirectEnd&) = delete;

  void write(const void* data, size_t n) {
    memcpy(local, data, n);
    write_local(0, n);
  }
  void write_local(size_t at, size_t n) { must(rc_write(local_, 0, theirs_, at, n, nullptr), "rc_write"); }
  const void* read(size_t n) {
    must(rc_read(local_, 0, theirs_, 0, n, nullptr), "rc_read");
    return local;
  }
  uint64_t swap(uint64_t expected, uint64_t desired) {
    rc_request request;
    uint64_t old = 0;
    must(rc_compare_swap(theirs_, 0, expected, desired, &request), "rc_compare_swap");
    must(rc_request_test(request, &old), "rc_request_test");
    return old;
  }
  uint8_t* mine;
  uint8_t* local;

 private:
  static uint8_t* address_of(rc_mr mr) {
    rc_region region = {};
    region.size = sizeof(region);
    must(rc_mr_info(mr, &region), "rc_mr_info");
    return static_cast<uint8_t*>(region.address);
  }
  rc_ctx ctx_;
  rc_channel channel_;
  rc_mr local_;
  rc_remote theirs_;
};

class BareEnd {
 public:
  BareEnd(int index, uint8_t* memory, size_t bytes)
      : mine(memory + (index == 0 ? 0 : whole_pages(bytes))),
        theirs_(memory + (index == 0 ? whole_pages(bytes) : 0)),
        buffer_(bytes) {}

  void write(const void* data, size_t n) { memcpy(theirs_, data, n); }
  void write_local(size_t at, size_t n) {
    memcpy(theirs_ + at, buffer_.data(), n);
    asm volatile("" : : : "memory");
  }
  const void* read(size_t n) {
    asm volatile("" : : : "memory");
    memcpy(buffer_.data(), theirs_, n);
    return buffer_.data();
  }
  uint64_t swap(uint64_t expected, uint64_t desired) {
    __atomic_compare_exchange_n(reinterpret_cast<uint64_t*>(theirs_), &expected, desired, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return expected;
  }
  uint8_t* mine;

 private:
  uint8_t* theirs_;
  Buffer buffer_;
};

// Copies a message whose words belong together and that is not the last one; false: there is none such.
bool take_whole(const void* from, void* to, size_t n, uint64_t* last) {
  uint64_t words[8] = {};
  for (size_t i = 0; i < n / 8; ++i)
    words[i] = __atomic_load_n(static_cast<const uint64_t*>(from) + i, __ATOMIC_ACQUIRE);
  if (words[0] == *last) return false;
  for (size_t i = 1; i < n / 8; ++i) {
    if (words[i] != words[0] + i) return false;
  }
  *last = words[0];
  memcpy(to, words, n);
  return true;
}

template <class End>
struct Port {
  End& end;
  Reach reach;
  uint64_t got = 0, sent = 0;

  void send(const void* data, size_t n) {
    if (reach == Reach::kWrite) return end.write(data, n);
    if (reach == Reach::kRead) {
      memcpy(end.mine, data, n);
      asm volatile("" : : : "memory");
      return;
    }
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    if (end.swap(sent, word) != sent) throw std::runtime_error("a compare-and-swap found another word");
    sent = word;
  }
  const void* recv(void* data, size_t n) {
    while (!take_whole(reach == Reach::kRead ? end.read(n) : end.mine, data, n, &got)) {
    }
    return data;
  }
  void flush() {}
};

template <class End>
void run_pingpong(Side& side, int index, End& end, Reach reach, const Job& job) {
  Port<End> port{end, reach};
  run_side_of(Test::kPingPong, index, side, port, job);
}

size_t area_of(const Job& job) { return std::max(job.ring_bytes / job.bytes, size_t{1}) * job.bytes; }

template <class End>
void run_stream(Side& side, int index, End& end, const Job& job) {
  size_t n = run_time_size(job.bytes), area = area_of(job), at = 0;
  side.meet();
  for (uint64_t i = 0; index == 0 && i < job.all(); ++i) {
    if (i == job.warm_up) side.start();
    end.write_local(at, n);
    at = at + 2 * n <= area ? at + n : 0;
  }
  if (index == 0) side.stop(job.count);
  side.meet();
}

template <class Run>
Sample direct_sample(const Placement& placement, size_t bytes, Run run) {
  std::string uri = fresh_uri("shm");
  auto body = [&](int index) {
    return [&, index](Side& side) {
      DirectEnd end(index, uri, bytes);
      run(side, index, end);
    };
  };
  return run_pair(placement, 0, body(0), body(1));
}

template <class Run>
Sample bare_sample(const Placement& placement, size_t bytes, Run run) {
  auto body = [&](int index) {
    return [&, index](Side& side) {
      BareEnd end(index, side.memory(), bytes);
      run(side, index, end);
    };
  };
  return run_pair(placement, 2 * whole_pages(bytes), body(0), body(1));
}

}  // namespace

Sample direct_pingpong(const Placement& placement, Reach reach, const Job& job) {
  return direct_sample(placement, job.bytes,
                       [&](Side& side, int index, DirectEnd& end) { run_pingpong(side, index, end, reach, job); });
}

Sample bare_pingpong(const Placement& placement, Reach reach, const Job& job) {
  return bare_sample(placement, job.bytes,
                     [&](Side& side, int index, BareEnd& end) { run_pingpong(side, index, end, reach, job); });
}

Sample direct_stream(const Placement& placement, const Job& job) {
  return direct_sample(placement, area_of(job),
                       [&](Side& side, int index, DirectEnd& end) { run_stream(side, index, end, job); });
}

Sample bare_stream(const Placement& placement, const Job& job) {
  return bare_sample(placement, area_of(job),
                     [&](Side& side, int index, BareEnd& end) { run_stream(side, index, end, job); });
}

}  // namespace rcbench
