#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <string.h>

#include "backends/rdma/rdma.h"
#include "backends/rdma/tenancy.h"
#include "core/descriptors.h"

namespace rc {
namespace {

class ContextLock {
 public:
  explicit ContextLock(Context& context) noexcept : context_(context) { context_.lock(); }
  ~ContextLock() { context_.unlock(); }
  ContextLock(const ContextLock&) = delete;
  ContextLock& operator=(const ContextLock&) = delete;

 private:
  Context& context_;
};

// One that was opened here serves all of its device that are. One whose device has failed serves nobody more: the
// device may have come back.
bool serves(const Tenancy& t, const ibv_context* verbs, bool opened) noexcept {
  if (t.users == 0 || t.failed.load(std::memory_order_relaxed)) return false;
  if (!opened) return t.verbs == verbs;
  return t.verbs == t.watch &&
         strcmp(g_verbs.get_device_name(t.verbs->device), g_verbs.get_device_name(verbs->device)) == 0;
}

}  // namespace

Code join_tenancy(Context& context, ibv_context* verbs, bool opened, Tenancy** tenancy) noexcept {
  ContextLock lock(context);
  Tenancy* free = nullptr;
  for (Tenancy& t : static_cast<Tenancies*>(context.shared_by(&kRdmaBackend))->of) {
    if (t.users == 0) free = &t;
    if (!serves(t, verbs, opened)) continue;
    if (opened) g_verbs.close_device(verbs);
    ++t.users;
    *tenancy = &t;
    return kOk;
  }
  Code code = kOk;
  ibv_context* watch = opened ? verbs : nullptr;
  if (free == nullptr)
    code = fail(kPool, "this context has connections on %u RDMA devices, more it cannot", kTenanciesMost);
  if (code == kOk && watch == nullptr) code = open_device(verbs->device, &watch);
  if (code == kOk && !nonblocking(watch->async_fd)) code = fail_errno(kSystem, "fcntl of an RDMA device", errno);
  if (code != kOk) {
    if (watch != nullptr) g_verbs.close_device(watch);
    return code;
  }
  memset(static_cast<void*>(free), 0, sizeof *free);
  pthread_mutex_init(&free->shared.mutex, nullptr);
  free->users = 1;
  free->verbs = verbs;
  free->watch = watch;
  *tenancy = free;
  return kOk;
}

Code share_domain(Context& context, Tenancy* tenancy, ibv_pd** pd) noexcept {
  ContextLock lock(context);
  if (tenancy->pd == nullptr) tenancy->pd = g_verbs.alloc_pd(tenancy->verbs);
  *pd = tenancy->pd;
  return *pd != nullptr ? kOk : fail_errno(kSystem, "allocating a protection domain", errno);
}

void hear_events(Tenancy* tenancy) noexcept {
  ibv_async_event event;
  while (g_verbs.get_async_event(tenancy->watch, &event) == 0) {
    ibv_event_type type = event.event_type;
    PortEvents& port = tenancy->port(static_cast<uint32_t>(event.element.port_num));
    if (type == IBV_EVENT_PORT_ERR) port.downs.fetch_add(1, std::memory_order_relaxed);
    if (type == IBV_EVENT_PORT_ACTIVE) port.ups.fetch_add(1, std::memory_order_relaxed);
    if (type == IBV_EVENT_GID_CHANGE) port.gid_changes.fetch_add(1, std::memory_order_relaxed);
    if (type == IBV_EVENT_DEVICE_FATAL) tenancy->failed.store(true, std::memory_order_relaxed);
    g_verbs.ack_async_event(&event);
  }
}

void leave_tenancy(Context& context, Tenancy* tenancy) noexcept {
  ContextLock lock(context);
  if (--tenancy->users != 0) return;
  if (tenancy->pd != nullptr) g_verbs.dealloc_pd(tenancy->pd);
  pthread_mutex_destroy(&tenancy->shared.mutex);
  g_verbs.close_device(tenancy->watch);
}

}  // namespace rc
#endif
