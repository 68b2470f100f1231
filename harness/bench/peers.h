// What one could use instead of ringchan. This program is the only one that sees their headers; each is compiled in
// if its headers are here, and found at run time if its library is.
#ifndef HARNESS_BENCH_PEERS_H_
#define HARNESS_BENCH_PEERS_H_

#include <functional>
#include <string>
#include <vector>

#include "harness/bench/loops.h"
#include "harness/bench/pair.h"
#include "harness/bench/placement.h"

namespace rcbench {

struct Peer {
  std::string name;
  std::string missing;  // what is not here; empty: it can be measured
  std::vector<std::string> cases;
  size_t max_bytes;
  std::function<Sample(const Placement&, const std::string& case_name, const Job&)> run;
};

inline Test test_of(const std::string& case_name) { return case_name == "stream" ? Test::kStream : Test::kPingPong; }

std::vector<Peer> boost_peers();
std::vector<Peer> dpdk_peers();
std::vector<Peer> ucx_peers();
std::vector<Peer> zeromq_peers();
std::vector<Peer> kernel_peers();  // pipe, unix socket, TCP

}  // namespace rcbench

#endif  // HARNESS_BENCH_PEERS_H_
