// One run of two ends of a channel over the fake, by one thread, with calls that do not wait: random operations while
// the NICs misbehave, then they stop misbehaving and everything must come right. The whole run follows from its seed.
#ifndef HARNESS_FAKE_SIMULATION_H_
#define HARNESS_FAKE_SIMULATION_H_

#include <stdint.h>

#include <deque>
#include <string>
#include <vector>

#include "capi/rc.h"
#include "harness/fake/fake.h"
#include "harness/fake/random.h"

namespace simulation {

struct Outcome {
  std::string wrong;      // empty: all is well
  uint64_t hash;          // over every operation, its result, and everything the NICs did
  rc::fake::Trace trace;  // what the NICs did
  uint64_t bytes;         // that were got, both directions
  bool fatal;             // a fault ended the first channel
  int32_t ended[2];       // with which code, at each end; RC_OK: with none
};

Outcome simulate(uint64_t seed);

class Run {
 public:
  explicit Run(uint64_t seed) : random_(rc::fake::mix(seed) + 77), seed_(seed) {}
  Outcome go();

 private:
  enum class Fault { kNone, kDrop, kCorrupt, kFail };

  struct Message {
    size_t bytes;
    bool has_imm;
    uint32_t imm;
  };
  // One end, and the stream it sends.
  struct End {
    rc_channel channel{0};
    uint64_t put = 0;     // bytes of its stream that the channel has taken, staged ones too
    uint64_t got = 0;     // bytes of the other's stream
    size_t reserved = 0;  // bytes of an open reservation
    size_t peeked = 0;    // bytes of an open view
    rc_span places[2] = {};
    rc_const_span views[2] = {};
    bool sending = false;  // a message is half sent
    Message message = {};
    std::deque<Message> sent;  // and not received yet
    bool receiving = false;    // the last receive wants to be repeated with the same buffer
    std::vector<uint8_t> inbox;
    int32_t over = RC_OK;  // the code that ended it
  };

  // --- setting up ---
  std::string uri(bool client);
  void draw();
  bool listen();
  bool connect();
  void close(End& end);
  void start_again();

  // --- operations; each notes what it did ---
  void operate(End& end);
  void put(End& end, uint64_t how);
  void stage_in_place(End& end);
  void get(End& end, End& peer, uint64_t how);
  void look_in_place(End& end, End& peer);
  void send(End& end);
  void receive(End& end, End& peer);
  void look(End& end);
  void let_go(End& end);

  // --- judging ---
  bool may(End& end, int32_t code, std::initializer_list<int32_t> allowed, const char* call);
  void took(End& end, uint64_t n) { end.put += n; }
  void check_got(End& end, End& peer, const uint8_t* bytes, size_t n);
  void check_counters(End& end);
  void fail(const std::string& what);
  bool good() const { return wrong_.empty(); }
  void note(uint64_t value) { hash_ = rc::fake::mix(hash_ ^ value) + 1; }

  // --- phases ---
  void operate_many(uint64_t steps);
  void recover();
  void end_by_fault();
  void end_in_order();
  bool pump(End& end);
  void take_all(End& end);
  bool settled(End& end);

  uint8_t byte_at(const End& end, uint64_t at) const;
  std::vector<uint8_t> next_bytes(const End& end, size_t n);
  size_t any_size(size_t most);
  End& peer_of(End& end) { return &end == &ends_[0] ? ends_[1] : ends_[0]; }

  rc::fake::Random random_;
  uint64_t seed_;
  Fault fault_ = Fault::kNone;
  size_t capacity_ = 0;
  bool messages_ = false;
  bool client_is_faulty_ = false;
  uint32_t eagerness_ = 500;  // of the putters, per mille
  uint64_t steps_ = 0;
  std::string wrong_;
  uint64_t hash_ = 0;
  uint64_t bytes_ = 0;
  rc_ctx ctx_{0};
  rc_listener listener_{0};
  End ends_[2];
};

}  // namespace simulation

#endif  // HARNESS_FAKE_SIMULATION_H_
