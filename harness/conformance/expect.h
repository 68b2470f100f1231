// EXPECT_RC(RC_E_CLOSED, rc_get(...)): the call returns this code, and if it fails, rc_reason() says why afresh.
#ifndef HARNESS_CONFORMANCE_EXPECT_H_
#define HARNESS_CONFORMANCE_EXPECT_H_

#include <gtest/gtest.h>
#include <stdint.h>

#include <string>

#include "capi/rc.h"

namespace conformance {

// Longer than anything takes that works, on a loaded machine under a sanitizer. A test that waits this long has failed.
#ifndef RC_PATIENCE_S
#define RC_PATIENCE_S 30
#endif
inline constexpr int64_t kPatience = INT64_C(1000000000) * RC_PATIENCE_S;
// For a wait that is meant to end by its deadline.
inline constexpr int64_t kShort = INT64_C(3) * 1000 * 1000;

// Puts a reason in place that belongs to no call of the test, so that a stale one is noticed.
void forget_reason();
bool reason_is_stale();

testing::AssertionResult returned(const char* expected_text, const char* call_text, int32_t expected, int32_t got);
// The reason of the last failing call has this word in it.
testing::AssertionResult reason_names(const std::string& word);

}  // namespace conformance

#define EXPECT_RC(code, call) \
  EXPECT_PRED_FORMAT2(::conformance::returned, (code), (::conformance::forget_reason(), (call)))
#define ASSERT_RC(code, call) \
  ASSERT_PRED_FORMAT2(::conformance::returned, (code), (::conformance::forget_reason(), (call)))
// The same, and the reason names the thing.
#define EXPECT_RC_NAMES(code, word, call)                    \
  do {                                                       \
    EXPECT_RC(code, call);                                   \
    EXPECT_TRUE(::conformance::reason_names(word)) << #call; \
  } while (0)

#endif  // HARNESS_CONFORMANCE_EXPECT_H_
