#include "harness/fuzz/targets.h"

namespace fuzz {

const std::vector<Target>& targets() {
  static const std::vector<Target> all = {
      {"hello", hello, hello_seeds()},
      {"uri", uri, uri_seeds()},
      {"lists", lists, lists_seeds()},
      {"ring", ring, ring_seeds()},
      {"channel", channel, channel_seeds()},
      {"tcp_frames", tcp_frames, tcp_frames_seeds()},
      {"tcp_hello", tcp_hello, tcp_hello_seeds()},
      {"hosts", hosts, hosts_seeds()},
      {"mesh_identity", mesh_identity, mesh_identity_seeds()},
      {"op_frames", op_frames, op_frames_seeds()},
  };
  return all;
}

void check_reason(const char* reason) {
  PROMISE(reason[0] != '\0');
  for (const char* c = reason; *c != '\0'; ++c) PROMISE(static_cast<unsigned char>(*c) >= ' ' && *c != 0x7f);
}

}  // namespace fuzz
