#include "harness/mesh/lists.h"

#include <stdlib.h>
#include <unistd.h>

#include <random>

#include "harness/mesh/members.h"

namespace meshes {

const char* rdma_address() { return getenv("RC_RDMA_ADDRESS"); }

Lists::Lists(const std::string& scheme, uint32_t members) {
  std::random_device random;
  std::string name = std::to_string(getpid()) + "-" + std::to_string(random());
  // An RDMA device has no loopback address: everything else that has ports goes without.
  bool rdma = scheme.rfind("rdma", 0) == 0;
  std::string host = rdma && rdma_address() != nullptr ? rdma_address() : "127.0.0.1";
  for (uint32_t i = 0; i < members; ++i) {
    if (scheme == "shm") {
      uris_.push_back("shm:mesh-" + name + "-" + std::to_string(i));
    } else {
      held_.push_back(-1);
      uris_.push_back(scheme + "://" + host + ":" + std::to_string(free_port(&held_.back())));
    }
  }
}

Lists::~Lists() {
  for (int fd : held_) close(fd);
}

std::string Lists::text() const {
  std::string all;
  for (size_t i = 0; i < uris_.size(); ++i) all += std::to_string(i) + " " + uris_[i] + "\n";
  return all;
}

int32_t open_mesh(rc_ctx ctx, const std::string& hosts, uint32_t id, uint32_t flags, int64_t timeout_ns,
                  rc_mesh* mesh) {
  rc_mesh_config config = {};
  config.size = sizeof config;
  config.flags = RC_MESH_ID | flags;
  config.id = id;
  config.hosts = hosts.c_str();
  return rc_mesh_open(ctx, &config, timeout_ns, mesh);
}

}  // namespace meshes
