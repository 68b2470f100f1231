// The C ABI of memory regions and one-sided operations: arguments are checked, everything else is core's.
#pragma GCC visibility push(default)
#include "capi/rc.h"
#pragma GCC visibility pop

#include <stddef.h>
#include <string.h>

#include "capi/config.h"
#include "capi/inside.h"
#include "core/ops.h"
#include "core/pool_memory.h"

namespace rc {
namespace {

static_assert(kRead == RC_MR_READ && kWrite == RC_MR_WRITE && kAtomic == RC_MR_ATOMIC && kDirect == RC_MR_DIRECT);
static_assert(kRights == RC_E_RIGHTS && kLimit == RC_E_LIMIT && kRevoked == RC_E_REVOKED && kFault == RC_E_FAULT);
static_assert(kLeaseDefaultNs == RC_LEASE_DEFAULT && kLeaseMaxNs == RC_LEASE_MAX && kLeaseNone == RC_LEASE_NONE);

constexpr uint64_t kTokenMagic = 0x3130'6e65'6b6f'7472;  // "rtoken01"

// What travels out of band; as opaque to its bearer as a handle.
struct Token {
  uint64_t magic;
  RemoteKey key;
  uint64_t bytes;
  int64_t left_ns;
  uint32_t rights;
  uint32_t reserved[3];
};
static_assert(sizeof(Token) == RC_TOKEN_BYTES);

Code check_access(const char* what, uint32_t access) noexcept {
  if (access != 0 && (access & ~kAllRights) == 0) return kOk;
  return fail(kInvalid, "%s is %#x, not one or more of RC_MR_READ, RC_MR_WRITE, RC_MR_ATOMIC", what, access);
}

Code check_lease(int64_t* lease_ns) noexcept {
  if (*lease_ns == 0) *lease_ns = kLeaseDefaultNs;
  if (*lease_ns < 0) return fail_plain(kInvalid, "lease_ns is negative; 0 is the default");
  if (*lease_ns <= kLeaseMaxNs) return kOk;
  return fail(kLimit, "a lease of %lld ns is above RC_LEASE_MAX", static_cast<long long>(*lease_ns));
}

int64_t left_of(const Lease& lease) noexcept {
  if (lease.expires_ns == kNeverNs) return RC_LEASE_NONE;
  int64_t now = now_ns();
  return lease.expires_ns > now ? lease.expires_ns - now : 0;
}

Code check_direct(bool announced, int64_t* lease_ns) noexcept {
  if (!announced) return fail_plain(kInvalid, "RC_MR_DIRECT and RC_MR_BY_TOKEN: no token leads to mapped memory");
  return *lease_ns == RC_LEASE_NONE ? kOk : check_lease(lease_ns);
}

Code write_lease(const Lease& lease, int64_t left_ns, rc_lease* answer) noexcept {
  rc_lease full = {0, lease.rights, lease.bytes, left_ns};
  return write_answer(answer, answer->size, &full, sizeof full, "rc_lease");
}

Code operate(const Operation& operation, rc_request* request) noexcept {
  if (request != nullptr) request->id = 0;
  return on_part(operation.remote, "remote memory", kPutSide, [&](Channel& c) noexcept {
    return c.operate(operation, request != nullptr ? &request->id : nullptr);
  });
}

Code operate_list(Operation operation, const rc_slice* slices, uint32_t count, rc_request* request) noexcept {
  if (request != nullptr) request->id = 0;
  if (slices == nullptr) return null_argument("slices");
  if (count == 0 || count > kPiecesMax) return fail(kInvalid, "count is %u, not in 1..%u", count, kPiecesMax);
  static_assert(sizeof(rc_slice) == sizeof(Slice) && kPiecesMax == RC_SLICES_MAX);
  Slice pieces[kPiecesMax];
  for (uint32_t i = 0; i < count; ++i) {
    pieces[i] = {slices[i].mr.id, slices[i].offset, slices[i].bytes};
    if (__builtin_add_overflow(operation.bytes, slices[i].bytes, &operation.bytes))
      return fail_plain(kRange, "the slices together have more than 2^64 bytes");
  }
  operation.pieces = pieces;
  operation.pieces_count = count;
  return operate(operation, request);
}

}  // namespace
}  // namespace rc

