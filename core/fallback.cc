#include "core/fallback.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/fallback_members.h"

namespace rc {

void note_result(MemberResult* result, Code code) noexcept {
  result->code = code;
  snprintf(result->reason, sizeof result->reason, "%s", reason());
}

void Text::add(const char* format, ...) noexcept {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(at + used, room - used, format, args);
  va_end(args);
  used += static_cast<size_t>(n);
  if (used >= room) used = room - 1;
}

void add_reasons(const Transports& list, const MemberResult* results, uint32_t end, Text* text) noexcept {
  const char* before = "";
  for (uint32_t i = 0; i < end; ++i) {
    if (results[i].code == kOk) continue;
    text->add("%s%s: %s", before, list.at[i]->scheme, results[i].reason);
    before = "; ";
  }
}

Code all_failed(const Uri& uri, const Transports& list, const MemberResult* results) noexcept {
  char reasons[kChoiceBytes] = "";
  Text text = {reasons, sizeof reasons};
  add_reasons(list, results, list.count, &text);
  Code code = results[list.count - 1].code;
  for (uint32_t i = list.count; i-- > 0;) {
    if (results[i].answered) code = results[i].code;
  }
  return fail(code, "%s: no transport of the list will do: %s", uri.text, reasons);
}

Code uri_for(const Uri& uri, const Backend* member, const char* host, uint16_t port, Uri* out) noexcept {
  char name[kUriBytes + 16];
  snprintf(name, sizeof name, "%s%s:%u", member->reach == kThisHost ? "" : "//", host, unsigned{port});
  return member_uri(uri, member->scheme, name, out);
}

Code not_here(const Transports& list) noexcept {
  return fail(kUnreachable, "%s is not this machine: none of its interfaces has that address", list.host);
}

namespace {

// What no link leads to: an accepted or connected one is its member's.
void no_close(Context&, Link*) noexcept {}
Code no_post(Link*, const WorkRequest*, uint32_t) noexcept { return kUnsupported; }
Code no_progress(Link*, Side) noexcept { return kUnsupported; }
bool no_delivered(Link*) noexcept { return false; }
Code no_alive(Link*, Side) noexcept { return kUnsupported; }
void no_ring(Link*, Side) noexcept {}
void no_interrupt(Link*) noexcept {}

}  // namespace

const Backend kFallbackBackend = {"list",
                                  sizeof(Link),
                                  sizeof(FallbackPoint),
                                  fallback_listen,
                                  fallback_interrupt_accept,
                                  fallback_unlisten,
                                  fallback_accept,
                                  fallback_connect,
                                  no_close,
                                  no_post,
                                  no_progress,
                                  no_delivered,
                                  no_alive,
                                  no_ring,
                                  no_interrupt,
                                  kNotListed,
                                  &kNoExtras,
                                  sizeof(FallbackPursuit),
                                  fallback_pursue,
                                  fallback_abandon};

}  // namespace rc
