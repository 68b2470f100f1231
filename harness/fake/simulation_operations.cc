// What the simulated program does with its channel, and what it checks after every call.
#include <string.h>

#include <algorithm>

#include "harness/fake/simulation.h"

namespace simulation {

uint8_t Run::byte_at(const End& end, uint64_t at) const {
  return static_cast<uint8_t>(rc::fake::mix(at / 8 + (&end == &ends_[0] ? 1000003 : 17)) >> (8 * (at % 8)));
}

std::vector<uint8_t> Run::next_bytes(const End& end, size_t n) {
  std::vector<uint8_t> bytes(n + 1);  // data() is never null
  for (size_t i = 0; i < n; ++i) bytes[i] = byte_at(end, end.put + i);
  return bytes;
}

// Small ones often, 0 and the largest sometimes.
size_t Run::any_size(size_t most) {
  switch (random_.below(8)) {
    case 0:
      return random_.below(2) == 0 ? 0 : most;
    case 1:
    case 2:
      return random_.below(most + 1);
    default:
      return std::min<size_t>(most, random_.magnitude(most + 1));
  }
}

void Run::fail(const std::string& what) {
  if (!good()) return;
  wrong_ = "step " + std::to_string(steps_) + ", capacity " + std::to_string(capacity_) + ": " + what;
}

// Notes the code. False: the channel is over, or the code is none that this call may return.
bool Run::may(End& end, int32_t code, std::initializer_list<int32_t> allowed, const char* call) {
  note(static_cast<uint64_t>(code) + 7);
  if (std::find(allowed.begin(), allowed.end(), code) != allowed.end()) return true;
  bool end_of_channel = code <= -200 && code > -300;
  bool expected = false;
  if (fault_ == Fault::kDrop || fault_ == Fault::kFail) expected = code == RC_E_PEER_DEAD;
  if (fault_ == Fault::kCorrupt) expected = code == RC_E_CORRUPT;
  if (peer_of(end).channel.id == 0) expected |= code == RC_E_CLOSED;
  if (!end_of_channel || !expected) {
    fail(std::string(call) + " returned " + rc_code_name(code) + ": " + rc_reason());
  } else if (end.over != RC_OK && end.over != code) {
    fail(std::string(call) + " returned " + rc_code_name(code) + " after the channel ended with " +
         rc_code_name(end.over));
  }
  if (end_of_channel) end.over = code;
  return false;
}

void Run::check_got(End& end, End& peer, const uint8_t* bytes, size_t n) {
  if (end.got + n > peer.put) return fail("more was got than put");
  for (size_t i = 0; i < n; ++i) {
    if (bytes[i] == byte_at(peer, end.got + i)) continue;
    return fail("byte " + std::to_string(end.got + i) + " of the stream is wrong");
  }
  end.got += n;
  bytes_ += n;
}

void Run::put(End& end, uint64_t how) {
  bool tries = how == 1;
  size_t n = any_size(tries ? capacity_ : 3 * capacity_);
  std::vector<uint8_t> bytes = next_bytes(end, n);
  size_t done = 0;
  int32_t code;
  const char* call;
  if (how == 0) {
    code = rc_put(end.channel, bytes.data(), n, 0, &done), call = "rc_put";
  } else if (how == 1) {
    code = rc_try_put(end.channel, bytes.data(), n), call = "rc_try_put";
    done = code == RC_OK ? n : 0;
  } else if (how == 2) {
    code = rc_put_some(end.channel, bytes.data(), n, &done), call = "rc_put_some";
  } else if (how == 3) {
    code = rc_put_more(end.channel, bytes.data(), n, 0, &done), call = "rc_put_more";
  } else {
    size_t first = random_.below(n + 1), second = random_.below(n - first + 1);
    rc_const_span spans[] = {
        {bytes.data(), first}, {bytes.data() + first, second}, {bytes.data() + first + second, n - first - second}};
    code = rc_putv(end.channel, spans, 3, 0, &done), call = "rc_putv";
  }
  note(done);
  took(end, done);
  may(end, code, {RC_OK, RC_E_WOULD_BLOCK}, call);
  if (code == RC_OK && how != 2 && done != n) fail(std::string(call) + " succeeded, but not with all");
  if (code == RC_OK && how == 2 && n != 0 && done == 0) fail("rc_put_some succeeded with nothing");
  if (code != RC_OK && how != 2 && n <= capacity_ / 2 && done != 0)
    fail(std::string(call) + " failed with a part done");
}

// Reserves, or commits a part of what is reserved.
void Run::stage_in_place(End& end) {
  if (end.reserved == 0) {
    size_t least = 1 + random_.below(capacity_);
    int32_t code = rc_reserve(end.channel, least, 0, end.places);
    if (!may(end, code, {RC_OK, RC_E_WOULD_BLOCK}, "rc_reserve") || code != RC_OK) return;
    end.reserved = end.places[0].bytes + end.places[1].bytes;
    note(end.reserved);
    if (end.reserved < least) fail("rc_reserve gave less than was asked for");
    return;
  }
  size_t n = any_size(end.reserved);
  std::vector<uint8_t> bytes = next_bytes(end, n);
  size_t first = std::min(n, end.places[0].bytes);
  memcpy(end.places[0].data, bytes.data(), first);
  if (n > first) memcpy(end.places[1].data, bytes.data() + first, n - first);
  end.reserved = 0;
  if (may(end, rc_commit(end.channel, n), {RC_OK}, "rc_commit")) took(end, n);
}

void Run::get(End& end, End& peer, uint64_t how) {
  size_t n = any_size(how == 1 ? capacity_ : 3 * capacity_);
  std::vector<uint8_t> bytes(n + 1);
  size_t done = 0;
  int32_t code;
  const char* call;
  if (how == 0) {
    code = rc_get(end.channel, bytes.data(), n, 0, &done), call = "rc_get";
  } else if (how == 1) {
    code = rc_try_get(end.channel, bytes.data(), n), call = "rc_try_get";
    done = code == RC_OK ? n : 0;
  } else if (how == 2) {
    code = rc_get_some(end.channel, bytes.data(), n, 0, &done), call = "rc_get_some";
  } else {
    size_t first = random_.below(n + 1);
    rc_span spans[] = {{bytes.data(), first}, {bytes.data() + first, n - first}};
    code = rc_getv(end.channel, spans, 2, 0, &done), call = "rc_getv";
  }
  note(done);
  check_got(end, peer, bytes.data(), done);
  may(end, code, {RC_OK, RC_E_WOULD_BLOCK}, call);
  if (code == RC_OK && how != 2 && done != n) fail(std::string(call) + " succeeded, but not with all");
  if (code == RC_OK && how == 2 && n != 0 && done == 0) fail("rc_get_some succeeded with nothing");
  if (code == RC_E_WOULD_BLOCK && n <= capacity_ / 2 && done != 0)
    fail(std::string(call) + " would block with a part done");
}

// Looks, or consumes a part of what was seen.
void Run::look_in_place(End& end, End& peer) {
  if (end.peeked == 0 || random_.below(4) == 0) {
    size_t least = 1 + random_.below(capacity_);
    rc_const_span views[2];
    int32_t code = rc_peek(end.channel, least, 0, views);
    if (!may(end, code, {RC_OK, RC_E_WOULD_BLOCK}, "rc_peek") || code != RC_OK) return;
    size_t n = views[0].bytes + views[1].bytes;
    if (n < least || n < end.peeked) fail("rc_peek gave less than was asked for");
    end.peeked = n;
    memcpy(end.views, views, sizeof views);
    note(n);
    return;
  }
  size_t n = any_size(end.peeked);
  size_t first = std::min(n, end.views[0].bytes);
  end.peeked = 0;
  check_got(end, peer, static_cast<const uint8_t*>(end.views[0].data), first);
  if (n > first) check_got(end, peer, static_cast<const uint8_t*>(end.views[1].data), n - first);
  may(end, rc_release(end.channel, n), {RC_OK}, "rc_release");
}

void Run::send(End& end) {
  if (!end.sending)
    end.message = {any_size(3 * capacity_), random_.below(2) == 0, static_cast<uint32_t>(random_.next())};
  size_t n = end.message.bytes;
  std::vector<uint8_t> bytes = next_bytes(end, n);
  size_t done = 0;
  int32_t code = rc_send(end.channel, bytes.data(), n, end.message.has_imm ? &end.message.imm : nullptr, 0, &done);
  note(done);
  bool first = !end.sending;
  bool goes_on = may(end, code, {RC_OK, RC_E_WOULD_BLOCK}, "rc_send");
  if (goes_on && code != RC_OK && n + 16 <= capacity_ / 2 && done != 0) fail("a small message is half sent");
  // A small one may be given up, a large one must be repeated. What the channel ended in may have arrived.
  end.sending = code != RC_OK && n + 16 > capacity_ / 2;
  if (code == RC_OK || !goes_on) took(end, n);
  if (first && (code == RC_OK || end.sending || !goes_on)) end.sent.push_back(end.message);
}

void Run::receive(End& end, End& peer) {
  size_t room = 3 * capacity_;
  bool tight = !end.receiving && random_.below(4) == 0;
  if (tight) room = any_size(room);
  end.inbox.resize(3 * capacity_ + 1);
  size_t n = 0;
  uint32_t imm = 0, has_imm = 0;
  int32_t code = rc_recv(end.channel, end.inbox.data(), room, &n, &imm, &has_imm, 0);
  note(n);
  if (!may(end, code, {RC_OK, RC_E_WOULD_BLOCK, RC_E_TRUNCATED}, "rc_recv")) return;
  end.receiving = code == RC_E_WOULD_BLOCK;
  if (code == RC_E_WOULD_BLOCK) return;
  if (peer.sent.empty()) return fail("a message was received that nobody sent");
  const Message& message = peer.sent.front();
  if (n != message.bytes) return fail("a message has another size than was sent");
  if (code == RC_E_TRUNCATED) {
    if (room >= n) fail("a message that fits was refused as too large");
    return;
  }
  if ((has_imm != 0) != message.has_imm || (message.has_imm && imm != message.imm)) fail("the immediate is wrong");
  check_got(end, peer, end.inbox.data(), n);
  peer.sent.pop_front();
}

void Run::look(End& end) {
  switch (random_.below(5)) {
    case 0:
      may(end, rc_progress(end.channel), {RC_OK}, "rc_progress");
      break;
    case 1:
      if (end.reserved == 0) may(end, rc_flush(end.channel), {RC_OK, RC_E_WOULD_BLOCK}, "rc_flush");
      break;
    case 2:
      if (end.reserved == 0) may(end, rc_sync(end.channel, 0), {RC_OK, RC_E_WOULD_BLOCK}, "rc_sync");
      break;
    case 3: {
      size_t readable = 0, writable = 0;
      if (!may(end, rc_ready(end.channel, &readable, &writable), {RC_OK}, "rc_ready")) break;
      note(readable);
      note(writable);
      if (readable > capacity_ || writable > capacity_) fail("rc_ready tells more than fits");
      break;
    }
    default:
      check_counters(end);
  }
}

void Run::check_counters(End& end) {
  rc_counters counters = {};
  counters.size = sizeof counters;
  if (!may(end, rc_channel_counters(end.channel, &counters), {RC_OK}, "rc_channel_counters")) return;
  note(counters.put_bytes);
  note(counters.got_bytes);
  if (messages_) return;  // these count headers too
  if (counters.put_bytes > end.put) fail("rc_counters.put_bytes counts what was not put");
  if (counters.got_bytes != end.got) fail("rc_counters.got_bytes is not what was got");
}

}  // namespace simulation
