// Where the tests on rdma meet.
#ifndef HARNESS_CONFORMANCE_RDMA_ADDRESS_H_
#define HARNESS_CONFORMANCE_RDMA_ADDRESS_H_

#include <stdlib.h>

#include <string>

namespace conformance {

// A port that no test of this program has used, at `address`.
inline std::string rdma_uri_at(const std::string& address, const std::string& query) {
  static int port = 7000;
  return "rdma://" + address + ":" + std::to_string(++port) + query;
}

// At RC_RDMA_ADDRESS, an address of an RDMA device; by default the guest's.
inline std::string rdma_uri(const std::string& query) {
  const char* address = getenv("RC_RDMA_ADDRESS");
  return rdma_uri_at(address != nullptr ? address : "10.77.0.1", query);
}

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_RDMA_ADDRESS_H_
