// Which addresses are this machine's: what its interfaces say (getifaddrs(3)). Names are looked up, which may take
// longer than any deadline (getaddrinfo(3)).
#ifndef CORE_LOCAL_ADDRESSES_H_
#define CORE_LOCAL_ADDRESSES_H_

#include <stdint.h>

#include "core/hosts.h"
#include "core/result.h"

struct ifaddrs;
struct sockaddr;

namespace rc {

// Addresses as numbers, an IPv6 one in brackets.
struct LocalNumbers {
  static constexpr uint32_t kMost = 10;
  static constexpr uint32_t kBytes = 52;
  char at[kMost][kBytes];
  uint32_t count;
};

class LocalAddresses {
 public:
  Code read() noexcept;
  ~LocalAddresses();
  // Whether a member of a host list has an address of this machine. A URI without a host, such as shm:NAME, is of it.
  bool has(const Host& host) const noexcept;
  // Those addresses of a host (brackets around an IPv6 one) that are this machine's; 0.0.0.0 and [::], its all, are.
  // With `all`, those two follow if a listener at them would be found at one of the others; without, only the host's
  // first address counts. kNoHost: it cannot be looked up.
  Code find(const char* host, bool all, LocalNumbers* numbers) const noexcept;

 private:
  bool has(const sockaddr* address) const noexcept;

  ifaddrs* first_ = nullptr;
};

}  // namespace rc

#endif  // CORE_LOCAL_ADDRESSES_H_