using namespace rc;  // NOLINT: this file is the C ABI of that namespace

extern "C" {

// ------------------------------------------------------------------------------------------------------------- regions

int32_t rc_mr_alloc(rc_ctx ctx, uint64_t bytes, uint32_t flags, rc_mr* mr) {
  if (mr == nullptr) return null_argument("mr");
  mr->id = 0;
  Context* c = Handles::context(ctx.id);
  if (c == nullptr) return Handles::refuse(ctx.id, "context");
  if ((flags & ~RC_MR_UNINITIALISED) != 0) return fail(kInvalid, "rc_mr_alloc: flags %#x are unknown", flags);
  return c->alloc_region(bytes, flags == 0, &mr->id);
}

int32_t rc_mr_reg(rc_ctx ctx, void* address, uint64_t bytes, uint32_t access, rc_mr* mr) {
  if (mr == nullptr) return null_argument("mr");
  mr->id = 0;
  Context* c = Handles::context(ctx.id);
  if (c == nullptr) return Handles::refuse(ctx.id, "context");
  Code code = check_access("access", access);
  return code == kOk ? c->enroll_region(address, bytes, access, &mr->id) : code;
}

int32_t rc_mr_free(rc_mr mr) {
  Context* c = Handles::home(mr.id);
  return c != nullptr ? c->free_region(mr.id) : Handles::refuse(mr.id, "region");
}

int32_t rc_mr_info(rc_mr mr, rc_region* region) {
  if (region == nullptr) return null_argument("region");
  Context* c = Handles::home(mr.id);
  if (c == nullptr) return Handles::refuse(mr.id, "region");
  Regions::Info info = {};
  Code code = c->regions().info(mr.id, &info);
  if (code != kOk) return code;
  auto page_bytes = static_cast<uint32_t>(c->limits().huge_pages ? kHugePage : kRegionPage);
  rc_region full = {0,
                    info.access,
                    info.address,
                    info.bytes,
                    info.registered,
                    info.requests,
                    info.grants,
                    info.registered ? 0 : page_bytes};
  return write_answer(region, region->size, &full, sizeof full, "rc_region");
}

// -------------------------------------------------------------------------------------------------------------- grants

int32_t rc_mr_grant(rc_channel channel, rc_mr mr, uint64_t offset, uint64_t bytes, uint32_t rights, int64_t lease_ns,
                    rc_grant* grant) {
  if (grant == nullptr) return null_argument("grant");
  grant->id = 0;
  bool direct = (rights & RC_MR_DIRECT) != 0, announced = (rights & RC_MR_BY_TOKEN) == 0;
  Code code = check_access("rights", rights & ~(RC_MR_BY_TOKEN | RC_MR_DIRECT));
  if (code == kOk) code = direct ? check_direct(announced, &lease_ns) : check_lease(&lease_ns);
  if (code != kOk) return code;
  return on_side(channel.id, kPutSide, [&](Channel& c) noexcept {
    return c.grant(mr.id, offset, bytes, rights & (kAllRights | kDirect), lease_ns, announced, &grant->id);
  });
}

int32_t rc_grant_revoke(rc_grant grant) {
  return on_part(grant.id, "grant", kPutSide, [&](Channel& c) noexcept { return c.revoke(grant.id); });
}

int32_t rc_grant_info(rc_grant grant, rc_lease* lease) {
  if (lease == nullptr) return null_argument("lease");
  return on_part(grant.id, "grant", kPutSide, [&](Channel& c) noexcept {
    Lease found = {};
    int64_t left_ns = 0;
    Code code = c.ops()->grant_lease(grant.id, &found, &left_ns);
    return code == kOk ? write_lease(found, left_ns, lease) : code;
  });
}

int32_t rc_grant_token(rc_grant grant, uint8_t token[RC_TOKEN_BYTES]) {
  if (token == nullptr) return null_argument("token");
  return on_part(grant.id, "grant", kPutSide, [&](Channel& c) noexcept {
    Lease lease = {};
    int64_t left_ns = 0;
    Code code = c.ops()->grant_lease(grant.id, &lease, &left_ns);
    if (left_ns == RC_LEASE_NONE) left_ns = kLeaseMaxNs;
    Token full = {kTokenMagic, lease.key, lease.bytes, left_ns, lease.rights & kAllRights, {}};
    if (code == kOk) memcpy(token, &full, sizeof full);
    return code;
  });
}

int32_t rc_mr_take_back(rc_channel channel, int64_t timeout_ns, rc_mr* mr) {
  if (mr == nullptr) return null_argument("mr");
  mr->id = 0;
  return on_side(channel.id, kGetSide, [&](Channel& c) noexcept { return c.region_get(timeout_ns, &mr->id); });
}

// ------------------------------------------------------------------------------------------------------- remote memory

int32_t rc_remote_get(rc_channel channel, int64_t timeout_ns, rc_remote* remote) {
  if (remote == nullptr) return null_argument("remote");
  remote->id = 0;
  return on_side(channel.id, kGetSide, [&](Channel& c) noexcept { return c.remote_get(timeout_ns, &remote->id); });
}

int32_t rc_remote_open(rc_channel channel, const uint8_t token[RC_TOKEN_BYTES], rc_remote* remote) {
  if (remote == nullptr) return null_argument("remote");
  remote->id = 0;
  if (token == nullptr) return null_argument("token");
  Token t;
  memcpy(&t, token, sizeof t);
  bool sensible = t.magic == kTokenMagic && t.bytes != 0 && t.left_ns >= 0 && t.left_ns <= kLeaseMaxNs &&
                  t.rights != 0 && (t.rights & ~kAllRights) == 0 && t.reserved[0] == 0 && t.reserved[1] == 0 &&
                  t.reserved[2] == 0;
  if (!sensible) return fail_plain(kInvalid, "these bytes are no token of rc_grant_token");
  return on_side(channel.id, kPutSide, [&](Channel& c) noexcept {
    Code code = c.ops_gate();
    return code == kOk ? c.ops()->open_token({t.key, t.bytes, t.rights, now_ns() + t.left_ns}, &remote->id) : code;
  });
}

int32_t rc_remote_alloc(rc_channel channel, uint64_t bytes, uint32_t rights, int64_t lease_ns, int64_t timeout_ns,
                        rc_remote* remote) {
  if (remote == nullptr) return null_argument("remote");
  remote->id = 0;
  if (bytes == 0) return fail_plain(kSize, "0 bytes of remote memory cannot be asked for");
  Code code = check_access("rights", rights);
  if (code == kOk) code = check_lease(&lease_ns);
  if (code != kOk) return code;
  return on_side(channel.id, kPutSide,
                 [&](Channel& c) noexcept { return c.remote_alloc(bytes, rights, lease_ns, timeout_ns, &remote->id); });
}

int32_t rc_remote_info(rc_remote remote, rc_lease* lease) {
  if (lease == nullptr) return null_argument("lease");
  return on_part(remote.id, "remote memory", kPutSide, [&](Channel& c) noexcept {
    Lease found = {};
    Code code = c.ops()->remote_lease(remote.id, &found);
    return code == kOk ? write_lease(found, left_of(found), lease) : code;
  });
}

int32_t rc_remote_give_back(rc_remote remote, int64_t timeout_ns) {
  return on_part(remote.id, "remote memory", kPutSide,
                 [&](Channel& c) noexcept { return c.remote_return(remote.id, timeout_ns); });
}

int32_t rc_remote_release(rc_remote remote) {
  return on_part(remote.id, "remote memory", kPutSide,
                 [&](Channel& c) noexcept { return c.remote_release(remote.id); });
}

// ---------------------------------------------------------------------------------------------------------- operations

int32_t rc_write(rc_mr mr, uint64_t offset, rc_remote remote, uint64_t remote_offset, uint64_t bytes,
                 rc_request* request) {
  return operate({kOpWrite, remote.id, remote_offset, mr.id, offset, bytes, 0, 0, 0}, request);
}

int32_t rc_write_imm(rc_mr mr, uint64_t offset, rc_remote remote, uint64_t remote_offset, uint64_t bytes, uint32_t imm,
                     rc_request* request) {
  return operate({kOpWriteImm, remote.id, remote_offset, mr.id, offset, bytes, 0, 0, imm}, request);
}

int32_t rc_read(rc_mr mr, uint64_t offset, rc_remote remote, uint64_t remote_offset, uint64_t bytes,
                rc_request* request) {
  return operate({kOpRead, remote.id, remote_offset, mr.id, offset, bytes, 0, 0, 0}, request);
}

int32_t rc_compare_swap(rc_remote remote, uint64_t remote_offset, uint64_t expected, uint64_t desired,
                        rc_request* request) {
  return operate({kOpSwap, remote.id, remote_offset, 0, 0, sizeof(uint64_t), desired, expected, 0}, request);
}

int32_t rc_fetch_add(rc_remote remote, uint64_t remote_offset, uint64_t addend, rc_request* request) {
  return operate({kOpAdd, remote.id, remote_offset, 0, 0, sizeof(uint64_t), addend, 0, 0}, request);
}

int32_t rc_imm_get(rc_channel channel, int64_t timeout_ns, uint32_t* imm) {
  if (imm == nullptr) return null_argument("imm");
  return on_side(channel.id, kGetSide, [&](Channel& c) noexcept { return c.imm_get(timeout_ns, imm); });
}

int32_t rc_writev(const rc_slice* slices, uint32_t count, rc_remote remote, uint64_t remote_offset, const uint32_t* imm,
                  rc_request* request) {
  return operate_list(
      {imm != nullptr ? kOpWriteImm : kOpWrite, remote.id, remote_offset, 0, 0, 0, 0, 0, imm != nullptr ? *imm : 0},
      slices, count, request);
}

int32_t rc_readv(const rc_slice* slices, uint32_t count, rc_remote remote, uint64_t remote_offset,
                 rc_request* request) {
  return operate_list({kOpRead, remote.id, remote_offset, 0, 0, 0, 0, 0, 0}, slices, count, request);
}

// ------------------------------------------------------------------------------------------------------------ requests

int32_t rc_request_wait(rc_request request, int64_t timeout_ns, uint64_t* value) {
  uint32_t first = 0;
  return on_part(request.id, "request", kPutSide,
                 [&](Channel& c) noexcept { return c.request_wait(&request.id, 1, timeout_ns, &first, value); });
}

int32_t rc_request_test(rc_request request, uint64_t* value) { return rc_request_wait(request, 0, value); }

int32_t rc_request_wait_any(const rc_request* requests, uint32_t count, int64_t timeout_ns, uint32_t* index,
                            uint64_t* value) {
  if (requests == nullptr) return null_argument("requests");
  if (index == nullptr) return null_argument("index");
  if (count == 0 || count > kRequestsMax) return fail(kInvalid, "count is %u, not in 1..%u", count, kRequestsMax);
  for (uint32_t i = 1; i < count; ++i) {
    if (Handles::part_of(requests[i].id) != Handles::part_of(requests[0].id))
      return fail_plain(kInvalid, "the requests are not all of one channel");
  }
  static_assert(sizeof(rc_request) == sizeof(uint64_t));
  const auto* ids = reinterpret_cast<const uint64_t*>(requests);
  return on_part(requests[0].id, "request", kPutSide,
                 [&](Channel& c) noexcept { return c.request_wait(ids, count, timeout_ns, index, value); });
}

int32_t rc_request_queue(rc_request request, uint64_t tag) {
  return on_part(request.id, "request", kPutSide, [&](Channel& c) noexcept { return c.ops()->queue(request.id, tag); });
}

int32_t rc_completions_get(rc_channel channel, rc_completion* completions, uint32_t capacity, int64_t timeout_ns,
                           uint32_t* count) {
  if (count == nullptr) return null_argument("count");
  *count = 0;
  if (completions == nullptr) return null_argument("completions");
  if (capacity == 0) return fail_plain(kInvalid, "capacity is 0: no completion could be told");
  static_assert(sizeof(rc_completion) == sizeof(Completion) &&
                offsetof(rc_completion, code) == offsetof(Completion, code) &&
                offsetof(rc_completion, reason) == offsetof(Completion, reason));
  auto* to = reinterpret_cast<Completion*>(completions);
  return on_side(channel.id, kPutSide,
                 [&](Channel& c) noexcept { return c.completions_get(to, capacity, timeout_ns, count); });
}

int32_t rc_request_cancel(rc_request request) {
  return on_part(request.id, "request", kPutSide, [&](Channel& c) noexcept { return c.request_cancel(request.id); });
}

}  // extern "C"
