// The seam: what core asks of a backend. A backend moves bytes and makes or breaks connections; it decides nothing.
// Every entry of the table is filled; core never checks for null. All memory a backend's objects need is carved by
// core.
#ifndef CORE_BACKEND_H_
#define CORE_BACKEND_H_

#include <stddef.h>
#include <stdint.h>

#include <atomic>

#include "core/deadline.h"
#include "core/nic.h"
#include "core/raw.h"
#include "core/result.h"
#include "core/uri.h"
#include "core/wire.h"

namespace rc {

class Context;
class Ops;
struct Backend;

inline constexpr size_t kIdentityBytes = 64;  // with the NUL
inline constexpr size_t kTokenBytes = 64;     // with the NUL
inline constexpr uint32_t kOpRingMin = 4096;
inline constexpr uint32_t kOpRingMax = uint32_t{1} << 30;
inline constexpr uint32_t kRequestsMax = 1024;
inline constexpr size_t kChoiceBytes = 640;  // with the NUL

// A listener's own verdict on who wants to come in, besides token and sizes; it must not wait or take locks.
struct Judge {
  Code (*judge)(const void* by, const char* identity) noexcept;  // null: everybody may
  const void* by;
};

// What a connection is made with; checked by core.
struct ChannelParams {
  uint64_t ring_bytes;      // 0: as the peer wants
  uint64_t ring_bytes_max;  // the context's; the answer when both ends want nothing
  uint32_t op_ring_bytes;   // at most; 0: no operations
  uint32_t requests;        // in flight at once, at most
  uint32_t wait;            // kWait*
  bool any_user;
  char identity[kIdentityBytes];
  char token[kTokenBytes];
  char rdma_knobs[kKnobsBytes];  // for what the URI does not say
  Judge judge;                   // of a listener
};

enum Side : uint32_t { kGetSide = 0, kPutSide = 1, kNoSide = 2 };

// One WRITE into the peer's inbox.
struct WorkRequest {
  const void* local;  // readable until the peer's credit covers it, or until post returns if `copy`
  uint64_t offset;    // from the start of the peer's inbox
  uint32_t bytes;
  bool copy;  // at most one line: the source changes as soon as post returns
  // A credit of a get that goes on to wait: if it is small it may wait for the next post to travel with, or until the
  // peer's putter lacks room.
  bool lazy = false;
};

// What a backend knows of why its link is of no use any more, a literal for the caller's reason; null: nothing special.
// Any thread may look at it; it is copied only before there is another one.
struct Why {
  std::atomic<const char*> text{nullptr};
  Why() noexcept = default;
  Why(const Why& other) noexcept : text(other.get()) {}
  Why& operator=(const Why& other) noexcept {
    set(other.get());
    return *this;
  }
  void set(const char* t) noexcept { text.store(t, std::memory_order_release); }
  const char* get() const noexcept { return text.load(std::memory_order_acquire); }
};

// One number that a backend can tell of a link: what was chosen for a knob, or what it counts.
struct Figure {
  const char* name;  // static
  int64_t value;
};
inline constexpr uint32_t kFiguresMost = 64;

// A port of a device that a backend can use.
struct Device {
  char name[64];
  uint64_t guid;
  uint32_t port;
  bool active;
  bool infiniband;  // else Ethernet
  uint32_t mtu;     // bytes, as the port is now
  uint32_t mtu_max;
  uint32_t gids;  // in use
  uint32_t gid;   // the one that would be chosen
  uint8_t gid_bytes[16];
};

// What both ends have agreed on in the handshake (hello.h).
struct Agreed {
  size_t ring_bytes;
  uint32_t op_ring_bytes;  // 0: this channel has no op ring
  uint32_t requests;

