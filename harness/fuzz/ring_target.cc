// Capacity and first index, then commands: words of the peer's memory and what this end does with its rings.
#include <string.h>

#include <memory>

#include "core/atomics.h"
#include "core/ring.h"
#include "core/wire.h"
#include "harness/fuzz/targets.h"

namespace fuzz {
namespace {

enum Command : uint8_t {
  kTail,
  kTailNear,
  kCredit,
  kCreditNear,
  kBegin,
  kWord,
  kLook,
  kGet,
  kNewest,
  kTellCredit,
  kPut,
  kPutCopy,
  kTake,
  kCommands
};

using Tx = rc::TxRing<rc::StdAtomics>;
using Rx = rc::RxRing<rc::StdAtomics>;

// Exactly as large as they claim to be, so that the sanitizer sees a step outside.
struct Rings {
  Rings(size_t capacity, uint64_t start) : theirs(new uint8_t[capacity]()), mine(new uint8_t[capacity]()) {
    inbox.line.tail = inbox.credit = start;
    outbox.line.tail = outbox.credit = start;
    tx.init(mine.get(), capacity, start);
    rx.init(theirs.get(), capacity, start);
  }
  rc::Inbox inbox{}, outbox{};
  std::unique_ptr<uint8_t[]> theirs, mine;
  Tx tx;
  Rx rx;
};

void get(Rings& r, size_t n) {
  n %= r.rx.available() + 1;
  std::unique_ptr<uint8_t[]> to(new uint8_t[n]);
  r.rx.copy_out(to.get(), n);
  r.rx.consume(n);
}

void get_newest(Rings& r, size_t n) {
  n %= r.rx.available() + 1;
  std::unique_ptr<uint8_t[]> to(new uint8_t[n]);
  if (n == r.rx.available() && r.rx.copy_newest(r.inbox.line, to.get(), n)) PROMISE(n <= rc::kTailBytes);
}

void put(Rings& r, size_t n, bool copy) {
  n %= r.tx.space() + 1;
  std::unique_ptr<uint8_t[]> from(new uint8_t[n]());
  uint64_t before = r.tx.written();
  r.tx.write(from.get(), n);
  PROMISE(r.tx.written() == before + n);
  if (copy && n <= rc::kTailBytes) {
    r.tx.publish_with_copy(r.outbox.line, from.get(), n);
  } else {
    r.tx.publish(r.outbox.line);
  }
  PROMISE(r.outbox.line.tail == r.tx.written() && r.tx.published() == r.tx.written());
}

void look(Rings& r) {
  size_t before = r.rx.available();
  bool good = r.rx.look(r.inbox.line);
  if (good) PROMISE(r.rx.available() >= before && r.rx.read_index() + r.rx.available() == r.inbox.line.tail);
  if (!good) PROMISE(r.rx.available() == before);
}

void take_credit(Rings& r) {
  size_t before = r.tx.space();
  bool good = r.tx.take_credit(r.inbox.credit);
  if (good) PROMISE(r.tx.space() >= before && r.tx.credit() == r.inbox.credit);
  if (!good) PROMISE(r.tx.space() == before);
}

}  // namespace

void ring(const uint8_t* data, size_t bytes) {
  Script script(data, bytes);
  size_t capacity = 1 + script.take<uint16_t>() % 4096;
  Rings r(capacity, script.take<uint64_t>());
  while (script.more()) {
    switch (script.take<uint8_t>() % kCommands) {
      case kTail:
        r.inbox.line.tail = script.take<uint64_t>();
        break;
      case kTailNear:
        r.inbox.line.tail = r.rx.read_index() + script.take<uint16_t>() - 8;
        break;
      case kCredit:
        r.inbox.credit = script.take<uint64_t>();
        break;
      case kCreditNear:
        r.inbox.credit = r.tx.credit() + script.take<uint16_t>() - 8;
        break;
      case kBegin:
        r.inbox.line.begin = Tx::tail_mark(r.inbox.line.tail, script.take<uint8_t>());
        break;
      case kWord:
        r.inbox.line.words[script.take<uint8_t>() % rc::kTailWords] = script.take<uint64_t>();
        break;
      case kLook:
        look(r);
        break;
      case kGet:
        get(r, script.take<uint16_t>());
        break;
      case kNewest:
        get_newest(r, script.take<uint16_t>());
        break;
      case kTellCredit:
        r.rx.tell_credit(r.outbox.credit);
        break;
      case kPut:
        put(r, script.take<uint16_t>(), false);
        break;
      case kPutCopy:
        put(r, script.take<uint16_t>(), true);
        break;
      case kTake:
        take_credit(r);
        break;
    }
    PROMISE(r.rx.available() <= capacity && r.tx.space() <= capacity && r.tx.in_flight() <= capacity);
  }
}

std::vector<Input> ring_seeds() {
  std::vector<Input> seeds;
  for (uint64_t start : {uint64_t{0}, uint64_t{0xffffffff} - 3, ~uint64_t{0} - 3}) {
    Recipe r;
    r.add<uint16_t>(15).add(start);
    for (int i = 0; i < 3; ++i) {
      r.add<uint8_t>(kTailNear).add<uint16_t>(8 + 10).add<uint8_t>(kLook).add<uint8_t>(kBegin).add<uint8_t>(10);
      r.add<uint8_t>(kNewest).add<uint16_t>(10).add<uint8_t>(kGet).add<uint16_t>(9).add<uint8_t>(kTellCredit);
      r.add<uint8_t>(kPutCopy).add<uint16_t>(11).add<uint8_t>(kCreditNear).add<uint16_t>(8 + 11).add<uint8_t>(kTake);
    }
    seeds.push_back(r.input());
    r.add<uint8_t>(kTail).add(start - 1).add<uint8_t>(kLook).add<uint8_t>(kCredit).add(start - 1).add<uint8_t>(kTake);
    seeds.push_back(r.input());
  }
  return seeds;
}

}  // namespace fuzz
