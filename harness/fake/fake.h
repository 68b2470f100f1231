// fake:NAME?seed=N&... - a software NIC. Both ends are of one context; the link is not direct: core posts work
// requests, and they land when the NIC executes them, which it does only while one of the two ends calls. The same seed
// and the same sequence of calls, from one thread, are the same behaviour.
//
// The NIC keeps what an RC queue pair promises, and nothing else: requests are executed in order, one after the other;
// an aligned word of at most 8 bytes lands as one. It executes late, in pieces, in any order within one request, some
// of them twice, reads local memory at the last moment, refuses requests though there is room, and falls silent for a
// while.
//
// Parameters, each for the NIC of the end that was opened with them. What is not given is drawn from the seed:
//   seed=N         0, the default: everything is executed at the next call, nothing is refused
//   late=P         so many of 1000 calls execute nothing
//   stall=P        at so many of 1000 calls a stall begins, of up to
//   stall_most=N     calls
//   refuse=P       so many of 1000 posts are refused; never that of a single copied word
//   again=P        of so many of 1000 requests a piece lands twice
//   shuffle=P      of so many of 1000 posts the answers to operations come in another order, as far as the protocol
//                  leaves it open
//   burst=N        bytes executed per call, at most
//   piece=N        bytes that land at once, at most
//   depth=N        requests in the queue, 3..64
//   gone=0|1       1: requests towards a peer that has closed fail
// Off if not given:
//   deny=P         so many of 1000 operations are made into what the owner refuses: another key, an offset beyond what
//                  is granted, an odd address of a word
// Faults that end the channel; off if not given, and otherwise at a random one of the first N calls on the link:
//   drop=N         the link goes down: nothing lands any more; both ends are told RC_E_PEER_DEAD, each after a while
//   corrupt=N      a tail or credit word arrives wrong, and every later one of that kind
//   fail=N         a request fails: this end is told RC_E_PEER_DEAD at once, the other one after a while
#ifndef HARNESS_FAKE_FAKE_H_
#define HARNESS_FAKE_FAKE_H_

#include <stdint.h>

#include "core/backend.h"

namespace rc {

extern const Backend kFakeBackend;

namespace fake {

// What all NICs of this process have done since reset(): counters, and a hash over every event in its order.
struct Trace {
  uint64_t hash;
  uint64_t posts, refused, full, late, stalls, pieces, twice, hurried, drops, spoilt, failed, shuffled, denied;
};
Trace trace() noexcept;

// From now on no NIC refuses, stalls or is late, and no new fault strikes.
void stop_faults() noexcept;
// Forgets the trace and lets faults happen again.
void reset() noexcept;

}  // namespace fake
}  // namespace rc

#endif  // HARNESS_FAKE_FAKE_H_
