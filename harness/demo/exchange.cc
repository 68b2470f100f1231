#include <stdio.h>
#include <unistd.h>

#include "harness/demo/parts.h"
#include "harness/demo/processes.h"

namespace demo {

bool exchange(const std::string& backend) {
  std::string uri = random_uri(backend, "stoc");
  printf("1. Five bytes from one process to another, %s\n", uri.c_str());
  return run_both(
      uri,
      [](rc_channel channel) {
        uint8_t bytes[5];
        must(rc_get(channel, bytes, sizeof bytes, kPatience, nullptr), "rc_get");
        printf("   server, process %d:\n", getpid());
        printf("Received [%d, %d, %d, %d, %d]\n", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]);
        for (int i = 0; i < 5; ++i) {
          if (bytes[i] != i + 1) throw std::runtime_error("these are not the bytes that were sent");
        }
      },
      [](rc_channel channel) {
        const uint8_t bytes[5] = {1, 2, 3, 4, 5};
        printf("   client, process %d, puts 1 2 3 4 5\n", getpid());
        fflush(stdout);
        must(rc_put(channel, bytes, sizeof bytes, kPatience, nullptr), "rc_put");
      });
}

}  // namespace demo
