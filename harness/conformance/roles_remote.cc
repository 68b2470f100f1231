// Scenarios A4 and A7: the ring between two machines, and remoting over it.
#include <string.h>

#include <algorithm>
#include <vector>

#include "harness/conformance/roles.h"

namespace conformance {
namespace {

constexpr int64_t kNobodyNs = INT64_C(300) * 1000 * 1000;

// ------------------------------------------------------------------------------------------------ A4

constexpr uint64_t kRing = 1024;

bool get_all_of(Role& role, rc_channel channel, size_t n, uint8_t value) {
  std::vector<uint8_t> bytes(n);
  WANT_RC(RC_OK, rc_get(channel, bytes.data(), n, kRolePatience, nullptr));
  WANT(std::count(bytes.begin(), bytes.end(), value) == static_cast<std::ptrdiff_t>(n));
  fprintf(role.out, "%zu bytes of %d\n", n, value);
  return true;
}

bool a4_server(Role& role) {
  rc_listener listener;
  rc_channel channel;
  WANT(accept_ring(role, kRing, &listener, &channel));
  WANT(get_all_of(role, channel, 256, 48));
  WANT(get_all_of(role, channel, 256, 97));
  const std::vector<uint8_t> answer(20, 48);
  WANT_RC(RC_OK, rc_put(channel, answer.data(), answer.size(), kRolePatience, nullptr));
  WANT(get_all_of(role, channel, 256, 97));
  uint8_t byte;
  WANT_RC(RC_E_CLOSED, rc_get(channel, &byte, 1, kRolePatience, nullptr));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return rc_listener_close(listener) == RC_OK;
}

bool a4_client(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  const std::vector<uint8_t> first(256, 48), second(256, 97);
  WANT_RC(RC_OK, rc_put_more(channel, first.data(), first.size(), kRolePatience, nullptr));
  WANT_RC(RC_OK, rc_put_more(channel, second.data(), second.size(), kRolePatience, nullptr));
  WANT_RC(RC_OK, rc_flush(channel));
  // Both directions at once: neither end gets before it has put.
  WANT_RC(RC_OK, rc_put(channel, second.data(), second.size(), kRolePatience, nullptr));
  WANT(get_all_of(role, channel, 20, 48));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

// A client that is wrong on purpose. argument: the ring that it wants.
bool a4_wrong(Role& role) {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.ring_bytes = role.argument;
  rc_channel channel{0};
  // An emulated machine with RDMA is slow to say no.
  int64_t nobody = role.uri.rfind("rdma:", 0) == 0 ? 10 * kNobodyNs : kNobodyNs;
  int64_t patience = role.argument == kRing ? nobody : kRolePatience;
  int32_t code = rc_connect(role.ctx, role.uri.c_str(), &config, patience, &channel);
  fprintf(role.out, "%s\n", rc_code_name(code));
  WANT(channel.id == 0);
  WANT(strlen(rc_reason()) > 0);
  return true;
}

// ------------------------------------------------------------------------------------------------ A7

// A request: its id, its arguments; then, unless nobody waits for them, its outputs and its result.
enum Request : int32_t { kAdd = 1, kBulk = 2, kForget = 3, kBye = 4 };

constexpr size_t kBulkBytes = 16 << 20;
constexpr uint64_t kRemoteRing = 1 << 20;
constexpr int kForgetEvery = 10;  // round trips

struct Work {
  int trips, rounds;
};
Work work_of(uint64_t argument) { return {static_cast<int>(argument % 100000), static_cast<int>(argument / 100000)}; }

std::vector<uint8_t> bulk() {
  std::vector<uint8_t> bytes(kBulkBytes);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i % 128);
  return bytes;
}

bool put_word(Role& role, rc_channel channel, int32_t word) {
  WANT_RC(RC_OK, rc_put_more(channel, &word, sizeof word, kRolePatience, nullptr));
  return true;
}

bool get_word(Role& role, rc_channel channel, int32_t* word) {
  WANT_RC(RC_OK, rc_get(channel, word, sizeof *word, kRolePatience, nullptr));
  return true;
}

bool a7_server(Role& role) {
  rc_listener listener;
  rc_channel channel;
  WANT(accept_ring(role, kRemoteRing, &listener, &channel));
  const std::vector<uint8_t> wanted = bulk();
  std::vector<uint8_t> got(kBulkBytes);
  int32_t late = 0;  // the error of a request that nobody waited for
  int served = 0;
  for (int32_t request = 0, a = 0, b = 0;; ++served) {
    WANT(get_word(role, channel, &request));
    if (request == kBye) break;
    if (request == kForget) {
      WANT(get_word(role, channel, &a));
      if (late == 0) late = a;
      continue;
    }
    if (request == kAdd) {
      WANT(get_word(role, channel, &a) && get_word(role, channel, &b));
      WANT(put_word(role, channel, a + b));
    } else {
      WANT(request == kBulk);
      WANT_RC(RC_OK, rc_get(channel, got.data(), kBulkBytes, kRolePatience, nullptr));
      WANT(got == wanted);
      WANT_RC(RC_OK, rc_put(channel, wanted.data(), kBulkBytes, kRolePatience, nullptr));
    }
    WANT(put_word(role, channel, late));
    WANT_RC(RC_OK, rc_flush(channel));
    late = 0;
  }
  fprintf(role.out, "%d requests served\n", served);
  WANT_RC(RC_OK, rc_channel_close(channel));
  return rc_listener_close(listener) == RC_OK;
}

// Every so many round trips a request without an answer comes before, and every second one of those fails.
bool a7_trips(Role& role, rc_channel channel, int trips) {
  int late = 0;
  for (int i = 0; i < trips; ++i) {
    int32_t error = 0;
    if (i % kForgetEvery == 0) {
      error = i / kForgetEvery % 2 == 0 ? 0 : i;
      WANT(put_word(role, channel, kForget) && put_word(role, channel, error));
      WANT_RC(RC_OK, rc_flush(channel));
    }
    WANT(put_word(role, channel, kAdd) && put_word(role, channel, i) && put_word(role, channel, 7));
    WANT_RC(RC_OK, rc_flush(channel));
    int32_t sum = 0, result = -1;
    WANT(get_word(role, channel, &sum) && get_word(role, channel, &result));
    WANT(sum == i + 7);
    WANT(result == error);
    late += result != 0 ? 1 : 0;
  }
  fprintf(role.out, "%d round trips, %d late errors\n", trips, late);
  return true;
}

bool a7_client(Role& role) {
  rc_channel channel = connect_ring(role, kRemoteRing);
  Work work = work_of(role.argument);
  WANT(a7_trips(role, channel, work.trips));
  const std::vector<uint8_t> wanted = bulk();
  std::vector<uint8_t> got(kBulkBytes);
  for (int round = 0; round < work.rounds; ++round) {
    WANT(put_word(role, channel, kBulk));
    WANT_RC(RC_OK, rc_put(channel, wanted.data(), kBulkBytes, kRolePatience, nullptr));
    std::fill(got.begin(), got.end(), uint8_t{255});
    WANT_RC(RC_OK, rc_get(channel, got.data(), kBulkBytes, kRolePatience, nullptr));
    WANT(got == wanted);
    int32_t result = -1;
    WANT(get_word(role, channel, &result));
    WANT(result == 0);
  }
  fprintf(role.out, "%d rounds of %zu bytes each way\n", work.rounds, kBulkBytes);
  WANT(put_word(role, channel, kBye));
  WANT_RC(RC_OK, rc_flush(channel));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

}  // namespace

std::vector<std::pair<std::string, Play>> remote_roles() {
  return {{"a4_server", a4_server},
          {"a4_client", a4_client},
          {"a4_wrong", a4_wrong},
          {"a7_server", a7_server},
          {"a7_client", a7_client}};
}

}  // namespace conformance
