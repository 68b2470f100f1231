// What an RDMA peer says in the handshake is hostile input. Needs no RDMA.
#include "backends/rdma/parley.h"

#include <gtest/gtest.h>
#include <string.h>

#include "backends/rdma/knobs.h"

namespace {

rc::RdmaHello offer() {
  rc::ChannelParams params = {};
  rc::RdmaHello h = {};
  h.hello = rc::make_hello(rc::Hello::kOffer, params, 4096);
  h.inbox = 0x7f0000001000;
  h.rkey = 7;
  return h;
}

// A reason goes with every refusal.
rc::Code checked(const rc::RdmaHello& h, size_t bytes = sizeof(rc::RdmaHello)) {
  rc::fail_plain(rc::kOk, "");
  rc::Code code = rc::check_rdma_hello(h, bytes, rc::Hello::kOffer);
  EXPECT_EQ(code == rc::kOk, rc::reason()[0] == '\0');
  return code;
}

}  // namespace

// There are two paths, and which one it has to be is the listener's to know.
TEST(RdmaCard, EveryFlippedBitIsRefusedButThoseOfTheCodeAndThePath) {
  rc::Card card = rc::make_card(rc::kOk, rc::kPathWrite), got;
  EXPECT_EQ(rc::kOk, rc::check_card(&card, sizeof card, &got));
  for (size_t bit = 0; bit < 8 * sizeof card; ++bit) {
    rc::Card flipped = card;
    reinterpret_cast<uint8_t*>(&flipped)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    bool of_code = bit / 8 >= offsetof(rc::Card, code) && bit / 8 < offsetof(rc::Card, code) + sizeof card.code;
    bool of_path = bit == 8 * offsetof(rc::Card, path);
    EXPECT_EQ(of_code || of_path, rc::check_card(&flipped, sizeof flipped, &got) == rc::kOk) << bit;
  }
}

TEST(RdmaCard, ShortOnesAreNoRingchan) {
  rc::Card card = rc::make_card(rc::kOk, rc::kPathWrite), got;
  for (size_t n = 0; n < sizeof card; ++n) EXPECT_EQ(rc::kNotRingchan, rc::check_card(&card, n, &got)) << n;
  EXPECT_EQ(rc::kNotRingchan, rc::check_card(nullptr, 0, &got));
  uint8_t padded[56] = {};  // what rdma_cm delivers
  memcpy(padded, &card, sizeof card);
  EXPECT_EQ(rc::kOk, rc::check_card(padded, sizeof padded, &got));
}

TEST(RdmaHello, AnyOtherLengthIsRefused) {
  rc::RdmaHello h = offer();
  EXPECT_EQ(rc::kOk, checked(h));
  for (size_t n = 0; n < 2 * sizeof h; ++n) {
    EXPECT_EQ(n == sizeof h ? rc::kOk : rc::kNotRingchan, checked(h, n)) << n;
  }
}

TEST(RdmaHello, VersionAndLayoutAreNamed) {
  rc::RdmaHello h = offer();
  h.hello.version = 99;
  EXPECT_EQ(rc::kVersion, checked(h));
  EXPECT_NE(nullptr, strstr(rc::reason(), "99"));
  h = offer();
  h.hello.layout ^= 1;
  EXPECT_EQ(rc::kLayout, checked(h));
}

TEST(RdmaHello, SenselessReceivesAreRefused) {
  rc::RdmaHello h = offer();
  h.receives = rc::kReceiveDepthMost;
  EXPECT_EQ(rc::kOk, checked(h));
  h.receives = rc::kReceiveDepthMost + 1;
  EXPECT_EQ(rc::kNotRingchan, checked(h));
}

TEST(RdmaHello, InboxMustFitTheAddressSpace) {
  rc::RdmaHello h = offer();
  EXPECT_EQ(rc::kOk, rc::check_inbox(h, 4096));
  for (uint64_t at : {uint64_t{0}, uint64_t{0x7f0000001001}, UINT64_MAX - 63, UINT64_MAX - 4096}) {
    h.inbox = at;
    EXPECT_EQ(rc::kNotRingchan, rc::check_inbox(h, 4096)) << at;
  }
  h.inbox = UINT64_MAX - 63 - rc::kRingOffset - 4096;
  EXPECT_EQ(rc::kOk, rc::check_inbox(h, 4096));
}
