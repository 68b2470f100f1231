// A listener that deceives the clients that connect to it.
#include <linux/memfd.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "harness/hostile/hello_bits.h"
#include "harness/hostile/honest.h"
#include "harness/hostile/wrong_things.h"

namespace hostile {
namespace {

using rc::Hello;

class HostileListener : public Attack {
 protected:
  void SetUp() override {
    Attack::SetUp();
    rogue_name_ = unique_name();
    ASSERT_TRUE(rogue_.listen(rogue_name_));
  }
  void TearDown() override {
    rogue_ = RawListener();
    if (connecting_.valid()) connecting_.wait();
    Attack::TearDown();
  }
  // A client comes and has asked.
  void ask(int64_t timeout_ns = kPatience) {
    rc_channel_config config = {};
    config.ring_bytes = kRing;
    connecting_ = connect_to(rogue_name_, timeout_ns, config);
    ASSERT_TRUE(rogue_.take_client() && rogue_.take_ask());
  }
  // The client gives up with this code and this word in its reason, and hangs up.
  void expect_gives_up(int32_t code, const std::string& word) {
    Outcome o = connecting_.get();
    EXPECT_EQ(rc_code_name(o.code), std::string(rc_code_name(code))) << o.reason;
    EXPECT_NE(o.reason.find(word), std::string::npos) << "the reason says: " << o.reason;
    if (!rogue_.end.main.ok()) return;
    Packet last;
    do {
      last = receive_packet(rogue_.end.main.get());
    } while (last.bytes > 0);
    EXPECT_EQ(last.bytes, 0) << "the client has not hung up";
  }
  // The handshake goes to its end, and data are exact.
  void expect_connects(const Hello& go) {
    bool shaken = rogue_.take_accept() && rogue_.go(go);
    Outcome o = connecting_.get();
    ASSERT_RC(RC_OK, o.code) << o.reason;
    ASSERT_TRUE(shaken);
    expect_exact(o.channel, rogue_.end);
  }
  void offer_files(const std::vector<int>& fds, int32_t code, const std::string& word = "memory file") {
    ask();
    Hello offer = say(Hello::kOffer, kRing);
    ASSERT_TRUE(send_packet(rogue_.end.main.get(), &offer, sizeof offer, fds));
    expect_gives_up(code, word);
  }

