// Direct grants with a lease: who notices its end, and that the memory is the owner's alone then.
#include <poll.h>
#include <string.h>
#include <time.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "harness/conformance/direct_pair.h"
#include "harness/conformance/doing.h"

namespace conformance {
namespace {

constexpr int64_t kMs = 1000 * 1000;
// Short enough to wait for.
constexpr int64_t kBrief = 20 * kMs;

// The clock is all that this waits for, and no call of the library is made meanwhile.
void let_pass(int64_t ns) {
  const timespec t = {ns / (1000 * kMs), ns % (1000 * kMs)};
  nanosleep(&t, nullptr);
}

rc_lease lease_of(rc_grant grant) {
  rc_lease lease = {};
  lease.size = sizeof lease;
  EXPECT_RC(RC_OK, rc_grant_info(grant, &lease));
  return lease;
}

rc_lease lease_of(rc_remote remote) {
  rc_lease lease = {};
  lease.size = sizeof lease;
  EXPECT_RC(RC_OK, rc_remote_info(remote, &lease));
  return lease;
}

bool is_readable(int fd, int64_t timeout_ns) {
  pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, static_cast<int>(timeout_ns / kMs)) == 1;
}

}  // namespace

class DirectLease : public Direct {
 protected:
  // The peer's NIC may be at work for half a second, if its end is in no call.
  bool ends_soon() {
    if (!by_nic()) return about(local_).grants == 0;
    return eventually([&] {
      rc_progress(ch_);
      return about(local_).grants == 0;
    });
  }
};

TEST_P(DirectLease, IsAMinuteUnlessAskedOtherwise) {
  rc_grant grant = give(local_, kBytes, kAll, 0);
  rc_lease lease = lease_of(grant);
  EXPECT_GT(lease.left_ns, 0);
  EXPECT_LE(lease.left_ns, RC_LEASE_DEFAULT);
  EXPECT_EQ(kAll | RC_MR_DIRECT, lease.rights);
  EXPECT_EQ(RC_OK, far_operates(Operation::kAdd, 8, 1).code);
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
  EXPECT_EQ(0u, about(local_).grants);
  lend(kBytes, kAll | RC_MR_DIRECT, RC_LEASE_MAX);
  EXPECT_GT(lease_of(remote_).left_ns, RC_LEASE_DEFAULT);
  EXPECT_LE(lease_of(remote_).left_ns, RC_LEASE_MAX);
  EXPECT_RC(RC_OK, write_alone(0, 0, 8));
}

// Whatever it is that the owner calls first.
TEST_P(DirectLease, HasTakenTheMemoryAwayWhenTheFirstCallAfterItReturns) {
  rc_mr other{0};
  rc_grant grant{0};
  char byte = 'x';
  size_t n = 0;
  ASSERT_RC(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &other));
  const std::vector<std::function<int32_t()>> calls = {
      [&] { return rc_try_get(ch_, &byte, 1); },
      [&] { return rc_try_put(ch_, &byte, 1); },
      [&] { return rc_ready(ch_, &n, nullptr); },
      [&] { return rc_progress(ch_); },
      [&] { return lease_of(grant).left_ns == 0 || by_nic() ? RC_OK : RC_E_IN_USE; },
      [&] { return rc_mr_free(local_) == RC_OK ? rc_mr_alloc(ctx_, kBytes, 0, &local_) : RC_E_IN_USE; },
      [&] {
        rc_remote none;
        return rc_remote_get(ch_, 0, &none);
      },
      [&] {
        rc_grant another;
        int32_t code = rc_mr_grant(ch_, local_, 0, kBytes, kAll | RC_MR_DIRECT, 0, &another);
        return code == RC_OK ? rc_grant_revoke(another) : code;
      },
      [&] { return rc_grant_revoke(grant); },
  };
  int before = mapped_files();
  for (size_t i = 0; i < calls.size(); ++i) {
    SCOPED_TRACE(i);
    memset(bytes_of(local_), 3, kBytes);
    grant = give(local_, kBytes, kAll, kBrief);
    let_pass(kBrief);
    int32_t code = calls[i]();
    if (by_nic() && code == RC_E_IN_USE) continue;  // for half a second
    EXPECT_TRUE(code == RC_OK || code == RC_E_WOULD_BLOCK || code == RC_E_TIMEOUT) << code << rc_reason();
    EXPECT_TRUE(ends_soon());
    EXPECT_EQ(RC_E_EXPIRED, far_operates(Operation::kAdd, 8, 1).code);
    EXPECT_LE(mapped_files(), before + (backend().other_process ? 0 : 1));
    if (grant.id != 0 && i + 1 != calls.size()) {
      EXPECT_RC(RC_OK, rc_grant_revoke(grant));
    }
    EXPECT_RC(RC_E_HANDLE, rc_grant_revoke(grant));
    EXPECT_EQ(0u, about(local_).grants);
    if (HasFailure()) return;
  }
  EXPECT_RC(RC_OK, rc_mr_free(local_));
}

