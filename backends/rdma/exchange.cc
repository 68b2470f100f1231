// Endpoints that find each other without rdma_cm: each describes itself in a blob, the caller carries the blobs across,
// and each connects its queue pair to what the other's blob says.
//   both: open -> blob    the caller: exchanges the blobs    both: connect
// A queue pair that sends before the other one receives has wasted its tries. So the one with the lower name knocks,
// and begins again when its tries are used up; the other one sends nothing before it has heard the knock. With
// path=send the knock is an empty message, for which the other one has posted a receive before those of the messages.
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "backends/rdma/devices.h"
#include "backends/rdma/link.h"
#include "core/hello.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr uint64_t kKnock = 1;
constexpr uint8_t kHopLimit = 64;
constexpr uint8_t kRnrTimer = 12;  // 0.64 ms

RdmaPoint* rdma(ListenPoint* p) noexcept { return static_cast<RdmaPoint*>(p); }

uint64_t seal_over(const EndpointBlob& blob) noexcept {
  uint64_t seal = 0;
  for (size_t at = 0; at < offsetof(EndpointBlob, seal); at += sizeof seal) {
    uint64_t word;
    memcpy(&word, reinterpret_cast<const uint8_t*>(&blob) + at, sizeof word);
    seal = seal_of(seal ^ word);
  }
  return seal;
}

void describe(RdmaPoint* point, const Place& place) noexcept {
  const Endpoint& e = point->e;
  EndpointBlob* blob = &point->said;
  memset(static_cast<void*>(blob), 0, sizeof *blob);
  blob->hello.hello = make_hello(Hello::kAsk, point->params, point->params.ring_bytes);
  if (!e.two_sided) {
    blob->hello.inbox = reinterpret_cast<uintptr_t>(e.inbox);
    blob->hello.rkey = e.inbox_mr->rkey;
  }
  blob->hello.receives = e.receive_depth;
  blob->ring_bytes_max = point->params.ring_bytes_max;
  blob->qp_num = e.qp->qp_num;
  blob->psn = point->psn;
  blob->mtu = e.mtu;
  blob->lid = place.lid;
  memcpy(blob->gid, place.gid.raw, sizeof blob->gid);
  blob->dest_rd_atomic = e.dest_rd_atomic;
  blob->path = point->knobs.path;
  blob->seal = seal_over(*blob);
}

// An inbox that the peer is told of must lie somewhere; without one the rings can wait until their size is agreed.
Code make(Context& context, RdmaPoint* point, const Place& place) noexcept {
  Agreed most = {};
  most.ring_bytes = point->params.ring_bytes_max;
  most.op_ring_bytes = point->params.op_ring_bytes;
  Code code = make_at_place(context, point, place);
  return code == kOk && !point->e.two_sided ? make_rings(context, most, &point->e) : code;
}

// Everything in a blob is peer input, also under a seal that fits.
Code check_blob(const RdmaPoint* point, const void* data, size_t bytes, EndpointBlob* blob, Agreed* agreed) noexcept {
  if (bytes != sizeof *blob)
    return fail(kNotRingchan, "the peer's endpoint has %zu bytes, one of this library has %zu", bytes, sizeof *blob);
  memcpy(static_cast<void*>(blob), data, sizeof *blob);
  if (blob->seal != seal_over(*blob))
    return fail_plain(kNotRingchan, "the peer's endpoint is damaged: its seal is wrong");
  Code code = check_rdma_hello(blob->hello, sizeof blob->hello, Hello::kAsk);
  if (code != kOk) return code;
  bool number = blob->qp_num != 0 && blob->qp_num <= kNumberMost && blob->psn <= kNumberMost;
  bool way = blob->lid <= UINT16_MAX && is_mtu(blob->mtu) && blob->path <= kPathSend;
  if (!number || !way || blob->dest_rd_atomic > UINT8_MAX)
    return fail_plain(kNotRingchan, "the peer's endpoint names a queue pair that cannot be");
  if (memcmp(blob, &point->said, sizeof *blob) == 0)
    return fail_plain(kInvalid, "this is the endpoint's own blob; the peer's is wanted");
  if (blob->path != point->knobs.path)
    return fail(kUri, "%s: this end has path=%s, the peer's endpoint path=%s; give both the same", point->uri.text,
                name_of_path(point->knobs.path), name_of_path(blob->path));
  // Both ends come to the same size: what one of them insists on, else what both have room for.
  Hello ask = blob->hello.hello;
  uint64_t mine = point->params.ring_bytes, room = point->params.ring_bytes_max;
  if (ask.ring_bytes == 0)
    ask.ring_bytes = mine != 0 ? mine : room < blob->ring_bytes_max ? room : blob->ring_bytes_max;
  code = judge_ask(ask, point->params, &agreed->ring_bytes);
  if (code == kOk && (agreed->ring_bytes == 0 || agreed->ring_bytes > blob->ring_bytes_max))
    code = fail(kSize, "a ring of %zu bytes is wanted, the peer's endpoint has room for %llu", agreed->ring_bytes,
                static_cast<unsigned long long>(blob->ring_bytes_max));
  agree_on_ops(blob->hello.hello, point->params, agreed);
  if (code != kOk) return code;
  return point->e.two_sided ? check_slots(blob->hello) : check_inbox(blob->hello, agreed->both_rings());
}

