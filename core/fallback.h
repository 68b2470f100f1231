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

// What became of a member.
struct MemberResult {
  Code code;      // kOk: not tried yet
  bool out;       // it will not do, however long we try
  bool answered;  // somebody listens there
  char reason[200];
};

// An attempt to connect in several calls: each member has its turn, and each place of a member of this machine. Behind
// it lies the member's own.
struct FallbackPursuit : Pursuit {
  uint32_t member;  // whose turn it is
  uint32_t place;   // the number of the place
  MemberResult results[kTransportsMax];
  char uri[kUriBytes];  // of the place

  Pursuit* own() noexcept { return reinterpret_cast<Pursuit*>(this + 1); }
};
static_assert(sizeof(FallbackPursuit) % alignof(max_align_t) == 0);

extern const Backend kFallbackBackend;

}  // namespace rc

#endif  // CORE_FALLBACK_H_
