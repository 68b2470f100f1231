// What connecting to a list and listening at one share: what became of the members, and how it is told.
#ifndef CORE_FALLBACK_MEMBERS_H_
#define CORE_FALLBACK_MEMBERS_H_

#include "core/fallback.h"

namespace rc {

class Context;
struct ChannelParams;

// With the reason that was left behind.
void note_result(MemberResult* result, Code code) noexcept;

// A text that grows; what does not fit is cut.
struct Text {
  char* at;
  size_t room;
  size_t used = 0;
  void add(const char* format, ...) noexcept __attribute__((format(printf, 2, 3)));
};

// "SCHEME: REASON" of each member that has one, up to `end`.
void add_reasons(const Transports& list, const MemberResult* results, uint32_t end, Text* text) noexcept;
// Its code is that of the first member somebody answered, else that of the last one.
Code all_failed(const Uri& uri, const Transports& list, const MemberResult* results) noexcept;
// A member's URI for this host. Two processes must agree on the last two: PROTOCOL.md T1.
Code uri_for(const Uri& uri, const Backend* member, const char* host, uint16_t port, Uri* out) noexcept;
Code not_here(const Transports& list) noexcept;

// fallback_connect.cc
Code fallback_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline,
                      Link* link) noexcept;
Code fallback_pursue(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Pursuit* pursuit,
                     Link* link) noexcept;
void fallback_abandon(Pursuit* pursuit) noexcept;

// fallback_listen.cc
Code fallback_listen(Context& context, ListenPoint* p) noexcept;
void fallback_interrupt_accept(ListenPoint* p) noexcept;
void fallback_unlisten(Context& context, ListenPoint* p) noexcept;
Code fallback_accept(Context& context, ListenPoint* p, Deadline deadline, Link* link) noexcept;

}  // namespace rc

#endif  // CORE_FALLBACK_MEMBERS_H_
