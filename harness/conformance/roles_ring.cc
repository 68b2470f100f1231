// Scenarios A: the ring channel.
#include <string.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "harness/conformance/roles.h"

namespace conformance {
namespace {

constexpr uint64_t kRing = 1024;

// ------------------------------------------------------------------------------------------------ A1

bool a1_server(Role& role) {
  rc_listener listener;
  rc_channel channel;
  WANT(accept_ring(role, kRing, &listener, &channel));
  uint8_t bytes[5];
  size_t done = 0;
  WANT_RC(RC_OK, rc_get(channel, bytes, sizeof bytes, kRolePatience, &done));
  fprintf(role.out, "Received [");
  for (size_t i = 0; i < done; ++i) fprintf(role.out, "%s%d", i == 0 ? "" : ", ", bytes[i]);
  fprintf(role.out, "]\n");
  WANT_RC(RC_E_CLOSED, rc_get(channel, bytes, 1, kRolePatience, &done));  // exactly five
  WANT_RC(RC_OK, rc_channel_close(channel));
  return rc_listener_close(listener) == RC_OK;
}

bool a1_client(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  const uint8_t bytes[5] = {1, 2, 3, 4, 5};
  WANT_RC(RC_OK, rc_put(channel, bytes, sizeof bytes, kRolePatience, nullptr));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

// ------------------------------------------------------------------------------------------------ A2

bool a2_consumer(Role& role) {
  rc_listener listener;
  rc_channel channel;
  WANT(accept_ring(role, kRing, &listener, &channel));
  size_t all = 0;
  for (int i = 0; i < 1000; ++i) {
    uint8_t block[10];
    size_t done = 0;
    WANT_RC(RC_OK, rc_get(channel, block, sizeof block, kRolePatience, &done));
    all += done;
    for (uint8_t byte : block) WANT(byte == i % 256);
  }
  size_t left = 99;
  uint8_t byte;
  WANT_RC(RC_OK, rc_ready(channel, &left, nullptr));
  WANT_RC(RC_E_WOULD_BLOCK, rc_try_get(channel, &byte, 1));
  fprintf(role.out, "%zu bytes in order, %zu left in the ring\n", all, left);
  WANT_RC(RC_OK, rc_put(channel, "", 1, kRolePatience, nullptr));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return rc_listener_close(listener) == RC_OK;
}

bool a2_producer(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  for (int i = 0; i < 1000; ++i) {
    uint8_t block[10];
    memset(block, i % 256, sizeof block);
    WANT_RC(RC_OK, rc_put(channel, block, sizeof block, kRolePatience, nullptr));
  }
  uint8_t byte;  // the consumer has looked at the empty ring
  WANT_RC(RC_OK, rc_get(channel, &byte, 1, kRolePatience, nullptr));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

// ------------------------------------------------------------------------------------------------ A5

constexpr size_t kRecord = 600;  // every second one crosses the end of the ring
constexpr int kRecords = 10;     // 5.8 times around
constexpr size_t kMessage = 4096;

uint8_t record_byte(int record, size_t i) { return static_cast<uint8_t>(7 * record + static_cast<int>(i)); }

bool a5_full_ring(Role& role, rc_channel channel) {
  std::vector<uint8_t> bytes(kRing, 9);
  size_t done = 99;
  WANT_RC(RC_OK, rc_try_put(channel, bytes.data(), kRing));  // all of it is usable
  WANT_RC(RC_E_WOULD_BLOCK, rc_try_put(channel, bytes.data(), 1));
  auto begin = std::chrono::steady_clock::now();
  constexpr int64_t kDeadline = 20 * 1000 * 1000;
  WANT_RC(RC_E_TIMEOUT, rc_put(channel, bytes.data(), 1, kDeadline, &done));
  auto waited = std::chrono::steady_clock::now() - begin;
  WANT(std::chrono::duration_cast<std::chrono::nanoseconds>(waited).count() >= kDeadline);
  WANT(done == 0);
  fprintf(role.out, "%d bytes fill the ring; the next try would block, the next put timed out\n",
          static_cast<int>(kRing));
  return true;
}

// The second channel keeps the two in step.
bool a5_writer(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  rc_channel step = connect_ring(role, kRing);
  WANT_RC(RC_OK, rc_put(channel, "abcde", 5, kRolePatience, nullptr));
  for (int record = 0; record < kRecords; ++record) {
    uint8_t bytes[kRecord];
    for (size_t i = 0; i < kRecord; ++i) bytes[i] = record_byte(record, i);
    WANT_RC(RC_OK, rc_put(channel, bytes, kRecord, kRolePatience, nullptr));
  }
  WANT(wait_step(step));  // it has got them all
  WANT(a5_full_ring(role, channel));
  WANT(give_step(step));
  std::vector<uint8_t> message(kMessage);
  for (size_t i = 0; i < kMessage; ++i) message[i] = record_byte(3, i);
  WANT_RC(RC_OK, rc_send(channel, message.data(), kMessage, nullptr, kRolePatience, nullptr));
  WANT(wait_step(step));
  WANT_RC(RC_OK, rc_channel_close(step));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

bool a5_partial_get(Role& role, rc_channel channel) {
  char some[6] = "";
  rc_const_span there[2];
  WANT_RC(RC_OK, rc_peek(channel, 5, kRolePatience, there));  // all five have arrived
  WANT_RC(RC_OK, rc_release(channel, 0));
  WANT_RC(RC_OK, rc_get(channel, some, 3, 0, nullptr));
  fprintf(role.out, "sent 5, got %s, ", some);
  WANT_RC(RC_OK, rc_get(channel, some, 2, 0, nullptr));
  some[2] = '\0';
  fprintf(role.out, "%s remained\n", some);
  return true;
}

bool a5_reader(Role& role) {
  rc_listener listener;
  rc_channel channel, step;
  WANT(accept_ring(role, kRing, &listener, &channel));
  WANT_RC(RC_OK, rc_accept(listener, kRolePatience, &step));
  WANT(a5_partial_get(role, channel));
  for (int record = 0; record < kRecords; ++record) {
    uint8_t bytes[kRecord];
    WANT_RC(RC_OK, rc_get(channel, bytes, kRecord, kRolePatience, nullptr));
    for (size_t i = 0; i < kRecord; ++i) WANT(bytes[i] == record_byte(record, i));
  }
  fprintf(role.out, "%d records of %zu bytes in order, %d times around the ring\n", kRecords, kRecord,
          static_cast<int>(kRecords * kRecord / kRing));
  uint8_t byte;
  WANT_RC(RC_E_WOULD_BLOCK, rc_try_get(channel, &byte, 1));  // gives the whole ring back
  WANT(give_step(step));
  WANT(wait_step(step));  // the writer has filled the ring and has seen a put time out
  std::vector<uint8_t> bytes(kMessage);
  WANT_RC(RC_OK, rc_get(channel, bytes.data(), kRing, kRolePatience, nullptr));
  size_t n = 0;
  WANT_RC(RC_OK, rc_recv(channel, bytes.data(), kMessage, &n, nullptr, nullptr, kRolePatience));
  WANT(n == kMessage);
  for (size_t i = 0; i < kMessage; ++i) WANT(bytes[i] == record_byte(3, i));
  fprintf(role.out, "a message of %zu bytes through a ring of %d\n", n, static_cast<int>(kRing));
  WANT(give_step(step));
  return rc_listener_close(listener) == RC_OK;
}

}  // namespace

std::vector<std::pair<std::string, Play>> ring_roles() {
  return {{"a1_server", a1_server},     {"a1_client", a1_client}, {"a2_consumer", a2_consumer},
          {"a2_producer", a2_producer}, {"a5_writer", a5_writer}, {"a5_reader", a5_reader}};
}

}  // namespace conformance
