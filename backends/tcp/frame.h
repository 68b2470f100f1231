// What goes over the socket after the handshake: frames, each a header and, behind a WRITE, its bytes (PROTOCOL.md
// "TCP"). Both machines have the same byte order: the magic of the hello says so.
#ifndef BACKENDS_TCP_FRAME_H_
#define BACKENDS_TCP_FRAME_H_

#include <stdint.h>

namespace rc {

struct Frame {
  enum Kind : uint32_t { kWrite = 1, kFlush = 2, kFlushed = 3, kWant = 4 };
  uint32_t kind;
  uint32_t bytes;   // that follow: of a WRITE; 0 else
  uint64_t offset;  // of a WRITE, from the start of the receiver's inbox; else the number of the flush
};
static_assert(sizeof(Frame) == 16);

}  // namespace rc

#endif  // BACKENDS_TCP_FRAME_H_
