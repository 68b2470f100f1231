// The C ABI of contexts, and of how channels come to be.
#pragma GCC visibility push(default)
#include "capi/rc.h"
#pragma GCC visibility pop

#include "capi/config.h"
#include "capi/inside.h"
#include "core/context.h"
#include "core/fallback.h"

using namespace rc;  // NOLINT: this file is the C ABI of that namespace

namespace {

rc_event event_of(uint64_t id) noexcept {
  rc_event event = {};
  switch (Id::kind(id)) {
    case Id::kListener:
      event.kind = RC_EVENT_LISTENER;
      event.listener.id = id;
      break;
    case Id::kMesh:
      event.kind = RC_EVENT_MESH;
      event.mesh.id = id;
      break;
    default:
      event.kind = RC_EVENT_CHANNEL;
      event.channel.id = id;
  }
  return event;
}

}  // namespace

extern "C" {

// ----------------------------------------------------------------------------------------------------------------
// context

int32_t rc_footprint(const rc_config* config, uint64_t* bytes) {
  if (bytes == nullptr) return null_argument("bytes");
  Limits limits;
  void* memory;
  uint64_t memory_bytes;
  Code code = read_limits(config, &limits, &memory, &memory_bytes);
  if (code == kOk) *bytes = Context::footprint(limits);
  return code;
}

int32_t rc_open(const rc_config* config, rc_ctx* ctx) {
  if (ctx == nullptr) return null_argument("ctx");
  ctx->id = 0;
  Limits limits;
  void* memory;
  uint64_t memory_bytes;
  Code code = read_limits(config, &limits, &memory, &memory_bytes);
  return code == kOk ? Context::open(limits, memory, memory_bytes, &ctx->id) : code;
}

int32_t rc_close(rc_ctx ctx) {
  Context* c = Handles::context(ctx.id);
  return c != nullptr ? c->close() : Handles::refuse(ctx.id, "context");
}

int32_t rc_stop(rc_ctx ctx) {
  Context* c = Handles::context(ctx.id);
  if (c == nullptr) return Handles::refuse(ctx.id, "context");
  c->stop();
  return kOk;
}

int32_t rc_fd(rc_ctx ctx, int32_t* fd) {
  if (fd == nullptr) return null_argument("fd");
  *fd = -1;
  Context* c = Handles::context(ctx.id);
  return c != nullptr ? c->descriptor(fd) : Handles::refuse(ctx.id, "context");
}

int32_t rc_poll(rc_ctx ctx, rc_event* events, uint32_t capacity, int64_t timeout_ns, uint32_t* count) {
  if (count == nullptr) return null_argument("count");
  *count = 0;
  if (events == nullptr) return null_argument("events");
  if (capacity == 0) return fail_plain(kInvalid, "rc_poll: the capacity is 0");
  Context* c = Handles::context(ctx.id);
  if (c == nullptr) return Handles::refuse(ctx.id, "context");
  uint64_t ids[Context::kReadyMost];
  Code code = c->ready(ids, capacity, count, timeout_ns);
  for (uint32_t i = 0; i < *count; ++i) events[i] = event_of(ids[i]);
  return code;
}

int32_t rc_progress_all(rc_ctx ctx) {
  Context* c = Handles::context(ctx.id);
  return c != nullptr ? c->progress() : Handles::refuse(ctx.id, "context");
}

// ----------------------------------------------------------------------------------------------------------------
// connection

int32_t rc_listen(rc_ctx ctx, const char* uri, const rc_channel_config* config, rc_listener* listener) {
  if (listener == nullptr) return null_argument("listener");
  listener->id = 0;
  Context* c = Handles::context(ctx.id);
  if (c == nullptr) return Handles::refuse(ctx.id, "context");
  ChannelParams params;
  Code code = read_channel_params(config, c->limits(), &params);
  if (code == kOk) code = c->listen(uri, params, &listener->id);
  return code == kOk ? c->adopt_listener(&listener->id) : code;
}

int32_t rc_accept(rc_listener listener, int64_t timeout_ns, rc_channel* channel) {
  if (channel == nullptr) return null_argument("channel");
  channel->id = 0;
  Listener* l = Handles::listener(listener.id);
  if (l == nullptr) return Handles::refuse(listener.id, "listener");
  Context* c = Handles::owner(listener.id);
  Code code = c->accept(l, listener.id, timeout_ns, &channel->id);
  return code == kOk ? c->adopt_channel(&channel->id) : code;
}

int32_t rc_listener_fd(rc_listener listener, int32_t* fd) {
  if (fd == nullptr) return null_argument("fd");
  *fd = -1;
  Listener* l = Handles::listener(listener.id);
  if (l == nullptr) return Handles::refuse(listener.id, "listener");
  if (l->point->fd < 0)
    return fail(kUnsupported, "a listener over %s has no descriptor to wait on", l->point->ops->scheme);
  *fd = l->point->fd;
  return kOk;
}

int32_t rc_listener_uri(rc_listener listener, char* uri, size_t capacity) {
  if (uri == nullptr) return null_argument("uri");
  Listener* l = Handles::listener(listener.id);
  if (l == nullptr) return Handles::refuse(listener.id, "listener");
  return write_text(uri, capacity, l->point->uri.text);
}

int32_t rc_listener_choice(rc_listener listener, char* text, size_t capacity) {
  if (text == nullptr) return null_argument("text");
  Listener* l = Handles::listener(listener.id);
  if (l == nullptr) return Handles::refuse(listener.id, "listener");
  bool list = l->point->ops == &kFallbackBackend;
  return write_text(text, capacity, list ? static_cast<FallbackPoint*>(l->point)->choice : "");
}

int32_t rc_listener_close(rc_listener listener) {
  Listener* l = Handles::listener(listener.id);
  if (l == nullptr) return Handles::refuse(listener.id, "listener");
  return Handles::owner(listener.id)->close_listener(l, listener.id);
}

int32_t rc_connect(rc_ctx ctx, const char* uri, const rc_channel_config* config, int64_t timeout_ns,
                   rc_channel* channel) {
  if (channel == nullptr) return null_argument("channel");
  channel->id = 0;
  Context* c = Handles::context(ctx.id);
  if (c == nullptr) return Handles::refuse(ctx.id, "context");
  ChannelParams params;
  Code code = read_channel_params(config, c->limits(), &params);
  if (code == kOk) code = c->connect(uri, params, timeout_ns, &channel->id);
  return code == kOk ? c->adopt_channel(&channel->id) : code;
}

int32_t rc_attach(rc_ctx ctx, const rc_attach_config* config, rc_channel* channel) {
  if (channel == nullptr) return null_argument("channel");
  channel->id = 0;
  Context* c = Handles::context(ctx.id);
  if (c == nullptr) return Handles::refuse(ctx.id, "context");
  AttachParams params;
  Code code = read_attach_params(config, &params);
  if (code == kOk) code = c->attach(params, &channel->id);
  return code == kOk ? c->adopt_channel(&channel->id) : code;
}

uint64_t rc_attach_overhead(void) { return kRingOffset; }

int32_t rc_channel_close(rc_channel channel) {
  Channel* c = Handles::channel(channel.id);
  if (c == nullptr) return Handles::refuse(channel.id, "channel");
  return Handles::owner(channel.id)->close_given_channel(c, channel.id);
}

}  // extern "C"
