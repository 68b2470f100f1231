// Peers that break the protocol of tcp: each is told so, or ended with the exact code, and the listener goes on.
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "harness/tcp/raw_tcp.h"

namespace raw_tcp {
namespace {

using rc::Frame;
using rc::Hello;

class Frames : public Honest {
 protected:
  void SetUp() override {
    Honest::SetUp();
    raw_ = meet(&ch_);
  }
  void TearDown() override {
    EXPECT_RC(RC_OK, rc_channel_close(ch_));
    raw_.close();
    Honest::TearDown();
  }
  void again() {
    EXPECT_RC(RC_OK, rc_channel_close(ch_));
    raw_ = meet(&ch_);
  }
  // This code from now on, with a reason that has this word.
  void expect_over(int32_t code, const std::string& word) {
    char byte;
    EXPECT_RC(code, rc_get(ch_, &byte, 1, kPatience, nullptr));
    EXPECT_NE(std::string::npos, std::string(rc_reason()).find(word)) << rc_reason();
    EXPECT_RC(code, rc_put(ch_, "x", 1, kPatience, nullptr));
    EXPECT_RC(code, rc_get(ch_, &byte, 1, 0, nullptr));
  }
  // The header of a WRITE that must not be obeyed.
  void expect_corrupt(const Frame& frame, const std::string& word) {
    SCOPED_TRACE(testing::Message() << "kind " << frame.kind << " bytes " << frame.bytes << " offset " << frame.offset);
    uint64_t bytes[2] = {0x5a5a5a5a5a5a5a5a, 0x5a5a5a5a5a5a5a5a};
    std::vector<char> all(sizeof frame + sizeof bytes);
    memcpy(all.data(), &frame, sizeof frame);
    memcpy(all.data() + sizeof frame, bytes, sizeof bytes);
    ASSERT_TRUE(raw_.send(all.data(), all.size()));
    expect_over(RC_E_CORRUPT, word);
    again();
  }

  rc_channel ch_ = {0};
  Socket raw_;
  std::atomic<bool> flooded_{false};
};

TEST_F(Frames, GoodOnesBringBytes) {
  ASSERT_TRUE(raw_.write(rc::kRingOffset, "abc", 3));
  ASSERT_TRUE(raw_.write_word(kTail, 3));
  char text[4] = "";
  EXPECT_RC(RC_OK, rc_get(ch_, text, 3, kPatience, nullptr));
  EXPECT_STREQ("abc", text);
  EXPECT_RC(RC_OK, rc_put(ch_, "def", 3, kPatience, nullptr));
  struct {
    Frame frame;
    char bytes[3];
  } __attribute__((packed)) first;
  Frame second;
  uint64_t tail = 0;
  ASSERT_TRUE(raw_.receive(&first, sizeof first) && raw_.receive(&second, sizeof second));
  // The credit of the three bytes may come before or behind.
  EXPECT_EQ(rc::kRingOffset, first.frame.offset);
  EXPECT_EQ(0, memcmp("def", first.bytes, 3));
  EXPECT_EQ(kTail, second.offset);
  ASSERT_TRUE(raw_.receive(&tail, sizeof tail));
  EXPECT_EQ(3u, tail);
}

TEST_F(Frames, ByteByByteIsTheSame) {
  std::vector<char> all;
  auto add = [&](const void* p, size_t n) {
    all.insert(all.end(), static_cast<const char*>(p), static_cast<const char*>(p) + n);
  };
  Frame bytes = {Frame::kWrite, 5, rc::kRingOffset}, word = {Frame::kWrite, 8, kTail};
  uint64_t tail = 5;
  add(&bytes, sizeof bytes);
  add("12345", 5);
  add(&word, sizeof word);
  add(&tail, sizeof tail);
  char got[6] = "";
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(ch_, got, 1)) << "after " << i << " bytes";
    ASSERT_TRUE(raw_.send(&all[i], 1));
  }
  EXPECT_RC(RC_OK, rc_get(ch_, got, 5, kPatience, nullptr));
  EXPECT_STREQ("12345", got);
}

