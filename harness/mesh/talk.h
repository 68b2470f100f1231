// What a member does in the mesh: a random string to everybody from time to time, and every one that comes is shown.
#ifndef HARNESS_MESH_TALK_H_
#define HARNESS_MESH_TALK_H_

#include <stdint.h>

#include <random>

#include "capi/rc.h"
#include "harness/mesh/members.h"

namespace meshes {

inline constexpr uint32_t kForever = UINT32_MAX;

struct Talk {
  int64_t interval_ms = 1000;
  uint32_t count = kForever;   // strings to each member
  uint32_t slots = 8;          // of the memory that strings are received in
  int64_t timeout_ms = 60000;  // for the mesh to become complete, and for the last strings
  uint64_t ring_bytes = 65536;
  std::string name = "mesh";
  std::string token;     // empty: none
  bool to_self = false;  // strings to oneself, too
  uint32_t seed = 0;     // of the strings; 0: a random one
};

// The next of a member's strings; it sends them to all others in turn, those with lower ids first.
std::string random_letters(std::mt19937& random);

// Returns the exit status. Throws std::runtime_error if there is no mesh.
int talk(const Members& members, const Talk& what);

}  // namespace meshes

#endif  // HARNESS_MESH_TALK_H_
