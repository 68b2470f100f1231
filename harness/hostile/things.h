// What a process holds that a peer could make it hold more of.
#ifndef HARNESS_HOSTILE_THINGS_H_
#define HARNESS_HOSTILE_THINGS_H_

#include <ostream>
#include <string>

namespace hostile {

struct Things {
  int descriptors = 0;
  int memory_files = 0;  // mapped
  std::string listing;   // for a failure's message
  bool operator==(const Things& o) const { return descriptors == o.descriptors && memory_files == o.memory_files; }
};
Things things_now();
std::ostream& operator<<(std::ostream& out, const Things& things);

}  // namespace hostile

#endif  // HARNESS_HOSTILE_THINGS_H_
