// harness/run bench: ringchan over shm, tcp or rdma beside the limits of the machine and, on request, beside its peers.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <stdexcept>

#include "capi/rc.h"
#include "harness/bench/clock.h"
#include "harness/bench/direct_cases.h"
#include "harness/bench/limits.h"
#include "harness/bench/op_cases.h"
#include "harness/bench/peer_lanes.h"
#include "harness/bench/perftest.h"
#include "harness/bench/plan.h"
#include "harness/bench/report.h"
#include "harness/bench/ringchan_cases.h"

namespace rcbench {
namespace {

struct Options {
  std::string json, picture, wait = "spin", backend = kOurs;
  std::vector<std::string> only;
  bool peers = false, quick = false;
  size_t ring_bytes = size_t{4} << 20;
  int rounds = 0;
};

uint32_t wait_code(const std::string& name) { return name == "spin" ? RC_WAIT_SPIN : RC_WAIT_ADAPTIVE; }

Lane limit_lane(const char* name, Sample (*run)(const Placement&, const Job&), const Placement& placement) {
  return {Lane::Role::kLimit, name, [=, &placement](const Job& job) { return run(placement, job); }, 0, {}, "", false};
}

Lane our_lane(const std::string& backend, Test test, uint32_t wait, const Placement& placement) {
  auto run = [=, &placement](const Job& job) { return ringchan_sample(placement, backend, test, job, wait); };
  return {Lane::Role::kOurs, backend, run, 0, {}, "", false};
}

// The same stream, read in batches.
Lane our_batch_lane(const std::string& backend, uint32_t wait, const Placement& placement) {
  auto run = [=, &placement](const Job& job) { return ringchan_batch_sample(placement, backend, job, wait); };
  return {Lane::Role::kVariant, backend + kBatchSuffix, run, 0, {}, "", false};
}

// The same stream without a copy at either end.
Lane our_in_place_lane(const std::string& backend, uint32_t wait, const Placement& placement) {
  auto run = [=, &placement](const Job& job) { return ringchan_in_place_sample(placement, backend, job, wait); };
  return {Lane::Role::kVariant, backend + kInPlaceSuffix, run, 0, {}, "", false};
}

// The same stream, its two ends asleep while they wait.
Lane our_event_lane(const std::string& backend, const Placement& placement) {
  auto run = [=, &placement](const Job& job) {
    return ringchan_sample(placement, backend, Test::kStream, job, RC_WAIT_SLEEP);
  };
  return {Lane::Role::kVariant, backend + kEventSuffix, run, 0, {}, "", false};
}

// Operations on directly granted memory, and the same without us.
void add_direct_cases(std::vector<Case>* cases, const Placement& placement) {
  struct {
    const char* name;
    size_t bytes;
    Reach reach;
  } round_trips[] = {
      {"direct write", 64, Reach::kWrite}, {"direct read", 64, Reach::kRead}, {"direct swap", 8, Reach::kSwap}};
  for (const auto& r : round_trips) {
    auto lane = [&](Lane::Role role, const char* name, auto run) {
      Reach reach = r.reach;
      return Lane{role, name, [=, &placement](const Job& job) { return run(placement, reach, job); }, 0, {}, "", false};
    };
    cases->push_back(
        {r.name,
         r.bytes,
         pingpong_metrics(),
         {lane(Lane::Role::kLimit, kBareMemory, bare_pingpong), lane(Lane::Role::kOurs, kOurs, direct_pingpong)}});
  }
  auto ours = [&placement](const Job& job) { return direct_stream(placement, job); };
  cases->push_back(
      {"direct stream",
       1 << 20,
       stream_metrics(1 << 20),
       {limit_lane(kBareMemory, bare_stream, placement), {Lane::Role::kOurs, kOurs, ours, 0, {}, "", false}}});
}

constexpr size_t kPingPongs[] = {8, 64, 1024, 4096, 65536};

std::vector<Case> shm_cases(const Placement& placement, uint32_t wait) {
  std::vector<Case> cases;
  for (size_t bytes : kPingPongs) {
    Case c = {"pingpong", bytes, pingpong_metrics(), {}};
    if (bytes > 8) c.lanes.push_back(limit_lane(kFlagMemcpy, flag_memcpy_pingpong, placement));
    c.lanes.push_back(limit_lane(kFlag, flag_pingpong, placement));
    c.lanes.push_back(our_lane(kOurs, Test::kPingPong, wait, placement));
    cases.push_back(std::move(c));
  }
  for (size_t bytes : {8, 64, 256, 1024, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20}) {
    Case c = {"stream", bytes, stream_metrics(bytes), {}};
    c.lanes.push_back(limit_lane(kHandOver, hand_over, placement));
    c.lanes.push_back(limit_lane(kMemcpy, private_memcpy, placement));
    c.lanes.push_back(our_lane(kOurs, Test::kStream, wait, placement));
    if (bytes <= 16384) c.lanes.push_back(our_batch_lane(kOurs, wait, placement));
    cases.push_back(std::move(c));
  }
  Case c = {"wake", 8, wake_metrics(), {}};
  c.lanes.push_back(limit_lane(kFutex, futex_wake, placement));
  c.lanes.push_back(limit_lane(kSocket, socket_wake, placement));
  c.lanes.push_back(our_lane(kOurs, Test::kPingPong, RC_WAIT_SLEEP, placement));
  cases.push_back(std::move(c));
  add_direct_cases(&cases, placement);
  return cases;
}

// Operations, carried and, over rdma, direct too, and the same without us: by bare verbs, or as request and response.
void add_op_cases(std::vector<Case>* cases, const std::string& backend, const Placement& placement) {
  bool rdma = backend == kOursRdma;
  auto add = [&](Case c, auto run) {
    auto lane = [&](Lane::Role role, const std::string& name, uint32_t flags) {
      return Lane{role, name, [=](const Job& job) { return run(flags, job); }, 0, {}, "", false};
    };
    c.lanes.push_back(lane(Lane::Role::kOurs, backend, 0));
    if (rdma) c.lanes.push_back(lane(Lane::Role::kVariant, backend + kDirectSuffix, RC_MR_DIRECT));
    cases->push_back(std::move(c));
  };
  struct {
    const char* name;
    size_t bytes;
    Op op;
    const char* limit;
  } in_step[] = {{"op write", 64, Op::kWrite, kWriteLat},
                 {"op read", 64, Op::kRead, kReadLat},
                 {"op add", 8, Op::kAdd, kAtomicLat}};
  for (const auto& o : in_step) {
    Op op = o.op;
    Lane limit = rdma ? perftest_lane(o.limit, placement) : limit_lane(kBareTcp, bare_tcp_pingpong, placement);
    add({o.name, o.bytes, pingpong_metrics(), {limit}},
        [=, &placement](uint32_t flags, const Job& job) { return op_latency(placement, backend, flags, op, job); });
  }
  Lane limit = rdma ? perftest_lane(kWriteBw, placement) : limit_lane(kBareTcp, bare_tcp_stream, placement);
  add({"op stream", 1 << 20, stream_metrics(1 << 20), {limit}, true},
      [=, &placement](uint32_t flags, const Job& job) { return op_stream(placement, backend, flags, job); });
}

// Every case has one limit, a bare connection that waits in the same way.
std::vector<Case> tcp_cases(const Placement& placement, uint32_t wait) {
  std::vector<Case> cases;
  for (size_t bytes : kPingPongs) {
    cases.push_back(
        {"pingpong",
         bytes,
         pingpong_metrics(),
         {limit_lane(kBareTcp, bare_tcp_pingpong, placement), our_lane(kOursTcp, Test::kPingPong, wait, placement)}});
  }
  for (size_t bytes : {64, 1024, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20}) {
    cases.push_back(
        {"stream",
         bytes,
         stream_metrics(bytes),
         {limit_lane(kBareTcp, bare_tcp_stream, placement), our_lane(kOursTcp, Test::kStream, wait, placement)}});
    if (bytes <= 16384) cases.back().lanes.push_back(our_batch_lane(kOursTcp, wait, placement));
  }
  cases.push_back({"wake",
                   64,
                   wake_metrics(),
                   {limit_lane(kBareTcp, bare_tcp_wake, placement),
                    our_lane(kOursTcp, Test::kPingPong, RC_WAIT_SLEEP, placement)}});
  add_op_cases(&cases, kOursTcp, placement);
  return cases;
}

// Of two limits the first one is what the nearest thing costs: a WRITE, or a SEND.
std::vector<Case> rdma_cases(const Placement& placement, uint32_t wait) {
  std::vector<Case> cases;
  for (size_t bytes : {8, 64, 1024, 65536}) {
    cases.push_back({"pingpong",
                     bytes,
                     pingpong_metrics(),
                     {perftest_lane(kWriteLat, placement), perftest_lane(kSendLat, placement),
                      our_lane(kOursRdma, Test::kPingPong, wait, placement)}});
    if (bytes == 64) cases.back().lanes.push_back(rping_lane(placement));
  }
  for (size_t bytes : {64, 4 << 10, 64 << 10, 1 << 20}) {
    cases.push_back({"stream",
                     bytes,
                     stream_metrics(bytes),
                     {perftest_lane(kWriteBw, placement), our_lane(kOursRdma, Test::kStream, wait, placement)}});
    cases.back().ready = true;
    if (bytes >= 4096) {
      cases.back().lanes.push_back(our_in_place_lane(kOursRdma, wait, placement));
      cases.back().lanes.push_back(our_event_lane(kOursRdma, placement));
    }
  }
  cases.push_back(
      {"wake",
       8,
       wake_metrics(),
       {perftest_lane(kSendLatEvents, placement), our_lane(kOursRdma, Test::kPingPong, RC_WAIT_SLEEP, placement)}});
  add_op_cases(&cases, kOursRdma, placement);
  return cases;
}

std::vector<Case> all_cases(const std::string& backend, const Placement& placement, uint32_t wait) {
  if (backend == kOursRdma) return rdma_cases(placement, wait);
  return backend == kOursTcp ? tcp_cases(placement, wait) : shm_cases(placement, wait);
}

// "pingpong" or "stream:1024".
bool is_wanted(const Case& c, const std::vector<std::string>& only) {
  if (only.empty()) return true;
  for (const std::string& name : only) {
    if (name == c.name || name == fmt::format("{}:{}", c.name, c.bytes)) return true;
  }
  return false;
}

// Throws if a name is none of the cases.
void check_names(const std::vector<Case>& cases, const std::vector<std::string>& only) {
  for (const std::string& name : only) {
    bool known = false;
    for (const Case& c : cases) known = known || is_wanted(c, {name});
    if (!known)
      throw std::runtime_error(fmt::format(
          "no case \"{}\": say pingpong, stream, wake, \"direct write\" (read, swap, stream; shm), \"op write\" (read, "
          "add, stream; rdma), or e.g. stream:1024",
          name));
  }
}

// Better now than after minutes of measuring.
void check_writable(const std::string& path) {
  if (!path.empty() && !std::ofstream(path, std::ios::app))
    throw std::runtime_error(fmt::format("cannot write {}", path));
}

// Round trips: many short rounds, because the figures hang on where in physical memory the few lines lie (a third more
// or less), which is drawn anew for every sample. Streams: fewer and longer ones.
Effort effort_for(const Case& c, const Options& options) {
  bool quick = options.quick;
  Effort effort = quick ? Effort{5, 5, 0.03} : Effort{9, 9, 0.15};
  bool direct = c.name == "direct write" || c.name == "direct read" || c.name == "direct swap";
  if (c.name == "pingpong" || direct) effort = quick ? Effort{21, 3, 0.006} : Effort{61, 7, 0.02};
  if (c.name == "wake") effort = quick ? Effort{3, 3, 0.2} : Effort{9, 9, 0.5};
  // Each sample of perftest is two programs, whose start takes longer than what they measure.
  if (options.backend == kOursRdma) effort = quick ? Effort{3, 1, 0.03} : Effort{5, 2, 0.1};
  if (options.rounds > 0) effort.rounds = effort.peer_rounds = options.rounds;
  return effort;
}

Machine describe(const Placement& placement, const Options& options) {
  Machine machine;
  machine.cpu = cpu_model();
  machine.kernel = kernel_release();
  machine.placement = placement.note;
  machine.one_core = placement.one_core;
  machine.clock =
      g_clock.counter ? fmt::format("time-stamp counter, {:.4f} ns a tick", g_clock.ns_per_tick) : "monotonic clock";
  machine.ring_bytes = options.ring_bytes;
  machine.wait = options.wait;
  machine.ringchan_version = rc_version();
  return machine;
}

int run(const Options& options) {
  calibrate_clock();
  Placement placement = choose_placement();
  Machine machine = describe(placement, options);
  if (options.backend == kOursRdma) rdma_port();  // throws where there is none
  std::vector<Case> cases = all_cases(options.backend, placement, wait_code(options.wait));
  check_names(cases, options.only);
  check_writable(options.json);
  check_writable(options.picture);
  uint32_t version = rc_version();
  fmt::print("ringchan {}.{}.{} on {}, {}\n{}; ring of {} KiB; {}\n\n", version / 10000, version / 100 % 100,
             version % 100, machine.cpu, machine.kernel, placement.note, options.ring_bytes / 1024, machine.clock);

  std::vector<Row> rows;
  PeerLanes peers;
  if (options.peers) rows = peers.look_for();
  bool failed = false;
  for (Case& c : cases) {
    if (!is_wanted(c, options.only)) continue;
    peers.add_to(c);
    if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "{} {} B ...\n", c.name, c.bytes);
    measure(c, options.ring_bytes, effort_for(c, options));
    for (Row& row : rows_of(c)) rows.push_back(std::move(row));
    for (const Lane& lane : c.lanes) {
      bool may_lack = lane.role == Lane::Role::kPeer || (lane.role == Lane::Role::kVariant && lane.skipped);
      failed = failed || (!lane.why.empty() && !may_lack);
    }
  }
  machine.interruptions_per_s = interruptions_per_s(cases);
  fmt::print("{}", tables_of(rows));
  fmt::print("{}: others took a processor away {:.1f} times a second while we measured\n",
             machine.quiet() ? "quiet machine" : "NOT A QUIET MACHINE, the figures are rough",
             machine.interruptions_per_s);
  if (placement.one_core) {
    fmt::print("acceptance: not judged, {}\n", placement.note);
  } else {
    fmt::print("{}{}", acceptance_of(demands_of(rows)), batch_note_of(rows));
  }

