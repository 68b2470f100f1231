// How far something is: a bar on a terminal, a line at every quarter elsewhere.
#ifndef HARNESS_DEMO_PROGRESS_H_
#define HARNESS_DEMO_PROGRESS_H_

#include <stdint.h>

#include <chrono>
#include <string>

namespace demo {

class Progress {
 public:
  explicit Progress(uint64_t all);
  void show(uint64_t done);
  void finish();
  double seconds() const;

 private:
  void draw(uint64_t done) const;

  uint64_t all_;
  bool terminal_;
  uint64_t quarter_ = 1;  // the next to tell of
  std::chrono::steady_clock::time_point start_, drawn_;
};

// "113.4 MiB", "17 B".
std::string size_text(uint64_t bytes);
// "118,888,888".
std::string with_commas(uint64_t n);

}  // namespace demo

#endif  // HARNESS_DEMO_PROGRESS_H_
