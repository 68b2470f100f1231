// What a peer may write for the op ring: frames, tails, credit, arm counts; and between them what this end asks for,
// grants and takes.
#include <stdlib.h>
#include <string.h>

#include <iterator>
#include <memory>
#include <new>

#include "backends/loop/loop.h"
#include "capi/rc.h"
#include "core/context.h"
#include "core/op_wire.h"
#include "core/ops.h"
#include "harness/fuzz/targets.h"

namespace fuzz {
namespace {

enum Command : uint8_t {
  kFrame,
  kSend,
  kTail,
  kTailNear,
  kCredit,
  kCreditAll,
  kArm,
  kServe,
  kPost,
  kAlloc,
  kCollect,
  kCancel,
  kDetach,
  kRelease,
  kReturn,
  kGrant,
  kRevoke,
  kNextRemote,
  kNextImm,
  kNextReturned,
  kQueue,
  kCompletions,
  kCommands
};

constexpr uint32_t kOpRing = rc::kOpRingMin, kRequests = 4;
constexpr size_t kRing = 128, kBytes = 1024, kSlice = 512, kAt = 128;  // what is granted lies amid a region
constexpr size_t kInbox = rc::kRingOffset + kRing + kOpRing;
constexpr uint8_t kUntouched = 0xee;
constexpr rc::OpType kTypes[] = {rc::kOpWrite,  rc::kOpWriteImm, rc::kOpRead,    rc::kOpSwap, rc::kOpAdd,
                                 rc::kOpAlloc,  rc::kOpReturn,   rc::kOpRelease, rc::kOpImm,  rc::kOpGrant,
                                 rc::kOpRevoke, rc::kOpRevoked,  rc::kOpData,    rc::kOpDone};

struct Free {
  void operator()(void* p) const { free(p); }
};
// Exactly as large as it claims to be, so that the sanitizer sees a step outside.
std::unique_ptr<uint8_t, Free> memory(size_t bytes, uint8_t value) {
  auto* at = static_cast<uint8_t*>(aligned_alloc(rc::kPair, bytes));
  memset(at, value, bytes);
  return std::unique_ptr<uint8_t, Free>(at);
}

rc_ctx context() {
  static rc_ctx ctx = [] {
    rc_config config = {};
    config.size = sizeof config;
    config.mrs_max = 8;
    config.mr_bytes = 4 * 4096;
    config.op_ring_bytes = kOpRing;
    config.requests_max = kRequests;
    config.peer_mr_bytes = 4096;
    rc_ctx opened;
    PROMISE(rc_open(&config, &opened) == RC_OK);
    return opened;
  }();
  return ctx;
}

rc::Ops* carved() {
  static rc::Ops* ops = [] {
    constexpr size_t kPlenty = 1 << 20;
    static auto area = memory(kPlenty, 0);
    rc::Arena arena(area.get(), kPlenty);
    auto* made = new (arena.carve(sizeof(rc::Ops), alignof(rc::Ops))) rc::Ops;
    made->carve(arena, kRequests);
    return made;
  }();
  return ops;
}

void nobody_sleeps(rc::Link*, rc::Side) noexcept {}

// What a call may say here.
void check(rc::Code code) {
  constexpr rc::Code kAllowed[] = {rc::kOk,    rc::kWouldBlock, rc::kCorrupt, rc::kPool,      rc::kHandle,
                                   rc::kRange, rc::kRights,     rc::kRevoked, rc::kExpired,   rc::kState,
                                   rc::kInUse, rc::kLimit,      rc::kClosing, rc::kAlignment, rc::kUnsupported};
  bool known = false;
  for (rc::Code allowed : kAllowed) known |= code == allowed;
  PROMISE(known);
}

class Honest {
 public:
  Honest() : in_(memory(kInbox, 0)), out_(memory(kInbox, 0)), mine_(memory(kBytes, kUntouched)) {
    backend_.ring = nobody_sleeps;
    link_.ops = &backend_;
    link_.inbox = inbox();
    link_.outbox = reinterpret_cast<rc::Inbox*>(out_.get());
    link_.direct = true;
    link_.ring_bytes = kRing;
    link_.op_ring_bytes = kOpRing;
    link_.requests = kRequests;
    PROMISE(rc_mr_reg(context(), mine_.get(), kBytes, RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC, &granted_) == RC_OK);
    PROMISE(rc_mr_alloc(context(), 4096, 0, &local_) == RC_OK);
    ops_->open(rc::Handles::context(context().id), &link_, 0, true);
    grant();
  }
  ~Honest() {
    rc::Code code = ops_->serve();
    ops_->abort(code == rc::kCorrupt ? rc::kCorrupt : rc::kClosed);
    for (uint64_t& request : requests_) {
      if (request != 0) PROMISE(ops_->collect(request, nullptr, nullptr) != rc::kWouldBlock);
    }
    PROMISE(ops_->close() == rc::kOk);
    for (size_t i = 0; i < returned_count_; ++i) rc_mr_free(rc_mr{returned_[i]});
    PROMISE(rc_mr_free(granted_) == RC_OK && rc_mr_free(local_) == RC_OK);
    for (size_t i = 0; i < kBytes; ++i) PROMISE((i >= kAt && i < kAt + kSlice) || mine_.get()[i] == kUntouched);
    // Nothing is left: all of the pool can be had again.
    rc_mr all{0};
    PROMISE(rc_mr_alloc(context(), 4 * 4096, RC_MR_UNINITIALISED, &all) == RC_OK && rc_mr_free(all) == RC_OK);
  }

