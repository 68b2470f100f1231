#include "harness/bench/limits.h"

#include <errno.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "harness/bench/wires.h"

namespace rcbench {
namespace {

struct alignas(128) Flag {
  std::atomic<uint64_t> word;
};

// Spins until the flag is no longer `old`.
uint64_t await_change(const Flag& flag, uint64_t old) {
  uint64_t now;
  while ((now = flag.word.load(std::memory_order_acquire)) == old) {
  }
  return now;
}

struct FlagPort {
  Flag& to;
  Flag& from;
  uint64_t last = 0;

  void send(const void* data, size_t) {
    uint64_t word;
    memcpy(&word, data, 8);
    to.word.store(word, std::memory_order_release);
  }
  const void* recv(void* data, size_t) {
    last = await_change(from, last);
    memcpy(data, &last, 8);
    return data;
  }
  void flush() {}
};

// Larger pieces overlap less, smaller ones pay for more flags (measured: 1 KiB 40, 4 KiB 21, 64 KiB 28 us for 64 KiB).
constexpr size_t kPiece = 4096;

// Asks for the lines to be owned by this processor before they are stored to: without it the limit would not be one.
void own_lines(uint8_t* at, size_t n) {
  for (size_t i = 0; i < n; i += 64) {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(at[i]));
#else
    __builtin_prefetch(at + i, 1, 3);
#endif
  }
}

// Large payloads go over in pieces, so that the reader copies one while the writer copies the next.
struct FlagMemcpyPort {
  Flag& to;
  Flag& from;
  uint8_t* to_buffer;
  const uint8_t* from_buffer;
  uint64_t sent = 0;
  uint64_t got = 0;

  void send(const void* data, size_t n) {
    for (size_t at = 0; at < n; at += kPiece) {
      size_t piece = std::min(kPiece, n - at);
      own_lines(to_buffer + at, piece);
      memcpy(to_buffer + at, static_cast<const uint8_t*>(data) + at, piece);
      to.word.store(++sent, std::memory_order_release);
    }
  }
  const void* recv(void* data, size_t n) {
    for (size_t at = 0; at < n; at += kPiece) {
      ++got;
      while (from.word.load(std::memory_order_acquire) < got) {
      }
      memcpy(static_cast<uint8_t*>(data) + at, from_buffer + at, std::min(kPiece, n - at));
    }
    return data;
  }
  void flush() {}
};

// The hand-over. Indices count pieces.
struct HandOver {
  Flag written;
  Flag read;
};

struct HandOverPlan {
  size_t piece;
  uint64_t pieces_in_ring;
  uint64_t warm_up;
  uint64_t all;

  // Measured with a 4 MiB ring: pieces of 1 KiB 13, of 4 KiB 18.5, of 64 KiB 20 GB/s.
  explicit HandOverPlan(const Job& job) : piece(std::min<size_t>(65536, job.ring_bytes / 4 / 64 * 64)) {
    pieces_in_ring = job.ring_bytes / piece;
    warm_up = 2 * pieces_in_ring;
    all = warm_up + std::max<uint64_t>(job.count * job.bytes / piece, 1);
  }
};

void hand_over_writer(Side& side, uint8_t* ring, const HandOverPlan& plan) {
  auto& shared = *reinterpret_cast<HandOver*>(side.memory());
  side.meet();
  for (uint64_t i = 0; i < plan.all; ++i) {
    if (i == plan.warm_up) {
      side.meet();
      side.start();
    }
    while (i - shared.read.word.load(std::memory_order_acquire) >= plan.pieces_in_ring) {
    }
    fill_content(ring + i % plan.pieces_in_ring * plan.piece, plan.piece, i);
    shared.written.word.store(i + 1, std::memory_order_release);
  }
  side.meet();
}

void hand_over_reader(Side& side, const uint8_t* ring, const HandOverPlan& plan, uint64_t count) {
  auto& shared = *reinterpret_cast<HandOver*>(side.memory());
  Reader reader;
  side.meet();
  for (uint64_t i = 0; i < plan.all; ++i) {
    if (i == plan.warm_up) side.meet();
    while (shared.written.word.load(std::memory_order_acquire) <= i) {
    }
    reader.take(ring + i % plan.pieces_in_ring * plan.piece, plan.piece, i);
    shared.read.word.store(i + 1, std::memory_order_release);
  }
  side.stop(count);
  reader.check(plan.piece, plan.all);
  side.meet();
}

long futex(std::atomic<uint32_t>* word, int operation, uint32_t value, const timespec* timeout) {
  return syscall(SYS_futex, word, operation, value, timeout, nullptr, 0);
}

struct alignas(128) FutexWord {
  std::atomic<uint32_t> word;
};

// The word that is waited for counts messages; the content lies beside it.
struct FutexPort {
  FutexWord& to;
  FutexWord& from;
  Flag& to_content;
  Flag& from_content;
  uint32_t sent = 0;
  uint32_t last = 0;

