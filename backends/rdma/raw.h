// Raw endpoints (raw.cc): what is under way, and which regions the device knows.
#ifndef BACKENDS_RDMA_RAW_H_
#define BACKENDS_RDMA_RAW_H_

#include <pthread.h>

#include <atomic>

#include "backends/rdma/verbs.h"
#include "core/raw.h"

namespace rc {

inline constexpr uint32_t kRawDepthMost = 256;
inline constexpr uint32_t kRegistrationsMost = 64;

// A region the endpoint has used, registered as a whole and for this end only.
struct Registration {
  uint64_t region;    // 0: free
  uint32_t slot;      // of the region
  uint32_t requests;  // under way; each holds the region
  ibv_mr* mr;
};

struct RawSlot {
  uint64_t tag;
  Registration* registration;  // null: a message without bytes
};

// Requests of one direction complete in order; wr_id is their number.
struct RawQueue {
  uint32_t depth;
  uint64_t posted;
  uint64_t completed;  // and taken by the caller
  RawSlot slots[kRawDepthMost];
};

struct Raw {
  bool sleeps;  // mode=event
  bool infiniband;
  std::atomic<bool> polling;
  pthread_mutex_t mutex;  // everything below
  bool spent;             // connect was called
  bool connected;
  Code code;  // not kOk: the endpoint is over, because of the first request that failed
  const char* why;
  bool flushed;  // that one was only flushed: the cause is still to come
  RawQueue sends;
  RawQueue receives;
  bool sends_first;  // of two queues that both have something
  Registration registrations[kRegistrationsMost];
};

struct RdmaPoint;
extern const RawTable kRdmaRaw;
// Ends it: nothing is under way any more and no region is held. The point's endpoint is destroyed afterwards.
void end_raw(Context& context, RdmaPoint* point) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_RAW_H_
