// What comes in: frames, all of them peer input, applied to this end's own inbox.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "backends/tcp/link.h"
#include "core/mutex_lock.h"
#include "core/ops_incoming.h"
#include "core/step.h"

namespace rc {
namespace {

// One call does at most so much, so that a fast peer keeps no caller from his own work.
constexpr int kReceivesMost = 4;
constexpr uint32_t kPieceBytes = 256 * 1024;
// A WRITE that lacks so much is acknowledged while it comes.
constexpr uint32_t kBulkBytes = 64 * 1024;
// Of what follows a large WRITE so much is staged: its tail, and the beginning of the next one. The more it is, the
// more is copied twice.
constexpr size_t kAheadBytes = 4096;
// What one receive may bring at most of small frames.
constexpr size_t kStageBytes = 16 * 1024;

// Where a receive puts what has no place of its own yet. On the stack: only the beginning of a frame outlives the call,
// and a thousand channels need not have a thousand of these.
struct Stage {
  uint32_t bytes;
  uint8_t data[kStageBytes];
};

constexpr uint64_t kTail = offsetof(Inbox, line) + offsetof(TailLineOf<std::atomic<uint64_t>>, tail);
constexpr uint64_t kCredit = offsetof(Inbox, credit);
constexpr uint64_t kGetter = offsetof(Inbox, getter);
constexpr uint64_t kOpTail = offsetof(Inbox, op_line) + offsetof(TailLineOf<std::atomic<uint64_t>>, tail);
constexpr uint64_t kOpCredit = offsetof(Inbox, op_credit);

enum News : uint32_t { kForGetter = 1u << kGetSide, kForPutter = 1u << kPutSide, kWantsCredit = 4, kFrames = 8 };

bool corrupt(TcpLink* link, const char* text) noexcept {
  end_link(link, kCorrupt, text);
  reset_connection(link);
  return false;
}

// A word of the inbox's head.
bool apply_word(TcpLink* link, uint64_t offset, const uint8_t* bytes, uint32_t* news) noexcept {
  const char* no_word = "the peer writes to a place of the inbox that is no word of the protocol";
  if (link->op_ring_bytes == 0 && (offset == kOpTail || offset == kOpCredit)) return corrupt(link, no_word);
  std::atomic<uint64_t>* to;
  switch (offset) {
    case kTail:
      to = &link->own_inbox->line.tail;
      link->peer_wants.store(false, std::memory_order_relaxed);  // that put has found its room
      *news |= kForGetter;
      break;
    case kCredit:
      to = &link->own_inbox->credit;
      *news |= kForPutter;
      break;
    case kOpTail:
      to = &link->own_inbox->op_line.tail;
      *news |= kForGetter | kForPutter | kFrames;
      break;
    case kOpCredit:
      to = &link->own_inbox->op_credit;
      *news |= kForGetter | kForPutter;
      break;
    case kGetter:
      to = &link->own_inbox->getter;
      *news |= kForGetter | kForPutter;
      break;
    default:
      return corrupt(link, no_word);
  }
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  to->store(word, std::memory_order_release);  // pairs with RxRing::look, TxRing::take_credit and Channel::ended
  return true;
}

bool apply_control(TcpLink* link, const Frame& frame, uint32_t* news) noexcept {
  if (frame.bytes != 0) return corrupt(link, "the peer sent a control frame that has bytes");
  if (frame.kind == Frame::kWant) {
    if (frame.offset != 0) return corrupt(link, "the peer wants credit and says a number");
    link->peer_wants.store(true, std::memory_order_relaxed);
    *news |= kWantsCredit;
    return true;
  }
  if (frame.kind == Frame::kFlush) {
    if (frame.offset != link->flushes + 1) return corrupt(link, "the peer's flushes are not counted in order");
    link->flushes = frame.offset;
    return true;
  }
  uint64_t answered = link->answered.load(std::memory_order_relaxed);
  if (frame.offset != answered + 1 || frame.offset != link->asked.load(std::memory_order_acquire))
    return corrupt(link, "the peer answers a flush that it was not asked for");
  link->answered.store(frame.offset, std::memory_order_release);  // pairs with tcp_delivered
  *news |= kForPutter;
  return true;
}

// The header of a WRITE into the ring: its bytes may come now.
bool begin_write(TcpLink* link, const Frame& frame) noexcept {
  uint64_t at = frame.offset - kRingOffset;
  size_t op_at = op_ring_at(link->ring_bytes);
  bool in_ring = frame.bytes <= link->ring_bytes && at <= link->ring_bytes - frame.bytes;
  bool in_op_ring =
      frame.bytes <= link->op_ring_bytes && at >= op_at && at - op_at <= link->op_ring_bytes - frame.bytes;
  if (frame.bytes == 0 || (!in_ring && !in_op_ring)) return corrupt(link, "the peer writes outside of the rings");
  link->write_at = frame.offset;
  link->write_left = frame.bytes;
  return true;
}

// Takes one frame from the n bytes, or what has come of it. Returns how many bytes that were; 0: its beginning is not
// complete, or the peer broke the protocol.
size_t apply_one(TcpLink* link, const uint8_t* bytes, size_t n, uint32_t* news) noexcept {
  if (link->write_left != 0) {
    size_t some = n < link->write_left ? n : link->write_left;
    memcpy(reinterpret_cast<uint8_t*>(link->own_inbox) + link->write_at, bytes, some);
    link->write_at += some;
    link->write_left -= static_cast<uint32_t>(some);
    return some;
  }
  Frame frame;
  if (n < sizeof frame) return 0;
  memcpy(&frame, bytes, sizeof frame);
  if (frame.kind == Frame::kFlush || frame.kind == Frame::kFlushed || frame.kind == Frame::kWant)
    return apply_control(link, frame, news) ? sizeof frame : 0;
  if (frame.kind != Frame::kWrite) {
    corrupt(link, "the peer sent a frame of an unknown kind");
    return 0;
  }
  if (frame.offset >= kRingOffset) return begin_write(link, frame) ? sizeof frame : 0;
  if (frame.bytes != sizeof(uint64_t)) {
    corrupt(link, "the peer writes to the inbox's head something else than one word");
    return 0;
  }
  if (n < sizeof frame + sizeof(uint64_t)) return 0;
  return apply_word(link, frame.offset, bytes + sizeof frame, news) ? sizeof frame + sizeof(uint64_t) : 0;
}

// Everything staged is applied at once: what lies in the socket wakes a sleeper, what lies here would not.
void apply_staged(TcpLink* link, Stage* stage, uint32_t* news) noexcept {
  size_t at = 0;
  while (at < stage->bytes) {
    size_t used = apply_one(link, stage->data + at, stage->bytes - at, news);
    if (used == 0) break;
    at += used;
  }
  stage->bytes -= static_cast<uint32_t>(at);
  if (at != 0 && stage->bytes != 0) memmove(stage->data, stage->data + at, stage->bytes);
}

// Who answers what he receives is taken for half of a dialogue, and his acknowledgements wait for the next answer. To a
// peer in the middle of a large WRITE they are what frees his socket buffer (measured: writes of 1 MiB lose an eighth).
void acknowledge_at_once(TcpLink* link) noexcept {
  if (!link->replied.load(std::memory_order_relaxed)) return;
  link->replied.store(false, std::memory_order_relaxed);
  int on = 1;
  static_cast<void>(setsockopt(link->socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on));
}

// Takes what the socket has: at most *direct bytes of a WRITE to where they belong, what follows into the stage.
// *direct: how many were asked for.
ssize_t receive_pieces(TcpLink* link, Stage* stage, size_t* direct, size_t* room) noexcept {
  uint64_t op_ring = kRingOffset + op_ring_at(link->ring_bytes);
  bool payload = *direct >= kLendBytes && link->write_at >= op_ring;
  Ops::Incoming incoming(payload ? link->operations : nullptr, link->write_at - op_ring, *direct);
  uint8_t* to = reinterpret_cast<uint8_t*>(link->own_inbox) + link->write_at;
  if (incoming.place() != nullptr) {
    to = incoming.place();
    *direct = incoming.bytes();
  }
  *room = *direct == link->write_left ? kAheadBytes : 0;  // nothing is staged
  iovec pieces[2] = {{to, *direct}, {stage->data, *room}};
  msghdr message = {};
  message.msg_iov = pieces;
  message.msg_iovlen = *room != 0 ? 2 : 1;
  ssize_t n;
  do {
    n = recvmsg(link->socket, &message, MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n > 0 && incoming.place() != nullptr) incoming.arrived(static_cast<size_t>(n) < *direct ? n : *direct);
  return n;
}

// One recv: the rest of a WRITE goes straight to its place, what follows is staged. Returns whether more may be there.
bool receive_once(TcpLink* link, Stage* stage, uint32_t* news) noexcept {
  size_t direct = link->write_left < kPieceBytes ? link->write_left : kPieceBytes;
  size_t room = sizeof stage->data - stage->bytes;
  ssize_t n;
  if (direct != 0) {
    if (direct >= kBulkBytes) acknowledge_at_once(link);
    n = receive_pieces(link, stage, &direct, &room);
  } else {
    do {
      n = recv(link->socket, stage->data + stage->bytes, room, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
  }
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOMEM || errno == ENOBUFS)) return false;
  if (n <= 0) {
    if (n < 0 && errno == EFAULT) {
      end_link(link, kSystem, "registered memory that bytes came for is not mapped; unmap it after rc_mr_free only");
    } else {
      end_link(link, kPeerDead, "the peer died or dropped the connection without closing; reconnect");
    }
    if (n < 0) reset_connection(link);
    return false;
  }
  size_t got = static_cast<size_t>(n);
  size_t in_place = got < direct ? got : direct;
  link->write_at += in_place;
  link->write_left -= static_cast<uint32_t>(in_place);
  stage->bytes += static_cast<uint32_t>(got - in_place);
  apply_staged(link, stage, news);
  return got == direct + room;
}

void answer(TcpLink* link, bool flushes) noexcept {
  MutexLock sending(&link->sending);
  RC_STEP("receive: before the answer");
  if (flushes) link->queue.control(Frame::kFlushed, link->flushes);
  if (link->peer_wants.load(std::memory_order_relaxed)) release_credit(link);
  send_queued(link);
}

// Wakes who sleeps for what has been applied, if he does not do this himself (I8).
void tell(TcpLink* link, uint32_t news, Side self) noexcept {
  if ((news & (kForGetter | kForPutter)) == 0) return;
  std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the one in Channel::arm
  bool getter = (news & kForGetter) != 0 && link->own_bells[kGetSide].must_ring(link->outbox->getter);
  bool putter = (news & kForPutter) != 0 && link->own_bells[kPutSide].must_ring(link->outbox->putter);
  if (getter && self != kGetSide) kick(link, kGetSide);
  if (putter && self != kPutSide) kick(link, kPutSide);
}

}  // namespace

void receive_frames(TcpLink* link, Side self) noexcept {
  uint64_t flushes = link->flushes;
  uint32_t news = 0;
  Stage stage;
  stage.bytes = link->rest_bytes;
  memcpy(stage.data, link->rest, link->rest_bytes);
  // Op frames that were published are executed by the caller before more comes, unless that is a mesh: payload behind
  // them may then go to its place.
  for (int i = 0; i < kReceivesMost && (news & kFrames) == 0; ++i) {
    if (link->status.load(std::memory_order_relaxed) != kOk || !receive_once(link, &stage, &news)) break;
  }
  // What is left is the beginning of a frame, unless the link is over.
  link->rest_bytes = stage.bytes <= sizeof link->rest ? stage.bytes : 0;
  memcpy(link->rest, stage.data, link->rest_bytes);
  if (news != 0) RC_STEP("receive: applied");
  if (link->flushes != flushes || (news & kWantsCredit) != 0) answer(link, link->flushes != flushes);
  tell(link, news, self);
}

}  // namespace rc
