// What each completion status of verbs means for the channel.
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include "backends/rdma/link.h"

namespace rc {
namespace {

struct Row {
  ibv_wc_status status;
  Meaning meaning;
};

constexpr Row kRows[] = {
    {IBV_WC_RETRY_EXC_ERR,
     {kPeerDead, "the peer's NIC did not answer within the time-out (RETRY_EXC): host, link or path is down"}},
    {IBV_WC_RNR_RETRY_EXC_ERR, {kPeerDead, "the peer's NIC had no receive posted for too long (RNR_RETRY_EXC)"}},
    {IBV_WC_WR_FLUSH_ERR, {kPeerDead, "the connection broke while something was under way (WR_FLUSH)"}},
    {IBV_WC_RESP_TIMEOUT_ERR, {kPeerDead, "the peer's NIC did not answer in time (RESP_TIMEOUT)"}},
    // A killed process loses its memory before its queue pairs, so this is what a write may meet that was under way.
    {IBV_WC_REM_ACCESS_ERR,
     {kPeerDead,
      "the peer's NIC refused access (REM_ACCESS): its process has ended, ended a direct grant, or told a wrong key"}},
    {IBV_WC_REM_INV_REQ_ERR, {kCorrupt, "the peer's NIC took a request of ours for invalid (REM_INV_REQ)"}},
    {IBV_WC_REM_OP_ERR, {kCorrupt, "the peer's NIC could not complete a request of ours (REM_OP)"}},
    {IBV_WC_REM_ABORT_ERR, {kPeerDead, "the peer's NIC aborted (REM_ABORT)"}},
    {IBV_WC_REM_INV_RD_REQ_ERR, {kCorrupt, "the peer's NIC took a read of ours for invalid (REM_INV_RD_REQ)"}},
    {IBV_WC_BAD_RESP_ERR, {kCorrupt, "the peer's NIC answered what makes no sense (BAD_RESP)"}},
    {IBV_WC_LOC_LEN_ERR, {kSystem, "this end's NIC refused a request for its length (LOC_LEN)"}},
    {IBV_WC_LOC_QP_OP_ERR, {kSystem, "this end's queue pair failed (LOC_QP_OP)"}},
    {IBV_WC_LOC_EEC_OP_ERR, {kSystem, "this end's NIC failed (LOC_EEC_OP)"}},
    {IBV_WC_LOC_PROT_ERR, {kSystem, "this end's memory is not registered for its NIC (LOC_PROT)"}},
    {IBV_WC_LOC_ACCESS_ERR, {kSystem, "this end's NIC may not access the memory of a request (LOC_ACCESS)"}},
    {IBV_WC_LOC_RDD_VIOL_ERR, {kSystem, "this end's NIC failed (LOC_RDD_VIOL)"}},
    {IBV_WC_MW_BIND_ERR, {kSystem, "this end's NIC failed (MW_BIND)"}},
    {IBV_WC_INV_EECN_ERR, {kSystem, "this end's NIC failed (INV_EECN)"}},
    {IBV_WC_INV_EEC_STATE_ERR, {kSystem, "this end's NIC failed (INV_EEC_STATE)"}},
    {IBV_WC_FATAL_ERR, {kSystem, "this end's NIC failed for good (FATAL)"}},
};

}  // namespace

Meaning meaning_of(ibv_wc_status status) noexcept {
  for (const Row& r : kRows) {
    if (r.status == status) return r.meaning;
  }
  return {kSystem, "this end's NIC failed in a way that has no name (GENERAL)"};
}

}  // namespace rc
#endif
