// A backend that wraps another one: its control path is the inner backend's, over an inner listen point and an inner
// link that lie inside its own objects. Shared by the emulator and the fake.
#ifndef HARNESS_EMULATOR_INNER_H_
#define HARNESS_EMULATOR_INNER_H_

#include <stddef.h>

#include "core/backend.h"
#include "core/context.h"

namespace rc {

// Room for the inner backend's objects. Their true size is only known when the program runs, so connecting checks it.
inline constexpr size_t kInnerLinkBytes = 4 * 1024;
inline constexpr size_t kInnerPointBytes = 32 * 1024;

struct InnerLink {
  alignas(kPair) unsigned char bytes[kInnerLinkBytes];
  Link* get() noexcept { return reinterpret_cast<Link*>(bytes); }
};

struct WrappingPoint : ListenPoint {
  alignas(kPair) unsigned char bytes[kInnerPointBytes];
  ListenPoint* inner() noexcept { return reinterpret_cast<ListenPoint*>(bytes); }
};

// The entries of the control path, each for the wrapper of `inner`.
Code listen_inside(Context& context, const Backend& inner, WrappingPoint* point) noexcept;
void interrupt_accept_inside(WrappingPoint* point) noexcept;
void unlisten_inside(Context& context, WrappingPoint* point) noexcept;
// On success `link` holds the inner connection. It begins as core has made `outer`; both may be the same, and then the
// wrapper is out of the way for good.
Code accept_inside(Context& context, WrappingPoint* point, Deadline deadline, const Link* outer, Link* link) noexcept;
Code connect_inside(Context& context, const Backend& inner, const Uri& uri, const ChannelParams& params,
                    Deadline deadline, const Link* outer, Link* link) noexcept;

// Closes an inner connection that the wrapper has no use for; the other end may have its half already.
void abandon(Context& context, Link* inner) noexcept;

// Fills a wrapping link from the inner one: what is known of the peer, and the inbox. The data path is the wrapper's.
void take_over(const Link& inner, Inbox* outbox, Link* link) noexcept;

}  // namespace rc

#endif  // HARNESS_EMULATOR_INNER_H_