  if (!options.json.empty()) {
    std::ofstream file(options.json);
    file << json_of(rows, machine);
    if (!file.flush()) throw std::runtime_error(fmt::format("cannot write {}", options.json));
    fmt::print("figures: {}\n", options.json);
  }
  if (!options.picture.empty()) {
    std::string why;
    if (!plot(rows, options.picture, &why)) throw std::runtime_error(fmt::format("no picture: {}", why));
    fmt::print("picture: {}\n", options.picture);
  }
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace rcbench

int main(int argc, char** argv) {
  rcbench::Options options;
  CLI::App app("Measures ringchan beside the limits of the machine.", "bench");
  app.add_option("--backend", options.backend, "what carries the bytes")->check(CLI::IsMember({"shm", "tcp", "rdma"}));
  app.add_option("--json", options.json, "write all figures to this file");
  app.add_option("--plot", options.picture, "draw a picture (PNG) with gnuplot");
  app.add_flag("--peers", options.peers, "also measure what one could use instead");
  app.add_flag("--quick", options.quick, "fewer and shorter rounds: some 20 s, rougher figures");
  app.add_option(
      "--case", options.only,
      "only these: pingpong, stream, wake, "
      "\"direct write\" (read, swap, stream; shm), \"op write\" (read, add, stream; tcp, rdma), or one size of "
      "one, stream:1024");
  app.add_option("--ring", options.ring_bytes, "bytes of a ring")->transform(CLI::AsSizeValue(false));
  app.add_option("--rounds", options.rounds, "rounds per case")->check(CLI::Range(1, 1000));
  app.add_option("--wait", options.wait, "how ringchan waits in ping-pong and stream")
      ->check(CLI::IsMember({"spin", "adaptive"}));
  CLI11_PARSE(app, argc, argv);
  try {
    return rcbench::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench: {}\n", error.what());
    return 1;
  }
}
