// The answers of a backend that has nothing beyond moving bytes.
#include "core/backend.h"

namespace rc {
namespace {

uint32_t no_figures(Link*, Figure*, uint32_t) noexcept { return 0; }

Code no_device(uint32_t, Device*) noexcept { return fail_plain(kRange, "this backend uses no devices"); }

Code no_endpoint(Context&, ListenPoint* point, void*, size_t*) noexcept {
  return fail(kUnsupported, "%s: this backend has no endpoints to exchange; use rc_listen and rc_connect",
              point->uri.text);
}

Code no_connection(Context&, ListenPoint* point, const void*, size_t, Deadline, Link*) noexcept {
  return fail(kState, "%s: this is a listener; rc_accept takes its clients", point->uri.text);
}

}  // namespace

const Extras kNoExtras = {no_figures, no_device, no_endpoint, no_connection};

}  // namespace rc
