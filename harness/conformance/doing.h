// A call in a thread of its own, for calls that are meant to block.
#ifndef HARNESS_CONFORMANCE_DOING_H_
#define HARNESS_CONFORMANCE_DOING_H_

#include <gtest/gtest.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <future>
#include <string>
#include <thread>

namespace conformance {

struct Outcome {
  int32_t code;
  std::string reason;  // if it failed
};

class Doing {
 public:
  explicit Doing(std::function<int32_t()> call);
  ~Doing();
  Doing(const Doing&) = delete;
  Doing& operator=(const Doing&) = delete;

  // Until the thread sleeps or spins inside the call.
  void wait_until_inside();
  bool finished();
  // Waits for the end of the call.
  Outcome outcome();

 private:
  std::atomic<pid_t> tid_{0};
  std::future<Outcome> future_;
  std::thread thread_;
};

testing::AssertionResult ended_with(const char* code_text, const char* doing_text, int32_t code,
                                    const Outcome& outcome);

}  // namespace conformance

#define EXPECT_DONE(code, doing) EXPECT_PRED_FORMAT2(::conformance::ended_with, code, (doing).outcome())

#endif  // HARNESS_CONFORMANCE_DOING_H_
