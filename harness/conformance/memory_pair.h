// A pair whose far end grants the near one some of its memory.
#ifndef HARNESS_CONFORMANCE_MEMORY_PAIR_H_
#define HARNESS_CONFORMANCE_MEMORY_PAIR_H_

#include <string.h>

#include <string>
#include <vector>

#include "harness/conformance/about.h"
#include "harness/conformance/memory_actor.h"
#include "harness/conformance/pair.h"

namespace conformance {

class MemoryPair : public Pair {
 protected:
  static constexpr uint64_t kBytes = 4096;
  static constexpr uint32_t kAll = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;

  void SetUp() override {
    Pair::SetUp();
    connect();
    ASSERT_RC(RC_OK, rc_mr_alloc(ctx_, kPoolBytes / 4, 0, &local_));
  }
  bool has_regions() const override { return true; }

  static Call on(Op op, uint64_t n = 0, uint64_t offset = 0, uint64_t value = 0, uint32_t item = 0) {
    Call call{op};
    call.n = n;
    call.offset = offset;
    call.value = value;
    call.item = item;
    return call;
  }
  // A call of the far end that would block until this end does something.
  Reply far_soon(Call call) {
    call.timeout_ns = 0;
    Reply reply;
    eventually([&] {
      reply = far().call(call);
      if (reply.code == RC_E_WOULD_BLOCK) rc_progress(ch_);
      return reply.code != RC_E_WOULD_BLOCK;
    });
    return reply;
  }
  // Fewer on a backend that takes many calls to move anything.
  static uint64_t rounds(uint64_t n) { return backend().lands_alone ? n : n / 20; }
  // The far end has a region of n bytes, all `value`, and grants it; returns the token.
  std::string lend(uint64_t n = kBytes, uint32_t rights = kAll, int64_t lease_ns = 0, uint32_t item = 0) {
    EXPECT_FAR(RC_OK, 0u, far().call(on(Op::kMrAlloc, n, 0, kFarByte, item)));
    Call grant = on(Op::kGrant, n, 0, 0, item);
    grant.rights = rights;
    grant.lease_ns = lease_ns;
    Reply reply = far().call(grant);
    EXPECT_EQ(RC_OK, reply.code) << reply.reason;
    if ((rights & RC_MR_BY_TOKEN) == 0) remote_ = next_remote();
    return std::string(reply.text, RC_TOKEN_BYTES);
  }
  rc_remote next_remote() {
    rc_remote remote{0};
    int32_t code = RC_E_WOULD_BLOCK;
    eventually([&] {
      code = rc_remote_get(ch_, 0, &remote);
      return code != RC_E_WOULD_BLOCK;
    });
    EXPECT_EQ(RC_OK, code) << rc_reason();
    return remote;
  }
  rc_remote open(const std::string& token) {
    rc_remote remote{0};
    EXPECT_RC(RC_OK, rc_remote_open(ch_, reinterpret_cast<const uint8_t*>(token.data()), &remote));
    return remote;
  }

