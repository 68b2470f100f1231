// Scenarios C7 to C9: where grants end, and that nothing happens beyond.
#include <stdint.h>
#include <string.h>

#include <chrono>
#include <thread>

#include "harness/conformance/roles.h"

namespace conformance {
namespace {

constexpr uint64_t kRing = 64 * 1024;
constexpr uint32_t kReadWrite = RC_MR_READ | RC_MR_WRITE;
constexpr uint32_t kAll = kReadWrite | RC_MR_ATOMIC;

bool lease_of(Role& role, rc_remote remote, rc_lease* lease) {
  *lease = {};
  lease->size = sizeof *lease;
  WANT_RC(RC_OK, rc_remote_info(remote, lease));
  return true;
}

bool read_into(Role& role, rc_mr mr, rc_remote remote, uint64_t offset, uint64_t bytes) {
  rc_request request;
  WANT_RC(RC_OK, rc_read(mr, offset, remote, offset, bytes, &request));
  return finish(role, RC_OK, request, nullptr);
}

// ------------------------------------------------------------------------------------------------ C7

constexpr uint64_t kSliced = 4096;

struct Slice {
  uint64_t from, to;
  uint64_t bytes() const { return to - from; }  // modulo 2^64, as whoever reckons so passes it on
};
constexpr Slice kServed[] = {{0, 4096}, {2048, 4096}, {1000, 4000}, {1234, 1235}};
constexpr Slice kRefused[] = {
    {4000, 1000},
    {1, 0},
    {8, 4},
    {UINT64_MAX, 0},  // reversed; the sum overflows
    {0, 0},
    {1234, 1234},
    {4096, 4096},
    {UINT64_MAX, UINT64_MAX},  // empty
    {0, 4097},
    {4095, 4097},
    {4096, 4097},
    {5000, UINT64_MAX},   // over-long
    {UINT64_MAX - 3, 4},  // few bytes, and the sum overflows
};

uint8_t pattern(uint64_t i) { return static_cast<uint8_t>(1 + i % 251); }

// The client has written 1 to the first served slice, then 2 to the second, and so on.
bool c7_written(Role& role, const uint8_t* data) {
  for (uint64_t i = 0; i < 2 * kSliced; ++i) {
    uint8_t wanted = 7, number = 0;
    for (const Slice& s : kServed) {
      ++number;
      if (i >= s.from && i < s.to) wanted = number;
    }
    WANT(data[i] == wanted);
  }
  return true;
}

bool c7_server(Role& role) {
  rc_listener listener;
  rc_channel channel;
  rc_mr mine, wide;
  rc_grant none{99};
  rc_region region;
  uint8_t *data, *rest;
  WANT(accept_ring(role, kRing, &listener, &channel));
  WANT(make_region(role, kSliced, 0, &mine, &data));
  WANT(make_region(role, 2 * kSliced, 7, &wide, &rest));
  for (uint64_t i = 0; i < kSliced; ++i) data[i] = pattern(i);
  for (const Slice& s : kRefused) {
    WANT_RC(RC_E_RANGE, rc_mr_grant(channel, mine, s.from, s.bytes(), kAll, 0, &none));
    WANT(none.id == 0);
  }
  WANT(about(role, mine, &region));
  WANT(region.grants == 0);
  WANT(lend(role, channel, mine, 0, kSliced, kAll));
  WANT(lend(role, channel, wide, 0, 2 * kSliced, kAll));
  for (const Slice& s : kServed) WANT(lend(role, channel, mine, s.from, s.bytes(), kAll));
  WANT(hear(role, channel));
  for (uint64_t i = 0; i < kSliced; ++i) WANT(data[i] == pattern(i));
  WANT(c7_written(role, rest));
  WANT(hear_close(role, channel));
  WANT_RC(RC_OK, rc_mr_free(mine));
  WANT_RC(RC_OK, rc_mr_free(wide));
  return rc_listener_close(listener) == RC_OK;
}

bool c7_shows(Role& role, const uint8_t* data, const Slice& slice, uint64_t at) {
  for (uint64_t i = 0; i < kSliced; ++i)
    WANT(data[i] == (i >= at && i < at + slice.bytes() ? pattern(slice.from + i - at) : 0));
  return true;
}

// Slices of a region, of what was granted, and granted ones.
bool c7_served(Role& role, rc_channel channel, rc_mr mine, uint8_t* data, rc_remote whole, rc_remote wide) {
  uint8_t number = 0;
  for (const Slice& s : kServed) {
    rc_remote part;
    rc_lease lease;
    rc_request request;
    memset(data, 0, kSliced);
    WANT(read_into(role, mine, whole, s.from, s.bytes()));
    WANT(c7_shows(role, data, s, s.from));
    memset(data + s.from, ++number, s.bytes());
    WANT_RC(RC_OK, rc_write(mine, s.from, wide, s.from, s.bytes(), &request));
    WANT(finish(role, RC_OK, request, nullptr));
    memset(data, 0, kSliced);
    WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &part));
    WANT(lease_of(role, part, &lease));
    WANT(lease.bytes == s.bytes());
    WANT(read_into(role, mine, part, 0, s.bytes()));
    WANT(c7_shows(role, data, s, 0));
    WANT_RC(RC_E_RANGE, rc_write(mine, 0, part, 1, s.bytes(), nullptr));
    fprintf(role.out, "[%llu,%llu) is served\n", static_cast<unsigned long long>(s.from),
            static_cast<unsigned long long>(s.to));
  }
  return true;
}

