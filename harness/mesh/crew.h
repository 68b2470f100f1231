// The members of a mesh, each a process of its own that sends numbered messages to all others without end, and a board
// on which they write what they see. A process that misbehaves says so there.
#ifndef HARNESS_MESH_CREW_H_
#define HARNESS_MESH_CREW_H_

#include <stdint.h>
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "harness/mesh/lists.h"

namespace meshes {

inline constexpr uint32_t kCrewMost = 16;

struct Board {
  using Table = std::atomic<uint64_t>[kCrewMost][kCrewMost];
  Table up, lost, received;  // [who][of whom]
  std::atomic<int32_t> lost_code[kCrewMost][kCrewMost];
  std::atomic<bool> stop;  // members leave in good order
  std::atomic<uint32_t> problems;
  char problem[200];  // the first one
};

class Crew {
 public:
  Crew(const std::string& scheme, uint32_t members);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void start(uint32_t id);
  void kill(uint32_t id);  // SIGKILL, and waits for the end
  // Tells all to leave; true if each of them did so in good order.
  bool stop();

  // Looks until it is so; false if it is not within the time, or a member has a problem.
  bool until(const std::function<bool()>& so, int64_t timeout_ns) const;
  Board& board() { return *board_; }
  const Lists& lists() const { return lists_; }
  uint32_t members() const { return lists_.members(); }

 private:
  Lists lists_;
  Board* board_;
  std::vector<pid_t> pids_;
};

// Kills random members of a crew, one after the other, and starts them again. Empty: the others named exactly the dead
// one within the time-out, went on, and took it back; else what was wrong.
std::string kill_at_random(const std::string& scheme, uint32_t members, uint32_t times, uint64_t seed, bool verbose);

}  // namespace meshes

#endif  // HARNESS_MESH_CREW_H_
