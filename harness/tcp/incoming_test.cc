// The payload of op frames goes from the socket straight to where it belongs, before the frame is published (O7): only
// where it may, and no longer than it may.
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "core/op_wire.h"
#include "harness/tcp/raw_tcp.h"

namespace raw_tcp {
namespace {

using rc::Frame;
using rc::OpFrame;

constexpr uint32_t kOpRing = 65536;
constexpr uint64_t kOpRingAt = rc::kRingOffset + rc::op_ring_at(kRing);
constexpr uint64_t kOpTail = offsetof(rc::Inbox, op_line) + 8;
constexpr uint64_t kBytes = 65536;
constexpr uint32_t kPayload = 16000;  // nearly what an op frame may have
constexpr uint32_t kHalf = 8000;
constexpr char kUntouched = 'u';

class Incoming : public Honest {
 protected:
  void SetUp() override {
    mr_bytes_ = 1 << 20;
    op_ring_ = kOpRing;
    Honest::SetUp();
    raw_ = meet(&ch_);
    ASSERT_RC(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &mr_));
    rc_region region = {};
    region.size = sizeof region;
    ASSERT_RC(RC_OK, rc_mr_info(mr_, &region));
    memory_ = static_cast<char*>(region.address);
    memset(memory_, kUntouched, kBytes);
    ASSERT_RC(RC_OK, rc_mr_grant(ch_, mr_, 0, kBytes / 2, RC_MR_WRITE, 0, &grant_));
    key_ = next(rc::kOpGrant).key;
  }
  void TearDown() override {
    EXPECT_RC(RC_OK, rc_channel_close(ch_));
    EXPECT_RC(RC_OK, rc_mr_free(mr_));
    raw_.close();
    Honest::TearDown();
  }

  // The next op frame of the honest end, which is to be of this type.
  OpFrame next(uint32_t type) {
    while (theirs_ == read_) {
      Frame f = {};
      std::string bytes;
      if (!raw_.receive(&f, sizeof f)) break;
      bytes.resize(f.bytes);
      if (f.bytes != 0 && !raw_.receive(bytes.data(), f.bytes)) break;
      if (f.offset == kOpTail) memcpy(&theirs_, bytes.data(), sizeof theirs_);
      if (f.offset >= kOpRingAt) bytes.copy(&ring_[f.offset - kOpRingAt], bytes.size());
    }
    OpFrame frame = {};
    memcpy(&frame, &ring_[read_ % kOpRing], sizeof frame);
    read_ += sizeof frame;
    EXPECT_EQ(type, frame.type);
    return frame;
  }
  int32_t result() {
    EXPECT_RC(RC_OK, rc_progress(ch_));
    return static_cast<int32_t>(next(rc::kOpDone).word);
  }

  OpFrame write(uint64_t offset, uint64_t total, uint64_t before, uint32_t bytes) const {
    OpFrame f = {};
    f.type = rc::kOpWrite;
    f.bytes = bytes;
    f.key = key_;
    f.offset = offset;
    f.value = total;
    f.compare = before;
    return f;
  }
  // WRITEs to the op ring, n bytes from `at` behind the newest tail on; `given` of them now.
  void put(uint64_t at, const std::string& bytes, size_t given) {
    uint64_t place = (tail_ + at) % kOpRing;
    uint32_t some = static_cast<uint32_t>(std::min<uint64_t>(bytes.size(), kOpRing - place));
    Frame frame = {Frame::kWrite, some, kOpRingAt + place};
    ASSERT_TRUE(raw_.send(frame));
    take();  // else the bytes come with the header, and into the ring
    ASSERT_TRUE(raw_.send(bytes.data(), std::min<size_t>(some, given)));
    take();
    if (given > some) put(at + some, bytes.substr(some), given - some);
  }
  void head(const OpFrame& f) { put(0, std::string(reinterpret_cast<const char*>(&f), sizeof f), sizeof f); }
  void payload(const std::string& bytes, size_t given) { put(sizeof(OpFrame), bytes, given); }
  void publish(uint32_t bytes) {
    tail_ += sizeof(OpFrame) + bytes;
    ASSERT_TRUE(raw_.write_word(kOpTail, tail_));
    take();
  }
  // What was sent has been received by the other end's kernel, which acknowledges, and then by the other end.
  void take() {
    int left = 1;
    auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kPatience);
    while (left != 0 && std::chrono::steady_clock::now() < end) ASSERT_EQ(0, ioctl(raw_.fd(), SIOCOUTQ, &left));
    ASSERT_EQ(0, left);
    rc_progress(ch_);
  }
  testing::AssertionResult holds(uint64_t from, uint64_t n, char byte) const {
    for (uint64_t i = from; i < from + n; ++i)
      if (memory_[i] != byte) return testing::AssertionFailure() << "at " << i << " is " << memory_[i];
    return testing::AssertionSuccess();
  }

