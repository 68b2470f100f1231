// One direction of a channel in one thread: the shipped ring ends over plain memory, beside a model that is a queue of
// bytes. Every step checks the ring against the model.
#ifndef HARNESS_MODEL_RING_MODEL_H_
#define HARNESS_MODEL_RING_MODEL_H_

#include <stddef.h>
#include <stdint.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/ring.h"
#include "core/wire.h"

namespace rc_model {

using TailLine = rc::TailLineOf<rc::StdAtomics::Word>;

// Where indices begin in tests that step over a wrap-around: 0, and a little below 2^32 and 2^64.
inline constexpr uint64_t kStarts[] = {0, (uint64_t{1} << 32) - 5, uint64_t{0} - 5};

// The ring's bytes, and bytes before and after it that must never change.
class GuardedBytes {
 public:
  explicit GuardedBytes(size_t capacity) : capacity_(capacity), bytes_(capacity + 2 * kGuard, kMark) {}
  uint8_t* data() { return bytes_.data() + kGuard; }
  bool intact() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (bytes_[i] != kMark || bytes_[kGuard + capacity_ + i] != kMark) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr uint8_t kMark = 0xa5;
  size_t capacity_;
  std::vector<uint8_t> bytes_;
};

// Errors are collected as text: the first one is what a test shows.
class Direction {
 public:
  Direction(size_t capacity, uint64_t start) : memory_(capacity), start_(start) {
    line_.begin.store(0);
    line_.tail.store(start);
    for (auto& word : line_.words) word.store(0);
    credit_.store(start);
    tx_.init(memory_.data(), capacity, start);
    rx_.init(memory_.data(), capacity, start);
  }

  size_t capacity() const { return tx_.capacity(); }
  const std::string& error() const { return error_; }
  rc::TxRing<rc::StdAtomics>& tx() { return tx_; }
  rc::RxRing<rc::StdAtomics>& rx() { return rx_; }
  TailLine& line() { return line_; }
  uint64_t bytes_put() const { return put_; }
  uint64_t bytes_got() const { return got_; }

  // --- the putting end ---
  size_t space_after_look() {
    if (!tx_.take_credit(credit_)) fail("take_credit refused an honest credit");
    if (tx_.space() > capacity() - model_.size()) fail("more space than the model has");
    return tx_.space();
  }
  // Writes the next n bytes of the stream without publishing them; n <= space().
  void stage(size_t n) {
    next_bytes(n);
    tx_.write(staged_now_.data(), n);
    check();
  }
  void stage_in_place(size_t n) {
    next_bytes(n);
    rc::Spans s = tx_.next(n);
    if (s.at + s.first > capacity() || s.second > s.at || s.first + s.second != n)
      return fail("spans outside the ring");
    for (size_t i = 0; i < s.first; ++i) memory_.data()[s.at + i] = staged_now_[i];
    for (size_t i = 0; i < s.second; ++i) memory_.data()[i] = staged_now_[s.first + i];
    tx_.stage(n);
    check();
  }
  // The straight way: a runway, then puts of n <= runway() bytes with nothing staged ...
  void extend_put_runway(size_t most, size_t ahead) {
    tx_.extend_runway(most, ahead);
    if (tx_.runway() > most) fail("the putter's runway is longer than was asked for");
    check();
  }
  void put_here(size_t n) {
    next_bytes(n);
    if (n <= rc::kSmallBytes) {
      tx_.put_here<true>(staged_now_.data(), n, line_);
    } else {
      tx_.put_here<false>(staged_now_.data(), n, line_);
    }
    published_ = put_;
    check();
  }
  // ... or one that is only staged.
  void stage_here(size_t n) {
    next_bytes(n);
    tx_.write_here(staged_now_.data(), n);
    check();
  }
  // Takes back the newest n staged bytes.
  void take_back(size_t n) {
    tx_.take_back(n);
    for (size_t i = 0; i < n; ++i) model_.pop_back();
    put_ -= n;
    check();
  }
  void publish() {
    tx_.publish(line_);
    published_ = put_;
    check();
  }
  // The last stage or stage_in_place also goes into the tail line; it was of at most kTailBytes.
  void publish_with_copy() {
    if (staged_now_.size() > rc::kTailBytes) return fail("a test put too much into the tail line");
    tx_.publish_with_copy(line_, staged_now_.data(), staged_now_.size());
    published_ = put_;
    check();
  }
  size_t staged() const { return static_cast<size_t>(put_ - published_); }