// The region is the smaller one, then what was granted is.
bool c7_refused(Role& role, rc_mr mine, rc_mr roomy, rc_remote whole, rc_remote wide) {
  rc_request none{99};
  for (const Slice& s : kRefused) {
    WANT_RC(RC_E_RANGE, rc_write(mine, s.from, wide, 0, s.bytes(), &none));
    WANT_RC(RC_E_RANGE, rc_read(mine, s.from, wide, 0, s.bytes(), &none));
    WANT_RC(RC_E_RANGE, rc_write(roomy, 0, whole, s.from, s.bytes(), &none));
    WANT_RC(RC_E_RANGE, rc_read(roomy, 0, whole, s.from, s.bytes(), &none));
    WANT_RC(RC_E_RANGE, rc_write_imm(roomy, 0, whole, s.from, s.bytes(), 1, &none));
    WANT(none.id == 0);
  }
  for (rc_mr mr : {mine, roomy}) {
    rc_region region;
    WANT(about(role, mr, &region));
    WANT(region.requests == 0);
  }
  fprintf(role.out, "%zu other slices are refused\n", sizeof kRefused / sizeof kRefused[0]);
  return true;
}

bool c7_client(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  rc_mr mine, roomy;
  uint8_t *data, *room;
  rc_remote whole, wide;
  WANT(make_region(role, kSliced, 0, &mine, &data));
  WANT(make_region(role, 2 * kSliced, 9, &roomy, &room));
  WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &whole));
  WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &wide));
  WANT(c7_served(role, channel, mine, data, whole, wide));
  memset(data, 9, kSliced);
  WANT(c7_refused(role, mine, roomy, whole, wide));
  WANT(all_are(data, kSliced, 9));
  WANT(all_are(room, 2 * kSliced, 9));
  WANT(say(role, channel));
  WANT_RC(RC_OK, rc_mr_free(mine));
  WANT_RC(RC_OK, rc_mr_free(roomy));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

// ------------------------------------------------------------------------------------------------ C8

constexpr uint64_t kGuarded = 64;

// argument: a Form.
bool c8_server(Role& role) {
  rc_listener listener;
  rc_channel channel;
  rc_mr mine;
  uint8_t* data;
  WANT(accept_ring(role, kRing, &listener, &channel));
  WANT(make_region(role, kGuarded, 7, &mine, &data));
  WANT(lend_formed(role, channel, mine, kGuarded, RC_MR_READ));
  WANT_RC(RC_E_IN_USE, rc_mr_free(mine));
  WANT(hear(role, channel));
  WANT(all_are(data, kGuarded, 7));
  fprintf(role.out, "%llu bytes of 7\n", static_cast<unsigned long long>(kGuarded));
  WANT(hear_close(role, channel));
  WANT_RC(RC_OK, rc_mr_free(mine));
  return rc_listener_close(listener) == RC_OK;
}

