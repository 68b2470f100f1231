// The C ABI of devices, and of endpoints that are made on them.
#pragma GCC visibility push(default)
#include "capi/rc.h"
#pragma GCC visibility pop

#include <string.h>

#include "capi/config.h"
#include "capi/inside.h"
#include "core/context.h"

using namespace rc;  // NOLINT: this file is the C ABI of that namespace

extern "C" {

int32_t rc_endpoint_open(rc_ctx ctx, const char* uri, const rc_channel_config* config, void* blob, size_t* bytes,
                         rc_listener* endpoint) {
  if (endpoint == nullptr) return null_argument("endpoint");
  endpoint->id = 0;
  if (blob == nullptr) return null_argument("blob");
  if (bytes == nullptr) return null_argument("bytes");
  Context* c = Handles::context(ctx.id);
  if (c == nullptr) return Handles::refuse(ctx.id, "context");
  ChannelParams params;
  Code code = read_channel_params(config, c->limits(), &params);
  return code == kOk ? c->open_endpoint(uri, params, blob, bytes, &endpoint->id) : code;
}

int32_t rc_endpoint_connect(rc_listener endpoint, const void* blob, size_t bytes, int64_t timeout_ns,
                            rc_channel* channel) {
  if (channel == nullptr) return null_argument("channel");
  channel->id = 0;
  if (blob == nullptr) return null_argument("blob");
  Listener* l = Handles::listener(endpoint.id);
  if (l == nullptr) return Handles::refuse(endpoint.id, "endpoint");
  Context* c = Handles::owner(endpoint.id);
  Code code = c->connect_endpoint(l, endpoint.id, blob, bytes, timeout_ns, &channel->id);
  return code == kOk ? c->adopt_channel(&channel->id) : code;
}

int32_t rc_device_info(uint32_t index, rc_device* device) {
  if (device == nullptr) return null_argument("device");
  Code code = fail_plain(kNoDevice, "this build has no backend that uses devices");
  for (const Backend* const* b = g_backends; *b != nullptr; ++b) {
    Device d;
    if ((*b)->extras->device == no_device || (code = (*b)->extras->device(index, &d)) != kOk) continue;
    rc_device full = {};
    full.port = d.port;
    memcpy(full.name, d.name, sizeof full.name);
    full.guid = d.guid;
    full.active = d.active ? 1 : 0;
    full.infiniband = d.infiniband ? 1 : 0;
    full.mtu = d.mtu;
    full.mtu_max = d.mtu_max;
    full.gids = d.gids;
    full.gid_index = d.gid;
    memcpy(full.gid, d.gid_bytes, sizeof full.gid);
    return write_answer(device, device->size, &full, sizeof full, "rc_device");
  }
  return code;
}

}  // extern "C"
