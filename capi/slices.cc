// The C ABI of slices: bounds, and nothing else.
#pragma GCC visibility push(default)
#include "capi/rc.h"
#pragma GCC visibility pop

#include "capi/inside.h"

namespace rc {
namespace {

Code check_bounds(uint64_t begin, uint64_t end, uint64_t bytes) noexcept {
  using Unsigned = unsigned long long;
  if (begin < end && end <= bytes) return kOk;
  return fail(kRange, "[%llu, %llu) is %s", static_cast<Unsigned>(begin), static_cast<Unsigned>(end),
              begin == end  ? "empty"
              : begin > end ? "reversed"
                            : "not within what it is to be a part of");
}

}  // namespace
}  // namespace rc

using namespace rc;  // NOLINT: this file is the C ABI of that namespace

extern "C" {

int32_t rc_mr_slice(rc_mr mr, uint64_t begin, uint64_t end, rc_slice* slice) {
  if (slice == nullptr) return null_argument("slice");
  *slice = {{0}, 0, 0};
  Context* c = Handles::home(mr.id);
  if (c == nullptr) return Handles::refuse(mr.id, "region");
  Regions::Info info = {};
  Code code = c->regions().info(mr.id, &info);
  if (code == kOk) code = check_bounds(begin, end, info.bytes);
  if (code == kOk) *slice = {mr, begin, end - begin};
  return code;
}

int32_t rc_slice_part(const rc_slice* whole, uint64_t begin, uint64_t end, rc_slice* part) {
  if (whole == nullptr) return null_argument("whole");
  if (part == nullptr) return null_argument("part");
  const rc_slice from = *whole;  // part may be the same
  *part = {{0}, 0, 0};
  Code code = check_bounds(begin, end, from.bytes);
  if (code != kOk) return code;
  if (from.offset > UINT64_MAX - end) return fail_plain(kRange, "the slice reaches beyond 2^64");
  return rc_mr_slice(from.mr, from.offset + begin, from.offset + end, part);
}

int32_t rc_slice_next(rc_slice* rest, uint64_t bytes, rc_slice* next) {
  if (rest == nullptr) return null_argument("rest");
  if (next == nullptr || next == rest) return fail_plain(kInvalid, "next is NULL, or the same as rest");
  int32_t code = rc_slice_part(rest, 0, bytes, next);
  if (code != kOk) return code;
  rest->offset += bytes;
  rest->bytes -= bytes;
  return kOk;
}

}  // extern "C"
