#include "core/mesh_identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace rc {
namespace {

constexpr char kPrefix[] = "mesh:";

// A number of at most five digits that ends with `end`; moves behind it.
bool read_number(const char** at, char end, uint32_t* value) noexcept {
  size_t digits = strspn(*at, "0123456789");
  if (digits == 0 || digits > 5 || (*at)[digits] != end) return false;
  *value = static_cast<uint32_t>(strtoul(*at, nullptr, 10));
  *at += digits + 1;
  return true;
}

}  // namespace

void MeshIdentity::write(char text[kIdentityBytes]) const noexcept {
  snprintf(text, kIdentityBytes, "%s%s:%u/%u", kPrefix, name, id, members);
}

bool MeshIdentity::read(const char* text) noexcept {
  constexpr size_t kPrefixBytes = sizeof kPrefix - 1;
  if (strncmp(text, kPrefix, kPrefixBytes) != 0) return false;
  text += kPrefixBytes;
  const char* colon = strrchr(text, ':');
  if (colon == nullptr || static_cast<size_t>(colon - text) >= sizeof name) return false;
  memset(name, 0, sizeof name);
  memcpy(name, text, static_cast<size_t>(colon - text));
  const char* at = colon + 1;
  return read_number(&at, '/', &id) && read_number(&at, '\0', &members);
}

bool MeshIdentity::same_mesh(const MeshIdentity& other) const noexcept {
  return members == other.members && strcmp(name, other.name) == 0;
}

Printable::Printable(const char* from) noexcept {
  size_t n = 0;
  for (; n + 1 < sizeof text && from[n] != '\0'; ++n) text[n] = from[n] < ' ' || from[n] > '~' ? '?' : from[n];
  text[n] = '\0';
}

}  // namespace rc
