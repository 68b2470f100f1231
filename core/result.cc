#include "core/result.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

namespace rc {
namespace {

thread_local char t_text[900];  // a list of transports has a reason of each
thread_local const char* t_reason = "";

struct Named {
  Code code;
  const char* name;
};

constexpr Named kNames[] = {
    {kOk, "RC_OK"},
    {kWouldBlock, "RC_E_WOULD_BLOCK"},
    {kTimeout, "RC_E_TIMEOUT"},
    {kNoListener, "RC_E_NO_LISTENER"},
    {kStopped, "RC_E_STOPPED"},
    {kInvalid, "RC_E_INVALID"},
    {kHandle, "RC_E_HANDLE"},
    {kForked, "RC_E_FORKED"},
    {kBusy, "RC_E_BUSY"},
    {kUri, "RC_E_URI"},
    {kScheme, "RC_E_SCHEME"},
    {kSize, "RC_E_SIZE"},
    {kPool, "RC_E_POOL"},
    {kConfig, "RC_E_CONFIG"},
    {kTruncated, "RC_E_TRUNCATED"},
    {kState, "RC_E_STATE"},
    {kUnsupported, "RC_E_UNSUPPORTED"},
    {kNameInUse, "RC_E_NAME_IN_USE"},
    {kHosts, "RC_E_HOSTS"},
    {kRights, "RC_E_RIGHTS"},
    {kRange, "RC_E_RANGE"},
    {kAlignment, "RC_E_ALIGNMENT"},
    {kExpired, "RC_E_EXPIRED"},
    {kRevoked, "RC_E_REVOKED"},
    {kInUse, "RC_E_IN_USE"},
    {kFault, "RC_E_FAULT"},
    {kLimit, "RC_E_LIMIT"},
    {kClosed, "RC_E_CLOSED"},
    {kPeerDead, "RC_E_PEER_DEAD"},
    {kCorrupt, "RC_E_CORRUPT"},
    {kClosing, "RC_E_CLOSING"},
    {kNoMemory, "RC_E_NO_MEMORY"},
    {kNoSpace, "RC_E_NO_SPACE"},
    {kNoDescriptors, "RC_E_NO_DESCRIPTORS"},
    {kNoPermission, "RC_E_NO_PERMISSION"},
    {kVersion, "RC_E_VERSION"},
    {kLayout, "RC_E_LAYOUT"},
    {kNotRingchan, "RC_E_NOT_RINGCHAN"},
    {kRefused, "RC_E_REFUSED"},
    {kHandshake, "RC_E_HANDSHAKE"},
    {kSystem, "RC_E_SYSTEM"},
    {kNoHost, "RC_E_NO_HOST"},
    {kUnreachable, "RC_E_UNREACHABLE"},
    {kNoDevice, "RC_E_NO_DEVICE"},
    {kIdentity, "RC_E_IDENTITY"},
    {kDuplicate, "RC_E_DUPLICATE"},
};

struct Cause {
  int error;
  Code code;
  const char* what_to_do;
};

constexpr Cause kCauses[] = {
    {ENOMEM, kNoMemory, "free memory or lower ring_bytes"},
    {ENOSPC, kNoSpace, "free memory or lower ring_bytes"},
    {ENFILE, kNoDescriptors, "the whole system is out of descriptors (fs.file-max)"},
    {EACCES, kNoPermission, "check the permissions of the path and of the calling user"},
    {EPERM, kNoPermission, "check the rights of the calling user, and seccomp or container policy"},
};

}  // namespace

const char* code_name(int32_t code) noexcept {
  for (const Named& n : kNames) {
    if (n.code == code) return n.name;
  }
  return "RC_E_UNKNOWN";
}

Code fail(Code code, const char* format, ...) noexcept {
  va_list args;
  va_start(args, format);
  vsnprintf(t_text, sizeof t_text, format, args);
  va_end(args);
  t_reason = t_text;
  return code;
}

Code fail_plain(Code code, const char* text) noexcept {
  t_reason = text;
  return code;
}

Code fail_errno(Code otherwise, const char* tried, int error) noexcept {
  char buffer[96];
  // GNU's strerror_r may answer with a static string instead of filling the buffer.
  const char* text = strerror_r(error, buffer, sizeof buffer);
  if (error == EMFILE) {
    rlimit limit = {};
    getrlimit(RLIMIT_NOFILE, &limit);
    auto now = static_cast<unsigned long long>(limit.rlim_cur), most = static_cast<unsigned long long>(limit.rlim_max);
    return fail(kNoDescriptors,
                "%s: %s; this process may have %llu descriptors: close some, or raise it (ulimit -n %llu%s)", tried,
                text, now, now < most ? most : 2 * most, now < most ? "" : ", as root");
  }
  for (const Cause& c : kCauses) {
    if (c.error == error) return fail(c.code, "%s: %s; %s", tried, text, c.what_to_do);
  }
  return fail(otherwise, "%s: %s", tried, text);
}

const char* reason() noexcept { return t_reason; }

}  // namespace rc
