// What a member of a mesh calls itself in the hello: "mesh:NAME:ID/MEMBERS#PROCESS" (PROTOCOL.md "Mesh").
#ifndef CORE_MESH_IDENTITY_H_
#define CORE_MESH_IDENTITY_H_

#include <stddef.h>
#include <stdint.h>

#include "core/backend.h"

namespace rc {

inline constexpr size_t kMeshNameBytes = 41;  // with the NUL
inline constexpr uint32_t kProcessBits = 28;

struct MeshIdentity {
  char name[kMeshNameBytes];
  uint32_t id;
  uint32_t members;
  uint32_t
      process;  // a random number of kProcessBits, which tells a member from another with its id; 0: it does not say

  void write(char text[kIdentityBytes]) const noexcept;
  // False: whoever calls itself so is no member of any mesh.
  bool read(const char* text) noexcept;
  bool same_mesh(const MeshIdentity& other) const noexcept;
};

// What a peer says, fit for a terminal.
struct Printable {
  char text[kIdentityBytes];
  explicit Printable(const char* from) noexcept;
};

}  // namespace rc

#endif  // CORE_MESH_IDENTITY_H_
