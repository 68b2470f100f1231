// cq=shared: two completion queues and one completion channel for the connections of one context on a device. Whoever
// takes a completion gives it to the one it belongs to (PROTOCOL.md R7).
#ifndef BACKENDS_RDMA_SHARED_QUEUES_H_
#define BACKENDS_RDMA_SHARED_QUEUES_H_

#include <pthread.h>

#include "backends/rdma/verbs.h"

namespace rc {

// What a failed completion was for only its queue tells.
enum Which : uint32_t { kSends, kReceives };
inline constexpr Which kBothQueues[] = {kSends, kReceives};

// Completions of one connection that somebody has taken from a queue, in their order.
struct Pile {
  ibv_wc* of;
  uint32_t capacity;  // as many requests as the connection can have under way
  uint64_t come;
  uint64_t taken;

  uint32_t waiting() const noexcept { return static_cast<uint32_t>(come - taken); }
};

// One connection at the queues.
struct Seat {
  Seat* next;       // in its list
  uint32_t number;  // of the queue pair; 0: there is none yet
  int fd;           // readable while `rung`
  int set;          // for who waits for nothing else: readable while fd or the channel is
  bool rung;        // something has come since arm_shared
  size_t bytes;     // of the memory that this and its piles lie in
  Pile piles[2];
};

struct SharedQueues {
  pthread_mutex_t mutex;  // everything below, and the seats. The last one that anybody takes
  ibv_comp_channel* channel;
  ibv_cq* queues[2];
  uint32_t entries;     // of each queue
  uint32_t claimed[2];  // so many can the seats fill together: no more than there are
  uint32_t seats;       // 0: there are no queues
  static constexpr uint32_t kLists = 64;
  Seat* seated[kLists];  // by number
};

// A place for so many completions of each kind. The first one makes the queues, with so many entries. kPool: there is
// not so much left.
Code take_seat(SharedQueues* shared, ibv_context* verbs, uint32_t entries, uint32_t sends, uint32_t receives,
               Seat** seat) noexcept;
// This is the queue pair whose completions come there. Nothing has been posted to it.
void sit_down(SharedQueues* shared, Seat* seat, const ibv_qp* qp) noexcept;
// Like ibv_poll_cq of a queue in which there are no others' completions.
int take_shared(SharedQueues* shared, Seat* seat, Which which, int most, ibv_wc* to) noexcept;
// Whatever comes for the seat from now on makes its descriptors readable. What had come by now is in its piles.
void arm_shared(SharedQueues* shared, Seat* seat) noexcept;
// Destroys the queue pair, if there is one. What it has completed goes with it: its number may be another one's next.
// The last one who leaves destroys the queues.
void leave_seat(SharedQueues* shared, Seat* seat, ibv_qp* qp) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_SHARED_QUEUES_H_
