// Payload of an op frame on its way, for a link that takes it from a socket (PROTOCOL.md O7).
#ifndef CORE_OPS_INCOMING_H_
#define CORE_OPS_INCOMING_H_

#include "core/ops.h"

namespace rc {

// The next frame's payload goes straight to where it belongs, past the op ring (O7). While this lives the lock is held,
// so nothing is revoked, and who takes bytes does not wait.
class Ops::Incoming {
 public:
  // For n bytes that are to come at ring_at, counted from the op ring's first byte; ops null: none of these.
  Incoming(Ops* ops, size_t ring_at, size_t n) noexcept;
  ~Incoming() {
    if (ops_ != nullptr) ops_->lock_.unlock();
  }
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  // null: they belong into the ring.
  uint8_t* place() const noexcept { return place_; }
  // So many of them belong there.
  size_t bytes() const noexcept { return bytes_; }
  // So many have come.
  void arrived(size_t n) noexcept;

 private:
  Ops* ops_;
  uint8_t* place_ = nullptr;
  size_t from_ = 0;
  size_t bytes_ = 0;
};

}  // namespace rc

#endif  // CORE_OPS_INCOMING_H_