// By its own clock: the owner is in no call.
TEST_P(DirectLease, IsKeptByTheOneThatItIsGivenTo) {
  memset(local(), 7, kBytes);
  lend(kBytes, kAll | RC_MR_DIRECT, kBrief);
  let_pass(kBrief);
  rc_request request{0};
  for (int told = 0; told < 2; ++told) {
    EXPECT_RC(RC_E_EXPIRED, rc_write(local_, 0, remote_, 0, 8, &request));
    EXPECT_RC(RC_E_EXPIRED, rc_write_imm(local_, 0, remote_, 0, 8, 1, &request));
    EXPECT_RC(RC_E_EXPIRED, rc_read(local_, 0, remote_, 0, 8, &request));
    EXPECT_RC(RC_E_EXPIRED, rc_fetch_add(remote_, 0, 1, &request));
    EXPECT_EQ(0, lease_of(remote_).left_ns);
    EXPECT_EQ(RC_OK, far().progress().code);
    settle();
  }
  expect_far_untouched();
  EXPECT_EQ(0u, about(local_).requests);
  EXPECT_RC(RC_OK, rc_remote_release(remote_));
  // The slot is another grant's as soon as the owner has done with it.
  ASSERT_FAR(RC_OK, 0u, far().call(on(Op::kRevoke)));
  lend_direct();
  EXPECT_RC(RC_OK, write_alone(0, 0, 8));
}

// A thread that only waits, and one that waits for a descriptor.
TEST_P(DirectLease, EndsAWaitingOwnersGrant) {
  rc_grant grant = give(local_, kBytes, kAll, 10 * kBrief);
  char byte = 'x';
  Doing getting([&] { return rc_get(ch_, &byte, 1, kPatience, nullptr); });
  getting.wait_until_inside();  // eventually() may make progress, and of the two calls the first has the channel
  EXPECT_TRUE(eventually([&] { return about(local_).grants == 0; }));
  EXPECT_FALSE(getting.finished());
  EXPECT_EQ(RC_OK, far().call(Far::bytes(Op::kPut, 1)).code);
  EXPECT_DONE(RC_OK, getting);
  EXPECT_EQ(0, lease_of(grant).left_ns);
}

TEST_P(DirectLease, MakesTheDescriptorsReadableAtItsEnd) {
  if (!backend().has_descriptor) GTEST_SKIP() << "this channel has none";
  int32_t fd = -1, all = -1;
  rc_grant grant{0};
  for (bool before : {true, false}) {
    if (before) {
      ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
    }
    grant = give(local_, kBytes, kAll, 10 * kBrief);
    ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
    ASSERT_RC(RC_OK, rc_fd(ctx_, &all));
    EXPECT_TRUE(is_readable(all, kPatience));
    EXPECT_TRUE(is_readable(fd, kPatience));
    EXPECT_TRUE(eventually([&] {
      rc_progress(ch_);
      return about(local_).grants == 0;
    }));
    EXPECT_TRUE(eventually([&] {
      char byte;
      rc_try_get(ch_, &byte, 1);
      far().progress();  // it may be of the same context, and has been told
      return !is_readable(fd, 0) && !is_readable(all, 0);
    }));
    EXPECT_RC(RC_OK, rc_grant_revoke(grant));
  }
}

TEST_P(DirectLease, IsNoticedByWhoDrivesTheContext) {
  if (!backend().has_descriptor) GTEST_SKIP() << "nobody drives this one";
  ASSERT_RC(RC_OK, rc_progress_all(ctx_));
  rc_grant grant = give(local_, kBytes, kAll, kBrief);
  EXPECT_TRUE(eventually([&] {
    EXPECT_RC(RC_OK, rc_progress_all(ctx_));
    return about(local_).grants == 0;
  }));
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
}

