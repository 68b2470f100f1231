// The size of the attached memory, then commands: words and bytes that the peer writes, and calls through rc.h between
// them.
#include <string.h>
#include <sys/types.h>

#include <memory>

#include "capi/rc.h"
#include "core/wire.h"
#include "harness/fuzz/targets.h"

namespace fuzz {
namespace {

enum Command : uint8_t {
  kTailNear,
  kTailAny,
  kCreditNear,
  kBegin,
  kWord,
  kHeader,
  kPut,
  kPutMore,
  kGet,
  kPutSome,
  kGetSome,
  kTryPut,
  kTryGet,
  kPutv,
  kGetv,
  kReserve,
  kCommit,
  kPeek,
  kRelease,
  kSend,
  kRecv,
  kReady,
  kFlush,
  kProgress,
  kLookAt,
  kCommands
};

constexpr size_t kMost = 9000;  // bytes of one call; some more than twice the largest ring

rc_ctx context() {
  static rc_ctx ctx = [] {
    rc_ctx opened;
    PROMISE(rc_open(nullptr, &opened) == RC_OK);
    return opened;
  }();
  return ctx;
}

struct Free {
  void operator()(void* p) const { free(p); }
};
using Memory = std::unique_ptr<uint8_t, Free>;
Memory zeroed(size_t bytes) {
  Memory m(static_cast<uint8_t*>(aligned_alloc(128, (bytes + 127) / 128 * 128)));
  memset(m.get(), 0, (bytes + 127) / 128 * 128);
  return m;
}

// What a call may say here: nothing blocks, nobody closes, no system call is made.
void check(int32_t code) {
  constexpr int32_t kAllowed[] = {RC_OK,          RC_E_WOULD_BLOCK, RC_E_SIZE,    RC_E_STATE,
                                  RC_E_TRUNCATED, RC_E_CLOSED,      RC_E_CORRUPT, RC_E_UNSUPPORTED};
  bool known = false;
  for (int32_t allowed : kAllowed) known |= code == allowed;
  PROMISE(known);
  if (code != RC_OK) check_reason(rc_reason());
}

class Attached {
 public:
  explicit Attached(size_t ring_bytes)
      : bytes_(rc::kRingOffset + ring_bytes), tx_(zeroed(bytes_)), rx_(zeroed(bytes_)), peer_wrote_(zeroed(bytes_)) {
    rc_attach_config config = {};
    config.size = sizeof config;
    config.tx = tx_.get();
    config.rx = rx_.get();
    config.bytes = bytes_;
    PROMISE(rc_attach(context(), &config, &channel) == RC_OK);
  }
  ~Attached() {
    PROMISE(rc_channel_close(channel) == RC_OK);
    PROMISE(memcmp(rx_.get(), peer_wrote_.get(), bytes_) == 0);  // this end never writes there
  }
  // The peer writes into this end's inbox.
  void write(size_t offset, const void* from, size_t n) {
    if (offset > bytes_ || n > bytes_ - offset) return;
    memcpy(rx_.get() + offset, from, n);
    memcpy(peer_wrote_.get() + offset, from, n);
  }
  void write_word(size_t offset, uint64_t word) { write(offset, &word, sizeof word); }
  uint64_t mine(size_t offset) const {
    uint64_t word;
    memcpy(&word, tx_.get() + offset, sizeof word);
    return word;
  }
  void check_view(const void* at, size_t n, bool incoming) const {
    if (n == 0) return;
    const uint8_t* ring = (incoming ? rx_.get() : tx_.get()) + rc::kRingOffset;
    PROMISE(static_cast<const uint8_t*>(at) >= ring && n <= ring_bytes());
    PROMISE(static_cast<const uint8_t*>(at) + n <= ring + ring_bytes());
  }
  size_t ring_bytes() const { return bytes_ - rc::kRingOffset; }

  rc_channel channel = {0};

