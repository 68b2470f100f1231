// The conformance suite on rdma between two processes, over whatever device the address leads to. Needs one: these run
// in the rdma lane only ("harness/run test --config rdma").
#include <vector>

#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {

std::vector<Backend> backends() {
  Backend poll;
  poll.name = "Rdma";
  poll.scheme = "rdma";
  poll.direct = true;
  poll.make_uri = [] { return rdma_uri(""); };
  poll.other_process = true;
  poll.lands_alone = false;  // it does, but later
  poll.has_descriptor = false;
  poll.rings_per_end = 2;
  poll.notices_death = true;
  Backend far_listens = poll;
  far_listens.name = "RdmaSharedFarListens";
  far_listens.make_uri = [] { return rdma_uri("?cq=shared"); };
  far_listens.near_listens = false;
  Backend no_inline = poll;
  no_inline.name = "RdmaShallowWithoutInline";
  no_inline.make_uri = [] { return rdma_uri("?inline=0&sq_depth=32"); };
  Backend event = poll;
  event.name = "RdmaEvent";
  event.make_uri = [] { return rdma_uri("?mode=event"); };
  event.has_descriptor = true;
  Backend sleep = event;
  sleep.name = "RdmaEventSleep";
  sleep.wait = RC_WAIT_SLEEP;
  Backend shallow = event;
  shallow.name = "RdmaSharedEventShallow";
  shallow.make_uri = [] { return rdma_uri("?mode=event&cq=shared&sq_depth=32&rq_depth=64"); };
  shallow.wait = RC_WAIT_SLEEP;
  Backend send = poll;
  send.name = "RdmaSend";
  send.make_uri = [] { return rdma_uri("?path=send"); };
  send.direct = false;
  send.rings_per_end = 4;
  Backend send_event = event;
  send_event.name = "RdmaSharedSendEvent";
  send_event.make_uri = [] { return rdma_uri("?path=send&mode=event&cq=shared"); };
  send_event.direct = false;
  send_event.rings_per_end = 4;
  Backend send_shallow = send_event;
  send_shallow.name = "RdmaSendShallowWithoutInline";
  send_shallow.make_uri = [] { return rdma_uri("?path=send&mode=event&inline=0&sq_depth=32&rq_depth=64"); };
  send_shallow.wait = RC_WAIT_SLEEP;
  send_shallow.near_listens = false;
  return {poll, far_listens, no_inline, event, sleep, shallow, send, send_event, send_shallow};
}

}  // namespace conformance
