// What the two ends of a channel do with each other until one of them dies.
#ifndef HARNESS_KILL_SCRIPT_H_
#define HARNESS_KILL_SCRIPT_H_

#include <stdint.h>

#include <atomic>
#include <string>
#include <vector>

#include "capi/rc.h"

namespace killing {

// Named by what the victim does.
enum class Script {
  kPuts,
  kGets,
  kPingPongAsleep,
  kPingPongSpinning,
  kInPlace,
  kBatches,
  kMessages,
  kDescriptor,
  kOperations
};
const std::vector<Script>& all_scripts();
const char* script_name(Script script);
uint32_t script_wait(Script script);  // RC_WAIT_*

inline constexpr uint64_t kRingBytes = 16384;
inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kRegionBytes = 2 * kPage;  // Script::kOperations: one page to grant, one to write from

// How far one end has come; bytes, or messages with Script::kMessages, or immediates with Script::kOperations.
struct Progress {
  std::atomic<uint64_t> put_tried;  // asked to be put
  std::atomic<uint64_t> put_done;   // said to have been put
  std::atomic<uint64_t> got;        // got and found right
  std::atomic<uint64_t> timeouts;   // calls that ended by their deadline
};

// Something that must not be: wrong content. No code of rc.h is positive.
inline constexpr int32_t kWrong = 1;

class End {
 public:
  // slice_ns: the deadline of each call; a call that ends by it is repeated for kPatienceNs.
  End(rc_channel channel, uint64_t run, bool victim, Progress* progress, int64_t slice_ns);

  // For Script::kOperations: its region, and whether grants are direct every other time.
  void lend(rc_mr mr, bool direct);

  // Runs this end of the script; the victim's for so many rounds, the survivor's until a call fails. RC_OK: all rounds
  // done.
  int32_t run(Script script, uint32_t rounds);

  int64_t call_ns() const { return call_ns_; }      // when the last call began
  int64_t return_ns() const { return return_ns_; }  // and when it returned
  const std::string& wrong() const { return wrong_; }

 private:
  template <class F>
  int32_t call(const char* name, F f);
  int32_t check(const void* data, size_t n, uint64_t seed, uint64_t position);

  int32_t put(size_t n);
  int32_t get(size_t n);
  int32_t get_some();
  int32_t put_in_place(size_t n);
  int32_t get_in_place(size_t n);
  int32_t batch(uint32_t round);
  int32_t send(size_t n, uint32_t round);
  int32_t recv(uint32_t round);
  int32_t put_by_descriptor(size_t n);
  int32_t get_by_descriptor(size_t n);
  int32_t wait_descriptor();
  int32_t own(uint32_t round);
  int32_t use(uint32_t round);
  int32_t write_and_read(rc_remote remote);
  int32_t borrow();
  int32_t finish(rc_request request, uint64_t expected);
  template <class Put, class Get>
  int32_t there_and_back(Put put, Get get);

  rc_channel channel_;
  bool victim_;
  Progress* progress_;
  uint64_t out_seed_, in_seed_;
  int64_t slice_ns_;
  rc_mr mr_ = {};
  uint8_t* region_ = nullptr;
  bool direct_ = false;
  int64_t call_ns_ = 0, return_ns_ = 0;
  std::string wrong_;
};

}  // namespace killing

#endif  // HARNESS_KILL_SCRIPT_H_
