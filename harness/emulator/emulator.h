// emu+loop:NAME?rtt_ns=N&bytes_per_s=N, emu+shm:NAME?... - a connection of loop or shm with the delays of a network.
// See emulator.cc.
#ifndef HARNESS_EMULATOR_EMULATOR_H_
#define HARNESS_EMULATOR_EMULATOR_H_

#include <stdint.h>

#include "core/backend.h"

namespace rc {

extern const Backend kEmulatedLoop;
extern const Backend kEmulatedShm;

namespace emulator {

// How often an entry of the data path of either wrapper has been called in this process.
uint64_t calls() noexcept;

}  // namespace emulator
}  // namespace rc

#endif  // HARNESS_EMULATOR_EMULATOR_H_
