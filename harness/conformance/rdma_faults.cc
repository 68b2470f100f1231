// What goes wrong between two machines: a peer that is killed, packets that are lost or late, a link that is down. With
// RC_RDMA_WIRE, the address of the far end of a veth pair "va" - "vb" with an RDMA device on both (harness/guest/veth),
// the wire's faults are real ones. RC_LONG=1: the long form.
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <chrono>
#include <future>
#include <thread>
#include <utility>

#include "backends/rdma/verbs.h"
#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

constexpr char kQuick[] = "?timeout_ms=1000";
constexpr int64_t kTimeoutMs = 1000;
constexpr int kPatienceMs = static_cast<int>(kPatience / 1000000);
constexpr int kWakesMost = 100;  // of an event loop in which nothing happens, until it notices

bool long_form() {
  const char* value = getenv("RC_LONG");
  return value != nullptr && strcmp(value, "1") == 0;
}

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Backend one(const char* name, const std::string& query, bool wire) {
  Backend b;
  b.name = name;
  b.scheme = "rdma";
  const char* far = getenv("RC_RDMA_WIRE");
  std::string address = far != nullptr ? far : "";
  if (wire) {
    b.make_uri = [=] { return rdma_uri_at(address, query); };
  } else {
    b.make_uri = [=] { return rdma_uri(query); };
  }
  b.other_process = true;
  b.lands_alone = false;
  b.near_listens = false;
  return b;
}

// Instead of rdma_notify: tells rdma_cm once, and late.
decltype(rc::g_verbs.notify) g_notify;
std::future<int> g_notified;
int notify_later(rdma_cm_id* id, ibv_event_type event) {
  if (g_notified.valid()) return 0;
  g_notified = std::async(std::launch::async, [=] {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    return g_notify(id, event);
  });
  return 0;
}

std::vector<Backend> modes(bool wire) {
  return {one("Poll", kQuick, wire), one("Event", std::string(kQuick) + "&mode=event", wire),
          one("Send", std::string(kQuick) + "&path=send", wire),
          one("SharedSendEvent", std::string(kQuick) + "&path=send&mode=event&cq=shared", wire)};
}

}  // namespace

// ------------------------------------------------------------------------------------------------ a peer that dies

class RdmaDeath : public Pair {
 protected:
  // The peer is killed while `call` waits here: dead within a second.
  void expect_death(const std::function<int32_t()>& call) {
    Doing doing(call);
    doing.wait_until_inside();
    int64_t killed = now_ms();
    far().kill();
    EXPECT_DONE(RC_E_PEER_DEAD, doing);
    EXPECT_LE(now_ms() - killed, 1000);
  }
};

TEST_P(RdmaDeath, OfAnIdlePeerEndsAGet) {
  connect();
  uint8_t byte;
  expect_death([&] { return rc_get(ch_, &byte, 1, kPatience, nullptr); });
}

TEST_P(RdmaDeath, OfAWritingPeerLeavesAPrefix) {
  connect();
  far().start(Far::pieces(Op::kPutPieces, uint64_t{1} << 40, 300));
  Buffer bytes(5 * kCapacity);
  expect_death([&] {
    for (;;) {
      size_t done = 0;
      int32_t code = rc_get(ch_, bytes.data(), bytes.size(), kPatience, &done);
      if (!right(bytes, done)) return RC_E_CORRUPT;
      if (code != RC_OK) return code;
    }
  });
}

TEST_P(RdmaDeath, OfAReadingPeerEndsAPut) {
  connect();
  far().start(Far::pieces(Op::kGetPieces, uint64_t{1} << 40, 300));
  Buffer bytes(kCapacity);
  expect_death([&] {
    int32_t code = RC_OK;
    while (code == RC_OK) code = rc_put(ch_, bytes.data(), bytes.size(), kPatience, nullptr);
    return code;
  });
}

// The lane looks whether the kernel still has any of it.
TEST_P(RdmaDeath, AgainAndAgainLeavesNothingBehind) {
  for (int i = 0; i < (long_form() ? 200 : 10); ++i) {
    SCOPED_TRACE(i);
    uri_ = backend().make_uri();
    rc_listener listener{0};
    ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener));
    Call connect{Op::kConnect};
    snprintf(connect.text, sizeof connect.text, "%s", uri_.c_str());
    std::unique_ptr<Far> client = make_far(true);
    open(*client, ctx_);
    client->start(connect);
    rc_channel channel{0};
    ASSERT_RC(RC_OK, rc_accept(listener, kPatience, &channel));
    ASSERT_FAR(RC_OK, 0u, client->finish());
    EXPECT_RC(RC_OK, rc_put(channel, "x", 1, kPatience, nullptr));
    client->kill();
    uint8_t byte;
    EXPECT_RC(RC_E_PEER_DEAD, rc_get(channel, &byte, 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_channel_close(channel));
    EXPECT_RC(RC_OK, rc_listener_close(listener));
  }
}