  void send(const void* data, size_t) {
    uint64_t word;
    memcpy(&word, data, 8);
    to_content.word.store(word, std::memory_order_relaxed);
    to.word.store(++sent, std::memory_order_release);
    futex(&to.word, FUTEX_WAKE, 1, nullptr);
  }
  const void* recv(void* data, size_t) {
    uint32_t now;
    while ((now = from.word.load(std::memory_order_acquire)) == last) futex(&from.word, FUTEX_WAIT, last, nullptr);
    last = now;
    uint64_t word = from_content.word.load(std::memory_order_relaxed);
    memcpy(data, &word, 8);
    return data;
  }
  void flush() {}
};

struct FutexShared {
  FutexWord words[2];
  Flag contents[2];
};

struct SocketPort {
  int fd;

  void send(const void* data, size_t n) {
    if (::send(fd, data, n, MSG_NOSIGNAL) != static_cast<ssize_t>(n)) fail("send");
  }
  const void* recv(void* data, size_t n) {
    if (::recv(fd, data, n, MSG_WAITALL) != static_cast<ssize_t>(n)) fail("recv");
    return data;
  }
  void flush() {}
  [[noreturn]] static void fail(const char* what) {
    throw std::runtime_error(fmt::format("{}: {}", what, strerror(errno)));
  }
};

}  // namespace

Sample flag_pingpong(const Placement& placement, const Job& any_size) {
  Job job = any_size;
  job.bytes = sizeof(uint64_t);
  auto body = [&job](int index) {
    return [&job, index](Side& side) {
      auto* flags = reinterpret_cast<Flag*>(side.memory());
      FlagPort port{flags[index], flags[1 - index]};
      run_side_of(Test::kPingPong, index, side, port, job);
    };
  };
  return run_pair(placement, 2 * sizeof(Flag), body(0), body(1));
}

Sample flag_memcpy_pingpong(const Placement& placement, const Job& job) {
  size_t room = (job.bytes + 4095) / 4096 * 4096;
  auto body = [&job, room](int index) {
    return [&job, room, index](Side& side) {
      auto* flags = reinterpret_cast<Flag*>(side.memory());
      uint8_t* buffers = side.memory() + 4096;
      auto i = static_cast<size_t>(index);
      FlagMemcpyPort port{flags[i], flags[1 - i], buffers + i * room, buffers + (1 - i) * room};
      run_side_of(Test::kPingPong, index, side, port, job);
    };
  };
  return run_pair(placement, 4096 + 2 * room, body(0), body(1));
}

Sample hand_over(const Placement& placement, const Job& job) {
  HandOverPlan plan(job);
  auto writer = [&](Side& side) { hand_over_writer(side, side.memory() + 4096, plan); };
  auto reader = [&](Side& side) { hand_over_reader(side, side.memory() + 4096, plan, job.count); };
  return run_pair(placement, 4096 + plan.pieces_in_ring * plan.piece, writer, reader);
}

Sample private_memcpy(const Placement& placement, const Job& job) {
  auto copier = [&job](Side& side) {
    size_t n = run_time_size(job.bytes);
    size_t room = std::max(job.ring_bytes / n * n, n);
    Buffer from(n), to(room);
    size_t at = 0;
    for (uint64_t i = 0; i < job.all(); ++i) {
      if (i == job.warm_up) side.start();
      memcpy(to.data() + at, from.data(), n);
      asm volatile("" : : "r"(to.data()) : "memory");
      at = at + 2 * n <= room ? at + n : 0;
    }
    side.stop(job.count);
  };
  return run_pair(placement, 0, copier, [](Side&) {});
}

Sample futex_wake(const Placement& placement, const Job& job) {
  auto body = [&job](int index) {
    return [&job, index](Side& side) {
      auto& shared = *reinterpret_cast<FutexShared*>(side.memory());
      FutexPort port{shared.words[index], shared.words[1 - index], shared.contents[index], shared.contents[1 - index]};
      run_side_of(Test::kPingPong, index, side, port, job);
    };
  };
  return run_pair(placement, sizeof(FutexShared), body(0), body(1));
}

Sample socket_wake(const Placement& placement, const Job& job) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    return Sample::failure(fmt::format("socketpair: {}", strerror(errno)));
  }
  auto body = [&job, &fds](int index) {
    return [&job, &fds, index](Side& side) {
      close(fds[1 - index]);
      SocketPort port{fds[index]};
      run_side_of(Test::kPingPong, index, side, port, job);
    };
  };
  Sample sample = run_pair(placement, 0, body(0), body(1));
  close(fds[0]);
  close(fds[1]);
  return sample;
}

Sample bare_tcp_pingpong(const Placement& placement, const Job& job) {
  return wire_sample(open_tcp, true, placement, Test::kPingPong, job);
}

Sample bare_tcp_stream(const Placement& placement, const Job& job) {
  return wire_sample(open_tcp, true, placement, Test::kStream, job);
}

Sample bare_tcp_wake(const Placement& placement, const Job& job) {
  return wire_sample(open_tcp, false, placement, Test::kPingPong, job);
}

}  // namespace rcbench
