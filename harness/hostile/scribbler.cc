#include "harness/hostile/scribbler.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <chrono>
#include <random>

#include "harness/hostile/raw_peer.h"

namespace hostile {
namespace {

constexpr int kWritesPerTurn = 200;

class Scribbler {
 public:
  Scribbler(RawEnd& raw, const Plague& plague) : raw_(raw), plague_(plague), random_(plague.seed) {}

  void run() {
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(plague_.ms);
    while (std::chrono::steady_clock::now() < end && !gone()) {
      for (int i = 0; i < kWritesPerTurn; ++i) write_something();
      if (plague_.bells) ring();
    }
    if (random_() % 3 == 0) raw_.close();
  }

 private:
  using Word = std::atomic<uint64_t>;
  Word& word_at(size_t offset) { return *reinterpret_cast<Word*>(reinterpret_cast<uint8_t*>(raw_.outbox) + offset); }
  uint64_t any() { return random_() >> (random_() % 64); }
  bool gone() {
    pollfd p = {raw_.main.get(), 0, 0};
    return poll(&p, 1, 0) > 0;
  }

  void write_something() {
    rc::Inbox& out = *raw_.outbox;
    const rc::Inbox& in = *raw_.inbox;
    switch (random_() % 12) {
      case 0:
      case 1:
      case 2:
        return write_tail(out, in);
      case 3:
      case 4:
        return write_credit(out, in);
      case 5:
        return out.line.begin.store(out.line.tail.load() ^ (any() % 64 << 56));
      case 6:
        return out.line.words[random_() % rc::kTailWords].store(any());
      case 7:
        return out.getter.store(any() & ~(random_() % 100000 != 0 ? rc::kClosedBit : 0));
      case 8:
        return out.putter.store(any());
      case 9:
        if (plague_.messages) return plant_header(in.credit.load());
        [[fallthrough]];
      case 10:
        return word_at(rc::kRingOffset + random_() % (raw_.ring_bytes / 8) * 8).store(any());
      default:
        if (!plague_.plausible) word_at(random_() % ((rc::kRingOffset + raw_.ring_bytes) / 8) * 8).store(any());
    }
  }

  // The honest end has told how much it has read, and has written: what lies within the ring of that passes for
  // progress.
  void write_tail(rc::Inbox& out, const rc::Inbox& in) {
    uint64_t now = out.line.tail.load(), read = in.credit.load();
    uint64_t room = raw_.ring_bytes - (now - read);
    if (!plague_.plausible && random_() % 64 == 0) return out.line.tail.store(read + any());
    if (room <= raw_.ring_bytes) out.line.tail.store(now + (random_() % (room + 1)) % 512);
  }
  void write_credit(rc::Inbox& out, const rc::Inbox& in) {
    uint64_t now = out.credit.load(), sent = in.line.tail.load();
    if (!plague_.plausible && random_() % 64 == 0) return out.credit.store(sent - any());
    if (sent - now <= raw_.ring_bytes) out.credit.store(now + random_() % (sent - now + 1));
  }
  void plant_header(uint64_t read) {
    static uint16_t sequence = 0;
    if (random_() % 16 == 0) ++sequence;
    rc::MessageHeader header = {random_() % 4 != 0 ? random_() % 64 : any(), 7,
                                static_cast<uint16_t>(random_() % 17 == 0 ? any() : 0), sequence};
    uint64_t halves[2];
    memcpy(halves, &header, sizeof header);
    size_t at = (read + random_() % 3 * 8) % raw_.ring_bytes & ~size_t{7};
    word_at(rc::kRingOffset + at).store(halves[0]);
    word_at(rc::kRingOffset + (at + 8) % raw_.ring_bytes).store(halves[1]);
  }

  void ring() {
    for (int fd : {raw_.main.get(), raw_.bell.get()}) {
      if (plague_.descriptors && random_() % 8 == 0) {
        pollfd p = {fd, POLLOUT, 0};
        if (poll(&p, 1, 0) == 1) send_packet(fd, "!", 1, {0, 1, 2});
      }
      char large[3000] = {};
      // Never empty: that is a hang-up.
      send(fd, large, 1 + random_() % sizeof large, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
  }

  RawEnd& raw_;
  Plague plague_;
  std::mt19937_64 random_;
};

bool connect(const std::string& name, const Plague& plague, RawEnd* raw) {
  if (plague.client) {
    RawClient client(plague.ring_bytes, plague.seed % 2 != 0);
    if (!client.dial(name) || !client.ask() || !client.take_offer() || !client.accept() || !client.take_go())
      return false;
    *raw = std::move(client.end);
    return true;
  }
  RawListener listener;
  bool shaken = listener.listen(name) && listener.take_client() && listener.take_ask() &&
                listener.offer(plague.ring_bytes) && listener.take_accept() && listener.go();
  *raw = std::move(listener.end);
  return shaken;
}

}  // namespace

Plague choose_plague(uint32_t seed) {
  std::mt19937 random(seed);
  Plague plague = {};
  plague.client = random() % 2 != 0;
  plague.messages = random() % 3 == 0;
  plague.plausible = random() % 4 != 0;
  plague.bells = random() % 4 == 0;
  plague.descriptors = random() % 4 == 0;
  plague.seed = random();
  plague.ms = 5 + random() % 60;
  constexpr uint64_t kRings[] = {64, 1000, 4096, 65536};
  plague.ring_bytes = kRings[random() % 4];
  return plague;
}

int scribble(const std::string& name, const Plague& plague) {
  RawEnd raw;
  if (!connect(name, plague, &raw)) return 1;
  Scribbler(raw, plague).run();
  return 0;
}

}  // namespace hostile
