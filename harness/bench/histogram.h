// A log-linear histogram in the manner of HdrHistogram: every power of two is cut into 128 equal cells, so that a
// value read back is within 0.4 % of the value put in, from 0 to 2^64 - 1, in 58 KiB and without allocation.
#ifndef HARNESS_BENCH_HISTOGRAM_H_
#define HARNESS_BENCH_HISTOGRAM_H_

#include <stddef.h>
#include <stdint.h>

#include <array>

namespace rcbench {

class Histogram {
 public:
  static constexpr unsigned kBits = 7;
  static constexpr uint64_t kCells = uint64_t{1} << kBits;

  void add(uint64_t value) {
    ++cells_[index_of(value)];
    ++count_;
    if (value > max_) max_ = value;
  }
  void clear() {
    cells_.fill(0);
    count_ = max_ = 0;
  }
  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }

  // The value below or at which `percent` of the added values lie: the middle of its cell, never above max(). 0 if
  // nothing was added.
  double percentile(double percent) const {
    if (count_ == 0) return 0;
    double exact_rank = percent / 100 * static_cast<double>(count_);
    uint64_t rank = static_cast<uint64_t>(exact_rank);
    if (static_cast<double>(rank) < exact_rank) ++rank;
    if (rank == 0) rank = 1;
    if (rank >= count_) return static_cast<double>(max_);
    uint64_t passed = 0;
    for (size_t i = 0; i < cells_.size(); ++i) {
      passed += cells_[i];
      if (passed >= rank) {
        double middle = static_cast<double>(lowest_in(i)) + static_cast<double>(width_of(i) - 1) / 2;
        return middle < static_cast<double>(max_) ? middle : static_cast<double>(max_);
      }
    }
    return static_cast<double>(max_);
  }

  // Cells 0 .. 2 * kCells - 1 hold one value each; from there on each power of two has kCells cells.
  static size_t index_of(uint64_t value) {
    if (value < 2 * kCells) return static_cast<size_t>(value);
    unsigned shift = 63u - static_cast<unsigned>(__builtin_clzll(value)) - kBits;
    return static_cast<size_t>((uint64_t{shift} << kBits) + (value >> shift));
  }
  static uint64_t lowest_in(size_t index) {
    if (index < 2 * kCells) return index;
    uint64_t shift = (index >> kBits) - 1;
    return (index - (shift << kBits)) << shift;
  }
  static uint64_t width_of(size_t index) { return index < 2 * kCells ? 1 : uint64_t{1} << ((index >> kBits) - 1); }

 private:
  std::array<uint64_t, ((64 - kBits) + 1) << kBits> cells_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace rcbench

#endif  // HARNESS_BENCH_HISTOGRAM_H_
