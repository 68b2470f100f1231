// The bytes are a URI, perhaps of a list of transports.
#include <string.h>

#include <string>

#include "core/result.h"
#include "core/transports.h"
#include "harness/fuzz/targets.h"

namespace fuzz {

void lists(const uint8_t* data, size_t bytes) {
  const std::string text(reinterpret_cast<const char*>(data), bytes);
  rc::Uri uri;
  const rc::Backend* backend = nullptr;
  rc::Code code = rc::parse_for_backend(text.c_str(), &uri, &backend);
  if (code != rc::kOk) {
    PROMISE(code == rc::kUri || code == rc::kScheme);
    check_reason(rc::reason());
    return;
  }
  PROMISE(backend != nullptr);
  rc::Transports list;
  code = rc::read_transports(uri, &list);
  if (code != rc::kOk) {
    PROMISE(code == rc::kUri || code == rc::kScheme);
    check_reason(rc::reason());
    return;
  }
  // All different, in the order given, each of a kind that may stand in a list.
  PROMISE(list.count >= 1 && list.count <= rc::kTransportsMax);
  std::string schemes;
  for (uint32_t i = 0; i < list.count; ++i) {
    PROMISE(list.at[i]->reach != rc::kNotListed);
    for (uint32_t j = 0; j < i; ++j) PROMISE(list.at[i] != list.at[j]);
    schemes += (i == 0 ? "" : "+") + std::string(list.at[i]->scheme);
  }
  PROMISE(schemes == uri.scheme);
  std::string host = list.host, name = uri.name;
  PROMISE(!host.empty() && host.size() < sizeof list.host && name.rfind("//" + host + ":", 0) == 0);
  // A member's own URI takes those parameters that are its own, and is one, or too long for one.
  for (uint32_t i = 0; i < list.count; ++i) {
    std::string place = "//" + host + ":" + std::to_string(list.port);
    rc::Uri own;
    code = rc::member_uri(uri, list.at[i]->scheme, place.c_str(), &own);
    PROMISE(code == rc::kOk || code == rc::kUri);
    if (code != rc::kOk) {
      check_reason(rc::reason());
      continue;
    }
    PROMISE(std::string(own.scheme) == list.at[i]->scheme && own.name == place);
    PROMISE(strlen(own.query) <= strlen(uri.query));
  }
}

std::vector<Input> lists_seeds() {
  std::vector<Input> seeds;
  for (const char* text : {"shm+tcp://127.0.0.1:7000", "rdma+shm+tcp://[::1]:0?tcp.timeout_ms=1000&rdma.mode=event",
                           "tcp+tcp://h:1", "tcp+://h:1", "+tcp://h:1", "loop+tcp://h:1", "tcp+x://h:1", "tcp+shm://h",
                           "tcp+shm://h:65536", "tcp+shm://[h:1", "tcp+shm:h:1", "tcp+shm://h:1?timeout_ms=1",
                           "tcp+shm://h:1?tcp.&shm.=", "tcp+shm://h:1?&&tcp.a&", "tcp://h:1", "shm:a", ""}) {
    seeds.emplace_back(text, text + strlen(text));
  }
  return seeds;
}

}  // namespace fuzz
