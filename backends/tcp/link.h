// What the control path (connect.cc, accept.cc, close.cc) and the data path (send.cc, receive.cc, data.cc) of tcp
// share.
#ifndef BACKENDS_TCP_LINK_H_
#define BACKENDS_TCP_LINK_H_

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <atomic>

#include "backends/tcp/address.h"
#include "backends/tcp/frame.h"
#include "backends/tcp/send_queue.h"
#include "core/backend.h"
#include "core/doorbell.h"
#include "core/hello.h"

namespace rc {

// The largest beginning of a frame that waits for the rest: a header, and a word without its last byte.
inline constexpr size_t kRestBytes = sizeof(Frame) + sizeof(uint64_t) - 1;

// Both sides of an end use the link at once: `sending` guards all that goes out, `receiving` all that comes in. Who
// does not get the second leaves the work to the one who has it, and is woken by him if he sleeps.
//   common_fd   an epoll set: the socket, and timer_fd
//   fd[side]    an eventfd that the other side's thread writes when it has applied what this one sleeps for
struct TcpLink : Link {
  int socket;
  Inbox* own_inbox;  // `inbox`, to apply the peer's WRITEs
  TcpOptions options;

  // Why it is over; kOk while it works. Set once everything that had come before has been applied.
  std::atomic<int32_t> status;
  std::atomic<bool> ending;     // somebody has said so, or is about to
  std::atomic<bool> kicked[2];  // fd[side] has been written

  // --- going out ---
  pthread_mutex_t sending;
  SendQueue queue;
  std::atomic<uint32_t> queued;     // queue.count(), for a glance
  bool broken;                      // nothing goes out any more; what has come in is still applied
  std::atomic<bool> watching_room;  // common_fd also becomes readable when the socket takes bytes again
  uint64_t posted;                  // by the put side, in posts
  uint64_t covered;                 // how many of them the newest FLUSH stands behind
  std::atomic<uint64_t> asked;      // that FLUSH's number
  std::atomic<uint64_t> answered;   // the number of the newest FLUSHED
  // A credit that waits for a put to travel with.
  bool holding;
  uint64_t held_credit;          // its value
  uint64_t told_credit;          // the newest one that was queued
  std::atomic<bool> wanting;     // the peer knows that a put of ours lacks room
  std::atomic<bool> peer_wants;  // and we that one of his does: credits do not wait
  // A peer that acknowledges nothing is noticed by this timer, which runs while something may be unacknowledged.
  int timer_fd;
  std::atomic<int64_t> timer_due_ns;  // 0: it does not run
  int64_t silent_since_ns;            // 0: not silent

  // --- coming in ---
  std::atomic<bool> receiving;
  uint64_t write_at;    // of a WRITE that has begun to come: where its next byte goes ...
  uint32_t write_left;  // ... and how many are missing
  uint32_t rest_bytes;  // of a frame that is not complete
  uint8_t rest[kRestBytes];
  uint64_t flushes;           // FLUSH frames that have come
  std::atomic<bool> replied;  // something went out since the system was last told that this end receives in bulk
  Ringer<StdAtomics> own_bells[2];
};

inline TcpLink* tcp(Link* link) noexcept { return static_cast<TcpLink*>(link); }

// A client in the middle of the handshake.
struct TcpHalfOpen {
  int fd;  // -1: free
  int64_t until_ns;
  uint8_t host[16];  // who it is, for fairness
  uint32_t got;      // bytes of `ask`
  Hello ask;
  bool same_peer(const TcpHalfOpen& other) const noexcept { return memcmp(host, other.host, sizeof host) == 0; }
};

inline constexpr int kTcpHalfOpenMax = 16;

// An attempt that goes on over several calls: first the connection, then the listener's answer.
struct TcpPursuit : Pursuit {
  bool asked;
  uint32_t got;  // bytes of `go`
  Hello go;
  TcpOptions options;
};

struct TcpPoint : ListenPoint {
  int listen_fd;
  TcpOptions options;
  TcpHalfOpen half_open[kTcpHalfOpenMax];
};

// --- control path ---
Code tcp_listen(Context& context, ListenPoint* point) noexcept;
void tcp_interrupt_accept(ListenPoint* point) noexcept;
void tcp_unlisten(Context& context, ListenPoint* point) noexcept;
Code tcp_accept(Context& context, ListenPoint* point, Deadline deadline, Link* link) noexcept;
Code tcp_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Link* link) noexcept;
Code tcp_pursue(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Pursuit* pursuit,
                Link* link) noexcept;
void tcp_abandon(Pursuit* pursuit) noexcept;
void tcp_close(Context& context, Link* link) noexcept;
// The rings of an end: kPool if there are not two.
Code take_rings(Context& context, TcpLink* link) noexcept;
void give_rings(Context& context, TcpLink* link) noexcept;
// Puts an end around a socket whose handshake is as good as done. On failure the socket stays the caller's.
Code open_link(TcpLink* link, int socket, const TcpOptions& options, uint64_t ring_bytes) noexcept;
void close_link(TcpLink* link) noexcept;  // its descriptors; not the rings

// --- data path ---
// Why the link is over, with its reason; kOk while it works.
Code link_over(TcpLink* link) noexcept;
void end_link(TcpLink* link, Code code, const char* text) noexcept;
// The peer may hear us although we do not hear it or do not believe it, and take what we still send for life: a reset
// tells it.
void reset_connection(TcpLink* link) noexcept;
// Hands to the socket what it takes. Under `sending`.
void send_queued(TcpLink* link) noexcept;
// Queues the credit that was held back. Under `sending`.
void release_credit(TcpLink* link) noexcept;
// Stops to watch for room that nobody waits for any more. Under `sending`.
void stop_watching_room(TcpLink* link) noexcept;
// Looks whether the peer has been silent for too long. Under `sending`.
void check_silence(TcpLink* link, int64_t now) noexcept;
// Applies what has come, a bounded amount of it, and wakes whom it is for unless that is `self`, the side that calls.
// Under `receiving`.
void receive_frames(TcpLink* link, Side self) noexcept;
void kick(TcpLink* link, Side side) noexcept;
uint32_t tcp_figures(Link* link, Figure* to, uint32_t most) noexcept;

}  // namespace rc

#endif  // BACKENDS_TCP_LINK_H_
