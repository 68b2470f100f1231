// A server and a client, each in a process of its own that opens its own context: a context does not survive a fork.
#ifndef HARNESS_DEMO_PROCESSES_H_
#define HARNESS_DEMO_PROCESSES_H_

#include <stdint.h>
#include <sys/types.h>

#include <functional>
#include <stdexcept>
#include <string>

#include "rc.h"

namespace demo {

// No step of the demo takes longer, unless something is wrong.
inline constexpr int64_t kPatience = INT64_C(20) * 1000 * 1000 * 1000;

// Throws with the library's reason unless the call succeeded.
inline void must(int32_t code, const char* call) {
  if (code != RC_OK) throw std::runtime_error(std::string(call) + ": " + rc_code_name(code) + ": " + rc_reason());
}

// Where no other demo listens; `what` is part of a name, not of a port.
std::string random_uri(const std::string& backend, const char* what);

// Runs a body in a child; what it throws is printed and makes the exit status 1.
pid_t in_child(const char* who, const std::function<void()>& body);
// Waits for a child. False, and a line that says so, if it did not end well.
bool ended_well(const char* who, pid_t child);

// The usual case: the server's body gets the accepted channel, the client's the connected one.
using Body = std::function<void(rc_channel)>;
bool run_both(const std::string& uri, const Body& server, const Body& client);
// The server's part of it: opens, listens, accepts one client, runs, closes.
void serve_one(const std::string& uri, const Body& server);

}  // namespace demo

#endif  // HARNESS_DEMO_PROCESSES_H_