  void peer(Script& script, uint8_t command) {
    switch (command) {
      case kFrame:
        return frame(script);
      case kSend:
        inbox()->op_line.tail = written_;
        break;
      case kTail:
        inbox()->op_line.tail = script.take<uint64_t>();
        break;
      case kTailNear:
        inbox()->op_line.tail = written_ + script.take<uint16_t>() - 64;
        break;
      case kCredit:
        inbox()->op_credit = script.take<uint64_t>();
        break;
      case kCreditAll:
        inbox()->op_credit = link_.outbox->op_line.tail.load();
        break;
      default:
        inbox()->getter = script.take<uint8_t>();
        inbox()->putter = script.take<uint8_t>();
        inbox()->server = script.take<uint8_t>();
    }
  }

  void call(Script& script, uint8_t command) {
    uint64_t& request = requests_[script.take<uint8_t>() % kRequests];
    switch (command) {
      case kServe:
        return check(ops_->serve());
      case kPost:
        return request == 0 ? post(script, &request) : static_cast<void>(0);
      case kAlloc:
        if (request == 0) check(ops_->post_alloc(64, script.take<uint8_t>() % 8, 1000000000, &request));
        return;
      case kReturn:
        if (request == 0) check(ops_->post_return(remote_, &request));
        return;
      case kCollect:
        return collect(&request);
      case kCancel:
        if (request != 0 && ops_->cancel(request) == rc::kOk) request = 0;
        return;
      case kDetach:
        if (request != 0) ops_->detach(request);
        request = 0;
        return;
      case kRelease:
        return check(ops_->release(remote_));
      case kGrant:
        return grant();
      case kRevoke:
        return check(ops_->revoke(grant_, false));
      case kNextRemote:
        return check(ops_->next_remote(&remote_));
      case kNextImm: {
        uint32_t imm;
        return check(ops_->next_imm(&imm));
      }
      case kQueue:
        if (request != 0 && ops_->queue(request, request) == rc::kOk) request = 0;
        return;
      case kCompletions: {
        rc::Completion told[kRequests];
        uint32_t count = 0;
        check(ops_->next_completions(told, kRequests, &count));
        for (uint32_t i = 0; i < count; ++i) PROMISE(told[i].request == told[i].tag);
        return;
      }
      default:
        take_back();
    }
  }

 private:
  rc::Inbox* inbox() const { return reinterpret_cast<rc::Inbox*>(in_.get()); }

