// What a region is, for any test.
#ifndef HARNESS_CONFORMANCE_ABOUT_H_
#define HARNESS_CONFORMANCE_ABOUT_H_

#include <gtest/gtest.h>
#include <stdint.h>

#include "capi/rc.h"

namespace conformance {

inline rc_region about(rc_mr mr) {
  rc_region region = {};
  region.size = sizeof region;
  EXPECT_EQ(RC_OK, rc_mr_info(mr, &region)) << rc_reason();
  return region;
}
inline uint8_t* bytes_of(rc_mr mr) { return static_cast<uint8_t*>(about(mr).address); }

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_ABOUT_H_
