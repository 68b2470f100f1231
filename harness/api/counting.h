// Counts what a section of a program asks of the heap and of the kernel's memory, in a process of its own.
#ifndef HARNESS_API_COUNTING_H_
#define HARNESS_API_COUNTING_H_

#include <gtest/gtest.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <functional>
#include <string>

#include "rc.h"

namespace counting {

inline constexpr size_t kRing = 8192;
inline constexpr int64_t kPatience = INT64_C(20) * 1000 * 1000 * 1000;

// What a child tells the test.
struct Count {
  bool trapped;  // the kernel let us trap
  bool counted;  // the section was reached and left
  unsigned heap;
  unsigned system;
  char wrong[300];  // the first call that did not return what it should
};

// What is done while it lives is counted. From then on, and for good, this process is not given memory by the kernel.
class Section {
 public:
  explicit Section(Count* count);
  ~Section();

 private:
  Count* count_;
};

void want(Count* count, int32_t code, int32_t got, const char* call);
#define WANT_RC(code, call) ::counting::want(count, code, call, #call)

// Runs in a process of its own; what it writes into its Count is seen here.
class Children {
 public:
  Children();
  ~Children();
  void run(const std::function<void(Count*)>& body);
  // Waits for all; the n-th child's count.
  const Count& count(int n);

 private:
  Count* counts_;
  pid_t children_[2] = {0, 0};
  int started_ = 0;
};

std::string random_uri(const char* scheme);
rc_channel_config channel_config();  // a ring of kRing
// Both ends in one context.
void connect_both(rc_ctx ctx, rc_channel* near, rc_channel* far, Count* count, const char* scheme = "loop");

void expect_none(const Count& count);

#define SKIP_WITHOUT_SECCOMP(count) \
  if ((count).counted && !(count).trapped) GTEST_SKIP() << "this machine does not let a process trap its system calls"

}  // namespace counting

#endif  // HARNESS_API_COUNTING_H_
