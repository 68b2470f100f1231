// How a call of the C ABI gets from a handle into the object, and out again.
#ifndef CAPI_INSIDE_H_
#define CAPI_INSIDE_H_

#include <string.h>

#include "core/channel.h"
#include "core/context.h"

namespace rc {

__attribute__((noinline, cold)) inline Code refuse_channel(Code code, uint64_t id) noexcept {
  if (code == kBusy) return fail_plain(kBusy, "another thread is in the same direction of this channel");
  return Handles::refuse(id, "channel");
}

__attribute__((noinline, cold)) inline Code refuse_second_thread() noexcept {
  return fail_plain(kBusy, "another thread is in this channel, and with a descriptor one thread at a time may be");
}

// Enters the channel, if there is one, on one side, runs f, keeps the descriptor's state true, leaves.
template <class F>
Code inside(Channel* c, uint64_t id, Side side, F f) noexcept {
  Code code = c == nullptr ? kHandle : c->enter(side, id);
  if (code != kOk) return refuse_channel(code, id);
  if (!c->alone(side)) {
    c->leave(side);
    return refuse_second_thread();
  }
  c->end_leases();
  code = f(*c);
  if (c->has_descriptor()) c->update_readiness();
  c->leave(side);
  return code;
}

template <class F>
Code on_side(uint64_t id, Side side, F f) noexcept {
  return inside(Handles::channel(id), id, side, f);
}

// For functions of any thread that only look: the answer is a snapshot.
template <class F>
Code on_channel(uint64_t id, F f) noexcept {
  Channel* c = Handles::channel(id);
  if (c == nullptr || c->id() != id) return Handles::refuse(id, "channel");
  return f(*c);
}

inline Code null_argument(const char* what) noexcept { return fail(kInvalid, "%s is NULL", what); }

// The same by the handle of something that belongs to a channel; f gets the channel.
template <class F>
Code on_part(uint64_t id, const char* kind, Side side, F f) noexcept {
  Channel* c = Handles::part_of(id);
  uint64_t channel = c != nullptr ? c->id() : Channel::kNobody;
  if (channel == Channel::kNobody) return Handles::refuse(id, kind);
  return inside(c, channel, side, [&](Channel& entered) noexcept {
    return entered.ops() != nullptr ? f(entered) : Handles::refuse(id, kind);
  });
}

inline Code write_text(char* to, size_t capacity, const char* text) noexcept {
  size_t bytes = strlen(text) + 1;
  if (bytes > capacity) return fail(kSize, "the text has %zu bytes with its NUL, the capacity is %zu", bytes, capacity);
  memcpy(to, text, bytes);
  return kOk;
}

}  // namespace rc

#endif  // CAPI_INSIDE_H_
