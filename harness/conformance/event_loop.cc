// Operations and the completion queue in a program that waits for a descriptor only: no end of any is missed.
#include <sys/epoll.h>
#include <unistd.h>

#include <vector>

#include "harness/conformance/memory_pair.h"

namespace conformance {

class EventLoop : public MemoryPair {
 protected:
  static constexpr uint64_t kFlights = 64, kBytes = 64;

  // What looks after a silent peer would make good, after a while, for what wakes nobody.
  void SetUp() override {
    Pair::SetUp();
    look_rarely();
    connect();
    ASSERT_RC(RC_OK, rc_mr_alloc(ctx_, kFlights * kBytes, 0, &local_));
  }
  // The loop looks once for each time that it is woken, and takes what it likes.
  void fly(int fd, uint32_t rights, int64_t lease_ns, bool polls);
  void take_off(uint64_t slot);
  void by_channel(uint32_t rights, int64_t lease_ns) {
    int32_t fd = -1;
    ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
    fly(fd, rights, lease_ns, false);
  }
  void by_context(uint32_t rights, int64_t lease_ns) {
    int32_t fd = -1;
    ASSERT_RC(RC_OK, rc_fd(ctx_, &fd));
    fly(fd, rights, lease_ns, true);
  }

 private:
  // Whether the channel is one of those that have something.
  bool is_named() const {
    rc_event events[8];
    uint32_t n = 0;
    int32_t code = rc_poll(ctx_, events, 8, 0, &n);
    EXPECT_EQ(n != 0 ? RC_OK : RC_E_WOULD_BLOCK, code) << rc_reason();
    for (uint32_t i = 0; i < n; ++i) {
      if (events[i].kind == RC_EVENT_CHANNEL && events[i].channel.id == ch_.id) return true;
    }
    return false;
  }

  uint64_t posted_ = 0, adds_ = 0;
};

void EventLoop::take_off(uint64_t slot) {
  rc_request request{0};
  const uint64_t at = slot * kBytes;
  const uint64_t kind = posted_++ % 3;
  adds_ += kind == 0;
  // The counter is in front of where the slots are.
  ASSERT_RC(RC_OK, kind == 0   ? rc_fetch_add(remote_, 0, 1, &request)
                   : kind == 1 ? rc_write(local_, at, remote_, kBytes + at, kBytes, &request)
                               : rc_read(local_, at, remote_, kBytes + at, kBytes, &request));
  ASSERT_RC(RC_OK, rc_request_queue(request, slot << 1 | (kind == 0)));
}

void EventLoop::fly(int fd, uint32_t rights, int64_t lease_ns, bool polls) {
  const uint64_t times = rounds(6000) + 2000;
  lend((kFlights + 1) * kBytes, rights, lease_ns);
  far().call(on(Op::kMrFill, (kFlights + 1) * kBytes, 0, 0));
  far().start(Far::bytes(Op::kGet, 1, 60 * kPatience));  // it serves
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event = {};
  event.events = EPOLLIN;
  ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
  std::vector<bool> seen(times, false);  // values of the counter
  for (uint64_t slot = 0; slot < kFlights; ++slot) take_off(slot);
  for (uint64_t told = 0, looks = 0; told < times && !HasFailure(); ++looks) {
    ASSERT_EQ(1, epoll_wait(epoll, &event, 1, static_cast<int>(kPatience / 1000000)))
        << "nothing wakes it after " << told << " ends and " << looks << " looks; " << posted_ - told
        << " are under way";
    if (polls && !is_named()) continue;
    rc_completion completions[8];
    uint32_t count = 0;
    int32_t code = rc_completions_get(ch_, completions, 1 + looks % 8, 0, &count);
    ASSERT_EQ(count != 0 ? RC_OK : RC_E_WOULD_BLOCK, code) << rc_reason();
    for (uint32_t i = 0; i < count && !HasFatalFailure(); ++i, ++told) {
      const rc_completion& completion = completions[i];
      ASSERT_EQ(RC_OK, completion.code) << completion.reason;
      if ((completion.tag & 1) != 0) {
        ASSERT_LT(completion.value, times);
        ASSERT_FALSE(seen[completion.value]);
        seen[completion.value] = true;
      }
      if (posted_ < times) take_off(completion.tag >> 1);
    }
  }
  close(epoll);
  put(1);
  EXPECT_FAR(RC_OK, 1u, far().finish());
  uint64_t value = 0;
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_fetch_add(remote_, 0, 0, &request));
  EXPECT_RC(RC_OK, finish(request, &value));
  EXPECT_EQ(adds_, value);
}

#define SKIP_WITHOUT(what) \
  if (!backend().what) GTEST_SKIP() << "over " << backend().name << " there is none"

TEST_P(EventLoop, OfTheChannel) {
  SKIP_WITHOUT(has_descriptor);
  by_channel(kAll, RC_LEASE_MAX);
}

TEST_P(EventLoop, OfTheContext) {
  SKIP_WITHOUT(has_descriptor);
  by_context(kAll, RC_LEASE_MAX);
}

TEST_P(EventLoop, OfTheChannelAndADirectGrant) {
  SKIP_WITHOUT(has_descriptor);
  SKIP_WITHOUT(direct);
  by_channel(kAll | RC_MR_DIRECT, RC_LEASE_NONE);
}

TEST_P(EventLoop, OfTheContextAndADirectGrant) {
  SKIP_WITHOUT(has_descriptor);
  SKIP_WITHOUT(direct);
  by_context(kAll | RC_MR_DIRECT, RC_LEASE_NONE);
}

RC_CONFORMANCE_OF_MEMORY(EventLoop);

}  // namespace conformance
