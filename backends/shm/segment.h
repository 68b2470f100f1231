// One direction's memory file. Its writer makes, maps and seals it; its reader checks the seals and maps it read-only.
// After that nobody can truncate it, punch holes into it or map it for writing (PROTOCOL.md "Shared memory").
#ifndef BACKENDS_SHM_SEGMENT_H_
#define BACKENDS_SHM_SEGMENT_H_

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

#include "core/result.h"
#include "core/wire.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace rc {

// The number behind `key` in a small file of the kernel's, or UINT64_MAX.
uint64_t read_number(const char* path, const char* key) noexcept;

// What is really free: a memory file beyond it is not refused by the kernel but ends in an out-of-memory kill.
uint64_t room_bytes() noexcept;

// A memory file; `what` of so many `bytes`, and the advice, are for reasons.
struct FileWish {
  const char* what;
  uint64_t bytes;
  size_t file_bytes;
  const char* advice;
};
// Makes one with all its pages.
Code make_file(const FileWish& wish, int* fd) noexcept;
Code seal_file(int fd, int seals) noexcept;
// Whether fd, which is peer input, is a memory file with at least these seals, and so many bytes that all exist.
Code check_file(int fd, int wanted_seals, size_t bytes) noexcept;

// Bytes of a segment whose rings take so many (Link::both_rings).
size_t segment_bytes(uint64_t rings) noexcept;

// Makes one: *fd to be sent to the reader, *outbox mapped for writing.
Code make_segment(uint64_t rings, int* fd, Inbox** outbox) noexcept;

// Maps the peer's: fd is peer input, stays the caller's.
Code map_segment(int fd, uint64_t rings, const Inbox** inbox) noexcept;

void unmap_segment(const Inbox* inbox, uint64_t rings) noexcept;

}  // namespace rc

#endif  // BACKENDS_SHM_SEGMENT_H_
