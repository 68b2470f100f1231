// What a far end does with memory: its regions, what it grants and what it was granted.
#ifndef HARNESS_CONFORMANCE_MEMORY_ACTOR_H_
#define HARNESS_CONFORMANCE_MEMORY_ACTOR_H_

#include "capi/rc.h"
#include "harness/conformance/far.h"

namespace conformance {

inline constexpr uint64_t kPoolBytes = uint64_t{4} << 20;
inline constexpr uint64_t kPeerBytes = 8192;
inline constexpr uint64_t kPeerTotal = 16384;

// Gives a context regions; a peer may ask for some, to read and write.
inline void add_regions(rc_config* config) {
  config->mr_bytes = kPoolBytes;
  config->peer_mr_bytes = kPeerBytes;
  config->peer_mr_total = kPeerTotal;
  config->peer_rights = RC_MR_READ | RC_MR_WRITE;
}

class MemoryActor {
 public:
  int32_t act(rc_ctx ctx, rc_channel channel, const Call& call, Reply* reply);

 private:
  static constexpr uint32_t kItems = 8;
  uint8_t* bytes(uint32_t item, uint64_t* n = nullptr);
  int32_t alloc(rc_ctx ctx, const Call& call);
  int32_t count(const Call& call, Reply* reply);
  int32_t grant(rc_channel channel, const Call& call, Reply* reply);
  int32_t operate(rc_channel channel, const Call& call, Reply* reply);
  int32_t add_own(rc_channel channel, const Call& call);
  static int32_t serve(rc_channel channel, const Call& call);
  int32_t notices(rc_channel channel, const Call& call, Reply* reply);

  rc_mr mrs_[kItems] = {};
  rc_grant grants_[kItems] = {};
  rc_remote remotes_[kItems] = {};
};

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_MEMORY_ACTOR_H_
