// One direction's memory file. Its writer makes, maps and seals it; its reader checks the seals and maps it read-only.
// After that nobody can truncate it, punch holes into it or map it for writing (PROTOCOL.md "Shared memory").
#ifndef BACKENDS_SHM_SEGMENT_H_
#define BACKENDS_SHM_SEGMENT_H_

#include <stddef.h>
#include <stdint.h>

#include "core/result.h"
#include "core/wire.h"

namespace rc {

// Bytes of a segment whose rings take so many (Link::both_rings).
size_t segment_bytes(uint64_t rings) noexcept;

// Makes one: *fd to be sent to the reader, *outbox mapped for writing.
Code make_segment(uint64_t rings, int* fd, Inbox** outbox) noexcept;

// Maps the peer's: fd is peer input, stays the caller's.
Code map_segment(int fd, uint64_t rings, const Inbox** inbox) noexcept;

void unmap_segment(const Inbox* inbox, uint64_t rings) noexcept;

}  // namespace rc

#endif  // BACKENDS_SHM_SEGMENT_H_
