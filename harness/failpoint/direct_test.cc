// Each system call of a direct grant fails once: while it is given, taken, revoked, and closed over. The call says so
// with a documented code and has changed nothing, and works when it is repeated.
#include <errno.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>

#include "harness/failpoint/fault.h"
#include "harness/failpoint/manual.h"
#include "harness/failpoint/other_end.h"
#include "harness/failpoint/scene.h"

namespace failpoint {
namespace {

constexpr int64_t kPatienceNs = INT64_C(10) * 1000 * 1000 * 1000;
constexpr uint64_t kBytes = 8192;
constexpr uint32_t kAll = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;
constexpr uint8_t kMine = 0x11, kPeers = 0x22;

struct End {
  rc_ctx ctx{0};
  rc_channel channel{0};
  rc_mr mr{0};
  rc_remote theirs{0};
  uint8_t* at = nullptr;

  void open() {
    rc_config config = {};
    config.size = sizeof config;
    config.ring_bytes = 4096;
    config.mr_bytes = 4 * kBytes;
    ASSERT_EQ(RC_OK, rc_open(&config, &ctx)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_mr_alloc(ctx, kBytes, 0, &mr));
    rc_region region = {};
    region.size = sizeof region;
    ASSERT_EQ(RC_OK, rc_mr_info(mr, &region));
    at = static_cast<uint8_t*>(region.address);
    memset(at, kMine, kBytes);
  }
  int32_t grant(rc_grant* grant, int64_t lease_ns = RC_LEASE_NONE) const {
    return rc_mr_grant(channel, mr, 0, kBytes, kAll | RC_MR_DIRECT, lease_ns, grant);
  }
  int32_t write_to_theirs(rc_mr from, uint64_t offset) const {
    rc_request request;
    int32_t code = rc_write(from, 0, theirs, offset, 8, &request);
    return code == RC_OK ? rc_request_test(request, nullptr) : code;
  }
};

class DirectCalls : public testing::Test {
 protected:
  // One life of two ends under a fault of the near one. False: the fault found no call.
  bool play(const Fault& fault, std::map<std::string, uint32_t>* calls) {
    SCOPED_TRACE(fault.text());
    int descriptors = count_descriptors(), mappings = count_ring_mappings();
    End near, far;
    near.open();
    far.open();
    connect(&near, &far);
    bool happened = false;
    {
      Faulty faults(fault);
      faults.pause();
      live(near, far, faults);
      happened = faults.happened();
      *calls = faults.calls();
    }
    EXPECT_EQ(RC_OK, rc_close(near.ctx));
    EXPECT_EQ(RC_OK, rc_close(far.ctx));
    EXPECT_EQ(descriptors, count_descriptors());
    EXPECT_EQ(mappings, count_ring_mappings());
    return happened;
  }
  static void connect(End* near, End* far) {
    std::string uri = fresh_uri("direct");
    rc_listener listener{0};
    ASSERT_EQ(RC_OK, rc_listen(near->ctx, uri.c_str(), nullptr, &listener));
    std::thread connecting([&] { rc_connect(far->ctx, uri.c_str(), nullptr, kPatienceNs, &far->channel); });
    EXPECT_EQ(RC_OK, rc_accept(listener, kPatienceNs, &near->channel)) << rc_reason();
    connecting.join();
    EXPECT_EQ(RC_OK, rc_listener_close(listener));
  }

