#include "core/attach.h"

#include <poll.h>
#include <string.h>

namespace rc {
namespace {

Code attach_alive(Link* link, Side) noexcept {
  pollfd p = {static_cast<AttachedLink*>(link)->peer_fd, POLLIN, 0};
  return p.fd >= 0 && poll(&p, 1, 0) > 0 ? kPeerDead : kOk;
}

// Control entries that no URI leads to, and data entries that a direct link never uses.
Code no_listen(Context&, ListenPoint*) noexcept { return kUnsupported; }
void no_point(ListenPoint*) noexcept {}
void no_unlisten(Context&, ListenPoint*) noexcept {}
Code no_accept(Context&, ListenPoint*, Deadline, Link*) noexcept { return kUnsupported; }
Code no_connect(Context&, const Uri&, const ChannelParams&, Deadline, Link*) noexcept { return kUnsupported; }
Code no_post(Link*, const WorkRequest*, uint32_t) noexcept { return kUnsupported; }
Code no_progress(Link*, Side) noexcept { return kOk; }
bool delivered(Link*) noexcept { return true; }
void close_nothing(Context&, Link*) noexcept {}
// Attached sides nap: there is nobody to ring, and a nap ends by itself.
void no_ring(Link*, Side) noexcept {}
void no_interrupt(Link*) noexcept {}

constexpr Backend kAttach = {
    "attach",    sizeof(AttachedLink), 0,       no_listen,   no_point,  no_unlisten,  no_accept,
    no_connect,  close_nothing,        no_post, no_progress, delivered, attach_alive, no_ring,
    no_interrupt};

}  // namespace

Code attach_link(const AttachParams& params, Link* link) noexcept {
  link->ops = &kAttach;
  link->outbox = static_cast<Inbox*>(params.tx);
  link->inbox = static_cast<const Inbox*>(params.rx);
  link->ring_bytes = params.bytes - kRingOffset;
  link->direct = true;
  link->full_fence = false;  // nobody sleeps until rung
  strcpy(link->uri, "attach");
  static_cast<AttachedLink*>(link)->peer_fd = params.peer_fd;
  return kOk;
}

}  // namespace rc
