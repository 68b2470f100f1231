#include "core/local_addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

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

bool is_all(const sockaddr* a) noexcept {
  const in6_addr none = {};
  if (a->sa_family == AF_INET) return reinterpret_cast<const sockaddr_in*>(a)->sin_addr.s_addr == 0;
  return a->sa_family == AF_INET6 &&
         memcmp(&reinterpret_cast<const sockaddr_in6*>(a)->sin6_addr, &none, sizeof none) == 0;
}

void add_text(const char* text, LocalNumbers* numbers) noexcept {
  for (uint32_t i = 0; i < numbers->count; ++i) {
    if (strcmp(numbers->at[i], text) == 0) return;
  }
  if (numbers->count < LocalNumbers::kMost) memcpy(numbers->at[numbers->count++], text, strlen(text) + 1);
}

void add(const sockaddr* a, LocalNumbers* numbers) noexcept {
  char number[INET6_ADDRSTRLEN] = "", text[LocalNumbers::kBytes];
  bool v6 = a->sa_family == AF_INET6;
  const void* bytes = v6 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(a)->sin6_addr)
                         : &reinterpret_cast<const sockaddr_in*>(a)->sin_addr;
  inet_ntop(a->sa_family, bytes, number, sizeof number);
  snprintf(text, sizeof text, "%s%s%s", v6 ? "[" : "", number, v6 ? "]" : "");
  add_text(text, numbers);
}

// A listener at [::] takes clients of both families.
void add_all(LocalNumbers* numbers) noexcept {
  bool v4 = false;
  for (uint32_t i = 0; i < numbers->count; ++i) v4 |= numbers->at[i][0] != '[';
  if (numbers->count == LocalNumbers::kMost) numbers->count -= 2;  // more than any host has
  if (v4) add_text("0.0.0.0", numbers);
  if (numbers->count != 0) add_text("[::]", numbers);
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
  return fail_errno(kSystem, "looking at the local interfaces", errno);
}

LocalAddresses::~LocalAddresses() {
  if (first_ != nullptr) freeifaddrs(first_);
}

bool LocalAddresses::has(const sockaddr* address) const noexcept {
  if (is_loopback(address)) return true;
  for (const ifaddrs* i = first_; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr != nullptr && same_address(i->ifa_addr, address)) return true;
  }
  return false;
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
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) local |= has(a->ai_addr);
  freeaddrinfo(found);
  return local;
}

Code LocalAddresses::find(const char* host, bool all, LocalNumbers* numbers) const noexcept {
  numbers->count = 0;
  char name[kUriBytes];
  size_t bytes = strlen(host);
  bool brackets = host[0] == '[';
  memcpy(name, host + (brackets ? 1 : 0), bytes);
  name[bytes - (brackets ? 2 : 0)] = '\0';
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int error = getaddrinfo(name, nullptr, &hints, &found);
  if (error == EAI_SYSTEM) return fail_errno(kSystem, "looking up a host", errno);
  if (error == EAI_MEMORY) return fail_errno(kNoMemory, "looking up a host", ENOMEM);
  if (error != 0)
    return fail(kNoHost, "looking up the host \"%s\": %s; check the name and the resolver", name, gai_strerror(error));
  for (const addrinfo* a = found; a != nullptr; a = all ? a->ai_next : nullptr) {
    if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) && (is_all(a->ai_addr) || has(a->ai_addr)))
      add(a->ai_addr, numbers);
  }
  freeaddrinfo(found);
  if (all) add_all(numbers);
  return kOk;
}

}  // namespace rc