// Both ends come to the same answer, from what they have told each other.
bool knocks(const EndpointBlob& mine, const EndpointBlob& peer) noexcept {
  int order = memcmp(mine.gid, peer.gid, sizeof mine.gid);
  return order < 0 || (order == 0 && mine.qp_num < peer.qp_num);
}

// The knock lies in the outbox, where the peer has its mail: nothing else is there. By path=send it is empty.
Code post_knock(const EndpointBlob& peer, Endpoint* e) noexcept {
  auto* from = reinterpret_cast<Sealed*>(reinterpret_cast<uint8_t*>(e->outbox) + kKnockLetter);
  *from = {kKnock, seal_of(kKnock)};
  ibv_sge sge = {reinterpret_cast<uintptr_t>(from), sizeof *from, e->outbox_mr->lkey};
  ibv_send_wr wr = {}, *bad = nullptr;
  wr.sg_list = &sge;
  wr.num_sge = e->two_sided ? 0 : 1;
  wr.opcode = e->two_sided ? IBV_WR_SEND : IBV_WR_RDMA_WRITE;
  wr.send_flags = IBV_SEND_SIGNALED;
  wr.wr.rdma.remote_addr = peer.hello.inbox + kKnockLetter;
  wr.wr.rdma.rkey = peer.hello.rkey;
  int error = ibv_post_send(e->qp, &wr, &bad);
  return error == 0 ? kOk : fail_errno(kSystem, "sending the first word", error);
}

// kWouldBlock: not yet. kHandshake: the tries are used up, worth another attempt.
Code knock_delivered(Endpoint* e) noexcept {
  ibv_wc wc;
  int n = take_completions(e, kSends, 1, &wc);
  if (n == 0) return kWouldBlock;
  if (n < 0) return fail_errno(kSystem, "polling a completion queue", -n);
  if (wc.status == IBV_WC_SUCCESS) return kOk;
  if (wc.status == IBV_WC_RETRY_EXC_ERR || wc.status == IBV_WC_WR_FLUSH_ERR) return kHandshake;
  Meaning m = meaning_of(wc.status);
  return fail_plain(m.code, m.why);
}

// kWouldBlock: not yet.
Code knock_heard(Endpoint* e) noexcept {
  uint64_t word;
  if (!e->two_sided) return mail_of(e->inbox).knock.whole(&word) && word == kKnock ? kOk : kWouldBlock;
  ibv_wc wc;
  int n = take_completions(e, kReceives, 1, &wc);
  if (n == 0) return kWouldBlock;
  if (n < 0) return fail_errno(kSystem, "polling a completion queue", -n);
  return wc.status == IBV_WC_SUCCESS ? kOk : fail_plain(kCorrupt, "the peer's first word is none that it may send");
}

// Back to the beginning; what was posted comes back with an error.
Code begin_again(const RdmaPoint* point, const EndpointBlob& peer, const Agreed& agreed, Endpoint* e) noexcept {
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_RESET;
  int error = g_verbs.modify_qp(e->qp, &attr, IBV_QP_STATE);
  if (error != 0) return fail_errno(kSystem, "resetting a queue pair", error);
  ibv_wc wc;
  for (Which which : kBothQueues) {
    while (take_completions(e, which, 1, &wc) > 0) {  // nobody waits for these
    }
  }
  Code code = begin(point->knobs, e);
  if (code == kOk) code = post_receives(agreed, e);
  return code == kOk ? join(point, peer, e) : code;
}

Code wait_a_little(Context& context, const ListenPoint* point, Deadline deadline, int64_t* pause_ns) noexcept {
  if (point->closing.load(std::memory_order_acquire))
    return fail_plain(kClosing, "the endpoint is being closed by another thread");
  if (context.stopped()) return fail_plain(kStopped, "rc_stop was called on the context");
  if (deadline.left(now_ns()) == 0)
    return fail_plain(kTimeout, "the peer's endpoint did not connect before the deadline");
  nap(-1, context.stop_fd(), *pause_ns);
  *pause_ns = *pause_ns * 2 < kNapMaxNs ? *pause_ns * 2 : kNapMaxNs;
  return kOk;
}

Code meet(Context& context, RdmaPoint* point, const EndpointBlob& peer, const Agreed& agreed,
          Deadline deadline) noexcept {
  Endpoint* e = &point->e;
  bool first = knocks(point->said, peer);
  Code code = kOk;
  if (e->two_sided) {
    if (!first && !post_receive(e->qp)) return fail_errno(kSystem, "posting a receive", errno);
    code = make_rings(context, agreed, e);
  }
  if (code == kOk) code = join(point, peer, e);
  if (code == kOk && first) code = post_knock(peer, e);
  for (int64_t pause_ns = kNapMinNs; code == kOk;) {
    Code found = first ? knock_delivered(e) : knock_heard(e);
    if (found == kOk) return kOk;
    if (found == kHandshake) {
      code = begin_again(point, peer, agreed, e);
      if (code == kOk) code = post_knock(peer, e);
    } else if (found != kWouldBlock) {
      return found;
    }
    if (code == kOk) code = wait_a_little(context, point, deadline, &pause_ns);
  }
  return code;
}

}  // namespace

