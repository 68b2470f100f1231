#include "harness/mesh/lists.h"

#include <unistd.h>

#include <random>

#include "harness/mesh/members.h"

namespace meshes {

Lists::Lists(const std::string& scheme, uint32_t members) {
  std::random_device random;
  std::string name = std::to_string(getpid()) + "-" + std::to_string(random());
  for (uint32_t i = 0; i < members; ++i) {
    if (scheme == "shm") {
      uris_.push_back("shm:mesh-" + name + "-" + std::to_string(i));
    } else {
      held_.push_back(-1);
      uris_.push_back("tcp://127.0.0.1:" + std::to_string(free_port(&held_.back())));
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

}  // namespace meshes
