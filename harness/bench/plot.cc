#include <errno.h>
#include <fmt/format.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <algorithm>
#include <map>
#include <utility>

#include "harness/bench/report.h"

namespace rcbench {
namespace {

using Curve = std::vector<std::pair<size_t, double>>;  // bytes, figure

double in_gb_per_s(const Row& row, double value) {
  return row.metric == "msgs_per_s" ? value * static_cast<double>(row.bytes) / 1e9 : value;
}

// Curves by name: every backend, and the limits.
std::map<std::string, Curve> curves_of(const std::vector<Row>& rows, const std::string& case_name) {
  std::map<std::string, Curve> curves;
  for (const Row& row : rows) {
    if (row.case_name != case_name || !row.value) continue;
    if (case_name == "pingpong" && row.metric != "p50_ns") continue;
    auto put = [&](const std::string& name, double value) {
      Curve& curve = curves[name];
      for (const auto& point : curve) {
        if (point.first == row.bytes) return;
      }
      curve.emplace_back(row.bytes, in_gb_per_s(row, value));
    };
    put(row.backend == kOurs || row.backend == kOursTcp ? "ringchan" : row.backend, *row.value);
    if (row.limit) put("limit: " + row.limit_name, *row.limit);
  }
  return curves;
}

// A name as gnuplot takes it between single quotes.
std::string quoted(const std::string& name) {
  std::string out = "'";
  for (char c : name) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

std::string panel(const std::map<std::string, Curve>& curves, const std::string& title, const std::string& y_label,
                  const std::string& block) {
  if (curves.empty()) return "";
  std::string data, plots;
  int index = 0;
  for (const auto& [name, curve] : curves) {
    std::string id = fmt::format("${}{}", block, index++);
    data += id + " << EOD\n";
    Curve sorted = curve;
    std::sort(sorted.begin(), sorted.end());
    for (const auto& [bytes, value] : sorted) data += fmt::format("{} {}\n", bytes, value);
    data += "EOD\n";
    std::string style = fmt::format("lw 1.5 pt {}", index + 3);
    if (name == "ringchan") style = "lw 3 pt 7 lc rgb 'black'";
    if (name.rfind("limit", 0) == 0) style = "lw 2 dt 2 pt 0";
    plots +=
        fmt::format("{}{} using 1:2 with linespoints {} title {}", plots.empty() ? "" : ", ", id, style, quoted(name));
  }
  return data + fmt::format("set title '{}'\nset ylabel '{}'\nplot {}\n", title, y_label, plots);
}

}  // namespace

bool plot(const std::vector<Row>& rows, const std::string& path, std::string* why) {
  std::string latency = panel(curves_of(rows, "pingpong"), "round trip, median, by bytes per message", "ns", "latency");
  std::string stream = panel(curves_of(rows, "stream"), "stream, by bytes per message", "GB/s", "stream");
  int panels = static_cast<int>(!latency.empty()) + static_cast<int>(!stream.empty());
  if (panels == 0) {
    *why = "nothing to draw: neither ping-pong nor stream was measured";
    return false;
  }
  std::string script = fmt::format(
      "set terminal pngcairo size {},840 noenhanced font 'sans,11'\nset output {}\nset multiplot layout 1,{}\n"
      "set logscale x 2\nset logscale y\nset format x '%.0b%B'\nset grid\n"
      "set key outside below vertical maxrows 8 samplen 2 font ',9'\n",
      820 * panels, quoted(path), panels);
  script += latency + stream + "unset multiplot\n";
  FILE* gnuplot = popen("gnuplot", "we");
  if (gnuplot == nullptr) {
    *why = fmt::format("cannot start gnuplot: {}", strerror(errno));
    return false;
  }
  fwrite(script.data(), 1, script.size(), gnuplot);
  int status = pclose(gnuplot);
  if (status == 0) return true;
  *why = WIFEXITED(status) && WEXITSTATUS(status) == 127 ? "gnuplot is not installed (Debian: gnuplot-nox)"
                                                         : fmt::format("gnuplot ended with status {}", status);
  return false;
}

}  // namespace rcbench
