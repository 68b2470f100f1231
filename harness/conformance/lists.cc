// The conformance suite over lists of transports, between two processes: one that takes shm, one that takes tcp.
#include <vector>

#include "harness/conformance/pair.h"
#include "harness/conformance/tcp_uri.h"

namespace conformance {

std::vector<Backend> backends() {
  Backend shm;
  shm.name = "ShmOfList";
  shm.scheme = "shm";
  shm.direct = true;
  shm.make_uri = [] { return "shm+" + unique_tcp_uri("127.0.0.1"); };
  shm.list_of = 2;
  shm.other_process = true;
  shm.knows_peer = true;
  shm.notices_death = true;
  Backend far_listens = shm;
  far_listens.name = "ShmOfListFarListens";
  far_listens.near_listens = false;
  Backend tcp;
  tcp.name = "TcpOfList";
  tcp.scheme = "tcp";
  tcp.make_uri = [] {
    std::string uri = unique_tcp_uri("127.0.0.1");
    return "tcp+shm" + uri.substr(uri.find(':'));
  };
  tcp.list_of = 2;
  tcp.other_process = true;
  tcp.lands_alone = false;
  tcp.target_helps = true;
  tcp.rings_per_end = 2;
  tcp.notices_death = true;
  return {shm, far_listens, tcp};
}

}  // namespace conformance
