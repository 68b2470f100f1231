// "scheme:name?key=value&key=value".
#ifndef CORE_URI_H_
#define CORE_URI_H_

#include <stddef.h>
#include <stdint.h>

#include "core/result.h"

namespace rc {

inline constexpr size_t kUriBytes = 160;    // with the NUL
inline constexpr size_t kKnobsBytes = 512;  // of rc_channel_config.rdma_knobs, with the NUL

struct Uri {
  char text[kUriBytes];                 // as given
  char scheme[kUriBytes];               // before the first colon
  char name[kUriBytes];                 // between it and the question mark
  char query[kKnobsBytes + kUriBytes];  // behind that; may be empty. Of two values of a key the last one counts

  // Splits; an error names the part.
  Code parse(const char* uri) noexcept;
  // Another "key=value&key=value", of at most kKnobsBytes, counts where the query does not say otherwise. Once.
  void lay_beneath(const char* knobs) noexcept;
  // The value of a key as a number; `otherwise` if it is absent. kUri if it is no number.
  Code number(const char* key, uint64_t otherwise, uint64_t* value) const noexcept;
  // The value of a key as text; empty if it is absent. kUri if it is longer than bytes - 1.
  Code word(const char* key, char* value, size_t bytes) const noexcept;
  // Every key of the query must be one of `known`, a list ended by null.
  Code only(const char* const* known) const noexcept;
};

}  // namespace rc

#endif  // CORE_URI_H_
