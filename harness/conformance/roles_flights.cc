// Scenarios C6 and C10: atomics of both sides, and many operations in flight.
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "harness/conformance/roles.h"

namespace conformance {
namespace {

constexpr uint64_t kRing = 64 * 1024;
constexpr uint32_t kAll = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;
constexpr uint32_t kFlights = 64;  // rc_config.requests_max, if nothing else is said
constexpr uint64_t kSevens = UINT64_C(0x0707070707070707);

// ------------------------------------------------------------------------------------------------ C6

constexpr uint64_t kWord = sizeof(uint64_t);
constexpr uint64_t kOnes = UINT64_C(0x0101010101010101);
constexpr uint64_t kAtomicBytes = 64;

// Adds as often to a word of its own as the peer does: each time as soon as the peer has, so that the two meet.
bool c6_add_own(Role& role, rc_channel channel, uint64_t* word) {
  constexpr int kTurns = 1000;
  std::atomic<bool> over{false};
  auto own = std::async(std::launch::async, [&] {
    for (uint64_t i = 0; i < role.argument; ++i) {
      for (int turns = 0; __atomic_load_n(word, __ATOMIC_RELAXED) < 2 * i + 1 && !over; ++turns) {
        if (turns > kTurns) std::this_thread::yield();
      }
      __atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
    }
  });
  bool heard = hear(role, channel);
  over = true;
  own.wait();
  fprintf(role.out, "the sum is %llu\n", static_cast<unsigned long long>(*word));
  return heard;
}

// argument: how often each side adds.
bool c6_server(Role& role) {
  rc_listener listener;
  rc_channel channel;
  rc_mr mine;
  uint8_t* data;
  WANT(accept_ring(role, kRing, &listener, &channel));
  WANT(make_region(role, kAtomicBytes, 7, &mine, &data));
  memset(data, 0, kWord);
  WANT(lend(role, channel, mine, 0, kAtomicBytes, kAll));
  WANT(lend(role, channel, mine, kWord, 4, kAll));
  WANT(lend(role, channel, mine, kWord, 7, kAll));
  WANT(hear(role, channel));
  print_bytes(role, data, kWord);
  WANT(say(role, channel));
  WANT(hear(role, channel));  // it has tried what it must not
  WANT(all_are(data, kWord, 1));
  WANT(all_are(data + kWord, kAtomicBytes - kWord, 7));
  memset(data + kWord, 0, kWord);
  WANT(say(role, channel));
  WANT(c6_add_own(role, channel, reinterpret_cast<uint64_t*>(data + kWord)));
  WANT(hear_close(role, channel));
  WANT_RC(RC_OK, rc_mr_free(mine));
  return rc_listener_close(listener) == RC_OK;
}

bool c6_refused(Role& role, rc_remote remote, uint64_t offset, int32_t wanted) {
  rc_request request{0};
  int32_t code = rc_fetch_add(remote, offset, 1, &request);
  WANT_RC(wanted, code == RC_OK ? rc_request_wait(request, kRolePatience, nullptr) : code);
  code = rc_compare_swap(remote, offset, kSevens, 0, &request);
  WANT_RC(wanted, code == RC_OK ? rc_request_wait(request, kRolePatience, nullptr) : code);
  return true;
}

bool c6_swap(Role& role, rc_remote remote) {
  rc_request request;
  uint64_t old = 99;
  WANT_RC(RC_OK, rc_compare_swap(remote, 0, 0, kOnes, &request));
  WANT(finish(role, RC_OK, request, &old));
  fprintf(role.out, "the old value is %llu\n", static_cast<unsigned long long>(old));
  WANT_RC(RC_OK, rc_compare_swap(remote, 0, 0, 5, &request));  // it is 0 no more
  WANT(finish(role, RC_OK, request, &old));
  WANT(old == kOnes);
  return true;
}

// As many in flight as may be; the old values grow, whoever else adds.
bool c6_add(Role& role, rc_remote remote) {
  rc_request flights[kFlights];
  uint64_t posted = 0, least = 0;
  for (uint64_t over = 0; over < role.argument; ++over) {
    for (; posted < role.argument && posted - over < kFlights; ++posted)
      WANT_RC(RC_OK, rc_fetch_add(remote, kWord, 1, &flights[posted % kFlights]));
    uint64_t old = 0;
    WANT(finish(role, RC_OK, flights[over % kFlights], &old));
    WANT(over == 0 ? old == 0 : old >= least);
    least = old + 1;
  }
  return true;
}

bool c6_client(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  rc_remote whole, four, seven;
  WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &whole));
  WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &four));
  WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &seven));
  WANT(c6_swap(role, whole));
  WANT(say(role, channel));
  WANT(hear(role, channel));
  for (uint64_t offset : {1, 4, 9, 12, 55}) WANT(c6_refused(role, whole, offset, RC_E_ALIGNMENT));
  for (uint64_t offset : {57, 60, 64}) WANT(c6_refused(role, whole, offset, RC_E_RANGE));
  WANT(c6_refused(role, four, 0, RC_E_RANGE));  // a word of another length than 8
  WANT(c6_refused(role, seven, 0, RC_E_RANGE));
  WANT(say(role, channel));
  WANT(hear(role, channel));
  WANT(c6_add(role, whole));
  WANT(say(role, channel));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

