#include "backends/tcp/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace rc {
namespace {

constexpr const char* kKnown[] = {"timeout_ms", "busy_poll_us", nullptr};

// The host's end and the port's text of "//HOST:PORT" or "//[V6]:PORT".
Code split(const Uri& uri, const char** host, size_t* host_bytes, const char** port) noexcept {
  const char* at = uri.name;
  if (strncmp(at, "//", 2) != 0)
    return fail(kUri, "URI \"%s\": wanted tcp://HOST:PORT, for example tcp://10.0.0.1:7000", uri.text);
  at += 2;
  const char* end = nullptr;  // of the host
  if (*at == '[') {
    end = strchr(++at, ']');
    if (end == nullptr) return fail(kUri, "URI \"%s\": the ']' behind the IPv6 address is missing", uri.text);
    *port = end + 1;
  } else {
    end = strrchr(at, ':');
    *port = end;
    if (end != nullptr && memchr(at, ':', static_cast<size_t>(end - at)) != nullptr)
      return fail(kUri, "URI \"%s\": an IPv6 address stands in brackets: tcp://[::1]:7000", uri.text);
  }
  if (*port == nullptr || **port != ':')
    return fail(kUri, "URI \"%s\": the port is missing; wanted tcp://HOST:PORT", uri.text);
  ++*port;
  *host = at;
  *host_bytes = static_cast<size_t>(end - at);
  if (*host_bytes == 0)
    return fail(kUri, "URI \"%s\": the host is empty; a listener for all addresses is tcp://0.0.0.0:PORT", uri.text);
  return kOk;
}

Code read_options(const Uri& uri, TcpOptions* options) noexcept {
  uint64_t timeout_ms = 0, busy_poll_us = 0;
  Code code = uri.only(kKnown);
  if (code == kOk) code = uri.number("timeout_ms", kTcpTimeoutMsDefault, &timeout_ms);
  if (code == kOk) code = uri.number("busy_poll_us", 0, &busy_poll_us);
  if (code != kOk) return code;
  if (timeout_ms < kTcpTimeoutMsMin || timeout_ms > kTcpTimeoutMsMax) {
    return fail(kUri, "URI \"%s\": timeout_ms is not in %lld..%lld", uri.text, static_cast<long long>(kTcpTimeoutMsMin),
                static_cast<long long>(kTcpTimeoutMsMax));
  }
  if (busy_poll_us > INT32_MAX) return fail(kUri, "URI \"%s\": busy_poll_us is too large", uri.text);
  *options = {static_cast<int64_t>(timeout_ms), static_cast<uint32_t>(busy_poll_us)};
  return kOk;
}

bool from_number(const TcpTarget& target, TcpAddress* a) noexcept {
  memset(a, 0, sizeof *a);
  if (inet_pton(AF_INET, target.host, &a->v4.sin_addr) == 1) {
    a->v4.sin_family = AF_INET;
    a->v4.sin_port = htons(target.port);
    a->bytes = sizeof a->v4;
    return true;
  }
  if (inet_pton(AF_INET6, target.host, &a->v6.sin6_addr) == 1) {
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = htons(target.port);
    a->bytes = sizeof a->v6;
    return true;
  }
  return false;
}

}  // namespace

Code read_target(const Uri& uri, TcpTarget* target) noexcept {
  Code code = read_options(uri, &target->options);
  const char *host = nullptr, *port = nullptr;
  size_t host_bytes = 0;
  if (code == kOk) code = split(uri, &host, &host_bytes, &port);
  if (code != kOk || host == nullptr || port == nullptr) return code;
  memcpy(target->host, host, host_bytes);
  target->host[host_bytes] = '\0';
  size_t digits = strspn(port, "0123456789");
  unsigned long number = digits != 0 && digits <= 5 ? strtoul(port, nullptr, 10) : UINT16_MAX + 1ul;
  if (port[digits] != '\0' || number > UINT16_MAX)
    return fail(kUri, "URI \"%s\": the port is not a number in 0..%u", uri.text, unsigned{UINT16_MAX});
  target->port = static_cast<uint16_t>(number);
  return kOk;
}

Code resolve(const Uri& uri, const TcpTarget& target, TcpAddresses* addresses) noexcept {
  addresses->count = 0;
  if (from_number(target, &addresses->at[0])) {
    addresses->count = 1;
    return kOk;
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int error = getaddrinfo(target.host, nullptr, &hints, &found);
  if (error == EAI_SYSTEM) return fail_errno(kSystem, "looking up a host", errno);
  if (error == EAI_MEMORY) return fail_errno(kNoMemory, "looking up a host", ENOMEM);
  if (error != 0) {
    return fail(kNoHost, "%s: looking up the host \"%s\": %s; check the name and the resolver", uri.text, target.host,
                gai_strerror(error));
  }
  for (addrinfo* i = found; i != nullptr && addresses->count < kTcpAddressesMax; i = i->ai_next) {
    if (i->ai_family != AF_INET && i->ai_family != AF_INET6) continue;
    TcpAddress& a = addresses->at[addresses->count++];
    memset(&a, 0, sizeof a);
    memcpy(&a.sa, i->ai_addr, i->ai_addrlen);
    a.bytes = i->ai_addrlen;
    (i->ai_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port) = htons(target.port);
  }
  freeaddrinfo(found);
  if (addresses->count != 0) return kOk;
  return fail(kNoHost, "%s: the host \"%s\" has no IPv4 or IPv6 address", uri.text, target.host);
}

Code tell_port(Uri* uri, uint16_t port) noexcept {
  // Behind the last colon of the name there is nothing but the port.
  size_t before = static_cast<size_t>(strrchr(uri->name, ':') - uri->name) + 1;
  char text[2 * kUriBytes];
  int n = snprintf(text, sizeof text, "%s:%.*s%u%s%s", uri->scheme, static_cast<int>(before), uri->name, unsigned{port},
                   uri->query[0] != '\0' ? "?" : "", uri->query);
  if (n < 0 || static_cast<size_t>(n) >= kUriBytes)
    return fail(kUri, "URI \"%s\": with its port %u it is longer than %zu bytes", uri->text, unsigned{port},
                kUriBytes - 1);
  return uri->parse(text);
}

}  // namespace rc
