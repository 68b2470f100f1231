// The part of a scene that is about memory: regions, grants of them, and operations on what the other end has granted.
#ifndef HARNESS_FAILPOINT_SCENE_REGIONS_H_
#define HARNESS_FAILPOINT_SCENE_REGIONS_H_

#include <stdint.h>

#include <functional>
#include <string>
#include <utility>

#include "capi/rc.h"

namespace failpoint {

// The regions of one end. While one end plays own, the other plays use.
class Regions {
 public:
  static constexpr uint64_t kBytes = 4096;
  static constexpr uint32_t kOfOneEnd = 2;     // regions that it makes
  static constexpr uint32_t kForTheOther = 1;  // and at most so many that the other one asks for
  using Step = std::function<bool(const char* function, int32_t code)>;
  using Complain = std::function<void(const std::string& what)>;

  Regions(int64_t timeout_ns, Step step, Complain complain)
      : timeout_ns_(timeout_ns), step_(std::move(step)), complain_(std::move(complain)) {}

  bool make(rc_ctx ctx, rc_channel channel);
  bool own();
  bool use();
  // Whatever came before: once the channel is closed, nothing keeps a region.
  void free();

 private:
  bool give(rc_grant grants[2]);
  bool take(rc_remote remotes[2]);
  bool move(rc_remote remote);
  bool change(rc_remote remote);
  bool end(rc_remote remotes[2]);
  bool borrow();
  bool finish(rc_request request, uint64_t value = 0);
  bool notice();
  bool await_notice();
  void expect(uint64_t from, uint64_t n, uint8_t value, const char* what);

  int64_t timeout_ns_;
  Step step_;
  Complain complain_;
  rc_channel channel_{0};
  rc_mr mr_{0}, registered_{0};
  uint8_t* at_ = nullptr;  // of mr_
  alignas(4096) uint8_t own_memory_[kBytes];
};

}  // namespace failpoint

#endif  // HARNESS_FAILPOINT_SCENE_REGIONS_H_
