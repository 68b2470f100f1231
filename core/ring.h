// The two ends of a ring: indices, wrap-around, credit, and the tail line. No waiting, no system call, no allocation.
// Proofs and numbers (I1..I6) are in PROTOCOL.md.
#ifndef CORE_RING_H_
#define CORE_RING_H_

#include <stddef.h>
#include <stdint.h>

#include "core/atomics.h"
#include "core/wire.h"

namespace rc {

// At most two pieces of a ring: [at, at + first) and [0, second).
struct Spans {
  size_t at;
  size_t first;
  size_t second;
};

inline Spans spans_at(size_t at, size_t n, size_t capacity) noexcept {
  size_t to_end = capacity - at;
  return n <= to_end ? Spans{at, n, 0} : Spans{at, to_end, n - to_end};
}

inline size_t advance(size_t at, size_t n, size_t capacity) noexcept {
  size_t to_end = capacity - at;
  return n < to_end ? at + n : n - to_end;
}

// Where an index that only grows lies in the ring: the offset is index - lap, and lap moves on when the end is reached.
// Division would do too, but any capacity is allowed, and it is slow.
inline uint64_t lap_of(uint64_t index, uint64_t lap, size_t capacity) noexcept {
  return index - lap >= capacity ? lap + capacity : lap;
}

// The writing end. All its state is private memory of the writer (I2).
template <class A>
class TxRing {
 public:
  // start: the index both ends begin with; any value, it wraps (I1).
  void init(typename A::Ring ring, size_t capacity, uint64_t start) noexcept {
    ring_ = ring;
    capacity_ = capacity;
    written_.set(start);
    lap_ = limit_ = credit_ = owned_ = start;
    staged_ = 0;
  }

  size_t capacity() const noexcept { return capacity_; }
  uint64_t written() const noexcept { return written_.get(); }
  size_t staged() const noexcept { return staged_; }
  uint64_t published() const noexcept { return written_.get() - staged_; }
  uint64_t credit() const noexcept { return credit_; }
  size_t in_flight() const noexcept { return static_cast<size_t>(written_.get() - credit_); }
  // Bytes that may be written now, as far as the last credit seen tells.
  size_t space() const noexcept { return capacity_ - in_flight(); }

  // Loads the peer's credit once. False: the peer claims to have read what was never published (I3).
  bool take_credit(const typename A::Word& credit_word) noexcept {
    uint64_t now = A::load_acquire(credit_word);  // pairs with RxRing::tell_credit
    if (now - credit_ > published() - credit_) return false;
    credit_ = now;
    return true;
  }

  // The runway: bytes that may be written in one piece without looking at anything else. It makes a small put a handful
  // of instructions.
  size_t runway() const noexcept { return static_cast<size_t>(limit_ - written_.get()); }
  // Copies n <= runway() bytes and publishes them (I4). Nothing may be staged. kSmall: n <= kSmallBytes.
  template <bool kSmall>
  void put_here(const void* from, size_t n, TailLineOf<typename A::Word>& line) noexcept {
    uint64_t at = written_.get();
    if (kSmall) {
      A::ring_write_small(ring_, static_cast<size_t>(at - lap_), from, n);
    } else {
      A::ring_write(ring_, static_cast<size_t>(at - lap_), from, n);
    }
    written_.set(at + n);
    A::store_release(line.tail, at + n);  // pairs with RxRing::look
  }
  // Copies n <= runway() bytes behind what is written; to be published before the next put_here.
  void write_here(const void* from, size_t n) noexcept {
    uint64_t at = written_.get();
    A::ring_write(ring_, static_cast<size_t>(at - lap_), from, n);
    written_.set(at + n);
    staged_ += n;
  }
  void end_runway() noexcept { limit_ = written_.get(); }
  // Makes the runway as long as space and the ring's end allow, but no longer than `most`, and owns its lines and those
  // of the `ahead` bytes behind it.
  void extend_runway(size_t most, size_t ahead) noexcept {
    size_t to_end = capacity_ - offset();
    size_t room = space() < to_end ? space() : to_end;
    room = room < most ? room : most;
    limit_ = written_.get() + room;
    own_ahead(room + ahead);
  }

