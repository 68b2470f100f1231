// Operations on memory regions ask nobody for memory either: carried, between two processes and in one, and direct.
#include <gtest/gtest.h>

#include <string>

#include "harness/api/counting.h"
#include "harness/conformance/tcp_uri.h"
#include "rc.h"

namespace counting {
namespace {

// Operations between two processes: nothing is allocated, mapped or registered for one, at either end.
void expect_none_for_operations_at(const std::string& uri) {
  constexpr int kTimes = 1000;
  rc_config pools = {};
  pools.size = sizeof pools;
  pools.mr_bytes = 1 << 20;
  Children pair;
  pair.run([&](Count* count) {
    rc_ctx ctx;
    rc_listener listener;
    rc_channel ch;
    rc_mr mr{0};
    rc_grant grant{0};
    WANT_RC(RC_OK, rc_open(&pools, &ctx));
    WANT_RC(RC_OK, rc_listen(ctx, uri.c_str(), nullptr, &listener));
    WANT_RC(RC_OK, rc_accept(listener, kPatience, &ch));
    WANT_RC(RC_OK, rc_mr_alloc(ctx, 65536, 0, &mr));
    WANT_RC(RC_OK, rc_mr_grant(ch, mr, 0, 65536, RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC, 0, &grant));
    Section section(count);
    char over;
    WANT_RC(RC_OK, rc_get(ch, &over, 1, kPatience, nullptr));  // serves until the other end is done
  });
  pair.run([&](Count* count) {
    rc_ctx ctx;
    rc_channel ch;
    rc_mr mr{0};
    rc_remote remote{0};
    WANT_RC(RC_OK, rc_open(&pools, &ctx));
    WANT_RC(RC_OK, rc_connect(ctx, uri.c_str(), nullptr, kPatience, &ch));
    WANT_RC(RC_OK, rc_mr_alloc(ctx, 65536, 0, &mr));
    WANT_RC(RC_OK, rc_remote_get(ch, kPatience, &remote));
    Section section(count);
    const rc_slice slices[2] = {{mr, 0, 1000}, {mr, 5000, 60000}};
    for (int i = 0; i < kTimes; ++i) {
      rc_request all[5];
      WANT_RC(RC_OK, rc_write(mr, 0, remote, 0, 64, &all[0]));
      WANT_RC(RC_OK, rc_read(mr, 0, remote, 0, 64, &all[1]));
      WANT_RC(RC_OK, rc_fetch_add(remote, 0, 1, &all[2]));
      WANT_RC(RC_OK, rc_writev(slices, 2, remote, 0, nullptr, &all[3]));
      WANT_RC(RC_OK, rc_readv(slices, 2, remote, 0, &all[4]));
      for (rc_request request : all) WANT_RC(RC_OK, rc_request_wait(request, kPatience, nullptr));
    }
    rc_region region = {};
    region.size = sizeof region;
    WANT_RC(RC_OK, rc_mr_info(mr, &region));
    want(count, 0, static_cast<int32_t>(region.requests), "requests that hold the region");
    WANT_RC(RC_OK, rc_put(ch, "", 1, kPatience, nullptr));
  });
  SKIP_WITHOUT_SECCOMP(pair.count(0));
  expect_none(pair.count(0));
  expect_none(pair.count(1));
}

TEST(Allocation, NoneForOperationsOverShm) { expect_none_for_operations_at(random_uri("shm")); }

TEST(Allocation, NoneForOperationsOverTcp) { expect_none_for_operations_at(conformance::unique_tcp_uri("127.0.0.1")); }

// For memory regions out of the pool, grants and operations.
TEST(Allocation, NoneForOperations) {
  Children one;
  one.run([](Count* count) {
    rc_config config = {};
    config.size = sizeof config;
    config.mr_bytes = 1 << 20;
    config.peer_mr_bytes = 4096;
    rc_ctx ctx;
    rc_channel near{0}, far{0};
    WANT_RC(RC_OK, rc_open(&config, &ctx));
    connect_both(ctx, &near, &far, count);
    Section section(count);
    for (int i = 0; i < 100; ++i) {
      rc_mr local{0}, lent{0};
      rc_grant grant{0};
      rc_remote remote{0};
      rc_request write{0}, read{0}, add{0}, list{0};
      rc_slice slices[2] = {}, rest = {};
      WANT_RC(RC_OK, rc_mr_alloc(ctx, 4096, 0, &local));
      WANT_RC(RC_OK, rc_mr_alloc(ctx, 4096, 0, &lent));
      WANT_RC(RC_OK, rc_mr_grant(far, lent, 0, 4096, RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC, 0, &grant));
      WANT_RC(RC_OK, rc_remote_get(near, 0, &remote));
      WANT_RC(RC_OK, rc_write(local, 0, remote, 0, 4096, &write));
      WANT_RC(RC_OK, rc_read(local, 0, remote, 0, 4096, &read));
      WANT_RC(RC_OK, rc_fetch_add(remote, 8, 1, &add));
      WANT_RC(RC_OK, rc_write(local, 0, remote, 64, 8, nullptr));
      WANT_RC(RC_OK, rc_mr_slice(local, 0, 100, &rest));
      WANT_RC(RC_OK, rc_slice_next(&rest, 33, &slices[0]));
      WANT_RC(RC_OK, rc_slice_next(&rest, 67, &slices[1]));
      WANT_RC(RC_OK, rc_writev(slices, 2, remote, 8, nullptr, &list));
      WANT_RC(RC_OK, rc_readv(slices, 2, remote, 8, nullptr));
      WANT_RC(RC_OK, rc_progress(far));
      WANT_RC(RC_OK, rc_request_wait(list, 0, nullptr));
      WANT_RC(RC_OK, rc_request_wait(add, 0, nullptr));
      WANT_RC(RC_OK, rc_request_wait(read, 0, nullptr));
      WANT_RC(RC_OK, rc_request_wait(write, 0, nullptr));
      WANT_RC(RC_OK, rc_grant_revoke(grant));
      WANT_RC(RC_OK, rc_remote_release(remote));
      WANT_RC(RC_OK, rc_mr_free(lent));
      WANT_RC(RC_OK, rc_mr_free(local));
      WANT_RC(RC_E_WOULD_BLOCK, rc_remote_alloc(near, 4096, RC_MR_READ, 0, 0, &remote));
      WANT_RC(RC_OK, rc_progress(far));
      WANT_RC(RC_OK, rc_progress(near));
      WANT_RC(RC_OK, rc_progress(far));
    }
  });
  SKIP_WITHOUT_SECCOMP(one.count(0));
  expect_none(one.count(0));
}

// For operations on memory that is granted directly, once it is.
TEST(Allocation, NoneForDirectOperations) {
  Children one;
  one.run([](Count* count) {
    rc_config config = {};
    config.size = sizeof config;
    config.mr_bytes = 1 << 20;
    rc_ctx ctx;
    rc_channel near{0}, far{0};
    rc_mr local{0}, lent{0};
    rc_grant grant{0};
    rc_remote remote{0};
    WANT_RC(RC_OK, rc_open(&config, &ctx));
    connect_both(ctx, &near, &far, count, "shm");
    WANT_RC(RC_OK, rc_mr_alloc(ctx, 65536, 0, &local));
    WANT_RC(RC_OK, rc_mr_alloc(ctx, 65536, 0, &lent));
    WANT_RC(RC_OK, rc_mr_grant(far, lent, 0, 65536, RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC | RC_MR_DIRECT,
                               RC_LEASE_NONE, &grant));
    WANT_RC(RC_OK, rc_remote_get(near, 0, &remote));
    Section section(count);
    for (int i = 0; i < 1000; ++i) {
      rc_request write{0}, read{0}, add{0};
      WANT_RC(RC_OK, rc_write(local, 0, remote, 0, 65536, &write));
      WANT_RC(RC_OK, rc_read(local, 0, remote, 0, 65536, &read));
      WANT_RC(RC_OK, rc_fetch_add(remote, 8, 1, &add));
      WANT_RC(RC_OK, rc_compare_swap(remote, 8, 1, 2, nullptr));
      WANT_RC(RC_OK, rc_request_test(add, nullptr));
      WANT_RC(RC_OK, rc_request_test(read, nullptr));
      WANT_RC(RC_OK, rc_request_test(write, nullptr));
    }
  });
  SKIP_WITHOUT_SECCOMP(one.count(0));
  expect_none(one.count(0));
}

}  // namespace
}  // namespace counting
