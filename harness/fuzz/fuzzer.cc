// One libFuzzer program per target: RC_FUZZ_TARGET names it. With --write-seeds=DIR it only writes the built-in corpus
// there.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>

#include "harness/fuzz/targets.h"

#define NAME_OF(target) #target
#define NAME(target) NAME_OF(target)

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr const char kOption[] = "--write-seeds=";
  for (int i = 1; i < *argc; ++i) {
    if (strncmp((*argv)[i], kOption, strlen(kOption)) != 0) continue;
    int number = 0;
    for (const fuzz::Target& target : fuzz::targets()) {
      if (strcmp(target.name, NAME(RC_FUZZ_TARGET)) != 0) continue;
      for (const fuzz::Input& seed : target.seeds) {
        std::string path = std::string((*argv)[i] + strlen(kOption)) + "/seed" + std::to_string(number++);
        FILE* file = fopen(path.c_str(), "wb");
        if (file == nullptr || fwrite(seed.data(), 1, seed.size(), file) != seed.size() || fclose(file) != 0) {
          perror(path.c_str());
          exit(1);
        }
      }
    }
    exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  fuzz::RC_FUZZ_TARGET(data, bytes);
  return 0;
}
