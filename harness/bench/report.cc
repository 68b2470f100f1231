#include "harness/bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace rcbench {
namespace {

// The measured rows of one backend in one case, one per metric and limit.
struct Group {
  const Row* first;
  std::vector<const Row*> rows;

  const Row* find(const char* metric, size_t limit) const {
    for (const Row* row : rows) {
      if (row->metric == metric && limit-- == 0) return row;
    }
    return nullptr;
  }
};

std::vector<Group> groups_of(const std::vector<Row>& rows, const std::string& case_name) {
  std::vector<Group> groups;
  for (const Row& row : rows) {
    if (row.case_name != case_name || !row.value) continue;
    if (groups.empty() || groups.back().first->backend != row.backend || groups.back().first->bytes != row.bytes) {
      groups.push_back({&row, {}});
    }
    groups.back().rows.push_back(&row);
  }
  return groups;
}

std::string number(std::optional<double> value, int width, int digits) {
  if (value && *value >= 1000) digits = 0;
  return value ? fmt::format("{:>{}.{}f}", *value, width, digits) : fmt::format("{:>{}}", "-", width);
}

std::string ours_is(const Row& row, bool smaller_is_better) {
  if (!row.ours_to_this || *row.ours_to_this <= 0) return "";
  return fmt::format("{:.2f}", smaller_is_better ? 1 / *row.ours_to_this : *row.ours_to_this);
}

std::string latency_table(const std::vector<Group>& groups, const std::string& title) {
  if (groups.empty()) return "";
  std::string out = title;
  out += fmt::format("{:>7}  {:<34}{:>9}{:>9}{:>7} |{:>9}{:>9}{:>7} |{:>10}{:>9}{:>7}  {:>9}\n", "bytes", "backend",
                     "p50", "limit", "ratio", "p99", "limit", "ratio", "p99.9", "limit", "ratio", "we are");
  size_t bytes = 0;
  for (const Group& group : groups) {
    if (group.first->bytes != bytes) {
      bytes = group.first->bytes;
      out += fmt::format("{:>7}  limit: {}\n", bytes, group.first->limit_name);
    }
    out += fmt::format("{:>7}  {:<34}", "", group.first->backend);
    for (const char* metric : {"p50_ns", "p99_ns", "p999_ns"}) {
      const Row* row = group.find(metric, 0);
      bool last = std::string(metric) == "p999_ns";
      if (row == nullptr) {
        out += fmt::format("{:>{}}", "", last ? 26 : 27);
        continue;
      }
      out += number(row->value, last ? 10 : 9, 0) + number(row->limit, 9, 0) + number(row->ratio, 7, 2);
      if (!last) out += " |";
    }
    std::string times = ours_is(*group.first, true);
    if (!times.empty()) out += fmt::format("  {:>7} x", times);
    out += "\n";
    const Row* second = group.find("p50_ns", 1);
    if (second != nullptr && second->limit && !group.first->ours_to_this) {
      out += fmt::format("{:>7}  {:<34}{:>9}{}{}\n", "", fmt::format("  against {}", second->limit_name), "",
                         number(second->limit, 9, 0), number(second->ratio, 7, 2));
    }
  }
  return out + "\n";
}

std::string meaning_of(const std::string& limit) {
  if (limit == kHandOver)
    return "hand-over = one core writes into a shared buffer as large as the ring, the other reads it there";
  if (limit == kMemcpy) return "memcpy = one core copies a message into a private area as large as the ring";
  if (limit == kBareTcp) return "bare TCP = one send per message, recv in a loop, TCP_NODELAY, nothing else";
  if (limit == kBareMemory) return "bare loads and stores = the same on plain shared memory, by memcpy";
  if (limit == kWriteBw)
    return "ib_write_bw = perftest's WRITEs of one message each, 128 under way, the same bytes, read by nobody: one "
           "processor does it";
  return limit;
}

std::string stream_table(const std::vector<Group>& groups) {
  if (groups.empty()) return "";
  std::string out = "stream: one way, as fast as it goes; ratio = value / limit, larger is better\n";
  const Row* other = groups[0].find(groups[0].first->metric.c_str(), 1);
  for (const Row* row : {groups[0].first, other}) {
    if (row != nullptr) out += fmt::format("  limit: {}\n", meaning_of(row->limit_name));
  }
  out +=
      fmt::format("{:>9}  {:<34}{:>10} {:<8}{:>10}{:>7} |{:>10}{:>7}  {:>9}\n", "bytes", "backend", "value", "",
                  groups[0].first->limit_name, "ratio", other != nullptr ? other->limit_name : "", "ratio", "we are");
  size_t bytes = 0;
  for (const Group& group : groups) {
    const Row& row = *group.first;
    bool messages = row.metric == "msgs_per_s";
    auto scaled = [&](std::optional<double> value) { return value && messages ? std::optional(*value / 1e6) : value; };
    const Row* second = group.find(row.metric.c_str(), 1);
    out +=
        fmt::format("{:>9}  {:<34}{} {:<8}{}{} |{}{}", row.bytes == bytes ? "" : std::to_string(row.bytes), row.backend,
                    number(scaled(row.value), 10, 2), messages ? "M msg/s" : "GB/s", number(scaled(row.limit), 10, 2),
                    number(row.ratio, 7, 2), number(second ? scaled(second->limit) : std::nullopt, 10, 2),
                    number(second ? second->ratio : std::nullopt, 7, 2));
    bytes = row.bytes;
    std::string times = ours_is(row, false);
    if (!times.empty()) out += fmt::format("  {:>7} x", times);
    out += "\n";
  }
  return out + "\n";
}

const Row* find_row(const std::vector<Row>& rows, const char* backend, const char* case_name, size_t bytes,
                    const char* metric, const char* limit) {
  for (const Row& row : rows) {
    if (row.backend == backend && row.case_name == case_name && row.bytes == bytes && row.metric == metric &&
        (limit == nullptr || row.limit_name == limit)) {
      return &row;
    }
  }
  return nullptr;
}

}  // namespace

