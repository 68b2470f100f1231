#include "harness/demo/progress.h"

#include <stdio.h>
#include <unistd.h>

namespace demo {
namespace {

constexpr int kCells = 40;
constexpr auto kRedraw = std::chrono::milliseconds(50);

double per_second(uint64_t bytes, double seconds) {
  return seconds > 0 ? static_cast<double>(bytes) / seconds / 1e9 : 0;
}

}  // namespace

Progress::Progress(uint64_t all)
    : all_(all), terminal_(isatty(STDOUT_FILENO) != 0), start_(std::chrono::steady_clock::now()), drawn_(start_) {}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Progress::draw(uint64_t done) const {
  double part = all_ == 0 ? 1 : static_cast<double>(done) / static_cast<double>(all_);
  int full = static_cast<int>(part * kCells);
  char bar[kCells + 1];
  for (int i = 0; i < kCells; ++i) bar[i] = i < full ? '#' : '.';
  bar[kCells] = '\0';
  printf("\r   [%s] %3d %%  %s  %.2f GB/s ", bar, static_cast<int>(part * 100), size_text(done).c_str(),
         per_second(done, seconds()));
  fflush(stdout);
}

void Progress::show(uint64_t done) {
  if (terminal_) {
    auto now = std::chrono::steady_clock::now();
    if (now - drawn_ < kRedraw) return;
    drawn_ = now;
    draw(done);
    return;
  }
  while (quarter_ < 4 && done >= all_ / 4 * quarter_ && all_ >= 4) {
    printf("   %3d %%  %s\n", static_cast<int>(25 * quarter_), size_text(all_ / 4 * quarter_).c_str());
    ++quarter_;
  }
}

void Progress::finish() {
  if (terminal_) {
    draw(all_);
    printf("\n");
  } else {
    printf("   100 %%  %s in %.2f s, %.2f GB/s\n", size_text(all_).c_str(), seconds(), per_second(all_, seconds()));
  }
  fflush(stdout);
}

std::string size_text(uint64_t bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < sizeof units / sizeof units[0]; ++unit) value /= 1024;
  char text[40];
  snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

std::string with_commas(uint64_t n) {
  std::string text = std::to_string(n);
  for (size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

}  // namespace demo
