#include "harness/failpoint/scene_regions.h"

#include <fmt/format.h>
#include <string.h>

namespace failpoint {
namespace {

constexpr uint8_t kOwners = 0x0e, kUsers = 0x5e;
constexpr uint32_t kImm = 9, kAll = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;
constexpr uint64_t kHalf = Regions::kBytes / 2;

uint64_t word_at(const uint8_t* at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

bool Regions::make(rc_ctx ctx, rc_channel channel) {
  channel_ = channel;
  rc_region region = {};
  region.size = sizeof region;
  if (!step_("rc_mr_alloc", rc_mr_alloc(ctx, kBytes, 0, &mr_)) ||
      !step_("rc_mr_reg", rc_mr_reg(ctx, own_memory_, kBytes, RC_MR_READ | RC_MR_WRITE, &registered_)) ||
      !step_("rc_mr_info", rc_mr_info(mr_, &region)))
    return false;
  at_ = static_cast<uint8_t*>(region.address);
  return true;
}

void Regions::free() {
  for (rc_mr* mr : {&mr_, &registered_}) {
    int32_t code = mr->id != 0 ? rc_mr_free(*mr) : RC_OK;
    if (code != RC_OK) complain_(fmt::format("rc_mr_free after the end: {}: {}", rc_code_name(code), rc_reason()));
    *mr = {0};
  }
}

void Regions::expect(uint64_t from, uint64_t n, uint8_t value, const char* what) {
  for (uint64_t i = from; i < from + n; ++i) {
    if (at_[i] != value) return complain_(fmt::format("{}: byte {} is {:#x}", what, i, at_[i]));
  }
}

bool Regions::notice() { return step_("rc_put", rc_put(channel_, "n", 1, timeout_ns_, nullptr)); }
bool Regions::await_notice() {
  char byte;
  return step_("rc_get", rc_get(channel_, &byte, 1, timeout_ns_, nullptr));
}

// -------------------------------------------------------------------------------------------------------------- owner

// One that is announced, one of the registered memory by token.
bool Regions::give(rc_grant grants[2]) {
  uint8_t token[RC_TOKEN_BYTES];
  constexpr uint32_t kByToken = RC_MR_READ | RC_MR_WRITE | RC_MR_BY_TOKEN;
  return step_("rc_mr_grant", rc_mr_grant(channel_, mr_, 0, kBytes, kAll, 0, &grants[0])) &&
         step_("rc_mr_grant", rc_mr_grant(channel_, registered_, 0, kBytes, kByToken, 0, &grants[1])) &&
         step_("rc_grant_token", rc_grant_token(grants[1], token)) &&
         step_("rc_put", rc_put(channel_, token, sizeof token, timeout_ns_, nullptr));
}

bool Regions::own() {
  memset(at_, kOwners, kBytes);
  memset(own_memory_, kOwners, kBytes);
  rc_grant grants[2] = {};
  uint32_t imm = 0;
  rc_lease lease = {};
  lease.size = sizeof lease;
  if (!give(grants) || !step_("rc_imm_get", rc_imm_get(channel_, timeout_ns_, &imm))) return false;
  expect(8, kBytes - 8, kUsers, "what was written");
  if (imm != kImm || own_memory_[kBytes - 1] != kUsers) complain_("the value is there, the bytes are not");
  if (!step_("rc_grant_info", rc_grant_info(grants[0], &lease)) ||
      !step_("rc_grant_revoke", rc_grant_revoke(grants[0])) || !step_("rc_grant_revoke", rc_grant_revoke(grants[1])))
    return false;
  memset(at_, kOwners, kBytes);
  rc_mr back{0};
  if (!notice() || !await_notice() || !step_("rc_mr_take_back", rc_mr_take_back(channel_, timeout_ns_, &back)))
    return false;
  expect(0, kBytes, kOwners, "after rc_grant_revoke");
  rc_region region = {};
  region.size = sizeof region;
  if (!step_("rc_mr_info", rc_mr_info(back, &region))) return false;
  if (*static_cast<uint8_t*>(region.address) != kUsers) complain_("what was given back is not what was written");
  return step_("rc_mr_free", rc_mr_free(back));
}

// --------------------------------------------------------------------------------------------------------------- user

// A refusal is no failure of the system: no fault may lead to one.
bool Regions::finish(rc_request request, uint64_t value) {
  uint64_t got = 0;
  int32_t code = rc_request_wait(request, timeout_ns_, &got);
  if (code > -200 && code != RC_OK) complain_(fmt::format("a request ended with {}", rc_code_name(code)));
  if (code == RC_OK && got != value) complain_(fmt::format("a word held {:#x}, not {:#x}", got, value));
  return step_("rc_request_wait", code);
}

bool Regions::take(rc_remote remotes[2]) {
  uint8_t token[RC_TOKEN_BYTES];
  rc_lease lease = {};
  lease.size = sizeof lease;
  return step_("rc_remote_get", rc_remote_get(channel_, timeout_ns_, &remotes[0])) &&
         step_("rc_get", rc_get(channel_, token, sizeof token, timeout_ns_, nullptr)) &&
         step_("rc_remote_open", rc_remote_open(channel_, token, &remotes[1])) &&
         step_("rc_remote_info", rc_remote_info(remotes[0], &lease));
}

// Reads it all, then writes it all: each is several frames of the op ring.
bool Regions::move(rc_remote remote) {
  rc_request request{0};
  memset(at_, 0, kBytes);
  if (!step_("rc_read", rc_read(mr_, 0, remote, 0, kBytes, &request)) || !finish(request)) return false;
  expect(0, kBytes, kOwners, "what was read");
  memset(at_, kUsers, kBytes);
  const rc_slice list[2] = {{mr_, 0, kHalf}, {mr_, kHalf, kHalf}};
  uint32_t index;
  return step_("rc_write", rc_write(mr_, 0, remote, 0, 8, nullptr)) &&
         step_("rc_writev", rc_writev(list, 2, remote, 0, nullptr, &request)) &&
         step_("rc_request_wait_any", rc_request_wait_any(&request, 1, timeout_ns_, &index, nullptr)) &&
         step_("rc_readv", rc_readv(list, 2, remote, 0, &request)) && finish(request);
}

bool Regions::change(rc_remote remote) {
  rc_request swap{0}, add{0};
  uint64_t was = word_at(at_);
  return step_("rc_compare_swap", rc_compare_swap(remote, 0, was, 40, &swap)) &&
         step_("rc_fetch_add", rc_fetch_add(remote, 0, 2, &add)) && finish(add, 40) && finish(swap, was);
}

// Revoked ones reach nothing.
bool Regions::end(rc_remote remotes[2]) {
  if (!await_notice()) return false;
  rc_request request{0};
  int32_t code = rc_write(mr_, 0, remotes[0], 0, 8, &request);
  if (code == RC_OK) code = rc_request_wait(request, timeout_ns_, nullptr);
  if (code == RC_OK) complain_("a revoked grant was written to");
  if (!step_("rc_request_wait", code == RC_E_REVOKED ? RC_OK : code)) return false;
  return step_("rc_remote_release", rc_remote_release(remotes[0])) &&
         step_("rc_remote_release", rc_remote_release(remotes[1]));
}

// Memory that this end asks for: once it gives it up, once it gives it back.
bool Regions::borrow() {
  rc_remote remote{0};
  rc_request request{0};
  auto ask = [&] { return step_("rc_remote_alloc", rc_remote_alloc(channel_, kBytes, kAll, 0, timeout_ns_, &remote)); };
  return ask() && step_("rc_remote_release", rc_remote_release(remote)) && ask() &&
         step_("rc_write", rc_write(mr_, 0, remote, 0, kBytes, &request)) && finish(request) &&
         step_("rc_remote_give_back", rc_remote_give_back(remote, timeout_ns_)) && notice();
}

bool Regions::use() {
  rc_remote remotes[2] = {};
  rc_request request{0};
  if (!take(remotes) || !move(remotes[0]) || !change(remotes[0])) return false;
  return step_("rc_write_imm", rc_write_imm(mr_, 0, remotes[1], 0, kBytes, kImm, &request)) && finish(request) &&
         end(remotes) && borrow();
}

}  // namespace failpoint
