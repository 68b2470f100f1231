// What an rdma:// URI says: the address, and the knobs behind the question mark.
#ifndef BACKENDS_RDMA_KNOBS_H_
#define BACKENDS_RDMA_KNOBS_H_

#include <stdint.h>

#include "core/result.h"
#include "core/uri.h"

namespace rc {

inline constexpr uint32_t kSendDepthMost = 4096;
inline constexpr uint32_t kReceiveDepthMost = 4096;

// Each is in its range; what the device cannot do is refused when the device is known. 0: not given, the default.
struct Knobs {
  char host[kUriBytes];    // a name, an IPv4 address, or an IPv6 address without its brackets
  char service[8];         // a port number
  char device[64];         // dev=NAME: no other device will do; empty: the one the address leads to
  uint32_t port;           // port=N: of the device
  bool event;              // mode=event: this end can sleep until the NIC wakes it; mode=poll, the default: it polls
  uint32_t send_depth;     // sq_depth=N: work requests under way
  uint32_t receive_depth;  // rq_depth=N: event mode: WRITEs that may arrive between two calls of ours
  uint32_t inline_bytes;   // inline=N: at most so many bytes travel in the work request itself
  bool tclass_given;       // tclass=N: traffic class, with DSCP in its upper six bits
  uint32_t tclass;
  uint32_t timeout_ms;   // timeout_ms=N: after so long without an answer of the peer's NIC the peer counts as dead
  uint32_t retry_count;  // retry_count=N: how often a packet is sent again within that time
  uint32_t ack_timeout;  // ack_timeout=N: 4.096 us * 2^N between them; default: what timeout_ms and retry_count give
  uint32_t rnr_retry;    // rnr_retry=N: how often a NIC whose peer has no receive posted tries again
};

Code read_knobs(const Uri& uri, Knobs* knobs) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_KNOBS_H_
