// What a backend has that does not say otherwise: its attempts to connect do not go on over several calls, and it does
// nothing but move bytes.
#include "core/backend.h"

namespace rc {

uint32_t no_figures(Link*, Figure*, uint32_t) noexcept { return 0; }

Code no_device(uint32_t, Device*) noexcept { return fail_plain(kRange, "this backend uses no devices"); }

Code no_endpoint(Context&, ListenPoint* point, void*, size_t*) noexcept {
  return fail(kUnsupported, "%s: this backend has no endpoints to exchange; use rc_listen and rc_connect",
              point->uri.text);
}

Code no_connection(Context&, ListenPoint* point, const void*, size_t, Deadline, Link*) noexcept {
  return fail(kState, "%s: this is a listener; rc_accept takes its clients", point->uri.text);
}

namespace {

Code no_raw(Context&, ListenPoint* point, RawAddress*) noexcept {
  return fail(kUnsupported, "%s: this backend has no raw endpoints; rdma:// has", point->uri.text);
}

// What no endpoint leads to.
Code no_raw_connect(ListenPoint*, const RawAddress&) noexcept { return kUnsupported; }
Code no_raw_post(Context&, ListenPoint*, const RawRequest&) noexcept { return kUnsupported; }
Code no_raw_poll(Context&, ListenPoint*, RawCompletion*, uint32_t, uint32_t*, Deadline) noexcept {
  return kUnsupported;
}
void no_raw_forget(ListenPoint*, uint64_t) noexcept {}

}  // namespace

namespace {

// What no grant leads to.
NicRegion* no_find(Link*, uint64_t) noexcept { return nullptr; }
Code no_enter(Link*, Regions*, uint64_t, NicRegion**) noexcept { return kUnsupported; }
void no_region(Link*, uint64_t) noexcept {}
bool no_news(const Link*) noexcept { return false; }
Code no_operate(Link*, const NicWork&, uint64_t*, uint64_t*) noexcept { return kUnsupported; }
bool nothing_to_do(Link*, uint64_t) noexcept { return true; }
void no_halt(Link*) noexcept {}

}  // namespace

const NicTable kNoNic = {false, no_find, no_enter, no_region, no_news, no_operate, nothing_to_do, no_halt};

const RawTable kNoRaw = {no_raw, no_raw_connect, no_raw_post, no_raw_poll, no_raw_forget};

const Extras kNoExtras = {no_figures, no_device,  no_endpoint, no_connection,
                          no_share,   no_unshare, no_reach,    no_unreach};

Code no_share(Link* link, uint64_t, uint32_t, Share*) noexcept {
  return fail(kUnsupported, "over %s a peer cannot reach memory by itself: grant without RC_MR_DIRECT",
              link->ops->scheme);
}
Code no_unshare(Share*) noexcept { return kOk; }
Code no_reach(Link*, uint64_t, uint64_t, uint32_t, uint8_t**) noexcept { return kCorrupt; }
void no_unreach(uint8_t*, uint64_t) noexcept {}

Code connect_at_once(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Pursuit* pursuit,
                     Link* link) noexcept {
  return pursuit->ops->connect(context, uri, params, deadline, link);
}

void abandon_nothing(Pursuit*) noexcept {}

}  // namespace rc
