// Messages: a header and a body in the byte stream (wire.h).
#include "core/channel.h"

namespace rc {
namespace {

constexpr size_t kHeaderBytes = sizeof(MessageHeader);

// Fewer than two headers of ring, and a header might never fit the half that a waiting get may leave unread.
Code check_ring(size_t capacity) noexcept {
  if (capacity >= 2 * kHeaderBytes) return kOk;
  return fail(kUnsupported, "messages need a ring of at least %zu bytes, this one has %zu", 2 * kHeaderBytes, capacity);
}

}  // namespace

Code Channel::send(const void* data, size_t n, const uint32_t* imm, int64_t timeout_ns, size_t* done) noexcept {
  *done = 0;
  Code code = check_ring(put_.ring.capacity());
  if (code == kOk) code = put_gate(kInMessage);
  if (code != kOk) return code;
  if (n > INT64_MAX) return fail(kSize, "send: %zu bytes are more than 2^63 - 1", n);
  bool resumed = put_.mode == kInMessage;
  if (resumed && n != put_.message_bytes) {
    return fail(kState, "send: a message of %llu bytes is half sent: repeat its rc_send first",
                static_cast<unsigned long long>(put_.message_bytes));
  }
  MessageHeader header = {n, imm != nullptr ? *imm : 0, imm != nullptr ? kMessageHasImm : uint16_t{0}, put_.sequence};
  size_t before = resumed ? put_.message_done : 0;  // bytes of header and body that are out already
  size_t header_at = before < kHeaderBytes ? before : kHeaderBytes;
  size_t body_at = before - header_at;
  ConstSpan spans[2] = {{reinterpret_cast<uint8_t*>(&header) + header_at, kHeaderBytes - header_at},
                        {static_cast<const uint8_t*>(data) + body_at, n - body_at}};
  size_t total = kHeaderBytes + n - before;
  size_t moved = 0;
  Wait wait(timeout_ns);
  code = stream_out(spans, total, total <= put_.ring.capacity() / 2 ? total : 1, true, wait, &moved);
  if (code == kOk) {
    put_.mode = kPlainPut;
    put_.sequence++;
    put_.sent.add(1);
    *done = n;
  } else if (before + moved != 0) {
    put_.mode = kInMessage;
    put_.message_bytes = n;
    put_.message_done = before + moved;
    *done = put_.message_done > kHeaderBytes ? put_.message_done - kHeaderBytes : 0;
  }
  allow_straight(kPutSide);
  return code;
}

Code Channel::wait_for_message(Wait& wait) noexcept {
  MessageHeader& header = get_.message;  // a private copy: checked, then used
  Code code = wait_for_bytes(kHeaderBytes, wait);
  if (code != kOk) return code;
  get_.ring.copy_out(&header, kHeaderBytes);
  if (header.sequence == get_.sequence && (header.flags & ~kMessageHasImm) == 0 && header.bytes <= INT64_MAX)
    return kOk;
  return corrupt("what arrived is no message header: the peer mixes raw puts with messages, or breaks the protocol");
}

Code Channel::recv(void* data, size_t capacity, size_t* n, uint32_t* imm, uint32_t* has_imm,
                   int64_t timeout_ns) noexcept {
  Code code = check_ring(get_.ring.capacity());
  if (code == kOk) code = get_gate(kInMessageGet);
  if (code != kOk) return code;
  Wait wait(timeout_ns);
  MessageHeader& header = get_.message;
  if (get_.mode == kPlainGet && (code = wait_for_message(wait)) != kOk) return code;
  *n = header.bytes;
  if (header.bytes > capacity) {
    return fail(kTruncated, "recv: the message has %llu bytes, the buffer %zu; it is still there",
                static_cast<unsigned long long>(header.bytes), capacity);
  }
  if (get_.mode == kPlainGet) {
    if (header.bytes <= get_.ring.capacity() / 2 - kHeaderBytes) {
      code = wait_for_bytes(kHeaderBytes + header.bytes, wait);
      if (code != kOk) return code;
    }
    get_.ring.consume(kHeaderBytes);
    get_.message_left = header.bytes;
    get_.mode = kInMessageGet;
  }
  Span rest = {static_cast<uint8_t*>(data) + (header.bytes - get_.message_left), get_.message_left};
  size_t moved = 0;
  code = stream_in(&rest, get_.message_left, false, wait, &moved);
  get_.message_left -= moved;
  allow_straight(kGetSide);
  if (code != kOk) return code;
  get_.mode = kPlainGet;
  allow_straight(kGetSide);
  get_.sequence++;
  get_.received.add(1);
  if (imm != nullptr) *imm = header.imm;
  if (has_imm != nullptr) *has_imm = (header.flags & kMessageHasImm) != 0;
  return kOk;
}

Code Channel::view(ConstSpan spans[2], size_t* n, uint32_t* imm, uint32_t* has_imm, int64_t timeout_ns) noexcept {
  Code code = check_ring(get_.ring.capacity());
  if (code == kOk) code = get_gate(kViewed);
  if (code != kOk) return code;
  Wait wait(timeout_ns);
  const MessageHeader& header = get_.message;
  if (get_.mode == kPlainGet && (code = wait_for_message(wait)) != kOk) return code;
  *n = header.bytes;
  if (header.bytes > get_.ring.capacity() - kHeaderBytes) {
    return fail(kTruncated, "the message has %llu bytes, in place at most %zu can be seen: rc_recv takes any size",
                static_cast<unsigned long long>(header.bytes), get_.ring.capacity() - kHeaderBytes);
  }
  if (get_.mode == kPlainGet && (code = wait_for_bytes(kHeaderBytes + header.bytes, wait)) != kOk) return code;
  get_.mode = kViewed;
  allow_straight(kGetSide);
  Spans s = get_.ring.next(kHeaderBytes + header.bytes);
  const uint8_t* ring = link_->inbox_ring();
  if (s.first >= kHeaderBytes) {
    spans[0] = {ring + s.at + kHeaderBytes, s.first - kHeaderBytes};
    spans[1] = {ring, s.second};
  } else {  // the end of the ring is in the header
    spans[0] = {ring + (kHeaderBytes - s.first), static_cast<size_t>(header.bytes)};
    spans[1] = {ring, 0};
  }
  if (imm != nullptr) *imm = header.imm;
  if (has_imm != nullptr) *has_imm = (header.flags & kMessageHasImm) != 0;
  return kOk;
}

Code Channel::end_view() noexcept {
  if (get_.mode != kViewed) return fail_plain(kState, "no message is in view: rc_message_view first");
  get_.mode = kPlainGet;
  allow_straight(kGetSide);
  get_.ring.consume(kHeaderBytes + get_.message.bytes);
  if (get_.ring.credit_due()) tell_credit();
  get_.sequence++;
  get_.received.add(1);
  return kOk;
}

}  // namespace rc
