// What the conformance suite needs to know of a backend; nothing else in the suite knows which backend it drives.
#ifndef HARNESS_CONFORMANCE_BACKEND_H_
#define HARNESS_CONFORMANCE_BACKEND_H_

#include <stdint.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "capi/rc.h"

namespace conformance {

struct Backend {
  std::string name;                       // names the tests: letters and digits
  std::string scheme;                     // what rc_info.backend says
  std::function<std::string()> make_uri;  // a URI that nobody uses; unused if attached
  bool attached = false;                  // the ends are made by rc_attach, not by listen and connect
  bool one_context = false;               // both ends must belong to one context
  bool other_process = false;             // the far end lives in another process
  bool near_listens = true;               // this end listens and the far one connects, or the reverse
  bool lands_alone = true;                // a put lands, and credit returns, without a later call of either side
  bool target_helps = false;              // without lands_alone: rc_sync also needs calls of the other end
  bool has_descriptor = true;             // rc_channel_fd works
  bool has_listener_descriptor = true;    // rc_listener_fd works
  bool has_operations = true;             // channels can have operations on regions
  bool direct = false;                    // grants can be direct
  bool regions = false;                   // both contexts have regions, so that channels have operations
  uint32_t list_of = 0;                   // its URIs are lists of so many transports; `scheme` is the one taken
  uint32_t rings_per_end = 0;             // what an end of a channel takes of rc_config.rings_max
  bool knows_peer = false;                // rc_info tells the peer's process and user
  bool notices_death = false;             // with other_process: a killed peer is RC_E_PEER_DEAD
  uint32_t wait = RC_WAIT_ADAPTIVE;       // how the near end waits
};

// Those of this program: whoever links the suite defines it, and the whole suite runs on each of them.
std::vector<Backend> backends();

inline std::ostream& operator<<(std::ostream& out, const Backend& backend) { return out << backend.name; }

// `prefix` and eight random bytes in hexadecimal: no two tests meet, in whatever sandbox they run.
std::string unique_name(const std::string& prefix);

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_BACKEND_H_
