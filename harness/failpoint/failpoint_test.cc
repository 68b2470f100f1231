// Fault 10 of the proof: every single system call of the library fails once, in every way it plausibly can. The call of
// rc.h that made it succeeds or gives a documented code and a reason; nothing is lost, nothing hangs, everything works
// afterwards.
#include <errno.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "harness/conformance/tcp_uri.h"
#include "harness/failpoint/fault.h"
#include "harness/failpoint/manual.h"
#include "harness/failpoint/problems.h"
#include "harness/failpoint/scene.h"

namespace failpoint {
namespace {

class EverySingleCall : public testing::TestWithParam<Scenario> {};

TEST_P(EverySingleCall, FailsOnce) {
  fail_every_call_once(GetParam().tcp, UINT32_MAX, [](const Fault& fault) { return play(GetParam(), fault); });
}

INSTANTIATE_TEST_SUITE_P(, EverySingleCall, testing::ValuesIn(all_scenarios()),
                         [](const testing::TestParamInfo<Scenario>& i) { return i.param.name; });

// What the system says of a call that opens a connection is what the caller is told. Calls count from rc_open on.
struct Exact {
  const char* scenario;
  const char* call;
  int error;
  int32_t code;
  uint32_t nth = 1;
};

TEST(ExactCodes, OfTcp) {
  const std::vector<Exact> all = {
      {"TcpNearListens", "socket", EMFILE, RC_E_NO_DESCRIPTORS},
      {"TcpNearListens", "socket", EACCES, RC_E_NO_PERMISSION},
      {"TcpNearListens", "setsockopt", ENOMEM, RC_E_NO_MEMORY},
      {"TcpNearListens", "bind", EADDRINUSE, RC_E_NAME_IN_USE},
      {"TcpNearListens", "bind", EADDRNOTAVAIL, RC_E_UNREACHABLE},
      {"TcpNearListens", "bind", EACCES, RC_E_NO_PERMISSION},
      {"TcpNearListens", "listen", EADDRINUSE, RC_E_NAME_IN_USE},
      {"TcpNearListens", "getsockname", ENOBUFS, RC_E_SYSTEM},
      {"TcpNearListens", "epoll_create1", EMFILE, RC_E_NO_DESCRIPTORS},
      {"TcpNearListens", "epoll_ctl", ENOSPC, RC_E_NO_SPACE},
      {"TcpNearListens", "accept4", EMFILE, RC_E_NO_DESCRIPTORS},
      {"TcpNearListens", "accept4", ENOMEM, RC_E_NO_MEMORY},
      {"TcpNearListens", "timerfd_create", ENFILE, RC_E_NO_DESCRIPTORS},
      {"TcpNearListens", "epoll_create1", ENOMEM, RC_E_NO_MEMORY, 2},
      {"TcpNearConnects", "socket", EMFILE, RC_E_NO_DESCRIPTORS},
      {"TcpNearConnects", "socket", EAFNOSUPPORT, RC_OK},
      {"TcpNearConnects", "connect", EACCES, RC_E_NO_PERMISSION},
      {"TcpNearConnects", "connect", EAGAIN, RC_E_SYSTEM},
      {"TcpNearConnects", "connect", ECONNREFUSED, RC_OK},
      {"TcpNearConnects", "connect", ENETUNREACH, RC_OK},
      {"TcpNearConnects", "send", ENOMEM, RC_E_NO_MEMORY},
      {"TcpNearConnects", "setsockopt", ENOPROTOOPT, RC_E_SYSTEM},
      {"TcpNearConnects", "epoll_create1", EMFILE, RC_E_NO_DESCRIPTORS},
      {"TcpNearConnects", "timerfd_create", ENOMEM, RC_E_NO_MEMORY},
      {"TcpNearConnects", "sendmsg", EPIPE, RC_E_PEER_DEAD},
      {"TcpNameNearListens", "getaddrinfo", EAI_NONAME, RC_E_NO_HOST},
      {"TcpNameNearListens", "getaddrinfo", EAI_MEMORY, RC_E_NO_MEMORY},
      {"TcpNameNearConnects", "getaddrinfo", EAI_AGAIN, RC_E_NO_HOST},
      {"TcpNameNearConnects", "getaddrinfo", EAI_SYSTEM, RC_E_NO_DESCRIPTORS},
  };
  std::map<std::string, Scenario> scenarios;
  for (const Scenario& s : tcp_scenarios()) scenarios[s.name] = s;
  for (const Exact& e : all) {
    if (scenarios.count(e.scenario) == 0) continue;  // names cannot be looked up here
    alarm(kWatchdogS);
    Fault fault = {e.call, e.nth, e.error, false};
    Verdict v = play(scenarios[e.scenario], fault);
    EXPECT_TRUE(v.happened) << e.scenario << ": " << fault.text();
    EXPECT_STREQ(rc_code_name(e.code), rc_code_name(v.code)) << e.scenario << ": " << fault.text();
    for (const std::string& p : v.problems) ADD_FAILURE() << e.scenario << ": " << fault.text() << ": " << p;
  }
  alarm(0);
}

TEST(Connecting, AFailedWaitBetweenTwoTriesIsNoConnection) {
  const std::string tcp = conformance::unique_tcp_uri("127.0.0.1");
  for (const std::string& uri : {std::string("shm:nobody-listens-at-this-name"), tcp, "tcp+shm" + tcp.substr(3)}) {
    rc_ctx ctx = {0};
    rc_channel channel = {0};
    ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
    {
      Faulty faulty({"ppoll", 1, ENOMEM, false});
      EXPECT_STREQ("RC_E_NO_LISTENER", rc_code_name(rc_connect(ctx, uri.c_str(), nullptr, 100'000'000, &channel)))
          << uri;
      EXPECT_TRUE(faulty.happened()) << uri;
    }
    EXPECT_EQ(0u, channel.id);
    EXPECT_EQ(RC_OK, rc_close(ctx));
  }
}

// What the far end has sent is in the ring, and only our own signal says so. Whichever write an interrupt meets.
TEST(Descriptor, IsReadableAlthoughAnInterruptMetTheSignal) {
  constexpr const char* kUri = "loop:interrupted";
  constexpr int64_t kMeetingNs = 10'000'000'000;
  rc_ctx ctx = {0};
  rc_listener listener = {0};
  rc_channel channel = {0}, far = {0};
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  ASSERT_EQ(RC_OK, rc_listen(ctx, kUri, nullptr, &listener));
  std::thread client([&] { EXPECT_EQ(RC_OK, rc_connect(ctx, kUri, nullptr, kMeetingNs, &far)); });
  EXPECT_EQ(RC_OK, rc_accept(listener, kMeetingNs, &channel));
  client.join();
  int32_t fd = -1;
  ASSERT_EQ(RC_OK, rc_channel_fd(channel, &fd));
  bool happened = true;
  for (uint32_t nth = 1; happened; ++nth) {
    char bytes[16] = {};
    ASSERT_EQ(RC_OK, rc_put(far, bytes, 8, 0, nullptr));
    ASSERT_EQ(RC_E_WOULD_BLOCK, rc_try_get(channel, bytes, 16));
    pollfd p = {fd, POLLIN, 0};
    ASSERT_EQ(0, poll(&p, 1, 0));
    {
      Faulty faulty({"write", nth, EINTR, false});
      ASSERT_EQ(RC_OK, rc_try_get(channel, bytes, 4));
      happened = faulty.happened();
      EXPECT_TRUE(happened || nth > 1);
    }
    EXPECT_EQ(1, poll(&p, 1, 0)) << nth;
    ASSERT_EQ(RC_OK, rc_try_get(channel, bytes, 4));
  }
  EXPECT_EQ(RC_OK, rc_close(ctx));
}

TEST(ManualOfCodes, IsReadFromTheHeader) {
  const Manual& manual = Manual::shipped();
  EXPECT_GT(manual.functions(), 35u);
  EXPECT_EQ(1u, manual.codes("rc_accept").count("RC_E_NO_SPACE"));
  EXPECT_EQ(0u, manual.codes("rc_accept").count("RC_E_VERSION"));
  EXPECT_EQ(1u, manual.codes("rc_put_more").count("RC_E_PEER_DEAD")) << "\"as rc_put\" is followed";
  EXPECT_NE("", manual.complaint("rc_stop", RC_E_TIMEOUT));
  EXPECT_EQ("", manual.complaint("rc_stop", RC_OK));
}

}  // namespace
}  // namespace failpoint
