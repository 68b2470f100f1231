#include "harness/soak/load.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <vector>

#include "harness/soak/stamp.h"

namespace soak {
namespace {

constexpr int64_t kSliceNs = INT64_C(50) * 1000 * 1000;  // after which a waiting call looks whether to stop
constexpr size_t kPieces = 4;

bool later(int32_t code) { return code == RC_E_TIMEOUT || code == RC_E_WOULD_BLOCK; }

class Work {
 protected:
  explicit Work(const Load& load) : load_(load), choices_(load.seed * 2), buffer_(load.largest, 1) {}

  bool wrong() const { return load_.board->wrong.load(std::memory_order_relaxed); }
  bool failed(const char* call, int32_t code) {
    load_.board->complain(fmt::format("{}: {}: {}", call, rc_code_name(code), rc_reason()));
    return false;
  }
  // Mostly small, sometimes more than the ring.
  size_t some_bytes() {
    return static_cast<size_t>(choices_.below(4) == 0 ? choices_.below(load_.largest) : choices_.skewed(load_.largest));
  }

  const Load& load_;
  Choices choices_;
  std::vector<uint8_t> buffer_;
};

class Putter : Work {
 public:
  explicit Putter(const Load& load) : Work(load) {}

  void run() {
    while (!wrong() && !load_.board->stop.load(std::memory_order_relaxed)) {
      if (!(load_.messages ? send_one() : put_one())) return;
    }
    int32_t code = rc_flush(load_.channel);
    if (code != RC_OK) failed("rc_flush", code);
    load_.lane->finished = true;
  }

 private:
  bool put_one() {
    size_t n = some_bytes();
    switch (choices_.below(6)) {
      case 0:
        return put_in_place(std::min<size_t>(n, 4096) + 1);
      case 1:
        return put_in_pieces(n);
      case 2:
        return put(n, rc_put_more, "rc_put_more");
      default:
        return put(n, rc_put, "rc_put");
    }
  }

  template <class F>
  bool put(size_t n, F f, const char* name) {
    stamp_fill(buffer_.data(), n, load_.seed, put_);
    for (size_t at = 0; at < n;) {
      size_t done = 0;
      int32_t code = f(load_.channel, buffer_.data() + at, n - at, kSliceNs, &done);
      if (!advance(name, code, done)) return false;
      at += done;
    }
    return true;
  }

  bool put_in_pieces(size_t n) {
    stamp_fill(buffer_.data(), n, load_.seed, put_);
    for (size_t at = 0; at < n;) {
      rc_const_span pieces[kPieces];
      size_t left = n - at, from = at;
      for (size_t i = 0; i < kPieces; ++i) {
        size_t bytes = i + 1 == kPieces ? left : choices_.below(left + 1);
        pieces[i] = {buffer_.data() + from, bytes};
        from += bytes;
        left -= bytes;
      }
      size_t done = 0;
      int32_t code = rc_putv(load_.channel, pieces, kPieces, kSliceNs, &done);
      if (!advance("rc_putv", code, done)) return false;
      at += done;
    }
    return true;
  }

  bool put_in_place(size_t n) {
    rc_span spans[2];
    int32_t code;
    while (later(code = rc_reserve(load_.channel, n, kSliceNs, spans))) {
      if (wrong()) return false;
    }
    if (code != RC_OK) return failed("rc_reserve", code);
    size_t first = std::min(n, spans[0].bytes);
    stamp_fill(spans[0].data, first, load_.seed, put_);
    stamp_fill(spans[1].data, n - first, load_.seed, put_ + first);
    code = rc_commit(load_.channel, n);
    return advance("rc_commit", code, code == RC_OK ? n : 0);
  }

  bool advance(const char* name, int32_t code, size_t done) {
    if (code != RC_OK && !later(code)) return failed(name, code);
    put_ += done;
    load_.lane->put.store(put_, std::memory_order_relaxed);
    return !wrong();
  }

