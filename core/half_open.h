// The clients that a listener has in the middle of the handshake: a table of a few, and who must go when one more
// comes.
#ifndef CORE_HALF_OPEN_H_
#define CORE_HALF_OPEN_H_

#include <stddef.h>
#include <stdint.h>

#include "core/deadline.h"

namespace rc {

// A Client has `fd`, -1 if its place is free, `until_ns`, when its patience ends, and same_peer().

// A free place, or the one that must become free: of the peer that holds most of them the client that waits longest, so
// that a crowd only crowds itself out.
template <class Client, size_t kMost>
Client* place_for_one_more(Client (&clients)[kMost]) noexcept {
  Client* out = nullptr;
  int most = 0;
  for (Client& c : clients) {
    if (c.fd < 0) return &c;
    int held = 0;
    for (const Client& other : clients) held += other.same_peer(c) ? 1 : 0;
    if (held > most || (held == most && c.until_ns < out->until_ns)) {
      most = held;
      out = &c;
    }
  }
  return out;
}

// When the time of one of them is up, but no later than the deadline.
template <class Client, size_t kMost>
Deadline first_to_give_up(const Client (&clients)[kMost], Deadline deadline) noexcept {
  int64_t now = now_ns();
  for (const Client& c : clients) {
    if (c.fd >= 0) deadline = deadline.sooner(c.until_ns > now ? c.until_ns - now : 0);
  }
  return deadline;
}

}  // namespace rc

#endif  // CORE_HALF_OPEN_H_