INSTANTIATE_TEST_SUITE_P(On, RdmaDeath, testing::ValuesIn(modes(false)), name_of);

// ------------------------------------------------------------------------------------------------ an idle peer

class RdmaFlow : public Pair {};

// The NIC goes on without the peer; in event mode as far as the peer's receives reach, and then the put waits: no
// retries, no error.
TEST_P(RdmaFlow, SmallPutsThatNobodyReads) {
  constexpr size_t kAll = 900;
  constexpr size_t kReceives = 64;
  bool event = backend().name == "Event";
  connect();
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    int32_t code = RC_OK;
    size_t n = 0;
    while (code == RC_OK && n < kAll) {
      Buffer byte = out_.next(1);
      code = rc_put(ch_, byte.data(), 1, event ? 10 * kShort : kPatience, nullptr);
      if (code != RC_OK) break;
      out_.move(1);
      ++n;
    }
    EXPECT_EQ(event ? RC_E_TIMEOUT : RC_OK, code) << rc_reason();
    if (event) {
      EXPECT_LE(kReceives / 4, n);
      EXPECT_GT(kReceives, n);
    }
    EXPECT_FAR(RC_OK, n, far().get(n));
    settle();
  }
}

INSTANTIATE_TEST_SUITE_P(On, RdmaFlow,
                         testing::Values(one("Poll", "?sq_depth=32", false),
                                         one("Event", "?mode=event&sq_depth=32&rq_depth=64", false)),
                         name_of);

// ------------------------------------------------------------------------------------------------ a wire with faults

class RdmaWire : public Pair {
 protected:
  void SetUp() override {
    if (getenv("RC_RDMA_WIRE") == nullptr) GTEST_SKIP() << "there is no veth pair with RDMA devices here";
    Pair::SetUp();
  }
  void TearDown() override {
    if (getenv("RC_RDMA_WIRE") == nullptr) return;
    mend();
    Pair::TearDown();
  }
  static void run(const std::string& command) { EXPECT_EQ(0, system(command.c_str())) << command; }
  static void on_both(const std::string& netem) {
    for (const char* end : {"va", "vb"}) run(std::string("tc qdisc replace dev ") + end + " root netem " + netem);
  }
  static void mend() {
    run("for end in va vb; do tc qdisc del dev $end root; tc qdisc del dev $end clsact; done 2>/dev/null; "
        "sh /run/desk/veth");
  }
  // The last word of rdma_cm's handshake (RTU) is a datagram of which nobody waits for an answer. None gets through
  // from now on. (It is dropped where it arrives: what is dropped where it leaves soft-RoCE sends again for ever.)
  static void lose_last_words() {
    for (const char* end : {"va", "vb"}) {
      run(std::string("tc qdisc replace dev ") + end + " clsact && tc filter add dev " + end +
          " ingress protocol ip u32 match u8 0x07 0xff at 49 match u16 0x0014 0xffff at 64 action drop");
    }
  }
  static void expect_words_lost() {
    run("for end in va vb; do tc -s filter show dev $end ingress; done | grep -q 'dropped [1-9]'");
  }
  // A client that is told to connect, and is to be waited for.
  rc_listener begin_connecting() {
    rc_listener listener{0};
    EXPECT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener));
    Call connecting{Op::kConnect};
    snprintf(connecting.text, sizeof connecting.text, "%s", uri_.c_str());
    far().start(connecting);
    return listener;
  }
  static uint64_t packets() {
    FILE* file = fopen("/sys/class/net/va/statistics/tx_packets", "re");
    unsigned long long n = 0;
    EXPECT_EQ(1, fscanf(file, "%llu", &n));
    fclose(file);
    return n;
  }
  // Bytes both ways, all of them exact.
  void stream(size_t n) {
    far().start(Far::pieces(Op::kEcho, n, 500));
    Pattern echoed = out_;
    for (size_t left = n; left > 0;) {
      size_t piece = std::min<size_t>(left, 500);
      Buffer bytes = out_.next(piece), back(piece);
      ASSERT_RC(RC_OK, rc_put(ch_, bytes.data(), piece, kPatience, nullptr));
      out_.move(piece);
      ASSERT_RC(RC_OK, rc_get(ch_, back.data(), piece, kPatience, nullptr));
      ASSERT_EQ(piece, echoed.wrong(back.data(), piece));
      echoed.move(piece);
      left -= piece;
    }
    EXPECT_FAR(RC_OK, n, far().finish());
  }
  // A call that moves bytes over the broken wire: a named error within the time-out.
  void expect_cut(const std::function<int32_t()>& call, const char* names = "RETRY_EXC") {
    int64_t cut = now_ms();
    Doing doing(call);
    Outcome outcome = doing.outcome();
    EXPECT_EQ(RC_E_PEER_DEAD, outcome.code) << outcome.reason;
    EXPECT_NE(std::string::npos, outcome.reason.find(names)) << outcome.reason;
    int64_t took = now_ms() - cut;
    RecordProperty("ms", static_cast<int>(took));
    printf("noticed after %d ms, of %d\n", static_cast<int>(took), static_cast<int>(kTimeoutMs));
    EXPECT_LE(took, 2 * kTimeoutMs);  // a busy machine may be late
    // A fresh start.
    EXPECT_RC(RC_OK, rc_channel_close(ch_));
    mend();
    EXPECT_FAR(RC_OK, 0u, far().close_channel());
    connect();
    stream(5 * kCapacity);
  }
  int32_t put_until_it_fails() {
    Buffer bytes(kCapacity);
    int32_t code = RC_OK;
    while (code == RC_OK) code = rc_put(ch_, bytes.data(), bytes.size(), kPatience, nullptr);
    return code;
  }
};

