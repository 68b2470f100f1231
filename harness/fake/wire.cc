#include "harness/fake/wire.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace rc::fake {
namespace {

pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
Trace g_trace;
std::atomic<bool> g_calm{false};

uint64_t digest(const uint8_t* bytes, uint64_t n) noexcept {
  uint64_t hash = n;
  for (uint64_t i = 0; i < n; ++i) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
  return hash;
}

constexpr uint64_t kTailOffset = offsetof(Inbox, line) + offsetof(TailLineOf<std::atomic<uint64_t>>, tail);
constexpr uint64_t kCreditOffset = offsetof(Inbox, credit);
constexpr uint64_t kOpTailOffset = offsetof(Inbox, op_line) + offsetof(TailLineOf<std::atomic<uint64_t>>, tail);
constexpr uint64_t kOpCreditOffset = offsetof(Inbox, op_credit);
constexpr uint64_t kGetterOffset = offsetof(Inbox, getter);  // with the last word

bool is_word(uint64_t offset) noexcept {
  return offset == kTailOffset || offset == kCreditOffset || offset == kOpTailOffset || offset == kOpCreditOffset ||
         offset == kGetterOffset;
}

uint64_t common_divisor(uint64_t a, uint64_t b) noexcept {
  while (b != 0) {
    uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

// Core broke a promise of the seam: no result code tells that, and no test may go on.
void require(bool good, const char* promise) noexcept {
  if (good) return;
  fprintf(stderr, "fake: a work request breaks the seam's promise: %s\n", promise);
  abort();
}

}  // namespace

void note(uint64_t Trace::*counter, Event event, uint64_t a, uint64_t b) noexcept {
  pthread_mutex_lock(&g_mutex);
  g_trace.*counter += 1;
  g_trace.hash = mix(g_trace.hash ^ mix(event + (a << 8))) + b;
  pthread_mutex_unlock(&g_mutex);
}

bool calm() noexcept { return g_calm.load(std::memory_order_relaxed); }

Trace trace() noexcept {
  pthread_mutex_lock(&g_mutex);
  Trace t = g_trace;
  pthread_mutex_unlock(&g_mutex);
  return t;
}

void stop_faults() noexcept { g_calm.store(true, std::memory_order_relaxed); }

void reset() noexcept {
  pthread_mutex_lock(&g_mutex);
  g_trace = Trace{};
  pthread_mutex_unlock(&g_mutex);
  g_calm.store(false, std::memory_order_relaxed);
}

void Wire::open(const Profile& profile, uint64_t stream, Inbox* outbox, const Link& inner) noexcept {
  memset(static_cast<void*>(this), 0, sizeof *this);
  profile_ = profile;
  random_ = Random(mix(mix(profile.seed) + stream) + 1);
  outbox_ = reinterpret_cast<uint8_t*>(outbox);
  inbox_ = reinterpret_cast<uint8_t*>(inner.outbox);
  ring_bytes_ = inner.ring_bytes;
  op_ring_bytes_ = inner.op_ring_bytes;
}

// ----------------------------------------------------------------------------------------------------------------
// posting

void Wire::check(const WorkRequest& request) const noexcept {
  uint64_t offset = request.offset, bytes = request.bytes;
  require(bytes != 0, "it has bytes");
  if (offset < kRingOffset) {
    require(request.copy, "a word of the head is copied");
    require(bytes == sizeof(uint64_t) && is_word(offset),
            "only the words tail, credit and getter, and those of the op ring, are written in the head");
  } else {
    require(!request.copy, "ring bytes are not copied");
    uint64_t at = offset - kRingOffset, op_at = op_ring_at(ring_bytes_);
    require((bytes <= ring_bytes_ && at <= ring_bytes_ - bytes) ||
                (bytes <= op_ring_bytes_ && at >= op_at && at - op_at <= op_ring_bytes_ - bytes),
            "it lies in one of the rings");
    require(request.local == outbox_ + offset, "the outbox is the image of the peer's inbox");
  }
}

Code Wire::post(const WorkRequest* requests, uint32_t n) noexcept {
  ++calls_;
  strike();
  require(n >= 1 && n <= kDepthMost, "between one and some requests");
  for (uint32_t i = 0; i < n; ++i) check(requests[i]);
  bool single = n == 1 && requests[0].copy;
  if (!single && count_ + n > profile_.depth) {
    note(&Trace::full, kFull, n);
    return kWouldBlock;
  }
  if (!single && !calm() && random_.chance(profile_.refuse)) {
    note(&Trace::refused, kRefused, n);
    return kWouldBlock;
  }
  while (count_ + n > profile_.depth + kReserved &&
         state_ == kWorks) {  // a word that always finds room: the NIC hurries
    execute_piece();
    note(&Trace::hurried, kHurried);
  }
  if (count_ + n > profile_.depth + kReserved)
    return kOk;  // the link has just gone down: this one is lost with the others
  meddle(requests, n);
  for (uint32_t i = 0; i < n; ++i) {
    Request& slot = queue_[(head_ + count_) % kSlots];
    slot.local = static_cast<const uint8_t*>(requests[i].local);
    slot.offset = requests[i].offset;
    slot.bytes = requests[i].bytes;
    slot.copy = requests[i].copy;
    if (slot.copy) memcpy(slot.copied, requests[i].local, slot.bytes);
    ++count_;
  }
  note(&Trace::posts, kPosted, n, requests[n - 1].offset);
  return kOk;
}

// ----------------------------------------------------------------------------------------------------------------
// executing

// Faults whose hour has come.
void Wire::strike() noexcept {
  if (calm()) return;
  if (calls_ == profile_.drop && state_ == kWorks) {
    state_ = kDropped;
    note(&Trace::drops, kDrops, calls_);
  }
  corrupting_ |= calls_ == profile_.corrupt;
  failing_ |= calls_ == profile_.fail;
}

void Wire::step() noexcept {
  ++calls_;
  strike();
  bool calm = fake::calm();
  if (!calm && stalled_ != 0) {
    --stalled_;
    return;
  }
  if (!calm && random_.chance(profile_.stall)) {
    stalled_ = random_.between(1, profile_.stall_most);
    note(&Trace::stalls, kStalls, stalled_);
    return;
  }
  if (!calm && random_.chance(profile_.late)) {
    note(&Trace::late, kLate);
    return;
  }
  uint64_t burst = calm ? UINT64_MAX : random_.between(1, profile_.burst);
  for (uint64_t done = 0; done < burst && count_ != 0 && state_ == kWorks;) done += execute_piece();
}

void Wire::finish() noexcept {
  while (count_ != 0 && state_ == kWorks) execute_piece();
}

// Cuts the oldest request into pieces and shuffles them.
void Wire::begin() noexcept {
  const Request& request = queue_[head_];
  begun_ = true;
  landed_ = 0;
  uint64_t least = (request.bytes + kPiecesMost - 1) / kPiecesMost;
  uint64_t piece = profile_.seed == 0 ? profile_.piece : random_.between(1, profile_.piece);
  piece_bytes_ = request.copy ? request.bytes : piece > least ? piece : least;
  pieces_ = (request.bytes + piece_bytes_ - 1) / piece_bytes_;
  first_ = random_.below(pieces_);
  stride_ = random_.between(1, pieces_);
  while (common_divisor(stride_, pieces_) != 1) ++stride_;
}

// One piece of the oldest request; how many bytes.
uint64_t Wire::execute_piece() noexcept {
  const Request& request = queue_[head_];
  if (!begun_ && failing_) {
    state_ = kFailed;
    note(&Trace::failed, kFails, request.offset);
    return 0;
  }
  if (!begun_) begin();
  uint64_t from = (first_ + landed_ * stride_) % pieces_ * piece_bytes_;
  uint64_t bytes = request.bytes - from < piece_bytes_ ? request.bytes - from : piece_bytes_;
  land(request, from, bytes);
  note(&Trace::pieces, kPiece, request.offset + from, digest(inbox_ + request.offset + from, bytes));
  if (++landed_ < pieces_) return bytes;
  if (random_.chance(profile_.again)) {  // as a packet that is sent again because its acknowledgement was lost
    from = random_.below(pieces_) * piece_bytes_;
    land(request, from, request.bytes - from < piece_bytes_ ? request.bytes - from : piece_bytes_);
    note(&Trace::twice, kPiece, request.offset + from);
  }
  head_ = (head_ + 1) % kSlots;
  --count_;
  begun_ = false;
  return bytes;
}

void Wire::land(const Request& request, uint64_t from, uint64_t bytes) noexcept {
  if (request.offset < kRingOffset) {
    land_word(request);
  } else {
    memcpy(inbox_ + request.offset + from, request.local + from, bytes);
  }
}

void Wire::land_word(const Request& request) noexcept {
  uint64_t word;
  memcpy(&word, request.copied, sizeof word);
  if (corrupting_ && spoilt_by_ == 0 && request.offset != kGetterOffset) {
    // So far off that no reader can take it for a true one, ahead or behind.
    spoilt_offset_ = request.offset;
    spoilt_by_ = ((random_.next() >> 20) | 1) << (random_.below(2) == 0 ? 40 : 33);
    if (random_.chance(500)) spoilt_by_ = -spoilt_by_;
    note(&Trace::spoilt, kSpoilt, request.offset, spoilt_by_);
  }
  if (request.offset == spoilt_offset_) word += spoilt_by_;
  // Pairs with the acquires of RxRing::look, TxRing::take_credit and Channel::ended.
  reinterpret_cast<std::atomic<uint64_t>*>(inbox_ + request.offset)->store(word, std::memory_order_release);
}

}  // namespace rc::fake