double interruptions_per_s(const std::vector<Case>& cases) {
  double interruptions = 0, seconds = 0;
  for (const Case& c : cases) {
    for (const Lane& lane : c.lanes) {
      if (lane.role == Lane::Role::kPeer) continue;  // not told
      for (const Sample& sample : lane.samples) {
        interruptions += static_cast<double>(sample.interruptions);
        seconds += sample.seconds;
      }
    }
  }
  return seconds > 0 ? interruptions / seconds : 0;
}

std::string tables_of(const std::vector<Row>& rows) {
  std::string out = latency_table(groups_of(rows, "pingpong"),
                                  "ping-pong: round trip in ns, both sides spin; ratio = value / limit, smaller is "
                                  "better\n");
  out += stream_table(groups_of(rows, "stream"));
  out += latency_table(groups_of(rows, "wake"),
                       "wake: round trip in ns, both sides asleep between messages; ratio = value / limit, smaller is "
                       "better\n");
  for (const char* name : {"direct write", "direct read", "direct swap"}) {
    out +=
        latency_table(groups_of(rows, name),
                      fmt::format("{}: round trip in ns by that operation, both sides look at memory; ratio = value / "
                                  "limit, smaller is better\n",
                                  name));
  }
  out += stream_table(groups_of(rows, "direct stream"));
  for (const char* name : {"op write", "op read", "op add"}) {
    out += latency_table(
        groups_of(rows, name),
        fmt::format("{}: one in ns until the end that asked knows that it is done; ratio = value / limit (of "
                    "ib_write_lat and bare TCP the round trip), smaller is better\n",
                    name));
  }
  out += stream_table(groups_of(rows, "op stream"));
  for (const Row& row : rows) {
    if (row.value) continue;
    std::string what = row.bytes == 0 ? row.case_name : fmt::format("{} {} B", row.case_name, row.bytes);
    out += fmt::format("{}: {} ({}): {}\n", row.metric, row.backend, what, row.why);
  }
  return out;
}

