#include "harness/conformance/memory_actor.h"

#include <string.h>

namespace conformance {

uint8_t* MemoryActor::bytes(uint32_t item, uint64_t* n) {
  rc_region region = {};
  region.size = sizeof region;
  if (rc_mr_info(mrs_[item], &region) != RC_OK) return nullptr;
  if (n != nullptr) *n = region.bytes;
  return static_cast<uint8_t*>(region.address);
}

int32_t MemoryActor::alloc(rc_ctx ctx, const Call& call) {
  int32_t code = rc_mr_alloc(ctx, call.n, 0, &mrs_[call.item]);
  if (code == RC_OK) memset(bytes(call.item), static_cast<int>(call.value), call.n);
  return code;
}

int32_t MemoryActor::count(const Call& call, Reply* reply) {
  const uint8_t* at = bytes(call.item);
  if (at == nullptr) return RC_E_HANDLE;
  at += call.offset;
  while (reply->done < call.n && at[reply->done] == call.value) ++reply->done;
  reply->wrong = reply->done;
  if (call.n >= sizeof reply->value) memcpy(&reply->value, at, sizeof reply->value);
  return RC_OK;
}

int32_t MemoryActor::grant(rc_channel channel, const Call& call, Reply* reply) {
  rc_grant* grant = &grants_[call.item];
  int32_t code = rc_mr_grant(channel, mrs_[call.item], call.offset, call.n, call.rights, call.lease_ns, grant);
  static_assert(sizeof reply->text >= RC_TOKEN_BYTES);
  return code == RC_OK ? rc_grant_token(*grant, reinterpret_cast<uint8_t*>(reply->text)) : code;
}

int32_t MemoryActor::operate(rc_channel channel, const Call& call, Reply* reply) {
  rc_mr local = mrs_[call.item];
  rc_remote remote = remotes_[call.item];
  rc_request request{0};
  int32_t code = RC_E_INVALID;
  switch (call.operation) {
    case Operation::kWrite:
      code = rc_write(local, 0, remote, call.offset, call.n, &request);
      break;
    case Operation::kRead:
      code = rc_read(local, 0, remote, call.offset, call.n, &request);
      break;
    case Operation::kSwap:
      code = rc_compare_swap(remote, call.offset, call.compare, call.value, &request);
      break;
    case Operation::kAdd:
      code = rc_fetch_add(remote, call.offset, call.value, &request);
      break;
  }
  if (code == RC_OK) code = rc_request_wait(request, call.timeout_ns, &reply->value);
  return code == RC_OK && call.has_imm != 0 ? serve(channel, call) : code;
}

int32_t MemoryActor::add_own(rc_channel channel, const Call& call) {
  auto* word = reinterpret_cast<uint64_t*>(bytes(call.item) + call.offset);
  for (uint64_t i = 0; i < call.n; ++i) {
    __atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
    int32_t code = rc_progress(channel);
    if (code != RC_OK) return code;
  }
  return serve(channel, call);
}

// Tells the other end that it is done, and is there for it until it says the same.
int32_t MemoryActor::serve(rc_channel channel, const Call& call) {
  char byte = 'k';
  int32_t code = rc_put(channel, &byte, 1, call.timeout_ns, nullptr);
  return code == RC_OK ? rc_get(channel, &byte, 1, call.timeout_ns, nullptr) : code;
}

int32_t MemoryActor::notices(rc_channel channel, const Call& call, Reply* reply) {
  uint64_t n = 0;
  const uint8_t* at = bytes(call.item, &n);
  for (; reply->done < call.n; ++reply->done) {
    uint32_t notice = 0;
    int32_t code = call.op == Op::kNotices ? rc_get(channel, &notice, 1, call.timeout_ns, nullptr)
                                           : rc_imm_get(channel, call.timeout_ns, &notice);
    if (code != RC_OK) return code;
    uint64_t same = 0;
    while (same < n && at[same] == notice) ++same;
    reply->wrong = reply->done + (same == n ? 1 : 0);
    if (same != n) return RC_E_CORRUPT;
    code = rc_put(channel, "k", 1, call.timeout_ns, nullptr);  // the next one may come
    if (code != RC_OK) return code;
  }
  return RC_OK;
}

int32_t MemoryActor::act(rc_ctx ctx, rc_channel channel, const Call& call, Reply* reply) {
  uint32_t item = call.item;
  switch (call.op) {
    case Op::kMrAlloc:
      return alloc(ctx, call);
    case Op::kMrFree:
      return rc_mr_free(mrs_[item]);
    case Op::kMrFill:
      memset(bytes(item) + call.offset, static_cast<int>(call.value), call.n);
      return RC_OK;
    case Op::kMrCount:
      return count(call, reply);
    case Op::kGrant:
      return grant(channel, call, reply);
    case Op::kRevoke:
      return rc_grant_revoke(grants_[item]);
    case Op::kTakeBack:
      return rc_mr_take_back(channel, call.timeout_ns, &mrs_[item]);
    case Op::kRemoteGet:
      return rc_remote_get(channel, call.timeout_ns, &remotes_[item]);
    case Op::kImmGet:
      return rc_imm_get(channel, call.timeout_ns, &reply->imm);
    case Op::kOperate:
      return operate(channel, call, reply);
    case Op::kAddOwn:
      return add_own(channel, call);
    case Op::kNotices:
    case Op::kImmNotices:
      return notices(channel, call, reply);
    default:
      return RC_E_INVALID;
  }
}

}  // namespace conformance
