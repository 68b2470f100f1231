// Raw endpoints: SEND and RECV on a queue pair whose other end need not know ringchan. The caller brings the peer's
// address; nothing is sent but what he posts.
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "backends/rdma/devices.h"
#include "backends/rdma/link.h"
#include "backends/rdma/raw.h"
#include "core/mutex_lock.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr uint32_t kTakenAtOnce = 16;

RdmaPoint* rdma(ListenPoint* p) noexcept { return static_cast<RdmaPoint*>(p); }

// What a completion means where both ends are the program's own: else as for a channel. Of a message larger than its
// receive devices say different things: (LOC_LEN, REM_INV_REQ) by the book, (LOC_QP_OP, REM_OP) from soft-RoCE.
Meaning raw_meaning_of(ibv_wc_status status, bool sent) noexcept {
  switch (status) {
    case IBV_WC_LOC_LEN_ERR:
      return {kSize, "a message was larger than the receive it came to (LOC_LEN)"};
    case IBV_WC_LOC_QP_OP_ERR:
      if (sent) break;
      return {kSize, "a message was larger than the receive it came to, most likely (LOC_QP_OP)"};
    case IBV_WC_REM_INV_REQ_ERR:
      return {kSize, "a message was larger than the receive it came to, most likely (REM_INV_REQ)"};
    case IBV_WC_REM_OP_ERR:
      return {kSize, "a message was larger than the receive it came to, most likely (REM_OP)"};
    case IBV_WC_WR_FLUSH_ERR:
      return {kPeerDead, "the connection was over before this request was done (WR_FLUSH)"};
    default:
      break;
  }
  return meaning_of(status);
}

// ----------------------------------------------------------------------------------------------------------------
// open, connect, end

// A raw endpoint has receives also if it polls.
Code choose_depths(const Uri& uri, Knobs* knobs) noexcept {
  if (knobs->path == kPathSend)
    return fail(kUri, "%s: path=send is a protocol for channels; a raw endpoint has none", uri.text);
  uint32_t* const depths[] = {&knobs->send_depth, &knobs->receive_depth};
  for (uint32_t* depth : depths) {
    if (*depth > kRawDepthMost)
      return fail(kUri, "%s: a queue of a raw endpoint has at most %u places, not %u", uri.text, kRawDepthMost, *depth);
    if (*depth == 0) *depth = kRawDepthMost;
  }
  knobs->event = true;
  return kOk;
}

Code make_raw(Context& context, RdmaPoint* point, Place* place) noexcept {
  point->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (point->wake_fd < 0) return fail_errno(kSystem, "eventfd for a raw endpoint", errno);
  Code code = find_own_place(point, place);
  if (code == kOk) code = make_at_place(context, point, *place);
  Raw* raw = &point->raw;
  raw->infiniband = place->infiniband;
  raw->sends.depth = point->e.send_depth;
  raw->receives.depth = point->e.receive_depth;
  return code;
}

Code rdma_open_raw(Context& context, ListenPoint* p, RawAddress* own) noexcept {
  RdmaPoint* point = rdma(p);
  pthread_mutex_init(&point->raw.mutex, nullptr);
  point->wake_fd = -1;
  Place place = {};
  Code code = read_knobs(p->uri, p->params.rdma_knobs, &point->knobs);
  point->raw.sleeps = point->knobs.event;
  if (code == kOk) code = choose_depths(p->uri, &point->knobs);
  if (code == kOk) code = make_raw(context, point, &place);
  if (code != kOk) {
    rdma_backend_unlisten(context, p);
    return code;
  }
  *own = {point->e.qp->qp_num, point->psn, place.lid, point->e.mtu, {}};
  memcpy(own->gid, place.gid.raw, sizeof own->gid);
  return kOk;
}