TEST_F(Frames, TruncatedAtAnyByteIsADeathAndBringsNothing) {
  struct {
    Frame bytes;
    char text[8];
    Frame word;
    uint64_t tail;
  } all = {{Frame::kWrite, 8, rc::kRingOffset}, {}, {Frame::kWrite, 8, kTail}, 8};
  for (size_t n = 0; n < sizeof all; ++n) {
    SCOPED_TRACE(n);
    ASSERT_TRUE(raw_.send(&all, n));
    raw_.close();
    expect_over(RC_E_PEER_DEAD, "died");
    again();
  }
}

TEST_F(Frames, OutsideOfTheRing) {
  const uint64_t end = rc::kRingOffset + kRing;
  for (const Frame& f : {Frame{Frame::kWrite, 1, end}, Frame{Frame::kWrite, 2, end - 1},
                         Frame{Frame::kWrite, uint32_t{kRing} + 1, rc::kRingOffset},
                         Frame{Frame::kWrite, UINT32_MAX, rc::kRingOffset}, Frame{Frame::kWrite, UINT32_MAX, end - 1},
                         Frame{Frame::kWrite, 8, UINT64_MAX}, Frame{Frame::kWrite, 8, UINT64_MAX - 7},
                         Frame{Frame::kWrite, 8, uint64_t{1} << 63}, Frame{Frame::kWrite, 0, rc::kRingOffset}}) {
    expect_corrupt(f, "outside");
  }
}

TEST_F(Frames, IntoTheHead) {
  for (uint64_t offset = 0; offset < rc::kRingOffset; ++offset) {
    if (offset == kTail || offset == kCredit || offset == kGetter) continue;
    if (offset > 300 && offset % 8 != 0 && offset < rc::kRingOffset - 16) continue;
    expect_corrupt({Frame::kWrite, 8, offset}, "no word");
  }
  for (uint64_t offset : {kTail, kCredit, kGetter}) {
    for (uint32_t bytes : {0u, 1u, 4u, 7u, 9u, 16u, 4096u, UINT32_MAX}) {
      expect_corrupt({Frame::kWrite, bytes, offset}, "one word");
    }
  }
}

TEST_F(Frames, OfNoKind) {
  for (uint32_t kind : {0u, 5u, 6u, 255u, 256u, 0x01000000u, UINT32_MAX}) expect_corrupt({kind, 8, kTail}, "kind");
}

TEST_F(Frames, FlushesOutOfTurn) {
  for (uint64_t number : {uint64_t{0}, uint64_t{2}, UINT64_MAX}) {
    expect_corrupt({Frame::kFlush, 0, number}, "order");
    expect_corrupt({Frame::kFlushed, 0, number}, "not asked");
  }
  expect_corrupt({Frame::kFlushed, 0, 1}, "not asked");
  expect_corrupt({Frame::kFlush, 1, 1}, "has bytes");
  expect_corrupt({Frame::kFlushed, 1, 1}, "has bytes");
  expect_corrupt({Frame::kWant, 1, 0}, "has bytes");
  expect_corrupt({Frame::kWant, 0, 1}, "number");
}

// A get that comes up short holds its small credit back for the next put; a peer whose put lacks room gets it.
TEST_F(Frames, HeldCreditComesWhenItIsWanted) {
  ASSERT_TRUE(raw_.write(rc::kRingOffset, "abc", 3));
  ASSERT_TRUE(raw_.write_word(kTail, 3));
  char text[4];
  EXPECT_RC(RC_OK, rc_get(ch_, text, 3, kPatience, nullptr));
  EXPECT_RC(RC_E_TIMEOUT, rc_get(ch_, text, 1, kShort, nullptr));
  char byte;
  EXPECT_EQ(-1, recv(raw_.fd(), &byte, 1, MSG_DONTWAIT)) << "it was not held back";
  ASSERT_TRUE(raw_.send(Frame{Frame::kWant, 0, 0}));
  std::thread getting([&] { EXPECT_RC(RC_E_TIMEOUT, rc_get(ch_, text, 1, 10 * kShort, nullptr)); });
  struct {
    Frame frame;
    uint64_t word;
  } credit = {};
  EXPECT_TRUE(raw_.receive(&credit, sizeof credit));
  EXPECT_EQ(kCredit, credit.frame.offset);
  EXPECT_EQ(3u, credit.word);
  getting.join();
}

