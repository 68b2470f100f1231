// The hostile half of the scribbling: a raw end that writes whatever it can while the honest end works.
#ifndef HARNESS_HOSTILE_SCRIBBLER_H_
#define HARNESS_HOSTILE_SCRIBBLER_H_

#include <stdint.h>

#include <string>

namespace hostile {

// What one connection is plagued with. Chosen from a seed, so that a round can be had again.
struct Plague {
  bool client;       // connects to the honest listener at `name`; else listens there
  bool messages;     // plants message headers where the honest end reads next
  bool plausible;    // indices near the truth, so that garbage flows for long; else any numbers
  bool bells;        // floods the doorbells
  bool descriptors;  // with descriptors beside them
  uint32_t seed;
  uint32_t ms;  // how long
  uint64_t ring_bytes;
};
Plague choose_plague(uint32_t seed);

// Runs in a process of its own; returns the process's exit code: 0, or 1 if the handshake failed.
int scribble(const std::string& name, const Plague& plague);

}  // namespace hostile

#endif  // HARNESS_HOSTILE_SCRIBBLER_H_
