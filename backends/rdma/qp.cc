// A queue pair, its queues and its states. rdma_cm proposes the attributes of each state; what the knobs say goes over
// that.
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backends/rdma/endpoint.h"
#include "backends/rdma/note.h"
#include "core/descriptors.h"
#include "core/op_wire.h"

namespace rc {
namespace {

constexpr uint32_t kInlineBytes = sizeof(SealedNote);

Code find_domain(Context& context, const Knobs& knobs, Endpoint* e) noexcept {
  if (!knobs.own_pd) return share_domain(context, e->tenancy, &e->pd);
  e->pd = g_verbs.alloc_pd(e->verbs);
  e->own_pd = e->pd != nullptr;
  return e->own_pd ? kOk : fail_errno(kSystem, "allocating a protection domain", errno);
}

Code share_queues(Endpoint* e) noexcept {
  SharedQueues* shared = &e->tenancy->shared;
  Code code = take_seat(shared, e->verbs, e->cq_depth, e->send_depth, e->receive_depth + kHelloReceives, &e->seat);
  if (code != kOk) return code;
  e->send_cq = shared->queues[kSends];
  e->receive_cq = shared->queues[kReceives];
  e->cq_depth = shared->entries;
  return kOk;
}

Code make_queues(Endpoint* e) noexcept {
  e->completions = g_verbs.create_comp_channel(e->verbs);
  if (e->completions == nullptr) return fail_errno(kSystem, "making a completion channel", errno);
  if (!nonblocking(e->completions->fd)) return fail_errno(kSystem, "fcntl of a completion channel", errno);
  Code code = make_queue(e->verbs, e->cq_depth, e->completions, &e->send_cq);
  return code == kOk ? make_queue(e->verbs, e->receive_depth + kHelloReceives, e->completions, &e->receive_cq) : code;
}

Code create(const Uri& uri, const Knobs& knobs, Endpoint* e) noexcept {
  ibv_qp_init_attr init = {};
  init.send_cq = e->send_cq;
  init.recv_cq = e->receive_cq;
  init.qp_type = IBV_QPT_RC;
  init.cap.max_send_wr = e->send_depth;
  init.cap.max_recv_wr = e->receive_depth + kHelloReceives;
  init.cap.max_send_sge = init.cap.max_recv_sge = knobs.sge;
  if (e->two_sided && knobs.sge < kMessagePieces) init.cap.max_send_sge = kMessagePieces;
  bool asked = knobs.inline_bytes != kNotGiven;
  init.cap.max_inline_data = asked ? knobs.inline_bytes : kInlineBytes;
  e->qp = g_verbs.create_qp(e->pd, &init);
  int error = errno;
  if (e->qp == nullptr && asked && knobs.inline_bytes != 0) {
    return fail(kUri, "%s: the device makes no queue pair with inline=%u (%s)", uri.text, knobs.inline_bytes,
                strerror(error));
  }
  if (e->qp == nullptr && !asked) {
    init.cap.max_inline_data = 0;
    e->qp = g_verbs.create_qp(e->pd, &init);
    error = errno;
  }
  if (e->qp == nullptr) {
    char tried[80];
    snprintf(tried, sizeof tried, "making a queue pair for %u sends and %u receives", init.cap.max_send_wr,
             init.cap.max_recv_wr);
    return locking_failed(tried, error);
  }
  e->inline_bytes = asked && knobs.inline_bytes == 0 ? 0 : init.cap.max_inline_data;
  if (e->seat != nullptr) sit_down(&e->tenancy->shared, e->seat, e->qp);
  return kOk;
}

template <class To>
void put_over(uint32_t knob, To* attribute) noexcept {
  if (knob != kNotGiven) *attribute = static_cast<To>(knob);
}

// The table has one address several times, for several kinds of RoCE: any of these will do.
Code choose_gid(const Knobs& knobs, const Endpoint* e, ibv_ah_attr* to) noexcept {
  if (knobs.gid == kNotGiven || knobs.gid == to->grh.sgid_index) return kOk;
  ibv_gid asked = {}, used = {};
  if (g_verbs.query_gid(e->verbs, e->port_num, static_cast<int>(knobs.gid), &asked) != 0 ||
      g_verbs.query_gid(e->verbs, e->port_num, to->grh.sgid_index, &used) != 0 ||
      memcmp(&asked, &used, sizeof used) != 0) {
    return fail(kUri, "gid=%u is not the address that this connection uses, which is gid=%u", knobs.gid,
                unsigned{to->grh.sgid_index});
  }
  to->grh.sgid_index = static_cast<uint8_t>(knobs.gid);
  return kOk;
}

Code modify(Endpoint* e, ibv_qp_attr* attr, int mask, const char* what) noexcept {
  int error = g_verbs.modify_qp(e->qp, attr, mask);
  return error == 0 ? kOk : fail_errno(kSystem, what, error);
}

}  // namespace

Code make_queue(ibv_context* verbs, uint32_t entries, ibv_comp_channel* channel, ibv_cq** to) noexcept {
  *to = g_verbs.create_cq(verbs, static_cast<int>(entries), nullptr, channel, 0);
  if (*to != nullptr) return kOk;
  int error = errno;
  char tried[56];
  snprintf(tried, sizeof tried, "making a completion queue of %u entries", entries);
  return locking_failed(tried, error);
}

Code make_qp(Context& context, const Uri& uri, const Knobs& knobs, Endpoint* e) noexcept {
  Code code = find_domain(context, knobs, e);
  if (code == kOk) code = knobs.shared_cq ? share_queues(e) : make_queues(e);
  return code == kOk ? create(uri, knobs, e) : code;
}

void end_qp(Endpoint* e) noexcept {
  if (e->seat != nullptr) {
    leave_seat(&e->tenancy->shared, e->seat, e->qp);
  } else {
    if (e->qp != nullptr) g_verbs.destroy_qp(e->qp);
    if (e->send_cq != nullptr) g_verbs.destroy_cq(e->send_cq);
    if (e->receive_cq != nullptr) g_verbs.destroy_cq(e->receive_cq);
    if (e->completions != nullptr) g_verbs.destroy_comp_channel(e->completions);
  }
  e->qp = nullptr;
  e->send_cq = e->receive_cq = nullptr;
  e->completions = nullptr;
  e->seat = nullptr;
}

int take_completions(Endpoint* e, Which which, int most, ibv_wc* to) noexcept {
  if (e->seat != nullptr) return take_shared(&e->tenancy->shared, e->seat, which, most, to);
  return ibv_poll_cq(which == kSends ? e->send_cq : e->receive_cq, most, to);
}

void arm_completions(Endpoint* e, bool sends) noexcept {
  if (e->seat != nullptr) return arm_shared(&e->tenancy->shared, e->seat);
  ibv_cq* cq = nullptr;
  void* unused = nullptr;
  while (g_verbs.get_cq_event(e->completions, &cq, &unused) == 0) g_verbs.ack_cq_events(cq, 1);
  ibv_req_notify_cq(e->receive_cq, 0);
  if (sends) ibv_req_notify_cq(e->send_cq, 0);
}

int news_fd(const Endpoint& e) noexcept { return e.seat != nullptr ? e.seat->set : e.completions->fd; }

bool watch_news(int set, const Endpoint& e) noexcept {
  if (e.seat == nullptr) return watch(set, e.completions->fd);
  return watch(set, e.seat->fd) && watch(set, e.tenancy->shared.channel->fd);
}

ibv_mtu mtu_of(uint32_t bytes) noexcept {
  uint32_t mtu = IBV_MTU_256;
  while (mtu < IBV_MTU_4096 && mtu_bytes(static_cast<ibv_mtu>(mtu)) < bytes) ++mtu;
  return static_cast<ibv_mtu>(mtu);
}

Code enter_init(const Knobs& knobs, ibv_qp_attr attr, int mask, Endpoint* e) noexcept {
  attr.qp_state = IBV_QPS_INIT;
  put_over(knobs.pkey, &attr.pkey_index);
  unsigned access = knobs.path == kPathSend ? 0 : IBV_ACCESS_REMOTE_WRITE;
  if ((e->access & kRead) != 0 || e->iwarp) access |= IBV_ACCESS_REMOTE_READ;
  if ((e->access & kAtomic) != 0) access |= IBV_ACCESS_REMOTE_ATOMIC;
  attr.qp_access_flags = access;
  return modify(e, &attr, mask, "preparing a queue pair");
}

Code begin(const Knobs& knobs, Endpoint* e) noexcept {
  ibv_qp_attr attr = {};
  attr.port_num = e->port_num;
  return enter_init(knobs, attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, e);
}

Code enter_receiving(const Knobs& knobs, ibv_qp_attr attr, int mask, Endpoint* e) noexcept {
  attr.qp_state = IBV_QPS_RTR;
  attr.path_mtu = mtu_of(e->mtu);
  put_over(knobs.sl, &attr.ah_attr.sl);
  put_over(knobs.static_rate, &attr.ah_attr.static_rate);
  put_over(knobs.path_bits, &attr.ah_attr.src_path_bits);
  put_over(knobs.tclass, &attr.ah_attr.grh.traffic_class);
  put_over(knobs.hop_limit, &attr.ah_attr.grh.hop_limit);
  put_over(knobs.flow_label, &attr.ah_attr.grh.flow_label);
  put_over(knobs.min_rnr_timer, &attr.min_rnr_timer);
  if (attr.max_dest_rd_atomic < e->dest_rd_atomic) e->dest_rd_atomic = attr.max_dest_rd_atomic;
  attr.max_dest_rd_atomic = static_cast<uint8_t>(e->dest_rd_atomic);
  Code code = choose_gid(knobs, e, &attr.ah_attr);
  return code == kOk ? modify(e, &attr, mask, "connecting a queue pair to the peer's") : code;
}

Code enter_sending(const Knobs& knobs, ibv_qp_attr attr, int mask, Endpoint* e) noexcept {
  attr.qp_state = IBV_QPS_RTS;
  attr.timeout = static_cast<uint8_t>(knobs.ack_timeout);
  attr.retry_cnt = static_cast<uint8_t>(knobs.retry_count);
  attr.rnr_retry = static_cast<uint8_t>(knobs.rnr_retry);
  if (attr.max_rd_atomic < e->rd_atomic) e->rd_atomic = attr.max_rd_atomic;
  attr.max_rd_atomic = static_cast<uint8_t>(e->rd_atomic);
  return modify(e, &attr, mask, "letting a queue pair send");
}

Code propose(Endpoint* e, ibv_qp_state state, ibv_qp_attr* attr, int* mask) noexcept {
  *attr = {};
  attr->qp_state = state;
  if (g_verbs.init_qp_attr(e->id, attr, mask) == 0) return kOk;
  return fail_errno(kSystem, "asking rdma_cm for the attributes of a queue pair", errno);
}

Code enter_connection(const Knobs& knobs, uint32_t peer_mtu, Endpoint* e) noexcept {
  if (e->iwarp) return kOk;  // the kernel does that, when it connects or accepts
  ibv_qp_attr attr;
  int mask = 0;
  Code code = propose(e, IBV_QPS_RTR, &attr, &mask);
  if (code != kOk) return code;
  if ((mask & IBV_QP_PATH_MTU) != 0) {
    uint32_t way = mtu_bytes(attr.path_mtu);
    if (way < e->mtu) e->mtu = way;
    if (peer_mtu < e->mtu) e->mtu = peer_mtu;
  }
  code = enter_receiving(knobs, attr, mask, e);
  if (code == kOk) code = propose(e, IBV_QPS_RTS, &attr, &mask);
  if (code == kOk) code = enter_sending(knobs, attr, mask, e);
  return code;
}

void drop_connection(Endpoint* e) noexcept {
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_ERR;
  if (e->qp != nullptr) g_verbs.modify_qp(e->qp, &attr, IBV_QP_STATE);  // what is under way completes, with an error
  if (e->id != nullptr) g_verbs.disconnect(e->id);
}

}  // namespace rc
#endif