bool c8_only_read(Role& role, rc_channel channel, rc_mr mine, const uint8_t* data) {
  rc_remote remote;
  rc_lease lease;
  rc_request none{99};
  WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &remote));
  WANT(lease_of(role, remote, &lease));
  WANT(lease.rights == (role.argument == kDirect ? RC_MR_READ | RC_MR_DIRECT : RC_MR_READ));
  WANT_RC(RC_E_RIGHTS, rc_write(mine, 0, remote, 0, kGuarded, &none));
  WANT_RC(RC_E_RIGHTS, rc_write_imm(mine, 0, remote, 0, kGuarded, 1, &none));
  WANT_RC(RC_E_RIGHTS, rc_compare_swap(remote, 0, 0, 1, &none));
  WANT_RC(RC_E_RIGHTS, rc_fetch_add(remote, 0, 1, &none));
  WANT(none.id == 0);
  fprintf(role.out, "a write is RC_E_RIGHTS\n");
  WANT(read_into(role, mine, remote, 0, kGuarded));
  WANT(all_are(data, kGuarded, 7));
  return true;
}

bool c8_cap(Role& role, rc_channel channel, rc_mr mine) {
  constexpr int64_t kLease = 0;
  rc_remote first, second, third{99};
  WANT_RC(RC_E_LIMIT, rc_remote_alloc(channel, kPeerAsks + 1, kReadWrite, kLease, kRolePatience, &third));
  WANT_RC(RC_E_LIMIT, rc_remote_alloc(channel, 8, kAll, kLease, kRolePatience, &third));
  WANT_RC(RC_E_LIMIT, rc_remote_alloc(channel, 8, kReadWrite, RC_LEASE_MAX + 1, kRolePatience, &third));
  WANT_RC(RC_OK, rc_remote_alloc(channel, kPeerAsks, kReadWrite, kLease, kRolePatience, &first));
  WANT_RC(RC_OK, rc_remote_alloc(channel, kPeerAsks, RC_MR_READ, kLease, kRolePatience, &second));
  WANT_RC(RC_E_LIMIT, rc_remote_alloc(channel, 1, kReadWrite, kLease, kRolePatience, &third));
  WANT(third.id == 0);
  WANT_RC(RC_E_RIGHTS, rc_write(mine, 0, second, 0, 8, nullptr));
  WANT_RC(RC_E_RIGHTS, rc_fetch_add(first, 0, 1, nullptr));
  WANT_RC(RC_OK, rc_remote_release(second));
  WANT_RC(RC_OK, rc_remote_alloc(channel, kPeerAsks, kReadWrite, kLease, kRolePatience, &third));
  WANT_RC(RC_OK, rc_remote_release(first));
  WANT_RC(RC_OK, rc_remote_release(third));
  fprintf(role.out, "two regions of %llu bytes are the most\n", static_cast<unsigned long long>(kPeerAsks));
  return true;
}