// What the peer has given back or up is the owner's at the end of the lease, too.
TEST_P(DirectLease, EndsWhatWasGivenBackOrUp) {
  for (bool up : {false, true}) {
    const int64_t lease_ns = up ? kBrief : 100 * kBrief;  // who gives back does it in time
    lend(kBytes, kAll | RC_MR_DIRECT, lease_ns);
    if (up) {
      EXPECT_RC(RC_OK, rc_remote_release(remote_));
    } else {
      far().start(Far::bytes(Op::kGet, 1));
      EXPECT_RC(RC_OK, rc_remote_give_back(remote_, kPatience));
      put(1);
      EXPECT_FAR(RC_OK, 1u, far().finish());
    }
    settle();
    let_pass(lease_ns);
    EXPECT_EQ(RC_OK, far().progress().code);
    if (!up) {
      EXPECT_EQ(RC_OK, far_soon(on(Op::kTakeBack)).code);
    }
    expect_far_untouched();
    EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrFree)));
  }
}

TEST_P(DirectLease, OfAKilledPeerEndsAsAnyOther) {
  if (!backend().notices_death) GTEST_SKIP() << "the far end lives in this process";
  int before = mapped_files();
  rc_grant grant = give(local_, kBytes, kAll, kBrief);
  far().kill();
  char byte;
  EXPECT_RC(RC_E_PEER_DEAD, rc_get(ch_, &byte, 1, kPatience, nullptr));
  let_pass(kBrief);
  EXPECT_RC(RC_E_PEER_DEAD, rc_try_get(ch_, &byte, 1));
  EXPECT_TRUE(ends_soon());
  EXPECT_EQ(before, mapped_files());
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
}

// A large copy is stopped, and ends with the code.
TEST_P(DirectLease, EndsALargeOneThatIsUnderWay) {
  constexpr uint64_t kLarge = kPoolBytes / 4;
  lend(kLarge, kAll | RC_MR_DIRECT, (by_nic() ? 100 : 10) * kBrief);  // a NIC's registration counts, too
  rc_request requests[16];
  int32_t code = RC_OK;
  EXPECT_TRUE(eventually([&] {
    int n = 0;
    while (n < (by_nic() ? 2 : 16) && (code = rc_write(local_, 0, remote_, 0, kLarge, &requests[n])) == RC_OK) ++n;
    for (int i = 0; i < n; ++i) {
      int32_t result = finish(requests[i]);
      EXPECT_TRUE(result == RC_OK || result == RC_E_EXPIRED) << result << rc_reason();
    }
    return code != RC_OK;
  }));
  EXPECT_RC(RC_E_EXPIRED, rc_write(local_, 0, remote_, 0, 8, nullptr));
}

// The pages are exchanged under the hands of a thread that stores into them all the time.
TEST_P(DirectLease, LosesNoStoreOfTheOwner) {
  constexpr uint64_t kPages = 16, kWords = 512;
  auto* words = reinterpret_cast<uint64_t*>(local());
  uint64_t last[kPages] = {}, lost = 0;
  for (int i = 0; i < (by_nic() ? 3 : 100); ++i) {
    rc_grant grant{0};
    bool leased = i % 2 == 0;
    ASSERT_RC(RC_OK,
              rc_mr_grant(ch_, local_, 0, kPages * 4096, kAll | RC_MR_DIRECT, leased ? kMs : RC_LEASE_NONE, &grant));
    std::atomic<bool> stop{false};
    std::thread storing([&] {
      while (!stop.load()) {
        for (uint64_t page = 0; page < kPages; ++page) {
          if (__atomic_load_n(&words[page * kWords], __ATOMIC_RELAXED) != last[page]) ++lost;
          __atomic_store_n(&words[page * kWords], ++last[page], __ATOMIC_RELAXED);
        }
      }
    });
    let_pass(2 * kMs);
    if (leased) {
      EXPECT_TRUE(eventually([&] { return lease_of(grant).left_ns == 0; }));
    }
    EXPECT_RC(RC_OK, rc_grant_revoke(grant));
    stop.store(true);
    storing.join();
    Call none = on(Op::kRemoteGet);  // so that the descriptors of those that are no more go
    none.timeout_ns = 0;
    far().call(none);
  }
  EXPECT_EQ(0u, lost);
}

RC_CONFORMANCE_OF_MEMORY(DirectLease);

}  // namespace conformance
