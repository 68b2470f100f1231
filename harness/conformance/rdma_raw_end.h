// One raw endpoint with a region of its own, for the tests of raw endpoints.
#ifndef HARNESS_CONFORMANCE_RDMA_RAW_END_H_
#define HARNESS_CONFORMANCE_RDMA_RAW_END_H_

#include <sys/socket.h>

#include <string>

#include "harness/conformance/about.h"
#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {

inline constexpr uint64_t kRegion = 65536;

struct End {
  explicit End(const std::string& query = "") {
    rc_config config = {};
    config.size = sizeof config;
    config.ring_bytes = 4096;
    config.mr_bytes = 2 * kRegion;
    EXPECT_RC(RC_OK, rc_open(&config, &ctx));
    address.size = sizeof address;
    EXPECT_RC(RC_OK, rc_raw_open(ctx, rdma_uri(query).c_str(), &address, &raw));
    EXPECT_RC(RC_OK, rc_mr_alloc(ctx, kRegion, 0, &mr));
    bytes = bytes_of(mr);
  }
  ~End() { EXPECT_RC(RC_OK, rc_close(ctx)); }
  End(const End&) = delete;
  End& operator=(const End&) = delete;

  int32_t connect(const End& peer) { return rc_raw_connect(raw, &peer.address); }
  int32_t receive(uint64_t offset, uint64_t n, uint64_t tag) { return rc_raw_post_recv(raw, mr, offset, n, tag); }
  int32_t send(uint64_t offset, uint64_t n, uint64_t tag, const uint32_t* imm = nullptr) {
    return rc_raw_post_send(raw, mr, offset, n, imm, tag);
  }
  void fill(uint64_t offset, uint64_t n, uint64_t from) const {
    for (uint64_t i = 0; i < n; ++i) bytes[offset + i] = pattern_byte(kNearToFar, from + i);
  }
  // The first byte that is not as filled, or n.
  uint64_t wrong(uint64_t offset, uint64_t n, uint64_t from) const {
    uint64_t i = 0;
    while (i < n && bytes[offset + i] == pattern_byte(kNearToFar, from + i)) ++i;
    return i;
  }
  // The next completion.
  rc_raw_completion next(int64_t timeout_ns = kPatience) {
    rc_raw_completion c = {};
    uint32_t count = 0;
    EXPECT_RC(RC_OK, rc_raw_poll(raw, &c, 1, timeout_ns, &count));
    EXPECT_EQ(1u, count);
    return c;
  }
  uint32_t requests() const { return about(mr).requests; }

  rc_ctx ctx{0};
  rc_raw raw{0};
  rc_raw_address address = {};
  rc_mr mr{0};
  uint8_t* bytes = nullptr;
};

inline void expect_completion(const rc_raw_completion& c, uint32_t kind, uint64_t tag, int32_t code,
                              const char* word = "") {
  EXPECT_EQ(kind, c.kind);
  EXPECT_EQ(tag, c.tag);
  std::string reason = c.reason != nullptr ? c.reason : "";
  EXPECT_EQ(code, c.code) << reason;
  EXPECT_NE(std::string::npos, reason.find(word)) << reason;
}

inline bool whole(int fd, void* to, size_t n, bool out) {
  for (size_t done = 0; done < n;) {
    char* at = static_cast<char*>(to) + done;
    ssize_t some = out ? send(fd, at, n - done, MSG_NOSIGNAL) : recv(fd, at, n - done, 0);
    if (some <= 0) return false;
    done += static_cast<size_t>(some);
  }
  return true;
}

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_RDMA_RAW_END_H_
