#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <new>

#include "backends/rdma/endpoint.h"
#include "backends/rdma/mail.h"
#include "core/descriptors.h"

namespace rc {
namespace {

Code post_hello_receives(Parley* parley, Endpoint* e) noexcept {
  memset(static_cast<void*>(parley), 0, sizeof *parley);
  e->parley_mr = g_verbs.reg_mr(e->pd, parley, sizeof *parley, IBV_ACCESS_LOCAL_WRITE);
  if (e->parley_mr == nullptr) return registration_failed("the handshake", sizeof *parley, errno);
  for (RdmaHello& in : parley->in) {
    ibv_sge to = {reinterpret_cast<uintptr_t>(&in), sizeof in, e->parley_mr->lkey};
    ibv_recv_wr wr = {};
    wr.sg_list = &to;
    wr.num_sge = 1;
    ibv_recv_wr* bad = nullptr;
    int error = ibv_post_recv(e->qp, &wr, &bad);
    if (error != 0) return fail_errno(kSystem, "posting a receive", error);
  }
  return kOk;
}

// One completion; kWouldBlock if there is none.
Code take_completion(Endpoint* e, Which which, ibv_wc* wc) noexcept {
  int n = take_completions(e, which, 1, wc);
  if (n == 0) return kWouldBlock;
  if (n < 0) return fail_errno(kSystem, "polling a completion queue", -n);
  return wc->status == IBV_WC_SUCCESS ? kOk : fail_plain(kPeerDead, "the peer went away during the handshake");
}

void deregister(ibv_mr** mr) noexcept {
  if (*mr != nullptr) g_verbs.dereg_mr(*mr);
  *mr = nullptr;
}

}  // namespace

Code locking_failed(const char* tried, int error) noexcept {
  rlimit limit;
  if (error == ENOMEM && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    return fail(kNoMemory,
                "%s: this process may lock %llu bytes in all; raise it (ulimit -l unlimited, or memlock in "
                "/etc/security/limits.conf)",
                tried, static_cast<unsigned long long>(limit.rlim_cur));
  }
  return fail_errno(kSystem, tried, error);
}

Code registration_failed(const char* what, uint64_t bytes, int error) noexcept {
  char tried[80];
  snprintf(tried, sizeof tried, "registering %llu bytes for %s", static_cast<unsigned long long>(bytes), what);
  return locking_failed(tried, error);
}

Code make_event_channel(rdma_event_channel** channel) noexcept {
  *channel = g_verbs.create_event_channel();
  if (*channel == nullptr) return fail_errno(kSystem, "opening rdma_cm", errno);
  if (nonblocking((*channel)->fd)) return kOk;
  Code code = fail_errno(kSystem, "fcntl of an rdma_cm channel", errno);
  g_verbs.destroy_event_channel(*channel);
  *channel = nullptr;
  return code;
}

Code set_options(rdma_cm_id* id, const Knobs& knobs) noexcept {
  auto tos = static_cast<uint8_t>(knobs.tclass);
  if (knobs.tclass != kNotGiven && g_verbs.set_option(id, RDMA_OPTION_ID, RDMA_OPTION_ID_TOS, &tos, sizeof tos) != 0) {
    return fail_errno(kSystem, "setting the traffic class", errno);
  }
  return kOk;
}

Code make_endpoint(Context& context, const Uri& uri, const Knobs& knobs, Parley* parley, Endpoint* e) noexcept {
  if (knobs.psn != kNotGiven)
    return fail(kUri, "%s: psn=%u: rdma_cm chooses the packet numbers; psn is for rc_endpoint_open", uri.text,
                knobs.psn);
  e->verbs = e->id->verbs;
  e->port_num = e->id->port_num;
  ibv_qp_attr attr;
  int mask = 0;
  Code code = check_device(uri, knobs, e);
  if (code == kOk) code = join_tenancy(context, e->verbs, false, &e->tenancy);
  if (code == kOk) code = make_qp(context, uri, knobs, e);
  if (code == kOk) code = propose(e, IBV_QPS_INIT, &attr, &mask);
  if (code == kOk) code = enter_init(knobs, attr, mask, e);
  if (code == kOk) code = post_hello_receives(parley, e);
  return code;
}

namespace {

constexpr uint32_t kReceivesAtOnce = 32;

ibv_recv_wr receive_into_slot(const Endpoint* e, const Cells& cells, uint64_t slot, ibv_sge* to) noexcept {
  uint64_t ring = cells.ring(slot);
  auto at = reinterpret_cast<uintptr_t>(e->cells[ring] + cells.slot_at(slot));
  *to = {at, cells.slot_bytes, e->cells_mr[ring]->lkey};
  ibv_recv_wr wr = {};
  wr.wr_id = slot;
  wr.sg_list = to;
  wr.num_sge = 1;
  return wr;
}

// path=send: neither slots nor inbox are the peer's NIC's to write.
Code make_cells(Context& context, const Agreed& agreed, Endpoint* e) noexcept {
  Cells cells = cells_of(agreed.ring_bytes, agreed.both_rings());
  for (uint32_t i = 0; i < kCellRings; ++i) {
    Inbox* ring = context.take_ring();
    if (ring == nullptr) return kPool;
    e->cells[i] = reinterpret_cast<uint8_t*>(ring);
    e->cells_mr[i] = g_verbs.reg_mr(e->pd, ring, cells.bytes(), IBV_ACCESS_LOCAL_WRITE);
    if (e->cells_mr[i] == nullptr) return registration_failed("messages", cells.bytes(), errno);
  }
  if (e->receive_depth > cells.count) e->receive_depth = cells.count;
  return post_receives(agreed, e);
}

}  // namespace

Code make_rings(Context& context, const Agreed& agreed, Endpoint* e) noexcept {
  uint64_t most = uint64_t{e->message_most} * (kWritesMost - 3);
  uint64_t largest = agreed.ring_bytes > agreed.op_ring_bytes ? agreed.ring_bytes : agreed.op_ring_bytes;
  if (largest > most && !e->two_sided) {
    return fail(kSize, "a ring of %llu bytes is wanted, over this RDMA device it may have %llu",
                static_cast<unsigned long long>(largest), static_cast<unsigned long long>(most));
  }
  uint32_t message = cells_of(agreed.ring_bytes, agreed.both_rings()).slot_bytes;
  if (e->two_sided && message > e->message_most) {
    return fail(kSize,
                "path=send: rings of %zu and %u bytes make messages of %u, over this RDMA device they may have %u",
                agreed.ring_bytes, agreed.op_ring_bytes, message, e->message_most);
  }
  e->inbox = context.take_ring();
  e->outbox = e->inbox != nullptr ? context.take_ring() : nullptr;
  if (e->outbox == nullptr) return kPool;
  clear_mail(e->inbox);
  size_t bytes = kRingOffset + agreed.both_rings();
  e->outbox_mr = g_verbs.reg_mr(e->pd, e->outbox, bytes, 0);
  if (e->outbox_mr == nullptr) return registration_failed("a ring", bytes, errno);
  if (e->two_sided) return make_cells(context, agreed, e);
  // Nothing but this inbox, and never with relaxed ordering: the tail must not overtake the bytes.
  unsigned access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
  if (e->iwarp) access |= IBV_ACCESS_REMOTE_READ;  // of what the peer has written itself (post_marker)
  e->inbox_mr = g_verbs.reg_mr(e->pd, e->inbox, bytes, static_cast<int>(access));
  if (e->inbox_mr == nullptr) return registration_failed("a ring", bytes, errno);
  return post_receives(agreed, e);
}

Code post_receives(const Agreed& agreed, const Endpoint* e) noexcept {
  Cells cells = cells_of(agreed.ring_bytes, agreed.both_rings());
  for (uint32_t first = 0; first < e->receive_depth; first += kReceivesAtOnce) {
    ibv_recv_wr chain[kReceivesAtOnce];
    ibv_sge to[kReceivesAtOnce];
    uint32_t left = e->receive_depth - first;
    uint32_t n = left < kReceivesAtOnce ? left : kReceivesAtOnce;
    for (uint32_t i = 0; i < n; ++i) {
      chain[i] = e->two_sided ? receive_into_slot(e, cells, first + i, &to[i]) : ibv_recv_wr();
      chain[i].next = i + 1 < n ? &chain[i + 1] : nullptr;
    }
    ibv_recv_wr* bad = chain;
    int error = ibv_post_recv(e->qp, chain, &bad);
    if (error == 0) continue;
    // Those before the bad one stay posted; the caller destroys the queue pair.
    char tried[48];
    auto place = first + static_cast<uint32_t>(bad - chain) + 1;
    snprintf(tried, sizeof tried, "posting receive %u of %u", place, e->receive_depth);
    return fail_errno(kSystem, tried, error);
  }
  return kOk;
}

void end_parley(Endpoint* e) noexcept { deregister(&e->parley_mr); }

void destroy_endpoint(Context& context, Endpoint* e) noexcept {
  end_qp(e);
  deregister(&e->inbox_mr);
  deregister(&e->outbox_mr);
  for (ibv_mr*& mr : e->cells_mr) deregister(&mr);
  deregister(&e->parley_mr);
  if (e->own_pd) g_verbs.dealloc_pd(e->pd);
  if (e->tenancy != nullptr) leave_tenancy(context, e->tenancy);
  if (e->id != nullptr) g_verbs.destroy_id(e->id);
  if (e->channel != nullptr) g_verbs.destroy_event_channel(e->channel);
  if (e->inbox != nullptr) context.give_ring(e->inbox);
  if (e->outbox != nullptr) context.give_ring(e->outbox);
  for (uint8_t* cells : e->cells) {
    if (cells != nullptr) context.give_ring(reinterpret_cast<Inbox*>(cells));
  }
  *e = {};
}

rdma_conn_param connection_params(const Knobs& knobs, const Endpoint& e, const Card& card) noexcept {
  rdma_conn_param p = {};
  p.qp_num = e.qp->qp_num;
  p.initiator_depth = static_cast<uint8_t>(e.rd_atomic);
  p.responder_resources = static_cast<uint8_t>(e.dest_rd_atomic);
  p.private_data = &card;
  p.private_data_len = sizeof card;
  p.retry_count = static_cast<uint8_t>(knobs.retry_count);
  p.rnr_retry_count = static_cast<uint8_t>(knobs.rnr_retry);
  return p;
}

bool post_receive(ibv_qp* qp) noexcept {
  ibv_recv_wr wr = {};
  ibv_recv_wr* bad = nullptr;
  int error = ibv_post_recv(qp, &wr, &bad);
  errno = error;
  return error == 0;
}

bool post_slot(const Endpoint* e, const Cells& cells, uint64_t slot) noexcept {
  ibv_sge to;
  ibv_recv_wr wr = receive_into_slot(e, cells, slot, &to);
  ibv_recv_wr* bad = nullptr;
  int error = ibv_post_recv(e->qp, &wr, &bad);
  errno = error;
  return error == 0;
}

Code send_hello(Endpoint* e, Parley* parley, const Hello& hello) noexcept {
  parley->out.hello = hello;
  parley->out.inbox = e->two_sided ? 0 : reinterpret_cast<uintptr_t>(e->inbox);
  parley->out.rkey = e->inbox_mr != nullptr ? e->inbox_mr->rkey : 0;
  parley->out.receives = e->receive_depth;
  ibv_sge from = {reinterpret_cast<uintptr_t>(&parley->out), sizeof parley->out, e->parley_mr->lkey};
  ibv_send_wr wr = {};
  wr.sg_list = &from;
  wr.num_sge = 1;
  wr.opcode = IBV_WR_SEND;
  wr.send_flags = IBV_SEND_SIGNALED;
  ibv_send_wr* bad = nullptr;
  int error = ibv_post_send(e->qp, &wr, &bad);
  if (error != 0) return fail_errno(kSystem, "sending a hello", error);
  ++parley->sent;
  return kOk;
}

Code receive_hello(Endpoint* e, Parley* parley, const RdmaHello** hello, size_t* bytes) noexcept {
  ibv_wc wc;
  Code code = take_completion(e, kReceives, &wc);
  if (code != kOk) return code;
  if (parley->received == kHelloReceives) return fail_plain(kNotRingchan, "the peer says more than a handshake has");
  *hello = &parley->in[parley->received++];
  *bytes = wc.byte_len;
  return kOk;
}

Code hellos_delivered(Endpoint* e, Parley* parley) noexcept {
  ibv_wc wc;
  while (parley->delivered != parley->sent) {
    Code code = take_completion(e, kSends, &wc);
    if (code != kOk) return code;
    ++parley->delivered;
  }
  return kOk;
}

}  // namespace rc
#endif
