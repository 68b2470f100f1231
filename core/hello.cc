#include "core/hello.h"

#include <string.h>

#include "core/fence.h"

namespace rc {
namespace {

bool ends(const char* text, size_t bytes) noexcept { return memchr(text, '\0', bytes) != nullptr; }

// Looks at every byte, so that the time taken tells nothing.
bool same_token(const char* a, const char* b) noexcept {
  unsigned differ = 0;
  for (size_t i = 0; i < kTokenBytes; ++i) differ |= static_cast<unsigned>(a[i] ^ b[i]);
  return differ == 0;
}

// Codes that a refusal may carry; anything else from a peer becomes kRefused.
bool may_refuse_with(int32_t code) noexcept {
  constexpr Code kAllowed[] = {kHandshake, kSize,    kNoPermission,  kVersion, kLayout,   kNotRingchan,
                               kNoMemory,  kNoSpace, kNoDescriptors, kPool,    kIdentity, kDuplicate};
  for (Code c : kAllowed) {
    if (c == code) return true;
  }
  return false;
}

}  // namespace

Hello make_hello(Hello::Kind kind, const ChannelParams& params, uint64_t ring_bytes) noexcept {
  Hello h = {};
  h.magic = kHelloMagic;
  h.version = kWireVersion;
  h.kind = kind;
  h.layout = kLayoutHash;
  h.ring_bytes = ring_bytes;
  h.heavy_fence = heavy_fence_registered() ? 1 : 0;
  h.op_ring_bytes = params.op_ring_bytes;
  h.requests = params.requests;
  memcpy(h.identity, params.identity, sizeof h.identity);
  if (kind == Hello::kAsk) memcpy(h.token, params.token, sizeof h.token);
  return h;
}

Hello make_refusal(const ChannelParams& params, Code code) noexcept {
  Hello h = make_hello(Hello::kOffer, params, 0);
  h.code = code;
  strncpy(h.text, reason(), sizeof h.text - 1);
  return h;
}

Code check_hello(const Hello& h, size_t bytes, Hello::Kind kind) noexcept {
  if (bytes < sizeof h.magic + sizeof h.version || h.magic != kHelloMagic) {
    return fail_plain(kNotRingchan, "whoever answered does not speak ringchan; is the name or path right?");
  }
  if (h.version != kWireVersion) {
    return fail(kVersion, "the peer speaks protocol version %u, this library %u; use the same release at both ends",
                h.version, kWireVersion);
  }
  if (bytes != sizeof h) return fail(kNotRingchan, "the peer's hello has %zu bytes instead of %zu", bytes, sizeof h);
  if (h.layout != kLayoutHash) {
    return fail(
        kLayout,
        "the peer was built with memory layout %016llx, this library with %016llx; use the same build at both ends",
        static_cast<unsigned long long>(h.layout), static_cast<unsigned long long>(kLayoutHash));
  }
  if (!ends(h.identity, sizeof h.identity) || !ends(h.token, sizeof h.token) || !ends(h.text, sizeof h.text) ||
      h.heavy_fence > 1) {
    return fail_plain(kNotRingchan, "the peer's hello is malformed");
  }
  if (h.code != kOk) return refused(h);
  if (h.kind != kind) return fail_plain(kNotRingchan, "the peer's hello came out of turn");
  return kOk;
}

Code judge_ask(const Hello& ask, const ChannelParams& mine, uint64_t* ring_bytes) noexcept {
  if (!same_token(ask.token, mine.token)) {
    return fail_plain(kNoPermission, mine.token[0] == '\0' ? "a token was given, but the listener has none"
                                                           : "the token is missing or not the listener's");
  }
  Code code = mine.judge.judge != nullptr ? mine.judge.judge(mine.judge.by, ask.identity) : kOk;
  if (code != kOk) return code;
  uint64_t wanted = ask.ring_bytes != 0 ? ask.ring_bytes : mine.ring_bytes != 0 ? mine.ring_bytes : mine.ring_bytes_max;
  if (mine.ring_bytes != 0 && wanted != mine.ring_bytes) {
    return fail(
        kSize,
        "a ring of %llu bytes was asked for, the listener has %llu; give both the same ring_bytes, or one of them 0",
        static_cast<unsigned long long>(wanted), static_cast<unsigned long long>(mine.ring_bytes));
  }
  if (wanted > mine.ring_bytes_max) {
    return fail(kSize, "a ring of %llu bytes was asked for, the listener's context allows %llu",
                static_cast<unsigned long long>(wanted), static_cast<unsigned long long>(mine.ring_bytes_max));
  }
  *ring_bytes = wanted;
  return kOk;
}

void agree_on_ops(const Hello& theirs, const ChannelParams& mine, Agreed* agreed) noexcept {
  uint32_t bytes = theirs.op_ring_bytes < mine.op_ring_bytes ? theirs.op_ring_bytes : mine.op_ring_bytes;
  uint32_t requests = theirs.requests < mine.requests ? theirs.requests : mine.requests;
  bool none = bytes < kOpRingMin || requests == 0;
  agreed->op_ring_bytes = none ? 0 : bytes - bytes % uint32_t{kLine};
  agreed->requests = none ? 0 : requests;
}

Code refused(const Hello& h) noexcept {
  Code code = may_refuse_with(h.code) ? static_cast<Code>(h.code) : kRefused;
  char text[sizeof h.text] = {};
  for (size_t i = 0; i + 1 < sizeof text && h.text[i] != '\0'; ++i) {
    // A reason ends up on terminals.
    text[i] = h.text[i] < ' ' || h.text[i] > '~' ? '?' : h.text[i];
  }
  return fail(code, "the listener refused: %s", text);
}

}  // namespace rc
