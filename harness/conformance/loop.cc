// The conformance suite on loop: both ends in one context.
#include <vector>

#include "harness/conformance/pair.h"

namespace conformance {

std::vector<Backend> backends() {
  Backend loop;
  loop.name = "Loop";
  loop.scheme = "loop";
  loop.make_uri = [] { return unique_name("loop:test-"); };
  loop.one_context = true;
  loop.rings_per_end = 1;
  Backend far_listens = loop;
  far_listens.name = "LoopFarListens";
  far_listens.near_listens = false;
  Backend sleep = loop;
  sleep.name = "LoopSleep";
  sleep.wait = RC_WAIT_SLEEP;
  Backend spin = loop;
  spin.name = "LoopSpin";
  spin.wait = RC_WAIT_SPIN;
  Backend regions = loop;
  regions.name = "LoopRegions";
  regions.regions = true;
  return {loop, far_listens, sleep, spin, regions};
}

}  // namespace conformance
