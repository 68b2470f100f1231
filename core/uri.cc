#include "core/uri.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace rc {
namespace {

bool is_scheme_byte(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}

// One "key=value" of a query. Returns where the next one begins, null at the end.
struct Pair {
  const char* key;
  size_t key_bytes;
  const char* value;
  size_t value_bytes;
};

const char* next_pair(const char* at, Pair* pair) noexcept {
  if (at == nullptr || *at == '\0') return nullptr;
  size_t all = strcspn(at, "&");
  const char* equals = static_cast<const char*>(memchr(at, '=', all));
  pair->key = at;
  pair->key_bytes = equals != nullptr ? static_cast<size_t>(equals - at) : all;
  pair->value = equals != nullptr ? equals + 1 : at + all;
  pair->value_bytes = static_cast<size_t>(at + all - pair->value);
  return at[all] == '&' ? at + all + 1 : at + all;
}

bool same(const char* text, const char* piece, size_t bytes) noexcept {
  return strlen(text) == bytes && memcmp(text, piece, bytes) == 0;
}

}  // namespace

Code Uri::parse(const char* uri) noexcept {
  if (uri == nullptr) return fail(kUri, "URI: null; wanted scheme:name, for example shm:demo");
  size_t bytes = strnlen(uri, kUriBytes);
  if (bytes == kUriBytes) return fail(kUri, "URI: longer than %zu bytes", kUriBytes - 1);
  for (size_t i = 0; i < bytes; ++i) {
    if (static_cast<unsigned char>(uri[i]) < 0x21 || uri[i] == 0x7f) {
      return fail(kUri, "URI: byte %zu is a space or control character", i);
    }
  }
  memcpy(text, uri, bytes + 1);
  size_t scheme_bytes = strcspn(text, ":");
  if (text[scheme_bytes] != ':')
    return fail(kUri, "URI \"%s\": no scheme; wanted scheme:name, for example shm:demo", text);
  if (scheme_bytes == 0) return fail(kUri, "URI \"%s\": the scheme before the colon is empty", text);
  for (size_t i = 0; i < scheme_bytes; ++i) {
    if (!is_scheme_byte(text[i])) return fail(kUri, "URI \"%s\": '%c' may not stand in a scheme", text, text[i]);
  }
  memcpy(scheme, text, scheme_bytes);
  scheme[scheme_bytes] = '\0';
  const char* rest = text + scheme_bytes + 1;
  size_t name_bytes = strcspn(rest, "?");
  if (name_bytes == 0) return fail(kUri, "URI \"%s\": the name behind the colon is empty", text);
  memcpy(name, rest, name_bytes);
  name[name_bytes] = '\0';
  strcpy(query, rest[name_bytes] == '?' ? rest + name_bytes + 1 : "");
  return kOk;
}

void Uri::lay_beneath(const char* knobs) noexcept {
  char over[kUriBytes];
  strcpy(over, query);
  snprintf(query, sizeof query, "%s&%s", knobs, over);
}

Code Uri::number(const char* key, uint64_t otherwise, uint64_t* value) const noexcept {
  *value = otherwise;
  Pair p;
  for (const char* at = query; (at = next_pair(at, &p)) != nullptr;) {
    if (!same(key, p.key, p.key_bytes)) continue;
    char digits[24];
    if (p.value_bytes == 0 || p.value_bytes >= sizeof digits || strspn(p.value, "0123456789") < p.value_bytes) {
      return fail(kUri, "URI \"%s\": %s is not a decimal number", text, key);
    }
    memcpy(digits, p.value, p.value_bytes);
    digits[p.value_bytes] = '\0';
    errno = 0;
    *value = strtoull(digits, nullptr, 10);
    if (errno != 0) return fail(kUri, "URI \"%s\": %s is too large", text, key);
  }
  return kOk;
}

Code Uri::word(const char* key, char* value, size_t bytes) const noexcept {
  value[0] = '\0';
  Pair p;
  for (const char* at = query; (at = next_pair(at, &p)) != nullptr;) {
    if (!same(key, p.key, p.key_bytes)) continue;
    if (p.value_bytes >= bytes) return fail(kUri, "URI \"%s\": %s is longer than %zu bytes", text, key, bytes - 1);
    memcpy(value, p.value, p.value_bytes);
    value[p.value_bytes] = '\0';
  }
  return kOk;
}

Code Uri::only(const char* const* known) const noexcept {
  Pair p;
  for (const char* at = query; (at = next_pair(at, &p)) != nullptr;) {
    bool found = false;
    for (const char* const* k = known; *k != nullptr; ++k) found |= same(*k, p.key, p.key_bytes);
    if (!found) {
      return fail(kUri, "URI \"%s\": %s: has no parameter \"%.*s\"", text, scheme, static_cast<int>(p.key_bytes),
                  p.key);
    }
  }
  return kOk;
}

}  // namespace rc