  rc_channel ch_ = {0};
  rc_mr mr_ = {0};
  rc_grant grant_ = {0};
  rc::RemoteKey key_ = {};
  Socket raw_;
  char* memory_ = nullptr;
  uint64_t tail_ = 0;
  uint64_t theirs_ = 0, read_ = 0;
  std::string ring_ = std::string(kOpRing, '\0');
};

TEST_F(Incoming, ComesToItsPlaceBeforeItIsPublished) {
  head(write(100, kPayload, 0, kPayload));
  payload(std::string(kPayload, 'a'), kHalf);
  EXPECT_TRUE(holds(0, 100, kUntouched));
  EXPECT_TRUE(holds(100, kHalf, 'a'));
  EXPECT_TRUE(holds(100 + kHalf, kBytes - 100 - kHalf, kUntouched));
  ASSERT_TRUE(raw_.send(std::string(kPayload - kHalf, 'b').data(), kPayload - kHalf));
  publish(kPayload);
  EXPECT_EQ(RC_OK, result());
  EXPECT_TRUE(holds(100, kHalf, 'a'));
  EXPECT_TRUE(holds(100 + kHalf, kPayload - kHalf, 'b'));
  EXPECT_TRUE(holds(100 + kPayload, kBytes - 100 - kPayload, kUntouched));
}

// Also where the ring ends, with the beginning in the ring, a part in place and the end in the ring.
TEST_F(Incoming, EveryByteOfManyFramesIsRight) {
  for (uint32_t i = 0; i < 20; ++i) {
    std::string bytes(kPayload, '\0');
    for (uint32_t k = 0; k < kPayload; ++k) bytes[k] = static_cast<char>(k * 7 + k / 251 + i);
    uint64_t offset = 8 * i;
    head(write(offset, kPayload, 0, kPayload));
    uint32_t begin = 8 + i * 100;
    if ((tail_ + sizeof(OpFrame)) % kOpRing + kPayload <= kOpRing) {
      put(sizeof(OpFrame), bytes.substr(0, begin), begin);
      put(sizeof(OpFrame) + begin, bytes.substr(begin), kPayload - begin - i);
      ASSERT_TRUE(raw_.send(bytes.data() + kPayload - i, i));
    } else {
      payload(bytes, kPayload);
    }
    publish(kPayload);
    ASSERT_EQ(RC_OK, result());
    ASSERT_EQ(0, memcmp(bytes.data(), memory_ + offset, kPayload)) << i;
  }
}

TEST_F(Incoming, NothingComesOnceTheGrantIsRevoked) {
  head(write(0, kPayload, 0, kPayload));
  payload(std::string(kPayload, 'a'), kHalf);
  EXPECT_TRUE(holds(0, kHalf, 'a'));
  EXPECT_RC(RC_OK, rc_grant_revoke(grant_));
  memset(memory_, kUntouched, kBytes);  // the program's own again
  ASSERT_TRUE(raw_.send(std::string(kPayload - kHalf, 'b').data(), kPayload - kHalf));
  publish(kPayload);
  EXPECT_TRUE(holds(0, kBytes, kUntouched));
  next(rc::kOpRevoke);
  EXPECT_EQ(RC_E_REVOKED, result());
}