bool c8_client(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  rc_mr mine;
  uint8_t* data;
  WANT(make_region(role, kGuarded, 9, &mine, &data));
  WANT(c8_only_read(role, channel, mine, data));
  WANT(c8_cap(role, channel, mine));
  WANT(say(role, channel));
  WANT_RC(RC_OK, rc_mr_free(mine));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

// ------------------------------------------------------------------------------------------------ C9

constexpr uint64_t kWord = 8;
constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kShortLease = 100 * kMs, kLongLease = 500 * kMs;
constexpr std::chrono::milliseconds kUseAfter(200);

bool c9_server(Role& role) {
  rc_listener listener;
  rc_channel channel;
  rc_mr mine, back;
  rc_region region;
  rc_grant grant;
  rc_lease lease = {};
  lease.size = sizeof lease;
  uint8_t* data;
  WANT(accept_ring(role, kRing, &listener, &channel));
  WANT(make_region(role, kWord, 7, &mine, &data));
  WANT(hear(role, channel));
  WANT_RC(RC_OK, rc_mr_grant(channel, mine, 0, kWord, kAll, kShortLease, &grant));
  WANT(hear(role, channel));  // it has tried to use what it was granted, and before what it had asked for
  print_bytes(role, data, kWord);
  WANT_RC(RC_OK, rc_grant_info(grant, &lease));
  WANT(lease.left_ns == 0);
  WANT_RC(RC_E_WOULD_BLOCK, rc_mr_take_back(channel, 0, &back));
  WANT_RC(RC_OK, rc_mr_free(mine));  // the lease is over
  WANT(say(role, channel));
  WANT_RC(RC_OK, rc_mr_take_back(channel, kRolePatience, &back));
  WANT(about(role, back, &region));
  print_bytes(role, static_cast<uint8_t*>(region.address), region.bytes);
  WANT_RC(RC_OK, rc_mr_free(back));
  WANT(hear_close(role, channel));
  return rc_listener_close(listener) == RC_OK;
}

bool c9_too_late(Role& role, rc_mr mine, const uint8_t* data, rc_remote remote, const char* which) {
  rc_lease lease;
  rc_request request;
  std::this_thread::sleep_for(kUseAfter);
  WANT(lease_of(role, remote, &lease));
  WANT(lease.left_ns == 0);
  WANT_RC(RC_OK, rc_write(mine, 0, remote, 0, kWord, &request));  // the owner's clock decides
  WANT(finish(role, RC_E_EXPIRED, request, nullptr));
  WANT_RC(RC_OK, rc_read(mine, 0, remote, 0, kWord, &request));
  WANT(finish(role, RC_E_EXPIRED, request, nullptr));
  WANT(all_are(data, kWord, 1));
  WANT_RC(RC_E_EXPIRED, rc_remote_give_back(remote, kRolePatience));
  WANT_RC(RC_OK, rc_remote_release(remote));
  fprintf(role.out, "%s: RC_E_EXPIRED after 200 ms of 100\n", which);
  return true;
}

// late: the machine was so slow that the lease had ended.
bool c9_within(Role& role, rc_channel channel, rc_mr mine, bool* late) {
  rc_remote remote;
  rc_lease lease;
  rc_request request;
  auto begin = std::chrono::steady_clock::now();
  WANT_RC(RC_OK, rc_remote_alloc(channel, kWord, kReadWrite, kLongLease, kRolePatience, &remote));
  std::this_thread::sleep_for(kUseAfter);
  WANT(lease_of(role, remote, &lease));
  WANT(lease.left_ns <= kLongLease - 200 * kMs);
  WANT_RC(RC_OK, rc_write(mine, 0, remote, 0, kWord, &request));
  int32_t code = rc_request_wait(request, kRolePatience, nullptr);
  if (code == RC_OK) code = rc_remote_give_back(remote, kRolePatience);
  *late = std::chrono::steady_clock::now() - begin >= std::chrono::nanoseconds(kLongLease);
  WANT(lease.left_ns > 0 || *late);
  if (code == RC_E_EXPIRED && *late) return rc_remote_release(remote) == RC_OK;
  *late = false;
  WANT_RC(RC_OK, code);
  fprintf(role.out, "asked for: good after 200 ms of 500\n");
  return true;
}

bool c9_client(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  rc_mr mine;
  uint8_t* data;
  rc_remote remote;
  WANT(make_region(role, kWord, 1, &mine, &data));
  WANT_RC(RC_OK, rc_remote_alloc(channel, kWord, kReadWrite, kShortLease, kRolePatience, &remote));
  WANT(c9_too_late(role, mine, data, remote, "asked for"));
  WANT(say(role, channel));
  WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &remote));
  WANT(c9_too_late(role, mine, data, remote, "granted"));
  WANT(say(role, channel));
  WANT(hear(role, channel));
  bool late = true;
  for (int tries = 0; late && tries < 20; ++tries) WANT(c9_within(role, channel, mine, &late));
  WANT(!late);
  WANT_RC(RC_OK, rc_mr_free(mine));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

}  // namespace

std::vector<std::pair<std::string, Play>> bounds_roles() {
  return {{"c7_server", c7_server}, {"c7_client", c7_client}, {"c8_server", c8_server},
          {"c8_client", c8_client}, {"c9_server", c9_server}, {"c9_client", c9_client}};
}

}  // namespace conformance
