// When a sleeper must be woken: the arm count (PROTOCOL.md I7).
#ifndef CORE_DOORBELL_H_
#define CORE_DOORBELL_H_

#include <stdint.h>

#include "core/atomics.h"

namespace rc {

// The side that may sleep. Its count lies in memory that it writes and the peer reads.
template <class A>
class Sleeper {
 public:
  // Call before the last look; between the two stands a full fence of both ends (the caller's heavy_fence).
  void arm(typename A::Word& count) noexcept { A::store_relaxed(count, ++armed_); }

 private:
  uint64_t armed_ = 0;
};

// The side that rings. Rings once per arming, so a sleeper that is awake costs one load.
template <class A>
class Ringer {
 public:
  // Nothing has been armed, and nothing else happened to the word, since the last ring. Only a hint.
  bool quiet(const typename A::Word& count) const noexcept { return A::load_relaxed(count) == rung_; }

  // Call after the store that the sleeper waits for, and a light fence. True: ring.
  bool must_ring(const typename A::Word& count) noexcept {
    uint64_t now = A::load_relaxed(count);
    if (now == rung_) return false;
    rung_ = now;
    return true;
  }

 private:
  uint64_t rung_ = 0;
};

}  // namespace rc

#endif  // CORE_DOORBELL_H_
