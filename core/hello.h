// What the two ends tell each other before there is a channel, and how it is judged. Fixed size, no pointers;
// everything in it is peer input.
#ifndef CORE_HELLO_H_
#define CORE_HELLO_H_

#include <stdint.h>

#include "core/backend.h"
#include "core/result.h"

namespace rc {

struct Hello {
  enum Kind : uint32_t { kAsk = 1, kOffer = 2, kAccept = 3, kGo = 4 };
  uint64_t magic;
  uint32_t version;  // kWireVersion of the speaker
  uint32_t kind;
  uint64_t layout;
  uint64_t ring_bytes;   // kAsk: wanted, 0 for any; later: agreed
  int32_t code;          // not kOk: the speaker refuses, and why
  uint32_t heavy_fence;  // 1: the speaker's process takes part in heavy_fence
  char identity[kIdentityBytes];
  char token[kTokenBytes];  // kAsk only
  // What the speaker's channel would have; the smaller of the two wishes is agreed (agree_on_ops). 0: no operations.
  uint32_t op_ring_bytes;
  uint32_t requests;
  char text[160];  // beside a refusal
};
static_assert(sizeof(Hello) == 336);

inline constexpr uint64_t kHelloMagic = 0x0031'6e61'6863'6372;  // "rcchan1"
inline constexpr int64_t kHandshakeNs = int64_t{5} * 1000 * 1000 * 1000;

Hello make_hello(Hello::Kind kind, const ChannelParams& params, uint64_t ring_bytes) noexcept;
// A refusal that carries the calling thread's reason.
Hello make_refusal(const ChannelParams& params, Code code) noexcept;

// Magic, version, layout, kind and strings. `bytes`: how many arrived.
Code check_hello(const Hello& hello, size_t bytes, Hello::Kind kind) noexcept;
// The listener's verdict on a kAsk that passed check_hello: token, its own judge, ring size.
Code judge_ask(const Hello& ask, const ChannelParams& mine, uint64_t* ring_bytes) noexcept;
// What both wishes come to: the op ring of the link, none if either end wants none.
void agree_on_ops(const Hello& theirs, const ChannelParams& mine, Agreed* agreed) noexcept;
// Turns a peer's refusal into this end's result.
Code refused(const Hello& hello) noexcept;

}  // namespace rc

#endif  // CORE_HELLO_H_