TEST_F(Frames, FlushIsAnswered) {
  for (uint64_t number = 1; number <= 3; ++number) {
    ASSERT_TRUE(raw_.send(Frame{Frame::kFlush, 0, number}));
    size_t readable = 0;
    EXPECT_RC(RC_E_WOULD_BLOCK, rc_try_get(ch_, &readable, 1));
    Frame answer = {};
    ASSERT_TRUE(raw_.receive(&answer, sizeof answer));
    EXPECT_EQ(uint32_t{Frame::kFlushed}, answer.kind);
    EXPECT_EQ(number, answer.offset);
  }
}

TEST_F(Frames, WordsThatCannotBe) {
  char byte;
  for (uint64_t tail : {kRing + 1, uint64_t{1} << 40, UINT64_MAX}) {
    ASSERT_TRUE(raw_.write_word(kTail, tail));
    EXPECT_RC(RC_E_CORRUPT, rc_get(ch_, &byte, 1, kPatience, nullptr));
    again();
  }
  for (uint64_t credit : {kRing + 1, uint64_t{1} << 40, UINT64_MAX}) {
    ASSERT_TRUE(raw_.write_word(kCredit, credit));
    std::vector<char> more(2 * kRing);
    EXPECT_RC(RC_E_CORRUPT, rc_put(ch_, more.data(), more.size(), kPatience, nullptr));
    again();
  }
}

// Frames that are all right but bring nothing, faster than anybody could use them: calls keep their deadlines.
TEST_F(Frames, FloodKeepsNobodyBeyondHisDeadline) {
  std::vector<Frame> flood(1000);
  auto flooding = std::async(std::launch::async, [&] {
    uint64_t number = 0;
    for (int i = 0; i < 300; ++i) {
      for (Frame& f : flood) f = {Frame::kFlush, 0, ++number};
      if (::send(raw_.fd(), flood.data(), flood.size() * sizeof(Frame), MSG_NOSIGNAL | MSG_DONTWAIT) <= 0) {
        char answers[4096];
        recv(raw_.fd(), answers, sizeof answers, MSG_DONTWAIT);
        --i;
        number -= flood.size();
        if (flooded_) return;
      }
    }
  });
  char byte;
  for (int i = 0; i < 20; ++i) {
    int32_t code = rc_get(ch_, &byte, 1, kShort, nullptr);
    EXPECT_TRUE(code == RC_E_TIMEOUT || code == RC_E_CORRUPT) << rc_code_name(code);
  }
  flooded_ = true;
  raw_.reset();
  flooding.get();
}

TEST_F(Frames, RandomBytesEndTheChannel) {
  for (int i = 0; i < 200; ++i) {
    std::vector<char> noise(1 + static_cast<size_t>(i) * 7);
    ASSERT_EQ(static_cast<ssize_t>(noise.size()), getrandom(noise.data(), noise.size(), 0));
    raw_.send(noise.data(), noise.size());
    raw_.close();
    char byte;
    int32_t code = rc_get(ch_, &byte, 1, kPatience, nullptr);
    EXPECT_TRUE(code == RC_E_CORRUPT || code == RC_E_PEER_DEAD) << rc_code_name(code);
    again();
  }
}

