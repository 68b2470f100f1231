// boost::lockfree::spsc_queue, placed in the same kind of shared memory as our rings and as large.
#include "harness/bench/peers.h"

#if __has_include(<boost/lockfree/spsc_queue.hpp>)
#include <boost/lockfree/spsc_queue.hpp>
#include <new>

namespace rcbench {
namespace {

// The queue's size is part of its type, as it must be for a queue in shared memory.
constexpr size_t kRing = size_t{4} << 20;

template <size_t kBytes>
struct Record {
  uint64_t words[kBytes / 8];
};

template <size_t kBytes>
using RecordQueue = boost::lockfree::spsc_queue<Record<kBytes>, boost::lockfree::capacity<kRing / kBytes>>;
using ByteQueue = boost::lockfree::spsc_queue<char, boost::lockfree::capacity<kRing>>;

// One record per push and per pop.
template <size_t kBytes>
struct RecordPort {
  using Queue = RecordQueue<kBytes>;
  Queue& to;
  Queue& from;

  void send(const void* data, size_t) {
    while (!to.push(*static_cast<const Record<kBytes>*>(data))) {
    }
  }
  const void* recv(void* data, size_t) {
    while (!from.pop(*static_cast<Record<kBytes>*>(data))) {
    }
    return data;
  }
  void flush() {}
};

// One record per push, and pop takes as many as there are, up to 64 KiB.
template <size_t kBytes>
struct BatchPort : RecordPort<kBytes> {
  static constexpr size_t kBatch = kBytes < 65536 ? 65536 / kBytes : 1;
  Buffer batch{kBatch * kBytes};
  size_t next = 0, end = 0;

  BatchPort(RecordQueue<kBytes>& sent, RecordQueue<kBytes>& got) : RecordPort<kBytes>{sent, got} {}
  const void* recv(void*, size_t) {
    auto* records = reinterpret_cast<Record<kBytes>*>(batch.data());
    if (next == end) {
      next = 0;
      while ((end = this->from.pop(records, kBatch)) == 0) {
      }
    }
    return &records[next++];
  }
};

// Bytes, pushed and popped as many at once as there are.
struct BytePort {
  using Queue = ByteQueue;
  Queue& to;
  Queue& from;

  void send(const void* data, size_t n) {
    for (size_t at = 0; at < n;) at += to.push(static_cast<const char*>(data) + at, n - at);
  }
  const void* recv(void* data, size_t n) {
    for (size_t at = 0; at < n;) at += from.pop(static_cast<char*>(data) + at, n - at);
    return data;
  }
  void flush() {}
};

template <class Port, class Queue>
Sample sample_of(const Placement& placement, Test test, const Job& job) {
  size_t room = (sizeof(Queue) + 4095) / 4096 * 4096;
  auto body = [&](int index) {
    return [&, index](Side& side) {
      uint8_t* memory = side.memory();
      if (index == 0) {
        new (memory) Queue;
        new (memory + room) Queue;
      }
      side.meet();
      auto* queues = memory;
      auto& to = *std::launder(reinterpret_cast<Queue*>(queues + static_cast<size_t>(index) * room));
      auto& from = *std::launder(reinterpret_cast<Queue*>(queues + static_cast<size_t>(1 - index) * room));
      Port port{to, from};
      run_side_of(test, index, side, port, job);
    };
  };
  return run_pair(placement, 2 * room, body(0), body(1));
}

double rate(const Sample& sample) { return sample.ok ? static_cast<double>(sample.count) / sample.seconds : 0; }

Sample better(const Sample& a, const Sample& b) { return rate(a) >= rate(b) ? a : b; }

// How a program would use the queue.
enum class Form {
  kOneByOne,  // one record per push and per pop, as ringchan has one message per put and per get
  kBatchPop,  // one record per push, many per pop
};

template <size_t kBytes>
Sample record_sample(Form form, const Placement& placement, Test test, const Job& job) {
  using Queue = RecordQueue<kBytes>;
  if (form == Form::kBatchPop) return sample_of<BatchPort<kBytes>, Queue>(placement, test, job);
  Sample sample = sample_of<RecordPort<kBytes>, Queue>(placement, test, job);
  if (kBytes < 65536 || test == Test::kPingPong) return sample;
  return better(sample, sample_of<BytePort, ByteQueue>(placement, test, job));
}

Sample run(Form form, const Placement& placement, const std::string& case_name, const Job& job) {
  if (job.ring_bytes != kRing) return Sample::skip("built for rings of 4 MiB");
  Test test = test_of(case_name);
  switch (job.bytes) {
    case 8:
      return record_sample<8>(form, placement, test, job);
    case 64:
      return record_sample<64>(form, placement, test, job);
    case 256:
      return record_sample<256>(form, placement, test, job);
    case 1024:
      return record_sample<1024>(form, placement, test, job);
    case 4096:
      return record_sample<4096>(form, placement, test, job);
    case 16384:
      return record_sample<16384>(form, placement, test, job);
    case 65536:
      return record_sample<65536>(form, placement, test, job);
    case 262144:
      return record_sample<262144>(form, placement, test, job);
    default:
      return sample_of<BytePort, ByteQueue>(placement, test, job);
  }
}

}  // namespace

std::vector<Peer> boost_peers() {
  auto in_form = [](Form form) {
    return [form](const Placement& placement, const std::string& case_name, const Job& job) {
      return run(form, placement, case_name, job);
    };
  };
  return {{"boost::spsc_queue", "", {"pingpong", "stream"}, SIZE_MAX, in_form(Form::kOneByOne)},
          {"boost::spsc_queue, batch pop", "", {"stream"}, 16384, in_form(Form::kBatchPop)}};
}

}  // namespace rcbench

#else

namespace rcbench {
std::vector<Peer> boost_peers() {
  return {{"boost::spsc_queue", "built without boost/lockfree/spsc_queue.hpp (Debian: libboost-dev)", {}, 0, {}}};
}
}  // namespace rcbench

#endif
