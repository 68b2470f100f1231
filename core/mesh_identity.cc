#include "core/mesh_identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace rc {
namespace {

constexpr char kPrefix[] = "mesh:";

// A number of at most four digits (a mesh has at most 4,096 members); moves behind it.
bool read_number(const char** at, uint32_t* value) noexcept {
  size_t digits = strspn(*at, "0123456789");
  if (digits == 0 || digits > 4) return false;
  *value = static_cast<uint32_t>(strtoul(*at, nullptr, 10));
  *at += digits;
  return true;
}

bool read_process(const char* at, uint32_t* value) noexcept {
  constexpr size_t kDigits = kProcessBits / 4;
  if (strlen(at) != kDigits || strspn(at, "0123456789abcdef") != kDigits) return false;
  *value = static_cast<uint32_t>(strtoul(at, nullptr, 16));
  return *value != 0;
}

}  // namespace

void MeshIdentity::write(char text[kIdentityBytes]) const noexcept {
  int n = snprintf(text, kIdentityBytes, "%s%s:%u/%u", kPrefix, name, id, members);
  if (process != 0) snprintf(text + n, kIdentityBytes - static_cast<size_t>(n), "#%07x", process);
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
  process = 0;
  if (!read_number(&at, &id) || *at++ != '/' || !read_number(&at, &members)) return false;
  return *at == '\0' || (*at == '#' && read_process(at + 1, &process));
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
