// Running another program and reading what it prints.
#ifndef HARNESS_BENCH_PROGRAM_H_
#define HARNESS_BENCH_PROGRAM_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace rcbench {

class Program {
 public:
  // Starts it, found by PATH; pinned to a processor unless cpu < 0; extra environment as NAME=VALUE. It dies with this
  // process. Its standard output is read, its standard error dropped.
  Program(const std::vector<std::string>& argv, int cpu = -1, const std::vector<std::string>& environment = {});
  ~Program();  // ends it
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Waits until it has ended. False: it could not be started, or was not done by then (and has been ended), or ended
  // with another status than 0; `why` tells.
  bool finish(int deadline_s);

  const std::string& output() const { return output_; }
  const std::string& why() const { return why_; }

 private:
  void end();

  std::string name_, output_, why_;
  pid_t pid_ = -1;
  int from_ = -1;
};

}  // namespace rcbench

#endif  // HARNESS_BENCH_PROGRAM_H_