 private:
  size_t bytes_;
  Memory tx_, rx_, peer_wrote_;
};

constexpr size_t kTail = offsetof(rc::Inbox, line) + 8;
constexpr size_t kBeginAt = offsetof(rc::Inbox, line);
constexpr size_t kCreditAt = offsetof(rc::Inbox, credit);

void peer(Attached& a, Script& script, uint8_t command) {
  switch (command) {
    // Relative to what the peer knows: the credit it was told, the tail it was told.
    case kTailNear:
      a.write_word(kTail, a.mine(kCreditAt) + script.take<uint16_t>() - 4);
      break;
    case kTailAny:
      a.write_word(kTail, script.take<uint64_t>());
      break;
    case kCreditNear:
      a.write_word(kCreditAt, a.mine(kTail) - script.take<uint16_t>() + 4);
      break;
    case kBegin:
      a.write_word(kBeginAt, a.mine(kCreditAt) + script.take<uint16_t>());
      break;
    case kWord: {
      size_t offset = script.take<uint16_t>() % (rc::kRingOffset + a.ring_bytes());
      a.write_word(offset & ~size_t{7}, script.take<uint64_t>());
      break;
    }
    default: {
      rc::MessageHeader header = {script.take<uint64_t>(), script.take<uint32_t>(), script.take<uint8_t>(),
                                  script.take<uint16_t>()};
      a.write(rc::kRingOffset + script.take<uint16_t>() % (a.ring_bytes() + 1), &header, sizeof header);
    }
  }
}

void bytes_call(Attached& a, size_t n, uint8_t command) {
  std::unique_ptr<uint8_t[]> data(new uint8_t[n]());  // exactly so many
  rc_channel ch = a.channel;
  size_t done = 0;
  rc_const_span from[2] = {{data.get(), n / 3}, {data.get() + n / 3, n - n / 3}};
  rc_span to[2] = {{data.get(), n / 3}, {data.get() + n / 3, n - n / 3}};
  int32_t code = RC_OK;
  switch (command) {
    case kPut:
      code = rc_put(ch, data.get(), n, 0, &done);
      break;
    case kPutMore:
      code = rc_put_more(ch, data.get(), n, 0, &done);
      break;
    case kGet:
      code = rc_get(ch, data.get(), n, 0, &done);
      break;
    case kPutSome:
      code = rc_put_some(ch, data.get(), n, &done);
      break;
    case kGetSome:
      code = rc_get_some(ch, data.get(), n, 0, &done);
      break;
    case kTryPut:
      code = rc_try_put(ch, data.get(), n), done = code == RC_OK ? n : 0;
      break;
    case kTryGet:
      code = rc_try_get(ch, data.get(), n), done = code == RC_OK ? n : 0;
      break;
    case kPutv:
      code = rc_putv(ch, from, 2, 0, &done);
      break;
    default:
      code = rc_getv(ch, to, 2, 0, &done);
  }
  check(code);
  PROMISE(done <= n);
  bool some = command == kPutSome || command == kGetSome;
  if (code == RC_OK) PROMISE(some ? (done != 0 || n == 0) : done == n);
}

void in_place_call(Attached& a, size_t n, uint8_t command) {
  rc_span out[2] = {};
  rc_const_span in[2] = {};
  int32_t code = RC_OK;
  switch (command) {
    case kReserve:
      code = rc_reserve(a.channel, n, 0, out);
      break;
    case kCommit:
      code = rc_commit(a.channel, n);
      break;
    case kPeek:
      code = rc_peek(a.channel, n, 0, in);
      break;
    default:
      code = rc_release(a.channel, n);
  }
  check(code);
  for (const rc_span& s : out) {
    a.check_view(s.data, s.bytes, false);
    if (s.bytes != 0) memset(s.data, 'x', s.bytes);
  }
  for (const rc_const_span& s : in) a.check_view(s.data, s.bytes, true);
  if (code == RC_OK && command == kReserve) PROMISE(out[0].bytes + out[1].bytes >= n);
  if (code == RC_OK && command == kPeek) PROMISE(in[0].bytes + in[1].bytes >= n);
}

void message_call(Attached& a, size_t n, uint8_t command) {
  std::unique_ptr<uint8_t[]> data(new uint8_t[n]());
  size_t done = 0;
  uint32_t imm = 5, has_imm = 0;
  bool send = command == kSend;
  int32_t code = send ? rc_send(a.channel, data.get(), n, n % 2 != 0 ? &imm : nullptr, 0, &done)
                      : rc_recv(a.channel, data.get(), n, &done, &imm, &has_imm, 0);
  check(code);
  if (send) PROMISE(done <= n);
  if (!send && code == RC_OK) PROMISE(done <= n && has_imm <= 1);
  if (!send && code == RC_E_TRUNCATED) PROMISE(done > n);
}

void other_call(Attached& a, uint8_t command) {
  size_t readable = 0, writable = 0;
  rc_info info = {};
  info.size = sizeof info;
  rc_counters counters = {};
  counters.size = sizeof counters;
  switch (command) {
    case kReady:
      check(rc_ready(a.channel, &readable, &writable));
      PROMISE(readable <= a.ring_bytes() && writable <= a.ring_bytes());
      break;
    case kFlush:
      check(rc_flush(a.channel));
      break;
    case kProgress:
      check(rc_progress(a.channel));
      break;
    default:
      check(rc_channel_info(a.channel, &info));
      check(rc_channel_counters(a.channel, &counters));
      PROMISE(info.ring_bytes == a.ring_bytes());
  }
}

}  // namespace

void channel(const uint8_t* data, size_t bytes) {
  Script script(data, bytes);
  Attached a(1 + script.take<uint16_t>() % 4096);
  for (int turns = 0; script.more() && turns < 500; ++turns) {
    uint8_t command = script.take<uint8_t>() % kCommands;
    if (command <= kHeader) {
      peer(a, script, command);
    } else if (command <= kGetv) {
      bytes_call(a, script.take<uint16_t>() % kMost, command);
    } else if (command <= kRelease) {
      in_place_call(a, script.take<uint16_t>() % kMost, command);
    } else if (command <= kRecv) {
      message_call(a, script.take<uint16_t>() % kMost, command);
    } else {
      other_call(a, command);
    }
  }
}

std::vector<Input> channel_seeds() {
  std::vector<Input> seeds;
  Recipe bytes;
  bytes.add<uint16_t>(99);
  for (int i = 0; i < 3; ++i) {
    bytes.add<uint8_t>(kPut).add<uint16_t>(40).add<uint8_t>(kCreditNear).add<uint16_t>(4);
    bytes.add<uint8_t>(kTailNear).add<uint16_t>(4 + 30).add<uint8_t>(kGet).add<uint16_t>(30);
    bytes.add<uint8_t>(kPutMore).add<uint16_t>(8).add<uint8_t>(kPutv).add<uint16_t>(9).add<uint8_t>(kFlush);
    bytes.add<uint8_t>(kCreditNear).add<uint16_t>(4).add<uint8_t>(kTailNear).add<uint16_t>(4 + 20);
    bytes.add<uint8_t>(kGetSome).add<uint16_t>(7).add<uint8_t>(kGetv).add<uint16_t>(13).add<uint8_t>(kReady);
    bytes.add<uint8_t>(kTryPut)
        .add<uint16_t>(50)
        .add<uint8_t>(kTryGet)
        .add<uint16_t>(1)
        .add<uint8_t>(kPutSome)
        .add<uint16_t>(100);
  }
  seeds.push_back(bytes.input());
  Recipe place;
  place.add<uint16_t>(63).add<uint8_t>(kReserve).add<uint16_t>(10).add<uint8_t>(kCommit).add<uint16_t>(10).add<uint8_t>(
      kLookAt);
  place.add<uint8_t>(kTailNear)
      .add<uint16_t>(4 + 64)
      .add<uint8_t>(kPeek)
      .add<uint16_t>(60)
      .add<uint8_t>(kRelease)
      .add<uint16_t>(60);
  place.add<uint8_t>(kProgress)
      .add<uint8_t>(kPeek)
      .add<uint16_t>(4)
      .add<uint8_t>(kTailAny)
      .add<uint64_t>(200)
      .add<uint8_t>(kPeek)
      .add<uint16_t>(1);
  seeds.push_back(place.input());
  Recipe messages;
  messages.add<uint16_t>(255).add<uint8_t>(kSend).add<uint16_t>(21).add<uint8_t>(kSend).add<uint16_t>(1000);
  messages.add<uint8_t>(kHeader).add<uint64_t>(5).add<uint32_t>(9).add<uint8_t>(1).add<uint16_t>(0).add<uint16_t>(0);
  messages.add<uint8_t>(kTailNear)
      .add<uint16_t>(4 + 21)
      .add<uint8_t>(kRecv)
      .add<uint16_t>(4)
      .add<uint8_t>(kRecv)
      .add<uint16_t>(5);
  messages.add<uint8_t>(kHeader).add<uint64_t>(300).add<uint32_t>(9).add<uint8_t>(0).add<uint16_t>(1).add<uint16_t>(21);
  messages.add<uint8_t>(kTailNear)
      .add<uint16_t>(4 + 200)
      .add<uint8_t>(kRecv)
      .add<uint16_t>(300)
      .add<uint8_t>(kGet)
      .add<uint16_t>(1);
  seeds.push_back(messages.input());
  Recipe lies;
  lies.add<uint16_t>(31);
  for (uint16_t offset = 0; offset < 280; offset = static_cast<uint16_t>(offset + 8)) {
    lies.add<uint8_t>(kWord)
        .add(offset)
        .add<uint64_t>(offset % 3)
        .add<uint8_t>(kGetSome)
        .add<uint16_t>(3)
        .add<uint8_t>(kPut)
        .add<uint16_t>(3);
  }
  seeds.push_back(lies.input());
  return seeds;
}

}  // namespace fuzz
