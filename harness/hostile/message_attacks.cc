// An established peer whose messages are none.
#include <string.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "harness/hostile/honest.h"

namespace hostile {
namespace {

class HostileMessages : public Duel {
 protected:
  void put_header(uint64_t bytes, uint16_t flags = 0, uint16_t sequence = 0) {
    rc::MessageHeader header = {bytes, 0, flags, sequence};
    raw_.put(&header, sizeof header);
  }
  int32_t recv(size_t room, size_t* n) {
    buffer_.assign(room + 64, 'g');
    int32_t code = IN_TIME(rc_recv(honest_, buffer_.data(), room, n, nullptr, nullptr, kShort));
    EXPECT_EQ(std::string(buffer_.data() + room, 64), std::string(64, 'g')) << "wrote behind the buffer";
    return code;
  }
  std::vector<char> buffer_;
};

INSTANTIATE_DUEL(HostileMessages);

TEST_P(HostileMessages, HugeLength) {
  for (uint64_t bytes : {uint64_t{101}, uint64_t{kRing}, uint64_t{1} << 32, (uint64_t{1} << 63) - 1}) {
    put_header(bytes);
    size_t n = 0;
    for (int i = 0; i < 3; ++i) {
      EXPECT_RC(RC_E_TRUNCATED, recv(100, &n));
      EXPECT_EQ(n, bytes);
    }
    meet_again();
  }
}

TEST_P(HostileMessages, ImpossibleLength) {
  for (uint64_t bytes : {uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{0} - 15}) {
    put_header(bytes);
    size_t n = 0;
    EXPECT_RC(RC_E_CORRUPT, recv(100, &n));
    expect_over(RC_E_CORRUPT);
    meet_again();
  }
}

TEST_P(HostileMessages, WrongSequence) {
  for (uint16_t sequence : {1, 2, 0x8000, 0xffff}) {
    put_header(0, 0, sequence);
    size_t n = 0;
    EXPECT_RC(RC_E_CORRUPT, recv(100, &n));
    expect_over(RC_E_CORRUPT);
    meet_again();
  }
}

TEST_P(HostileMessages, SequenceRepeated) {
  size_t n = 0;
  put_header(0);
  EXPECT_RC(RC_OK, recv(100, &n));
  put_header(0);
  EXPECT_RC(RC_E_CORRUPT, recv(100, &n));
  expect_over(RC_E_CORRUPT);
}

TEST_P(HostileMessages, UnknownFlags) {
  for (int bit = 1; bit < 16; ++bit) {
    put_header(0, static_cast<uint16_t>(1 << bit));
    size_t n = 0;
    EXPECT_RC(RC_E_CORRUPT, recv(100, &n));
    expect_over(RC_E_CORRUPT);
    meet_again();
  }
}

TEST_P(HostileMessages, HeaderThatNeverEnds) {
  rc::MessageHeader header = {};
  raw_.put(&header, sizeof header - 1);
  size_t n = 1;
  for (int i = 0; i < 3; ++i) EXPECT_RC(RC_E_TIMEOUT, recv(100, &n));
  raw_.put(&header, 1);
  EXPECT_RC(RC_OK, recv(100, &n));
  EXPECT_EQ(n, 0u);
}

TEST_P(HostileMessages, BodyThatNeverComes) {
  put_header(50);
  size_t n = 0;
  for (int i = 0; i < 3; ++i) EXPECT_RC(RC_E_TIMEOUT, recv(100, &n));
  raw_.close();
  for (int i = 0; i < 3; ++i) EXPECT_RC(RC_E_CLOSED, recv(100, &n));
}

TEST_P(HostileMessages, LargeBodyThatStopsHalfWay) {
  put_header(2 * kRing);
  std::vector<char> half(kRing / 2, 'b');
  raw_.put(half.data(), half.size());
  size_t n = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_RC(RC_E_TIMEOUT, recv(2 * kRing, &n));
    EXPECT_EQ(n, 2 * kRing);
  }
  char byte;
  EXPECT_RC(RC_E_STATE, rc_get(honest_, &byte, 1, 0, nullptr));
}

// The header is changed all the time while messages are received: what was checked is what is used.
TEST_P(HostileMessages, HeaderChangesUnderneath) {
  std::atomic<bool> stop{false};
  rc::MessageHeader small = {8, 0, 0, 0}, large = {uint64_t{1} << 40, 0, 0, 0};
  std::atomic<uint64_t>* at = reinterpret_cast<std::atomic<uint64_t>*>(raw_.ring());
  char body[8] = {};
  raw_.put(&small, sizeof small);
  raw_.put(body, sizeof body);
  std::thread scribbler([&] {
    while (!stop.load()) {
      at->store(small.bytes, std::memory_order_relaxed);
      at->store(large.bytes, std::memory_order_relaxed);
    }
  });
  size_t n = 0;
  int32_t code;
  int turns = 0;
  while ((code = recv(100, &n)) == RC_E_TRUNCATED && ++turns < 100000) EXPECT_TRUE(n == large.bytes) << n;
  stop = true;
  scribbler.join();
  if (code == RC_E_TRUNCATED) code = (at->store(small.bytes), recv(100, &n));
  EXPECT_RC(RC_OK, code);
  EXPECT_EQ(n, sizeof body);
}

TEST_P(HostileMessages, RawBytesBetweenMessages) {
  size_t n = 0;
  put_header(0);
  raw_.put("sixteen raw byte", 16);
  EXPECT_RC(RC_OK, recv(100, &n));
  EXPECT_RC(RC_E_CORRUPT, recv(100, &n));
  expect_over(RC_E_CORRUPT);
}

}  // namespace
}  // namespace hostile
