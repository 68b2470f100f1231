#include "backends/rdma/parley.h"

#include <string.h>

#include "backends/rdma/knobs.h"
#include "backends/rdma/two_sided.h"

namespace rc {

Card make_card(Code code, uint32_t path, uint32_t mtu) noexcept {
  return {kHelloMagic, kWireVersion, code, kLayoutHash, mtu, path};
}

Code check_card(const void* data, size_t bytes, Card* card) noexcept {
  // The same checks in the same words as those of a hello.
  Hello h = {};
  *card = {};
  if (data != nullptr && bytes >= sizeof *card) memcpy(card, data, sizeof *card);
  h.magic = card->magic;
  h.version = card->version;
  h.layout = card->layout;
  h.kind = Hello::kAsk;
  Code code = check_hello(h, sizeof h, Hello::kAsk);
  if (code == kOk && !is_mtu(card->mtu)) code = fail(kNotRingchan, "the peer's MTU of %u bytes is none", card->mtu);
  if (code == kOk && card->path > kPathSend)
    code = fail(kNotRingchan, "the peer's path %u is none that this library knows", card->path);
  return code;
}

Code check_rdma_hello(const RdmaHello& h, size_t bytes, Hello::Kind kind) noexcept {
  size_t of_hello = bytes == sizeof h ? sizeof h.hello : bytes < sizeof h.hello ? bytes : sizeof h.hello - 1;
  Code code = check_hello(h.hello, of_hello, kind);
  if (code == kOk && h.receives > kReceiveDepthMost) {
    code = fail(kNotRingchan, "the peer claims to have posted %u receives, at most %u make sense", h.receives,
                kReceiveDepthMost);
  }
  return code;
}

Code check_inbox(const RdmaHello& h, uint64_t rings_bytes) noexcept {
  if (h.inbox == 0 || h.inbox % kLine != 0 || h.inbox > UINT64_MAX - kRingOffset - rings_bytes) {
    return fail(kNotRingchan, "the peer's inbox of %llu bytes cannot lie at %#llx",
                static_cast<unsigned long long>(kRingOffset + rings_bytes), static_cast<unsigned long long>(h.inbox));
  }
  return kOk;
}

Code check_slots(const RdmaHello& h) noexcept {
  if (h.receives >= kCellsLeast) return kOk;
  return fail(kNotRingchan, "the peer has posted %u slots for messages, %u is the least", h.receives, kCellsLeast);
}

}  // namespace rc