std::vector<Demand> demands_of(const std::vector<Row>& rows) {
  auto ratio = [&](const char* case_name, size_t bytes, const char* metric, const char* limit) {
    const Row* row = find_row(rows, kOurs, case_name, bytes, metric, limit);
    return row != nullptr ? row->ratio : std::nullopt;
  };
  auto tcp = [&](const char* case_name, size_t bytes, const char* metric) {
    const Row* row = find_row(rows, kOursTcp, case_name, bytes, metric, kBareTcp);
    return row != nullptr ? row->ratio : std::nullopt;
  };
  auto rdma = [&](const char* case_name, size_t bytes, const char* metric, const char* limit) {
    const Row* row = find_row(rows, kOursRdma, case_name, bytes, metric, limit);
    return row != nullptr ? row->ratio : std::nullopt;
  };
  auto rdma_variant = [&](const char* how, const char* case_name, size_t bytes, const char* metric, const char* limit) {
    const Row* row = find_row(rows, (std::string(kOursRdma) + how).c_str(), case_name, bytes, metric, limit);
    return row != nullptr ? row->ratio : std::nullopt;
  };
  auto against_boost = [&](size_t bytes, const char* metric) {
    const Row* row = find_row(rows, kBoost, "stream", bytes, metric, nullptr);
    return row != nullptr ? row->ours_to_this : std::nullopt;
  };
  std::vector<Demand> demands = {
      {"round trip 8 B, p50, of the flag ping-pong", true, 1.25, ratio("pingpong", 8, "p50_ns", kFlag)},
      {"round trip 8 B, p99, of the flag ping-pong", true, 1.6, ratio("pingpong", 8, "p99_ns", kFlag)},
      {"round trip 1024 B, p50, of the flag ping-pong", true, 3.8, ratio("pingpong", 1024, "p50_ns", kFlag)},
      {"wake round trip 8 B, p50, of the futex one", true, 1.3, ratio("wake", 8, "p50_ns", kFutex)},
      {"round trip 64 B over tcp, p50, of bare TCP", true, 1.15, tcp("pingpong", 64, "p50_ns")},
      {"wake round trip 64 B over tcp, p50, of bare TCP", true, 1.15, tcp("wake", 64, "p50_ns")},
      {"stream 64 KiB over tcp, of bare TCP", false, 0.95, tcp("stream", 65536, "gb_per_s")},
      {"direct write 64 B, p50, of bare stores", true, 1.3, ratio("direct write", 64, "p50_ns", kBareMemory)},
      {"direct read 64 B, p50, of bare loads", true, 1.3, ratio("direct read", 64, "p50_ns", kBareMemory)},
      {"direct swap 8 B, p50, of a bare one", true, 1.3, ratio("direct swap", 8, "p50_ns", kBareMemory)},
      {"direct stream 1 MiB, of bare memcpy", false, 0.9, ratio("direct stream", 1 << 20, "gb_per_s", kBareMemory)},
      {"one way 8 B over rdma, p50, of ib_write_lat", true, 1.5, rdma("pingpong", 8, "p50_ns", kWriteLat)},
      {"stream 64 KiB over rdma, of ib_write_bw", false, 0.9, rdma("stream", 65536, "gb_per_s", kWriteBw)},
      {"stream 64 KiB over rdma, in place, of ib_write_bw", false, 0.9,
       rdma_variant(kInPlaceSuffix, "stream", 65536, "gb_per_s", kWriteBw)},
      {"stream 64 KiB over rdma, event mode, of ib_write_bw", false, 0.9,
       rdma_variant(kEventSuffix, "stream", 65536, "gb_per_s", kWriteBw)},
      {"write 64 B over tcp, p50, of bare TCP", true, 1.2, tcp("op write", 64, "p50_ns")},
      {"read 64 B over tcp, p50, of bare TCP", true, 1.2, tcp("op read", 64, "p50_ns")},
      {"addition over tcp, p50, of bare TCP", true, 1.2, tcp("op add", 8, "p50_ns")},
      {"writes of 1 MiB over tcp, of bare TCP", false, 0.9, tcp("op stream", 1 << 20, "gb_per_s")},
      {"direct write 64 B over rdma, p50, of ib_write_lat", true, 1.2,
       rdma_variant(kDirectSuffix, "op write", 64, "p50_ns", kWriteLat)},
      {"direct read 64 B over rdma, p50, of ib_read_lat", true, 1.2,
       rdma_variant(kDirectSuffix, "op read", 64, "p50_ns", kReadLat)},
      {"direct addition over rdma, p50, of ib_atomic_lat", true, 1.2,
       rdma_variant(kDirectSuffix, "op add", 8, "p50_ns", kAtomicLat)},
      {"direct writes of 1 MiB over rdma, of ib_write_bw", false, 0.9,
       rdma_variant(kDirectSuffix, "op stream", 1 << 20, "gb_per_s", kWriteBw)},
      {"stream 8 B, of boost::spsc_queue", false, 1.5, against_boost(8, "msgs_per_s")},
      {"stream 64 B, of boost::spsc_queue", false, 5, against_boost(64, "msgs_per_s")},
      {"stream 256 B, of boost::spsc_queue", false, 5, against_boost(256, "msgs_per_s")},
      {"stream 1024 B, of boost::spsc_queue", false, 1.5, against_boost(1024, "msgs_per_s")},
  };
  for (size_t bytes = 65536; bytes <= (size_t{16} << 20); bytes *= 4) {
    demands.push_back(
        {fmt::format("stream {} KiB, of boost::spsc_queue", bytes / 1024), false, 1, against_boost(bytes, "gb_per_s")});
  }
  return demands;
}

