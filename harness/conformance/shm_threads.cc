// The conformance suite on shm with both ends as threads of one process, so that ThreadSanitizer sees both.
#include <vector>

#include "harness/conformance/pair.h"

namespace conformance {

std::vector<Backend> backends() {
  Backend shm;
  shm.name = "Shm";
  shm.scheme = "shm";
  shm.direct = true;
  shm.make_uri = [] { return unique_name("shm:test-"); };
  shm.knows_peer = true;
  Backend far_listens = shm;
  far_listens.name = "ShmFarListens";
  far_listens.near_listens = false;
  Backend one_context = shm;
  one_context.name = "ShmOneContext";
  one_context.one_context = true;
  Backend sleep = shm;
  sleep.name = "ShmSleep";
  sleep.wait = RC_WAIT_SLEEP;
  Backend spin = shm;
  spin.name = "ShmSpin";
  spin.wait = RC_WAIT_SPIN;
  Backend path = shm;
  path.name = "ShmPath";
  path.make_uri = [] { return unique_name("shm:/tmp/rc-test-") + ".sock"; };
  Backend regions = shm;
  regions.name = "ShmRegions";
  regions.regions = true;
  return {regions, shm, far_listens, one_context, sleep, spin, path};
}

}  // namespace conformance
