// The two loops of the bench. Every lane, be it a limit, ringchan or a peer, runs exactly these with its own Port:
//
//   struct Port {
//     void send(const void* data, size_t n);   // puts one message
//     const void* recv(void* data, size_t n);  // gets one message, into data; or tells where else it lies
//     void flush();                            // all that was sent is on its way
//   };
//
// A Port that has a place of its own for the next message overloads place_for.
#ifndef HARNESS_BENCH_LOOPS_H_
#define HARNESS_BENCH_LOOPS_H_

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <new>

#include "harness/bench/clock.h"
#include "harness/bench/content.h"
#include "harness/bench/histogram.h"
#include "harness/bench/pair.h"

namespace rcbench {

// What one sample is to do. Both sides know it.
struct Job {
  size_t bytes;
  uint64_t count;
  uint64_t warm_up;  // messages before the measured ones
  size_t ring_bytes;
  // The bytes are there before and nobody reads them all, as in perftest: of each message the first word is written,
  // and it and the last one are read.
  bool ready = false;

  uint64_t all() const { return warm_up + count; }
};

// Private memory of a side, touched, at the start of a page.
class Buffer {
 public:
  explicit Buffer(size_t bytes) : data_(static_cast<uint8_t*>(aligned_alloc(4096, (bytes + 4095) / 4096 * 4096))) {
    if (data_ == nullptr) throw std::bad_alloc();
    memset(data_, 1, bytes);
  }
  ~Buffer() { free(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  uint8_t* data() const { return data_; }

 private:
  uint8_t* data_;
};

// The size as the compiler must see it: known at run time only, for every lane alike.
inline size_t run_time_size(size_t n) {
  asm volatile("" : "+r"(n));
  return n;
}

// Where the next message is written before it is sent.
template <class Port>
uint8_t* place_for(Port&, const Buffer& out, size_t) {
  return out.data();
}

// The side that begins each round trip and times it.
template <class Port>
void ping_loop(Side& side, Port& port, const Job& job) {
  size_t n = run_time_size(job.bytes);
  Buffer out(n), in(n);
  Reader reader;
  Histogram histogram;
  side.meet();
  uint64_t last = 0;
  for (uint64_t i = 0; i < job.all(); ++i) {
    if (i == job.warm_up) {
      side.start();
      last = ticks();
    }
    fill_content(out.data(), n, i);
    port.send(out.data(), n);
    reader.take(port.recv(in.data(), n), n, i);
    if (i >= job.warm_up) {
      uint64_t now = ticks();
      histogram.add(now - last);
      last = now;
    }
  }
  side.stop(job.count);
  side.report(histogram);
  reader.check(n, job.all());
  side.meet();
}

// The side that answers.
template <class Port>
void pong_loop(Side& side, Port& port, const Job& job) {
  size_t n = run_time_size(job.bytes);
  Buffer out(n), in(n);
  Reader reader;
  side.meet();
  for (uint64_t i = 0; i < job.all(); ++i) {
    reader.take(port.recv(in.data(), n), n, i);
    fill_content(out.data(), n, i);
    port.send(out.data(), n);
  }
  port.flush();
  reader.check(n, job.all());
  side.meet();
}

template <class Port>
void produce_loop(Side& side, Port& port, const Job& job) {
  size_t n = run_time_size(job.bytes);
  Buffer out(n);
  side.meet();
  for (uint64_t i = 0; i < job.all(); ++i) {
    if (i == job.warm_up) {
      port.flush();
      side.meet();
      side.start();
    }
    uint8_t* message = place_for(port, out, n);
    if (job.ready) {
      fill_ready(message, n, i, i * n < job.ring_bytes);
    } else {
      fill_content(message, n, i);
    }
    port.send(message, n);
  }
  port.flush();
  side.meet();
}

template <class Port>
void consume_loop(Side& side, Port& port, const Job& job) {
  size_t n = run_time_size(job.bytes);
  Buffer in(n);
  Reader reader(job.ready);
  side.meet();
  for (uint64_t i = 0; i < job.all(); ++i) {
    if (i == job.warm_up) side.meet();
    reader.take(port.recv(in.data(), n), n, i);
  }
  side.stop(job.count);
  reader.check(n, job.all());
  side.meet();
}

enum class Test { kPingPong, kStream };

// Side `index` of a test over its port.
template <class Port>
void run_side_of(Test test, int index, Side& side, Port& port, const Job& job) {
  if (test == Test::kPingPong) {
    index == 0 ? ping_loop(side, port, job) : pong_loop(side, port, job);
  } else {
    index == 0 ? produce_loop(side, port, job) : consume_loop(side, port, job);
  }
}

}  // namespace rcbench

#endif  // HARNESS_BENCH_LOOPS_H_