std::string acceptance_of(const std::vector<Demand>& demands) {
  std::string out = "acceptance\n";
  bool any = false;
  for (const Demand& demand : demands) {
    if (!demand.measured) continue;
    any = true;
    out += fmt::format("  {:<50}{:>8.2f} x   {} {:.2f} x   {}\n", demand.text, *demand.measured,
                       demand.at_most ? "at most " : "at least", demand.bound,
                       demand.reached() ? "reached" : "NOT REACHED");
  }
  return any ? out : "";
}

std::string batch_note_of(const std::vector<Row>& rows) {
  std::string out;
  for (const Row& ours : rows) {
    if (ours.backend != kOursBatch || ours.limit_name != kHandOver || !ours.value) continue;
    const Row* boost = find_row(rows, kBoostBatch, "stream", ours.bytes, ours.metric.c_str(), kHandOver);
    if (boost == nullptr || !boost->value || *boost->value <= 0) continue;
    out += fmt::format("{}{} B {:.2f} x", out.empty() ? "" : ", ", ours.bytes, *ours.value / *boost->value);
  }
  return out.empty() ? ""
                     : "  for information, readers that take many at once, rc_get_some of batch pop: " + out + "\n";
}

std::string json_of(const std::vector<Row>& rows, const Machine& machine) {
  using nlohmann::json;
  auto or_null = [](const std::optional<double>& value) { return value ? json(*value) : json(nullptr); };
  json cases = json::array();
  for (const Row& row : rows) {
    json line = {{"backend", row.backend},       {"case", row.case_name},       {"bytes", row.bytes},
                 {"metric", row.metric},         {"value", or_null(row.value)}, {"limit", or_null(row.limit)},
                 {"limit_name", row.limit_name}, {"ratio", or_null(row.ratio)}};
    if (!row.why.empty()) line["why"] = row.why;
    cases.push_back(line);
  }
  json all = {{"cases", cases},
              {"machine",
               {{"cpu", machine.cpu},
                {"kernel", machine.kernel},
                {"placement", machine.placement},
                {"one_core", machine.one_core},
                {"clock", machine.clock},
                {"ring_bytes", machine.ring_bytes},
                {"interruptions_per_s", machine.interruptions_per_s},
                {"wait", machine.wait},
                {"ringchan_version", machine.ringchan_version}}}};
  return all.dump(1) + "\n";
}

}  // namespace rcbench
