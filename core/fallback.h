// A list of transports, "rdma+shm+tcp://HOST:PORT": who is tried, in which order, and what is told of it. Core decides
// that; the members of a list know nothing of it. To the context a list is one more backend, which is only there until
// a channel stands: that belongs to the member that was taken.
//
// A listener listens at all of its members that this machine can do. A client tries its members in their order, round
// after round, until one stands or the deadline passes; a member whose listener has answered is waited for.
#ifndef CORE_FALLBACK_H_
#define CORE_FALLBACK_H_

#include "core/backend.h"
#include "core/transports.h"

namespace rc {

struct FallbackPoint : ListenPoint {
  ListenPoint* members[kTransportsMax];
  uint32_t count;
  uint32_t turn;              // whose clients are looked at first
  char choice[kChoiceBytes];  // for rc_listener_choice
};

extern const Backend kFallbackBackend;

}  // namespace rc

#endif  // CORE_FALLBACK_H_
