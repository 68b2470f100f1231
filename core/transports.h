// Which backend a URI means, and what a list of them says: "rdma+shm+tcp://HOST:PORT?tcp.KEY=VALUE".
#ifndef CORE_TRANSPORTS_H_
#define CORE_TRANSPORTS_H_

#include <stddef.h>
#include <stdint.h>

#include "core/backend.h"
#include "core/result.h"
#include "core/uri.h"

namespace rc {

inline constexpr uint32_t kTransportsMax = 4;

// A list's members in their order, all different, and the one place that all of them are for.
struct Transports {
  const Backend* at[kTransportsMax];
  uint32_t count;
  char host[kUriBytes];  // as given; an IPv6 address in brackets
  uint16_t port;
};

// The backend of this program that the URI means; of a list kFallbackBackend.
Code parse_for_backend(const char* text, Uri* uri, const Backend** backend) noexcept;
// kUri and kScheme say what is wrong with a list.
Code read_transports(const Uri& uri, Transports* list) noexcept;
// A member's own URI: its scheme, `name`, and those of the list's parameters that are prefixed with its scheme.
Code member_uri(const Uri& list, const char* scheme, const char* name, Uri* uri) noexcept;

}  // namespace rc

#endif  // CORE_TRANSPORTS_H_