Code find_own_place(RdmaPoint* point, Place* place) noexcept {
  RdmaAddresses here;
  Code code = open_verbs();
  if (code == kOk) code = check_device_name(point->uri, point->knobs);
  if (code == kOk) code = resolve(point->uri, point->knobs, true, &here);
  return code == kOk ? find_place(point->uri, point->knobs, here.at[0], place) : code;
}

Code make_at_place(Context& context, RdmaPoint* point, const Place& place) noexcept {
  const Knobs& knobs = point->knobs;
  Endpoint* e = &point->e;
  Code code = join_tenancy(context, place.verbs, true, &e->tenancy);
  if (code != kOk) return code;
  e->verbs = e->tenancy->verbs;
  e->port_num = place.port_num;
  point->gid_index = place.gid_index;
  point->psn = knobs.psn;
  if (knobs.psn == kNotGiven && getrandom(&point->psn, sizeof point->psn, 0) != sizeof point->psn)
    return fail_errno(kSystem, "getrandom for a first packet number", errno);
  point->psn &= kNumberMost;
  code = check_device(point->uri, knobs, e);
  if (code == kOk) code = make_qp(context, point->uri, knobs, e);
  return code == kOk ? begin(knobs, e) : code;
}

Code join(const RdmaPoint* point, const EndpointBlob& peer, Endpoint* e) noexcept {
  const Knobs& knobs = point->knobs;
  ibv_qp_attr attr = {};
  attr.dest_qp_num = peer.qp_num;
  attr.rq_psn = peer.psn;
  attr.min_rnr_timer = kRnrTimer;
  attr.max_dest_rd_atomic = static_cast<uint8_t>(e->dest_rd_atomic);
  memcpy(attr.ah_attr.grh.dgid.raw, peer.gid, sizeof peer.gid);
  attr.ah_attr.is_global = is_empty(attr.ah_attr.grh.dgid) ? 0 : 1;
  attr.ah_attr.grh.sgid_index = static_cast<uint8_t>(point->gid_index);
  attr.ah_attr.grh.hop_limit = kHopLimit;
  attr.ah_attr.dlid = static_cast<uint16_t>(peer.lid);
  attr.ah_attr.port_num = e->port_num;
  Knobs chosen = knobs;
  chosen.gid = kNotGiven;  // it is the one of the place
  Code code = enter_receiving(chosen, attr,
                              IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                                  IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
                              e);
  attr = {};
  attr.sq_psn = point->psn;
  attr.max_rd_atomic = static_cast<uint8_t>(e->rd_atomic < peer.dest_rd_atomic ? e->rd_atomic : peer.dest_rd_atomic);
  if (code != kOk) return code;
  return enter_sending(
      knobs, attr,
      IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC, e);
}

Code rdma_open_endpoint(Context& context, ListenPoint* p, void* blob, size_t* bytes) noexcept {
  RdmaPoint* point = rdma(p);
  point->is_endpoint = true;
  point->wake_fd = -1;
  if (*bytes < sizeof(EndpointBlob)) {
    size_t room = *bytes;
    *bytes = sizeof(EndpointBlob);
    return fail(kSize, "an endpoint is described in %zu bytes, there is room for %zu", sizeof(EndpointBlob), room);
  }
  Place place = {};
  Code code = read_knobs(p->uri, p->params.rdma_knobs, &point->knobs);
  if (code == kOk) code = find_own_place(point, &place);
  if (code != kOk) return code;
  code = make(context, point, place);
  if (code != kOk) {
    destroy_endpoint(context, &point->e);
    return code;
  }
  describe(point, place);
  memcpy(blob, &point->said, sizeof point->said);
  *bytes = sizeof point->said;
  return kOk;
}

Code rdma_connect_endpoint(Context& context, ListenPoint* p, const void* data, size_t bytes, Deadline deadline,
                           Link* link) noexcept {
  RdmaPoint* point = rdma(p);
  if (!point->is_endpoint) return fail(kState, "%s: this is a listener; rc_accept takes its clients", p->uri.text);
  if (point->spent) return fail_plain(kState, "this endpoint has been connected, or has tried; open another one");
  EndpointBlob peer = {};
  Agreed agreed = {};
  Code code = check_blob(point, data, bytes, &peer, &agreed);
  if (code != kOk) return code;
  point->spent = true;
  if (peer.mtu < point->e.mtu) point->e.mtu = peer.mtu;
  code = meet(context, point, peer, agreed, deadline);
  if (code != kOk) {
    destroy_endpoint(context, &point->e);
    return code;
  }
  memcpy(link->identity, peer.hello.hello.identity, sizeof link->identity);
  return fill_link(context, point->knobs, &point->e, peer.hello, agreed, static_cast<RdmaLink*>(link));
}

}  // namespace rc
#endif
