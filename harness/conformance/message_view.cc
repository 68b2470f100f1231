// rc_message_view and rc_message_release: a whole message where it lies.
#include <string.h>

#include "harness/conformance/pair.h"

namespace conformance {
namespace {

constexpr size_t kHeader = 16;

Buffer joined(const rc_const_span spans[2]) {
  Buffer bytes(spans[0].bytes + spans[1].bytes);
  if (spans[0].bytes != 0) memcpy(bytes.data(), spans[0].data, spans[0].bytes);
  if (spans[1].bytes != 0) memcpy(bytes.data() + spans[0].bytes, spans[1].data, spans[1].bytes);
  return bytes;
}

}  // namespace

class MessageView : public Messages {
 protected:
  // The far end sends n bytes; they are seen in place, twice, and released.
  void expect_view(size_t n) {
    SCOPED_TRACE(n);
    far().start(Far::bytes(Op::kSend, n));
    rc_const_span spans[2];
    size_t size = 99;
    uint32_t has_imm = 9;
    ASSERT_RC(RC_OK, rc_message_view(ch_, spans, &size, nullptr, &has_imm, kPatience));
    EXPECT_EQ(n, size);
    EXPECT_EQ(0u, has_imm);
    ASSERT_EQ(n, spans[0].bytes + spans[1].bytes);
    const rc_const_span first[2] = {spans[0], spans[1]};
    EXPECT_RC(RC_OK, rc_message_view(ch_, spans, &size, nullptr, nullptr, 0));
    EXPECT_EQ(first[0].data, spans[0].data) << "the same again";
    EXPECT_EQ(n, size);
    EXPECT_TRUE(right(joined(spans), n));
    EXPECT_RC(RC_OK, rc_message_release(ch_));
    EXPECT_FAR(RC_OK, n, far().finish());
  }
};

TEST_P(MessageView, OfAnySizeThatTheRingHolds) {
  for (size_t n : {size_t{0}, size_t{1}, size_t{48}, kHalf - kHeader, kHalf, kCapacity - kHeader}) expect_view(n);
}

// The ring's end falls into the header, between header and body, and into the body.
TEST_P(MessageView, WhereverTheRingEnds) {
  bool two = false;
  for (int i = 0; i < 200; ++i) {
    size_t n = 21 + static_cast<size_t>(i) * 11 % 29;
    EXPECT_FAR(RC_OK, n, far().send(n));
    rc_const_span spans[2];
    size_t size = 0;
    ASSERT_RC(RC_OK, rc_message_view(ch_, spans, &size, nullptr, nullptr, kPatience));
    ASSERT_EQ(n, size);
    ASSERT_EQ(n, spans[0].bytes + spans[1].bytes);
    two |= spans[1].bytes != 0;
    ASSERT_TRUE(right(joined(spans), n)) << "message " << i;
    ASSERT_RC(RC_OK, rc_message_release(ch_));
  }
  EXPECT_TRUE(two);
}

TEST_P(MessageView, TellsTheImmediate) {
  Call send = Far::bytes(Op::kSend, 3);
  send.has_imm = 1;
  send.imm = 78;
  EXPECT_FAR(RC_OK, 3u, far().call(send));
  rc_const_span spans[2];
  size_t n = 0;
  uint32_t imm = 0, has_imm = 0;
  ASSERT_RC(RC_OK, rc_message_view(ch_, spans, &n, &imm, &has_imm, kPatience));
  EXPECT_EQ(1u, has_imm);
  EXPECT_EQ(78u, imm);
  EXPECT_RC(RC_OK, rc_message_release(ch_));
}

TEST_P(MessageView, LargerThanTheRingStaysForRecv) {
  for (size_t n : {kCapacity - kHeader + 1, 3 * kCapacity}) {
    SCOPED_TRACE(n);
    far().start(Far::bytes(Op::kSend, n));
    rc_const_span spans[2] = {{&spans, 1}, {&spans, 1}};
    size_t size = 0;
    EXPECT_RC_NAMES(RC_E_TRUNCATED, "rc_recv", rc_message_view(ch_, spans, &size, nullptr, nullptr, kPatience));
    EXPECT_EQ(n, size);
    EXPECT_EQ(nullptr, spans[0].data);
    EXPECT_RC(RC_E_STATE, rc_message_release(ch_));
    Buffer got(n);
    ASSERT_RC(RC_OK, rc_recv(ch_, got.data(), n, &size, nullptr, nullptr, kPatience));
    EXPECT_TRUE(right(got, n));
    EXPECT_FAR(RC_OK, n, far().finish());
  }
}

TEST_P(MessageView, NothingElseIsGotMeanwhile) {
  EXPECT_FAR(RC_OK, 10u, far().send(10));
  EXPECT_FAR(RC_OK, 5u, far().send(5));
  rc_const_span spans[2], more[2];
  size_t n = 0;
  uint8_t byte = 0;
  EXPECT_RC(RC_E_STATE, rc_message_release(ch_));
  ASSERT_RC(RC_OK, rc_message_view(ch_, spans, &n, nullptr, nullptr, kPatience));
  EXPECT_RC_NAMES(RC_E_STATE, "rc_message_release", rc_get(ch_, &byte, 1, 0, nullptr));
  EXPECT_RC(RC_E_STATE, rc_try_get(ch_, &byte, 1));
  EXPECT_RC(RC_E_STATE, rc_recv(ch_, &byte, 1, &n, nullptr, nullptr, 0));
  EXPECT_RC(RC_E_STATE, rc_peek(ch_, 1, 0, more));
  EXPECT_RC(RC_E_STATE, rc_release(ch_, 1));
  EXPECT_TRUE(right(joined(spans), 10));
  EXPECT_RC(RC_OK, rc_message_release(ch_));
  ASSERT_RC(RC_OK, rc_message_view(ch_, spans, &n, nullptr, nullptr, kPatience));
  EXPECT_EQ(5u, n);
  EXPECT_TRUE(right(joined(spans), 5));
  EXPECT_RC(RC_OK, rc_message_release(ch_));
  EXPECT_RC(RC_E_STATE, rc_message_release(ch_));
  EXPECT_RC(RC_E_WOULD_BLOCK, rc_message_view(ch_, spans, &n, nullptr, nullptr, 0));
  EXPECT_RC(RC_E_TIMEOUT, rc_message_view(ch_, spans, &n, nullptr, nullptr, kShort));
  EXPECT_RC(RC_E_INVALID, rc_message_view(ch_, nullptr, &n, nullptr, nullptr, 0));
  EXPECT_RC(RC_E_INVALID, rc_message_view(ch_, spans, nullptr, nullptr, nullptr, 0));
}

TEST_P(MessageView, TheLastOneIsSeenAfterTheClose) {
  EXPECT_FAR(RC_OK, 30u, far().send(30));
  settle();
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
  rc_const_span spans[2];
  size_t n = 0;
  ASSERT_RC(RC_OK, rc_message_view(ch_, spans, &n, nullptr, nullptr, kPatience));
  EXPECT_TRUE(right(joined(spans), 30));
  EXPECT_RC(RC_OK, rc_message_release(ch_));
  EXPECT_RC(RC_E_CLOSED, rc_message_view(ch_, spans, &n, nullptr, nullptr, kPatience));
}

RC_CONFORMANCE(MessageView);

}  // namespace conformance
