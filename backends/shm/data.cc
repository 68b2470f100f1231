// The data path of shm: core stores into the peer's inbox by itself; what is left are doorbells and the death notice.
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "backends/shm/link.h"
#include "backends/shm/shm.h"

namespace rc {
namespace {

constexpr int kBellsPerLook = 16;
constexpr int kRingTries = 1000;

bool process_gone(int pidfd) noexcept {
  pollfd p = {pidfd, POLLIN, 0};
  return pidfd >= 0 && poll(&p, 1, 0) > 0;
}

Code shm_post(Link*, const WorkRequest*, uint32_t) noexcept { return kUnsupported; }  // the link is direct
Code shm_progress(Link*, Side) noexcept { return kOk; }
bool shm_delivered(Link*) noexcept { return true; }

// Eats doorbells, a bounded number of them: a peer that floods us only keeps us from sleeping.
Code shm_alive(Link* link, Side side) noexcept {
  Bell bell = Bell::kRung;
  for (int i = 0; i < kBellsPerLook && bell == Bell::kRung; ++i) bell = take_bell(link->fd[side]);
  if (bell == Bell::kGone) return kPeerDead;
  if (bell == Bell::kWithDescriptor) {
    link->why.set("a doorbell of the peer brought a descriptor");
    return kCorrupt;
  }
  return process_gone(link->common_fd) ? kPeerDead : kOk;
}

// A full socket means that bells wait there already.
void shm_ring(Link* link, Side side) noexcept {
  for (int i = 0; i < kRingTries; ++i) {
    ssize_t n = send(link->fd[side], "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0 || (errno != EINTR && errno != ENOMEM && errno != ENOBUFS)) return;
    if (errno != EINTR) sched_yield();  // a bell that is not sent now may never be
  }
}

void shm_interrupt(Link* link) noexcept {
  for (int fd : link->fd) shutdown(fd, SHUT_RD);
}

}  // namespace

const Backend kShmBackend = {"shm",        sizeof(ShmLink), sizeof(ShmPoint),   shm_listen, shm_interrupt_accept,
                             shm_unlisten, shm_accept,      shm_connect,        shm_close,  shm_post,
                             shm_progress, shm_delivered,   shm_alive,          shm_ring,   shm_interrupt,
                             kThisHost,    &kShmExtras,     sizeof(ShmPursuit), shm_pursue, shm_abandon};

}  // namespace rc
