// The report in its four forms: tables for people, the acceptance lines, JSON, a picture.
#ifndef HARNESS_BENCH_REPORT_H_
#define HARNESS_BENCH_REPORT_H_

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

#include "harness/bench/plan.h"

namespace rcbench {

// Names that the report looks for among the rows.
inline constexpr const char kOurs[] = "shm";
inline constexpr const char kOursTcp[] = "tcp";
inline constexpr const char kOursRdma[] = "rdma";
inline constexpr const char kBatchSuffix[] = ", rc_get_some";
inline constexpr const char kInPlaceSuffix[] = ", in place";
inline constexpr const char kEventSuffix[] = ", event mode";
inline constexpr const char kOursBatch[] = "shm, rc_get_some";
inline constexpr const char kBoost[] = "boost::spsc_queue";
inline constexpr const char kBoostBatch[] = "boost::spsc_queue, batch pop";
inline constexpr const char kFlag[] = "flag pingpong";
inline constexpr const char kFlagMemcpy[] = "flag+memcpy pingpong";
inline constexpr const char kHandOver[] = "hand-over";
inline constexpr const char kMemcpy[] = "memcpy";
inline constexpr const char kFutex[] = "futex wake";
inline constexpr const char kSocket[] = "socket wake";
inline constexpr const char kBareTcp[] = "bare TCP";
inline constexpr const char kBareMemory[] = "bare loads and stores";
inline constexpr const char kWriteLat[] = "ib_write_lat";
inline constexpr const char kSendLat[] = "ib_send_lat";
inline constexpr const char kSendLatEvents[] = "ib_send_lat -e";
inline constexpr const char kWriteBw[] = "ib_write_bw";
inline constexpr const char kReadLat[] = "ib_read_lat";
inline constexpr const char kAtomicLat[] = "ib_atomic_lat";
inline constexpr const char kDirectSuffix[] = ", direct grant";

// What was measured on.
struct Machine {
  std::string cpu, kernel, placement, clock;
  size_t ring_bytes = 0;
  std::string wait;
  uint32_t ringchan_version = 0;
  bool one_core = false;
  double interruptions_per_s = 0;  // how often others took a processor away while we measured

  // Measured with compilers running beside it: 100 to 700.
  bool quiet() const { return interruptions_per_s < 20; }
};

// Sums up over all cases what the processes told.
double interruptions_per_s(const std::vector<Case>& cases);

std::string tables_of(const std::vector<Row>& rows);

// One demand on the figures, and what was measured.
struct Demand {
  std::string text;
  bool at_most;  // else at least
  double bound;
  std::optional<double> measured;  // none: not part of this run

  bool reached() const { return measured && (at_most ? *measured <= bound : *measured >= bound); }
};

std::vector<Demand> demands_of(const std::vector<Row>& rows);
std::string acceptance_of(const std::vector<Demand>& demands);

// The same streams with readers that take many messages at once, ours of boost's. Empty if not measured.
std::string batch_note_of(const std::vector<Row>& rows);

std::string json_of(const std::vector<Row>& rows, const Machine& machine);

// Lets gnuplot draw latency and bandwidth by size into a PNG file. False: `why` tells.
bool plot(const std::vector<Row>& rows, const std::string& path, std::string* why);

}  // namespace rcbench

#endif  // HARNESS_BENCH_REPORT_H_
