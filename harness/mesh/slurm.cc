#include <stdlib.h>

#include <stdexcept>

#include "harness/mesh/members.h"

namespace meshes {
namespace {

[[noreturn]] void bad(const std::string& what, const std::string& text) {
  throw std::runtime_error("Slurm's " + what + " is not understood: \"" + text + "\"; give --hosts");
}

// "1-3" or "7": appends PREFIX1 PREFIX2 PREFIX3, or PREFIX7.
void expand_range(const std::string& prefix, const std::string& range, std::vector<std::string>* out) {
  size_t dash = range.find('-');
  std::string first = range.substr(0, dash), last = dash == std::string::npos ? first : range.substr(dash + 1);
  auto digits = [](const std::string& s) {
    return !s.empty() && s.size() < 9 && s.find_first_not_of("0123456789") == std::string::npos;
  };
  if (!digits(first) || !digits(last)) bad("node list", range);
  for (unsigned long i = std::stoul(first); i <= std::stoul(last); ++i) {
    std::string number = std::to_string(i);
    if (number.size() < first.size()) number.insert(0, first.size() - number.size(), '0');
    out->push_back(prefix + number);
  }
}

// Splits at commas that stand outside of brackets.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  bool inside = false;
  for (char c : text) {
    inside = (inside || c == '[') && c != ']';
    if (c == ',' && !inside) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

const char* first_of(const char* a, const char* b) {
  const char* value = getenv(a);
  return value != nullptr ? value : getenv(b);
}

}  // namespace

std::vector<std::string> expand_nodes(const std::string& text) {
  std::vector<std::string> nodes;
  for (const std::string& part : split(text)) {
    size_t open = part.find('[');
    if (part.empty()) bad("node list", text);
    if (open == std::string::npos) {
      nodes.push_back(part);
      continue;
    }
    if (part.back() != ']') bad("node list", text);
    for (const std::string& range : split(part.substr(open + 1, part.size() - open - 2)))
      expand_range(part.substr(0, open), range, &nodes);
  }
  return nodes;
}

std::vector<uint32_t> expand_counts(const std::string& text) {
  std::vector<uint32_t> counts;
  for (const std::string& part : split(text)) {
    char* end = nullptr;
    unsigned long count = strtoul(part.c_str(), &end, 10), times = 1;
    if (end == part.c_str() || count > 65535) bad("list of tasks per node", text);
    if (end[0] == '(' && end[1] == 'x') {
      times = strtoul(end + 2, &end, 10);
      if (*end++ != ')') bad("list of tasks per node", text);
    }
    if (*end != '\0' || times > 65535) bad("list of tasks per node", text);
    counts.insert(counts.end(), times, static_cast<uint32_t>(count));
  }
  return counts;
}

std::optional<Members> from_slurm(uint16_t base_port) {
  const char* id = getenv("SLURM_PROCID");
  const char* total = getenv("SLURM_NTASKS");
  const char* nodes = first_of("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST");
  if (id == nullptr || total == nullptr || nodes == nullptr) return std::nullopt;
  Members m;
  m.id = static_cast<uint32_t>(strtoul(id, nullptr, 10));
  m.total = static_cast<uint32_t>(strtoul(total, nullptr, 10));
  m.from = "Slurm";
  std::vector<std::string> names = expand_nodes(nodes);
  const char* per_node = first_of("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE");
  std::vector<uint32_t> counts(names.size(), m.total / static_cast<uint32_t>(names.size()));
  if (per_node != nullptr) counts = expand_counts(per_node);
  if (counts.size() != names.size()) bad("list of tasks per node", per_node != nullptr ? per_node : "");
  uint32_t next = 0;
  for (size_t node = 0; node < names.size(); ++node) {
    for (uint32_t task = 0; task < counts[node]; ++task, ++next) {
      if (base_port + task > UINT16_MAX) bad("list of tasks per node", "more ports than there are");
      m.hosts += std::to_string(next) + " " + names[node] + ":" + std::to_string(base_port + task) + "\n";
    }
  }
  if (next != m.total) bad("number of tasks", std::string(total) + " with " + nodes);
  return m;
}

}  // namespace meshes
