// What the control path (connect.cc, accept.cc) and the data path (data.cc) of rdma share.
#ifndef BACKENDS_RDMA_LINK_H_
#define BACKENDS_RDMA_LINK_H_

#include <pthread.h>

#include "backends/rdma/endpoint.h"
#include "backends/rdma/mail.h"
#include "backends/rdma/raw.h"
#include "backends/rdma/registrations.h"
#include "core/atomics.h"
#include "core/backend.h"
#include "core/doorbell.h"
#include "core/op_wire.h"

namespace rc {

// Without inline data, the words that core wants copied wait here until their WRITE has completed: one slot per place
// in the send queue.
inline constexpr uint32_t kStagingSlots = 128;

// After this part of its time-out without a post a link asks whether the peer's NIC is there. The tries take three
// quarters of it (knobs.cc), and the timer may come as late again.
inline constexpr int64_t kProbesPerTimeout = 8;

// Words that found no room in the queue; each is written as soon as there is some. Only the newest value matters. With
// path=send bytes may be owed, too.
enum Owed : uint32_t { kOwesCredit = 1, kOwesGetter = 2, kOwesReceives = 4, kOwesOpCredit = 8, kOwesBytes = 16 };

struct RdmaLink : Link {
  Endpoint e;
  pthread_mutex_t mutex;  // everything below
  uint64_t peer_inbox;
  uint32_t peer_rkey;
  // Work requests, counted since the channel began. A completion's wr_id says up to which all have completed.
  uint64_t posted;
  uint64_t signalled;
  std::atomic<uint64_t> completed;  // nic.cc looks at it without the mutex
  uint32_t unsignalled_posts;
  uint32_t signal_every;  // one post in so many asks for a completion
  int poll_most;          // completions taken at once
  uint32_t owed;
  // The stream's tail and the credit as this end posted them last. A credit that is held goes with the next put.
  uint64_t tail_posted;
  uint64_t credit_said;
  uint64_t credit_posted;
  bool holds;
  // The peer's tail as it came last, and its letter and note that were taken last.
  uint64_t tail_come, letter_taken, note_taken;
  uint64_t peer_took;      // of this end's tails, the last one that the peer says it has taken
  uint64_t steps_at_look;  // posted and completed, and since when there was neither
  int64_t quiet_since_ns;
  int64_t quiet_most_ns;
  // Event mode: makes common_fd readable when nobody has looked for so long; -1: none.
  int timer_fd;
  int64_t timer_due_ns;
  // What figures.cc tells.
  uint64_t doorbells;
  uint64_t completions;                        // of sends
  uint32_t port_downs, port_ups, gid_changes;  // of the port, before the channel began
  bool wants_completions;                      // a side may sleep for room in the queue, or for delivery
  bool sends_armed;  // event mode: the next of them makes an event, or one has and nobody has taken it
  // Event mode of the peer: each WRITE with immediate takes one of its receives. With path=send each message does.
  uint32_t peer_depth;                  // 0: it polls, and no WRITE has an immediate
  uint64_t immediates;                  // posted
  std::atomic<uint64_t> peer_receives;  // posted by the peer since the channel began, as it says
  // Event mode of this end, or path=send.
  uint64_t receives;       // posted
  uint64_t receives_told;  // as the peer knows
  Ringer<StdAtomics> bells[2];
  TwoSided two;
  // Not kOk: the link is of no use any more. Also read without the mutex.
  std::atomic<int32_t> state;
  ibv_mr* staging_mr;
  Sealed staging[kStagingSlots];
  // Direct grants (nic.cc).
  uint64_t fetched;             // the last READ or atomic that was posted; what follows it waits for it
  uint64_t read;                // the last READ
  uint64_t failed;              // the last request that has come back with an error
  Registrations registrations;  // of this end's regions
  ibv_mr* exposed[kGrantsMax];  // to the peer's NIC
  ibv_mr* landing_mr;           // of Link::landings
};

enum class Step : uint32_t { kFree, kConnecting, kOffered, kGoing, kRefused };

// A client in the middle of the handshake.
struct RdmaHalfOpen {
  Step step;
  bool established;  // as rdma_cm sees it
  int64_t until_ns;
  Agreed agreed;
  RdmaHello accept;
  char identity[kIdentityBytes];
  Endpoint e;
  Parley parley;
};

inline constexpr int kRdmaHalfOpenMax = 16;

struct RdmaPoint : ListenPoint {
  Knobs knobs;
  rdma_event_channel* channel;
  rdma_cm_id* id;
  int wake_fd;
  RdmaHalfOpen half_open[kRdmaHalfOpenMax];
  // Made without rdma_cm (exchange.cc): its one client is named by the caller.
  bool is_endpoint;
  bool spent;
  Endpoint e;
  EndpointBlob said;  // of itself
  uint32_t gid_index;
  uint32_t psn;
  Raw raw;  // of a raw endpoint
};

// A client's attempt. Begins with no endpoint; its fd is an epoll of what can bring it on.
struct RdmaPursuit : Pursuit {
  // What it waits for; what is behind kAnswer has heard the listener.
  enum Stage : uint32_t { kAddress, kRoute, kAnswer, kOffer, kAsked, kGo, kAccepted };
  Stage stage;
  bool near;  // the listener is of this machine
  Context* context;
  Knobs knobs;
  sockaddr_storage to;
  uint32_t addresses;  // of the name
  uint32_t without;    // so many attempts in a row found no device
  Endpoint e;
  Parley parley;
  const RdmaHello* offer;  // in the parley
  Agreed agreed;
};

Code rdma_backend_listen(Context& context, ListenPoint* point) noexcept;
void rdma_backend_interrupt_accept(ListenPoint* point) noexcept;
void rdma_backend_unlisten(Context& context, ListenPoint* point) noexcept;
Code rdma_backend_accept(Context& context, ListenPoint* point, Deadline deadline, Link* link) noexcept;
Code rdma_backend_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline,
                          Link* link) noexcept;
