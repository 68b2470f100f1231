// The C ABI of raw endpoints.
#pragma GCC visibility push(default)
#include "capi/rc.h"
#pragma GCC visibility pop

#include <string.h>

#include "capi/config.h"
#include "capi/inside.h"
#include "core/context.h"

namespace rc {
namespace {

constexpr uint32_t kCompletionsMost = 64;  // taken at once

template <class F>
Code on_raw(uint64_t id, F f) noexcept {
  Listener* l = Handles::raw(id);
  if (l == nullptr) return Handles::refuse(id, "raw endpoint");
  Context* c = Handles::owner(id);
  return c->at_raw(l, id, [&](const RawTable& table, ListenPoint* point) noexcept { return f(*c, table, point); });
}

Code post(uint64_t id, const RawRequest& request) noexcept {
  return on_raw(id, [&](Context& c, const RawTable& table, ListenPoint* point) noexcept {
    return table.post(c, point, request);
  });
}

rc_raw_completion answer_of(const RawCompletion& c) noexcept {
  rc_raw_completion answer = {};
  answer.tag = c.tag;
  answer.code = c.code;
  answer.kind = c.sent ? RC_RAW_SENT : RC_RAW_RECEIVED;
  answer.bytes = c.bytes;
  answer.has_imm = c.has_imm ? 1 : 0;
  answer.imm = c.imm;
  answer.reason = c.why != nullptr ? c.why : "";
  return answer;
}

}  // namespace
}  // namespace rc

using namespace rc;  // NOLINT: this file is the C ABI of that namespace

extern "C" {

int32_t rc_raw_open(rc_ctx ctx, const char* uri, rc_raw_address* address, rc_raw* raw) {
  if (raw == nullptr) return null_argument("raw");
  raw->id = 0;
  if (address == nullptr) return null_argument("address");
  Context* c = Handles::context(ctx.id);
  if (c == nullptr) return Handles::refuse(ctx.id, "context");
  ChannelParams params;
  rc_raw_address full = {};
  Code code = write_answer(address, address->size, &full, sizeof full, "rc_raw_address");
  if (code == kOk) code = read_channel_params(nullptr, c->limits(), &params);
  RawAddress own = {};
  if (code == kOk) code = c->open_raw(uri, params, &own, &raw->id);
  if (code != kOk) return code;
  full.qp_num = own.qp_num;
  full.psn = own.psn;
  full.lid = own.lid;
  full.mtu = own.mtu;
  memcpy(full.gid, own.gid, sizeof full.gid);
  return write_answer(address, address->size, &full, sizeof full, "rc_raw_address");
}

int32_t rc_raw_connect(rc_raw raw, const rc_raw_address* peer) {
  if (peer == nullptr) return null_argument("peer");
  RawAddress address;
  Code code = read_raw_address(peer, &address);
  if (code != kOk) return code;
  return on_raw(raw.id, [&](Context&, const RawTable& table, ListenPoint* point) noexcept {
    return table.connect(point, address);
  });
}

int32_t rc_raw_post_recv(rc_raw raw, rc_mr mr, uint64_t offset, uint64_t bytes, uint64_t tag) {
  return post(raw.id, {false, false, 0, mr.id, offset, bytes, tag});
}

int32_t rc_raw_post_send(rc_raw raw, rc_mr mr, uint64_t offset, uint64_t bytes, const uint32_t* imm, uint64_t tag) {
  return post(raw.id, {true, imm != nullptr, imm != nullptr ? *imm : 0, mr.id, offset, bytes, tag});
}

int32_t rc_raw_poll(rc_raw raw, rc_raw_completion* completions, uint32_t capacity, int64_t timeout_ns,
                    uint32_t* count) {
  if (count == nullptr) return null_argument("count");
  *count = 0;
  if (completions == nullptr) return null_argument("completions");
  if (capacity == 0) return fail_plain(kInvalid, "rc_raw_poll: the capacity is 0");
  RawCompletion taken[kCompletionsMost];
  Code code = on_raw(raw.id, [&](Context& c, const RawTable& table, ListenPoint* point) noexcept {
    uint32_t most = capacity < kCompletionsMost ? capacity : kCompletionsMost;
    return table.poll(c, point, taken, most, count, Deadline::after(timeout_ns));
  });
  for (uint32_t i = 0; i < *count; ++i) completions[i] = answer_of(taken[i]);
  return code == kTimeout && timeout_ns == 0 ? fail_plain(kWouldBlock, "nothing has completed") : code;
}

int32_t rc_raw_close(rc_raw raw) {
  Listener* l = Handles::raw(raw.id);
  if (l == nullptr) return Handles::refuse(raw.id, "raw endpoint");
  return Handles::owner(raw.id)->close_listener(l, raw.id);
}

}  // extern "C"
