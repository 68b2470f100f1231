// The conformance suite on tcp with both ends as threads of one process, so that ThreadSanitizer sees both.
#include <vector>

#include "harness/conformance/pair.h"
#include "harness/conformance/tcp_uri.h"

namespace conformance {

std::vector<Backend> backends() {
  Backend tcp;
  tcp.name = "Tcp";
  tcp.scheme = "tcp";
  tcp.make_uri = [] { return unique_tcp_uri("127.0.0.1"); };
  tcp.lands_alone = false;
  tcp.target_helps = true;
  tcp.rings_per_end = 2;
  Backend far_listens = tcp;
  far_listens.name = "TcpFarListens";
  far_listens.near_listens = false;
  Backend one_context = tcp;
  one_context.name = "TcpOneContext";
  one_context.one_context = true;
  Backend sleep = tcp;
  sleep.name = "TcpSleep";
  sleep.wait = RC_WAIT_SLEEP;
  Backend spin = tcp;
  spin.name = "TcpSpin";
  spin.wait = RC_WAIT_SPIN;
  Backend v6 = tcp;
  v6.name = "TcpV6";
  v6.make_uri = [] { return unique_tcp_uri("[::1]"); };
  std::vector<Backend> all = {tcp, far_listens, one_context, sleep, spin};
  if (has_tcp_v6()) all.push_back(v6);
  return all;
}

}  // namespace conformance
