// Result codes and the reason text. The numbers are those of capi/rc.h, which documents them.
#ifndef CORE_RESULT_H_
#define CORE_RESULT_H_

#include <stdint.h>

namespace rc {

enum Code : int32_t {
  kOk = 0,
  kWouldBlock = -1,
  kTimeout = -2,
  kNoListener = -3,
  kStopped = -4,
  kInvalid = -100,
  kHandle = -101,
  kForked = -102,
  kBusy = -103,
  kUri = -104,
  kScheme = -105,
  kSize = -106,
  kPool = -107,
  kConfig = -108,
  kTruncated = -109,
  kState = -110,
  kUnsupported = -111,
  kNameInUse = -112,
  kHosts = -113,
  kRights = -114,
  kRange = -115,
  kAlignment = -116,
  kExpired = -117,
  kRevoked = -118,
  kInUse = -119,
  kFault = -120,
  kLimit = -121,
  kClosed = -200,
  kPeerDead = -201,
  kCorrupt = -202,
  kClosing = -203,
  kNoMemory = -300,
  kNoSpace = -301,
  kNoDescriptors = -302,
  kNoPermission = -303,
  kVersion = -304,
  kLayout = -305,
  kNotRingchan = -306,
  kRefused = -307,
  kHandshake = -308,
  kSystem = -309,
  kNoHost = -310,
  kUnreachable = -311,
  kNoDevice = -312,
  kIdentity = -313,
  kDuplicate = -314,
};

// The name of a code as rc.h spells it.
const char* code_name(int32_t code) noexcept;

// Sets the calling thread's reason and returns the code.
Code fail(Code code, const char* format, ...) noexcept __attribute__((format(printf, 2, 3)));
// The same without formatting, for results that a polling loop sees all the time.
Code fail_plain(Code code, const char* text) noexcept;
// A failed system call: errno becomes the code that names its cause, `otherwise` if it has none.
Code fail_errno(Code otherwise, const char* tried, int error) noexcept;

const char* reason() noexcept;

}  // namespace rc

#endif  // CORE_RESULT_H_
