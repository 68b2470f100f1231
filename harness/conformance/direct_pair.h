// A pair whose far end grants the near one memory directly: over shm, where its processor reaches it, and rdma, where
// its NIC does.
#ifndef HARNESS_CONFORMANCE_DIRECT_PAIR_H_
#define HARNESS_CONFORMANCE_DIRECT_PAIR_H_

#include <stdio.h>

#include "harness/conformance/memory_pair.h"

namespace conformance {

class Direct : public MemoryPair {
 protected:
  void SetUp() override {
    MemoryPair::SetUp();
    if (!backend().direct) GTEST_SKIP() << "over " << backend().scheme << " no peer reaches memory by itself";
  }
  static bool by_nic() { return backend().scheme == "rdma"; }
  void lend_direct(uint64_t n = kBytes, uint32_t rights = kAll) { lend(n, rights | RC_MR_DIRECT, RC_LEASE_NONE); }
  // Without any help of the far end.
  static int32_t alone(rc_request request, uint64_t* value = nullptr) {
    return by_nic() ? rc_request_wait(request, kPatience, value) : rc_request_test(request, value);
  }
  int32_t write_alone(uint64_t from, uint64_t to, uint64_t n) {
    rc_request request{0};
    int32_t code = rc_write(local_, from, remote_, to, n, &request);
    return code == RC_OK ? alone(request) : code;
  }
  int32_t read_alone(uint64_t to, uint64_t from, uint64_t n) {
    rc_request request{0};
    int32_t code = rc_read(local_, to, remote_, from, n, &request);
    return code == RC_OK ? alone(request) : code;
  }
  // This end grants and the far one has it. Of a lease nothing is used up by calls of this end.
  rc_grant give(rc_mr mr, uint64_t n, uint32_t rights = kAll, int64_t lease_ns = RC_LEASE_NONE) {
    rc_grant grant{0};
    EXPECT_RC(RC_OK, rc_mr_grant(ch_, mr, 0, n, rights | RC_MR_DIRECT, lease_ns, &grant));
    Reply reply = lease_ns == RC_LEASE_NONE ? far_soon(on(Op::kRemoteGet)) : far().call(on(Op::kRemoteGet));
    EXPECT_EQ(RC_OK, reply.code) << reply.reason;
    return grant;
  }
  // Of memory files of the library's that this process shares with others.
  static int mapped_files() {
    FILE* maps = fopen("/proc/self/maps", "re");
    char line[512];
    int n = 0;
    while (fgets(line, sizeof line, maps) != nullptr) {
      const char* rights = strchr(line, ' ');
      n += rights != nullptr && rights[4] == 's' && strstr(line, "memfd:ringchan") != nullptr ? 1 : 0;
    }
    fclose(maps);
    return n;
  }
  Reply far_operates(Operation operation, uint64_t offset, uint64_t value, uint64_t n = 8) {
    Call call = on(Op::kOperate, n, offset, value);
    call.operation = operation;
    if (!by_nic()) call.timeout_ns = 0;
    return far().call(call);
  }
};

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_DIRECT_PAIR_H_
