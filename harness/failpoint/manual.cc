#include "harness/failpoint/manual.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <fstream>
#include <iterator>
#include <regex>

#include "capi/rc.h"

namespace failpoint {
namespace {

std::set<std::string> matches(const std::string& text, const char* pattern) {
  std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator i(text.begin(), text.end(), regex), end; i != end; ++i) found.insert((*i)[1]);
  return found;
}

}  // namespace

// A function's comment stands right before it: "/* ... Returns: ... Blocks: ... */ type rc_name(".
Manual::Manual(const std::string& text) {
  std::map<std::string, std::set<std::string>> others;  // "else as rc_put"
  const std::regex declaration("\\*/\\s*(?:int32_t|uint32_t|uint64_t|const char ?\\*) ?(rc_\\w+)\\(");
  for (std::sregex_iterator i(text.begin(), text.end(), declaration), end; i != end; ++i) {
    size_t at = static_cast<size_t>(i->position());
    size_t begin = text.rfind("Returns:", at), limit = text.rfind("/*", at);
    if (begin == std::string::npos || begin < limit) continue;
    std::string returns =
        std::regex_replace(text.substr(begin, text.find("Blocks:", begin) - begin), std::regex("\\s+\\*?\\s*"), " ");
    std::string name = (*i)[1];
    codes_[name] = matches(returns, "\\b(RC_OK|RC_E_\\w+)");
    // "as rc_a, rc_b and rc_c"
    others[name] = matches(returns, "as (rc_\\w+)");
    others[name].merge(matches(returns, "as rc_\\w+(?:,| and) (rc_\\w+)"));
    others[name].merge(matches(returns, "as rc_\\w+, rc_\\w+ and (rc_\\w+)"));
  }
  // Three times: rc_putv is as rc_put, and so on; no chain is longer.
  for (int i = 0; i < 3; ++i) close_over(others);
}

void Manual::close_over(const std::map<std::string, std::set<std::string>>& others) {
  for (auto& [name, from] : others) {
    for (const std::string& other : from) codes_[name].insert(codes_[other].begin(), codes_[other].end());
  }
}

const Manual& Manual::shipped() {
  static const Manual manual([] {
    std::ifstream file("capi/rc.h");
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (text.empty()) {
      fprintf(stderr, "capi/rc.h is not below the current folder\n");
      abort();
    }
    return text;
  }());
  return manual;
}

const std::set<std::string>& Manual::codes(const std::string& function) const {
  static const std::set<std::string> none;
  auto found = codes_.find(function);
  return found == codes_.end() ? none : found->second;
}

std::string Manual::complaint(const std::string& function, int32_t code) const {
  std::string name = rc_code_name(code);
  if (codes(function).count(name) == 0) {
    return fmt::format("{} returned {}, which rc.h does not list for it: {}", function, name, rc_reason());
  }
  if (code != RC_OK && rc_reason()[0] == '\0') return fmt::format("{} returned {} without a reason", function, name);
  return "";
}

}  // namespace failpoint