TEST_P(RdmaWire, IsReallyUsed) {
  connect();
  uint64_t before = packets();
  stream(10 * kCapacity);
  EXPECT_LE(before + 20, packets());
}

TEST_P(RdmaWire, LossOfAllIsAnErrorOfAPut) {
  connect();
  stream(kCapacity);
  on_both("loss 100%");
  expect_cut([&] { return put_until_it_fails(); });
}

TEST_P(RdmaWire, LossOfAllIsAnErrorOfAGet) {
  connect();
  stream(kCapacity);
  on_both("loss 100%");
  uint8_t byte;
  expect_cut([&] { return rc_get(ch_, &byte, 1, kPatience, nullptr); });
}

// Nobody is inside a call, and nothing arrives: only a timer can tell.
TEST_P(RdmaWire, LossOfAllIsNoticedByWhoWaitsForTheDescriptor) {
  if (backend().name != "Event") return;  // the other mode has none
  connect();
  stream(kCapacity);
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  on_both("loss 100%");
  expect_cut([&] {
    pollfd wait = {fd, POLLIN, 0};
    uint8_t byte;
    size_t done = 0;
    for (int wakes = 0; wakes < kWakesMost; ++wakes) {
      if (poll(&wait, 1, kPatienceMs) != 1) return RC_E_TIMEOUT;
      int32_t code = rc_get_some(ch_, &byte, 1, 0, &done);
      if (code != RC_E_WOULD_BLOCK) return code;
    }
    return RC_E_WOULD_BLOCK;  // it is no timer, it is a spin
  });
}

TEST_P(RdmaWire, LossOfAllIsNoticedByWhoWaitsForTheContext) {
  if (backend().name != "Event") return;
  connect();
  stream(kCapacity);
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_fd(ctx_, &fd));
  on_both("loss 100%");
  expect_cut([&] {
    rc_event event;
    uint32_t n = 0;
    uint8_t byte;
    size_t done = 0;
    for (int wakes = 0; wakes < kWakesMost; ++wakes) {
      int32_t code = rc_poll(ctx_, &event, 1, kPatience, &n);
      if (code != RC_OK) return code;
      code = rc_get_some(ch_, &byte, 1, 0, &done);
      if (code != RC_E_WOULD_BLOCK) return code;
    }
    return RC_E_WOULD_BLOCK;
  });
}

TEST_P(RdmaWire, LinkThatIsDownIsAnError) {
  connect();
  stream(kCapacity);
  run("ip link set vb down");
  expect_cut([&] { return put_until_it_fails(); }, "PORT_ERR");
}

