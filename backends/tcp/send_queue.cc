#include "backends/tcp/send_queue.h"

#include <string.h>

namespace rc {

SendQueue::Slot* SendQueue::waiting(Frame::Kind kind, uint64_t offset) noexcept {
  for (uint32_t i = head_sent_ == 0 ? 0 : 1; i < count_; ++i) {
    Slot& slot = at(i);
    if (slot.frame.kind == kind && (kind != Frame::kWrite || slot.frame.offset == offset)) return &slot;
  }
  return nullptr;
}

void SendQueue::write(const WorkRequest& request) noexcept {
  bool credit = request.offset == offsetof(Inbox, credit) || request.offset == offsetof(Inbox, op_credit);
  Slot* slot = credit ? waiting(Frame::kWrite, request.offset) : nullptr;
  if (slot == nullptr) slot = &add();
  slot->frame = {Frame::kWrite, request.bytes, request.offset};
  slot->data = request.copy ? nullptr : request.local;
  if (request.copy) memcpy(slot->copied, request.local, request.bytes);
}

void SendQueue::control(Frame::Kind kind, uint64_t number) noexcept {
  Slot* slot = kind != Frame::kFlush ? waiting(kind, 0) : nullptr;
  if (slot == nullptr) slot = &add();
  slot->frame = {kind, 0, number};
  slot->data = nullptr;
}

int SendQueue::gather(iovec* pieces, size_t* bytes) const noexcept {
  int n = 0;
  size_t skip = head_sent_;
  *bytes = 0;
  auto add = [&](const void* data, size_t piece) noexcept {
    if (skip < piece) {
      pieces[n++] = {const_cast<uint8_t*>(static_cast<const uint8_t*>(data)) + skip, piece - skip};
      *bytes += piece - skip;
    }
    skip -= skip < piece ? skip : piece;
  };
  for (uint32_t i = 0; i < count_; ++i) {
    const Slot& slot = at(i);
    if (slot.data == nullptr) {
      add(&slot, sizeof slot.frame + slot.frame.bytes);
    } else {
      add(&slot, sizeof slot.frame);
      add(slot.data, slot.frame.bytes);
    }
  }
  return n;
}

void SendQueue::keep(uint8_t* outbox) noexcept {
  for (uint32_t i = 0; i < count_; ++i) {
    Slot& slot = at(i);
    uint8_t* place = outbox + slot.frame.offset;
    if (slot.data == nullptr || slot.data == place) continue;
    size_t gone = i == 0 && head_sent_ > sizeof slot.frame ? head_sent_ - sizeof slot.frame : 0;
    memcpy(place + gone, static_cast<const uint8_t*>(slot.data) + gone, slot.frame.bytes - gone);
    slot.data = place;
  }
}

void SendQueue::sent(size_t bytes) noexcept {
  head_sent_ += bytes;
  while (count_ != 0 && head_sent_ >= sizeof(Frame) + at(0).frame.bytes) {
    head_sent_ -= sizeof(Frame) + at(0).frame.bytes;
    head_ = (head_ + 1) % kSlots;
    --count_;
  }
}

}  // namespace rc
