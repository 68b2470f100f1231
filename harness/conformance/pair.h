// A channel whose near end the test drives itself, through rc.h, and whose far end does what it is told.
#ifndef HARNESS_CONFORMANCE_PAIR_H_
#define HARNESS_CONFORMANCE_PAIR_H_

#include <gtest/gtest.h>
#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "capi/rc.h"
#include "harness/conformance/backend.h"
#include "harness/conformance/doing.h"
#include "harness/conformance/expect.h"
#include "harness/conformance/far.h"
#include "harness/conformance/pattern.h"

namespace conformance {

// What a process holds of the system.
struct Holdings {
  int descriptors = 0;
  int memory_files = 0;  // mapped
};
Holdings holdings();

class Pair : public testing::TestWithParam<Backend> {
 protected:
  static constexpr size_t kCapacity = 1000;  // not a power of two, not a multiple of a line
  static constexpr size_t kHalf = kCapacity / 2;
  static constexpr uint64_t kRingMax = 64 * 1024;
  static constexpr uint32_t kChannels = 16;

  void SetUp() override;
  // Closes everything and checks that nothing is left behind.
  void TearDown() override;

  static const Backend& backend() { return GetParam(); }
  // The contexts have regions, so the channels have operations.
  virtual bool has_regions() const { return backend().regions; }
  Far& far(size_t i = 0);
  // One more far end without a context, and a context for it: its own, or a shared one if the backend wants that.
  std::unique_ptr<Far> hire();
  void open(Far& far, rc_ctx shared);
  // A channel config of the near end.
  static rc_channel_config near_config(uint64_t ring_bytes = 0);

  // Makes ch_. Both ends ask for rings of this size.
  void connect(uint64_t ring_bytes = kCapacity);
  // Closes both ends of ch_, in good order.
  void disconnect();
  // A connection beside ch_: the near end comes back, the far end is in that slot of that far.
  rc_channel connect_another(size_t which_far, uint32_t slot, uint64_t ring_bytes = kCapacity);

  // What a client of the far end is told that must not get through: the listener waits for another one, and is closed
  // then.
  Reply refused_client(rc_listener listener, const Call& connect);

  // What looks after a silent peer makes descriptors readable now and then: before connect(), puts that off for long.
  void look_rarely();

  // Until everything put so far is in the other end's memory and credit has come back. At once if the backend needs no
  // help.
  void settle();
  // Asks until it holds; helps things along on a backend that needs it. False: it never did.
  bool eventually(const std::function<bool()>& condition);

  // A call that must not block and is expected to succeed: made once, or, on a backend that executes late, until it no
  // longer would block.
  int32_t soon(const std::function<int32_t()>& call);
  // rc_sync until everything is delivered. If the target must help, it is made to.
  int32_t sync();
  // The timeout for a blocking call that has no reason to wait.
  static int64_t at_once() { return backend().lands_alone ? 0 : kPatience; }

  // Puts the next n bytes of the near pattern and expects success. A backend that executes late may need several tries.
  void put(size_t n);
  // Gets n bytes and compares them.
  void get(size_t n);
  // Puts `all` bytes and gets the far end's echo of them, by calls that do not block. When neither can go on, wait() is
  // called; false: in vain.
  void expect_echo(size_t all, const std::function<bool()>& wait);
  // So many bytes of the far pattern are right; moves on.
  testing::AssertionResult right(const Buffer& bytes, size_t n);
  // The far end has got everything, and the whole ring is free again.
  void expect_drained();
  // Fills the ring towards the far end so that `free` bytes are left.
  void fill(size_t free = 0);
  // What rc_ready says, as one number each.
  size_t readable();
  size_t writable();

  rc_ctx ctx_{0};
  rc_channel ch_{0};
  size_t other_end_ = 0;  // which far has the other end of ch_
  rc_listener listener_{0};
  std::string uri_;
  Pattern out_{kNearToFar};
  Pattern in_{kFarToNear};

 private:
  void listen_or_tell_far();
  rc_channel meet(size_t which_far, uint32_t slot, uint64_t ring_bytes);
  void attach(uint64_t ring_bytes);

  std::vector<std::unique_ptr<Far>> fars_;
  Holdings before_;
  Attached attached_;
  int peer_fd_ = -1;
  bool far_listens_ = false;
};

// The suites. A test that needs a URI, and so does not run on attached memory, is in one of the last two.
class Bytes : public Pair {
 protected:
  void SetUp() override {
    Pair::SetUp();
    connect();
  }
};
class Batch : public Bytes {};
class InPlace : public Bytes {};
class Messages : public Bytes {};
class Descriptor : public Bytes {};
class Whole : public Pair {
 protected:
  void SetUp() override {
    Pair::SetUp();
    look_rarely();
    connect();
  }
};
class Looking : public Bytes {};
class Ending : public Bytes {};
class Threads : public Bytes {};
class Handles : public Bytes {};
class Connecting : public Pair {};
class Listening : public Pair {};

inline std::vector<Backend> with_uris() {
  std::vector<Backend> all = backends(), some;
  for (const Backend& backend : all) {
    if (!backend.attached) some.push_back(backend);
  }
  return some;
}
inline std::vector<Backend> with_operations() {
  std::vector<Backend> all = with_uris(), some;
  for (const Backend& backend : all) {
    if (backend.has_operations) some.push_back(backend);
  }
  return some;
}
inline std::string name_of(const testing::TestParamInfo<Backend>& test) { return test.param.name; }

}  // namespace conformance

// Ends each file of a suite: its tests run on every backend of the program, or on every one that connects by URI.
#define RC_CONFORMANCE(suite) INSTANTIATE_TEST_SUITE_P(On, suite, testing::ValuesIn(backends()), name_of)
#define RC_CONFORMANCE_BY_URI(suite) INSTANTIATE_TEST_SUITE_P(On, suite, testing::ValuesIn(with_uris()), name_of)
#define RC_CONFORMANCE_OF_MEMORY(suite) \
  INSTANTIATE_TEST_SUITE_P(On, suite, testing::ValuesIn(with_operations()), name_of)

#endif  // HARNESS_CONFORMANCE_PAIR_H_
