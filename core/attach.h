// A channel over memory that somebody else provides: the same ring, without a connection.
#ifndef CORE_ATTACH_H_
#define CORE_ATTACH_H_

#include <stddef.h>
#include <stdint.h>

#include "core/backend.h"

namespace rc {

struct AttachParams {
  void* tx;
  const void* rx;
  uint64_t bytes;  // of each
  uint32_t wait;
  int peer_fd;  // readable or hung up when the peer is gone; -1: none; borrowed
};

struct AttachedLink : Link {
  int peer_fd;
};

inline constexpr size_t kAttachBytesMin = kRingOffset + 1;

Code attach_link(const AttachParams& params, Link* link) noexcept;

}  // namespace rc

#endif  // CORE_ATTACH_H_
