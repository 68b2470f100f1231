// harness/run demo [FILE]: what ringchan does, seen from outside.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <exception>
#include <functional>

#include "harness/demo/parts.h"

namespace {

constexpr const char* kHelp =
    R"(usage: demo [--backend shm|tcp|rdma] [FILE]

Shows ringchan at work between two processes, over shared memory, TCP or RDMA:
  1. five bytes
  2. FILE, with its checksum compared at the other end; without FILE, a large file of this machine
  3. round-trip time and bandwidth, beside what the machine allows, measured in the same run
  4. a client in plain C, built by cc against the archive, and a server in C++
The exit status is 0 if everything arrived unchanged.
)";

bool part(const std::function<bool()>& run) {
  bool good = false;
  try {
    good = run();
  } catch (const std::exception& error) {
    fprintf(stderr, "   %s\n", error.what());
  }
  printf("%s\n", good ? "" : "   FAILED\n");
  fflush(stdout);
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  std::string file, backend = "shm";
  for (int i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      fputs(kHelp, stdout);
      return 0;
    }
    if (strcmp(argv[i], "--backend") == 0 && i + 1 < argc) {
      backend = argv[++i];
      continue;
    }
    if (argv[i][0] == '-' || !file.empty()) {
      fprintf(stderr, "demo: what is \"%s\"? See demo --help\n", argv[i]);
      return 2;
    }
    file = argv[i];
  }
  if (backend != "shm" && backend != "tcp" && backend != "rdma") {
    fprintf(stderr, "demo: there is no backend \"%s\" here; it is shm, tcp or rdma\n", backend.c_str());
    return 2;
  }
  if (!file.empty() && access(file.c_str(), R_OK) != 0) {
    perror(("demo: " + file).c_str());
    return 2;
  }
  int failed = 0;
  failed += part([&] { return demo::exchange(backend); }) ? 0 : 1;
  failed += part([&] { return demo::transfer(backend, file); }) ? 0 : 1;
  failed += part([&] { return demo::table(backend); }) ? 0 : 1;
  failed += part([&] { return demo::plain_c(backend, argv[0]); }) ? 0 : 1;
  if (failed == 0) {
    printf("All four parts went well.\n");
  } else {
    printf("%d of 4 parts FAILED.\n", failed);
  }
  return failed == 0 ? 0 : 1;
}
