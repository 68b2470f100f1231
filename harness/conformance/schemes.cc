#include <stdlib.h>

#include "harness/conformance/roles.h"

namespace conformance {

std::vector<std::string> schemes() {
  if (getenv("RC_RDMA_ADDRESS") != nullptr) return {"rdma", "rdma_event", "rdma_send", "rdma_send_event"};
  return {"loop", "shm", "tcp"};
}

}  // namespace conformance
