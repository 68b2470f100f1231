// The peers, each sample measured by the program `peers` beside this one.
#ifndef HARNESS_BENCH_PEER_LANES_H_
#define HARNESS_BENCH_PEER_LANES_H_

#include <string>
#include <vector>

#include "harness/bench/plan.h"

namespace rcbench {

class PeerLanes {
 public:
  // Asks the program which peers it has. The answer's rows name those that cannot be measured here, and why.
  std::vector<Row> look_for();

  // Adds the lanes of the peers that can do this case; none before look_for.
  void add_to(Case& c) const;

 private:
  struct Peer {
    std::string name;
    std::vector<std::string> cases;  // "pingpong", "stream", "wake"
    size_t max_bytes;
  };
  std::string program_;
  std::vector<Peer> peers_;
};

}  // namespace rcbench

#endif  // HARNESS_BENCH_PEER_LANES_H_
