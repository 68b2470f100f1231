// A client that says something wrong in the handshake.
#include <stddef.h>
#include <string.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "harness/hostile/hello_bits.h"
#include "harness/hostile/honest.h"

namespace hostile {
namespace {

using rc::Hello;

class HostileHello : public Attack {
 protected:
  // Asks like this, and is refused.
  void refused_ask(const Hello& ask, int32_t code, const std::string& word) {
    RawClient client(kRing);
    ASSERT_TRUE(client.dial(name_) && client.ask(ask));
    expect_refused(client, code, word);
  }
  // Asks without a fault, accepts like this, and is refused.
  void refused_accept(const Hello& accept, int32_t code, const std::string& word) {
    RawClient client(kRing);
    ASSERT_TRUE(begin(client) && client.accept(accept));
    expect_refused(client, code, word);
  }
  // Asks like this and gets in, with exact data.
  void allowed_ask(const Hello& ask) {
    RawClient client;
    Channel channel;
    ASSERT_TRUE(client.dial(name_) && client.ask(ask));
    EXPECT_RC(RC_E_WOULD_BLOCK, serve().code);
    ASSERT_TRUE(client.take_offer()) << client.reply.hello.text;
    finish(client, say(Hello::kAccept, client.end.ring_bytes));
  }
  void finish(RawClient& client, const Hello& accept) {
    ASSERT_TRUE(client.accept(accept));
    Outcome o = serve();
    ASSERT_RC(RC_OK, o.code) << o.reason;
    ASSERT_TRUE(client.take_go());
    expect_exact(o.channel, client.end);
  }
};

TEST_F(HostileHello, EveryBitOfTheAskFlipped) {
  const Hello good = say(Hello::kAsk, kRing);
  for (size_t bit = 0; bit < kHelloBits && !HasFailure(); ++bit) {
    SCOPED_TRACE(bit_name(bit));
    Hello bad = flipped(good, bit);
    int32_t expected = verdict_on_bit(bad, bit);
    if (BIT_OF(bit, ring_bytes) && bad.ring_bytes > kRingMax) expected = RC_E_SIZE;
    if (BIT_OF(bit, token)) expected = RC_E_NO_PERMISSION;
    if (expected == RC_OK) {
      allowed_ask(bad);
    } else {
      refused_ask(bad, expected, "");
    }
  }
}

TEST_F(HostileHello, EveryBitOfTheAcceptFlipped) {
  const Hello good = say(Hello::kAccept, kRing);
  for (size_t bit = 0; bit < kHelloBits && !HasFailure(); ++bit) {
    SCOPED_TRACE(bit_name(bit));
    Hello bad = flipped(good, bit);
    int32_t expected = verdict_on_bit(bad, bit);
    if (expected == RC_OK) {
      RawClient client(kRing);
      ASSERT_TRUE(begin(client));
      finish(client, bad);
    } else {
      refused_accept(bad, expected, "");
    }
  }
}

TEST_F(HostileHello, AskOfEveryLength) {
  const Hello good = say(Hello::kAsk, kRing);
  std::vector<uint8_t> bytes(100000, 0);
  memcpy(bytes.data(), &good, sizeof good);
  std::vector<size_t> lengths = {sizeof good + 1, sizeof good + 7, 2 * sizeof good, 4096, 65536, bytes.size()};
  for (size_t n = 1; n < sizeof good; ++n) lengths.push_back(n);
  for (size_t n : lengths) {
    SCOPED_TRACE(std::to_string(n) + " bytes");
    RawClient client;
    ASSERT_TRUE(client.dial(name_) && client.ask(bytes.data(), n));
    expect_refused(client, RC_E_NOT_RINGCHAN, "");
  }
}

TEST_F(HostileHello, AcceptOfEveryLength) {
  const Hello good = say(Hello::kAccept, kRing);
  std::vector<uint8_t> bytes(100000, 0);
  memcpy(bytes.data(), &good, sizeof good);
  std::vector<size_t> lengths = {sizeof good + 1, 2 * sizeof good, 65536, bytes.size()};
  for (size_t n = 1; n < sizeof good; ++n) lengths.push_back(n);
  for (size_t n : lengths) {
    SCOPED_TRACE(std::to_string(n) + " bytes");
    RawClient client(kRing);
    ASSERT_TRUE(begin(client) && client.accept(bytes.data(), n));
    expect_refused(client, RC_E_NOT_RINGCHAN, "");
  }
}

TEST_F(HostileHello, EmptyAskIsNoHello) {
  RawClient client;
  ASSERT_TRUE(client.dial(name_) && client.ask("", 0));
  EXPECT_RC(RC_E_WOULD_BLOCK, serve().code);
  EXPECT_NE(receive_packet(client.end.main.get()).bytes, -1) << "neither answered nor hung up on";
}

TEST_F(HostileHello, WrongMagic) {
  for (uint64_t magic : {uint64_t{0}, ~uint64_t{0}, rc::kHelloMagic + 1, __builtin_bswap64(rc::kHelloMagic)}) {
    Hello ask = say(Hello::kAsk, kRing);
    ask.magic = magic;
    refused_ask(ask, RC_E_NOT_RINGCHAN, "ringchan");
  }
}

TEST_F(HostileHello, VersionsOfOtherTimes) {
  for (uint32_t version : {rc::kWireVersion - 1, rc::kWireVersion + 1, uint32_t{0}, ~uint32_t{0}}) {
    Hello hello = say(Hello::kAsk, kRing);
    hello.version = version;
    refused_ask(hello, RC_E_VERSION, std::to_string(version));
    refused_ask(hello, RC_E_VERSION, std::to_string(rc::kWireVersion));
    hello.kind = Hello::kAccept;
    refused_accept(hello, RC_E_VERSION, std::to_string(version));
  }
}

// Another version's hello may have another size: it is told the version all the same.
TEST_F(HostileHello, LongerHelloOfAnotherVersion) {
  struct {
    Hello known;
    char more[200];
  } longer = {say(Hello::kAsk, kRing), {}};
  longer.known.version = rc::kWireVersion + 1;
  RawClient client;
  ASSERT_TRUE(client.dial(name_) && client.ask(&longer, sizeof longer));
  expect_refused(client, RC_E_VERSION, std::to_string(rc::kWireVersion + 1));
}

TEST_F(HostileHello, OtherLayout) {
  for (uint64_t layout : {uint64_t{0}, ~uint64_t{0}, rc::kLayoutHash + 1}) {
    Hello hello = say(Hello::kAsk, kRing);
    hello.layout = layout;
    refused_ask(hello, RC_E_LAYOUT, "layout");
    hello.kind = Hello::kAccept;
    refused_accept(hello, RC_E_LAYOUT, "layout");
  }
}

TEST_F(HostileHello, RingsOfEverySize) {
  for (uint64_t ring :
       {uint64_t{1}, uint64_t{2}, uint64_t{31}, uint64_t{3583}, uint64_t{3585}, kRingMax - 1, kRingMax}) {
    SCOPED_TRACE("ring of " + std::to_string(ring));
    allowed_ask(say(Hello::kAsk, ring));
  }
  allowed_ask(say(Hello::kAsk, 0));  // as the listener likes
  constexpr uint64_t kTop = std::numeric_limits<uint64_t>::max();
  for (uint64_t ring :
       {kRingMax + 1, uint64_t{1} << 32, (uint64_t{1} << 63) - 1, uint64_t{1} << 63, kTop - 4096, kTop - 511, kTop}) {
    SCOPED_TRACE("ring of " + std::to_string(ring));
    refused_ask(say(Hello::kAsk, ring), RC_E_SIZE, std::to_string(ring));
  }
}

TEST_F(HostileHello, StringsWithoutAnEnd) {
  for (Hello::Kind kind : {Hello::kAsk, Hello::kAccept}) {
    Hello bad[3] = {say(kind, kRing), say(kind, kRing), say(kind, kRing)};
    memset(bad[0].identity, 'i', sizeof bad[0].identity);
    memset(bad[1].token, 't', sizeof bad[1].token);
    memset(bad[2].text, 'x', sizeof bad[2].text);
    for (const Hello& hello : bad) {
      if (kind == Hello::kAsk) {
        refused_ask(hello, RC_E_NOT_RINGCHAN, "malformed");
      } else {
        refused_accept(hello, RC_E_NOT_RINGCHAN, "malformed");
      }
    }
  }
}

TEST_F(HostileHello, LongestIdentityIsToldExactly) {
  RawClient client(kRing);
  Hello ask = say(Hello::kAsk, kRing);
  memset(ask.identity, 'i', sizeof ask.identity - 1);
  ASSERT_TRUE(client.dial(name_) && client.ask(ask));
  EXPECT_RC(RC_E_WOULD_BLOCK, serve().code);
  ASSERT_TRUE(client.take_offer() && client.accept());
  Outcome o = serve();
  ASSERT_RC(RC_OK, o.code);
  rc_info info = {};
  info.size = sizeof info;
  EXPECT_RC(RC_OK, rc_channel_info(o.channel, &info));
  EXPECT_EQ(info.identity, std::string(63, 'i'));
}

TEST_F(HostileHello, WrongTokens) {
  Hello ask = say(Hello::kAsk, kRing);
  strcpy(ask.token, "guess");
  refused_ask(ask, RC_E_NO_PERMISSION, "token");  // this listener has none

  rc_channel_config config = {};
  config.size = sizeof config;
  config.token = "open sesame";
  open_honest(&config);
  std::string wrong[] = {"", "open", "open sesam", "open sesame!", "Open sesame", std::string(63, 'o')};
  for (const std::string& token : wrong) {
    Hello guess = say(Hello::kAsk, kRing);
    strcpy(guess.token, token.c_str());
    refused_ask(guess, RC_E_NO_PERMISSION, "token");
  }
  Hello behind = say(Hello::kAsk, kRing);  // right, with more behind its end
  strcpy(behind.token, config.token);
  behind.token[40] = 'x';
  refused_ask(behind, RC_E_NO_PERMISSION, "token");
  strcpy(ask.token, config.token);
  allowed_ask(ask);
  close_honest();  // the honest client of TearDown has no token
  open_honest(nullptr);
}

TEST_F(HostileHello, OutOfTurn) {
  for (uint32_t kind : {0u, 2u, 3u, 4u, 5u, ~0u}) {
    Hello ask = say(Hello::kAsk, kRing);
    ask.kind = kind;
    refused_ask(ask, RC_E_NOT_RINGCHAN, "turn");
    if (kind != Hello::kAccept) refused_accept(ask, RC_E_NOT_RINGCHAN, "turn");
  }
}

TEST_F(HostileHello, AskRepeatedInsteadOfAnAccept) {
  RawClient client(kRing);
  ASSERT_TRUE(begin(client) && client.ask());
  expect_refused(client, RC_E_NOT_RINGCHAN, "turn");
}

TEST_F(HostileHello, AcceptSentBeforeTheOffer) {
  RawClient client(kRing);
  client.end.ring_bytes = kRing;
  ASSERT_TRUE(client.dial(name_) && client.ask() && client.accept());
  Outcome o = serve();
  ASSERT_RC(RC_OK, o.code) << "early but right: nothing is lost by it";
  ASSERT_TRUE(client.take_offer() && client.take_go());
  expect_exact(o.channel, client.end);
}

TEST_F(HostileHello, HelloAfterTheHandshake) {
  RawClient client(kRing);
  Channel channel;
  ASSERT_TRUE(let_in(client, &channel));
  Hello again = say(Hello::kAsk, kRing);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(send_packet(client.end.main.get(), &again, sizeof again));
  char byte;
  EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_get(channel, &byte, 1, kShort, nullptr)));
  expect_exact(channel, client.end);
}

TEST_F(HostileHello, ClientThatRefuses) {
  for (int32_t code : {-1, -2, -105, -202, -309, 1, 2147483647, -2147483647 - 1}) {
    Hello hello = say(Hello::kAsk, kRing);
    hello.code = code;
    refused_ask(hello, RC_E_REFUSED, "");
    hello.kind = Hello::kAccept;
    refused_accept(hello, RC_E_REFUSED, "");
  }
}

TEST_F(HostileHello, RandomBytes) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 500 && !HasFailure(); ++i) {
    std::vector<uint8_t> bytes(1 + random() % 700);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
    RawClient client;
    ASSERT_TRUE(client.dial(name_) && client.ask(bytes.data(), bytes.size()));
    expect_refused(client, RC_E_NOT_RINGCHAN, "");
  }
}

}  // namespace
}  // namespace hostile
