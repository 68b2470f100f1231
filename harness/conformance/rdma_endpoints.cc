// Endpoints that find each other without rdma_cm: the caller carries what they say of themselves.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "backends/rdma/mail.h"
#include "backends/rdma/parley.h"
#include "harness/conformance/about.h"
#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

// One end, with a context of its own.
struct End {
  End() = default;
  explicit End(const std::string& uri, const char* token = nullptr, uint64_t ring_bytes = 0) {
    rc_config config = {};
    config.size = sizeof config;
    config.ring_bytes = 65536;
    config.mr_bytes = 4096;
    EXPECT_RC(RC_OK, rc_open(&config, &ctx));
    rc_channel_config channel_config = {};
    channel_config.size = sizeof channel_config;
    channel_config.token = token;
    channel_config.ring_bytes = ring_bytes;
    channel_config.identity = "an end";
    EXPECT_RC(RC_OK, rc_endpoint_open(ctx, uri.c_str(), &channel_config, blob, &bytes, &endpoint));
  }
  ~End() {
    if (ctx.id != 0) {
      EXPECT_RC(RC_OK, rc_close(ctx));
    }
  }
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  int32_t connect(const End& peer, int64_t timeout_ns = kPatience) {
    return rc_endpoint_connect(endpoint, peer.blob, peer.bytes, timeout_ns, &channel);
  }

  rc_ctx ctx{0};
  uint8_t blob[512] = {};
  size_t bytes = sizeof blob;
  rc_listener endpoint{0};
  rc_channel channel{0};
};

// An end in a process of its own, which says "hi" and then does nothing until it is killed.
class OtherProcess {
 public:
  explicit OtherProcess(const std::string& uri) {
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets_));
    pid_ = fork();
    if (pid_ == 0) {
      End end(uri);
      End peer;
      bool good = send(sockets_[1], end.blob, end.bytes, 0) > 0 && recv(sockets_[1], peer.blob, end.bytes, 0) > 0;
      peer.bytes = end.bytes;
      good = good && end.connect(peer) == RC_OK && rc_put(end.channel, "hi", 2, kPatience, nullptr) == RC_OK;
      while (good) pause();
      _exit(1);
    }
    EXPECT_LT(0, recv(sockets_[0], blob_, sizeof blob_, 0));
  }
  ~OtherProcess() {
    kill_it();
    for (int socket : sockets_) close(socket);
  }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  const uint8_t* blob() const { return blob_; }
  void tell(const End& peer) { EXPECT_LT(0, send(sockets_[0], peer.blob, peer.bytes, 0)); }
  void kill_it() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  int sockets_[2] = {-1, -1};
  pid_t pid_ = -1;
  uint8_t blob_[512] = {};
};

void meet(End& a, End& b) {
  Doing other([&] { return b.connect(a); });
  EXPECT_RC(RC_OK, a.connect(b));
  EXPECT_DONE(RC_OK, other);
}

void exchange(End& a, End& b) {
  std::vector<uint8_t> out(100000), in(out.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = pattern_byte(kNearToFar, i);
  for (int turn = 0; turn < 2; ++turn) {
    End& from = turn == 0 ? a : b;
    End& to = turn == 0 ? b : a;
    Doing putting([&] { return rc_put(from.channel, out.data(), out.size(), kPatience, nullptr); });
    EXPECT_RC(RC_OK, rc_get(to.channel, in.data(), in.size(), kPatience, nullptr));
    EXPECT_DONE(RC_OK, putting);
    EXPECT_EQ(out, in);
    std::fill(in.begin(), in.end(), 0);
  }
}

}  // namespace

class RdmaEndpoints : public testing::TestWithParam<const char*> {
 protected:
  static std::string uri(const std::string& more = "") { return rdma_uri(GetParam() + more); }
  static bool by_messages() { return strstr(GetParam(), "path=send") != nullptr; }
};

