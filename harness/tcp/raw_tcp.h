// An end that speaks the protocol of tcp by hand, so that a test can do it wrong, and an honest end opposite. It uses
// the layout of the headers and none of the library's code.
#ifndef HARNESS_TCP_RAW_TCP_H_
#define HARNESS_TCP_RAW_TCP_H_

#include <gtest/gtest.h>
#include <stdint.h>

#include <string>
#include <utility>

#include "backends/tcp/frame.h"
#include "capi/rc.h"
#include "core/hello.h"
#include "core/wire.h"

namespace raw_tcp {

inline constexpr int64_t kMs = INT64_C(1000) * 1000;
inline constexpr int64_t kPatience = 20'000 * kMs;
inline constexpr int64_t kShort = 20 * kMs;
inline constexpr uint64_t kRing = 4096;
inline constexpr uint32_t kRequests = 8;

inline constexpr uint64_t kTail = 8;
inline constexpr uint64_t kCredit = 128;
inline constexpr uint64_t kGetter = 256;

testing::AssertionResult returned(const char* expected_text, const char* call_text, int32_t expected, int32_t got);
#define EXPECT_RC(code, call) EXPECT_PRED_FORMAT2(::raw_tcp::returned, code, call)
#define ASSERT_RC(code, call) ASSERT_PRED_FORMAT2(::raw_tcp::returned, code, call)

// A socket that closes itself. Its receives give up after kPatience.
class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }
  static Socket connect_to(uint16_t port);
  static Socket listen_at(uint16_t* port);
  Socket accept() const;
  int fd() const { return fd_; }
  void close();
  void reset();  // closes so that the peer gets a reset

  bool send(const void* data, size_t bytes) const;
  bool receive(void* data, size_t bytes) const;  // all of it
  bool hung_up() const;                          // waits for the end of the stream, or a reset

  bool send(const rc::Frame& frame) const { return send(&frame, sizeof frame); }
  bool write(uint64_t offset, const void* data, uint32_t bytes) const;
  bool write_word(uint64_t offset, uint64_t word) const { return write(offset, &word, sizeof word); }

 private:
  int fd_;
};

rc::Hello say(rc::Hello::Kind kind, uint64_t ring_bytes = kRing);

// An honest listener on a port of its own.
class Honest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  // A raw client and the honest end's channel opposite.
  Socket meet(rc_channel* channel);
  // The listener answers this opening with a refusal of that code, and serves an honest client afterwards.
  void expect_refused(const void* opening, size_t bytes, int32_t code);
  void expect_serves();

  uint32_t mr_bytes_ = 0;  // not 0: channels have operations, if the client wants them, ...
  uint32_t op_ring_ = 0;   // ... and so large an op ring
  rc_ctx ctx_ = {0};
  rc_listener listener_ = {0};
  std::string uri_;
  uint16_t port_ = 0;
};

}  // namespace raw_tcp

#endif  // HARNESS_TCP_RAW_TCP_H_
