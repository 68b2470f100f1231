#include "harness/fake/simulation.h"

#include <algorithm>
#include <initializer_list>
#include <thread>

namespace simulation {
namespace {

// Looks that a channel over NICs that misbehave may take for anything. Stalls last at most this many calls, requests
// are refused and executed late with probabilities below one: what is not done by then never will be.
constexpr int kTurns = 100 * 1000;
// The same without faults: a NIC executes everything at the next call.
constexpr int kCalmTurns = 100;

}  // namespace

// ----------------------------------------------------------------------------------------------------------------
// setting up

void Run::draw() {
  static constexpr size_t kCapacities[] = {1, 2, 3, 5, 10, 17, 33, 64, 100, 257, 1000, 4096, 30000};
  messages_ = random_.below(4) == 0;
  do {
    capacity_ = random_.below(3) == 0 ? random_.magnitude(30000) : kCapacities[random_.below(std::size(kCapacities))];
  } while (messages_ && capacity_ < 32);
  fault_ = random_.below(4) == 0 ? static_cast<Fault>(1 + random_.below(3)) : Fault::kNone;
  client_is_faulty_ = random_.below(2) == 0;
}

std::string Run::uri(bool client) {
  std::string text = "fake:sim?seed=" + std::to_string(random_.below(1u << 30));
  auto set = [&](const char* key, uint64_t value) { text += std::string("&") + key + "=" + std::to_string(value); };
  // Wilder than what the seed alone gives: nobody sleeps here.
  if (random_.below(2) == 0) set("late", random_.below(900));
  if (random_.below(2) == 0) set("refuse", random_.below(900));
  if (random_.below(2) == 0) set("burst", random_.magnitude(4096));
  if (random_.below(4) == 0) set("depth", 3);
  if (random_.below(4) == 0) set("stall_most", random_.magnitude(300));
  if (fault_ != Fault::kNone && client == client_is_faulty_) {
    set(fault_ == Fault::kDrop ? "drop" : fault_ == Fault::kCorrupt ? "corrupt" : "fail", random_.magnitude(1000));
  }
  return text;
}

bool Run::listen() {
  std::string listener = uri(false);
  rc_channel_config config = {};
  config.size = sizeof config;
  config.wait = RC_WAIT_SPIN;
  if (rc_listen(ctx_, listener.c_str(), &config, &listener_) != RC_OK) fail(std::string("rc_listen: ") + rc_reason());
  return good();
}

bool Run::connect() {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.ring_bytes = capacity_;
  config.wait = RC_WAIT_SPIN;
  std::string client = uri(true);
  int32_t accepted = RC_OK, connected = RC_OK;
  std::thread connecting([&] { connected = rc_connect(ctx_, client.c_str(), &config, RC_FOREVER, &ends_[1].channel); });
  accepted = rc_accept(listener_, RC_FOREVER, &ends_[0].channel);
  connecting.join();
  if (accepted != RC_OK || connected != RC_OK)
    fail("no connection: " + std::to_string(accepted) + " " + std::to_string(connected));
  return good();
}

void Run::close(End& end) {
  if (end.channel.id == 0) return;
  int32_t code = rc_channel_close(end.channel);
  if (code != RC_OK) fail(std::string("rc_channel_close returned ") + rc_code_name(code));
  end.channel.id = 0;
}

// ----------------------------------------------------------------------------------------------------------------
// phases

void Run::operate(End& end) {
  End& peer = peer_of(end);
  if (end.channel.id == 0) return;
  ++steps_;
  uint64_t side = random_.below(10);
  note(side + (&end == &ends_[0] ? 100 : 200));
  if (side == 0) return look(end);
  if (random_.chance(eagerness_)) {
    if (messages_) return send(end);
    if (end.reserved != 0 || random_.below(6) == 0) return stage_in_place(end);
    return put(end, random_.below(5));
  }
  if (messages_) return receive(end, peer);
  if (end.peeked != 0 || random_.below(5) == 0) return look_in_place(end, peer);
  get(end, peer, random_.below(4));
}

void Run::operate_many(uint64_t steps) {
  for (uint64_t i = 0; i < steps && good(); ++i) {
    if (i % 16 == 0) eagerness_ = static_cast<uint32_t>(random_.between(100, 900));  // full rings and empty ones
    operate(ends_[random_.below(2)]);
  }
}

// Ends what is open in place.
void Run::let_go(End& end) {
  if (end.reserved != 0) may(end, rc_commit(end.channel, 0), {RC_OK}, "rc_commit");
  if (end.peeked != 0) may(end, rc_release(end.channel, 0), {RC_OK}, "rc_release");
  end.reserved = end.peeked = 0;
}

// Gets whatever has arrived, and comes up short, so that all credit goes back.
void Run::take_all(End& end) {
  End& peer = peer_of(end);
  if (!messages_) {
    std::vector<uint8_t> bytes(capacity_);
    for (int i = 0; i < 3; ++i) {
      size_t done = 0;
      int32_t code = rc_get_some(end.channel, bytes.data(), bytes.size(), 0, &done);
      note(done);
      check_got(end, peer, bytes.data(), done);
      if (!may(end, code, {RC_OK, RC_E_WOULD_BLOCK}, "rc_get_some") || code != RC_OK) return;
    }
    return;
  }
  for (size_t received = SIZE_MAX; received != 0 && good() && end.over == RC_OK;) {
    received = peer.sent.size();
    receive(end, peer);
    received -= peer.sent.size();
  }
}

// Everything it has put is with the peer, and all credit is back.
bool Run::settled(End& end) {
  End& peer = peer_of(end);
  size_t writable = 0;
  if (end.sending || !end.sent.empty() || peer.got != end.put) return false;
  if (rc_sync(end.channel, 0) != RC_OK || rc_ready(end.channel, nullptr, &writable) != RC_OK) return false;
  return writable == capacity_;
}

bool Run::pump(End& end) {
  if (end.sending) send(end);
  may(end, rc_flush(end.channel), {RC_OK, RC_E_WOULD_BLOCK}, "rc_flush");
  take_all(end);
  return settled(end);
}

// The faults stop. From here on nothing but the channel itself can be in the way.
void Run::recover() {
  rc::fake::stop_faults();
  for (int phase = 0; phase < 2 && good(); ++phase) {
    for (End& end : ends_) let_go(end);
    bool done = false;
    for (int turn = 0; turn < kCalmTurns && !done && good(); ++turn) {
      bool first = pump(ends_[0]);
      done = pump(ends_[1]) && first && settled(ends_[0]);
    }
    if (!done) fail("the faults have stopped, but the channel does not recover");
    for (End& end : ends_) {
      check_counters(end);
      rc_counters counters = {};
      counters.size = sizeof counters;
      rc_channel_counters(end.channel, &counters);
      if (good() && !messages_ && counters.put_bytes != end.put) fail("rc_counters.put_bytes is not what was put");
      // An empty ring, an idle NIC: nothing may be refused now.
      if (good() && !messages_) {
        std::vector<uint8_t> bytes = next_bytes(end, capacity_);
        int32_t code = rc_try_put(end.channel, bytes.data(), capacity_);
        if (may(end, code, {RC_OK}, "rc_try_put into an empty ring")) took(end, capacity_);
      }
    }
    if (phase == 0) operate_many(60);
  }
}

// One end closes, whatever is under way; the other gets everything and then learns it.
void Run::end_in_order() {
  uint64_t which = random_.below(2);
  End& leaver = ends_[which];
  End& stayer = ends_[1 - which];
  let_go(leaver);
  let_go(stayer);
  if (!messages_) {
    std::vector<uint8_t> bytes = next_bytes(leaver, 1 + random_.below(capacity_));
    size_t done = 0;
    may(leaver, rc_put_more(leaver.channel, bytes.data(), bytes.size() - 1, 0, &done), {RC_OK, RC_E_WOULD_BLOCK},
        "rc_put_more");
    took(leaver, done);
  }
  close(leaver);
  for (int turn = 0; turn < kTurns && stayer.over == RC_OK && good(); ++turn) {
    if (random_.below(4) == 0) look(stayer);
    take_all(stayer);
  }
  // The code came from whatever call was the first to notice; what had arrived by then is still there.
  if (stayer.over == RC_E_CLOSED) take_all(stayer);
  if (messages_ && stayer.over == RC_E_CLOSED) {
    for (size_t before = SIZE_MAX; before != leaver.sent.size();) {
      before = leaver.sent.size();
      receive(stayer, leaver);
    }
  }
  if (good() && stayer.over != RC_E_CLOSED) fail("the peer has closed, but nobody is told");
  if (good() && stayer.got != leaver.put) fail("bytes that were put before the close are lost");
  if (good() && leaver.sent.size() > (leaver.sending ? 1u : 0u))
    fail("messages that were sent before the close are lost");
  close(stayer);
}

// Goes on until the fault has struck and those who must know it do.
void Run::end_by_fault() {
  auto known = [&] {
    if (fault_ == Fault::kCorrupt) return ends_[0].over != RC_OK || ends_[1].over != RC_OK;
    return ends_[0].over != RC_OK && ends_[1].over != RC_OK;
  };
  for (int turn = 0; turn < kTurns / 100 && !known() && good(); ++turn) {
    operate_many(90);
    for (End& end : ends_) {
      let_go(end);
      take_all(end);
    }
  }
  if (good() && !known()) fail("the fault has struck, but nobody is told");
  operate_many(20);  // it stays that way
  for (End& end : ends_) {
    rc_info info = {};
    info.size = sizeof info;
    rc_channel_info(end.channel, &info);
    if (good() && info.state != end.over) fail("rc_info.state is not the code that the calls return");
  }
}

// The same name again: nothing is left of what was.
void Run::start_again() {
  for (End& end : ends_) close(end);
  for (End& end : ends_) end = End{};
  fault_ = Fault::kNone;
  if (rc_listener_close(listener_) != RC_OK) fail("rc_listener_close");
  if (!good() || !listen() || !connect()) return;
  operate_many(40);
  recover();
}

Outcome Run::go() {
  rc::fake::reset();
  draw();
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 4;
  config.rings_max = 4;  // what one connection takes
  config.ring_bytes = capacity_;
  if (rc_open(&config, &ctx_) != RC_OK) fail("rc_open");
  Outcome outcome = {};
  if (good() && listen() && connect()) {
    outcome.fatal = fault_ != Fault::kNone;
    if (fault_ == Fault::kNone) {
      operate_many(random_.between(30, 400));
      if (random_.below(2) == 0) recover();
      if (good()) end_in_order();
    } else {
      end_by_fault();
      outcome.ended[0] = ends_[0].over;
      outcome.ended[1] = ends_[1].over;
    }
    if (good()) start_again();
  }
  if (rc_close(ctx_) != RC_OK) fail("rc_close");
  outcome.wrong = wrong_;
  outcome.trace = rc::fake::trace();
  note(outcome.trace.hash);
  outcome.hash = hash_;
  outcome.bytes = bytes_;
  return outcome;
}

Outcome simulate(uint64_t seed) { return Run(seed).go(); }

}  // namespace simulation
