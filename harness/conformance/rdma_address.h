// Where the tests on rdma meet.
#ifndef HARNESS_CONFORMANCE_RDMA_ADDRESS_H_
#define HARNESS_CONFORMANCE_RDMA_ADDRESS_H_

#include <string>

#include "harness/conformance/pair.h"

namespace conformance {

// A port that no test of this program has used, at RC_RDMA_ADDRESS: an address of an RDMA device, by default the
// guest's.
std::string rdma_uri(const std::string& query);

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_RDMA_ADDRESS_H_