  // Copies n <= space() bytes behind what is written; nobody sees them before publish (I4).
  void write(const void* from, size_t n) noexcept {
    Spans s = next(n);
    A::ring_write(ring_, s.at, from, s.first);
    if (s.second != 0) A::ring_write(ring_, 0, static_cast<const uint8_t*>(from) + s.first, s.second);
    stage(n);
  }

  // Where the next n <= space() bytes lie, for a writer that fills them in place and then stages them.
  Spans next(size_t n) noexcept { return spans_at(offset(), n, capacity_); }
  void stage(size_t n) noexcept {
    offset();
    written_.set(written_.get() + n);
    staged_ += n;
    end_runway();
  }

  void publish(TailLineOf<typename A::Word>& line) noexcept {
    staged_ = 0;
    A::store_release(line.tail, written_.get());  // pairs with RxRing::look
  }

  // Publishes, and puts a copy of the newest n <= kTailBytes bytes into the tail line itself: the reader then needs one
  // line instead of two. `begin` changes before the words and names length and tail, so a reader that saw any newer
  // word also sees another `begin` (I5).
  void publish_with_copy(TailLineOf<typename A::Word>& line, const void* newest, size_t n) noexcept {
    uint64_t words[kTailWords] = {};
    copy_small(words, newest, n);
    staged_ = 0;
    A::store_relaxed(line.begin, tail_mark(written_.get(), n));
    A::fence_release();  // pairs with the acquire fence in RxRing::copy_newest
    for (size_t i = 0; i < kTailWords && i * sizeof(uint64_t) < n; ++i) A::store_relaxed(line.words[i], words[i]);
    A::store_release(line.tail, written_.get());  // pairs with RxRing::look
  }

  // Owns the lines of the next `ahead` bytes before they are stored to, but never lines the peer may still read.
  void own_ahead(size_t ahead) noexcept {
    uint64_t at = written_.get();
    if (owned_ - at > capacity_) owned_ = at;  // written_ has passed it
    size_t limit = ahead < space() ? ahead : space();
    while (owned_ - at < limit) {
      A::ring_own(ring_, advance(offset(), static_cast<size_t>(owned_ - at), capacity_));
      owned_ += kLine;
    }
  }

  // Takes back the newest n staged bytes.
  void take_back(size_t n) noexcept {
    if (written_.get() - lap_ < n) lap_ -= capacity_;
    written_.set(written_.get() - n);
    staged_ -= n;
    end_runway();
  }

  // What is staged, for a link that has to be told.
  Spans unpublished() noexcept {
    size_t at = offset();
    return spans_at(at >= staged_ ? at - staged_ : at + capacity_ - staged_, staged_, capacity_);
  }
  void set_published() noexcept { staged_ = 0; }

  static uint64_t tail_mark(uint64_t tail, size_t n) noexcept { return tail ^ (static_cast<uint64_t>(n) << 56); }

 private:
  size_t offset() noexcept {
    lap_ = lap_of(written_.get(), lap_, capacity_);
    return static_cast<size_t>(written_.get() - lap_);
  }

  typename A::Ring ring_;
  size_t capacity_;
  typename A::Own written_;  // bytes copied in
  uint64_t lap_;             // the index at which the ring's first byte was last written
  uint64_t limit_;           // the runway's end
  size_t staged_;            // of written_, bytes that the peer may not read yet
  uint64_t credit_;          // bytes the peer has read, checked
  uint64_t owned_;           // lines up to here have been asked for
};

// The reading end. Its state is private too; the peer's memory is read through `line`, one load at a time.
template <class A>
class RxRing {
 public:
  void init(typename A::Ring ring, size_t capacity, uint64_t start) noexcept {
    ring_ = ring;
    capacity_ = capacity;
    read_.set(start);
    lap_ = limit_ = seen_ = told_ = wanted_ = start;
  }

  size_t capacity() const noexcept { return capacity_; }
  uint64_t read_index() const noexcept { return read_.get(); }
  size_t available() const noexcept { return static_cast<size_t>(seen_ - read_.get()); }  // as of the last look
  size_t untold() const noexcept { return static_cast<size_t>(read_.get() - told_); }
  // So much has been read and not told that a waiting writer had better know (I6).
  bool credit_due() const noexcept { return untold() >= credit_step(); }

