// What one wrong bit of a hello is answered with.
#ifndef HARNESS_HOSTILE_HELLO_BITS_H_
#define HARNESS_HOSTILE_HELLO_BITS_H_

#include <stddef.h>
#include <stdint.h>

#include <string>

#include "capi/rc.h"
#include "core/hello.h"

namespace hostile {

inline constexpr size_t kHelloBits = 8 * sizeof(rc::Hello);

inline rc::Hello flipped(rc::Hello hello, size_t bit) {
  reinterpret_cast<uint8_t*>(&hello)[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
  return hello;
}

inline std::string bit_name(size_t bit) {
  return "bit " + std::to_string(bit % 8) + " of byte " + std::to_string(bit / 8);
}

inline bool in_range(size_t byte, size_t offset, size_t bytes) { return byte >= offset && byte < offset + bytes; }
#define BIT_OF(bit, field) ::hostile::in_range((bit) / 8, offsetof(rc::Hello, field), sizeof(rc::Hello::field))

// RC_OK: nothing is wrong with it. Ring size and token have other rules at each step.
inline int32_t verdict_on_bit(const rc::Hello& bad, size_t bit) {
  if (BIT_OF(bit, magic) || BIT_OF(bit, kind)) return RC_E_NOT_RINGCHAN;
  if (BIT_OF(bit, version)) return RC_E_VERSION;
  if (BIT_OF(bit, layout)) return RC_E_LAYOUT;
  if (BIT_OF(bit, code)) return RC_E_REFUSED;
  if (BIT_OF(bit, heavy_fence) && bad.heavy_fence > 1) return RC_E_NOT_RINGCHAN;
  return RC_OK;
}

}  // namespace hostile

#endif  // HARNESS_HOSTILE_HELLO_BITS_H_
