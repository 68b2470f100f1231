// A member of a mesh in a thread of its own: opens it, takes events until told to stop, sends back what others send.
#ifndef HARNESS_MESH_RUNNER_H_
#define HARNESS_MESH_RUNNER_H_

#include <stdint.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "capi/rc.h"

namespace meshes {

struct Place {
  std::string hosts;
  int64_t id = -1;  // -1: to be found
  std::string name = "mesh";
  std::string token;  // empty: none
  uint32_t members = 0;
  bool partial = true;
  int64_t timeout_ns = 0;  // of rc_mesh_open
  uint32_t wait = RC_WAIT_ADAPTIVE;
  uint32_t channels_max = 16;
  uint64_t ring_bytes = 0;      // of its channels; 0: the context's
  std::function<void()> first;  // what the member's thread does before anything else
};

class Runner {
 public:
  struct Event {
    int32_t code;  // of rc_mesh_event
    rc_member_event what;
    std::string reason;
    int64_t at_ns;  // when it was told
  };

  explicit Runner(const Place& place);
  ~Runner();  // leaves the mesh
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // What rc_mesh_open said; waits for it.
  int32_t opened();
  const std::string& reason() const { return reason_; }
  rc_ctx context() const { return ctx_; }
  rc_mesh mesh() {  // waits for it, too
    opened();
    return mesh_;
  }
  // Waits until `count` events of that kind have come from that member; false: not within 20 s. kind 0: a code.
  bool wait_for(uint32_t kind, uint32_t member, size_t count = 1);
  bool wait_for_code(int32_t code);
  // Waits for that code about that member; what was said then, empty if it did not come.
  std::string reason_of(int32_t code, uint32_t member);
  std::vector<Event> events();

 private:
  void run(Place place);
  template <class Match>
  bool wait_until(Match match, size_t count);

  rc_ctx ctx_ = {};
  rc_mesh mesh_ = {};
  std::mutex mutex_;
  std::condition_variable news_;
  bool open_done_ = false;
  int32_t open_code_ = RC_OK;
  std::string reason_;
  std::vector<Event> events_;
  std::thread thread_;
};

}  // namespace meshes

#endif  // HARNESS_MESH_RUNNER_H_
