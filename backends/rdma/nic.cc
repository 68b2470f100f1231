// Direct grants over rdma: each is a memory region of its own, and operations on it are this link's own requests
// (PROTOCOL.md "Direct grants over rdma").
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <string.h>

#include "backends/rdma/nic.h"
#include "backends/rdma/posting.h"
#include "backends/rdma/rdma.h"
#include "core/mutex_lock.h"
#include "core/op_wire.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr int64_t kHaltNs = int64_t{500} * 1000 * 1000;

RdmaLink* rdma(Link* link) noexcept { return static_cast<RdmaLink*>(link); }

// ----------------------------------------------------------------------------------------------------------------
// the owner

int flags_for(uint32_t rights) noexcept {
  unsigned flags = 0;
  if ((rights & kRead) != 0) flags |= IBV_ACCESS_REMOTE_READ;
  if ((rights & kWrite) != 0) flags |= IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_LOCAL_WRITE;
  if ((rights & kAtomic) != 0) flags |= IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_LOCAL_WRITE;
  return static_cast<int>(flags);
}

Code check_rights(const RdmaLink* link, uint32_t rights) noexcept {
  if ((rights & kAllRights & ~link->e.access) == 0) return kOk;
  return fail_plain(
      kUnsupported,
      "over rdma: this end's queue pair does not let all of these rights in: see access= and path= in the "
      "URI, whether the device has atomic operations, and whether it is an iWARP device, over which no grant is "
      "direct");
}

}  // namespace

// Each grant of a channel has a place of its own, so nobody looks for one.
Code rdma_share(Link* l, uint64_t key_id, uint32_t rights, Share* share) noexcept {
  RdmaLink* link = rdma(l);
  Code code = check_rights(link, rights);
  if (code != kOk) return code;
  ibv_mr* mr = g_verbs.reg_mr(link->e.pd, share->at, share->bytes, flags_for(rights));
  if (mr == nullptr) return registration_failed("a direct grant", share->bytes, errno);
  MutexLock lock(&link->mutex);
  ++link->registrations.made;
  ibv_mr** place = &link->exposed[key_id % kGrantsMax];
  *place = mr;
  share->spare = place;
  share->address = reinterpret_cast<uintptr_t>(share->at);
  share->key = mr->rkey;
  share->by = &kRdmaExtras;
  return kOk;
}

// When this has returned the NIC refuses the key.
Code rdma_unshare(Share* share) noexcept {
  auto** place = static_cast<ibv_mr**>(share->spare);
  int error = g_verbs.dereg_mr(*place);
  if (error != 0) return fail_errno(kSystem, "deregistering a direct grant", error);
  *place = nullptr;
  *share = Share{};
  return kOk;
}

// ----------------------------------------------------------------------------------------------------------------
// the asker

Code rdma_reach(Link* l, uint64_t, uint64_t, uint32_t rights, uint8_t**) noexcept {
  RdmaLink* link = rdma(l);
  MutexLock lock(&link->mutex);
  if ((rights & kAtomic) == 0 || link->landing_mr != nullptr) return kOk;
  const size_t bytes = link->requests * sizeof *link->landings;
  link->landing_mr = g_verbs.reg_mr(link->e.pd, link->landings, bytes, IBV_ACCESS_LOCAL_WRITE);
  if (link->landing_mr == nullptr) return registration_failed("the results of atomics", bytes, errno);
  ++link->registrations.made;
  return kOk;
}

void end_nic(RdmaLink* link) noexcept {
  for (Registration& r : link->registrations.of) deregister(&r);
  for (ibv_mr*& mr : link->exposed) {
    if (mr != nullptr) g_verbs.dereg_mr(mr);
    mr = nullptr;
  }
  if (link->landing_mr != nullptr) g_verbs.dereg_mr(link->landing_mr);
  link->landing_mr = nullptr;
}

