// Which addresses are this machine's: what its interfaces say (getifaddrs(3)).
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "core/hosts.h"

namespace rc {
namespace {

bool same_address(const sockaddr* a, const sockaddr* b) noexcept {
  if (a->sa_family != b->sa_family) return false;
  if (a->sa_family == AF_INET) {
    return memcmp(&reinterpret_cast<const sockaddr_in*>(a)->sin_addr,
                  &reinterpret_cast<const sockaddr_in*>(b)->sin_addr, sizeof(in_addr)) == 0;
  }
  return a->sa_family == AF_INET6 &&
         memcmp(&reinterpret_cast<const sockaddr_in6*>(a)->sin6_addr,
                &reinterpret_cast<const sockaddr_in6*>(b)->sin6_addr, sizeof(in6_addr)) == 0;
}

// All of 127.0.0.0/8 is this machine's, though the interface names one address only.
bool is_loopback(const sockaddr* a) noexcept {
  return a->sa_family == AF_INET && (ntohl(reinterpret_cast<const sockaddr_in*>(a)->sin_addr.s_addr) >> 24) == 127;
}

// The host of "//HOST:PORT" or "//[V6]:PORT", without brackets. False: there is none.
bool host_of(const char* name, char* host) noexcept {
  if (strncmp(name, "//", 2) != 0) return false;
  const char* begin = name + 2;
  const char* end = *begin == '[' ? strchr(++begin, ']') : strrchr(begin, ':');
  if (end == nullptr) return false;
  memcpy(host, begin, static_cast<size_t>(end - begin));
  host[end - begin] = '\0';
  return true;
}

}  // namespace

Code LocalAddresses::read() noexcept {
  if (getifaddrs(&first_) == 0) return kOk;
  first_ = nullptr;
  return fail_errno(kSystem, "looking at the local interfaces for the own id", errno);
}

LocalAddresses::~LocalAddresses() {
  if (first_ != nullptr) freeifaddrs(first_);
}

bool LocalAddresses::has(const Host& host) const noexcept {
  Uri uri;
  char name[kUriBytes];
  if (uri.parse(host.uri) != kOk) return false;
  if (!host_of(uri.name, name)) return true;
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(name, nullptr, &hints, &found) != 0) return false;
  bool local = false;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    local |= is_loopback(a->ai_addr);
    for (const ifaddrs* i = first_; i != nullptr; i = i->ifa_next)
      local |= i->ifa_addr != nullptr && same_address(i->ifa_addr, a->ai_addr);
  }
  freeaddrinfo(found);
  return local;
}

}  // namespace rc
