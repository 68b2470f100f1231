// Host lists of this machine for tests: addresses that nobody else has.
#ifndef HARNESS_MESH_LISTS_H_
#define HARNESS_MESH_LISTS_H_

#include <stdint.h>

#include <string>
#include <vector>

#include "capi/rc.h"

namespace meshes {

// Of an RDMA device, where the rdma lane runs us; else null.
const char* rdma_address();

// Free ports that stay ours until it is destroyed; over shm: names.
class Lists {
 public:
  Lists(const std::string& scheme, uint32_t members);
  ~Lists();
  Lists(const Lists&) = delete;
  Lists& operator=(const Lists&) = delete;
  const std::string& uri(uint32_t id) const { return uris_[id]; }
  uint32_t members() const { return static_cast<uint32_t>(uris_.size()); }
  std::string text() const;

 private:
  std::vector<std::string> uris_;
  std::vector<int> held_;
};

// Opens the mesh of a list, at one of its places; `flags`: others than RC_MESH_ID.
int32_t open_mesh(rc_ctx ctx, const std::string& hosts, uint32_t id, uint32_t flags, int64_t timeout_ns, rc_mesh* mesh);

}  // namespace meshes

#endif  // HARNESS_MESH_LISTS_H_