  // The peer has the key of what it was granted; of what it has asked for, this end's answer tells it.
  rc::RemoteKey key(uint8_t which) const {
    rc::RemoteKey k = lease_.key;
    if (which % 4 == 1) k.id = which / 4;  // no grant's, by slot
    if (which % 4 == 2) k.secret[which % 2] ^= 1;
    if (which % 4 == 3) k.id = which / 4 % 8 | uint64_t{1} << 16;
    return k;
  }
  void write(const void* from, size_t n) {
    uint8_t* ring = in_.get() + rc::kRingOffset + kRing;
    for (size_t i = 0; i < n; ++i)
      ring[(written_ + i) % kOpRing] = from != nullptr ? static_cast<const uint8_t*>(from)[i] : 0x66;
    written_ += n;
  }
  void frame(Script& script) {
    rc::OpFrame f = {};
    uint8_t type = script.take<uint8_t>();
    f.type = type < 200 ? uint32_t{kTypes[type % std::size(kTypes)]} : type;
    f.request = script.take<uint8_t>();
    f.bytes = script.take<uint16_t>();
    f.word = script.take<uint32_t>();
    f.key = key(script.take<uint8_t>());
    // Small numbers, and those just below 2^64.
    f.offset = static_cast<uint64_t>(int64_t{static_cast<int16_t>(script.take<uint16_t>())});
    f.value = static_cast<uint64_t>(int64_t{static_cast<int16_t>(script.take<uint16_t>())});
    f.compare = static_cast<uint64_t>(int64_t{static_cast<int32_t>(script.take<uint32_t>())});
    write(&f, sizeof f);
    write(nullptr, rc::padded(f.bytes) % kOpRing);
  }

  void grant() {
    uint64_t id = 0;
    rc::Code code = ops_->grant(granted_.id, kAt, kSlice, rc::kAllRights, 1000000000, true, &id);
    check(code);
    int64_t left_ns = 0;
    if (code == rc::kOk) PROMISE(ops_->grant_lease(grant_ = id, &lease_, &left_ns) == rc::kOk);
  }
  void post(Script& script, uint64_t* request) {
    constexpr rc::OpType kAsked[] = {rc::kOpWrite, rc::kOpWriteImm, rc::kOpRead, rc::kOpSwap, rc::kOpAdd};
    rc::Operation op = {};
    op.type = kAsked[script.take<uint8_t>() % std::size(kAsked)];
    op.remote = remote_;
    op.region = local_.id;
    op.region_offset = script.take<uint8_t>();
    op.bytes = op.atomic() ? 8 : script.take<uint16_t>() % 4096;
    check(ops_->post(op, false, request));
  }
  void collect(uint64_t* request) {
    uint64_t value, remote = 0;
    if (*request == 0) return;
    rc::Code code = ops_->collect(*request, &value, &remote);
    check(code);
    if (code != rc::kWouldBlock) *request = 0;
    if (remote != 0) remote_ = remote;
  }
  void take_back() {
    uint64_t region = 0;
    rc::Code code = ops_->next_returned(&region);
    check(code);
    if (code == rc::kOk && region != granted_.id && returned_count_ < std::size(returned_))
      returned_[returned_count_++] = region;
  }

