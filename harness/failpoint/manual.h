// What rc.h promises: which codes each function may return, read from its own comments.
#ifndef HARNESS_FAILPOINT_MANUAL_H_
#define HARNESS_FAILPOINT_MANUAL_H_

#include <stdint.h>

#include <map>
#include <set>
#include <string>

namespace failpoint {

class Manual {
 public:
  explicit Manual(const std::string& header_text);
  // Reads capi/rc.h from the folder that tests run in.
  static const Manual& shipped();

  const std::set<std::string>& codes(const std::string& function) const;
  size_t functions() const { return codes_.size(); }
  // Empty if the call's outcome is documented and, for an error, explained by rc_reason(); else what is wrong.
  std::string complaint(const std::string& function, int32_t code) const;

 private:
  void close_over(const std::map<std::string, std::set<std::string>>& others);
  std::map<std::string, std::set<std::string>> codes_;
};

}  // namespace failpoint

#endif  // HARNESS_FAILPOINT_MANUAL_H_