// It comes from whoever told the caller.
Code check_peer(const Raw& raw, const RawAddress& peer) noexcept {
  ibv_gid gid;
  memcpy(gid.raw, peer.gid, sizeof gid.raw);
  if (peer.qp_num == 0 || peer.qp_num > kNumberMost || peer.psn > kNumberMost || peer.lid > UINT16_MAX)
    return fail(kInvalid, "the peer's address: qp_num %u, psn %u, lid %u: 1..16777215, 0..16777215, 0..65535 can be",
                peer.qp_num, peer.psn, peer.lid);
  if (peer.mtu != 0 && !is_mtu(peer.mtu))
    return fail(kInvalid, "the peer's address: mtu %u; there are 256, 512, 1024, 2048, 4096, and 0: this end's",
                peer.mtu);
  if (is_empty(gid) && (!raw.infiniband || peer.lid == 0))
    return fail_plain(kInvalid, "the peer's address: the gid is empty, and only InfiniBand has another way, the lid");
  return kOk;
}

Code rdma_connect_raw(ListenPoint* p, const RawAddress& peer) noexcept {
  RdmaPoint* point = rdma(p);
  MutexLock lock(&point->raw.mutex);
  Code code = check_peer(point->raw, peer);
  if (code != kOk) return code;
  if (point->raw.spent)
    return fail_plain(kState, "this raw endpoint has been connected, or has tried; open another one");
  point->raw.spent = true;
  if (peer.mtu != 0 && peer.mtu < point->e.mtu) point->e.mtu = peer.mtu;
  EndpointBlob blob = {};
  blob.qp_num = peer.qp_num;
  blob.psn = peer.psn;
  blob.lid = peer.lid;
  memcpy(blob.gid, peer.gid, sizeof blob.gid);
  blob.dest_rd_atomic = point->e.rd_atomic;  // it only sends
  code = join(point, blob, &point->e);
  point->raw.connected = code == kOk;
  return code;
}

// One request less; null: it had no bytes.
void let_go(Context& context, Registration* r) noexcept {
  if (r == nullptr) return;
  r->let_go();
  context.regions().let_go(Hold::kPinned, r->slot);
}

// ----------------------------------------------------------------------------------------------------------------
// posting

// A held region becomes one that the device knows, for this end's requests only.
Code enroll(Context& context, RdmaPoint* point, uint64_t region, Registration** to) noexcept {
  Regions::Info info = {};
  Code code = context.regions().info(region, &info);
  if (code != kOk) return code;
  return point->raw.registrations.enter("raw endpoint", point->e.pd, region, info.address, info.bytes, info.access, to);
}

Code check_request(const RdmaPoint* point, const RawQueue& queue, const RawRequest& request) noexcept {
  const Raw& raw = point->raw;
  if (raw.code != kOk) return fail_plain(raw.code, raw.why);
  if (request.sends && !raw.connected)
    return fail_plain(kState, "this raw endpoint is not connected: rc_raw_connect comes before the first send");
  if (request.bytes > point->e.message_most)
    return fail(kSize, "a message of %llu bytes; this device's have at most %u",
                static_cast<unsigned long long>(request.bytes), point->e.message_most);
  if (queue.posted - queue.completed < queue.depth) return kOk;
  return fail(kPool, "all %u places of the %s queue are taken: take completions by rc_raw_poll%s", queue.depth,
              request.sends ? "send" : "receive", queue.depth < kRawDepthMost ? ", or raise its depth in the URI" : "");
}

int post_send(const RdmaPoint* point, const RawRequest& request, uint64_t number, ibv_sge* sge) noexcept {
  ibv_send_wr wr = {}, *bad = nullptr;
  wr.wr_id = number;
  wr.sg_list = sge;
  wr.num_sge = request.bytes != 0 ? 1 : 0;
  wr.opcode = request.has_imm ? IBV_WR_SEND_WITH_IMM : IBV_WR_SEND;
  wr.imm_data = htonl(request.imm);
  wr.send_flags = IBV_SEND_SIGNALED | (request.bytes <= point->e.inline_bytes ? unsigned{IBV_SEND_INLINE} : 0u);
  return ibv_post_send(point->e.qp, &wr, &bad);
}