  std::string rogue_name_;
  RawListener rogue_;
  std::future<Outcome> connecting_;
};

TEST_F(HostileListener, EveryBitOfTheOfferFlipped) {
  const Hello good = say(Hello::kOffer, kRing);
  for (size_t bit = 0; bit < kHelloBits && !HasFailure(); ++bit) {
    SCOPED_TRACE(bit_name(bit));
    Hello bad = flipped(good, bit);
    int32_t expected = BIT_OF(bit, ring_bytes) ? RC_E_SIZE : verdict_on_bit(bad, bit);
    ask();
    ASSERT_TRUE(rogue_.offer(&bad, sizeof bad, kRing));
    if (expected == RC_OK) {
      expect_connects(say(Hello::kGo, kRing));
    } else {
      expect_gives_up(expected, "");
    }
  }
}

TEST_F(HostileListener, EveryBitOfTheGoFlipped) {
  const Hello good = say(Hello::kGo, kRing);
  for (size_t bit = 0; bit < kHelloBits && !HasFailure(); ++bit) {
    SCOPED_TRACE(bit_name(bit));
    Hello bad = flipped(good, bit);
    int32_t expected = verdict_on_bit(bad, bit);
    ask();
    ASSERT_TRUE(rogue_.offer(kRing));
    if (expected == RC_OK) {
      expect_connects(bad);
    } else {
      ASSERT_TRUE(rogue_.take_accept() && rogue_.go(bad));
      expect_gives_up(expected, "");
    }
  }
}

TEST_F(HostileListener, OfferOfEveryLength) {
  const Hello good = say(Hello::kOffer, kRing);
  std::vector<uint8_t> bytes(100000, 0);
  memcpy(bytes.data(), &good, sizeof good);
  for (size_t n = 1; n < bytes.size() && !HasFailure(); n = n < sizeof good + 2 ? n + 1 : n * 3) {
    if (n == sizeof good) continue;
    SCOPED_TRACE(std::to_string(n) + " bytes");
    ask();
    ASSERT_TRUE(rogue_.offer(bytes.data(), n, kRing));
    expect_gives_up(RC_E_NOT_RINGCHAN, "");
  }
}

TEST_F(HostileListener, GoOfEveryLength) {
  const Hello good = say(Hello::kGo, kRing);
  std::vector<uint8_t> bytes(100000, 0);
  memcpy(bytes.data(), &good, sizeof good);
  for (size_t n = 1; n < bytes.size() && !HasFailure(); n = n < sizeof good + 2 ? n + 1 : n * 3) {
    if (n == sizeof good) continue;
    SCOPED_TRACE(std::to_string(n) + " bytes");
    ask();
    ASSERT_TRUE(rogue_.offer(kRing) && rogue_.take_accept());
    ASSERT_TRUE(send_packet(rogue_.end.main.get(), bytes.data(), n));
    expect_gives_up(RC_E_NOT_RINGCHAN, "");
  }
}

TEST_F(HostileListener, VersionsAndLayoutsOfOtherTimes) {
  for (uint32_t version : {rc::kWireVersion - 1, rc::kWireVersion + 1, ~uint32_t{0}}) {
    Hello offer = say(Hello::kOffer, kRing);
    offer.version = version;
    ask();
    ASSERT_TRUE(rogue_.offer(offer));
    expect_gives_up(RC_E_VERSION, std::to_string(version));
  }
  Hello offer = say(Hello::kOffer, kRing);
  offer.layout ^= 0x100;
  ask();
  ASSERT_TRUE(rogue_.offer(offer));
  expect_gives_up(RC_E_LAYOUT, "layout");
}

TEST_F(HostileListener, RingsThatWereNotAskedFor) {
  constexpr uint64_t kTop = std::numeric_limits<uint64_t>::max();
  for (uint64_t ring :
       {uint64_t{0}, uint64_t{1}, kRing - 1, kRing + 1, kRingMax + 1, uint64_t{1} << 63, kTop - 511, kTop}) {
    SCOPED_TRACE("ring of " + std::to_string(ring));
    Hello offer = say(Hello::kOffer, ring);
    ask();
    ASSERT_TRUE(rogue_.offer(&offer, sizeof offer, kRing));
    expect_gives_up(RC_E_SIZE, std::to_string(ring));
  }
}

TEST_F(HostileListener, OutOfTurn) {
  for (uint32_t kind : {0u, 1u, 3u, 4u, 99u}) {
    Hello offer = say(Hello::kOffer, kRing);
    offer.kind = kind;
    ask();
    ASSERT_TRUE(rogue_.offer(offer));
    expect_gives_up(RC_E_NOT_RINGCHAN, "turn");
  }
  ask();  // the offer, again and again
  ASSERT_TRUE(rogue_.offer(kRing));
  Hello again = say(Hello::kOffer, kRing);
  for (int i = 0; i < 20; ++i) send_packet(rogue_.end.main.get(), &again, sizeof again);
  expect_gives_up(RC_E_NOT_RINGCHAN, "turn");
}

TEST_F(HostileListener, MemoryFilesOfEveryWrongKind) {
  offer_files({}, RC_E_NOT_RINGCHAN);
  Fd good = make_file({file_bytes(kRing)});
  for (size_t n : {2, 3, 16, 17, 253}) offer_files(std::vector<int>(n, good.get()), RC_E_NOT_RINGCHAN, "descriptor");
  for (const Thing& thing : wrong_things()) {
    SCOPED_TRACE(thing.name);
    offer_files({thing.fd.get()}, RC_E_CORRUPT);
  }
  for (const BadFile& bad : bad_files(kRing)) {
    SCOPED_TRACE("a memory file " + bad.name);
    Fd file = make_file(bad.kind);
    ASSERT_TRUE(file.ok());
    offer_files({file.get()}, RC_E_CORRUPT);
  }
}

TEST_F(HostileListener, MemoryFileShrinksBetweenTwoChecks) {
  Fd file = make_file({file_bytes(kRing), 0});
  before_the_next_seal_check(
      [](int fd) {
        if (ftruncate(fd, 0) != 0 || fcntl(fd, F_ADD_SEALS, kAllSeals) != 0)
          ADD_FAILURE() << "the attack itself failed";
      },
      file.get());
  offer_files({file.get()}, RC_E_CORRUPT);
}

TEST_F(HostileListener, GoThatCarriesDescriptors) {
  for (size_t n : {1, 2, 16, 100}) {
    Hello go = say(Hello::kGo, kRing);
    ask();
    ASSERT_TRUE(rogue_.offer(kRing) && rogue_.take_accept());
    ASSERT_TRUE(send_packet(rogue_.end.main.get(), &go, sizeof go, std::vector<int>(n, rogue_.end.file.get())));
    expect_gives_up(RC_E_NOT_RINGCHAN, "descriptor");
  }
}

TEST_F(HostileListener, SaysNothing) {
  auto in_backlog = connect_to(rogue_name_, kShort);
  EXPECT_EQ(in_backlog.get().code, RC_E_TIMEOUT);
  ASSERT_TRUE(rogue_.take_client());
  ask(kShort);
  expect_gives_up(RC_E_TIMEOUT, "");
  ask(kShort);
  ASSERT_TRUE(rogue_.offer(kRing));
  expect_gives_up(RC_E_TIMEOUT, "");
}

TEST_F(HostileListener, HangsUpInTheMiddle) {
  for (int step = 0; step < 3; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    ask(200 * kMs);
    bool ok = (step < 1 || rogue_.offer(kRing)) && (step < 2 || rogue_.take_accept());
    ASSERT_TRUE(ok);
    rogue_.hang_up();
    if (step == 0) {  // it might have been a listener that was closed in good order: the client tries again
      while (rogue_.take_client(300)) rogue_.hang_up();
      Outcome o = connecting_.get();
      EXPECT_TRUE(o.code == RC_E_PEER_DEAD || o.code == RC_E_TIMEOUT) << o.reason;
      continue;
    }
    expect_gives_up(RC_E_PEER_DEAD, "");
  }
}

// It hangs up on everybody for ever: the client neither runs hot nor misses a stop.
TEST_F(HostileListener, HangsUpOnEverybody) {
  std::atomic<bool> stop{false};
  std::atomic<int> clients{0};
  std::thread rogue([&] {
    while (!stop.load()) {
      clients += rogue_.take_client(10) ? 1 : 0;
      rogue_.hang_up();
    }
  });
  auto connecting = connect_to(rogue_name_, 300 * kMs);
  int32_t code = connecting.get().code;
  EXPECT_TRUE(code == RC_E_PEER_DEAD || code == RC_E_TIMEOUT) << rc_code_name(code);
  EXPECT_LT(clients.load(), 1000) << "the client tries again without a pause";
  connecting = connect_to(rogue_name_, RC_FOREVER);
  usleep(20000);
  rc_stop(ctx_);
  bool stopped = connecting.wait_for(std::chrono::nanoseconds(kBound)) == std::future_status::ready;
  EXPECT_TRUE(stopped) << "rc_stop does not end rc_connect";
  stop = true;
  rogue.join();
  rogue_ = RawListener();
  if (!stopped) {  // let the client out: somebody silent instead
    std::string name = rogue_name_;
    ASSERT_TRUE(rogue_.listen(name));
  }
  EXPECT_EQ(connecting.get().code, RC_E_STOPPED);
  close_honest();
  open_honest(nullptr);
}

// Abstract names of one kind of socket are none of another's; paths are for all.
TEST_F(HostileListener, OtherKindsOfSockets) {
  for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
    std::string path = "/tmp/rc-" + unique_name();
    Fd fd = listen_as(path, type);
    ASSERT_TRUE(fd.ok());
    Outcome o = connect_to(path, kPatience).get();
    EXPECT_EQ(rc_code_name(o.code), std::string("RC_E_NOT_RINGCHAN")) << o.reason;
    unlink(path.c_str());
  }
}

TEST_F(HostileListener, RefusesWithEveryCode) {
  for (int32_t code :
       {1, 2147483647, -2147483647 - 1, -1, -2, -3, -4, -100, -101, -200, -201, -202, -203, -309, -310, -1000}) {
    SCOPED_TRACE("code " + std::to_string(code));
    Hello refusal = say(Hello::kOffer);
    refusal.code = code;
    strcpy(refusal.text, "because");
    ask();
    ASSERT_TRUE(rogue_.offer(&refusal, sizeof refusal, kRing));
    expect_gives_up(RC_E_REFUSED, "because");
  }
  for (int32_t code : {RC_E_SIZE, RC_E_NO_PERMISSION, RC_E_VERSION, RC_E_NO_SPACE}) {
    Hello refusal = say(Hello::kOffer);
    refusal.code = code;
    ask();
    ASSERT_TRUE(rogue_.offer(&refusal, sizeof refusal, kRing));
    expect_gives_up(code, "");
  }
}

// "No place in the handshake just now" may be said to an honest client; somebody who says it for ever holds nobody for
// ever.
TEST_F(HostileListener, AlwaysTooBusy) {
  Hello refusal = say(Hello::kOffer);
  refusal.code = RC_E_HANDSHAKE;
  ask(200 * kMs);
  do {
    if (rogue_.take_ask()) rogue_.offer(&refusal, sizeof refusal, kRing);
  } while (rogue_.take_client(1000));
  Outcome o = connecting_.get();
  EXPECT_TRUE(o.code == RC_E_TIMEOUT || o.code == RC_E_REFUSED) << rc_code_name(o.code);
}

TEST_F(HostileListener, RefusalWithoutAnEnd) {
  Hello refusal = say(Hello::kOffer);
  refusal.code = RC_E_SIZE;
  memset(refusal.text, 'x', sizeof refusal.text);
  ask();
  ASSERT_TRUE(rogue_.offer(&refusal, sizeof refusal, kRing));
  expect_gives_up(RC_E_NOT_RINGCHAN, "malformed");
}

// A reason ends up on terminals and in logs.
TEST_F(HostileListener, RefusalThatControlsTheTerminal) {
  Hello refusal = say(Hello::kOffer);
  refusal.code = RC_E_SIZE;
  strcpy(refusal.text, "red \x1b[31m, new line\n, bell \a, delete \x7f, format %s%n");
  ask();
  ASSERT_TRUE(rogue_.offer(&refusal, sizeof refusal, kRing));
  Outcome o = connecting_.get();
  EXPECT_EQ(o.code, RC_E_SIZE);
  for (char c : o.reason) EXPECT_TRUE(c >= 0x20 && c != 0x7f) << "byte " << int{c};
  EXPECT_NE(o.reason.find("format %s%n"), std::string::npos) << o.reason;
}

}  // namespace
}  // namespace hostile
