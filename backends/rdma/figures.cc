// What was chosen for a link, as its queue pair says it, and what the link counts.
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include "backends/rdma/link.h"
#include "core/mutex_lock.h"

namespace rc {
namespace {

struct List {
  Figure* to;
  uint32_t most;
  uint32_t n;
  template <class Value>
  void add(const char* name, Value value) noexcept {
    if (n < most) to[n++] = {name, static_cast<int64_t>(value)};
  }
};

void add_queue_pair(const RdmaLink* link, List* list) noexcept {
  ibv_qp_attr a = {};
  ibv_qp_init_attr init = {};
  constexpr int kAll = IBV_QP_STATE | IBV_QP_CUR_STATE | IBV_QP_ACCESS_FLAGS | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
                       IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                       IBV_QP_RQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER | IBV_QP_SQ_PSN |
                       IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_CAP | IBV_QP_DEST_QPN;
  if (g_verbs.query_qp(link->e.qp, &a, kAll, &init) != 0) return;
  const Figure figures[] = {
      {"qp_state", a.qp_state},
      {"qp_num", link->e.qp->qp_num},
      {"peer_qp_num", a.dest_qp_num},
      {"port", link->e.port_num},
      {"mtu", mtu_bytes(a.path_mtu)},
      {"gid", a.ah_attr.grh.sgid_index},
      {"pkey", a.pkey_index},
      {"sl", a.ah_attr.sl},
      {"tclass", a.ah_attr.grh.traffic_class},
      {"hop_limit", a.ah_attr.grh.hop_limit},
      {"flow_label", a.ah_attr.grh.flow_label},
      {"static_rate", a.ah_attr.static_rate},
      {"path_bits", a.ah_attr.src_path_bits},
      {"psn", a.sq_psn},
      {"peer_psn", a.rq_psn},
      {"ack_timeout", a.timeout},
      {"retry_count", a.retry_cnt},
      {"rnr_retry", a.rnr_retry},
      {"min_rnr_timer", a.min_rnr_timer},
      {"rd_atomic", a.max_rd_atomic},
      {"dest_rd_atomic", a.max_dest_rd_atomic},
      {"access", static_cast<int64_t>(a.qp_access_flags)},
      {"sge", init.cap.max_send_sge},
  };
  for (const Figure& f : figures) list->add(f.name, f.value);
}

}  // namespace

uint32_t rdma_figures(Link* l, Figure* to, uint32_t most) noexcept {
  auto* link = static_cast<RdmaLink*>(l);
  MutexLock lock(&link->mutex);
  List list = {to, most, 0};
  list.add("event", link->e.event);
  list.add("path", link->two.on);
  list.add("sq_depth", link->e.send_depth);
  list.add("rq_depth", link->e.receive_depth);
  list.add("cq_depth", link->e.cq_depth);
  list.add("cq_poll", link->poll_most);
  list.add("signal", link->signal_every);
  list.add("inline", link->e.inline_bytes);
  list.add("timeout_ms", link->quiet_most_ns * kProbesPerTimeout / 1000000);
  list.add("requests", link->posted);
  list.add("doorbells", link->doorbells);
  list.add("completions", link->completions);
  list.add("receives", link->receives);
  list.add("registrations", link->registrations.made);
  list.add("device_guid", be64toh(g_verbs.get_device_guid(link->e.verbs->device)));
  list.add("pd", link->e.pd->handle);
  list.add("cq", link->e.send_cq->handle);
  const PortEvents& port = link->e.tenancy->port(link->e.port_num);
  list.add("port_downs", port.downs.load(std::memory_order_relaxed) - link->port_downs);
  list.add("port_ups", port.ups.load(std::memory_order_relaxed) - link->port_ups);
  list.add("gid_changes", port.gid_changes.load(std::memory_order_relaxed) - link->gid_changes);
  add_queue_pair(link, &list);
  return list.n;
}

}  // namespace rc
#endif
