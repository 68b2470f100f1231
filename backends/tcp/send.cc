// What goes out: the queue is handed to the socket, a gathered piece at a time, and a peer that acknowledges nothing is
// noticed.
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "backends/tcp/link.h"
#include "core/deadline.h"
#include "core/descriptors.h"
#include "core/step.h"

namespace rc {
namespace {

constexpr int kSendsMost = 4;
// So many bytes are cheaper to copy together than to hand over in pieces (measured: of a round trip of 64 B, 5 %).
constexpr size_t kCopiedMost = 2048;
// The timer of a link runs so many times in its time-out.
constexpr int64_t kLooksPerTimeout = 4;
// Unanswered probes of a closed window that count as silence: an answered one brings the number back to 0.
constexpr int kProbesUnanswered = 2;

int64_t timeout_ns(const TcpLink* link) noexcept { return link->options.timeout_ms * 1000 * 1000; }

void watch(TcpLink* link, bool room) noexcept {
  epoll_event event = {};
  event.events = room ? EPOLLIN | EPOLLOUT : EPOLLIN;
  if (epoll_ctl(link->common_fd, EPOLL_CTL_MOD, link->socket, &event) == 0)
    link->watching_room.store(room, std::memory_order_relaxed);
}

void start_timer(TcpLink* link, int64_t now) noexcept {
  int64_t at = now + timeout_ns(link) / kLooksPerTimeout;
  itimerspec when = {};
  when.it_value = {at / 1000000000, at % 1000000000};
  if (timerfd_settime(link->timer_fd, TFD_TIMER_ABSTIME, &when, nullptr) == 0)
    link->timer_due_ns.store(at, std::memory_order_relaxed);
}

// Nothing goes out any more. What the peer had sent before is still there to be applied, and says why; behind it the
// receiving half now finds the end of the stream, also if the system has kept the error to the one who sends.
void give_up_sending(TcpLink* link) noexcept {
  link->broken = true;
  shutdown(link->socket, SHUT_RDWR);
}

ssize_t send_pieces(int socket, iovec* pieces, int count, size_t bytes) noexcept {
  if (bytes > kCopiedMost) {
    msghdr message = {};
    message.msg_iov = pieces;
    message.msg_iovlen = static_cast<size_t>(count);
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  uint8_t together[kCopiedMost];
  uint8_t* to = together;
  for (const iovec* piece = pieces; piece != pieces + count; to += piece->iov_len, ++piece)
    memcpy(to, piece->iov_base, piece->iov_len);
  return send(socket, together, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Something is under way that the peer's machine should have acknowledged. A peer that does not read is not silent: its
// machine answers the probes of the closed window.
bool waits_for_acknowledgement(const tcp_info& info) noexcept {
  return info.tcpi_unacked != 0 || info.tcpi_probes >= kProbesUnanswered;
}

}  // namespace

void send_queued(TcpLink* link) noexcept {
  for (int i = 0; i < kSendsMost && link->queue.count() != 0 && !link->broken; ++i) {
    iovec pieces[SendQueue::kPiecesMost];
    size_t bytes = 0;
    int count = link->queue.gather(pieces, &bytes);
    RC_STEP("send: before");
    ssize_t n = send_pieces(link->socket, pieces, count, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOMEM || errno == ENOBUFS)) break;
    if (n < 0) give_up_sending(link);
    if (n > 0) {
      link->queue.sent(static_cast<size_t>(n));
      link->replied.store(true, std::memory_order_relaxed);
    }
    RC_STEP("send: sent");
    if (n != static_cast<ssize_t>(bytes)) break;
  }
  if (link->broken) link->queue.clear();
  uint32_t left = link->queue.count();
  link->queued.store(left, std::memory_order_relaxed);
  if (left != 0 && !link->watching_room) watch(link, true);
  if (link->timer_due_ns.load(std::memory_order_relaxed) == 0) start_timer(link, now_ns());
}

void release_credit(TcpLink* link) noexcept {
  if (!link->holding) return;
  link->holding = false;
  link->told_credit = link->held_credit;
  link->queue.write({&link->held_credit, offsetof(Inbox, credit), sizeof link->held_credit, true});
}

void stop_watching_room(TcpLink* link) noexcept {
  if (link->watching_room && link->queue.count() == 0) watch(link, false);
}

void check_silence(TcpLink* link, int64_t now) noexcept {
  int64_t due = link->timer_due_ns.load(std::memory_order_relaxed);
  if (due == 0 || now < due) return;
  drain_fd(link->timer_fd);
  link->timer_due_ns.store(0, std::memory_order_relaxed);
  tcp_info info = {};
  socklen_t bytes = sizeof info;
  if (getsockopt(link->socket, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0) return start_timer(link, now);
  if (!waits_for_acknowledgement(info)) {
    link->silent_since_ns = 0;
    if (link->queue.count() == 0 && info.tcpi_notsent_bytes == 0) return;  // the next post starts the timer again
  } else {
    int64_t heard = now - int64_t{info.tcpi_last_ack_recv} * 1000 * 1000;
    if (link->silent_since_ns == 0) link->silent_since_ns = now;
    if (link->silent_since_ns < heard) link->silent_since_ns = heard;
    if (now - link->silent_since_ns >= timeout_ns(link)) {
      end_link(link, kPeerDead, "the peer's machine did not answer within the time-out");
      return reset_connection(link);
    }
  }
  start_timer(link, now);
}

uint32_t tcp_figures(Link* l, Figure* to, uint32_t most) noexcept {
  tcp_info info = {};
  socklen_t bytes = sizeof info;
  if (most == 0 || getsockopt(tcp(l)->socket, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0) return 0;
  *to = {"resends", info.tcpi_total_retrans};
  return 1;
}

}  // namespace rc
