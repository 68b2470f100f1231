#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>

#include "backends/rdma/endpoint.h"
#include "backends/rdma/registrations.h"
#include "core/op_wire.h"

namespace rc {

void deregister(Registration* r) noexcept {
  if (r->region.load(std::memory_order_relaxed) != 0) g_verbs.dereg_mr(r->mr);
  r->region.store(0, std::memory_order_relaxed);
}

Code Registrations::enter(const char* who, ibv_pd* pd, uint64_t region, void* address, uint64_t bytes, uint32_t access,
                          Registration** to) noexcept {
  *to = find(region);
  if (*to != nullptr) return kOk;
  Registration* idle = find(0);
  for (uint32_t i = 0; i < kRegistrationsMost && idle == nullptr; ++i) {
    if (of[i].idle()) idle = &of[i];
  }
  if (idle == nullptr)
    return fail(kPool, "requests of this %s are under way in %u regions, more cannot be", who, kRegistrationsMost);
  deregister(idle);
  ibv_mr* mr = g_verbs.reg_mr(pd, address, bytes, (access & kWrite) != 0 ? IBV_ACCESS_LOCAL_WRITE : 0);
  if (mr == nullptr) return registration_failed("a region", bytes, errno);
  ++made;
  idle->mr = mr;
  idle->region.store(region, std::memory_order_relaxed);
  *to = idle;
  return kOk;
}

void Registrations::forget(uint64_t region) noexcept {
  Registration* r = find(region);
  if (r != nullptr && r->idle()) deregister(r);
}

}  // namespace rc
#endif