namespace {

NicRegion* rdma_find(Link* l, uint64_t region) noexcept { return rdma(l)->registrations.find(region); }

Code rdma_enter(Link* l, Regions* regions, uint64_t region, NicRegion** known) noexcept {
  RdmaLink* link = rdma(l);
  Regions::Info info = {};
  Code code = regions->info(region, &info);
  if (code != kOk) return code;
  MutexLock lock(&link->mutex);
  Registration* r = nullptr;
  code = link->registrations.enter("channel", link->e.pd, region, info.address, info.bytes, info.access, &r);
  *known = r;
  return code;
}

void rdma_forget(Link* l, uint64_t region) noexcept {
  RdmaLink* link = rdma(l);
  MutexLock lock(&link->mutex);
  link->registrations.forget(region);
}

// The old word lands in the place of the request's number (N5).
void fill_atomic(RdmaLink* link, const NicWork& work, ibv_send_wr* wr, ibv_sge* sge) noexcept {
  uint64_t* landing = &link->landings[work.request];
  *sge = {reinterpret_cast<uintptr_t>(landing), sizeof *landing, link->landing_mr->lkey};
  bool add = work.type == kOpAdd;
  wr->opcode = add ? IBV_WR_ATOMIC_FETCH_AND_ADD : IBV_WR_ATOMIC_CMP_AND_SWP;
  wr->wr.atomic.remote_addr = work.address;
  wr->wr.atomic.rkey = work.key;
  wr->wr.atomic.compare_add = add ? work.value : work.compare;
  wr->wr.atomic.swap = add ? 0 : work.value;
}

void fill_move(RdmaLink* link, const NicWork& work, ibv_send_wr* wr, ibv_sge* sge) noexcept {
  uint64_t bytes = work.bytes < link->e.message_most ? work.bytes : link->e.message_most;
  *sge = {reinterpret_cast<uintptr_t>(work.at), static_cast<uint32_t>(bytes),
          static_cast<const Registration*>(work.kept)->mr->lkey};
  wr->opcode = work.type == kOpRead ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE;
  wr->wr.rdma.remote_addr = work.address;
  wr->wr.rdma.rkey = work.key;
  if (work.type == kOpWrite && bytes <= link->e.inline_bytes) wr->send_flags = IBV_SEND_INLINE;
}

// Each asks for a completion: somebody may wait for it.
Code rdma_operate(Link* l, const NicWork& work, uint64_t* posted, uint64_t* ticket) noexcept {
  RdmaLink* link = rdma(l);
  MutexLock lock(&link->mutex);
  auto state = static_cast<Code>(link->state.load(std::memory_order_relaxed));
  if (state != kOk) return state;
  link->wants_completions = true;
  if (room(link) <= kSendReserve) {
    ask_for_completions(link);
    if (room(link) <= kSendReserve) return kWouldBlock;
  }
  ibv_sge sge;
  ibv_send_wr wr;  // verbs look at what the opcode uses
  wr.next = nullptr;
  wr.send_flags = 0;
  wr.wr_id = link->posted + 1;
  wr.sg_list = &sge;
  wr.num_sge = 1;
  bool atomic = is_atomic(work.type);
  if (atomic) {
    fill_atomic(link, work, &wr, &sge);
  } else {
    fill_move(link, work, &wr, &sge);
  }
  *posted = sge.length;
  Code code = post_chain(link, &wr, 1, true);
  *ticket = link->posted;
  if (atomic || work.type == kOpRead) link->fetched = link->posted;
  if (work.type == kOpRead) link->read = link->posted;
  if (code != kOk) return code;
  if (link->e.event) {
    ask_for_completions(link);  // who sleeps already was armed before there was something to wait for
  } else {
    reap_sends(link, 1);  // a NIC of software is done by now
  }
  return kOk;
}

bool rdma_done(Link* l, uint64_t ticket) noexcept {
  return rdma(l)->completed.load(std::memory_order_acquire) >= ticket;  // pairs with the release in reap_sends
}

// Half a letter is news, too.
bool rdma_news(const Link* l) noexcept {
  return mail_of(l->inbox).op_tail.value.load(std::memory_order_relaxed) !=
         l->inbox->op_line.tail.load(std::memory_order_relaxed);
}

// N3. Also what the peer still has under way to here is refused. A READ lands until it has come back, which a NIC that
// fails may never let it do.
void rdma_halt(Link* l) noexcept {
  RdmaLink* link = rdma(l);
  MutexLock lock(&link->mutex);
  break_link(link, kPeerDead, nullptr);
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_ERR;
  g_verbs.modify_qp(link->e.qp, &attr, IBV_QP_STATE);
  Deadline deadline = Deadline::after(kHaltNs);
  while (!fetches_are_back(link) && deadline.left(now_ns()) != 0) nap(-1, -1, kNapMinNs);
}

}  // namespace

const NicTable kRdmaNic = {true, rdma_find, rdma_enter, rdma_forget, rdma_news, rdma_operate, rdma_done, rdma_halt};

}  // namespace rc
#endif
