#include "harness/hostile/things.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

namespace hostile {

Things things_now() {
  Things things;
  DIR* dir = opendir("/proc/self/fd");
  while (dirent* e = readdir(dir)) {
    if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(dir)) continue;
    char target[256] = "";
    ssize_t ignored = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
    static_cast<void>(ignored);
    things.listing += std::string("  fd ") + e->d_name + " " + target + "\n";
    ++things.descriptors;
  }
  closedir(dir);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:") == std::string::npos) continue;
    things.listing += "  map " + line + "\n";
    ++things.memory_files;
  }
  return things;
}

std::ostream& operator<<(std::ostream& out, const Things& things) {
  return out << things.descriptors << " descriptors, " << things.memory_files << " mapped memory files:\n"
             << things.listing;
}

}  // namespace hostile
