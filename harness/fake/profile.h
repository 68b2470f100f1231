// How a fake NIC behaves: what its URI says, and what its seed says about the rest.
#ifndef HARNESS_FAKE_PROFILE_H_
#define HARNESS_FAKE_PROFILE_H_

#include <stdint.h>

#include "core/uri.h"

namespace rc::fake {

inline constexpr uint32_t kDepthMost = 64;

struct Profile {
  uint64_t seed;        // 0: a NIC without moods, that executes everything at the first call after post
  uint32_t late;        // per mille of calls that execute nothing
  uint32_t stall;       // per mille of calls at which a stall begins
  uint32_t stall_most;  // calls that one lasts
  uint32_t refuse;      // per mille of posts refused though there is room
  uint32_t shuffle;     // per mille of posts whose answers come in another order
  uint32_t deny;        // per mille of operations of which the NIC makes something that the owner refuses
  uint32_t again;       // per mille of requests of which a piece lands twice
  uint32_t burst;       // bytes that one call executes, at most
  uint32_t piece;       // bytes that land at once, at most
  uint32_t depth;       // requests in the queue, at most; credits and `closed` have room beyond
  bool gone;            // requests towards a peer that has closed fail, once what it sent has landed
  // The call at which the fault strikes, counted from 1; 0: never.
  uint64_t drop, corrupt, fail;
};

// kUri if the query has something else in it. `stream` tells the NICs of one seed apart.
Code read_profile(const Uri& uri, uint64_t stream, Profile* profile) noexcept;

}  // namespace rc::fake

#endif  // HARNESS_FAKE_PROFILE_H_
