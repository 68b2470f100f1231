// What a fake NIC does to operations: answers in another order, and requests that the owner will refuse. The frames are
// changed in the sender's outbox, which it does not read again.
#include <string.h>

#include "harness/fake/wire.h"

namespace rc::fake {
namespace {

// Says how an operation ended, and nothing else: it opens no grant.
bool is_answer(const OpFrame& frame) noexcept { return frame.type == kOpDone && frame.bytes == 0 && frame.key.id == 0; }

// Of a large write only its first piece: the owner then refuses the others, too.
bool is_operation(const OpFrame& frame) noexcept {
  bool write = frame.type == kOpWrite || frame.type == kOpWriteImm;
  return (write && frame.compare == 0) || frame.type == kOpRead || is_atomic(frame.type);
}

}  // namespace

void Wire::frame_at(uint64_t at, OpFrame* frame) const noexcept {
  const uint8_t* ring = outbox_ + kRingOffset + op_ring_at(ring_bytes_);
  auto* to = reinterpret_cast<uint8_t*>(frame);
  for (uint64_t i = 0; i < sizeof *frame; ++i) to[i] = ring[(at + i) % op_ring_bytes_];
}

void Wire::put_frame(uint64_t at, const OpFrame& frame) noexcept {
  uint8_t* ring = outbox_ + kRingOffset + op_ring_at(ring_bytes_);
  const auto* from = reinterpret_cast<const uint8_t*>(&frame);
  for (uint64_t i = 0; i < sizeof frame; ++i) ring[(at + i) % op_ring_bytes_] = from[i];
}

bool Wire::deny(OpFrame* frame) noexcept {
  if (!is_operation(*frame) || !random_.chance(profile_.deny)) return false;
  switch (random_.below(is_atomic(frame->type) ? 3 : 2)) {
    case 0:
      frame->key.secret[1] ^= 1;
      break;
    case 1:
      frame->offset = UINT64_MAX - random_.below(1000);
      break;
    default:
      frame->offset = 1 + 8 * random_.below(2);
  }
  note(&Trace::denied, kDenied, frame->type, frame->offset);
  return true;
}

void Wire::shuffle(const uint64_t* answers, uint32_t n) noexcept {
  for (uint32_t i = n; i > 1; --i) {
    uint64_t one = answers[i - 1], other = answers[random_.below(i)];
    OpFrame first, second;
    frame_at(one, &first);
    frame_at(other, &second);
    put_frame(one, second);
    put_frame(other, first);
    note(&Trace::shuffled, kShuffled, first.request, second.request);
  }
}

// A post of the op ring begins with a frame and ends with one. An announcement keeps its place among the answers: a
// slot that it gives again is free only once they are known.
void Wire::meddle(const WorkRequest* requests, uint32_t n) noexcept {
  uint64_t begin = kRingOffset + op_ring_at(ring_bytes_), all = 0;
  if (op_ring_bytes_ == 0 || requests[0].copy || requests[0].offset < begin || calm()) return;
  for (uint32_t i = 0; i < n; ++i) all += requests[i].copy ? 0 : requests[i].bytes;
  bool shuffles = random_.chance(profile_.shuffle);
  uint64_t answers[kAnswersMost];
  uint32_t count = 0;
  OpFrame frame;
  for (uint64_t at = requests[0].offset - begin, end = at + all; at < end; at += sizeof frame + padded(frame.bytes)) {
    frame_at(at, &frame);
    if (deny(&frame)) put_frame(at, frame);
    if (is_answer(frame) && count < kAnswersMost) {
      answers[count++] = at;
    } else {
      if (shuffles) shuffle(answers, count);
      count = 0;
    }
  }
  if (shuffles) shuffle(answers, count);
}

}  // namespace rc::fake
