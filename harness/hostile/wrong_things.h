// Descriptors of every kind that is not the one that is wanted.
#ifndef HARNESS_HOSTILE_WRONG_THINGS_H_
#define HARNESS_HOSTILE_WRONG_THINGS_H_

#include <string>
#include <vector>

#include "harness/hostile/raw_peer.h"

namespace hostile {

struct Thing {
  std::string name;
  Fd fd;
};

// Neither a doorbell socket nor a memory file.
std::vector<Thing> wrong_things();
// Sockets of the kind of a doorbell, in states that none should be in.
std::vector<Thing> odd_bells(const std::string& listener_name);

// A memory file with something wrong about it.
struct BadFile {
  std::string name;
  FileKind kind;
};
std::vector<BadFile> bad_files(uint64_t ring_bytes);

// Something to happen between two checks of the honest end: runs once, before the next F_GET_SEALS of this process.
void before_the_next_seal_check(void (*hook)(int fd), int fd);

}  // namespace hostile

#endif  // HARNESS_HOSTILE_WRONG_THINGS_H_
