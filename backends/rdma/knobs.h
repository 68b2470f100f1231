// What an rdma:// URI says: the address, and the knobs behind the question mark.
#ifndef BACKENDS_RDMA_KNOBS_H_
#define BACKENDS_RDMA_KNOBS_H_

#include <stdint.h>

#include "core/result.h"
#include "core/uri.h"

namespace rc {

inline constexpr uint32_t kSendDepthMost = 4096;
inline constexpr uint32_t kReceiveDepthMost = 4096;
inline constexpr uint32_t kEntriesMost = 65536;   // of completion queues
inline constexpr uint32_t kCompletionsMost = 64;  // taken at once
inline constexpr uint32_t kGidMost = 255;         // verbs have eight bits for the index

// Of those whose 0 means something: not given.
inline constexpr uint32_t kNotGiven = UINT32_MAX;

// How bytes go; both ends have the same.
inline constexpr uint32_t kPathWrite = 0;
inline constexpr uint32_t kPathSend = 1;
inline const char* name_of_path(uint32_t path) noexcept { return path == kPathSend ? "send" : "write"; }

// Each is in its range; what the device cannot do is refused when the device is known. 0, or kNotGiven where that is
// said: the default.
struct Knobs {
  char host[kUriBytes];    // a name, an IPv4 address, or an IPv6 address without its brackets
  char service[8];         // a port number
  char device[64];         // dev=NAME: no other device will do; empty: the one the address leads to
  uint32_t port;           // port=N: of the device
  bool event;              // mode=event: this end can sleep until the NIC wakes it; mode=poll, the default: it polls
  uint32_t path;           // path=send: SEND and RECV, nothing here can be written to; path=write, the default
  uint32_t send_depth;     // sq_depth=N: work requests under way
  uint32_t receive_depth;  // rq_depth=N: event mode: WRITEs, path=send: SENDs that may arrive between two calls of ours
  uint32_t inline_bytes;   // inline=N: at most so many bytes travel in the work request itself; kNotGiven
  uint32_t sge;            // sge=N: pieces of memory that a work request can have room for
  uint32_t cq_depth;  // cq_depth=N: entries of the completion queue for sends; cq=shared: of both, as the first one
                      // who shares them says it
  uint32_t cq_poll;   // cq_poll=N: completions taken at once
  uint32_t signal;    // signal=N: one post in so many asks for a completion
  bool own_pd;        // pd=own: a protection domain of its own; pd=shared, the default: the context's
  bool shared_cq;     // cq=shared: the context's completion queues; cq=own, the default: two of its own
  uint32_t access;  // access=write|write+read|write+atomic|write+read+atomic: what the queue pair lets in; 0: all that
                    // the device can
  // The path; kNotGiven: what rdma_cm proposes, or 0.
  uint32_t mtu;             // mtu=256|512|1024|2048|4096: at most so many bytes in a packet; 0: what the port can do
  uint32_t gid;             // gid=N: index in the port's table; it must have the address that is used
  uint32_t pkey;            // pkey=N: index in the port's table
  uint32_t sl;              // sl=N: service level
  uint32_t tclass;          // tclass=N: traffic class, with DSCP in its upper six bits
  uint32_t hop_limit;       // hop_limit=N
  uint32_t flow_label;      // flow_label=N
  uint32_t static_rate;     // static_rate=N: a number of enum ibv_rate
  uint32_t path_bits;       // path_bits=N: of the source's LID
  uint32_t min_rnr_timer;   // min_rnr_timer=N: how long a peer that finds no receive has to wait, by the IB table
  uint32_t rd_atomic;       // rd_atomic=N: READs and atomics under way from here
  uint32_t dest_rd_atomic;  // dest_rd_atomic=N: and from the peer
  uint32_t psn;             // psn=N: first packet number; rdma_cm chooses its own, so only for endpoints
  uint32_t timeout_ms;      // timeout_ms=N: after so long without an answer of the peer's NIC the peer counts as dead
  uint32_t retry_count;     // retry_count=N: how often a packet is sent again within that time
  uint32_t ack_timeout;     // ack_timeout=N: 4.096 us * 2^N between them; default: what timeout_ms and retry_count give
  uint32_t rnr_retry;       // rnr_retry=N: how often a NIC whose peer has no receive posted tries again
};

Code read_knobs(const Uri& uri, const char* beneath, Knobs* knobs) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_KNOBS_H_
