// What the control path (connect.cc, accept.cc) and the data path (data.cc) of shm share.
#ifndef BACKENDS_SHM_LINK_H_
#define BACKENDS_SHM_LINK_H_

#include "backends/shm/socket.h"
#include "core/backend.h"

namespace rc {

// fd[kGetSide] is the connection's socket, fd[kPutSide] a second one, so that getter and putter never eat each other's
// bells.
struct ShmLink : Link {
  int hand_fd;       // a third one, for the descriptors of direct grants (share.cc); -1: the channel has no operations
  int hand_measure;  // what the kernel counts for one that the peer has not taken; 0: not known yet
};

// A client in the middle of the handshake.
struct ShmHalfOpen {
  int fd;          // -1: free
  int put_fd;      // its second socket
  int segment_fd;  // our segment until it is sent
  int64_t until_ns;
  int64_t pid;
  Agreed agreed;
  Inbox* outbox;  // our segment
  Hello ask;
  bool same_peer(const ShmHalfOpen& other) const noexcept { return pid == other.pid; }
};

inline constexpr int kShmHalfOpenMax = 16;

// A client's half of the handshake, which may go on over several calls.
struct ShmPursuit : Pursuit {
  int put_fd;     // the second socket
  int hand_fd;    // the third one
  bool accepted;  // our segment has been sent
  Link agreed;    // its rings, both segments, who listens
};

struct ShmPoint : ListenPoint {
  Address address;
  int listen_fd;
  ShmHalfOpen half_open[kShmHalfOpenMax];
};

Code shm_listen(Context& context, ListenPoint* point) noexcept;
void shm_interrupt_accept(ListenPoint* point) noexcept;
void shm_unlisten(Context& context, ListenPoint* point) noexcept;
Code shm_accept(Context& context, ListenPoint* point, Deadline deadline, Link* link) noexcept;
Code shm_connect(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Link* link) noexcept;
Code shm_pursue(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Pursuit* pursuit,
                Link* link) noexcept;
void shm_abandon(Pursuit* pursuit) noexcept;
void shm_close(Context& context, Link* link) noexcept;

extern const Extras kShmExtras;  // share.cc

// Who is at the other end, as the kernel tells.
void read_credentials(int socket, Link* link) noexcept;
// Opens common_fd for that process.
void watch_process(int socket, Link* link) noexcept;

}  // namespace rc

#endif  // BACKENDS_SHM_LINK_H_
