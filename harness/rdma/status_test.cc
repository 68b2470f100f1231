// What becomes of each completion status of verbs: a code, and a reason that names it. Needs no RDMA.
#include <gtest/gtest.h>
#include <string.h>

#include <set>
#include <string>

#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include "backends/rdma/link.h"

namespace {

struct Status {
  ibv_wc_status status;
  const char* name;
  rc::Code code;
};

// verbs' own list, without success.
const Status kStatuses[] = {
    {IBV_WC_LOC_LEN_ERR, "LOC_LEN", rc::kSystem},
    {IBV_WC_LOC_QP_OP_ERR, "LOC_QP_OP", rc::kSystem},
    {IBV_WC_LOC_EEC_OP_ERR, "LOC_EEC_OP", rc::kSystem},
    {IBV_WC_LOC_PROT_ERR, "LOC_PROT", rc::kSystem},
    {IBV_WC_WR_FLUSH_ERR, "WR_FLUSH", rc::kPeerDead},
    {IBV_WC_MW_BIND_ERR, "MW_BIND", rc::kSystem},
    {IBV_WC_BAD_RESP_ERR, "BAD_RESP", rc::kCorrupt},
    {IBV_WC_LOC_ACCESS_ERR, "LOC_ACCESS", rc::kSystem},
    {IBV_WC_REM_INV_REQ_ERR, "REM_INV_REQ", rc::kCorrupt},
    {IBV_WC_REM_ACCESS_ERR, "REM_ACCESS", rc::kPeerDead},
    {IBV_WC_REM_OP_ERR, "REM_OP", rc::kCorrupt},
    {IBV_WC_RETRY_EXC_ERR, "RETRY_EXC", rc::kPeerDead},
    {IBV_WC_RNR_RETRY_EXC_ERR, "RNR_RETRY_EXC", rc::kPeerDead},
    {IBV_WC_LOC_RDD_VIOL_ERR, "LOC_RDD_VIOL", rc::kSystem},
    {IBV_WC_REM_INV_RD_REQ_ERR, "REM_INV_RD_REQ", rc::kCorrupt},
    {IBV_WC_REM_ABORT_ERR, "REM_ABORT", rc::kPeerDead},
    {IBV_WC_INV_EECN_ERR, "INV_EECN", rc::kSystem},
    {IBV_WC_INV_EEC_STATE_ERR, "INV_EEC_STATE", rc::kSystem},
    {IBV_WC_FATAL_ERR, "FATAL", rc::kSystem},
    {IBV_WC_RESP_TIMEOUT_ERR, "RESP_TIMEOUT", rc::kPeerDead},
    {IBV_WC_GENERAL_ERR, "GENERAL", rc::kSystem},
};

}  // namespace

TEST(RdmaStatus, EachHasACodeAndAReasonOfItsOwn) {
  std::set<std::string> reasons;
  for (const Status& s : kStatuses) {
    rc::Meaning m = rc::meaning_of(s.status);
    EXPECT_EQ(s.code, m.code) << s.name;
    EXPECT_NE(nullptr, strstr(m.why, (std::string("(") + s.name + ")").c_str())) << s.name << ": " << m.why;
    reasons.insert(m.why);
  }
  EXPECT_EQ(sizeof kStatuses / sizeof *kStatuses, reasons.size());
}

TEST(RdmaStatus, OneThatIsNotKnownIsThisEnds) {
  EXPECT_EQ(rc::kSystem, rc::meaning_of(static_cast<ibv_wc_status>(31)).code);
}
#endif
