// A link of rdma is made of what a handshake has made, breaks, and is taken apart.
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backends/rdma/link.h"
#include "backends/rdma/nic.h"
#include "backends/rdma/posting.h"
#include "backends/rdma/rdma.h"
#include "core/descriptors.h"
#include "core/mutex_lock.h"
#include "core/wait.h"

namespace rc {
namespace {

// What tells that the peer is gone; -1: only the NIC's retries do.
int cm_fd(const RdmaLink* link) noexcept { return link->e.channel != nullptr ? link->e.channel->fd : -1; }

Code make_descriptors(RdmaLink* link) noexcept {
  if (!link->e.event) {  // both sides nap
    link->common_fd = cm_fd(link);
    return kOk;
  }
  for (int& fd : link->fd) fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  link->common_fd = epoll_create1(EPOLL_CLOEXEC);
  link->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (link->fd[0] >= 0 && link->fd[1] >= 0 && link->common_fd >= 0 && link->timer_fd >= 0 &&
      (cm_fd(link) < 0 || watch(link->common_fd, cm_fd(link))) &&
      watch(link->common_fd, link->e.tenancy->watch->async_fd) && watch_news(link->common_fd, link->e) &&
      watch(link->common_fd, link->timer_fd)) {
    return kOk;
  }
  return fail_errno(kSystem, "descriptors for a channel", errno);
}

Code make_staging(RdmaLink* link) noexcept {
  if (link->two.on || link->e.inline_bytes >= sizeof(Sealed)) return kOk;
  if (link->e.send_depth > kStagingSlots) link->e.send_depth = kStagingSlots;
  link->staging_mr = g_verbs.reg_mr(link->e.pd, link->staging, sizeof link->staging, 0);
  return link->staging_mr != nullptr ? kOk : registration_failed("words", sizeof link->staging, errno);
}

void destroy(Context& context, RdmaLink* link) noexcept {
  for (int& fd : link->fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  if (link->e.event && link->common_fd >= 0) close(link->common_fd);
  if (link->timer_fd >= 0) close(link->timer_fd);
  link->common_fd = link->timer_fd = -1;
  drop_connection(&link->e);
  end_qp(&link->e);
  if (link->staging_mr != nullptr) g_verbs.dereg_mr(link->staging_mr);
  link->staging_mr = nullptr;
  end_nic(link);
  destroy_endpoint(context, &link->e);
  pthread_mutex_destroy(&link->mutex);
  link->inbox = link->outbox = nullptr;
}

}  // namespace

Code fill_link(Context& context, const Knobs& knobs, Endpoint* e, const RdmaHello& peer, const Agreed& agreed,
               RdmaLink* link) noexcept {
  end_parley(e);
  link->e = *e;
  *e = {};
  pthread_mutex_init(&link->mutex, nullptr);
  link->inbox = link->e.inbox;
  link->outbox = link->e.outbox;
  static_cast<Agreed&>(*link) = agreed;
  link->peer_inbox = peer.inbox;
  link->peer_rkey = peer.rkey;
  link->peer_depth = peer.receives;
  if (link->e.two_sided) begin_two_sided(link);
  if (link->e.two_sided || link->e.iwarp) link->ops = &kRdmaSendBackend;
  uint32_t eighth = link->e.send_depth / 8;
  link->signal_every = knobs.signal < eighth ? knobs.signal : eighth;
  link->poll_most = static_cast<int>(knobs.cq_poll);
  link->quiet_most_ns = int64_t{knobs.timeout_ms} * 1000000 / kProbesPerTimeout;
  link->look_every_ns = link->quiet_most_ns / 2;  // sooner than the timer: a sleeper does not take it for a ring
  link->timer_fd = -1;
  hear_events(link->e.tenancy);  // what happened while nobody looked is not this link's
  const PortEvents& port = link->e.tenancy->port(link->e.port_num);
  link->port_downs = port.downs.load(std::memory_order_relaxed);
  link->port_ups = port.ups.load(std::memory_order_relaxed);
  link->gid_changes = port.gid_changes.load(std::memory_order_relaxed);
  Code code = make_descriptors(link);
  if (code == kOk) code = make_staging(link);
  if (code != kOk) destroy(context, link);
  return code;
}

// Core has posted the last word; it must get through before the connection goes.
void rdma_backend_close(Context& context, Link* l) noexcept {
  auto* link = static_cast<RdmaLink*>(l);
  Deadline deadline = Deadline::after(kCloseFlushNs);
  {
    MutexLock lock(&link->mutex);
    if (!link->two.on)
      link->peer_depth = 0;  // what is owed needs no receive of a peer that does not look: the disconnect wakes it
  }
  while (!l->ops->delivered(l) && l->ops->progress(l, kPutSide) == kOk && deadline.left(now_ns()) != 0) {
    nap(cm_fd(link), -1, kNapMinNs);
    l->ops->alive(l, kPutSide);
  }
  destroy(context, link);
}

}  // namespace rc
#endif
