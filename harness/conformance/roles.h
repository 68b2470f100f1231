// The parts that the scenarios' two (or more) programs play: each uses rc.h alone and prints what its user would see.
#ifndef HARNESS_CONFORMANCE_ROLES_H_
#define HARNESS_CONFORMANCE_ROLES_H_

#include <stdint.h>
#include <stdio.h>

#include <string>
#include <utility>
#include <vector>

#include "capi/rc.h"

namespace conformance {

struct Role {
  rc_ctx ctx;
  std::string uri;
  uint64_t argument;  // what the role's line in roles() says
  bool own_process;   // it may die, and measure its process
  FILE* out;          // what it prints
};

// True: it went as it should. Else what was wrong has been printed.
using Play = bool (*)(Role& role);

// Name and play of every role.
std::vector<std::pair<std::string, Play>> ring_roles();          // scenarios A1, A2 and A5
std::vector<std::pair<std::string, Play>> remote_roles();        // scenarios A4 and A7
std::vector<std::pair<std::string, Play>> communicator_roles();  // scenarios B

bool play(const std::string& name, Role& role);

// For the roles themselves.
inline constexpr int64_t kRolePatience = INT64_C(60) * 1000 * 1000 * 1000;
bool complain(Role& role, int line, const char* what, int32_t code, int32_t wanted);
rc_channel connect_ring(Role& role, uint64_t ring_bytes);
// One byte on a channel that only keeps two roles in step.
bool give_step(rc_channel step);
bool wait_step(rc_channel step);
bool accept_ring(Role& role, uint64_t ring_bytes, rc_listener* listener, rc_channel* channel);

}  // namespace conformance

#define WANT(condition)                                                  \
  do {                                                                   \
    if (!(condition)) return complain(role, __LINE__, #condition, 0, 0); \
  } while (0)
#define WANT_RC(wanted, call)                                                   \
  do {                                                                          \
    int32_t got_ = (call);                                                      \
    if (got_ != (wanted)) return complain(role, __LINE__, #call, got_, wanted); \
  } while (0)

#endif  // HARNESS_CONFORMANCE_ROLES_H_