TEST_F(Incoming, WhatIsNotGrantedGoesNowhere) {
  OpFrame beyond = write(kBytes / 2 - 8, kPayload, 0, kPayload), forged = write(0, kPayload, 0, kPayload);
  forged.key.secret[1] ^= 1;
  struct {
    OpFrame frame;
    int32_t code;
  } const bad[] = {{beyond, RC_E_RANGE}, {forged, RC_E_REVOKED}};
  for (const auto& b : bad) {
    head(b.frame);
    payload(std::string(kPayload, 'x'), kPayload);
    EXPECT_TRUE(holds(0, kBytes, kUntouched));
    publish(kPayload);
    EXPECT_TRUE(holds(0, kBytes, kUntouched));
    EXPECT_EQ(b.code, result());
  }
}

// Of a header that says something else afterwards each piece is where it was allowed when it came, and nothing else is.
TEST_F(Incoming, AHeaderThatChangesOpensNothing) {
  head(write(0, kPayload, 0, kPayload));
  payload(std::string(kPayload, 'a'), kPayload);
  EXPECT_TRUE(holds(0, kPayload, 'a'));
  head(write(20000, 5000, 0, 5000));
  publish(5000);
  EXPECT_EQ(RC_OK, result());
  EXPECT_TRUE(holds(kPayload, kBytes - kPayload, kUntouched));
  head(write(20000, 5000, 0, 5000));  // and it is forgotten with its frame
  payload(std::string(5000, 'c'), 5000);
  publish(5000);
  EXPECT_EQ(RC_OK, result());
  EXPECT_TRUE(holds(20000, 5000, 'c'));
  EXPECT_TRUE(holds(25000, kBytes - 25000, kUntouched));
}

TEST_F(Incoming, WhatIsBehindThePayloadIsNotPartOfIt) {
  head(write(0, 6000, 0, 6000));
  put(sizeof(OpFrame), std::string(1000, 'a'), 1000);
  put(sizeof(OpFrame) + 1000, std::string(kPayload, 'a'), kPayload);
  EXPECT_TRUE(holds(1000, 5000, 'a'));
  EXPECT_TRUE(holds(6000, kBytes - 6000, kUntouched));
  publish(6000);
  EXPECT_EQ(RC_OK, result());
  EXPECT_TRUE(holds(0, 6000, 'a'));
}

// A region's memory must stay mapped. Where it is not, it is this end that is told, not the peer who is blamed.
TEST_F(Incoming, MemoryThatIsNotMappedIsSaidSo) {
  void* own = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(MAP_FAILED, own);
  rc_mr mr;
  rc_grant grant;
  ASSERT_RC(RC_OK, rc_mr_reg(ctx_, own, kBytes, RC_MR_WRITE, &mr));
  ASSERT_RC(RC_OK, rc_mr_grant(ch_, mr, 0, kBytes, RC_MR_WRITE, 0, &grant));
  key_ = next(rc::kOpGrant).key;
  head(write(0, kPayload, 0, kPayload));
  payload(std::string(kPayload, 'a'), kHalf);
  ASSERT_EQ(0, munmap(own, kBytes));
  ASSERT_TRUE(raw_.send(std::string(kPayload - kHalf, 'b').data(), kPayload - kHalf));
  take();
  EXPECT_RC(RC_E_SYSTEM, rc_progress(ch_));
  EXPECT_NE(nullptr, strstr(rc_reason(), "not mapped")) << rc_reason();
  EXPECT_RC(RC_OK, rc_grant_revoke(grant));
  EXPECT_RC(RC_OK, rc_mr_free(mr));
}

