// The backend of a build without rdma-core's headers.
#include "backends/rdma/build.h"
#if !RC_HAVE_VERBS
#include "backends/rdma/knobs.h"
#include "backends/rdma/rdma.h"

namespace rc {
namespace {

Code no_rdma_core() noexcept {
  return fail_plain(kNoDevice,
                    "this library was built without rdma-core; apt-get install libibverbs-dev librdmacm-dev, and "
                    "build it again");
}

Code absent(const Uri& uri, const ChannelParams& params) noexcept {
  Knobs knobs;
  Code code = read_knobs(uri, params.rdma_knobs, &knobs);
  return code == kOk ? no_rdma_core() : code;
}

Code absent_listen(Context&, ListenPoint* point) noexcept { return absent(point->uri, point->params); }
Code absent_connect(Context&, const Uri& uri, const ChannelParams& params, Deadline, Link*) noexcept {
  return absent(uri, params);
}

// What no listener and no link leads to.
void no_point(ListenPoint*) noexcept {}
void no_unlisten(Context&, ListenPoint*) noexcept {}
Code no_accept(Context&, ListenPoint*, Deadline, Link*) noexcept { return kUnsupported; }
void no_close(Context&, Link*) noexcept {}
Code no_post(Link*, const WorkRequest*, uint32_t) noexcept { return kUnsupported; }
Code no_progress(Link*, Side) noexcept { return kUnsupported; }
bool no_delivered(Link*) noexcept { return false; }
Code no_alive(Link*, Side) noexcept { return kUnsupported; }
void no_ring(Link*, Side) noexcept {}
void no_interrupt(Link*) noexcept {}

Code absent_device(uint32_t, Device*) noexcept { return no_rdma_core(); }
Code absent_endpoint(Context&, ListenPoint* point, void*, size_t*) noexcept {
  return absent(point->uri, point->params);
}
Code absent_raw(Context&, ListenPoint* point, RawAddress*) noexcept { return absent(point->uri, point->params); }
Code no_raw_connect(ListenPoint*, const RawAddress&) noexcept { return kUnsupported; }
Code no_raw_post(Context&, ListenPoint*, const RawRequest&) noexcept { return kUnsupported; }
Code no_raw_poll(Context&, ListenPoint*, RawCompletion*, uint32_t, uint32_t*, Deadline) noexcept {
  return kUnsupported;
}
void no_raw_forget(ListenPoint*, uint64_t) noexcept {}
constexpr RawTable kAbsentRaw = {absent_raw, no_raw_connect, no_raw_post, no_raw_poll, no_raw_forget};
constexpr Extras kAbsentExtras = {no_figures, absent_device, absent_endpoint, no_connection, no_share,
                                  no_unshare, no_reach,      no_unreach,      &kAbsentRaw};

}  // namespace

const Backend kRdmaBackend = {"rdma",        sizeof(Link), sizeof(ListenPoint), absent_listen,
                              no_point,      no_unlisten,  no_accept,           absent_connect,
                              no_close,      no_post,      no_progress,         no_delivered,
                              no_alive,      no_ring,      no_interrupt,        kAnyHost,
                              &kAbsentExtras};

}  // namespace rc
#endif
