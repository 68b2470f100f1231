// One direction of a fake link: the send queue of a NIC, and the NIC that executes it when it feels like it.
#ifndef HARNESS_FAKE_WIRE_H_
#define HARNESS_FAKE_WIRE_H_

#include <stddef.h>
#include <stdint.h>

#include "core/backend.h"
#include "core/op_wire.h"
#include "harness/fake/fake.h"
#include "harness/fake/profile.h"
#include "harness/fake/random.h"

namespace rc::fake {

// The caller locks. Plain data: it may be copied to another place while requests are queued.
class Wire {
 public:
  enum State : uint32_t { kWorks, kDropped, kFailed };

  // From `outbox` to the inbox and with the rings of `inner`.
  void open(const Profile& profile, uint64_t stream, Inbox* outbox, const Link& inner) noexcept;
  Code post(const WorkRequest* requests, uint32_t n) noexcept;
  // What the NIC does between two of our looks.
  void step() noexcept;
  // Everything, now.
  void finish() noexcept;
  bool idle() const noexcept { return count_ == 0; }
  State state() const noexcept { return state_; }
  // How many calls the far end takes to notice that the link is down.
  uint64_t notice_after() noexcept { return random_.below(20); }

 private:
  // Credits and `closed` always find room; so many of them may wait beyond the depth before the NIC must hurry.
  static constexpr uint32_t kReserved = 8;
  static constexpr uint32_t kSlots = kDepthMost + kReserved;
  static constexpr uint32_t kPiecesMost = 256;  // of one request
  static constexpr uint32_t kAnswersMost = 64;  // of one shuffle

  struct Request {
    const uint8_t* local;  // read when it is executed
    uint64_t offset;
    uint32_t bytes;
    bool copy;
    uint8_t copied[kLine];
  };

  void strike() noexcept;
  void check(const WorkRequest& request) const noexcept;
  // wire_operations.cc: what befalls the op frames of a post.
  void meddle(const WorkRequest* requests, uint32_t n) noexcept;
  void frame_at(uint64_t at, OpFrame* frame) const noexcept;
  void put_frame(uint64_t at, const OpFrame& frame) noexcept;
  bool deny(OpFrame* frame) noexcept;
  void shuffle(const uint64_t* answers, uint32_t n) noexcept;
  void begin() noexcept;
  uint64_t execute_piece() noexcept;
  void land(const Request& request, uint64_t from, uint64_t bytes) noexcept;
  void land_word(const Request& request) noexcept;

  Profile profile_;
  Random random_;
  uint8_t* outbox_;
  uint8_t* inbox_;
  size_t ring_bytes_, op_ring_bytes_;
  State state_;
  uint64_t calls_;
  uint64_t stalled_;  // calls that the present stall goes on
  bool corrupting_;   // the next word to land is spoilt, and from then on every one of its kind
  uint64_t spoilt_offset_;
  uint64_t spoilt_by_;
  bool failing_;  // the next request to begin fails
  // The oldest request: its pieces land in the order first, first + stride, first + 2 stride ... modulo their number.
  bool begun_;
  uint64_t piece_bytes_, pieces_, landed_, first_, stride_;
  uint32_t head_, count_;
  Request queue_[kSlots];
};

enum Event : uint64_t {
  kPosted = 1,
  kRefused,
  kFull,
  kLate,
  kStalls,
  kPiece,
  kHurried,
  kDrops,
  kSpoilt,
  kFails,
  kShuffled,
  kDenied
};
// Notes it in the trace, and counts it.
void note(uint64_t Trace::*counter, Event event, uint64_t a = 0, uint64_t b = 0) noexcept;
bool calm() noexcept;

}  // namespace rc::fake

#endif  // HARNESS_FAKE_WIRE_H_
