#include "harness/bench/ringchan_cases.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "capi/rc.h"
#include "harness/bench/perftest.h"
#include "harness/bench/report.h"
#include "harness/conformance/tcp_uri.h"

namespace rcbench {
namespace {

constexpr int64_t kSetUpNs = 10'000'000'000;

void must(int32_t code, const char* call) {
  if (code != RC_OK) throw std::runtime_error(fmt::format("{}: {}: {}", call, rc_code_name(code), rc_reason()));
}

// One end of a channel, in a context of its own.
class RingchanPort {
 public:
  RingchanPort(int index, const std::string& uri, size_t ring_bytes, uint32_t wait) {
    rc_config config = {};
    config.size = sizeof(config);
    config.channels_max = 1;
    config.listeners_max = 1;
    config.ring_bytes = ring_bytes;
    must(rc_open(&config, &ctx_), "rc_open");
    rc_channel_config channel = {};
    channel.size = sizeof(channel);
    channel.ring_bytes = ring_bytes;
    channel.wait = wait;
    if (index == 0) {
      rc_listener listener;
      must(rc_listen(ctx_, uri.c_str(), &channel, &listener), "rc_listen");
      must(rc_accept(listener, kSetUpNs, &channel_), "rc_accept");
      must(rc_listener_close(listener), "rc_listener_close");
    } else {
      must(rc_connect(ctx_, uri.c_str(), &channel, kSetUpNs, &channel_), "rc_connect");
    }
  }
  ~RingchanPort() { rc_close(ctx_); }
  RingchanPort(const RingchanPort&) = delete;
  RingchanPort& operator=(const RingchanPort&) = delete;

  void send(const void* data, size_t n) { must(rc_put(channel_, data, n, RC_FOREVER, nullptr), "rc_put"); }
  const void* recv(void* data, size_t n) {
    must(rc_get(channel_, data, n, RC_FOREVER, nullptr), "rc_get");
    return data;
  }
  void flush() {}
  // The other side may have met this one, and closed, since this one looked.
  void progress() {
    int32_t code = rc_progress(channel_);
    if (code != RC_E_CLOSED) must(code, "rc_progress");
  }

  // One lap around the ring of each direction: a channel in use has its pages mapped.
  void lap(int index, size_t ring_bytes) {
    Buffer buffer(65536);
    for (int direction = 0; direction < 2; ++direction) {
      for (size_t at = 0; at < ring_bytes; at += 65536) {
        size_t n = std::min<size_t>(65536, ring_bytes - at);
        if (direction == index) {
          send(buffer.data(), n);
        } else {
          RingchanPort::recv(buffer.data(), n);
        }
      }
    }
  }

 protected:
  rc_ctx ctx_ = {};
  rc_channel channel_ = {};
};

class RingchanBatchPort : public RingchanPort {
 public:
  using RingchanPort::RingchanPort;

  const void* recv(void*, size_t n) {
    if (next_ == end_) {
      next_ = 0;
      must(rc_get_some(channel_, batch_.data(), kBatch / n * n, RC_FOREVER, &end_), "rc_get_some");
      size_t rest = (n - end_ % n) % n;  // of a message of which only a part has arrived
      if (rest != 0) must(rc_get(channel_, batch_.data() + end_, rest, RC_FOREVER, nullptr), "rc_get");
      end_ += rest;
    }
    const void* message = batch_.data() + next_;
    next_ += n;
    return message;
  }

 private:
  static constexpr size_t kBatch = 65536;
  Buffer batch_{kBatch};
  size_t next_ = 0, end_ = 0;
};

// Each message is written and read where it lies in the ring.
class RingchanInPlacePort : public RingchanPort {
 public:
  using RingchanPort::RingchanPort;

  uint8_t* place(size_t n) {
    rc_span spans[2];
    must(rc_reserve(channel_, n, RC_FOREVER, spans), "rc_reserve");
    return static_cast<uint8_t*>(in_one(spans[0].data, spans[0].bytes, n));
  }
  void send(const void*, size_t n) { must(rc_commit(channel_, n), "rc_commit"); }
  const void* recv(void*, size_t n) {
    if (viewed_ != 0) must(rc_release(channel_, viewed_), "rc_release");
    rc_const_span spans[2];
    must(rc_peek(channel_, n, RC_FOREVER, spans), "rc_peek");
    viewed_ = n;
    return in_one(spans[0].data, spans[0].bytes, n);
  }

 private:
  template <class Data>
  static Data in_one(Data data, size_t size, size_t n) {
    if (size < n) throw std::runtime_error("a message does not lie in one piece: the ring is no multiple of its size");
    return data;
  }
  size_t viewed_ = 0;
};

uint8_t* place_for(RingchanInPlacePort& port, const Buffer&, size_t n) { return port.place(n); }

template <class Port>
Sample sample_of(const Placement& placement, const std::string& backend, Test test, const Job& job, uint32_t wait) {
  std::string uri = fresh_uri(backend, wait == RC_WAIT_SLEEP);
  auto body = [&](int index) {
    return [&, index](Side& side) {
      Port port(index, uri, job.ring_bytes, wait);
      // What the socket had no room for goes out while its end calls in.
      if (backend == "tcp") side.while_waiting = [&port] { port.progress(); };
      port.lap(index, job.ring_bytes);
      run_side_of(test, index, side, port, job);
    };
  };
  return run_pair(placement, 0, body(0), body(1));
}

}  // namespace

std::string fresh_uri(const std::string& backend, bool sleeps) {
  if (backend == kOursRdma) {
    RdmaPort at = rdma_port();
    return fmt::format("rdma://{}:{}?dev={}{}", at.address, fresh_port(), at.device, sleeps ? "&mode=event" : "");
  }
  if (backend == "tcp") return conformance::unique_tcp_uri("127.0.0.1");
  if (backend != "shm") throw std::runtime_error("there is no way yet to measure over " + backend);
  uint64_t random[2];
  if (getrandom(random, sizeof(random), 0) != sizeof(random)) throw std::runtime_error("getrandom failed");
  return fmt::format("shm:ringchan-{:016x}{:016x}", random[0], random[1]);
}

Sample ringchan_sample(const Placement& placement, const std::string& backend, Test test, const Job& job,
                       uint32_t wait) {
  return sample_of<RingchanPort>(placement, backend, test, job, wait);
}

Sample ringchan_batch_sample(const Placement& placement, const std::string& backend, const Job& job, uint32_t wait) {
  return sample_of<RingchanBatchPort>(placement, backend, Test::kStream, job, wait);
}

Sample ringchan_in_place_sample(const Placement& placement, const std::string& backend, const Job& job, uint32_t wait) {
  return sample_of<RingchanInPlacePort>(placement, backend, Test::kStream, job, wait);
}

}  // namespace rcbench
