// The host list of a mesh: "ID HOST:PORT" or "ID URI" per line, in a text or a file.
#ifndef CORE_HOSTS_H_
#define CORE_HOSTS_H_

#include <stdint.h>

#include "core/result.h"
#include "core/uri.h"

namespace rc {

struct Host {
  char uri[kUriBytes];
  uint32_t line;  // where it stands; 0: nowhere
};

// Line i of the list stands at hosts[its id]; ids run from 0 to count - 1 without a gap.
struct HostList {
  Host* hosts;
  uint32_t room;
  uint32_t count;
  char source[64];  // what errors call it

  Code read_text(const char* text) noexcept;
  Code read_file(const char* path) noexcept;
};

}  // namespace rc

#endif  // CORE_HOSTS_H_
