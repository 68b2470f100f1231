// The verbs objects of one end of a connection: what is made before there is a channel, moves into its link, and is
// destroyed with it.
#ifndef BACKENDS_RDMA_ENDPOINT_H_
#define BACKENDS_RDMA_ENDPOINT_H_

#include "backends/rdma/knobs.h"
#include "backends/rdma/parley.h"
#include "backends/rdma/tenancy.h"
#include "backends/rdma/two_sided.h"
#include "backends/rdma/verbs.h"
#include "core/context.h"

namespace rc {

// One post of core's becomes at most so many WRITEs.
inline constexpr uint32_t kWritesMost = 16;

// Hellos on their way. Registered memory: stays where it is until end_parley.
struct Parley {
  RdmaHello out;
  RdmaHello in[2];  // a client gets kOffer and kGo, a listener kAsk and kAccept
  uint32_t received;
  uint32_t sent;
  uint32_t delivered;
};

struct Endpoint {
  rdma_event_channel* channel;  // its own; null: the listener's
  rdma_cm_id* id;               // null: made without rdma_cm
  ibv_context* verbs;           // the id's, or the tenancy's
  bool iwarp;                   // RDMA over TCP (PROTOCOL.md "iWARP")
  uint8_t port_num;
  Tenancy* tenancy;
  ibv_pd* pd;
  bool own_pd;  // else the tenancy's
  ibv_qp* qp;
  Seat* seat;                     // cq=shared: at the tenancy's queues; null: they are its own
  ibv_comp_channel* completions;  // of both queues; null: the tenancy's
  ibv_cq* send_cq;
  ibv_cq* receive_cq;
  ibv_mr* parley_mr;
  Inbox* inbox;      // from the context's pool, written by the peer's NIC
  Inbox* outbox;     // from the context's pool, read by this end's NIC
  ibv_mr* inbox_mr;  // null with path=send
  ibv_mr* outbox_mr;
  // path=send: more rings, where messages arrive and the heads of those that go lie.
  bool two_sided;
  uint8_t* cells[kCellRings];
  ibv_mr* cells_mr[kCellRings];
  uint32_t send_depth;     // as chosen
  bool event;              // else this end polls
  uint32_t receive_depth;  // 0: polls, and path=write
  uint32_t cq_depth;
  uint32_t inline_bytes;
  uint32_t mtu;        // at most; once connected, as agreed
  uint32_t rd_atomic;  // the same
  uint32_t dest_rd_atomic;
  uint32_t access;        // what the queue pair lets in, as kRead, kWrite, kAtomic
  uint32_t message_most;  // bytes of one WRITE
};

inline constexpr uint32_t kHelloReceives = 2;

constexpr uint32_t mtu_bytes(ibv_mtu mtu) noexcept { return 128u << static_cast<unsigned>(mtu); }

// A channel whose descriptor does not block.
Code make_event_channel(rdma_event_channel** channel) noexcept;

// --- limits.cc ---
// dev= names a device that is there and can be opened. Also if nothing is named.
Code check_device_name(const Uri& uri, const Knobs& knobs) noexcept;
// The endpoint's device and port can do what the knobs ask for; chooses what they leave open.
Code check_device(const Uri& uri, const Knobs& knobs, Endpoint* e) noexcept;

// --- qp.cc ---
// One whose events go to the channel.
Code make_queue(ibv_context* verbs, uint32_t entries, ibv_comp_channel* channel, ibv_cq** to) noexcept;
Code make_qp(Context& context, const Uri& uri, const Knobs& knobs, Endpoint* e) noexcept;
// Nothing is under way any more, and nothing completes.
void end_qp(Endpoint* e) noexcept;
// The endpoint's own, as ibv_poll_cq gives them.
int take_completions(Endpoint* e, Which which, int most, ibv_wc* to) noexcept;
// The next receive, and the next send if `sends`, makes news_fd readable; drops what it has shown before.
void arm_completions(Endpoint* e, bool sends = true) noexcept;
int news_fd(const Endpoint& e) noexcept;
// The same for an epoll set, which gets what is behind that descriptor.
bool watch_news(int set, const Endpoint& e) noexcept;
ibv_mtu mtu_of(uint32_t bytes) noexcept;
// What rdma_cm proposes for a state.
Code propose(Endpoint* e, ibv_qp_state state, ibv_qp_attr* attr, int* mask) noexcept;
// An endpoint without rdma_cm enters its first state.
Code begin(const Knobs& knobs, Endpoint* e) noexcept;
// The three states, with the knobs put over what is proposed.
Code enter_init(const Knobs& knobs, ibv_qp_attr attr, int mask, Endpoint* e) noexcept;
Code enter_receiving(const Knobs& knobs, ibv_qp_attr attr, int mask, Endpoint* e) noexcept;
Code enter_sending(const Knobs& knobs, ibv_qp_attr attr, int mask, Endpoint* e) noexcept;
// rdma_cm knows the peer's queue pair: ready to receive and to send, with the smallest MTU of both ends and the way.
Code enter_connection(const Knobs& knobs, uint32_t peer_mtu, Endpoint* e) noexcept;
// Nothing goes in or out any more, and the peer is told if somebody can tell it.
void drop_connection(Endpoint* e) noexcept;

// --- endpoint.cc ---
// An id for an address: timers and traffic class, before it connects or accepts.
Code set_options(rdma_cm_id* id, const Knobs& knobs) noexcept;

// The id has found its device: checks it and its port, makes CQs and QP, and posts receives for two hellos.
Code make_endpoint(Context& context, const Uri& uri, const Knobs& knobs, Parley* parley, Endpoint* e) noexcept;
// The sizes are agreed: takes and registers both inboxes, and posts the receives of event mode or path=send.
Code make_rings(Context& context, const Agreed& agreed, Endpoint* e) noexcept;
// Those of event mode, or the slots of path=send.
Code post_receives(const Agreed& agreed, const Endpoint* e) noexcept;
// Of path=send.
bool post_slot(const Endpoint* e, const Cells& cells, uint64_t slot) noexcept;
void end_parley(Endpoint* e) noexcept;
// Whatever there is of it. After that the peer's NIC reaches nothing here.
void destroy_endpoint(Context& context, Endpoint* e) noexcept;

rdma_conn_param connection_params(const Knobs& knobs, const Endpoint& e, const Card& card) noexcept;

// Why memory could not be locked, or queues, which some devices keep in locked memory, not made: MEMLOCK is what stops
// most people, so it is told apart.
Code locking_failed(const char* tried, int error) noexcept;
// The same of reg_mr.
Code registration_failed(const char* what, uint64_t bytes, int error) noexcept;

// One receive without memory, for a WRITE with immediate.
bool post_receive(ibv_qp* qp) noexcept;
Code send_hello(Endpoint* e, Parley* parley, const Hello& hello) noexcept;
// kOk: the next hello has come, *hello and *bytes say which. kWouldBlock: not yet. kPeerDead: none will come.
Code receive_hello(Endpoint* e, Parley* parley, const RdmaHello** hello, size_t* bytes) noexcept;
// kOk: the peer has received everything sent, and `out` is free. kWouldBlock: not yet.
Code hellos_delivered(Endpoint* e, Parley* parley) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_ENDPOINT_H_
