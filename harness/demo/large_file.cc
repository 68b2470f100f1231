#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <deque>

#include "harness/demo/parts.h"

namespace demo {
namespace {

constexpr auto kSearchTime = std::chrono::seconds(1);

}  // namespace

std::string find_large_file(int64_t most) {
  auto end = std::chrono::steady_clock::now() + kSearchTime;
  std::string best;
  off_t best_size = 0;
  std::deque<std::string> folders = {"/usr"};
  // A slow machine may need all of that for the first folder: any file is better than none.
  while (!folders.empty() && (best.empty() || std::chrono::steady_clock::now() < end)) {
    std::string folder = folders.front();
    folders.pop_front();
    DIR* entries = opendir(folder.c_str());
    if (entries == nullptr) continue;
    while (dirent* entry = readdir(entries)) {
      std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      std::string path = folder + "/" + name;
      struct stat s;
      if (lstat(path.c_str(), &s) != 0) continue;
      if (S_ISDIR(s.st_mode)) folders.push_back(path);
      if (!S_ISREG(s.st_mode) || s.st_size > most || s.st_size <= best_size || access(path.c_str(), R_OK) != 0)
        continue;
      best = path;
      best_size = s.st_size;
    }
    closedir(entries);
  }
  return best;
}

}  // namespace demo
