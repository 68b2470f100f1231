// The C ABI of channels: handles become objects, the fast path is tried, everything else is core's.
// Declared here first, with the visibility that the rest of the library does not have.
#pragma GCC visibility push(default)
#include "capi/rc.h"
#pragma GCC visibility pop

#include <string.h>

#include "capi/config.h"
#include "capi/inside.h"
#include "core/channel.h"
#include "core/context.h"

namespace rc {
namespace {

constexpr uint32_t kVersionNumber = 200;  // 0.2.0
constexpr uint32_t kSpansMax = 1024;

static_assert(sizeof(Span) == sizeof(rc_span) && offsetof(Span, bytes) == offsetof(rc_span, bytes));
static_assert(sizeof(ConstSpan) == sizeof(rc_const_span) &&
              offsetof(ConstSpan, bytes) == offsetof(rc_const_span, bytes));
static_assert(kWouldBlock == RC_E_WOULD_BLOCK && kStopped == RC_E_STOPPED && kInvalid == RC_E_INVALID &&
              kNameInUse == RC_E_NAME_IN_USE);
static_assert(kClosed == RC_E_CLOSED && kClosing == RC_E_CLOSING && kNoMemory == RC_E_NO_MEMORY &&
              kSystem == RC_E_SYSTEM);
static_assert(kWaitAdaptive == RC_WAIT_ADAPTIVE && kWaitSpin == RC_WAIT_SPIN && kWaitSleep == RC_WAIT_SLEEP);

template <class Spans>
Code sum_of(const Spans* spans, uint32_t count, size_t* sum) noexcept {
  if (count > kSpansMax) return fail(kInvalid, "%u pieces; at most %u are possible", count, kSpansMax);
  if (spans == nullptr && count != 0) return null_argument("spans");
  *sum = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (spans[i].data == nullptr && spans[i].bytes != 0) return null_argument("a piece's data");
    if (__builtin_add_overflow(*sum, spans[i].bytes, sum))
      return fail_plain(kInvalid, "the sizes of the pieces overflow");
  }
  return kOk;
}

// A put or get that did not go straight. Never inlined, and with the parameters of rc_put and rc_get, so that those end
// in a jump and save no register.
template <Channel::Amount kAmount, bool kPublish>
__attribute__((noinline)) int32_t put_bytes(rc_channel channel, const void* data, size_t n, int64_t timeout_ns,
                                            size_t* done) noexcept {
  size_t unwanted;
  size_t* moved = done != nullptr ? done : &unwanted;
  *moved = 0;
  if (data == nullptr && n != 0) return null_argument("data");
  return on_side(channel.id, kPutSide, [&](Channel& c) noexcept {
    if (kPublish && n != 0 && c.put_straight(data, n)) {
      *moved = n;
      return kOk;
    }
    ConstSpan span = {data, n};
    return c.put(&span, n, kAmount, kPublish, timeout_ns, moved);
  });
}

template <Channel::Amount kAmount>
__attribute__((noinline)) int32_t get_bytes(rc_channel channel, void* data, size_t n, int64_t timeout_ns,
                                            size_t* done) noexcept {
  size_t unwanted;
  size_t* moved = done != nullptr ? done : &unwanted;
  *moved = 0;
  if (data == nullptr && n != 0) return null_argument("data");
  return on_side(channel.id, kGetSide, [&](Channel& c) noexcept {
    if (kAmount != Channel::Amount::kSome && n != 0 && c.get_straight(data, n, timeout_ns != 0)) {
      *moved = n;
      return kOk;
    }
    Span span = {data, n};
    return c.get(&span, n, kAmount, timeout_ns, moved);
  });
}

// The straight way through: a put or get that needs no wait and no second look.
template <bool kSmall>
__attribute__((always_inline)) inline bool put_straight(uint64_t id, const void* data, size_t n) noexcept {
  Channel* c;
  return data != nullptr && Handles::find(id, &c) && c->put_on_runway<kSmall>(id, data, n);
}

template <bool kSmall>
__attribute__((always_inline)) inline bool get_straight(uint64_t id, void* data, size_t n) noexcept {
  Channel* c;
  return data != nullptr && Handles::find(id, &c) && c->get_on_runway<kSmall>(id, data, n);
}

inline bool is_small(size_t n) noexcept { return n - 1 < kSmallBytes; }  // 1..kSmallBytes

template <Channel::Amount kAmount>
__attribute__((noinline)) int32_t put_medium(rc_channel channel, const void* data, size_t n, int64_t timeout_ns,
                                             size_t* done) noexcept {
  if (n == 0 || !put_straight<false>(channel.id, data, n))
    return put_bytes<kAmount, true>(channel, data, n, timeout_ns, done);
  if (done != nullptr) *done = n;
  return kOk;
}

template <Channel::Amount kAmount>
__attribute__((noinline)) int32_t get_medium(rc_channel channel, void* data, size_t n, int64_t timeout_ns,
                                             size_t* done) noexcept {
  if (n == 0 || !get_straight<false>(channel.id, data, n))
    return get_bytes<kAmount>(channel, data, n, timeout_ns, done);
  if (done != nullptr) *done = n;
  return kOk;
}

}  // namespace
}  // namespace rc

