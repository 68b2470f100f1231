// Raw endpoints (raw.cc): what is under way, and which regions the device knows.
#ifndef BACKENDS_RDMA_RAW_H_
#define BACKENDS_RDMA_RAW_H_

#include <pthread.h>

#include <atomic>

#include "backends/rdma/registrations.h"
#include "core/raw.h"

namespace rc {

inline constexpr uint32_t kRawDepthMost = 256;

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
  Registrations registrations;
};

struct RdmaPoint;
extern const RawTable kRdmaRaw;
// Ends it: nothing is under way any more and no region is held. The point's endpoint is destroyed afterwards.
void end_raw(Context& context, RdmaPoint* point) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_RAW_H_