  // Loads the peer's tail once. False: it went backwards or claims more than fits (I3).
  bool look(const TailLineOf<typename A::Word>& line) noexcept {
    uint64_t tail = A::load_acquire(line.tail);  // pairs with TxRing::publish
    uint64_t used = tail - read_.get();
    if (used > capacity_ || used < seen_ - read_.get()) return false;
    seen_ = tail;
    return true;
  }

  // The runway: bytes that may be read in one piece and leave no credit due. The get that makes it due goes another
  // way, and tells.
  size_t runway() const noexcept { return static_cast<size_t>(limit_ - read_.get()); }
  // Copies and consumes n <= runway() bytes. kSmall: n <= kSmallBytes.
  template <bool kSmall>
  void get_here(void* to, size_t n) noexcept {
    uint64_t at = read_.get();
    if (kSmall) {
      A::ring_read_small(ring_, static_cast<size_t>(at - lap_), to, n);
    } else {
      A::ring_read(ring_, static_cast<size_t>(at - lap_), to, n);
    }
    read_.set(at + n);
  }
  void end_runway() noexcept { limit_ = read_.get(); }
  void extend_runway() noexcept {
    size_t to_end = capacity_ - offset();
    size_t due = credit_due() ? 0 : credit_step() - 1 - untold();
    size_t room = available() < to_end ? available() : to_end;
    limit_ = read_.get() + (room < due ? room : due);
  }

  // Asks for the lines of the next `ahead` bytes, as far as they have arrived, before they are read.
  void want_ahead(size_t ahead) noexcept {
    uint64_t at = read_.get();
    if (wanted_ - at > capacity_) wanted_ = at;  // read_ has passed it
    size_t limit = ahead < available() ? ahead : available();
    while (wanted_ - at < limit) {
      A::ring_want(ring_, advance(offset(), static_cast<size_t>(wanted_ - at), capacity_));
      wanted_ += kLine;
    }
  }

  // Copies n <= available() bytes, without those `skip` before them and without consuming them.
  void copy_out(void* to, size_t n, size_t skip = 0) noexcept {
    Spans s = spans_at(advance(offset(), skip, capacity_), n, capacity_);
    A::ring_read(ring_, s.at, to, s.first);
    if (s.second != 0) A::ring_read(ring_, 0, static_cast<uint8_t*>(to) + s.first, s.second);
  }

  // Takes the newest n bytes if the tail line carries exactly these; false: read the ring. The caller has seen that n
  // is all that is available.
  bool copy_newest(const TailLineOf<typename A::Word>& line, void* to, size_t n) const noexcept {
    if (n > kTailBytes) return false;
    uint64_t mark = TxRing<A>::tail_mark(seen_, n);
    if (A::load_relaxed(line.begin) != mark) return false;
    uint64_t words[kTailWords];
    for (size_t i = 0; i < kTailWords && i * sizeof(uint64_t) < n; ++i) words[i] = A::load_relaxed(line.words[i]);
    A::fence_acquire();  // pairs with the release fence in TxRing::publish_with_copy
    if (A::load_relaxed(line.begin) != mark) return false;
    copy_small(to, words, n);
    return true;
  }

  // Where the next n <= available() bytes lie.
  Spans next(size_t n) noexcept { return spans_at(offset(), n, capacity_); }
  void consume(size_t n) noexcept {
    offset();
    read_.set(read_.get() + n);
    end_runway();
  }

  // Lets the peer overwrite what has been consumed (I6).
  void tell_credit(typename A::Word& credit_word) noexcept {
    A::store_release(credit_word, credit_to_tell());  // pairs with TxRing::take_credit
  }
  uint64_t credit_to_tell() noexcept { return told_ = read_.get(); }

 private:
  size_t credit_step() const noexcept { return capacity_ / 8 + 1; }
  size_t offset() noexcept {
    lap_ = lap_of(read_.get(), lap_, capacity_);
    return static_cast<size_t>(read_.get() - lap_);
  }

  typename A::Ring ring_;
  size_t capacity_;
  typename A::Own read_;  // bytes consumed
  uint64_t lap_;          // the index at which the ring's first byte was last read
  uint64_t limit_;        // the runway's end
  uint64_t seen_;         // the peer's tail at the last look, checked
  uint64_t told_;         // the credit the peer was last told
  uint64_t wanted_;       // lines up to here have been asked for
};

}  // namespace rc

#endif  // CORE_RING_H_