 private:
  // The call under the fault; documented, or well. If it failed, `unchanged` holds and it works without the fault.
  static int32_t once(Faulty& faults, const char* name, const std::function<int32_t()>& call,
                      const std::function<void()>& unchanged) {
    faults.resume();
    int32_t code = call();
    faults.pause();
    EXPECT_EQ("", Manual::shipped().complaint(name, code));
    if (code == RC_OK || code == RC_E_CORRUPT) return code;
    unchanged();
    // Where the library's own mappings may have been, if it has given some back.
    constexpr size_t kTheirBytes = 8 * 4096;
    void* theirs = mmap(nullptr, kTheirBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_EQ(RC_OK, call()) << name << " after " << rc_code_name(code) << ": " << rc_reason();
    unsigned char resident[8];
    EXPECT_EQ(0, mincore(theirs, kTheirBytes, resident)) << name << " unmapped memory of the program's";
    munmap(theirs, kTheirBytes);
    return code;
  }
  static uint32_t grants_of(rc_mr mr) {
    rc_region region = {};
    region.size = sizeof region;
    EXPECT_EQ(RC_OK, rc_mr_info(mr, &region));
    return region.grants;
  }
  static bool all(const uint8_t* at, uint8_t value, uint64_t from = 0) {
    for (uint64_t i = from; i < kBytes; ++i) {
      if (at[i] != value) return false;
    }
    return true;
  }

  static void live(End& near, End& far, Faulty& faults) {
    rc_grant grant{0}, theirs{0}, leased{0}, second{0};
    rc_mr peers{0};
    once(
        faults, "rc_mr_grant", [&] { return near.grant(&grant); },
        [&] {
          EXPECT_EQ(0u, grants_of(near.mr));
          EXPECT_TRUE(all(near.at, kMine));
        });
    ASSERT_EQ(RC_OK, rc_remote_get(far.channel, kPatienceNs, &far.theirs)) << rc_reason();
    ASSERT_EQ(RC_OK, rc_mr_alloc(far.ctx, 64, 0, &peers));
    rc_region region = {};
    region.size = sizeof region;
    ASSERT_EQ(RC_OK, rc_mr_info(peers, &region));
    memset(region.address, kPeers, 64);
    ASSERT_EQ(RC_OK, far.write_to_theirs(peers, 0)) << rc_reason();
    EXPECT_EQ(kPeers, near.at[0]);

    ASSERT_EQ(RC_OK, far.grant(&theirs)) << rc_reason();
    uint64_t refused = 0;
    int32_t code = once(
        faults, "rc_remote_get", [&] { return rc_remote_get(near.channel, kPatienceNs, &near.theirs); },
        [&] { refused = near.theirs.id; });
    if (code == RC_E_CORRUPT) return close(near, faults);  // what it could not look at it must not map
    if (refused != 0) {
      EXPECT_EQ(refused, near.theirs.id) << "the one that could not be mapped comes again";
    }
    EXPECT_EQ(RC_OK, near.write_to_theirs(near.mr, 16));
    EXPECT_EQ(kPeers, far.at[16]);

    once(
        faults, "rc_grant_revoke", [&] { return rc_grant_revoke(grant); },
        [&] {
          EXPECT_EQ(1u, grants_of(near.mr));
          EXPECT_EQ(RC_OK, far.write_to_theirs(peers, 8)) << "the grant stays";
          EXPECT_EQ(kPeers, near.at[8]);
          rc_request carried{0};
          uint32_t imm = 0;
          EXPECT_EQ(RC_OK, rc_write_imm(peers, 0, far.theirs, 8, 8, 5, &carried)) << rc_reason();
          EXPECT_EQ(RC_OK, rc_imm_get(near.channel, 0, &imm)) << "also for what is carried";
          EXPECT_EQ(RC_OK, rc_request_test(carried, nullptr)) << rc_reason();
          memset(near.at + 8, kMine, 8);
        });
    EXPECT_EQ(0u, grants_of(near.mr));
    EXPECT_EQ(kPeers, near.at[7]);
    EXPECT_TRUE(all(near.at, kMine, 8));
    EXPECT_EQ(RC_E_REVOKED, far.write_to_theirs(peers, 8));
    EXPECT_TRUE(all(near.at, kMine, 8));

    rc_lease lease = {};
    lease.size = sizeof lease;
    once(
        faults, "rc_mr_grant", [&] { return near.grant(&leased, 1); }, [&] { EXPECT_EQ(0u, grants_of(near.mr)); });
    once(
        faults, "rc_grant_info", [&] { return rc_grant_info(leased, &lease); },
        [&] { EXPECT_EQ(1u, grants_of(near.mr)); });
    EXPECT_EQ(0, lease.left_ns);
    EXPECT_EQ(0u, grants_of(near.mr));
    EXPECT_TRUE(all(near.at, kMine, 8));
    EXPECT_EQ(RC_OK, rc_grant_revoke(leased)) << rc_reason();

    ASSERT_EQ(RC_OK, near.grant(&second)) << rc_reason();
    close(near, faults);
  }

  static void close(End& near, Faulty& faults) {
    faults.resume();
    int32_t code = rc_channel_close(near.channel);
    faults.pause();
    EXPECT_EQ("", Manual::shipped().complaint("rc_channel_close", code));
    EXPECT_TRUE(all(near.at, kMine, 8));
    once(
        faults, "rc_mr_free", [&] { return rc_mr_free(near.mr); }, [&] { EXPECT_EQ(0u, grants_of(near.mr)); });
  }
};

TEST_F(DirectCalls, EachFailsOnce) {
  alarm(120);
  std::map<std::string, uint32_t> calls, ignored;
  play(Fault{}, &calls);
  if (HasFailure()) return;
  int faults = 0, failed = 0;
  for (auto& [call, count] : calls) {
    for (int error : plausible_errors(call)) {
      // The kernel says that of a socket only if nothing is there: then the peer has lied.
      if (call == "recvmsg" && error == EAGAIN) continue;
      for (uint32_t nth = 1; nth <= 2 * count + 4; ++nth) {
        if (!play({call, nth, error, false}, &ignored)) break;
        ++faults;
        if (HasFailure() && ++failed == 8) return;
      }
    }
  }
  alarm(0);
  printf("%d faults; calls of one life:", faults);
  for (auto& [call, count] : calls) printf(" %s %u", call.c_str(), count);
  printf("\n");
  EXPECT_GT(faults, 40);
  for (const char* call : {"memfd_create", "posix_fallocate", "mmap", "mprotect", "mremap", "fcntl", "sendmsg",
                           "recvmsg", "timerfd_create"})
    EXPECT_NE(0u, calls[call]) << call;
}

// As pages that stay locked do.
TEST_F(DirectCalls, PagesThatDoNotGoAreToldWithAWayOut) {
  End near, far;
  near.open();
  far.open();
  connect(&near, &far);
  rc_grant grant{0};
  ASSERT_EQ(RC_OK, near.grant(&grant)) << rc_reason();
  {
    Faulty faults({"madvise", 1, EINVAL, false});
    EXPECT_EQ(RC_E_NO_MEMORY, rc_grant_revoke(grant));
  }
  EXPECT_NE(nullptr, strstr(rc_reason(), "munlockall")) << rc_reason();
  EXPECT_EQ(RC_OK, rc_grant_revoke(grant)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_close(near.ctx));
  EXPECT_EQ(RC_OK, rc_close(far.ctx));
}

}  // namespace
}  // namespace failpoint