// ------------------------------------------------------------------------------------------------ C10

constexpr uint64_t kCell = 16;
constexpr uint64_t kLargeAt = kFlights * kCell;
constexpr uint64_t kLarge = 200000;  // more than the ring of operations: what comes behind it waits at the client
constexpr uint32_t kCancelled = kFlights - 1;

// What operation i does with cell i; that of 0 is the large write instead, to behind all cells.
enum Kind { kWrites, kReads, kAdds };
Kind kind_of(uint32_t i) { return static_cast<Kind>(i % 3); }
uint64_t stamp(uint32_t i) { return kSevens + i; }

// argument: the Form of the cells' grant.
bool c10_server(Role& role) {
  rc_listener listener;
  rc_channel channel, step;
  rc_mr mine, large;
  uint8_t *data, *rest;
  WANT(accept_ring(role, kRing, &listener, &channel));
  WANT_RC(RC_OK, rc_accept(listener, kRolePatience, &step));
  WANT(make_region(role, kLargeAt, 7, &mine, &data));
  WANT(make_region(role, kLarge, 7, &large, &rest));
  for (uint32_t i = 0; i < kFlights; ++i) {
    uint64_t word = stamp(i);
    memcpy(data + i * kCell, &word, sizeof word);
  }
  WANT(lend_formed(role, channel, mine, kLargeAt, kAll));
  WANT(lend(role, channel, large, 0, kLarge, kAll));
  WANT(hear(role, channel));  // it has the grants
  WANT(give_step(step));
  WANT(wait_step(step));  // on the other channel: nothing is served meanwhile
  WANT(hear(role, channel));
  WANT(all_are(rest, kLarge, 1));
  for (uint32_t i = 1; i < kFlights; ++i) {
    uint64_t word, wanted = stamp(i);
    if (kind_of(i) == kWrites && i != kCancelled) wanted = i;
    if (kind_of(i) == kAdds) wanted += 1000;
    memcpy(&word, data + i * kCell, sizeof word);
    WANT(word == wanted);
  }
  WANT(hear_close(role, channel));
  WANT_RC(RC_OK, rc_channel_close(step));
  WANT_RC(RC_OK, rc_mr_free(mine));
  WANT_RC(RC_OK, rc_mr_free(large));
  return rc_listener_close(listener) == RC_OK;
}

// Operation i, whatever it does: writes that word, reads, or adds that much.
bool c10_post_one(Role& role, rc_mr mine, uint8_t* data, rc_remote cells, uint32_t i, uint64_t word, uint64_t more,
                  rc_request* request) {
  const uint64_t at = i * kCell;
  memcpy(data + at, &word, sizeof word);
  int32_t code = kind_of(i) == kWrites  ? rc_write(mine, at, cells, at, sizeof word, request)
                 : kind_of(i) == kReads ? rc_read(mine, at, cells, at, sizeof word, request)
                                        : rc_fetch_add(cells, at, more, request);
  WANT_RC(RC_OK, code);
  return true;
}

bool c10_full(Role& role, rc_mr mine, rc_remote cells) {
  rc_request none{99};
  WANT_RC(RC_E_POOL, rc_write(mine, 0, cells, 0, 8, &none));
  WANT(none.id == 0);
  fprintf(role.out, "%u in flight\n", kFlights);
  return true;
}

bool c10_post(Role& role, rc_mr mine, uint8_t* data, rc_remote cells, rc_remote large,
              std::vector<rc_request>* flights) {
  static_assert(kCancelled % 3 == kWrites);
  WANT_RC(RC_OK, rc_write(mine, kLargeAt, large, 0, kLarge, &(*flights)[0]));
  for (uint32_t i = 1; i < kFlights; ++i) WANT(c10_post_one(role, mine, data, cells, i, i, 1000, &(*flights)[i]));
  WANT(c10_full(role, mine, cells));
  for (rc_request request : *flights) WANT_RC(RC_E_WOULD_BLOCK, rc_request_test(request, nullptr));
  return true;
}

