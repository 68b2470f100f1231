// The honest end of every attack: the library itself, through rc.h, in the test's process; and what must hold after
// each attack whatever came of it.
#ifndef HARNESS_HOSTILE_HONEST_H_
#define HARNESS_HOSTILE_HONEST_H_

#include <gtest/gtest.h>
#include <stdint.h>
#include <sys/types.h>

#include <functional>
#include <future>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "capi/rc.h"
#include "harness/hostile/raw_peer.h"
#include "harness/hostile/things.h"

namespace hostile {

inline constexpr int64_t kMs = INT64_C(1000) * 1000;
inline constexpr int64_t kPatience = kPatienceMs * kMs;
// A deadline that is meant to pass, and by when at the latest a call with it must be back: far more than it takes on a
// loaded machine under a sanitizer.
inline constexpr int64_t kShort = 20 * kMs;
inline constexpr int64_t kBound = 5000 * kMs;
inline constexpr uint64_t kRing = 4096;
inline constexpr uint64_t kRingMax = 65536;

// A channel that closes itself.
class Channel {
 public:
  Channel() = default;
  explicit Channel(rc_channel ch) : ch_(ch) {}
  Channel(Channel&& other) noexcept : ch_(std::exchange(other.ch_, rc_channel{0})) {}
  Channel& operator=(Channel&& other) noexcept {
    close();
    ch_ = std::exchange(other.ch_, rc_channel{0});
    return *this;
  }
  ~Channel() { close(); }
  void close();
  bool open() const { return ch_.id != 0; }
  operator rc_channel() const { return ch_; }  // NOLINT: it is one

 private:
  rc_channel ch_ = {0};
};

// How a call ended, with the reason that its thread was given.
struct Outcome {
  int32_t code = RC_OK;
  std::string reason;
  Channel channel;
};

testing::AssertionResult returned(const char* expected_text, const char* call_text, int32_t expected, int32_t got);
// EXPECT_RC(RC_E_CORRUPT, rc_get(...))
#define EXPECT_RC(code, call) EXPECT_PRED_FORMAT2(::hostile::returned, code, call)
#define ASSERT_RC(code, call) ASSERT_PRED_FORMAT2(::hostile::returned, code, call)

// Makes the call and fails the test if it took longer than kBound.
int32_t in_time(const char* what, const std::function<int32_t()>& call);
#define IN_TIME(call) ::hostile::in_time(#call, [&]() { return call; })

// The honest end is open, with a listener, while the test runs; afterwards its listener must serve an honest client,
// and every descriptor and mapping that the attack cost must be given back. A test that hangs is killed and says so.
class Attack : public testing::Test {
 protected:
  void SetUp() override { open_honest(nullptr); }
  void TearDown() override;
  // With another listener config than the default.
  void open_honest(const rc_channel_config* config, uint64_t ring_max = kRingMax);
  void close_honest();
  // For a test whose raw sides have been left open by intent; TearDown does it too.
  void expect_unharmed();

  // One turn of the listener: whatever it can do without waiting.
  Outcome serve();
  // A faultless raw client up to its ask and the listener's answer to it.
  bool begin(RawClient& client);
  // The listener turned the client down: this code and this word in its text, then the end of the connection.
  void expect_refused(RawClient& client, int32_t code, const std::string& word);
  // The whole handshake of a raw client.
  bool let_in(RawClient& client, Channel* channel);
  // rc_connect in a thread of its own.
  std::future<Outcome> connect_to(const std::string& name, int64_t timeout_ns = kPatience,
                                  rc_channel_config config = {});
  // The listener's name serves an honest client.
  void expect_serves();

  rc_ctx ctx_ = {0};
  rc_listener listener_ = {0};
  std::string name_;

 private:
  void settle();
  Things before_, open_;
};

// Bytes flow exactly, both ways.
void expect_exact(rc_channel channel, RawEnd& raw);

// An attack on an established channel: the honest end has accepted or has connected, and waits in one of three ways.
struct Role {
  bool honest_listens;
  uint32_t wait;
  bool fences;  // what the raw end says of itself; without it the honest end takes no straight path
};
std::string role_name(const testing::TestParamInfo<Role>& info);
std::ostream& operator<<(std::ostream& out, const Role& role);

class Duel : public Attack, public testing::WithParamInterface<Role> {
 protected:
  void SetUp() override;
  Channel honest_;
  RawEnd raw_;

  // This code from now on, whatever is called.
  void expect_over(int32_t code);
  void TearDown() override;
  // Ends this connection and makes another of the same kind.
  void meet_again();

 private:
  void meet();
};

#define INSTANTIATE_DUEL(Suite)                                                                                   \
  INSTANTIATE_TEST_SUITE_P(All, Suite,                                                                            \
                           testing::Values(Role{true, RC_WAIT_ADAPTIVE, true}, Role{false, RC_WAIT_SLEEP, true},  \
                                           Role{true, RC_WAIT_SPIN, true}, Role{false, RC_WAIT_ADAPTIVE, false}), \
                           role_name)

}  // namespace hostile

#endif  // HARNESS_HOSTILE_HONEST_H_
