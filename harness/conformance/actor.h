// Does the calls of a far end with the C ABI, wherever it lives.
#ifndef HARNESS_CONFORMANCE_ACTOR_H_
#define HARNESS_CONFORMANCE_ACTOR_H_

#include "capi/rc.h"
#include "harness/conformance/far.h"
#include "harness/conformance/memory_actor.h"
#include "harness/conformance/pattern.h"

namespace conformance {

class Actor {
 public:
  ~Actor();
  Reply act(const Call& call);
  void share(rc_ctx ctx);

 private:
  struct Slot {
    rc_channel channel{0};
    Pattern out{kFarToNear};
    Pattern in{kNearToFar};
    MemoryActor memory;
  };
  static constexpr uint32_t kSlots = 16;

  int32_t open(const Call& call);
  int32_t close();
  int32_t attach(const Call& call, Slot& slot);
  int32_t make_channel(const Call& call, Slot& slot);
  int32_t put(const Call& call, Slot& slot, Reply* reply);
  int32_t get(const Call& call, Slot& slot, Reply* reply);
  int32_t put_pieces(const Call& call, Slot& slot, Reply* reply);
  int32_t get_pieces(const Call& call, Slot& slot, Reply* reply);
  int32_t echo(const Call& call, Slot& slot, Reply* reply);
  int32_t send(const Call& call, Slot& slot, Reply* reply);
  int32_t recv(const Call& call, Slot& slot, Reply* reply);
  int32_t look(const Call& call, Slot& slot, Reply* reply);
  int32_t act_on(const Call& call, Slot& slot, Reply* reply);

  rc_ctx ctx_{0};
  bool shared_ = false;
  rc_listener listener_{0};
  Attached attached_;
  int peer_fd_ = -1;
  Slot slots_[kSlots];
};

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_ACTOR_H_