// Nobody else gets the memory that operations in flight use.
bool c10_in_use(Role& role, rc_mr mine, const uint8_t* data, const std::vector<rc_request>& flights) {
  rc_region region;
  rc_mr other;
  uint8_t* elsewhere;
  WANT_RC(RC_E_STATE, rc_request_cancel(flights[0]));  // on its way
  WANT_RC(RC_OK, rc_request_cancel(flights[kCancelled]));
  WANT_RC(RC_E_HANDLE, rc_request_wait(flights[kCancelled], kRolePatience, nullptr));
  WANT_RC(RC_E_IN_USE, rc_mr_free(mine));
  WANT(make_region(role, kCell, 0, &other, &elsewhere));
  WANT(elsewhere + kCell <= data || elsewhere >= data + kLargeAt + kLarge);
  WANT_RC(RC_OK, rc_mr_free(other));
  WANT(about(role, mine, &region));
  uint32_t wanted = 0;
  for (uint32_t i = 0; i < kCancelled; ++i) wanted += kind_of(i) != kAdds ? 1 : 0;
  WANT(region.requests == wanted);
  fprintf(role.out, "one cancelled; the region is RC_E_IN_USE\n");
  return true;
}

// Each tells what its own operation brought, whichever is asked for first.
bool c10_land(Role& role, const uint8_t* data, const std::vector<rc_request>& flights) {
  std::vector<uint32_t> left;
  for (uint32_t i = 0; i < kCancelled; ++i) left.push_back(i);
  while (!left.empty()) {
    std::vector<rc_request> requests;
    for (uint32_t i : left) requests.push_back(flights[i]);
    std::reverse(requests.begin(), requests.end());
    uint32_t at = 0;
    uint64_t old = 0, word = 0;
    if (left.size() % 2 != 0) {
      WANT_RC(RC_OK,
              rc_request_wait_any(requests.data(), static_cast<uint32_t>(left.size()), kRolePatience, &at, &old));
    } else {
      at = static_cast<uint32_t>(left.size() / 2);
      WANT(finish(role, RC_OK, requests[at], &old));
    }
    auto found = left.end() - 1 - at;
    uint32_t i = *found;
    left.erase(found);
    memcpy(&word, data + i * kCell, sizeof word);
    WANT(kind_of(i) != kReads || word == stamp(i));
    WANT(kind_of(i) != kAdds || old == stamp(i));
  }
  fprintf(role.out, "%u done\n", kCancelled);
  return true;
}

// Direct ones alone, while the owner serves nothing: they are over, or on their way, when they are posted. They leave
// the cells as they were.
bool c10_alone(Role& role, rc_mr mine, uint8_t* data, rc_remote cells) {
  std::vector<rc_request> flights(kFlights);
  for (uint32_t i = 0; i < kFlights; ++i) WANT(c10_post_one(role, mine, data, cells, i, stamp(i), 0, &flights[i]));
  WANT(c10_full(role, mine, cells));
  WANT_RC(RC_E_STATE, rc_request_cancel(flights[0]));
  WANT(c10_land(role, data, flights));
  return finish(role, RC_OK, flights[kCancelled], nullptr);
}

bool c10_client(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  rc_channel step = connect_ring(role, kRing);
  rc_mr mine;
  rc_remote cells, large;
  uint8_t* data;
  std::vector<rc_request> flights(kFlights);
  WANT(make_region(role, kLargeAt + kLarge, 1, &mine, &data));
  WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &cells));
  WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &large));
  WANT(say(role, channel));
  WANT(wait_step(step));
  WANT(role.argument != kDirect || c10_alone(role, mine, data, cells));
  WANT(c10_post(role, mine, data, cells, large, &flights));  // behind a carried one, so carried too
  WANT(c10_in_use(role, mine, data, flights));
  WANT(give_step(step));
  WANT(c10_land(role, data, flights));
  WANT_RC(RC_OK, rc_mr_free(mine));
  WANT(say(role, channel));
  WANT_RC(RC_OK, rc_channel_close(step));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

}  // namespace

std::vector<std::pair<std::string, Play>> flight_roles() {
  return {{"c6_server", c6_server}, {"c6_client", c6_client}, {"c10_server", c10_server}, {"c10_client", c10_client}};
}

}  // namespace conformance