int post_receive(const RdmaPoint* point, const RawRequest& request, uint64_t number, ibv_sge* sge) noexcept {
  ibv_recv_wr wr = {}, *bad = nullptr;
  wr.wr_id = number;
  wr.sg_list = sge;
  wr.num_sge = request.bytes != 0 ? 1 : 0;
  return ibv_post_recv(point->e.qp, &wr, &bad);
}

Code rdma_post_raw(Context& context, ListenPoint* p, const RawRequest& request) noexcept {
  RdmaPoint* point = rdma(p);
  MutexLock lock(&point->raw.mutex);
  RawQueue* queue = request.sends ? &point->raw.sends : &point->raw.receives;
  Code code = check_request(point, *queue, request);
  if (code != kOk) return code;
  ibv_sge sge = {};
  Registration* registration = nullptr;
  if (request.bytes != 0) {
    Regions::Piece piece;
    uint32_t access = request.sends ? kRead : kWrite;
    code = context.regions().hold(Hold::kPinned, request.region, request.offset, request.bytes, access, &piece);
    if (code != kOk) return code;
    code = enroll(context, point, request.region, &registration);
    if (code != kOk || registration == nullptr) {
      context.regions().let_go(Hold::kPinned, piece.slot);
      return code;
    }
    registration->slot = piece.slot;
    registration->keep();
    sge = {reinterpret_cast<uintptr_t>(piece.at), static_cast<uint32_t>(request.bytes), registration->mr->lkey};
  }
  queue->slots[queue->posted % kRawDepthMost] = {request.tag, registration};
  int error = request.sends ? post_send(point, request, queue->posted, &sge)
                            : post_receive(point, request, queue->posted, &sge);
  if (error != 0) {
    let_go(context, registration);
    return fail_errno(kSystem, "posting to a queue pair", error);
  }
  ++queue->posted;
  return kOk;
}

// ----------------------------------------------------------------------------------------------------------------
// completions

// The first failure is the endpoint's: the queue pair is in error, or will be, and what else is under way comes back. A
// request of the other queue may be seen flushed before the one that is the cause.
void end_by(RdmaPoint* point, Meaning meaning, bool flushed) noexcept {
  Raw* raw = &point->raw;
  if (raw->code == kOk) {
    drop_connection(&point->e);
  } else if (!raw->flushed || flushed) {
    return;
  }
  raw->code = meaning.code;
  raw->why = meaning.why;
  raw->flushed = flushed;
}

RawCompletion finish(Context& context, RdmaPoint* point, RawQueue* queue, const ibv_wc& wc) noexcept {
  const RawSlot& slot = queue->slots[wc.wr_id % kRawDepthMost];
  RawCompletion c = {};
  c.tag = slot.tag;
  c.sent = queue == &point->raw.sends;
  if (wc.status == IBV_WC_SUCCESS) {
    c.bytes = c.sent ? 0 : wc.byte_len;
    c.has_imm = !c.sent && (wc.wc_flags & IBV_WC_WITH_IMM) != 0;
    c.imm = c.has_imm ? ntohl(wc.imm_data) : 0;
  } else {
    Meaning m = raw_meaning_of(wc.status, c.sent);
    c.code = m.code;
    c.why = m.why;
    end_by(point, m, wc.status == IBV_WC_WR_FLUSH_ERR);
  }
  let_go(context, slot.registration);
  ++queue->completed;
  return c;
}

void take(Context& context, RdmaPoint* point, Which which, RawCompletion* to, uint32_t capacity,
          uint32_t* count) noexcept {
  RawQueue* queue = which == kSends ? &point->raw.sends : &point->raw.receives;
  while (*count < capacity) {
    ibv_wc wc[kTakenAtOnce];
    uint32_t room = capacity - *count < kTakenAtOnce ? capacity - *count : kTakenAtOnce;
    int n = take_completions(&point->e, which, static_cast<int>(room), wc);
    if (n < 0) end_by(point, {kSystem, "polling a completion queue failed"}, false);
    if (n <= 0) return;
    for (int i = 0; i < n; ++i) to[(*count)++] = finish(context, point, queue, wc[i]);
  }
}

