// The parts of the demo, over a backend: "shm", "tcp" or "rdma". Each prints what it does and returns whether all went
// well.
#ifndef HARNESS_DEMO_PARTS_H_
#define HARNESS_DEMO_PARTS_H_

#include <stdint.h>

#include <string>

namespace demo {

// Two processes, five bytes.
bool exchange(const std::string& backend);

// Two processes, a file, its checksum at both ends.
bool transfer(const std::string& backend, const std::string& path);

// Round trips and bandwidth beside what the machine allows.
bool table(const std::string& backend);

// A C program built by cc against the archive, and a server in C++.
bool plain_c(const std::string& backend, const std::string& program);

// A file of this machine of at most so many bytes, the largest found within a second; "" if there is none.
std::string find_large_file(int64_t most);

}  // namespace demo

#endif  // HARNESS_DEMO_PARTS_H_
