// Who takes part: from a host list, or from the launcher that started this process.
#ifndef HARNESS_MESH_MEMBERS_H_
#define HARNESS_MESH_MEMBERS_H_

#include <stdint.h>

#include <optional>
#include <string>
#include <vector>

namespace meshes {

// What the mesh is opened with; the launchers make up the list.
struct Members {
  std::optional<uint32_t> id;  // empty: found from the local interfaces
  uint32_t total = 0;          // 0: as many as the list has
  std::string hosts;           // the list, if it is not in a file
  std::string hosts_path;
  std::string from;  // who said so
};

// In Slurm's environment (srun): a list of tasks, node by node, with ports from `base_port` on. Empty: not there.
// Throws std::runtime_error if it is there and cannot be understood.
std::optional<Members> from_slurm(uint16_t base_port);
// Under a launcher that speaks PMIx (mpirun, prun): each member takes a free port and tells the others. Empty: none.
std::optional<Members> from_pmix();
// Under PMIx: returns when all have called it.
void leave_pmix();

// "node[1-3,7],other" becomes node1 node2 node3 node7 other; leading zeros stay.
std::vector<std::string> expand_nodes(const std::string& text);
// "2(x3),1" becomes 2 2 2 1.
std::vector<uint32_t> expand_counts(const std::string& text);

// A port of this machine that is free, and that the system gives to nobody else while `held` is open.
uint16_t free_port(int* held);

}  // namespace meshes

#endif  // HARNESS_MESH_MEMBERS_H_