// kWouldBlock: there is none now, and none will come if the endpoint is over: its own code.
Code look(Context& context, RdmaPoint* point, RawCompletion* to, uint32_t capacity, uint32_t* count) noexcept {
  Raw* raw = &point->raw;
  MutexLock lock(&raw->mutex);
  raw->sends_first = !raw->sends_first;
  for (int turn = 0; turn < 2; ++turn) {
    bool sends = raw->sends_first == (turn == 0);
    take(context, point, sends ? kSends : kReceives, to, capacity, count);
  }
  if (*count != 0) return kOk;
  bool none_left = raw->sends.posted == raw->sends.completed && raw->receives.posted == raw->receives.completed;
  return raw->code != kOk && none_left ? fail_plain(raw->code, raw->why) : kWouldBlock;
}

Code may_wait(Context& context, const ListenPoint* p, Deadline deadline) noexcept {
  if (p->closing.load(std::memory_order_acquire))
    return fail_plain(kClosing, "the raw endpoint is being closed by another thread");
  if (context.stopped()) return fail_plain(kStopped, "rc_stop was called on the context");
  if (deadline.left(now_ns()) == 0) return fail_plain(kTimeout, "nothing completed before the deadline");
  return kOk;
}

Code wait_for_some(Context& context, RdmaPoint* point, RawCompletion* to, uint32_t capacity, uint32_t* count,
                   Deadline deadline) noexcept {
  bool armed = false;
  for (int64_t pause_ns = kNapMinNs;;) {
    Code code = look(context, point, to, capacity, count);
    if (code == kWouldBlock) code = may_wait(context, point, deadline);
    if (code != kOk || *count != 0) return code;
    if (!point->raw.sleeps) {
      int64_t left = deadline.left(now_ns());
      nap(point->wake_fd, context.stop_fd(), pause_ns < left ? pause_ns : left);
      pause_ns = pause_ns * 2 < kNapMaxNs ? pause_ns * 2 : kNapMaxNs;
    } else if (!armed) {
      arm_completions(&point->e);  // what completes from now on wakes; what has completed, the next look sees
      armed = true;
    } else {
      wait_readable(news_fd(point->e), context.stop_fd(), deadline, point->wake_fd);
      armed = false;
    }
  }
}

Code rdma_poll_raw(Context& context, ListenPoint* p, RawCompletion* to, uint32_t capacity, uint32_t* count,
                   Deadline deadline) noexcept {
  RdmaPoint* point = rdma(p);
  // Pairs with the release below: one thread at a time sleeps on the completion channel.
  if (point->raw.polling.exchange(true, std::memory_order_acquire))
    return fail_plain(kBusy, "another thread waits for completions of this raw endpoint");
  Code code = wait_for_some(context, point, to, capacity, count, deadline);
  point->raw.polling.store(false, std::memory_order_release);
  return code;
}

void rdma_forget_raw(ListenPoint* p, uint64_t region) noexcept {
  Raw* raw = &rdma(p)->raw;
  MutexLock lock(&raw->mutex);
  raw->registrations.forget(region);
}

}  // namespace

const RawTable kRdmaRaw = {rdma_open_raw, rdma_connect_raw, rdma_post_raw, rdma_poll_raw, rdma_forget_raw};

void end_raw(Context& context, RdmaPoint* point) noexcept {
  Endpoint* e = &point->e;
  bool some = point->raw.sends.depth != 0;  // else it is a listener, or an endpoint for a channel
  if (some) end_qp(e);                      // from here on the device touches no region
  for (Registration& r : point->raw.registrations.of) {
    for (; r.requests != 0; --r.requests) context.regions().let_go(Hold::kPinned, r.slot);
    deregister(&r);
  }
}

}  // namespace rc
#endif
