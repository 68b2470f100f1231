// Raw endpoints: queue pairs for programs that know nothing of ringchan. What a backend has for them is one table.
#ifndef CORE_RAW_H_
#define CORE_RAW_H_

#include <stddef.h>
#include <stdint.h>

#include "core/deadline.h"
#include "core/result.h"

namespace rc {

class Context;
struct ListenPoint;

// Where packets to a queue pair go.
struct RawAddress {
  uint32_t qp_num;
  uint32_t psn;
  uint32_t lid;
  uint32_t mtu;  // bytes
  uint8_t gid[16];
};

struct RawRequest {
  bool sends;  // else it receives
  bool has_imm;
  uint32_t imm;
  uint64_t region;  // unused if there are no bytes
  uint64_t offset;
  uint64_t bytes;
  uint64_t tag;
};

struct RawCompletion {
  uint64_t tag;
  uint32_t bytes;
  Code code;
  const char* why;  // static; null: code is kOk
  bool sent;        // else received
  bool has_imm;
  uint32_t imm;
};

// A raw endpoint is made like a listener, and unlisten ends it with all that is under way. Any thread may be in post
// and connect, one in poll.
struct RawTable {
  Code (*open)(Context&, ListenPoint*, RawAddress* own) noexcept;
  Code (*connect)(ListenPoint*, const RawAddress& peer) noexcept;
  // Keeps the region until the request is over.
  Code (*post)(Context&, ListenPoint*, const RawRequest&) noexcept;
  // Waits for at least one completion; ends at the deadline, at context.stop() and when the point closes.
  Code (*poll)(Context&, ListenPoint*, RawCompletion* to, uint32_t capacity, uint32_t* count, Deadline) noexcept;
  // That region is no more: the device lets go of it, too.
  void (*forget)(ListenPoint*, uint64_t region) noexcept;
};
// For a backend that has none: open says so.
extern const RawTable kNoRaw;

}  // namespace rc

#endif  // CORE_RAW_H_