  // How a request ends; the far end serves meanwhile.
  int32_t finish(rc_request request, uint64_t* value = nullptr) {
    int32_t code = RC_E_WOULD_BLOCK;
    eventually([&] {
      code = rc_request_test(request, value);
      if (code == RC_E_WOULD_BLOCK && !far().pending()) far().progress();
      return code != RC_E_WOULD_BLOCK;
    });
    return code;
  }
  // What `post` posts is in the far region before the notice of the put behind it is got, round by round. n: the bytes
  // here that say which round it is. post: gives the requests to be waited for.
  template <class Post>
  void expect_notices_behind(uint64_t n, uint64_t times, Post post) {
    far().start(on(Op::kNotices, times));
    for (uint64_t round = 1; round <= times; ++round) {
      auto notice = static_cast<uint8_t>(round);
      char answer = 0;
      memset(local(), notice, n);
      const std::vector<rc_request> requests = post();
      ASSERT_RC(RC_OK, rc_put(ch_, &notice, 1, kPatience, nullptr));
      ASSERT_RC(RC_OK, rc_get(ch_, &answer, 1, kPatience, nullptr));
      for (rc_request request : requests) ASSERT_RC(RC_OK, finish(request));
    }
    Reply reply = far().finish();
    EXPECT_EQ(RC_OK, reply.code) << "round " << reply.wrong << ": " << reply.reason;
    EXPECT_EQ(times, reply.done);
  }
  int32_t write(uint64_t at, uint64_t n) {
    rc_request request{0};
    int32_t code = rc_write(local_, 0, remote_, at, n, &request);
    return code == RC_OK ? finish(request) : code;
  }
  int32_t read(uint64_t at, uint64_t n) {
    rc_request request{0};
    int32_t code = rc_read(local_, 0, remote_, at, n, &request);
    return code == RC_OK ? finish(request) : code;
  }
  // Asked for byte by byte.
  uint8_t* local() {
    if (local_.id != asked_.id) bytes_here_ = bytes_of(local_);
    asked_ = local_;
    return bytes_here_;
  }
  int64_t figure(const char* name) const {
    int64_t value = -1;
    EXPECT_RC(RC_OK, rc_channel_figure(ch_, name, &value));
    return value;
  }
  // So many of the far region's bytes from `at` on are this.
  uint64_t far_count(uint64_t at, uint64_t n, uint8_t value) { return far().call(on(Op::kMrCount, n, at, value)).done; }
  void expect_far_untouched(uint64_t n = kBytes) { EXPECT_EQ(n, far_count(0, n, kFarByte)); }

  static constexpr uint8_t kFarByte = 0xfa;
  rc_mr local_{0};
  rc_remote remote_{0};

 private:
  rc_mr asked_{0};  // the region that bytes_here_ are of
  uint8_t* bytes_here_ = nullptr;
};

class Operations : public MemoryPair {};
class Requests : public MemoryPair {};
class Completions : public MemoryPair {
 protected:
  // Of this end: nobody has been told.
  bool serve_until_over() {
    return eventually([this] {
      far().progress();
      rc_progress(ch_);
      return about(local_).requests == 0;
    });
  }
  // So many of them, in their order; the far end serves meanwhile.
  std::vector<rc_completion> told(size_t n) {
    std::vector<rc_completion> all(n + 1);
    size_t have = 0;
    eventually([&] {
      uint32_t count = 0;
      int32_t code = rc_completions_get(ch_, &all[have], static_cast<uint32_t>(all.size() - have), 0, &count);
      have += count;
      if (code == RC_E_WOULD_BLOCK && have < n) far().progress();
      return have >= n || code != (count != 0 ? RC_OK : RC_E_WOULD_BLOCK);
    });
    EXPECT_EQ(n, have) << rc_reason();
    all.resize(have);
    return all;
  }
};
class Lists : public MemoryPair {};
class Grants : public MemoryPair {};

class RemoteMemory : public MemoryPair {
 protected:
  // Asks while the far end serves.
  int32_t ask(uint64_t bytes, uint32_t rights, int64_t lease_ns = 0) {
    far().start(Far::bytes(Op::kGet, 1));
    int32_t code = rc_remote_alloc(ch_, bytes, rights, lease_ns, kPatience, &remote_);
    reason_ = code != RC_OK ? rc_reason() : "";
    put(1);
    EXPECT_FAR(RC_OK, 1u, far().finish());
    return code;
  }
  int32_t give_back() {
    far().start(Far::bytes(Op::kGet, 1));
    int32_t code = rc_remote_give_back(remote_, kPatience);
    put(1);
    EXPECT_FAR(RC_OK, 1u, far().finish());
    return code;
  }
  static constexpr uint32_t kReadWrite = RC_MR_READ | RC_MR_WRITE;
  std::string reason_;  // of what was asked for last
};

}  // namespace conformance

#endif  // HARNESS_CONFORMANCE_MEMORY_PAIR_H_
