#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#include <new>

#include "backends/rdma/endpoint.h"
#include "backends/rdma/mail.h"

namespace rc {
namespace {

constexpr uint32_t kSendDepth = 256;  // 64 puts of three requests, and the reserve
constexpr uint32_t kReceiveDepth = 1024;
constexpr uint32_t kInlineBytes = 64;
constexpr uint32_t kHelloReceives = 2;

bool nonblocking(int fd) noexcept {
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

const char* device_of(const rdma_cm_id* id) noexcept { return g_verbs.get_device_name(id->verbs->device); }

// MEMLOCK is what stops most people: it is told apart.
Code registration_failed(const char* what, uint64_t bytes, int error) noexcept {
  rlimit limit;
  if (error == ENOMEM && getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    return fail(kNoMemory,
                "registering %llu bytes for %s: this process may lock %llu bytes in all; raise it (ulimit -l "
                "unlimited, or memlock in /etc/security/limits.conf)",
                static_cast<unsigned long long>(bytes), what, static_cast<unsigned long long>(limit.rlim_cur));
  }
  char tried[64] = "registering memory for ";
  strncat(tried, what, sizeof tried - strlen(tried) - 1);
  return fail_errno(kSystem, tried, error);
}

Code check_port(const Uri& uri, const Knobs& knobs, Endpoint* e) noexcept {
  const char* device = device_of(e->id);
  if (knobs.device[0] != '\0' && strcmp(knobs.device, device) != 0) {
    return fail(kNoDevice, "%s: the address belongs to device %s, not to %s", uri.text, device, knobs.device);
  }
  if (knobs.port != 0 && knobs.port != e->id->port_num) {
    return fail(kNoDevice, "%s: the address belongs to port %u of %s, not to port %u", uri.text,
                unsigned{e->id->port_num}, device, knobs.port);
  }
  ibv_port_attr port = {};
  int error = g_verbs.query_port(e->id->verbs, e->id->port_num, &port);
  if (error != 0) return fail_errno(kSystem, "asking for the state of an RDMA port", error);
  if (port.state != IBV_PORT_ACTIVE) {
    return fail(kNoDevice, "%s: port %u of %s is not active (state %d); is its network interface up?", uri.text,
                unsigned{e->id->port_num}, device, static_cast<int>(port.state));
  }
  e->message_most = port.max_msg_sz;
  return kOk;
}

// What was asked for must fit the device; what was not is made to fit.
Code choose_depth(const Uri& uri, const char* key, uint32_t asked, uint32_t otherwise, int most, uint32_t extra,
                  uint32_t* chosen) noexcept {
  uint32_t limit = most > 0 && static_cast<uint32_t>(most) > extra ? static_cast<uint32_t>(most) - extra : 0;
  if (asked > limit) return fail(kUri, "%s: %s=%u, the device can do %u", uri.text, key, asked, limit);
  *chosen = asked != 0 ? asked : otherwise < limit ? otherwise : limit;
  return kOk;
}

Code choose_depths(const Uri& uri, const Knobs& knobs, Endpoint* e) noexcept {
  ibv_device_attr device = {};
  int error = g_verbs.query_device(e->id->verbs, &device);
  if (error != 0) return fail_errno(kSystem, "asking an RDMA device for its limits", error);
  int most = device.max_qp_wr < device.max_cqe ? device.max_qp_wr : device.max_cqe;
  Code code = choose_depth(uri, "sq_depth", knobs.send_depth, kSendDepth, most, 0, &e->send_depth);
  if (code == kOk && knobs.event) {
    code = choose_depth(uri, "rq_depth", knobs.receive_depth, kReceiveDepth, most, kHelloReceives, &e->receive_depth);
  }
  return code;
}

Code make_queues(Endpoint* e) noexcept {
  e->pd = g_verbs.alloc_pd(e->id->verbs);
  if (e->pd == nullptr) return fail_errno(kSystem, "allocating a protection domain", errno);
  e->completions = g_verbs.create_comp_channel(e->id->verbs);
  if (e->completions == nullptr) return fail_errno(kSystem, "making a completion channel", errno);
  if (!nonblocking(e->completions->fd)) return fail_errno(kSystem, "fcntl of a completion channel", errno);
  int receives = static_cast<int>(e->receive_depth + kHelloReceives);
  e->send_cq = g_verbs.create_cq(e->id->verbs, static_cast<int>(e->send_depth), nullptr, e->completions, 0);
  if (e->send_cq == nullptr) return fail_errno(kSystem, "making a completion queue", errno);
  e->receive_cq = g_verbs.create_cq(e->id->verbs, receives, nullptr, e->completions, 0);
  return e->receive_cq != nullptr ? kOk : fail_errno(kSystem, "making a completion queue", errno);
}

Code make_qp(const Uri& uri, const Knobs& knobs, Endpoint* e) noexcept {
  ibv_qp_init_attr init = {};
  init.send_cq = e->send_cq;
  init.recv_cq = e->receive_cq;
  init.qp_type = IBV_QPT_RC;
  init.cap.max_send_wr = e->send_depth;
  init.cap.max_recv_wr = e->receive_depth + kHelloReceives;
  init.cap.max_send_sge = init.cap.max_recv_sge = 1;
  bool asked = knobs.inline_bytes != UINT32_MAX;
  init.cap.max_inline_data = asked ? knobs.inline_bytes : kInlineBytes;
  int failed = g_verbs.create_qp(e->id, e->pd, &init);
  int error = errno;
  if (failed != 0 && asked && knobs.inline_bytes != 0) {
    return fail(kUri, "%s: the device makes no queue pair with inline=%u (%s)", uri.text, knobs.inline_bytes,
                strerror(error));
  }
  if (failed != 0 && !asked) {
    init.cap.max_inline_data = 0;
    failed = g_verbs.create_qp(e->id, e->pd, &init);
    error = errno;
  }
  if (failed != 0) return fail_errno(kSystem, "making a queue pair", error);
  e->inline_bytes = asked && knobs.inline_bytes == 0 ? 0 : init.cap.max_inline_data;
  return kOk;
}

Code post_hello_receives(Parley* parley, Endpoint* e) noexcept {
  memset(static_cast<void*>(parley), 0, sizeof *parley);
  e->parley_mr = g_verbs.reg_mr(e->pd, parley, sizeof *parley, IBV_ACCESS_LOCAL_WRITE);
  if (e->parley_mr == nullptr) return registration_failed("the handshake", sizeof *parley, errno);
  for (RdmaHello& in : parley->in) {
    ibv_sge to = {reinterpret_cast<uintptr_t>(&in), sizeof in, e->parley_mr->lkey};
    ibv_recv_wr wr = {};
    wr.sg_list = &to;
    wr.num_sge = 1;
    ibv_recv_wr* bad = nullptr;
    int error = ibv_post_recv(e->id->qp, &wr, &bad);
    if (error != 0) return fail_errno(kSystem, "posting a receive", error);
  }
  return kOk;
}

// One completion of that queue; kWouldBlock if there is none.
Code take_completion(ibv_cq* cq, ibv_wc* wc) noexcept {
  int n = ibv_poll_cq(cq, 1, wc);
  if (n == 0) return kWouldBlock;
  if (n < 0) return fail_errno(kSystem, "polling a completion queue", -n);
  return wc->status == IBV_WC_SUCCESS ? kOk : fail_plain(kPeerDead, "the peer went away during the handshake");
}

void deregister(ibv_mr** mr) noexcept {
  if (*mr != nullptr) g_verbs.dereg_mr(*mr);
  *mr = nullptr;
}

}  // namespace

Code make_event_channel(rdma_event_channel** channel) noexcept {
  *channel = g_verbs.create_event_channel();
  if (*channel == nullptr) return fail_errno(kSystem, "opening rdma_cm", errno);
  if (nonblocking((*channel)->fd)) return kOk;
  Code code = fail_errno(kSystem, "fcntl of an rdma_cm channel", errno);
  g_verbs.destroy_event_channel(*channel);
  *channel = nullptr;
  return code;
}

Code check_device_name(const Uri& uri, const Knobs& knobs) noexcept {
  if (knobs.device[0] == '\0') return kOk;
  int n = 0;
  ibv_device** list = g_verbs.get_device_list(&n);
  if (list == nullptr) return fail_errno(kSystem, "listing the RDMA devices", errno);
  bool found = false;
  char names[160] = "";
  for (int i = 0; i < n; ++i) {
    const char* name = g_verbs.get_device_name(list[i]);
    found |= strcmp(name, knobs.device) == 0;
    strncat(names, " ", sizeof names - strlen(names) - 1);
    strncat(names, name, sizeof names - strlen(names) - 1);
  }
  g_verbs.free_device_list(list);
  return found ? kOk : fail(kNoDevice, "%s: there is no RDMA device %s; there are:%s", uri.text, knobs.device, names);
}

Code set_options(rdma_cm_id* id, const Knobs& knobs) noexcept {
  auto ack_timeout = static_cast<uint8_t>(knobs.ack_timeout);
  if (g_verbs.set_option(id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &ack_timeout, sizeof ack_timeout) != 0) {
    return fail_errno(kSystem, "setting the time-out for acknowledgements (Linux 5.1 or newer is needed)", errno);
  }
  auto tos = static_cast<uint8_t>(knobs.tclass);
  if (knobs.tclass_given && g_verbs.set_option(id, RDMA_OPTION_ID, RDMA_OPTION_ID_TOS, &tos, sizeof tos) != 0) {
    return fail_errno(kSystem, "setting the traffic class", errno);
  }
  return kOk;
}

Code make_endpoint(const Uri& uri, const Knobs& knobs, Parley* parley, Endpoint* e) noexcept {
  Code code = check_port(uri, knobs, e);
  if (code == kOk) code = choose_depths(uri, knobs, e);
  if (code == kOk) code = make_queues(e);
  if (code == kOk) code = make_qp(uri, knobs, e);
  if (code == kOk) code = post_hello_receives(parley, e);
  return code;
}

Code make_rings(Context& context, const Link& agreed, Endpoint* e) noexcept {
  uint64_t most = uint64_t{e->message_most} * (kWritesMost - 3);
  uint64_t largest = agreed.ring_bytes > agreed.op_ring_bytes ? agreed.ring_bytes : agreed.op_ring_bytes;
  if (largest > most) {
    return fail(kSize, "a ring of %llu bytes is wanted, over this RDMA device it may have %llu",
                static_cast<unsigned long long>(largest), static_cast<unsigned long long>(most));
  }
  e->inbox = context.take_ring();
  e->outbox = e->inbox != nullptr ? context.take_ring() : nullptr;
  if (e->outbox == nullptr) return kPool;
  clear_mail(e->inbox);
  size_t bytes = kRingOffset + agreed.both_rings();
  // Nothing but this inbox, and never with relaxed ordering: the tail must not overtake the bytes.
  e->inbox_mr = g_verbs.reg_mr(e->pd, e->inbox, bytes, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
  if (e->inbox_mr == nullptr) return registration_failed("a ring", bytes, errno);
  e->outbox_mr = g_verbs.reg_mr(e->pd, e->outbox, bytes, 0);
  if (e->outbox_mr == nullptr) return registration_failed("a ring", bytes, errno);
  for (uint32_t i = 0; i < e->receive_depth; ++i) {
    if (!post_receive(e->id->qp)) return fail_errno(kSystem, "posting a receive", errno);
  }
  return kOk;
}

void end_parley(Endpoint* e) noexcept { deregister(&e->parley_mr); }

void destroy_endpoint(Context& context, Endpoint* e) noexcept {
  if (e->id != nullptr && e->id->qp != nullptr) g_verbs.destroy_qp(e->id);
  if (e->send_cq != nullptr) g_verbs.destroy_cq(e->send_cq);
  if (e->receive_cq != nullptr) g_verbs.destroy_cq(e->receive_cq);
  if (e->completions != nullptr) g_verbs.destroy_comp_channel(e->completions);
  deregister(&e->inbox_mr);
  deregister(&e->outbox_mr);
  deregister(&e->parley_mr);
  if (e->pd != nullptr) g_verbs.dealloc_pd(e->pd);
  if (e->id != nullptr) g_verbs.destroy_id(e->id);
  if (e->channel != nullptr) g_verbs.destroy_event_channel(e->channel);
  if (e->inbox != nullptr) context.give_ring(e->inbox);
  if (e->outbox != nullptr) context.give_ring(e->outbox);
  *e = {};
}

rdma_conn_param connection_params(const Knobs& knobs, const Card& card) noexcept {
  rdma_conn_param p = {};
  p.private_data = &card;
  p.private_data_len = sizeof card;
  p.retry_count = static_cast<uint8_t>(knobs.retry_count);
  p.rnr_retry_count = static_cast<uint8_t>(knobs.rnr_retry);
  return p;
}

bool post_receive(ibv_qp* qp) noexcept {
  ibv_recv_wr wr = {};
  ibv_recv_wr* bad = nullptr;
  int error = ibv_post_recv(qp, &wr, &bad);
  errno = error;
  return error == 0;
}

Code send_hello(Endpoint* e, Parley* parley, const Hello& hello) noexcept {
  parley->out.hello = hello;
  parley->out.inbox = reinterpret_cast<uintptr_t>(e->inbox);
  parley->out.rkey = e->inbox_mr != nullptr ? e->inbox_mr->rkey : 0;
  parley->out.receives = e->receive_depth;
  ibv_sge from = {reinterpret_cast<uintptr_t>(&parley->out), sizeof parley->out, e->parley_mr->lkey};
  ibv_send_wr wr = {};
  wr.sg_list = &from;
  wr.num_sge = 1;
  wr.opcode = IBV_WR_SEND;
  wr.send_flags = IBV_SEND_SIGNALED;
  ibv_send_wr* bad = nullptr;
  int error = ibv_post_send(e->id->qp, &wr, &bad);
  if (error != 0) return fail_errno(kSystem, "sending a hello", error);
  ++parley->sent;
  return kOk;
}

Code receive_hello(Endpoint* e, Parley* parley, const RdmaHello** hello, size_t* bytes) noexcept {
  ibv_wc wc;
  Code code = take_completion(e->receive_cq, &wc);
  if (code != kOk) return code;
  if (parley->received == kHelloReceives) return fail_plain(kNotRingchan, "the peer says more than a handshake has");
  *hello = &parley->in[parley->received++];
  *bytes = wc.byte_len;
  return kOk;
}

Code hellos_delivered(Endpoint* e, Parley* parley) noexcept {
  ibv_wc wc;
  while (parley->delivered != parley->sent) {
    Code code = take_completion(e->send_cq, &wc);
    if (code != kOk) return code;
    ++parley->delivered;
  }
  return kOk;
}

void arm_completions(Endpoint* e, bool sends) noexcept {
  ibv_cq* cq = nullptr;
  void* unused = nullptr;
  while (g_verbs.get_cq_event(e->completions, &cq, &unused) == 0) g_verbs.ack_cq_events(cq, 1);
  ibv_req_notify_cq(e->receive_cq, 0);
  if (sends) ibv_req_notify_cq(e->send_cq, 0);
}

}  // namespace rc
#endif