  // --- the getting end ---
  size_t available_after_look() {
    if (!rx_.look(line_)) fail("look refused an honest tail");
    if (rx_.available() != published_ - got_) fail("available is not what is published");
    return rx_.available();
  }
  // Copies n <= available() bytes and consumes them.
  void get(size_t n) {
    got_now_.assign(n, 0);
    rx_.copy_out(got_now_.data(), n);
    take(n);
  }
  // The same in two halves, the second one read with a skip before anything is consumed.
  void get_in_halves(size_t n) {
    got_now_.assign(n, 0);
    rx_.copy_out(got_now_.data() + n / 2, n - n / 2, n / 2);
    rx_.copy_out(got_now_.data(), n / 2);
    take(n);
  }
  void get_by_spans(size_t n) {
    rc::Spans s = rx_.next(n);
    if (s.at + s.first > capacity() || s.second > s.at || s.first + s.second != n)
      return fail("spans outside the ring");
    got_now_.assign(memory_.data() + s.at, memory_.data() + s.at + s.first);
    got_now_.insert(got_now_.end(), memory_.data(), memory_.data() + s.second);
    take(n);
  }
  // The straight way.
  void extend_get_runway() {
    rx_.extend_runway();
    check();
  }
  void get_here(size_t n) {
    got_now_.assign(n, 0);
    n <= rc::kSmallBytes ? rx_.get_here<true>(got_now_.data(), n) : rx_.get_here<false>(got_now_.data(), n);
    taken(n);
  }
  // Everything available, out of the tail line. False: the tail line does not have it, nothing has changed.
  bool get_newest() {
    size_t n = rx_.available();
    got_now_.assign(n, 0);
    if (!rx_.copy_newest(line_, got_now_.data(), n)) return false;
    take(n);
    return true;
  }
  void tell_credit() { rx_.tell_credit(credit_); }

  void fail(const char* what) {
    if (error_.empty()) error_ = what;
  }

 private:
  // Byte number i of the stream; a period of 251 fits no small ring.
  static uint8_t byte_at(uint64_t i) { return static_cast<uint8_t>(i % 251); }

  void next_bytes(size_t n) {
    if (n > tx_.space()) return fail("a test put more than fits");
    staged_now_.resize(n);
    for (size_t i = 0; i < n; ++i) model_.push_back(staged_now_[i] = byte_at(put_ + i));
    put_ += n;
  }
  void take(size_t n) {
    rx_.consume(n);
    taken(n);
  }
  void taken(size_t n) {
    got_ += n;
    for (size_t i = 0; i < n; ++i) {
      if (got_now_[i] != model_.front()) fail("the bytes got are not the bytes put");
      model_.pop_front();
    }
    check();
  }
  void check() {
    if (!memory_.intact()) fail("a byte outside the ring was written");
    if (tx_.written() != start_ + put_ || rx_.read_index() != start_ + got_) fail("an index is off");
    if (tx_.staged() != staged() || tx_.published() != start_ + published_) fail("what is staged is off");
    if (tx_.runway() > tx_.space() || rx_.runway() > rx_.available()) fail("a runway is longer than what is free");
    if (tx_.in_flight() > capacity() || model_.size() > capacity()) fail("more in flight than the ring holds");
  }

  GuardedBytes memory_;
  TailLine line_;
  rc::StdAtomics::Word credit_;
  rc::TxRing<rc::StdAtomics> tx_;
  rc::RxRing<rc::StdAtomics> rx_;
  uint64_t start_;

  std::deque<uint8_t> model_;  // put, not got
  uint64_t put_ = 0;
  uint64_t published_ = 0;
  uint64_t got_ = 0;
  std::vector<uint8_t> staged_now_;
  std::vector<uint8_t> got_now_;
  std::string error_;
};

}  // namespace rc_model

#endif  // HARNESS_MODEL_RING_MODEL_H_
