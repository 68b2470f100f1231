// One direction of one channel under load: what its putter and its getter do until they are told to stop.
#ifndef HARNESS_SOAK_LOAD_H_
#define HARNESS_SOAK_LOAD_H_

#include <stdint.h>

#include <atomic>
#include <string>

#include "capi/rc.h"

namespace soak {

inline constexpr int kChannelsMax = 64;

// One direction. Each counter has one writer.
struct alignas(128) Lane {
  std::atomic<uint64_t> put;               // bytes, or bytes of messages
  std::atomic<uint64_t> messages;          // sent
  std::atomic<bool> finished;              // the putter has stopped: `put` and `messages` are final
  alignas(128) std::atomic<uint64_t> got;  // got and found right
  std::atomic<uint64_t> received;
  std::atomic<bool> drained;  // the getter has got all of it
};

// What both processes see of each other's work.
struct Board {
  std::atomic<bool> stop;   // putters come to an end
  std::atomic<bool> wrong;  // somebody found something wrong: everybody leaves
  std::atomic<int> ended;   // ends that have closed their channels
  struct {
    uint64_t waits, sleeps, rings;  // of all channels
  } counters[2];
  char problem[400];            // the first one
  Lane lanes[kChannelsMax][2];  // by channel and sending end

  // Notes the first problem.
  void complain(const std::string& what);
};

struct Load {
  rc_channel channel;
  bool messages;  // else bytes
  uint64_t seed;
  uint64_t largest;  // most bytes of one piece; some exceed the ring
  Lane* lane;
  Board* board;
};

// Each returns when the direction is done or something is wrong.
void put_all(const Load& load);
void get_all(const Load& load);

}  // namespace soak

#endif  // HARNESS_SOAK_LOAD_H_
