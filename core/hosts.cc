#include "core/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/backend.h"

namespace rc {
namespace {

constexpr size_t kLineBytes = 256;  // with the NUL
constexpr const char* kBlank = " \t\r\v\f";

// Gives the bytes of a text or a file one after the other.
class Bytes {
 public:
  explicit Bytes(const char* text) noexcept : text_(text) {}
  explicit Bytes(int fd) noexcept : fd_(fd) {}
  int error() const noexcept { return error_; }
  // -1 at the end.
  int next() noexcept {
    if (text_ != nullptr) return *text_ != '\0' ? static_cast<unsigned char>(*text_++) : -1;
    while (at_ == got_) {
      ssize_t n = ::read(fd_, buffer_, sizeof buffer_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) error_ = errno;
      if (n <= 0) return -1;
      at_ = 0;
      got_ = static_cast<size_t>(n);
    }
    return static_cast<unsigned char>(buffer_[at_++]);
  }

 private:
  const char* text_ = nullptr;
  int fd_ = -1;
  int error_ = 0;
  size_t at_ = 0, got_ = 0;
  char buffer_[1024];
};

enum class Line { kRead, kTooLong, kEnd };

// One line without its newline. A NUL byte ends up in it as a control character, which no entry may have.
Line next_line(Bytes& bytes, char line[kLineBytes]) noexcept {
  size_t n = 0;
  int byte = bytes.next();
  if (byte < 0) return Line::kEnd;
  for (; byte >= 0 && byte != '\n'; byte = bytes.next()) {
    if (n < kLineBytes) line[n++] = static_cast<char>(byte != 0 ? byte : 1);
  }
  if (n == kLineBytes) return Line::kTooLong;
  line[n] = '\0';
  return Line::kRead;
}

// Takes the next word of a line and ends it with a NUL; null if only blanks or a comment are left.
char* next_word(char** at) noexcept {
  char* word = *at + strspn(*at, kBlank);
  if (*word == '\0' || *word == '#') return nullptr;
  char* end = word + strcspn(word, kBlank);
  *at = *end != '\0' ? end + 1 : end;
  *end = '\0';
  return word;
}

bool has_scheme(const char* address) noexcept {
  if (strstr(address, "://") != nullptr) return true;
  size_t bytes = strcspn(address, ":");
  for (const Backend* const* b = g_backends; *b != nullptr; ++b) {
    if (strlen((*b)->scheme) == bytes && memcmp((*b)->scheme, address, bytes) == 0) return true;
  }
  return false;
}

// The part of a reason behind "LIST, line N: ".
Code complain(const HostList& list, uint32_t line, const char* format, ...) noexcept
    __attribute__((format(printf, 3, 4)));
Code complain(const HostList& list, uint32_t line, const char* format, ...) noexcept {
  char text[300];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  for (char* c = text; *c != '\0'; ++c) *c = *c < ' ' || *c > '~' ? '?' : *c;  // it ends up on terminals
  return fail(kHosts, "%s, line %u: %s", list.source, line, text);
}

// "HOST:PORT" or a URI becomes a URI.
Code read_address(const HostList& list, uint32_t line, const char* address, char uri[kUriBytes]) noexcept {
  char full[kLineBytes + 8];
  if (has_scheme(address)) {
    snprintf(full, sizeof full, "%s", address);
  } else {
    const char* colon = strrchr(address, ':');
    const char* port = colon != nullptr ? colon + 1 : "";
    size_t digits = strspn(port, "0123456789");
    unsigned long number = digits != 0 && digits <= 5 && port[digits] == '\0' ? strtoul(port, nullptr, 10) : 0;
    if (colon == nullptr || colon == address || number == 0 || number > UINT16_MAX)
      return complain(list, line, "\"%s\" is no HOST:PORT with a port in 1..65535, and no URI", address);
    snprintf(full, sizeof full, "tcp://%s", address);
  }
  Uri parsed;
  if (parsed.parse(full) != kOk) {
    char why[200];
    snprintf(why, sizeof why, "%s", reason());
    return complain(list, line, "%s", why);
  }
  memcpy(uri, parsed.text, kUriBytes);
  return kOk;
}

Code read_line(HostList* list, uint32_t line, char* text) noexcept {
  char* at = text;
  const char* id_text = next_word(&at);
  if (id_text == nullptr) return kOk;
  const char* address = next_word(&at);
  size_t digits = strspn(id_text, "0123456789");
  if (id_text[digits] != '\0' || digits > 5)
    return complain(*list, line, "\"%s\" is no id; wanted: ID HOST:PORT, or ID URI", id_text);
  if (address == nullptr)
    return complain(*list, line, "id %s has no address; wanted: ID HOST:PORT, or ID URI", id_text);
  if (const char* more = next_word(&at)) return complain(*list, line, "what is \"%s\" behind the address?", more);
  auto id = static_cast<uint32_t>(strtoul(id_text, nullptr, 10));
  if (id >= list->room)
    return complain(*list, line, "id %u is not below rc_config.mesh_members_max, which is %u", id, list->room);
  Host& host = list->hosts[id];
  if (host.line != 0) return complain(*list, line, "id %u stands in line %u already", id, host.line);
  char uri[kUriBytes];
  Code code = read_address(*list, line, address, uri);
  if (code != kOk) return code;
  for (uint32_t i = 0; i < list->room; ++i) {
    const Host& other = list->hosts[i];
    if (other.line != 0 && strcmp(other.uri, uri) == 0)
      return complain(*list, line, "id %u has the address of id %u in line %u", id, i, other.line);
  }
  memcpy(host.uri, uri, sizeof uri);
  host.line = line;
  ++list->count;
  return kOk;
}

Code read_lines(HostList* list, Bytes& bytes) noexcept {
  char text[kLineBytes];
  list->count = 0;
  for (uint32_t i = 0; i < list->room; ++i) list->hosts[i].line = 0;
  for (uint32_t line = 1;; ++line) {
    Line what = next_line(bytes, text);
    if (what == Line::kEnd) break;
    if (what == Line::kTooLong) return complain(*list, line, "longer than %zu bytes", kLineBytes - 1);
    Code code = read_line(list, line, text);
    if (code != kOk) return code;
  }
  if (bytes.error() != 0) return fail_errno(kSystem, list->source, bytes.error());
  if (list->count == 0) return fail(kHosts, "%s: no member stands in it; wanted lines: ID HOST:PORT", list->source);
  for (uint32_t i = list->count; i < list->room; ++i) {
    if (list->hosts[i].line == 0) continue;
    return complain(*list, list->hosts[i].line, "id %u, but the list has %u members, whose ids run from 0 to %u", i,
                    list->count, list->count - 1);
  }
  return kOk;
}

}  // namespace

Code HostList::read_text(const char* text) noexcept {
  strcpy(source, "host list");
  Bytes bytes(text);
  return read_lines(this, bytes);
}

Code HostList::read_file(const char* path) noexcept {
  snprintf(source, sizeof source, "%s", path);
  int fd = ::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) {
    int error = errno;
    char tried[200];
    snprintf(tried, sizeof tried, "opening the host list %.160s", path);
    return fail_errno(kHosts, tried, error);
  }
  Bytes bytes(fd);
  Code code = read_lines(this, bytes);
  ::close(fd);
  return code;
}

}  // namespace rc