TEST_P(RdmaWire, SomeLossChangesNoByte) {
  uri_ += "&ack_timeout=12";  // 17 ms, seven times
  connect();
  for (const char* loss : {"loss 1%", "loss 5%", "delay 5ms", "loss 10%"}) {
    SCOPED_TRACE(loss);
    on_both(loss);
    bool heavy = strcmp(loss, "loss 10%") == 0;  // seven tries are not enough for one packet in 100,000
    stream((long_form() ? 400 : heavy ? 10 : 40) * kCapacity);
    mend();
    disconnect();
    connect();
    stream(kCapacity);
  }
}

// That the client speaks on the queue pair must do.
TEST_P(RdmaWire, LostWordOfRdmaCmKeepsNobodyFromAccepting) {
  lose_last_words();
  for (int i = 0; i < 2; ++i) {
    connect();
    stream(kCapacity);
    EXPECT_FAR(RC_OK, 0u, far().close_channel());
    EXPECT_RC(RC_OK, rc_channel_close(ch_));
  }
  expect_words_lost();
}

// That the connection stands is said to the listener, however late rdma_cm learns of it.
TEST_P(RdmaWire, LateWordOfRdmaCmIsNoNewsOfTheChannel) {
  if (backend().name.find("Event") == std::string::npos) GTEST_SKIP() << "who polls has no descriptor";
  uri_.replace(uri_.find(kQuick), strlen(kQuick), "?timeout_ms=600000");  // whose timer would be news
  lose_last_words();
  rc_listener listener = begin_connecting();
  g_notify = std::exchange(rc::g_verbs.notify, notify_later);
  EXPECT_RC(RC_OK, rc_accept(listener, kPatience, &ch_));
  rc::g_verbs.notify = g_notify;
  EXPECT_FAR(RC_OK, 0u, far().finish());
  int32_t fd = -1;
  ASSERT_RC(RC_OK, rc_channel_fd(ch_, &fd));
  ASSERT_TRUE(g_notified.valid());
  EXPECT_EQ(0, g_notified.get());
  pollfd wait = {fd, POLLIN, 0};
  EXPECT_EQ(0, poll(&wait, 1, 500));
  expect_words_lost();
  EXPECT_FAR(RC_OK, 5u, far().put(5));
  EXPECT_EQ(1, poll(&wait, 1, kPatienceMs));
  get(5);
  EXPECT_RC(RC_OK, rc_listener_close(listener));
}

// The listener looks in now and then, and on a long way it learns of the end together with what came before.
TEST_P(RdmaWire, ClientThatHasGoneBeforeItIsAcceptedLeavesItsBytes) {
  on_both("delay 20ms");
  rc_listener listener = begin_connecting();
  std::future<Reply> connected = std::async(std::launch::async, [&] { return far().finish(); });
  int32_t code = RC_E_WOULD_BLOCK;
  do {  // a look that lets the client go is over before that word has been answered
    if (code != RC_OK) code = rc_accept(listener, 0, &ch_);
  } while (connected.wait_for(std::chrono::milliseconds(400)) != std::future_status::ready);
  EXPECT_EQ(RC_OK, connected.get().code);
  EXPECT_FAR(RC_OK, 5u, far().put(5));
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // that it has gone is known here, too, 20 ms later
  if (code != RC_OK) code = rc_accept(listener, kPatience, &ch_);
  ASSERT_RC(RC_OK, code);
  Buffer bytes(5);
  EXPECT_RC(RC_OK, rc_get(ch_, bytes.data(), bytes.size(), kPatience, nullptr));
  EXPECT_TRUE(right(bytes, bytes.size()));
  uint8_t byte;
  EXPECT_RC(RC_E_CLOSED, rc_get(ch_, &byte, 1, kPatience, nullptr));
  EXPECT_RC(RC_OK, rc_listener_close(listener));
}

// What was put before a close arrives, and then the close, however long the way is.
TEST_P(RdmaWire, CloseWaitsForWhatIsUnderWay) {
  on_both("delay 20ms");
  for (int i = 0; i < 3; ++i) {
    SCOPED_TRACE(i);
    connect(kRingMax);
    far().start(Far::bytes(Op::kGet, kRingMax));
    Buffer bytes = out_.next(kRingMax);
    EXPECT_RC(RC_OK, rc_put(ch_, bytes.data(), kRingMax, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_channel_close(ch_));
    EXPECT_FAR(RC_OK, kRingMax, far().finish());
    EXPECT_FAR(RC_E_CLOSED, 0u, far().get(1));
    EXPECT_FAR(RC_OK, 0u, far().close_channel());
  }
}

INSTANTIATE_TEST_SUITE_P(On, RdmaWire, testing::ValuesIn(modes(true)), name_of);

}  // namespace conformance
