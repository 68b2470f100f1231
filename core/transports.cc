#include "core/transports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fallback.h"

namespace rc {
namespace {

const Backend* find_backend(const char* scheme, size_t bytes) noexcept {
  for (const Backend* const* b = g_backends; *b != nullptr; ++b) {
    if (strlen((*b)->scheme) == bytes && memcmp((*b)->scheme, scheme, bytes) == 0) return *b;
  }
  return nullptr;
}

Code no_backend(const Uri& uri, const char* scheme, size_t bytes) noexcept {
  char known[96] = "";
  for (const Backend* const* b = g_backends; *b != nullptr; ++b) {
    strncat(known, " ", sizeof known - strlen(known) - 1);
    strncat(known, (*b)->scheme, sizeof known - strlen(known) - 1);
  }
  return fail(kScheme, "URI \"%s\": this build has no backend \"%.*s\"; it has:%s", uri.text, static_cast<int>(bytes),
              scheme, known);
}

Code add_member(const Uri& uri, const char* scheme, size_t bytes, Transports* list) noexcept {
  if (bytes == 0)
    return fail(kUri,
                "URI \"%s\": a place in the list of transports is empty; wanted, for example, shm+tcp://HOST:PORT",
                uri.text);
  const Backend* backend = find_backend(scheme, bytes);
  if (backend == nullptr) return no_backend(uri, scheme, bytes);
  if (backend->reach == kNotListed)
    return fail(kUri, "URI \"%s\": %s has no HOST:PORT and cannot stand in a list of transports", uri.text,
                backend->scheme);
  for (uint32_t i = 0; i < list->count; ++i) {
    if (list->at[i] == backend) return fail(kUri, "URI \"%s\": %s stands in the list twice", uri.text, backend->scheme);
  }
  if (list->count == kTransportsMax) return fail(kUri, "URI \"%s\": more than %u transports", uri.text, kTransportsMax);
  list->at[list->count++] = backend;
  return kOk;
}

// "//HOST:PORT" or "//[V6]:PORT".
Code read_place(const Uri& uri, Transports* list) noexcept {
  const char* wanted = "wanted //HOST:PORT behind a list of transports, an IPv6 address in brackets";
  const char* host = uri.name + 2;
  const char* colon = strrchr(uri.name, ':');
  if (strncmp(uri.name, "//", 2) != 0 || colon == nullptr || colon <= host)
    return fail(kUri, "URI \"%s\": %s", uri.text, wanted);
  size_t bytes = static_cast<size_t>(colon - host);
  bool brackets = host[0] == '[' && colon[-1] == ']' && bytes > 2;
  if (!brackets && (memchr(host, ':', bytes) != nullptr || memchr(host, ']', bytes) != nullptr || host[0] == '['))
    return fail(kUri, "URI \"%s\": %s", uri.text, wanted);
  memcpy(list->host, host, bytes);
  list->host[bytes] = '\0';
  size_t digits = strspn(colon + 1, "0123456789");
  unsigned long port = digits != 0 && digits <= 5 ? strtoul(colon + 1, nullptr, 10) : UINT16_MAX + 1ul;
  if (colon[1 + digits] != '\0' || port > UINT16_MAX)
    return fail(kUri, "URI \"%s\": the port is not a number in 0..%u", uri.text, unsigned{UINT16_MAX});
  list->port = static_cast<uint16_t>(port);
  return kOk;
}

bool begins_with_scheme(const char* pair, size_t bytes, const char* scheme) noexcept {
  size_t n = strlen(scheme);
  return bytes > n && memcmp(pair, scheme, n) == 0 && pair[n] == '.';
}

// Every parameter says whose it is: what one member knows another may not.
Code check_parameters(const Uri& uri, const Transports& list) noexcept {
  for (const char* pair = uri.query; *pair != '\0';) {
    size_t bytes = strcspn(pair, "&");
    bool known = false;
    for (uint32_t i = 0; i < list.count; ++i) known |= begins_with_scheme(pair, bytes, list.at[i]->scheme);
    if (!known)
      return fail(kUri, "URI \"%s\": \"%.*s\" does not say which transport's it is; wanted, for example, %s.%.*s",
                  uri.text, static_cast<int>(bytes), pair, list.at[list.count - 1]->scheme, static_cast<int>(bytes),
                  pair);
    pair += bytes;
    if (*pair == '&') ++pair;
  }
  return kOk;
}

}  // namespace

Code parse_for_backend(const char* text, Uri* uri, const Backend** backend) noexcept {
  Code code = uri->parse(text);
  if (code != kOk) return code;
  *backend = find_backend(uri->scheme, strlen(uri->scheme));  // one may have a '+' in its own name
  if (*backend == nullptr && strchr(uri->scheme, '+') != nullptr) *backend = &kFallbackBackend;
  return *backend != nullptr ? kOk : no_backend(*uri, uri->scheme, strlen(uri->scheme));
}

Code read_transports(const Uri& uri, Transports* list) noexcept {
  *list = {};
  for (const char* scheme = uri.scheme;; ++scheme) {
    size_t bytes = strcspn(scheme, "+");
    Code code = add_member(uri, scheme, bytes, list);
    if (code != kOk) return code;
    scheme += bytes;
    if (*scheme == '\0') break;
  }
  Code code = read_place(uri, list);
  return code == kOk ? check_parameters(uri, *list) : code;
}

Code member_uri(const Uri& list, const char* scheme, const char* name, Uri* uri) noexcept {
  char text[2 * kUriBytes];
  size_t n = static_cast<size_t>(snprintf(text, sizeof text, "%s:%s", scheme, name));
  char before = '?';
  for (const char* pair = list.query; *pair != '\0' && n < kUriBytes;) {
    size_t bytes = strcspn(pair, "&");
    if (begins_with_scheme(pair, bytes, scheme)) {
      size_t prefix = strlen(scheme) + 1;
      n += static_cast<size_t>(
          snprintf(text + n, sizeof text - n, "%c%.*s", before, static_cast<int>(bytes - prefix), pair + prefix));
      before = '&';
    }
    pair += bytes;
    if (*pair == '&') ++pair;
  }
  return uri->parse(text);
}

}  // namespace rc