  size_t both_rings() const noexcept { return rings_bytes(ring_bytes, op_ring_bytes); }
};

// From this size on a copy costs more than pieces of their own do, over links that borrow.
inline constexpr size_t kLendBytes = 4096;

// One end of a connection, as the data path sees it. A backend's own struct begins with this one.
struct Link : Agreed {
  const Backend* ops;
  const Inbox* inbox;  // the peer writes, this end reads; content is peer input
  Inbox* outbox;       // this end's image of the peer's inbox
  uint64_t* landings;  // `requests` words: where a NIC puts what atomics give back (nic.h); null: no regions here
  Ops* operations;     // what it carries them for; null: nothing, or the channel is not open yet
  // The outbox is the peer's inbox itself: a store is a WRITE, post is never called.
  bool direct;
  // post is done with the bytes of a request when it returns kOk, wherever they lie: what it has not sent by then is in
  // the outbox. Else the bytes of a request lie there, and stay.
  bool borrows;
  // The peer's process cannot take part in heavy_fence(): light fences of this end must be full ones.
  bool full_fence;
  // Per side, a descriptor that becomes readable when that side is rung and when the peer is gone (of a direct link to
  // another process: hung up then); -1: the side naps.
  int fd[2];
  // For both sides: becomes readable when the peer's process has ended, also if others hold copies of its descriptors,
  // and when progress has something to do; -1: none.
  int common_fd;
  // Not 0: a side that sleeps looks so often whether the link still works, because nothing else would tell.
  int64_t look_every_ns;
  int64_t peer_pid;  // 0: unknown
  int64_t peer_uid;  // -1: unknown
  Why why;
  char identity[kIdentityBytes];
  char uri[kUriBytes];
  // Set by connect and pursue: at the end somebody listened and had answered, whatever came of it. (A backend without a
  // place in lists need not tell.)
  bool heard;
  // Told to connect, 0 or a time: a listener that has answered is waited for until then, if that is after the deadline.
  // To leave it half way could leave it with a channel that nobody is at the other end of.
  int64_t heard_until_ns;
  char choice[kChoiceBytes];  // of a list of transports (fallback.h), which was taken and why others were not

  uint8_t* outbox_ring() const noexcept { return reinterpret_cast<uint8_t*>(outbox) + kRingOffset; }
  // Read only, although the type says otherwise: the reader's half of the ring code never stores.
  uint8_t* inbox_ring() const noexcept {
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(inbox)) + kRingOffset;
  }
  uint8_t* outbox_op_ring() const noexcept { return outbox_ring() + op_ring_at(ring_bytes); }
  uint8_t* inbox_op_ring() const noexcept { return inbox_ring() + op_ring_at(ring_bytes); }
};

// A place where clients arrive. A backend's own struct begins with this one.
struct ListenPoint {
  const Backend* ops;
  ListenPoint* next;          // the context's list, under its lock
  int fd;                     // readable while accept has something to do; -1: none
  std::atomic<bool> closing;  // set before interrupt_accept
  bool gone;                  // what it listens at; each accept says so. Of the thread that accepts
  ChannelParams params;
  Uri uri;
};

// How a backend takes part in a list of transports, a+b://HOST:PORT.
enum Reach : uint32_t {
  kNotListed,  // not at all
  kAnyHost,    // its own URIs are SCHEME://HOST:PORT
  kThisHost,   // its own URIs are SCHEME:NAME, for processes of one host: the name is HOST:PORT, HOST as a number
};

// An attempt to connect that goes on over several calls. A backend's own struct begins with this one; core has zeroed
// it, but for ops and turn, and set fd to -1 before the first of its attempts.
struct Pursuit {
  const Backend* ops;
  int fd;         // becomes ready when the attempt can go on; -1: none is under way
  short events;   // ready for what: POLLIN or POLLOUT
  uint32_t turn;  // counts the attempts that were begun: of several addresses of a name each tries the next one
};

// For a backend whose attempts do not go on: its connect, and nothing that could be abandoned.
Code connect_at_once(Context&, const Uri&, const ChannelParams&, Deadline, Pursuit*, Link*) noexcept;
void abandon_nothing(Pursuit*) noexcept;

struct Extras;
// Memory of this end that the peer, or its NIC, reaches by itself.
struct Share {
  const Extras* by = nullptr;  // null: nobody does
  uint8_t* at = nullptr;
  uint64_t bytes = 0;
  void* spare = nullptr;  // the backend's own
  size_t kept = 0;        // so many bytes behind the spare ones, too
  uint64_t address = 0;   // what the peer's NIC is told, if it is a NIC
  uint32_t key = 0;
};
// For a backend without figures, devices or endpoints, and whose peers reach nothing by themselves.
uint32_t no_figures(Link*, Figure*, uint32_t most) noexcept;
Code no_device(uint32_t i, Device*) noexcept;
Code no_endpoint(Context&, ListenPoint*, void* blob, size_t* bytes) noexcept;
Code no_connection(Context&, ListenPoint*, const void* blob, size_t bytes, Deadline, Link*) noexcept;
Code no_share(Link*, uint64_t key_id, uint32_t rights, Share*) noexcept;
Code no_unshare(Share*) noexcept;
Code no_reach(Link*, uint64_t key_id, uint64_t bytes, uint32_t rights, uint8_t** at) noexcept;
void no_unreach(uint8_t* at, uint64_t bytes) noexcept;

