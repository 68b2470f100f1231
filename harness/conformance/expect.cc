#include "harness/conformance/expect.h"

#include <stdlib.h>
#include <string.h>

#include <random>

#include "harness/conformance/backend.h"

namespace conformance {
namespace {

// The reason that forget_reason() leaves behind.
thread_local std::string t_left_behind;

}  // namespace

std::string unique_name(const std::string& prefix) {
  std::random_device random;
  char digits[20];
  snprintf(digits, sizeof digits, "%08x%08x", random(), random());
  return prefix + digits;
}

void forget_reason() {
  rc_close(rc_ctx{0});
  t_left_behind = rc_reason();
}

bool reason_is_stale() { return t_left_behind == rc_reason(); }

testing::AssertionResult returned(const char* expected_text, const char* call_text, int32_t expected, int32_t got) {
  // Before anything else can change it.
  std::string reason = rc_reason();
  bool stale = reason_is_stale();
  if (got != expected) {
    auto failure = testing::AssertionFailure() << call_text << "\n  returned " << rc_code_name(got) << " (" << got
                                               << "), expected " << expected_text;
    if (got < 0) failure << "\n  reason: " << reason;
    return failure;
  }
  if (got >= 0) return testing::AssertionSuccess();
  if (reason.empty()) {
    return testing::AssertionFailure() << call_text << "\n  returned " << rc_code_name(got) << " and no reason";
  }
  // The reason left behind is itself one of a bad handle.
  if (stale && got != RC_E_HANDLE) {
    return testing::AssertionFailure() << call_text << "\n  returned " << rc_code_name(got)
                                       << " and left the reason of an earlier call: " << reason;
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult reason_names(const std::string& word) {
  std::string reason = rc_reason();
  if (reason.find(word) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "the reason does not name \"" << word << "\": " << reason;
}

}  // namespace conformance