TEST_P(RdmaEndpoints, MeetAndExchange) {
  End a(uri()), b(uri());
  meet(a, b);
  exchange(a, b);
  rc_info info = {};
  info.size = sizeof info;
  EXPECT_RC(RC_OK, rc_channel_info(a.channel, &info));
  EXPECT_STREQ("rdma", info.backend);
  EXPECT_STREQ("an end", info.identity);
  int64_t theirs = 0, mine = 0;
  EXPECT_RC(RC_OK, rc_channel_figure(a.channel, "qp_num", &theirs));
  EXPECT_RC(RC_OK, rc_channel_figure(b.channel, "peer_qp_num", &mine));
  EXPECT_EQ(theirs, mine);
  EXPECT_RC(RC_OK, rc_channel_figure(a.channel, "op_ring_bytes", &mine));
  EXPECT_LT(0, mine);
  int64_t path = -1, access = -1;
  EXPECT_RC(RC_OK, rc_channel_figure(a.channel, "path", &path));
  EXPECT_EQ(by_messages() ? 1 : 0, path);
  EXPECT_RC(RC_OK, rc_channel_figure(a.channel, "access", &access));
  EXPECT_EQ(by_messages(), (access & 14) == 0);  // IBV_ACCESS_REMOTE_*
  // The channel lives on without its endpoint, and ends in good order.
  EXPECT_RC(RC_OK, rc_listener_close(a.endpoint));
  EXPECT_RC(RC_OK, rc_put(a.channel, "bye", 3, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_channel_close(a.channel));
  char bytes[4];
  EXPECT_RC(RC_OK, rc_get(b.channel, bytes, 3, kPatience, nullptr));
  EXPECT_RC(RC_E_CLOSED, rc_get(b.channel, bytes, 1, kPatience, nullptr));
}

// Whoever comes first knocks, or waits for the knock, until the other one is there: longer than its tries last.
TEST_P(RdmaEndpoints, WaitForEachOther) {
  for (bool first : {true, false}) {
    SCOPED_TRACE(first);
    End a(uri("&timeout_ms=100")), b(uri("&timeout_ms=100"));
    End& early = first ? a : b;
    End& late = first ? b : a;
    Doing waiting([&] { return early.connect(late); });
    waiting.wait_until_inside();
    std::this_thread::sleep_for(std::chrono::milliseconds(1000));
    EXPECT_RC(RC_OK, late.connect(early));
    EXPECT_DONE(RC_OK, waiting);
    exchange(a, b);
  }
}

TEST_P(RdmaEndpoints, DeadlineEndsTheWaitForAPeerThatDoesNotCome) {
  End a(uri()), b(uri());
  EXPECT_RC(RC_E_TIMEOUT, a.connect(b, 20 * kShort));
  EXPECT_RC(RC_E_STATE, a.connect(b));
  EXPECT_RC(RC_E_TIMEOUT, b.connect(a, 20 * kShort));
}

// It would refuse the next one as well.
TEST_P(RdmaEndpoints, KnockThatIsRefusedIsTheLast) {
  if (by_messages()) GTEST_SKIP() << "a knock by message needs no key";
  End a(uri()), b(uri());
  rc::EndpointBlob said[2];
  memcpy(static_cast<void*>(&said[0]), a.blob, sizeof said[0]);
  memcpy(static_cast<void*>(&said[1]), b.blob, sizeof said[1]);
  bool a_knocks = said[0].qp_num < said[1].qp_num;
  End &knocks = a_knocks ? a : b, &waits = a_knocks ? b : a;
  Doing waiting([&] { return waits.connect(knocks); });
  rc::EndpointBlob& wrong = said[a_knocks ? 1 : 0];
  wrong.hello.rkey ^= 0x5a;
  wrong.seal = 0;
  for (size_t at = 0; at < offsetof(rc::EndpointBlob, seal); at += sizeof wrong.seal) {
    uint64_t word;
    memcpy(&word, reinterpret_cast<const uint8_t*>(&wrong) + at, sizeof word);
    wrong.seal = rc::seal_of(wrong.seal ^ word);
  }
  EXPECT_RC_NAMES(RC_E_PEER_DEAD, "REM_ACCESS",
                  rc_endpoint_connect(knocks.endpoint, &wrong, sizeof wrong, kPatience, &knocks.channel));
  EXPECT_RC(RC_OK, rc_stop(waits.ctx));
  EXPECT_DONE(RC_E_STOPPED, waiting);
}

TEST_P(RdmaEndpoints, StopAndCloseEndIt) {
  for (bool stop : {true, false}) {
    End a(uri()), b(uri());
    Doing waiting([&] { return a.connect(b); });
    waiting.wait_until_inside();
    EXPECT_RC(RC_OK, stop ? rc_stop(a.ctx) : rc_listener_close(a.endpoint));
    EXPECT_DONE(stop ? RC_E_STOPPED : RC_E_CLOSING, waiting);
  }
}

TEST_P(RdmaEndpoints, FlippedBitsAreRefusedAndTheTrueBlobStillConnects) {
  End a(uri()), b(uri());
  for (size_t bit = 0; bit < 8 * b.bytes; ++bit) {
    SCOPED_TRACE(bit);
    b.blob[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_RC(RC_E_NOT_RINGCHAN, a.connect(b));
    b.blob[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
  for (size_t bytes : {size_t{0}, size_t{1}, b.bytes - 1, b.bytes + 1, sizeof b.blob}) {
    EXPECT_RC(RC_E_NOT_RINGCHAN, rc_endpoint_connect(a.endpoint, b.blob, bytes, kPatience, &a.channel));
  }
  meet(a, b);
  exchange(a, b);
}

TEST_P(RdmaEndpoints, WrongUseIsRefused) {
  End a(uri()), b(uri(), "secret"), c(uri(), nullptr, 1000), d(uri(), nullptr, 2000);
  EXPECT_RC(RC_E_INVALID, a.connect(a));
  EXPECT_RC(RC_E_NO_PERMISSION, a.connect(b));
  EXPECT_RC(RC_E_SIZE, c.connect(d));
  EXPECT_RC(RC_E_INVALID, rc_endpoint_connect(a.endpoint, nullptr, 1, 0, &a.channel));
  EXPECT_RC(RC_E_STATE, rc_accept(a.endpoint, kPatience, &a.channel));
  EXPECT_RC(RC_E_HANDLE, rc_endpoint_connect(rc_listener{0}, b.blob, b.bytes, 0, &a.channel));
  rc_listener listener{0};
  std::string listen = rdma_uri("");
  ASSERT_RC(RC_OK, rc_listen(a.ctx, listen.c_str(), nullptr, &listener));
  EXPECT_RC(RC_E_STATE, rc_endpoint_connect(listener, b.blob, b.bytes, kPatience, &a.channel));
  size_t bytes = 10;
  EXPECT_RC(RC_E_SIZE, rc_endpoint_open(a.ctx, uri().c_str(), nullptr, b.blob, &bytes, &listener));
  EXPECT_EQ(a.bytes, bytes);
  bytes = sizeof b.blob;
  EXPECT_RC(RC_E_UNSUPPORTED, rc_endpoint_open(a.ctx, "tcp://127.0.0.1:1", nullptr, b.blob, &bytes, &listener));
  EXPECT_RC_NAMES(RC_E_NO_DEVICE, "192.0.2.1",
                  rc_endpoint_open(a.ctx, "rdma://192.0.2.1:1", nullptr, b.blob, &bytes, &listener));
  EXPECT_RC_NAMES(RC_E_NO_DEVICE, "nosuch",
                  rc_endpoint_open(a.ctx, "rdma://0.0.0.0:1?dev=nosuch", nullptr, b.blob, &bytes, &listener));
}

// The peer's device is told of no memory, and each end says why it does not go on with one that says another path.
TEST_P(RdmaEndpoints, BothSayTheSamePath) {
  End a(uri()), b(uri()), c(uri(by_messages() ? "&path=write" : "&path=send"));
  rc::EndpointBlob said;
  memcpy(static_cast<void*>(&said), a.blob, sizeof said);
  EXPECT_EQ(by_messages(), said.hello.inbox == 0 && said.hello.rkey == 0);
  const char* of_a = by_messages() ? "this end has path=send" : "this end has path=write";
  const char* of_c = by_messages() ? "this end has path=write" : "this end has path=send";
  EXPECT_RC_NAMES(RC_E_URI, of_a, a.connect(c));
  EXPECT_RC_NAMES(RC_E_URI, of_c, c.connect(a));
  meet(a, b);
  exchange(a, b);
}

// Operations go the channel's way.
TEST_P(RdmaEndpoints, RegionsOfThePeerAreWrittenAndRead) {
  End a(uri()), b(uri());
  meet(a, b);
  rc_mr from{0}, to{0};
  rc_grant grant{0};
  rc_remote remote{0};
  ASSERT_RC(RC_OK, rc_mr_alloc(a.ctx, 2048, 0, &from));
  ASSERT_RC(RC_OK, rc_mr_alloc(b.ctx, 1024, 0, &to));
  ASSERT_RC(RC_OK, rc_mr_grant(b.channel, to, 0, 1024, RC_MR_READ | RC_MR_WRITE, 0, &grant));
  ASSERT_RC(RC_OK, rc_remote_get(a.channel, kPatience, &remote));
  char end;
  Doing serving([&] { return rc_get(b.channel, &end, 1, kPatience, nullptr); });  // they land in the target's calls
  uint8_t* here = bytes_of(from);
  memset(here, 'a', 1024);
  rc_request request{0};
  ASSERT_RC(RC_OK, rc_write(from, 0, remote, 0, 1024, &request));
  EXPECT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
  ASSERT_RC(RC_OK, rc_read(from, 1024, remote, 0, 1024, &request));
  EXPECT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
  EXPECT_EQ(0, memcmp(here, bytes_of(to), 1024));
  EXPECT_EQ(0, memcmp(here, here + 1024, 1024));
  EXPECT_RC(RC_OK, rc_put(a.channel, "x", 1, kPatience, nullptr));
  EXPECT_DONE(RC_OK, serving);
}

// The smaller of what both have room for; and what one end insists on.
TEST_P(RdmaEndpoints, RingSizeIsAgreed) {
  End a(uri(), nullptr, 1000), b(uri());
  meet(a, b);
  for (const End* end : {&a, &b}) {
    int64_t bytes = 0;
    EXPECT_RC(RC_OK, rc_channel_figure(end->channel, "ring_bytes", &bytes));
    EXPECT_EQ(1000, bytes);
  }
  exchange(a, b);
}

TEST_P(RdmaEndpoints, KnobsOfThePathAreFree) {
  End a(uri("&psn=77&mtu=256&tclass=104")), b(uri());
  meet(a, b);
  int64_t value = 0;
  EXPECT_RC(RC_OK, rc_channel_figure(b.channel, "peer_psn", &value));
  EXPECT_LE(77, value);  // the next one that is expected
  EXPECT_GE(77 + 10, value);
  EXPECT_RC(RC_OK, rc_channel_figure(b.channel, "mtu", &value));
  EXPECT_EQ(256, value);
  EXPECT_RC(RC_OK, rc_channel_figure(a.channel, "tclass", &value));
  EXPECT_EQ(104, value);
  exchange(a, b);
}

// No connection manager tells of it: the retries end. In a get by a request of its own, in a put by the put's.
TEST_P(RdmaEndpoints, KilledPeerIsNoticedWithinTheTimeOut) {
  constexpr int kTimeoutMs = 1000;
  std::string quick = uri("&timeout_ms=" + std::to_string(kTimeoutMs));
  for (bool getting : {true, false}) {
    SCOPED_TRACE(getting);
    OtherProcess other(quick);
    End a(quick);
    other.tell(a);
    ASSERT_RC(RC_OK, rc_endpoint_connect(a.endpoint, other.blob(), a.bytes, kPatience, &a.channel));
    char hello[2];
    ASSERT_RC(RC_OK, rc_get(a.channel, hello, sizeof hello, kPatience, nullptr));
    Doing doing([&] {
      std::vector<char> bytes(4096);
      int32_t code = RC_OK;
      while (code == RC_OK) {
        code = getting ? rc_get(a.channel, bytes.data(), 1, kPatience, nullptr)
                       : rc_put(a.channel, bytes.data(), bytes.size(), kPatience, nullptr);
      }
      return code;
    });
    doing.wait_until_inside();
    auto killed = std::chrono::steady_clock::now();
    other.kill_it();
    EXPECT_DONE(RC_E_PEER_DEAD, doing);
    EXPECT_LE(std::chrono::steady_clock::now() - killed, std::chrono::milliseconds(2 * kTimeoutMs));  // a busy machine
  }
}

INSTANTIATE_TEST_SUITE_P(On, RdmaEndpoints,
                         testing::Values("?mode=poll", "?mode=event", "?mode=poll&path=send", "?mode=event&path=send"),
                         [](const auto& mode) {
                           std::string name = mode.param;
                           return name.substr(6, name.find('&') - 6) + (name.find('&') != name.npos ? "_send" : "");
                         });

// Endpoints of one context share device and domain, also with those made after the first has gone.
TEST(RdmaEndpoint, EndpointsOfAContextShareTheirDomain) {
  End a(rdma_uri("")), b(rdma_uri(""));
  meet(a, b);
  int64_t shared = -1, value = -1;
  EXPECT_RC(RC_OK, rc_channel_figure(a.channel, "pd", &shared));
  for (const char* query : {"?pd=own", "?pd=shared"}) {
    SCOPED_TRACE(query);
    End c(rdma_uri(""));
    std::string uri = rdma_uri(query);
    uint8_t blob[512];
    size_t bytes = sizeof blob;
    rc_listener endpoint{0};
    rc_channel channel{0};
    ASSERT_RC(RC_OK, rc_endpoint_open(a.ctx, uri.c_str(), nullptr, blob, &bytes, &endpoint));
    Doing other([&] { return rc_endpoint_connect(c.endpoint, blob, bytes, kPatience, &c.channel); });
    EXPECT_RC(RC_OK, rc_endpoint_connect(endpoint, c.blob, c.bytes, kPatience, &channel));
    EXPECT_DONE(RC_OK, other);
    EXPECT_RC(RC_OK, rc_channel_figure(channel, "pd", &value));
    EXPECT_EQ(strcmp(query, "?pd=shared") == 0, value == shared);
    EXPECT_RC(RC_OK, rc_channel_close(channel));
    EXPECT_RC(RC_OK, rc_listener_close(endpoint));
  }
  exchange(a, b);
}

// By path=send an end takes its four rings when their size is agreed.
TEST(RdmaEndpoint, RingsThatThePoolLacksAreNamed) {
  std::string uri = rdma_uri("?path=send");
  rc_config config = {};
  config.size = sizeof config;
  config.rings_max = 3;
  config.ring_bytes = 65536;
  rc_ctx ctx{0};
  rc_listener endpoint{0};
  rc_channel channel{0};
  uint8_t blob[512];
  size_t bytes = sizeof blob;
  End b(uri);
  ASSERT_RC(RC_OK, rc_open(&config, &ctx));
  ASSERT_RC(RC_OK, rc_endpoint_open(ctx, uri.c_str(), nullptr, blob, &bytes, &endpoint));
  EXPECT_RC(RC_E_POOL, rc_endpoint_connect(endpoint, b.blob, b.bytes, kPatience, &channel));
  EXPECT_RC(RC_E_STATE, rc_endpoint_connect(endpoint, b.blob, b.bytes, kPatience, &channel));
  EXPECT_RC(RC_OK, rc_close(ctx));
}

// By the address or by itself an endpoint finds the GID that rdma_cm would have used.
TEST(RdmaEndpoint, ChoosesItsGid) {
  std::string by_address = rdma_uri("");
  End a(by_address), b(by_address);
  meet(a, b);
  exchange(a, b);
  End c("rdma://0.0.0.0:1"), d("rdma://0.0.0.0:1");
  meet(c, d);
  exchange(c, d);
  rc_device best = {};
  best.size = sizeof best;
  for (uint32_t i = 0; best.active == 0; ++i) ASSERT_RC(RC_OK, rc_device_info(i, &best));
  const uint8_t ipv4[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255};
  EXPECT_EQ(0, memcmp(ipv4, best.gid, sizeof ipv4));  // the tests' address is one, so there is one
  int64_t value = -1;
  EXPECT_RC(RC_OK, rc_channel_figure(c.channel, "device_guid", &value));
  EXPECT_EQ(best.guid, static_cast<uint64_t>(value));
  EXPECT_RC(RC_OK, rc_channel_figure(c.channel, "gid", &value));
  EXPECT_EQ(best.gid_index, value);
}

// Nobody tells that the peer is gone but the retries.
TEST(RdmaEndpoint, PeerThatIsGoneIsNoticedByTimeout) {
  End a(rdma_uri("?timeout_ms=500"));
  {
    End b(rdma_uri("?timeout_ms=500"));
    meet(a, b);
    EXPECT_RC(RC_OK, rc_channel_close(b.channel));  // in good order
  }
  char byte;
  EXPECT_RC(RC_E_CLOSED, rc_get(a.channel, &byte, 1, kPatience, nullptr));
}

}  // namespace conformance
