// The bytes are the URI.
#include <string.h>

#include <string>

#include "backends/shm/socket.h"
#include "backends/tcp/address.h"
#include "core/result.h"
#include "core/uri.h"
#include "harness/fuzz/targets.h"

namespace fuzz {

void uri(const uint8_t* data, size_t bytes) {
  const std::string text(reinterpret_cast<const char*>(data), bytes);
  rc::Uri parsed;
  rc::Code code = parsed.parse(text.c_str());
  if (code != rc::kOk) {
    PROMISE(code == rc::kUri);
    check_reason(rc::reason());
    return;
  }
  std::string given = text.c_str();  // up to its first NUL
  std::string query = parsed.query[0] != '\0' || given.back() == '?' ? std::string("?") + parsed.query : "";
  PROMISE(given == parsed.text);
  PROMISE(given == std::string(parsed.scheme) + ":" + parsed.name + query);
  PROMISE(parsed.scheme[0] != '\0' && parsed.name[0] != '\0' && given.size() < rc::kUriBytes);

  uint64_t value = 1;
  code = parsed.number("size", 7, &value);
  PROMISE(code == rc::kOk || code == rc::kUri);
  if (query.find("size") == std::string::npos) PROMISE(code == rc::kOk && value == 7);
  constexpr const char* kKnown[] = {"size", "a", nullptr};
  code = parsed.only(kKnown);
  PROMISE(code == rc::kOk || code == rc::kUri);

  rc::TcpTarget target;
  code = rc::read_target(parsed, &target);
  PROMISE(code == rc::kOk || code == rc::kUri);
  if (code == rc::kOk) {
    std::string host = target.host;
    PROMISE(!host.empty() && given.find(host) != std::string::npos && parsed.name[0] == '/' && parsed.name[1] == '/');
    PROMISE(target.options.timeout_ms >= rc::kTcpTimeoutMsMin && target.options.timeout_ms <= rc::kTcpTimeoutMsMax);
  } else {
    check_reason(rc::reason());
  }

  rc::Address address;
  code = rc::make_address(parsed, &address);
  if (code != rc::kOk) {
    PROMISE(code == rc::kUri);
    check_reason(rc::reason());
    return;
  }
  PROMISE(query.empty() || query == "?" || strspn(query.c_str(), "?&") == query.size());
  PROMISE(address.bytes <= sizeof address.sa && address.path == (parsed.name[0] == '/'));
  if (address.path) PROMISE(strnlen(address.sa.sun_path, sizeof address.sa.sun_path) < sizeof address.sa.sun_path);
}

std::vector<Input> uri_seeds() {
  std::vector<Input> seeds;
  for (const char* text : {"shm:demo",
                           "loop:a",
                           "shm:/tmp/a.sock",
                           "x+y-z.0:n?size=12",
                           "shm:n?a=1&size=18446744073709551615",
                           "shm:n?",
                           "shm:n?&&",
                           "shm:n?size",
                           "shm:",
                           ":n",
                           "",
                           "shm",
                           "shm:a b",
                           "shm:a:b?c?d",
                           "tcp://10.0.0.1:7000",
                           "tcp://[::1]:0?timeout_ms=1000&busy_poll_us=50",
                           "tcp://h:65536",
                           "tcp://:1",
                           "tcp://[::1",
                           "tcp://a:b:1"}) {
    seeds.emplace_back(text, text + strlen(text));
  }
  seeds.push_back(Input(200, 'a'));
  Input full(159, 'a');
  full[3] = ':';
  seeds.push_back(full);
  return seeds;
}

}  // namespace fuzz