using namespace rc;  // NOLINT: this file is the C ABI of that namespace

extern "C" {

// ----------------------------------------------------------------------------------------------------------------
// library

uint32_t rc_version(void) { return kVersionNumber; }

const char* rc_code_name(int32_t code) { return code_name(code); }

const char* rc_reason(void) { return reason(); }

// ----------------------------------------------------------------------------------------------------------------
// bytes

int32_t rc_put(rc_channel channel, const void* data, size_t n, int64_t timeout_ns, size_t* done) {
  if (__builtin_expect(is_small(n) && put_straight<true>(channel.id, data, n), 1)) {
    if (done != nullptr) *done = n;
    return kOk;
  }
  return put_medium<Channel::Amount::kAll>(channel, data, n, timeout_ns, done);
}

int32_t rc_put_more(rc_channel channel, const void* data, size_t n, int64_t timeout_ns, size_t* done) {
  return put_bytes<Channel::Amount::kAll, false>(channel, data, n, timeout_ns, done);
}

int32_t rc_flush(rc_channel channel) {
  return on_side(channel.id, kPutSide, [](Channel& c) noexcept { return c.flush(); });
}

int32_t rc_sync(rc_channel channel, int64_t timeout_ns) {
  return on_side(channel.id, kPutSide, [&](Channel& c) noexcept { return c.sync(timeout_ns); });
}

int32_t rc_get(rc_channel channel, void* data, size_t n, int64_t timeout_ns, size_t* done) {
  if (__builtin_expect(is_small(n) && get_straight<true>(channel.id, data, n), 1)) {
    if (done != nullptr) *done = n;
    return kOk;
  }
  return get_medium<Channel::Amount::kAll>(channel, data, n, timeout_ns, done);
}

int32_t rc_try_put(rc_channel channel, const void* data, size_t n) {
  if (is_small(n) && put_straight<true>(channel.id, data, n)) return kOk;
  return put_medium<Channel::Amount::kTry>(channel, data, n, 0, nullptr);
}

int32_t rc_try_get(rc_channel channel, void* data, size_t n) {
  if (is_small(n) && get_straight<true>(channel.id, data, n)) return kOk;
  return get_medium<Channel::Amount::kTry>(channel, data, n, 0, nullptr);
}

int32_t rc_put_some(rc_channel channel, const void* data, size_t n, size_t* done) {
  if (done == nullptr) return null_argument("done");
  return put_bytes<Channel::Amount::kSome, true>(channel, data, n, 0, done);
}

int32_t rc_get_some(rc_channel channel, void* data, size_t n, int64_t timeout_ns, size_t* done) {
  if (done == nullptr) return null_argument("done");
  return get_bytes<Channel::Amount::kSome>(channel, data, n, timeout_ns, done);
}

int32_t rc_putv(rc_channel channel, const rc_const_span* spans, uint32_t count, int64_t timeout_ns, size_t* done) {
  size_t unwanted, sum = 0;
  size_t* moved = done != nullptr ? done : &unwanted;
  *moved = 0;
  Code code = sum_of(spans, count, &sum);
  if (code != kOk) return code;
  const auto* pieces = reinterpret_cast<const ConstSpan*>(spans);
  return on_side(channel.id, kPutSide, [&](Channel& c) noexcept {
    return c.put(pieces, sum, Channel::Amount::kAll, true, timeout_ns, moved);
  });
}

int32_t rc_getv(rc_channel channel, const rc_span* spans, uint32_t count, int64_t timeout_ns, size_t* done) {
  size_t unwanted, sum = 0;
  size_t* moved = done != nullptr ? done : &unwanted;
  *moved = 0;
  Code code = sum_of(spans, count, &sum);
  if (code != kOk) return code;
  const auto* pieces = reinterpret_cast<const Span*>(spans);
  return on_side(channel.id, kGetSide,
                 [&](Channel& c) noexcept { return c.get(pieces, sum, Channel::Amount::kAll, timeout_ns, moved); });
}

int32_t rc_ready(rc_channel channel, size_t* readable, size_t* writable) {
  Code code = kOk;
  if (readable != nullptr) {
    *readable = 0;
    code = on_side(channel.id, kGetSide, [&](Channel& c) noexcept { return c.ready(readable, nullptr); });
  }
  if (code == kOk && writable != nullptr) {
    *writable = 0;
    code = on_side(channel.id, kPutSide, [&](Channel& c) noexcept { return c.ready(nullptr, writable); });
  }
  return code;
}

// ---------------------------------------------------------------------------------------------------------------- no
// copy

int32_t rc_reserve(rc_channel channel, size_t min, int64_t timeout_ns, rc_span spans[2]) {
  if (spans == nullptr) return null_argument("spans");
  memset(spans, 0, 2 * sizeof spans[0]);
  auto* pieces = reinterpret_cast<Span*>(spans);
  return on_side(channel.id, kPutSide, [&](Channel& c) noexcept { return c.reserve(min, timeout_ns, pieces); });
}

int32_t rc_commit(rc_channel channel, size_t n) {
  return on_side(channel.id, kPutSide, [&](Channel& c) noexcept { return c.commit(n); });
}

int32_t rc_peek(rc_channel channel, size_t min, int64_t timeout_ns, rc_const_span spans[2]) {
  if (spans == nullptr) return null_argument("spans");
  memset(spans, 0, 2 * sizeof spans[0]);
  auto* pieces = reinterpret_cast<ConstSpan*>(spans);
  return on_side(channel.id, kGetSide, [&](Channel& c) noexcept { return c.peek(min, timeout_ns, pieces); });
}

int32_t rc_release(rc_channel channel, size_t n) {
  return on_side(channel.id, kGetSide, [&](Channel& c) noexcept { return c.release(n); });
}

// ----------------------------------------------------------------------------------------------------------------
// messages

int32_t rc_send(rc_channel channel, const void* data, size_t n, const uint32_t* imm, int64_t timeout_ns, size_t* done) {
  size_t unwanted;
  size_t* moved = done != nullptr ? done : &unwanted;
  *moved = 0;
  if (data == nullptr && n != 0) return null_argument("data");
  return on_side(channel.id, kPutSide, [&](Channel& c) noexcept { return c.send(data, n, imm, timeout_ns, moved); });
}

int32_t rc_recv(rc_channel channel, void* data, size_t capacity, size_t* n, uint32_t* imm, uint32_t* has_imm,
                int64_t timeout_ns) {
  if (n == nullptr) return null_argument("n");
  *n = 0;
  if (data == nullptr && capacity != 0) return null_argument("data");
  return on_side(channel.id, kGetSide,
                 [&](Channel& c) noexcept { return c.recv(data, capacity, n, imm, has_imm, timeout_ns); });
}

int32_t rc_message_view(rc_channel channel, rc_const_span spans[2], size_t* n, uint32_t* imm, uint32_t* has_imm,
                        int64_t timeout_ns) {
  if (n == nullptr) return null_argument("n");
  *n = 0;
  if (spans == nullptr) return null_argument("spans");
  spans[0] = spans[1] = {nullptr, 0};
  return on_side(channel.id, kGetSide, [&](Channel& c) noexcept {
    ConstSpan view[2] = {};
    Code code = c.view(view, n, imm, has_imm, timeout_ns);
    for (int i = 0; code == kOk && i < 2; ++i) spans[i] = {view[i].data, view[i].bytes};
    return code;
  });
}

int32_t rc_message_release(rc_channel channel) {
  return on_side(channel.id, kGetSide, [](Channel& c) noexcept { return c.end_view(); });
}

// ----------------------------------------------------------------------------------------------------------------
// looking

int32_t rc_channel_fd(rc_channel channel, int32_t* fd) {
  if (fd == nullptr) return null_argument("fd");
  *fd = -1;
  return on_side(channel.id, kGetSide, [&](Channel& c) noexcept {
    Code code = c.enter(kPutSide, channel.id);  // on both sides, so nobody else is
    if (code == kBusy) return refuse_second_thread();
    if (code != kOk) return refuse_channel(code, channel.id);
    code = c.descriptor(fd);
    c.leave(kPutSide);
    return code;
  });
}

int32_t rc_progress(rc_channel channel) {
  return on_side(channel.id, kGetSide, [](Channel& c) noexcept { return c.progress(); });
}

int32_t rc_channel_info(rc_channel channel, rc_info* info) {
  if (info == nullptr) return null_argument("info");
  return on_channel(channel.id, [&](Channel& c) noexcept {
    const Link* link = c.link();
    rc_info full = {};
    full.state = c.over();
    full.ring_bytes = link->ring_bytes;
    full.peer_pid = link->peer_pid;
    full.peer_uid = link->peer_uid;
    strncpy(full.backend, link->ops->scheme, sizeof full.backend - 1);
    memcpy(full.uri, link->uri, sizeof full.uri);
    memcpy(full.identity, link->identity, sizeof full.identity);
    return write_answer(info, info->size, &full, sizeof full, "rc_info");
  });
}

int32_t rc_channel_choice(rc_channel channel, char* text, size_t capacity) {
  if (text == nullptr) return null_argument("text");
  return on_channel(channel.id, [&](Channel& c) noexcept { return write_text(text, capacity, c.link()->choice); });
}

int32_t rc_channel_counters(rc_channel channel, rc_counters* counters) {
  if (counters == nullptr) return null_argument("counters");
  return on_channel(channel.id, [&](Channel& c) noexcept {
    Channel::Counts n = c.counts();
    rc_counters full = {0,           0,           n.put_bytes, n.got_bytes, n.sent_messages, n.received_messages,
                        n.put_waits, n.get_waits, n.sleeps,    n.rings};
    return write_answer(counters, counters->size, &full, sizeof full, "rc_counters");
  });
}

int32_t rc_channel_figure(rc_channel channel, const char* name, int64_t* value) {
  if (name == nullptr) return null_argument("name");
  if (value == nullptr) return null_argument("value");
  *value = 0;
  return on_side(channel.id, kGetSide, [&](Channel& c) noexcept {
    Link* link = c.link();
    const Ops::Counts ops = c.ops() != nullptr ? c.ops()->counts() : Ops::Counts{};
    Figure figures[kFiguresMost] = {{"ring_bytes", static_cast<int64_t>(link->ring_bytes)},
                                    {"op_ring_bytes", link->op_ring_bytes},
                                    {"op_requests", link->requests},
                                    {"op_posted", static_cast<int64_t>(ops.posted)},
                                    {"op_served", static_cast<int64_t>(ops.served)}};
    constexpr uint32_t kOfAll = 5;
    uint32_t n = kOfAll + link->ops->extras->figures(link, figures + kOfAll, kFiguresMost - kOfAll);
    char names[500] = "";
    for (uint32_t i = 0; i < n; ++i) {
      if (strcmp(figures[i].name, name) == 0) {
        *value = figures[i].value;
        return kOk;
      }
      strncat(names, " ", sizeof names - strlen(names) - 1);
      strncat(names, figures[i].name, sizeof names - strlen(names) - 1);
    }
    return fail(kInvalid, "a channel over %s has no figure \"%s\"; it has:%s", link->ops->scheme, name, names);
  });
}

}  // extern "C"