// Pieces too small to be worth it come through the ring, and so does all that is behind them.
TEST_F(Incoming, SmallPiecesBetweenAreNotForgotten) {
  head(write(0, kPayload, 0, kPayload));
  put(sizeof(OpFrame), std::string(kHalf, 'a'), kHalf);
  for (uint64_t at = kHalf; at < kHalf + 3000; at += 1000) put(sizeof(OpFrame) + at, std::string(1000, 'b'), 1000);
  put(sizeof(OpFrame) + kHalf + 3000, std::string(5000, 'c'), 5000);
  publish(kPayload);
  EXPECT_EQ(RC_OK, result());
  EXPECT_TRUE(holds(0, kHalf, 'a'));
  EXPECT_TRUE(holds(kHalf, 3000, 'b'));
  EXPECT_TRUE(holds(kHalf + 3000, 5000, 'c'));
}

// Frames before it may be about the same bytes.
TEST_F(Incoming, WaitsForTheFramesBefore) {
  OpFrame first = write(0, 64, 0, 64), second = write(0, kPayload, 0, kPayload);
  second.request = 1;
  head(first);
  put(sizeof first, std::string(64, '1'), 64);
  std::string both(reinterpret_cast<const char*>(&second), sizeof second);
  put(sizeof first + 64, both, both.size());
  put(2 * sizeof first + 64, std::string(kPayload, '2'), kPayload);
  EXPECT_TRUE(holds(0, kBytes, kUntouched));
  publish(64);
  publish(kPayload);
  EXPECT_EQ(RC_OK, result());
  EXPECT_EQ(RC_OK, result());
  EXPECT_TRUE(holds(0, kPayload, '2'));
}

TEST_F(Incoming, DeathInTheMiddleLosesOnlyThatWrite) {
  head(write(0, kPayload, 0, kPayload));
  payload(std::string(kPayload, 'a'), kHalf);
  raw_.close();
  char byte;
  EXPECT_RC(RC_E_PEER_DEAD, rc_get(ch_, &byte, 1, kPatience, nullptr));
  EXPECT_TRUE(holds(kHalf, kBytes - kHalf, kUntouched));
  EXPECT_RC(RC_OK, rc_mr_free(mr_));
  ASSERT_RC(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &mr_));
}

TEST_F(Incoming, AnswersToAReadComeToItsRegion) {
  OpFrame announce = {};
  announce.type = rc::kOpGrant;
  announce.key = {1 << 16, {1, 2}};
  announce.word = RC_MR_READ;
  announce.value = kBytes;
  announce.compare = INT64_C(60) * 1000 * kMs;
  head(announce);
  publish(0);
  rc_remote remote = {0};
  ASSERT_RC(RC_OK, rc_remote_get(ch_, kPatience, &remote));
  rc_request request = {0};
  ASSERT_RC(RC_OK, rc_read(mr_, 40000, remote, 0, kPayload, &request));
  OpFrame data = {};
  data.type = rc::kOpData;
  data.request = next(rc::kOpRead).request;
  data.bytes = kPayload;
  head(data);
  payload(std::string(kPayload, 'r'), kHalf);
  EXPECT_TRUE(holds(40000, kHalf, 'r'));
  EXPECT_TRUE(holds(40000 + kHalf, kBytes - 40000 - kHalf, kUntouched));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_request_test(request, nullptr));
  EXPECT_RC(RC_E_IN_USE, rc_mr_free(mr_));
  ASSERT_TRUE(raw_.send(std::string(kPayload - kHalf, 's').data(), kPayload - kHalf));
  publish(kPayload);
  EXPECT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
  EXPECT_TRUE(holds(40000 + kHalf, kPayload - kHalf, 's'));
  // Nobody reads any more: it is no answer, and goes nowhere.
  head(data);
  payload(std::string(kPayload, 'x'), kPayload);
  EXPECT_TRUE(holds(40000, kHalf, 'r'));
  EXPECT_TRUE(holds(0, 40000, kUntouched));
}

}  // namespace
}  // namespace raw_tcp