Code rdma_pursue(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Pursuit* pursuit,
                 Link* link) noexcept;
void rdma_abandon(Pursuit* pursuit) noexcept;
uint32_t rdma_figures(Link* link, Figure* to, uint32_t most) noexcept;
Code rdma_open_endpoint(Context& context, ListenPoint* point, void* blob, size_t* bytes) noexcept;
Code rdma_connect_endpoint(Context& context, ListenPoint* point, const void* blob, size_t bytes, Deadline deadline,
                           Link* link) noexcept;
void rdma_backend_close(Context& context, Link* link) noexcept;

// --- exchange.cc, for raw.cc too ---
inline constexpr uint32_t kNumberMost = 0xffffff;  // of queue pairs and packets: 24 bits
struct Place;
// Where the point's URI leads to.
Code find_own_place(RdmaPoint* point, Place* place) noexcept;
// A queue pair there, in its first state. The place's device is the endpoint's from now on, also if this fails.
Code make_at_place(Context& context, RdmaPoint* point, const Place& place) noexcept;
// Ready to receive and to send. Of the blob only the number, the packet number, LID, GID and dest_rd_atomic.
Code join(const RdmaPoint* point, const EndpointBlob& peer, Endpoint* e) noexcept;

inline constexpr int kRdmaAddressesMax = 8;
struct RdmaAddresses {
  sockaddr_storage at[kRdmaAddressesMax];
  int count;  // 1 at least
};
// Numeric or by name; passive: for listening.
Code resolve(const Uri& uri, const Knobs& knobs, bool passive, RdmaAddresses* addresses) noexcept;

// The handshake is over: the link takes the endpoint, also if it fails, and then destroys it.
Code fill_link(Context& context, const Knobs& knobs, Endpoint* e, const RdmaHello& peer, const Agreed& agreed,
               RdmaLink* link) noexcept;

// The link is of no use any more, for this reason, a static text; the first one stays. Under the mutex.
void break_link(RdmaLink* link, Code code, const char* why) noexcept;

// What a completion with an error means.
struct Meaning {
  Code code;
  const char* why;
};
Meaning meaning_of(ibv_wc_status status) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_LINK_H_
