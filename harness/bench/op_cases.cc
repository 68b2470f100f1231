#include "harness/bench/op_cases.h"

#include <fmt/format.h>

#include <stdexcept>

#include "capi/rc.h"
#include "harness/bench/report.h"
#include "harness/bench/ringchan_cases.h"

namespace rcbench {
namespace {

constexpr int64_t kSetUpNs = 10'000'000'000;
constexpr uint32_t kAll = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;
constexpr uint64_t kUnderWay = 16;
constexpr uint64_t kServed = uint64_t{1} << 40;  // the content of the granted memory, as that of a message

void must(int32_t code, const char* call) {
  if (code != RC_OK) throw std::runtime_error(fmt::format("{}: {}: {}", call, rc_code_name(code), rc_reason()));
}

// A channel and one region. The one of end 1 is granted to end 0.
class OpEnd {
 public:
  OpEnd(int index, const std::string& uri, size_t bytes, uint32_t flags, const Job& job) {
    rc_config config = {};
    config.size = sizeof(config);
    config.channels_max = 1;
    config.listeners_max = 1;
    config.ring_bytes = 65536;
    config.mr_bytes = (bytes + 4095) / 4096 * 4096;
    config.op_ring_bytes = static_cast<uint32_t>(job.ring_bytes);
    must(rc_open(&config, &ctx_), "rc_open");
    rc_channel_config waits = {};
    waits.size = sizeof(waits);
    // Who serves direct operations has nothing to do, and sleeps, as perftest's server does.
    waits.wait = index == 1 && flags != 0 ? RC_WAIT_SLEEP : RC_WAIT_SPIN;
    if (index == 0) {
      rc_listener listener;
      must(rc_listen(ctx_, uri.c_str(), &waits, &listener), "rc_listen");
      must(rc_accept(listener, kSetUpNs, &channel_), "rc_accept");
    } else {
      must(rc_connect(ctx_, uri.c_str(), &waits, kSetUpNs, &channel_), "rc_connect");
    }
    must(rc_mr_alloc(ctx_, bytes, 0, &mr_), "rc_mr_alloc");
    rc_region region = {};
    region.size = sizeof(region);
    must(rc_mr_info(mr_, &region), "rc_mr_info");
    memory = static_cast<uint8_t*>(region.address);
    if (index == 0) {
      must(rc_remote_get(channel_, kSetUpNs, &theirs_), "rc_remote_get");
      return;
    }
    rc_grant grant;
    int32_t code = rc_mr_grant(channel_, mr_, 0, bytes, kAll | flags, flags != 0 ? RC_LEASE_NONE : 0, &grant);
    if (code == RC_E_UNSUPPORTED) throw Missing{rc_reason()};
    must(code, "rc_mr_grant");
  }
  ~OpEnd() { rc_close(ctx_); }
  OpEnd(const OpEnd&) = delete;
  OpEnd& operator=(const OpEnd&) = delete;

  // Serves the other end until that one is done.
  void serve() {
    uint8_t done;
    must(rc_get(channel_, &done, 1, RC_FOREVER, nullptr), "rc_get");
  }
  void end_service() { must(rc_put(channel_, "", 1, RC_FOREVER, nullptr), "rc_put"); }

  rc_request post(Op op, size_t n) {
    rc_request request;
    if (op == Op::kWrite) must(rc_write(mr_, 0, theirs_, 0, n, &request), "rc_write");
    if (op == Op::kRead) must(rc_read(mr_, 0, theirs_, 0, n, &request), "rc_read");
    if (op == Op::kAdd) must(rc_fetch_add(theirs_, 0, 1, &request), "rc_fetch_add");
    return request;
  }
  static uint64_t wait(rc_request request) {
    uint64_t value = 0;
    must(rc_request_wait(request, RC_FOREVER, &value), "rc_request_wait");
    return value;
  }

  uint8_t* memory;

 private:
  rc_ctx ctx_;
  rc_channel channel_;
  rc_mr mr_;
  rc_remote theirs_;
};

uint64_t word_at(const uint8_t* memory) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(memory), __ATOMIC_ACQUIRE);
}

void expect(uint64_t value, uint64_t wanted, const char* what) {
  if (value != wanted) throw std::runtime_error(fmt::format("{} {:#x}, not {:#x}", what, value, wanted));
}

void ask_in_step(Side& side, OpEnd& end, Op op, const Job& job) {
  size_t n = run_time_size(job.bytes);
  Histogram histogram;
  uint64_t last = 0;
  for (uint64_t i = 0; i < job.all(); ++i) {
    if (i == job.warm_up) {
      side.start();
      last = ticks();
    }
    if (op == Op::kWrite) fill_content(end.memory, n, i);
    uint64_t value = OpEnd::wait(end.post(op, n));
    if (op == Op::kRead) expect(word_at(end.memory), first_word(kServed), "a read brought");
    if (op == Op::kAdd) expect(value, first_word(kServed) + i, "an addition found");
    if (i >= job.warm_up) {
      uint64_t now = ticks();
      histogram.add(now - last);
      last = now;
    }
  }
  side.stop(job.count);
  side.report(histogram);
}

// All to one place, as the messages of a bare socket and perftest's writes go from one buffer to one.
void ask_at_once(Side& side, OpEnd& end, const Job& job) {
  size_t n = run_time_size(job.bytes);
  rc_request under_way[kUnderWay];
  for (uint64_t i = 0; i < job.all() + kUnderWay; ++i) {
    if (i >= kUnderWay) OpEnd::wait(under_way[i % kUnderWay]);
    if (i == job.warm_up) side.start();
    if (i < job.all()) under_way[i % kUnderWay] = end.post(Op::kWrite, n);
  }
  side.stop(job.count);
}

template <class Ask, class Check>
Sample op_sample(const Placement& placement, const std::string& backend, uint32_t flags, size_t bytes, const Job& job,
                 Ask ask, Check check) {
  std::string uri = fresh_uri(backend);
  auto asker = [&](Side& side) {
    OpEnd end(0, uri, bytes, flags, job);
    fill_content(end.memory, bytes, 0);
    side.meet();
    ask(side, end);
    end.end_service();
    side.meet();
  };
  // In poll mode its sleep would be naps, a thousand a second.
  std::string server_uri = backend == kOursRdma && flags != 0 ? uri + "&mode=event" : uri;
  auto server = [&](Side& side) {
    OpEnd end(1, server_uri, bytes, flags, job);
    fill_content(end.memory, bytes, kServed);
    side.meet();
    end.serve();
    check(end);
    side.meet();
  };
  return run_pair(placement, 0, asker, server);
}

}  // namespace

Sample op_latency(const Placement& placement, const std::string& backend, uint32_t flags, Op op, const Job& job) {
  auto ask = [&](Side& side, OpEnd& end) { ask_in_step(side, end, op, job); };
  auto check = [&](OpEnd& end) {
    uint64_t wanted =
        op == Op::kWrite ? first_word(job.all() - 1) : first_word(kServed) + (op == Op::kAdd ? job.all() : 0);
    expect(word_at(end.memory), wanted, "the memory holds");
  };
  return op_sample(placement, backend, flags, job.bytes, job, ask, check);
}

Sample op_stream(const Placement& placement, const std::string& backend, uint32_t flags, const Job& job) {
  auto ask = [&](Side& side, OpEnd& end) { ask_at_once(side, end, job); };
  auto check = [&](OpEnd& end) {
    expect(word_at(end.memory + job.bytes - 8), first_word(0) + job.bytes / 8 - 1, "the memory ends with");
  };
  return op_sample(placement, backend, flags, job.bytes, job, ask, check);
}

}  // namespace rcbench