TEST_F(Frames, WhatCameBeforeAResetIsDelivered) {
  ASSERT_TRUE(raw_.write(rc::kRingOffset, "abc", 3) && raw_.write_word(kTail, 3));
  raw_.reset();
  char text[4] = "";
  size_t done = 0;
  int32_t code = rc_get(ch_, text, 4, kPatience, &done);
  EXPECT_RC(RC_E_PEER_DEAD, code);
  EXPECT_EQ(3u, done);
}

TEST_F(Frames, LastWordMakesItAClose) {
  ASSERT_TRUE(raw_.write(rc::kRingOffset, "abc", 3) && raw_.write_word(kTail, 3) &&
              raw_.write_word(kGetter, rc::kClosedBit));
  raw_.reset();
  char text[4] = "";
  size_t done = 0;
  EXPECT_RC(RC_E_CLOSED, rc_get(ch_, text, 4, kPatience, &done));
  EXPECT_EQ(3u, done);
}

using Hellos = Honest;

TEST_F(Hellos, WrongOnesAreRefusedByName) {
  struct Case {
    int32_t code;
    void (*spoil)(Hello&);
  };
  for (const Case& c : std::vector<Case>{
           {RC_E_NOT_RINGCHAN, [](Hello& h) { h.magic = __builtin_bswap64(h.magic); }},
           {RC_E_VERSION, [](Hello& h) { ++h.version; }},
           {RC_E_LAYOUT, [](Hello& h) { h.layout ^= 1; }},
           {RC_E_NOT_RINGCHAN, [](Hello& h) { h.kind = Hello::kGo; }},
           {RC_E_NOT_RINGCHAN, [](Hello& h) { h.heavy_fence = 2; }},
           {RC_E_NOT_RINGCHAN, [](Hello& h) { memset(h.identity, 'x', sizeof h.identity); }},
           {RC_E_NO_PERMISSION, [](Hello& h) { strcpy(h.token, "guess"); }},
           {RC_E_SIZE, [](Hello& h) { h.ring_bytes = 65537; }},
           {RC_E_SIZE, [](Hello& h) { h.ring_bytes = UINT64_MAX; }},
       }) {
    Hello ask = say(Hello::kAsk);
    c.spoil(ask);
    SCOPED_TRACE(c.code);
    expect_refused(&ask, sizeof ask, c.code);
  }
}

TEST_F(Hellos, OtherProtocolsAreRefusedAtOnce) {
  for (const std::string& text :
       {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string("SSH-2.0-x\r\n"), std::string(4000, 'z')}) {
    expect_refused(text.data(), text.size(), RC_E_NOT_RINGCHAN);
  }
}

// As many clients that say nothing, or half a hello, as there are places and more: an honest one is served.
TEST_F(Hellos, CrowdOfHalfOpenClientsKeepsNobodyOut) {
  std::vector<Socket> crowd;
  Hello ask = say(Hello::kAsk);
  for (size_t i = 0; i < 40; ++i) {
    crowd.push_back(Socket::connect_to(port_));
    if (i % 2 == 0) continue;
    ASSERT_TRUE(crowd.back().send(&ask, i * 8));
  }
  expect_serves();
}

TEST_F(Hellos, ListenerThatIsNoneIsNamed) {
  uint16_t port = 0;
  Socket listener = Socket::listen_at(&port);
  for (const char* answer : {"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "220"}) {
    SCOPED_TRACE(answer);
    auto serving = std::async(std::launch::async, [&] {
      Socket client = listener.accept();
      Hello ask;
      EXPECT_TRUE(client.receive(&ask, sizeof ask));
      client.send(answer, strlen(answer));
    });
    rc_channel none = {0};
    std::string uri = "tcp://127.0.0.1:" + std::to_string(port);
    EXPECT_RC(RC_E_NOT_RINGCHAN, rc_connect(ctx_, uri.c_str(), nullptr, kPatience, &none));
    serving.get();
  }
}

}  // namespace
}  // namespace raw_tcp
