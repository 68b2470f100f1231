// Payload of an op frame that goes straight to where it belongs, before the frame is published.
#include "core/ops_incoming.h"

#include "core/step.h"

namespace rc {

Ops::Incoming::Incoming(Ops* ops, size_t ring_at, size_t n) noexcept
    : ops_(ops != nullptr && ops->lock_.try_lock() ? ops : nullptr), bytes_(n) {
  if (ops_ == nullptr) return;
  RxRing<StdAtomics>& rx = ops->rx_;
  size_t head_at = rx.next(0).at;  // all before it has been executed
  size_t behind = ring_at >= head_at ? ring_at - head_at : ring_at + rx.capacity() - head_at;
  if (behind < sizeof(OpFrame)) return;
  from_ = behind - sizeof(OpFrame);
  if (ops->placed_to_ != 0 && ops->placed_to_ != from_) return;
  OpFrame header[2];                         // as in drain
  rx.copy_out(&header[0], sizeof(OpFrame));  // came before these bytes, or it is none: execute will say so
  place_ = ops->place_of(header[0], from_, &bytes_);
}

void Ops::Incoming::arrived(size_t n) noexcept {
  if (ops_->placed_to_ == 0) ops_->placed_from_ = from_;
  ops_->placed_to_ = from_ + n;
  RC_STEP("ops: payload in place");
}

uint8_t* Ops::place_of(const OpFrame& f, size_t from, size_t* n) noexcept {
  uint8_t* at = nullptr;
  uint64_t in_a_row = f.bytes;
  Grant* g = nullptr;
  if (from >= f.bytes || f.bytes > payload_max(rx_.capacity())) return nullptr;
  if (f.type == kOpData && fits_read(f)) {
    Gather::Part part = requests_[f.request].local.at(f.compare + from);
    at = part.at;
    in_a_row = part.bytes;
  } else if ((f.type == kOpWrite || f.type == kOpWriteImm) && fits_write(f)) {
    bool refused = f.compare != 0 && answers_[f.request].result != kOk;
    if (!refused && check(f.key, kWrite, f.offset, f.value, &g) == kOk) at = g->piece.at + f.offset + f.compare + from;
  }
  if (in_a_row > f.bytes - from) in_a_row = f.bytes - from;
  if (*n > in_a_row) *n = in_a_row;
  return at;
}

void Ops::copy_payload(uint8_t* to, size_t from, size_t n) noexcept {
  auto copy = [&](size_t begin, size_t end) noexcept {
    if (begin < end) rx_.copy_out(to + (begin - from), end - begin, sizeof(OpFrame) + begin);
  };
  size_t end = from + n;
  copy(from, end < placed_from_ ? end : placed_from_);
  copy(from > placed_to_ ? from : placed_to_, end);
}

}  // namespace rc