// What few backends have; kNoExtras has an answer to each.
struct Extras {
  // Fills in at most `most` figures and says how many. Called by the get side.
  uint32_t (*figures)(Link*, Figure* to, uint32_t most) noexcept;
  // The i-th port of all devices; kRange: there are fewer.
  Code (*device)(uint32_t i, Device*) noexcept;
  // An end whose description the caller carries to the peer. Made like a listener, and unlisten ends it; no accept.
  // *bytes: in, the room at `blob`; out, the description's size.
  Code (*open_endpoint)(Context&, ListenPoint*, void* blob, size_t* bytes) noexcept;
  // The peer's description has come: like connect.
  Code (*connect_endpoint)(Context&, ListenPoint*, const void* blob, size_t bytes, Deadline, Link*) noexcept;

  // Direct grants. By the put side, without locks: lets the peer reach share->bytes at share->at, whole pages of this
  // process's own (of a NIC: any bytes), under that key. On failure nothing has changed.
  Code (*share)(Link*, uint64_t key_id, uint32_t rights, Share*) noexcept;
  // Takes it back, whether or not the link is still there: when it has returned kOk nothing that the peer does reaches
  // the memory, whose bytes are what they were. Else nothing has changed. A NIC's are over when the link has closed,
  // too.
  Code (*unshare)(Share*) noexcept;
  // By the get side, without locks: where the memory is that the peer has shared under that key. kCorrupt: there is
  // none, or it is not as it should be. Else nothing has changed, and it may be tried again. A NIC gives no address.
  Code (*reach)(Link*, uint64_t key_id, uint64_t bytes, uint32_t rights, uint8_t** at) noexcept;
  void (*unreach)(uint8_t* at, uint64_t bytes) noexcept;
  const RawTable* raw = &kNoRaw;
  const NicTable* nic = &kNoNic;
};
extern const Extras kNoExtras;

struct Backend {
  const char* scheme;
  size_t link_bytes;
  size_t listen_bytes;

  // Control path. Called without locks; waits end at the deadline, at context.stop() and at unlisten.
  Code (*listen)(Context&, ListenPoint*) noexcept;  // uri and params are set
  void (*interrupt_accept)(ListenPoint*) noexcept;  // wakes a sleeping accept, which then returns kClosing
  void (*unlisten)(Context&, ListenPoint*) noexcept;
  Code (*accept)(Context&, ListenPoint*, Deadline, Link*) noexcept;  // on failure the link holds nothing
  Code (*connect)(Context&, const Uri&, const ChannelParams&, Deadline, Link*) noexcept;  // the same
  void (*close)(Context&, Link*) noexcept;  // the last call on a link; `closed` has been written before

  // Data path. post, progress, delivered and alive may be called by the putter and the getter at the same time.
  // In order, all or nothing, executed in order; n work requests are one doorbell. kWouldBlock: the queue is full. A
  // single copied request (a credit) always finds room.
  Code (*post)(Link*, const WorkRequest*, uint32_t n) noexcept;
  // Lets arrived writes land and reaps completions; bounded. Called by that side, which looks afterwards, or by
  // somebody else (kNoSide): both sides are to be woken then. Once it says
  // that the link is over, all that had arrived has landed. Why is said in
  // link->why before.
  Code (*progress)(Link*, Side) noexcept;
  bool (*delivered)(Link*) noexcept;  // everything posted is in the peer's memory
  // kOk, kClosed, kPeerDead or kCorrupt: one look that does not block. Eats stale doorbells of that side: what arrives
  // after this makes the side's descriptor readable again. With kNoSide, on links that are not direct: eats none, but
  // does what makes common_fd readable, and wakes the sides that it is for.
  Code (*alive)(Link*, Side) noexcept;

  // Sleeping.
  void (*ring)(Link*, Side) noexcept;  // wakes that side of the peer; never blocks
  void (*interrupt)(Link*) noexcept;   // wakes this end's own sleepers

  Reach reach = kNotListed;
  const Extras* extras = &kNoExtras;
  // Control path, for who may not wait: one try at one listener. Begins it, or goes on with the one under way as far as
  // it goes now. While pursuit->fd says afterwards that it is under way, the result is kWouldBlock, or kPool if it is
  // only a pool of the context that it waits for; it is to be pursued when fd is ready, or abandoned. Else it is
  // connect's. A backend whose attempts do not go on waits, until the deadline.
  size_t pursuit_bytes = sizeof(Pursuit);
  Code (*pursue)(Context&, const Uri&, const ChannelParams&, Deadline, Pursuit*, Link*) noexcept = connect_at_once;
  void (*abandon)(Pursuit*) noexcept = abandon_nothing;
  // What all its connections in one context share; zero at first. See Context::shared_by.
  size_t context_bytes = 0;
};

// The backends of this program, ended by null. Defined by backends/registry.cc, or by a test's own registry.
extern const Backend* const g_backends[];

}  // namespace rc

#endif  // CORE_BACKEND_H_
