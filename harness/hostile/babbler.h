// The hostile half over tcp: strangers who crowd at the listener's port, and a raw end that says whatever it likes once
// it has been let in.
#ifndef HARNESS_HOSTILE_BABBLER_H_
#define HARNESS_HOSTILE_BABBLER_H_

#include <stdint.h>

#include "harness/hostile/scribbler.h"

namespace hostile {

// Bound at 127.0.0.1, but not listening: the port is ours, and a process of ours can listen there.
int bound_socket(uint16_t* port);

// As scribble(), at a port of 127.0.0.1.
int babble(uint16_t port, const Plague& plague);

}  // namespace hostile

#endif  // HARNESS_HOSTILE_BABBLER_H_
