// A mesh at whose ports strangers throw everything, from a process of their own, while its members work.
#ifndef HARNESS_MESH_SIEGE_H_
#define HARNESS_MESH_SIEGE_H_

#include <stdint.h>

#include <string>

namespace meshes {

struct Siege {
  std::string wrong;       // empty: nobody was disturbed, and nothing grew
  uint64_t attacks = 0;    // connections of strangers
  uint64_t exchanges = 0;  // numbers that members passed to each other meanwhile
  int64_t grown_kb = 0;    // resident memory
};

// The strangers know everything but the token. To be called before there are threads.
Siege besiege(uint32_t members, double seconds, uint32_t seed);

}  // namespace meshes

#endif  // HARNESS_MESH_SIEGE_H_