  bool send_one() {
    size_t n = some_bytes();
    uint64_t count = load_.lane->messages.load(std::memory_order_relaxed);
    stamp_fill(buffer_.data(), n, load_.seed + count, 0);
    uint32_t imm = static_cast<uint32_t>(count);
    int32_t code;
    while (
        later(code = rc_send(load_.channel, buffer_.data(), n, count % 3 == 0 ? nullptr : &imm, kSliceNs, nullptr))) {
      if (wrong()) return false;
    }
    if (code != RC_OK) return failed("rc_send", code);
    load_.lane->messages.store(count + 1, std::memory_order_relaxed);
    return advance("rc_send", code, n);
  }

  uint64_t put_ = 0;
};

class Getter : Work {
 public:
  explicit Getter(const Load& load) : Work(load) {}

  void run() {
    const Lane& lane = *load_.lane;
    while (!wrong()) {
      // `finished` first: what it makes final is then looked at.
      bool all = lane.finished && got_ == lane.put && lane.received == lane.messages;
      if (all) {
        load_.lane->drained = true;
        return;
      }
      if (!(load_.messages ? receive_one() : get_one())) return;
    }
  }

 private:
  bool get_one() {
    size_t n = some_bytes();
    size_t done = 0;
    switch (choices_.below(4)) {
      case 0:
        return get_in_place(n);
      case 1:
        return take("rc_get", rc_get(load_.channel, buffer_.data(), n, kSliceNs, &done), &done);
      default:
        return take("rc_get_some", rc_get_some(load_.channel, buffer_.data(), n, kSliceNs, &done), &done);
    }
  }

  bool get_in_place(size_t most) {
    rc_const_span spans[2];
    int32_t code = rc_peek(load_.channel, 1, kSliceNs, spans);
    if (later(code)) return true;
    if (code != RC_OK) return failed("rc_peek", code);
    size_t first = std::min(most, spans[0].bytes), second = std::min(most - first, spans[1].bytes);
    if (!right(spans[0].data, first, load_.seed, got_) || !right(spans[1].data, second, load_.seed, got_ + first))
      return false;
    code = rc_release(load_.channel, first + second);
    if (code != RC_OK) return failed("rc_release", code);
    return count(first + second);
  }

  // done is a pointer because the call that sets it is an argument too.
  bool take(const char* name, int32_t code, const size_t* done) {
    if (code != RC_OK && !later(code)) return failed(name, code);
    return right(buffer_.data(), *done, load_.seed, got_) && count(*done);
  }

  bool receive_one() {
    uint64_t number = load_.lane->received.load(std::memory_order_relaxed);
    // Sometimes a buffer that may be too small: the message must stay.
    size_t room = choices_.below(8) == 0 && !under_way_ ? some_bytes() : buffer_.size();
    size_t n = 0;
    uint32_t imm = 0, has_imm = 0;
    int32_t code = rc_recv(load_.channel, buffer_.data(), room, &n, &imm, &has_imm, kSliceNs);
    if (code == RC_E_TRUNCATED && n > room) return true;
    under_way_ = later(code);  // then the same buffer again
    if (under_way_) return true;
    if (code != RC_OK) return failed("rc_recv", code);
    if (has_imm != (number % 3 != 0) || (has_imm != 0 && imm != static_cast<uint32_t>(number))) {
      load_.board->complain(fmt::format("message {}: immediate {} {}", number, has_imm, imm));
      return false;
    }
    if (!right(buffer_.data(), n, load_.seed + number, 0)) return false;
    load_.lane->received.store(number + 1, std::memory_order_relaxed);
    return count(n);
  }

  bool right(const void* data, size_t n, uint64_t seed, uint64_t position) {
    size_t good = stamp_check(data, n, seed, position);
    if (good == n) return true;
    load_.board->complain(
        fmt::format("seed {}: byte {} is wrong, in a piece of {} from {}", seed, position + good, n, position));
    return false;
  }

  bool count(size_t n) {
    got_ += n;
    load_.lane->got.store(got_, std::memory_order_relaxed);
    return true;
  }

  uint64_t got_ = 0;
  bool under_way_ = false;
};

}  // namespace

void Board::complain(const std::string& what) {
  if (wrong.exchange(true)) return;
  strncpy(problem, what.c_str(), sizeof problem - 1);
}

void put_all(const Load& load) { Putter(load).run(); }
void get_all(const Load& load) { Getter(load).run(); }

}  // namespace soak
