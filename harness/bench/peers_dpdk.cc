// DPDK's rte_ring in a plain shared mapping between two processes: a ring needs no EAL, so there is none. The element
// is the message itself at 8 B; else it is the number of a slot, and the message is copied into and out of the slot,
// as a put and a get copy it.
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "harness/bench/peers.h"

#if __has_include(<rte_config.h>) && __has_include(<rte_ring.h>)
#include <rte_config.h>
#include <rte_ring.h>

namespace rcbench {
namespace {

constexpr unsigned kElement = 8;

struct Library {
  decltype(&rte_ring_init) init = nullptr;
  decltype(&rte_ring_get_memsize_elem) size = nullptr;

  Library() {
    void* library = dlopen("librte_ring.so", RTLD_NOW);
    if (library == nullptr) return;
    init = reinterpret_cast<decltype(init)>(dlsym(library, "rte_ring_init"));
    size = reinterpret_cast<decltype(size)>(dlsym(library, "rte_ring_get_memsize_elem"));
  }
  bool found() const { return init != nullptr && size != nullptr; }
};

// Where things lie in the shared memory: a ring and slots per direction.
struct Layout {
  unsigned elements;  // of a ring, a power of two; one stays unused
  size_t slots;       // those in the ring, and those that the two sides have in hand
  size_t ring_room, slot_room;

  Layout(const Library& library, const Job& job, unsigned burst) {
    elements = 4;
    while (size_t{elements} * 2 * job.bytes <= job.ring_bytes) elements *= 2;
    slots = elements + 2 * burst;
    ring_room = (static_cast<size_t>(library.size(kElement, elements)) + 4095) / 4096 * 4096;
    slot_room = job.bytes == kElement ? 0 : (slots * job.bytes + 4095) / 4096 * 4096;
  }
  size_t bytes() const { return 2 * (ring_room + slot_room); }
};

template <unsigned kBurst>
struct RingPort {
  rte_ring* to;
  rte_ring* from;
  uint8_t* to_slots;
  const uint8_t* from_slots;
  size_t slots;
  size_t next_slot = 0;
  uint64_t out[kBurst];
  uint64_t in[kBurst];
  unsigned out_count = 0;
  unsigned in_next = 0, in_count = 0;

  void send(const void* data, size_t n) {
    uint64_t element = next_slot;
    if (n == kElement) {
      memcpy(&element, data, kElement);
    } else {
      memcpy(to_slots + next_slot * n, data, n);
      next_slot = next_slot + 1 == slots ? 0 : next_slot + 1;
    }
    out[out_count++] = element;
    if (out_count == kBurst) flush();
  }
  void flush() {
    for (unsigned done = 0; done < out_count;) {
      done += rte_ring_sp_enqueue_burst_elem(to, out + done, kElement, out_count - done, nullptr);
    }
    out_count = 0;
  }
  const void* recv(void* data, size_t n) {
    if (in_next == in_count) {
      in_next = 0;
      while ((in_count = rte_ring_sc_dequeue_burst_elem(from, in, kElement, kBurst, nullptr)) == 0) {
      }
    }
    uint64_t element = in[in_next++];
    if (n == kElement) {
      memcpy(data, &element, kElement);
    } else {
      memcpy(data, from_slots + std::min<uint64_t>(element, slots - 1) * n, n);
    }
    return data;
  }
};

template <unsigned kBurst>
Sample run(const Placement& placement, const std::string& case_name, const Job& job) {
  Library library;
  Layout layout(library, job, kBurst);
  auto body = [&](int index) {
    return [&, index](Side& side) {
      uint8_t* rings = side.memory();
      uint8_t* slots = rings + 2 * layout.ring_room;
      auto ring = [&](int i) { return reinterpret_cast<rte_ring*>(rings + static_cast<size_t>(i) * layout.ring_room); };
      for (int i = 0; index == 0 && i < 2; ++i) {
        int code = library.init(ring(i), "bench", layout.elements, RING_F_SP_ENQ | RING_F_SC_DEQ);
        if (code != 0) throw std::runtime_error(fmt::format("rte_ring_init gave {}", code));
      }
      side.meet();
      RingPort<kBurst> port = {};
      port.to = ring(index);
      port.from = ring(1 - index);
      port.to_slots = slots + static_cast<size_t>(index) * layout.slot_room;
      port.from_slots = slots + static_cast<size_t>(1 - index) * layout.slot_room;
      port.slots = layout.slots;
      run_side_of(test_of(case_name), index, side, port, job);
    };
  };
  return run_pair(placement, layout.bytes(), body(0), body(1));
}

}  // namespace

std::vector<Peer> dpdk_peers() {
  std::string missing = Library().found() ? "" : "librte_ring.so is not installed (Debian: libdpdk-dev)";
  return {{"DPDK rte_ring", missing, {"pingpong", "stream"}, size_t{1} << 20, run<1>},
          {"DPDK rte_ring, bursts of 32", missing, {"stream"}, 4096, run<32>}};
}

}  // namespace rcbench

#else

namespace rcbench {
std::vector<Peer> dpdk_peers() {
  return {{"DPDK rte_ring", "built without rte_ring.h (Debian: libdpdk-dev)", {}, 0, {}}};
}
}  // namespace rcbench

#endif