  std::unique_ptr<uint8_t, Free> in_, out_, mine_;
  rc::Backend backend_ = rc::kLoopBackend;
  rc::Link link_ = {};
  rc::Ops* ops_ = carved();
  rc_mr granted_{0}, local_{0};
  uint64_t grant_ = 0, remote_ = 0, written_ = 0, requests_[kRequests] = {}, returned_[8] = {};
  size_t returned_count_ = 0;
  rc::Lease lease_ = {};
};

// A frame as Honest::frame takes it.
Recipe& frame(Recipe& r, uint8_t type, uint8_t request, uint16_t bytes, uint32_t word, uint16_t offset, uint16_t value,
              uint32_t compare = 0, uint8_t key = 0) {
  r.add<uint8_t>(kFrame).add(type).add(request).add(bytes).add(word).add(key).add(offset).add(value).add(compare);
  return r.add<uint8_t>(kSend).add<uint8_t>(kServe).add<uint8_t>(0);
}

}  // namespace

void op_frames(const uint8_t* data, size_t bytes) {
  Script script(data, bytes);
  Honest honest;
  for (int turns = 0; script.more() && turns < 200; ++turns) {
    uint8_t command = script.take<uint8_t>() % kCommands;
    if (command <= kArm) {
      honest.peer(script, command);
    } else {
      honest.call(script, command);
    }
  }
}

std::vector<Input> op_frames_seeds() {
  enum : uint8_t {
    kWrite,
    kWriteImm,
    kRead,
    kSwap,
    kAdd,
    kAsk,
    kGiveBack,
    kGiveUp,
    kImm,
    kGranted,
    kRevoked,
    kAnswered,
    kData,
    kDone
  };
  Recipe asks, answers, memory, revokes;
  frame(asks, kWrite, 0, 16, 0, 8, 16);
  frame(asks, kWriteImm, 1, 8, 7, 0, 16);
  frame(asks, kWriteImm, 1, 8, 7, 0, 16, 8);
  frame(asks, kRead, 2, 0, 0, 0, 512).add<uint8_t>(kNextImm).add<uint8_t>(0).add<uint8_t>(kCreditAll);
  frame(asks, kSwap, 3, 0, 0, 8, 5);
  frame(asks, kAdd, 2, 0, 0, 16, 5);
  frame(asks, kImm, 0, 0, 5, 0, 8).add<uint8_t>(kRevoke).add<uint8_t>(0);
  frame(asks, kRead, 1, 0, 0, 0, 8);
  frame(answers, kGranted, 0, 0, 7, 0, 256, 1000000000).add<uint8_t>(kNextRemote).add<uint8_t>(0);
  answers.add<uint8_t>(kPost).add<uint8_t>(0).add<uint8_t>(2).add<uint8_t>(0).add<uint16_t>(16);
  answers.add<uint8_t>(kPost).add<uint8_t>(1).add<uint8_t>(0).add<uint8_t>(0).add<uint16_t>(200);
  frame(answers, kData, 0, 8, 0, 0, 0);
  frame(answers, kData, 0, 8, 0, 0, 0, 8).add<uint8_t>(kCollect).add<uint8_t>(0);
  frame(answers, kDone, 1, 0, 0, 0, 0).add<uint8_t>(kCollect).add<uint8_t>(1);
  frame(answers, kRevoked, 0, 0, 0, 0, 0).add<uint8_t>(kRelease).add<uint8_t>(0);
  frame(memory, kAsk, 0, 0, 7, 0, 64, 1000000000);
  frame(memory, kGiveBack, 1, 0, 0, 0, 0)
      .add<uint8_t>(kNextReturned)
      .add<uint8_t>(0)
      .add<uint8_t>(kGrant)
      .add<uint8_t>(0);
  memory.add<uint8_t>(kAlloc).add<uint8_t>(2).add<uint8_t>(7);
  frame(memory, kDone, 0, 0, 0, 0, 0, 1000, 7).add<uint8_t>(kCollect).add<uint8_t>(2);
  frame(memory, kGiveUp, 2, 0, 0, 0, 0);
  memory.add<uint8_t>(kReturn)
      .add<uint8_t>(3)
      .add<uint8_t>(kTailNear)
      .add<uint16_t>(200)
      .add<uint8_t>(kServe)
      .add<uint8_t>(0);
  frame(revokes, kRevoked, 0, 0, 1, 0, 0, 0, 4 * 9 + 1);
  frame(revokes, kAnswered, 0, 0, 0, 0, 0);
  frame(revokes, kRevoked, 0, 0, 1, 0, 0, 0, 4 * 0 + 1);
  return {asks.input(), answers.input(), memory.input(), revokes.input()};
}

}  // namespace fuzz
