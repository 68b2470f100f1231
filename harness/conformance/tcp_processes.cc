// The conformance suite on tcp between two processes.
#include <vector>

#include "harness/conformance/pair.h"
#include "harness/conformance/tcp_uri.h"

namespace conformance {

std::vector<Backend> backends() {
  Backend tcp;
  tcp.name = "Tcp";
  tcp.scheme = "tcp";
  tcp.make_uri = [] { return unique_tcp_uri("127.0.0.1"); };
  tcp.other_process = true;
  tcp.lands_alone = false;
  tcp.target_helps = true;
  tcp.rings_per_end = 2;
  tcp.notices_death = true;
  Backend far_listens = tcp;
  far_listens.name = "TcpFarListens";
  far_listens.near_listens = false;
  Backend sleep = tcp;
  sleep.name = "TcpSleep";
  sleep.wait = RC_WAIT_SLEEP;
  Backend spin = tcp;
  spin.name = "TcpSpin";
  spin.wait = RC_WAIT_SPIN;
  return {tcp, far_listens, sleep, spin};
}

}  // namespace conformance
