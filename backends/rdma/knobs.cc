#include "backends/rdma/knobs.h"

#include <string.h>

#include "backends/rdma/two_sided.h"
#include "core/op_wire.h"

namespace rc {
namespace {

// One that fits is found from the others.
constexpr uint32_t kAckTimeoutMost = 31;
constexpr uint64_t kAckUnitNs = 4096;

// "//host:port", "//[v6]:port".
Code read_address(const Uri& uri, Knobs* knobs) noexcept {
  const char* at = uri.name;
  if (strncmp(at, "//", 2) != 0)
    return fail(kUri, "URI \"%s\": wanted rdma://host:port, then the name begins with //", uri.text);
  at += 2;
  const char* colon = strrchr(at, ':');
  if (colon == nullptr) return fail(kUri, "URI \"%s\": the port is missing; wanted rdma://host:port", uri.text);
  size_t port_bytes = strlen(colon + 1);
  if (port_bytes == 0 || port_bytes > 5 || strspn(colon + 1, "0123456789") != port_bytes) {
    return fail(kUri, "URI \"%s\": the port \"%s\" is not a number of 1 to 65535", uri.text, colon + 1);
  }
  uint32_t port = 0;
  for (const char* c = colon + 1; *c != '\0'; ++c) port = port * 10 + static_cast<uint32_t>(*c - '0');
  if (port == 0 || port > 65535) return fail(kUri, "URI \"%s\": the port %u is not in 1..65535", uri.text, port);
  memcpy(knobs->service, colon + 1, port_bytes + 1);
  size_t host_bytes = static_cast<size_t>(colon - at);
  bool brackets = host_bytes >= 2 && at[0] == '[' && at[host_bytes - 1] == ']';
  if (brackets) {
    ++at;
    host_bytes -= 2;
  }
  if (host_bytes == 0) return fail(kUri, "URI \"%s\": the host is empty; 0.0.0.0 listens on all addresses", uri.text);
  memcpy(knobs->host, at, host_bytes);
  knobs->host[host_bytes] = '\0';
  if (!brackets && strchr(knobs->host, ':') != nullptr) {
    return fail(kUri, "URI \"%s\": an IPv6 address stands in brackets: rdma://[%s]:%s", uri.text, knobs->host,
                knobs->service);
  }
  return kOk;
}

struct Range {
  const char* key;
  uint32_t Knobs::*to;
  uint32_t otherwise;
  uint32_t least;
  uint32_t most;
};

constexpr Range kRanges[] = {
    {"port", &Knobs::port, 0, 1, 255},
    {"sq_depth", &Knobs::send_depth, 0, 32, kSendDepthMost},
    {"rq_depth", &Knobs::receive_depth, 0, 64, kReceiveDepthMost},
    {"inline", &Knobs::inline_bytes, kNotGiven, 0, 4096},
    {"sge", &Knobs::sge, 1, 1, 64},
    {"cq_depth", &Knobs::cq_depth, 0, 32, kEntriesMost},
    {"cq_poll", &Knobs::cq_poll, 8, 1, kCompletionsMost},
    {"signal", &Knobs::signal, 16, 1, 16},
    {"mtu", &Knobs::mtu, 0, 256, 4096},
    {"gid", &Knobs::gid, kNotGiven, 0, kGidMost},
    {"pkey", &Knobs::pkey, kNotGiven, 0, 65535},
    {"sl", &Knobs::sl, kNotGiven, 0, 15},
    {"tclass", &Knobs::tclass, kNotGiven, 0, 255},
    {"hop_limit", &Knobs::hop_limit, kNotGiven, 1, 255},
    {"flow_label", &Knobs::flow_label, kNotGiven, 0, 0xfffff},
    {"static_rate", &Knobs::static_rate, kNotGiven, 0, 24},
    {"path_bits", &Knobs::path_bits, kNotGiven, 0, 127},
    {"min_rnr_timer", &Knobs::min_rnr_timer, kNotGiven, 0, 31},
    {"rd_atomic", &Knobs::rd_atomic, 0, 1, 255},
    {"dest_rd_atomic", &Knobs::dest_rd_atomic, 0, 1, 255},
    {"psn", &Knobs::psn, kNotGiven, 0, 0xffffff},
    {"timeout_ms", &Knobs::timeout_ms, 2000, 1, 600000},
    {"retry_count", &Knobs::retry_count, 6, 0, 6},  // 7 is "for ever" on some devices
    {"ack_timeout", &Knobs::ack_timeout, 0, 1, kAckTimeoutMost},
    {"rnr_retry", &Knobs::rnr_retry, 6, 0, 6},  // 7 is "for ever"
};

bool given(const Uri& uri, const char* key) noexcept {
  char none[2];
  return uri.word(key, none, sizeof none) != kOk || none[0] != '\0';
}

Code read_numbers(const Uri& uri, Knobs* knobs) noexcept {
  for (const Range& r : kRanges) {
    uint64_t value = 0;
    Code code = uri.number(r.key, r.otherwise, &value);
    if (code != kOk) return code;
    if (given(uri, r.key) && (value < r.least || value > r.most)) {
      return fail(kUri, "URI \"%s\": %s=%llu is not in %u..%u", uri.text, r.key, static_cast<unsigned long long>(value),
                  r.least, r.most);
    }
    knobs->*r.to = static_cast<uint32_t>(value);
  }
  if ((knobs->mtu & (knobs->mtu - 1)) != 0)
    return fail(kUri, "URI \"%s\": mtu=%u: there are 256, 512, 1024, 2048 and 4096", uri.text, knobs->mtu);
  return kOk;
}

// Every end writes into its peer; direct grants are for reading and atomics, too.
Code read_access(const Uri& uri, Knobs* knobs) noexcept {
  struct Word {
    const char* text;
    uint32_t access;
  };
  constexpr Word kWords[] = {{"", 0},
                             {"write", kWrite},
                             {"write+read", kWrite | kRead},
                             {"write+atomic", kWrite | kAtomic},
                             {"write+read+atomic", kAllRights}};
  char text[20];
  Code code = uri.word("access", text, sizeof text);
  for (const Word& w : kWords) {
    if (code != kOk || strcmp(w.text, text) != 0) continue;
    knobs->access = w.access;
    return kOk;
  }
  if (code != kOk) return code;
  return fail(kUri, "URI \"%s\": access=%s: there are write, write+read, write+atomic and write+read+atomic", uri.text,
              text);
}

// One of two words; without any it is the first.
Code either(const Uri& uri, const char* key, const char* first, const char* second, bool* is_second) noexcept {
  char word[8];
  Code code = uri.word(key, word, sizeof word);
  if (code != kOk) return code;
  *is_second = strcmp(word, second) == 0;
  if (word[0] == '\0' || *is_second || strcmp(word, first) == 0) return kOk;
  return fail(kUri, "URI \"%s\": %s=%s: there are %s and %s", uri.text, key, word, first, second);
}

// Both ends must say the same (accept.cc).
Code read_path(const Uri& uri, Knobs* knobs) noexcept {
  bool send = false;
  Code code = either(uri, "path", "write", "send", &send);
  knobs->path = send ? kPathSend : kPathWrite;
  if (code != kOk || !send) return code;
  if (given(uri, "access"))
    return fail(kUri, "URI \"%s\": access=...: with path=send the queue pair lets nothing in", uri.text);
  if (knobs->receive_depth > kCellsMost)
    return fail(kUri, "URI \"%s\": rq_depth=%u: with path=send there are at most %u slots", uri.text,
                knobs->receive_depth, kCellsMost);
  knobs->access = 0;
  return kOk;
}

Code only_known(const Uri& uri) noexcept {
  const char* known[sizeof kRanges / sizeof *kRanges + 7] = {"dev", "mode", "access", "pd", "cq", "path"};
  size_t n = 6;
  for (const Range& r : kRanges) known[n++] = r.key;
  return uri.only(known);
}

// The largest that lets all tries end within three quarters of the time-out: a quarter may pass before the first one.
uint32_t fitting_ack_timeout(const Knobs& knobs) noexcept {
  uint64_t each_ns = uint64_t{knobs.timeout_ms} * 750000 / (knobs.retry_count + 1);
  uint32_t t = 1;
  while (t < kAckTimeoutMost && (kAckUnitNs << (t + 1)) <= each_ns) ++t;
  return t;
}

}  // namespace

Code read_knobs(const Uri& given_uri, const char* beneath, Knobs* knobs) noexcept {
  memset(knobs, 0, sizeof *knobs);
  Uri uri = given_uri;
  if (beneath[0] != '\0') {
    uri.lay_beneath(beneath);
    strncat(uri.text, " with rdma_knobs", sizeof uri.text - 1 - strlen(uri.text));  // for reasons
  }
  Code code = only_known(uri);
  if (code == kOk) code = read_address(uri, knobs);
  if (code == kOk) code = read_numbers(uri, knobs);
  if (code == kOk) code = read_access(uri, knobs);
  if (code == kOk) code = read_path(uri, knobs);
  if (code == kOk) code = uri.word("dev", knobs->device, sizeof knobs->device);
  if (code == kOk) code = either(uri, "mode", "poll", "event", &knobs->event);
  if (code == kOk) code = either(uri, "pd", "shared", "own", &knobs->own_pd);
  if (code == kOk) code = either(uri, "cq", "own", "shared", &knobs->shared_cq);
  if (code != kOk) return code;
  if (knobs->ack_timeout == 0) knobs->ack_timeout = fitting_ack_timeout(*knobs);
  return kOk;
}

}  // namespace rc
