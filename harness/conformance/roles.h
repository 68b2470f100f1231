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
std::vector<std::pair<std::string, Play>> memory_roles();        // scenarios C1 to C5 and C11
std::vector<std::pair<std::string, Play>> flight_roles();        // scenarios C6 and C10
std::vector<std::pair<std::string, Play>> bounds_roles();        // scenarios C7 to C9

// Of the context that a role plays in: with regions if it is about them.
rc_config config_of(const std::string& name);
bool play(const std::string& name, Role& role);

// What the scenarios run over; each program that links them defines it.
std::vector<std::string> schemes();

// For the roles themselves.
inline constexpr int64_t kRolePatience = INT64_C(60) * 1000 * 1000 * 1000;
bool complain(Role& role, int line, const char* what, int32_t code, int32_t wanted);
rc_channel connect_ring(Role& role, uint64_t ring_bytes);
// One byte on a channel that only keeps two roles in step.
bool give_step(rc_channel step);
bool wait_step(rc_channel step);
bool accept_ring(Role& role, uint64_t ring_bytes, rc_listener* listener, rc_channel* channel);

// For the roles that are about memory. A peer may ask for two regions of kPeerAsks bytes, to read and to write.
inline constexpr uint64_t kPeerAsks = 4096;
// The argument of roles that grant: how. kRefused: directly, which this backend does not know, and then carried.
enum Form : uint64_t { kCarried, kDirect, kRefused };
rc_config memory_config();
// An empty message; who waits for it does the peer's operations meanwhile.
bool say(Role& role, rc_channel channel);
bool hear(Role& role, rc_channel channel);
bool hear_close(Role& role, rc_channel channel);
bool about(Role& role, rc_mr mr, rc_region* region);
bool make_region(Role& role, uint64_t bytes, uint8_t value, rc_mr* mr, uint8_t** data);
bool lend(Role& role, rc_channel channel, rc_mr mr, uint64_t offset, uint64_t bytes, uint32_t rights);
// In the form that the role's argument says.
bool lend_formed(Role& role, rc_channel channel, rc_mr mr, uint64_t bytes, uint32_t rights);
// Waits until the request has ended, as it should.
bool finish(Role& role, int32_t wanted, rc_request request, uint64_t* value);
bool all_are(const uint8_t* bytes, uint64_t n, uint8_t value);
void print_bytes(Role& role, const uint8_t* bytes, size_t n);

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
