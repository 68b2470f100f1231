// The data path of tcp: what core asks of a link, and who holds which lock for it. Who holds `receiving` may take
// `sending`, never the reverse.
#include <string.h>
#include <unistd.h>

#include "backends/tcp/link.h"
#include "backends/tcp/tcp.h"
#include "core/descriptors.h"
#include "core/mutex_lock.h"

namespace rc {
namespace {

// If another thread is at it, he lets everything land that we could, and wakes us if we sleep.
void receive(TcpLink* link, Side self) noexcept {
  if (link->receiving.load(std::memory_order_relaxed) || link->receiving.exchange(true, std::memory_order_acquire))
    return;
  receive_frames(link, self);
  link->receiving.store(false, std::memory_order_release);
}

// A lazy credit would cost a request and its answer a send each. It goes with the next put; one that a put of the peer
// may wait for goes at once.
constexpr uint64_t kHeldShare = 8;  // of the ring

// True: it was held back. Under `sending`: who hears that the peer wants it then releases it.
bool hold(TcpLink* link, const WorkRequest& credit) noexcept {
  memcpy(&link->held_credit, credit.local, sizeof link->held_credit);
  link->holding = true;
  return credit.lazy && !link->peer_wants.load(std::memory_order_relaxed) &&
         link->held_credit - link->told_credit < link->ring_bytes / kHeldShare;
}

// The put side lacks room: the peer is not to hold back a credit, however small. Said once per put, and only while no
// more is under way than a get that came short leaves unread (half the ring) and a held credit hides (its share): else
// he has something to read, and tells.
void ask_for_credit(TcpLink* link) noexcept {
  if (link->wanting.load(std::memory_order_relaxed)) return;
  uint64_t under_way =
      link->outbox->line.tail.load(std::memory_order_relaxed) - link->inbox->credit.load(std::memory_order_relaxed);
  if (under_way == 0 || under_way > link->ring_bytes / 2 + link->ring_bytes / kHeldShare) return;
  MutexLock sending(&link->sending);
  link->wanting.store(true, std::memory_order_relaxed);
  link->queue.control(Frame::kWant, 0);
  send_queued(link);
}

Code tcp_post(Link* l, const WorkRequest* requests, uint32_t n) noexcept {
  TcpLink* link = tcp(l);
  Code code = link_over(link);
  if (code != kOk) return code;
  bool word = n == 1 && requests[0].copy;
  bool broken;
  {
    MutexLock sending(&link->sending);
    if (!word && !link->queue.room_for(n)) send_queued(link);
    if (!word && !link->queue.room_for(n)) return kWouldBlock;
    bool credit = word && requests[0].offset == offsetof(Inbox, credit);
    if (credit && hold(link, requests[0])) return kOk;
    if (!word) {
      ++link->posted;
      link->wanting.store(false, std::memory_order_relaxed);
    }
    for (uint32_t i = 0; i < n && !credit; ++i) link->queue.write(requests[i]);
    release_credit(link);
    send_queued(link);
    link->queue.keep(reinterpret_cast<uint8_t*>(link->outbox));
    broken = link->broken;
  }
  if (broken) receive(link, kNoSide);  // what the peer said last
  return link_over(link);
}

Code tcp_progress(Link* l, Side side) noexcept {
  TcpLink* link = tcp(l);
  if (side == kPutSide) ask_for_credit(link);
  if (link->queued.load(std::memory_order_relaxed) != 0) {
    MutexLock sending(&link->sending);
    if (link->queue.count() != 0) send_queued(link);
  }
  receive(link, side);
  return link_over(link);
}

bool tcp_delivered(Link* l) noexcept {
  TcpLink* link = tcp(l);
  MutexLock sending(&link->sending);
  uint64_t asked = link->asked.load(std::memory_order_relaxed);
  bool answered = link->answered.load(std::memory_order_acquire) == asked;
  if (answered && link->covered == link->posted) return !link->broken;
  if (answered && !link->broken) {  // one question at a time
    link->covered = link->posted;
    link->asked.store(asked + 1, std::memory_order_release);  // pairs with the acquire in apply_flush
    link->queue.control(Frame::kFlush, asked + 1);
    send_queued(link);
  }
  return false;
}

Code tcp_alive(Link* l, Side side) noexcept {
  TcpLink* link = tcp(l);
  if (side != kNoSide && link->kicked[side].exchange(false, std::memory_order_acquire)) drain_fd(link->fd[side]);
  int64_t now = now_ns();
  int64_t due = link->timer_due_ns.load(std::memory_order_relaxed);
  if (link->watching_room.load(std::memory_order_relaxed) || (due != 0 && now >= due)) {
    MutexLock sending(&link->sending);
    if (link->queue.count() != 0) send_queued(link);
    stop_watching_room(link);
    check_silence(link, now);
  }
  return link_over(link);
}

// The peer's sleepers are woken by what arrives.
void tcp_ring(Link*, Side) noexcept {}

void tcp_interrupt(Link* link) noexcept {
  kick(tcp(link), kGetSide);
  kick(tcp(link), kPutSide);
}

}  // namespace

Code link_over(TcpLink* link) noexcept {
  auto status = static_cast<Code>(link->status.load(std::memory_order_acquire));
  return status == kOk ? kOk : fail_plain(status, link->why.get());
}

// The first reason stays. A sleeper is woken by the socket if the peer has hung up, but not if it has misbehaved.
void end_link(TcpLink* link, Code code, const char* text) noexcept {
  if (link->ending.exchange(true, std::memory_order_relaxed)) return;
  link->why.set(text);
  link->status.store(code, std::memory_order_release);
  kick(link, kGetSide);
  kick(link, kPutSide);
}

// First the descriptor, then the note: so the one who finds the note also finds the descriptor readable.
void kick(TcpLink* link, Side side) noexcept {
  signal_fd(link->fd[side]);
  link->kicked[side].store(true, std::memory_order_release);
}

const Extras kTcpExtras = {tcp_figures, no_device,  no_endpoint, no_connection,
                           no_share,    no_unshare, no_reach,    no_unreach};

const Backend kTcpBackend = {"tcp",        sizeof(TcpLink), sizeof(TcpPoint),   tcp_listen, tcp_interrupt_accept,
                             tcp_unlisten, tcp_accept,      tcp_connect,        tcp_close,  tcp_post,
                             tcp_progress, tcp_delivered,   tcp_alive,          tcp_ring,   tcp_interrupt,
                             kAnyHost,     &kTcpExtras,     sizeof(TcpPursuit), tcp_pursue, tcp_abandon};

}  // namespace rc
