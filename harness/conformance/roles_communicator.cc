// Scenarios B: the communicator.
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "harness/conformance/roles.h"

namespace conformance {
namespace {

constexpr uint64_t kRing = 64 * 1024;

// ------------------------------------------------------------------------------------------------ B1

bool b1_server(Role& role) {
  rc_listener listener;
  rc_channel channel;
  WANT(accept_ring(role, kRing, &listener, &channel));
  char text[40] = "";
  size_t n = 0;
  WANT_RC(RC_OK, rc_get_some(channel, text, sizeof text, kRolePatience, &n));
  WANT(n == 18);
  fprintf(role.out, "Message from the client: %s\n", text);
  const char answer[] = "hello from server!";
  WANT_RC(RC_OK, rc_put(channel, answer, strlen(answer), kRolePatience, nullptr));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return rc_listener_close(listener) == RC_OK;
}

bool b1_client(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  const char hello[] = "hello from client!";
  WANT_RC(RC_OK, rc_put(channel, hello, strlen(hello), kRolePatience, nullptr));
  char text[40] = "";
  size_t n = 0;
  WANT_RC(RC_OK, rc_get_some(channel, text, sizeof text, kRolePatience, &n));
  WANT(n == 18);
  fprintf(role.out, "Message from the server: %s\n", text);
  WANT_RC(RC_E_CLOSED, rc_get(channel, text, 1, kRolePatience, nullptr));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

// ------------------------------------------------------------------------------------------------ B2

constexpr int kAtOnce = 4;
constexpr int kInTurn = 3;
constexpr int kBlocks = 300;
constexpr size_t kBlock = 500;

// A client says its number, sends blocks of it, and wants as many blocks of its number back.
bool b2_client(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  auto number = static_cast<uint8_t>(role.argument);
  WANT_RC(RC_OK, rc_put(channel, &number, 1, kRolePatience, nullptr));
  for (int i = 0; i < kBlocks; ++i) {
    uint8_t block[kBlock], back[kBlock];
    memset(block, number, sizeof block);
    WANT_RC(RC_OK, rc_put(channel, block, sizeof block, kRolePatience, nullptr));
    WANT_RC(RC_OK, rc_get(channel, back, sizeof back, kRolePatience, nullptr));
    WANT(memcmp(block, back, sizeof block) == 0);
  }
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

// Connects, says its number and dies on the spot, or closes where it may not die alone.
bool b2_mortal(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  auto number = static_cast<uint8_t>(role.argument);
  WANT_RC(RC_OK, rc_put(channel, &number, 1, kRolePatience, nullptr));
  if (role.own_process) raise(SIGKILL);
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

// One round with each: what comes must be the client's own number, all of it.
bool b2_serve(Role& role, const std::vector<rc_channel>& channels, std::vector<int>* numbers) {
  for (rc_channel channel : channels) {
    uint8_t number = 0;
    WANT_RC(RC_OK, rc_get(channel, &number, 1, kRolePatience, nullptr));
    numbers->push_back(number);
  }
  for (int i = 0; i < kBlocks; ++i) {
    for (size_t k = 0; k < channels.size(); ++k) {
      uint8_t block[kBlock];
      WANT_RC(RC_OK, rc_get(channels[k], block, sizeof block, kRolePatience, nullptr));
      for (uint8_t byte : block) WANT(byte == (*numbers)[k]);
      WANT_RC(RC_OK, rc_put(channels[k], block, sizeof block, kRolePatience, nullptr));
    }
  }
  for (rc_channel channel : channels) {
    uint8_t byte;
    WANT_RC(RC_E_CLOSED, rc_get(channel, &byte, 1, kRolePatience, nullptr));
    WANT_RC(RC_OK, rc_channel_close(channel));
  }
  return true;
}

bool b2_server(Role& role) {
  rc_listener listener;
  std::vector<rc_channel> channels(1);
  std::vector<int> numbers;
  WANT(accept_ring(role, kRing, &listener, &channels[0]));
  while (channels.size() < kAtOnce) {  // while those before are open
    channels.emplace_back();
    WANT_RC(RC_OK, rc_accept(listener, kRolePatience, &channels.back()));
  }
  WANT(b2_serve(role, channels, &numbers));
  std::sort(numbers.begin(), numbers.end());
  fprintf(role.out, "at once:");
  for (int number : numbers) fprintf(role.out, " %d", number);
  channels.resize(1);
  fprintf(role.out, "\nin turn:");
  for (int i = 0; i < kInTurn; ++i) {
    numbers.clear();
    WANT_RC(RC_OK, rc_accept(listener, kRolePatience, &channels[0]));
    WANT(b2_serve(role, channels, &numbers));
    fprintf(role.out, " %d", numbers[0]);
  }
  WANT_RC(RC_OK, rc_accept(listener, kRolePatience, &channels[0]));
  uint8_t number = 0, byte;
  WANT_RC(RC_OK, rc_get(channels[0], &number, 1, kRolePatience, nullptr));
  int32_t end = rc_get(channels[0], &byte, 1, kRolePatience, nullptr);
  WANT_RC(RC_OK, rc_channel_close(channels[0]));
  fprintf(role.out, "\n%d ended: %s\nafter it:", number, rc_code_name(end));
  numbers.clear();
  WANT_RC(RC_OK, rc_accept(listener, kRolePatience, &channels[0]));
  WANT(b2_serve(role, channels, &numbers));
  fprintf(role.out, " %d\n", numbers[0]);
  return rc_listener_close(listener) == RC_OK;
}

// ------------------------------------------------------------------------------------------------ B3

uint64_t* words(std::vector<uint64_t>* buffer, size_t bytes) {
  buffer->resize(bytes / sizeof(uint64_t) + 1);
  return buffer->data();
}

// `argument` bytes in one put and one get, then again the other way around: who is first is the other one's choice.
bool b3_writer(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  std::vector<uint64_t> buffer;
  uint64_t* data = words(&buffer, role.argument);
  for (size_t i = 0; i < buffer.size(); ++i) data[i] = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
  for (int round = 0; round < 2; ++round) {
    if (round == 0) WANT(wait_step(channel));  // the reader goes first
    size_t done = 0;
    WANT_RC(RC_OK, rc_put(channel, data, role.argument, kRolePatience, &done));
    WANT(done == role.argument);
  }
  WANT(wait_step(channel));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

bool b3_reader(Role& role) {
  rc_listener listener;
  rc_channel channel;
  WANT(accept_ring(role, kRing, &listener, &channel));
  std::vector<uint64_t> buffer;
  uint64_t* data = words(&buffer, role.argument);
  for (int round = 0; round < 2; ++round) {
    if (round == 0) WANT(give_step(channel));
    for (size_t there = 0; round == 1 && there == 0;)
      WANT_RC(RC_OK, rc_ready(channel, &there, nullptr));  // writer first
    memset(data, 0, role.argument);
    size_t done = 0;
    WANT_RC(RC_OK, rc_get(channel, data, role.argument, kRolePatience, &done));
    WANT(done == role.argument);
    for (size_t i = 0; i < role.argument / sizeof(uint64_t); ++i)
      WANT(data[i] == (i + 1) * UINT64_C(0x9e3779b97f4a7c15));
    fprintf(role.out, "%s first: %llu bytes\n", round == 0 ? "reader" : "writer",
            static_cast<unsigned long long>(done));
  }
  WANT(give_step(channel));
  return rc_listener_close(listener) == RC_OK;
}

// What this process holds: resident memory in KiB, and open descriptors.
struct Held {
  long resident_kib;
  int descriptors;
};

Held held_now() {
  Held held = {0, 0};
  FILE* status = fopen("/proc/self/status", "re");
  char line[200];
  while (fgets(line, sizeof line, status) != nullptr) {
    if (strncmp(line, "VmRSS:", 6) == 0) held.resident_kib = atol(line + 6);
  }
  fclose(status);
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++held.descriptors;
  closedir(folder);
  return held;
}

constexpr int kSmallWrites = 10000;
constexpr int kWarmUp = 2000;  // several times around the ring: every page of it has been touched
constexpr size_t kSmall = 100;

#ifdef RC_SANITIZED
constexpr long kGrowthKib = 1 << 20;  // a sanitizer's own memory grows as it likes
#else
constexpr long kGrowthKib = 256;
#endif

bool b3_no_growth(Role& role, const Held& warm) {
  if (!role.own_process) return true;  // the other role's memory is in the figures, too
  Held now = held_now();
  if (now.resident_kib - warm.resident_kib > kGrowthKib || now.descriptors != warm.descriptors) {
    fprintf(role.out, "grew from %ld KiB and %d descriptors to %ld KiB and %d\n", warm.resident_kib, warm.descriptors,
            now.resident_kib, now.descriptors);
    return false;
  }
  return true;
}

bool b3_small_writer(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  Held warm = {0, 0};
  for (int i = 0; i < kWarmUp + kSmallWrites; ++i) {
    if (i == kWarmUp) warm = held_now();
    uint8_t bytes[kSmall];
    memset(bytes, i % 251, sizeof bytes);
    WANT_RC(RC_OK, rc_put(channel, bytes, sizeof bytes, kRolePatience, nullptr));
  }
  WANT(b3_no_growth(role, warm));
  WANT(wait_step(channel));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

bool b3_small_reader(Role& role) {
  rc_listener listener;
  rc_channel channel;
  WANT(accept_ring(role, kRing, &listener, &channel));
  Held warm = {0, 0};
  for (int i = 0; i < kWarmUp + kSmallWrites; ++i) {
    if (i == kWarmUp) warm = held_now();
    uint8_t bytes[kSmall];
    WANT_RC(RC_OK, rc_get(channel, bytes, sizeof bytes, kRolePatience, nullptr));
    for (uint8_t byte : bytes) WANT(byte == i % 251);
  }
  WANT(b3_no_growth(role, warm));
  fprintf(role.out, "%d small writes, nothing grew\n", kSmallWrites);
  WANT(give_step(channel));
  return rc_listener_close(listener) == RC_OK;
}

// ------------------------------------------------------------------------------------------------ B4

bool b4_writer(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  rc_channel step = connect_ring(role, kRing);
  WANT_RC(RC_OK, rc_sync(channel, 0));  // nothing is pending
  std::vector<uint8_t> bytes(10000, 77);
  for (int i = 0; i < 5; ++i) WANT_RC(RC_OK, rc_put(channel, bytes.data(), bytes.size(), kRolePatience, nullptr));
  WANT_RC(RC_OK, rc_sync(channel, kRolePatience));
  WANT(give_step(step));
  WANT(wait_step(step));
  WANT_RC(RC_OK, rc_sync(channel, 0));
  WANT_RC(RC_OK, rc_channel_close(step));
  return true;
}

// Where puts land only while their target calls in, this is that call.
bool wait_step_landing(rc_channel step, rc_channel channel) {
  uint8_t byte;
  auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kRolePatience);
  int32_t code = RC_E_WOULD_BLOCK;
  while (code == RC_E_WOULD_BLOCK && std::chrono::steady_clock::now() < end) {
    if (rc_progress(channel) != RC_OK) return false;
    code = rc_try_get(step, &byte, 1);
  }
  return code == RC_OK;
}

bool b4_reader(Role& role) {
  rc_listener listener;
  rc_channel channel, step;
  WANT(accept_ring(role, kRing, &listener, &channel));
  WANT_RC(RC_OK, rc_accept(listener, kRolePatience, &step));
  WANT(wait_step_landing(step, channel));  // the writer's sync has returned: everything is here, without waiting
  std::vector<uint8_t> bytes(50000);
  WANT_RC(RC_OK, rc_try_get(channel, bytes.data(), bytes.size()));
  for (uint8_t byte : bytes) WANT(byte == 77);
  fprintf(role.out, "%zu bytes were there after sync\n", bytes.size());
  WANT(give_step(step));
  uint8_t byte;
  WANT_RC(RC_E_CLOSED, rc_get(step, &byte, 1, kRolePatience, nullptr));
  return rc_listener_close(listener) == RC_OK;
}

// ------------------------------------------------------------------------------------------------ B5

// Gets until the end, in a size that does not divide what comes.
bool b5_drain(Role& role, rc_channel channel, const char* who) {
  size_t all = 0;
  for (;;) {
    uint8_t bytes[700];
    size_t done = 0;
    int32_t code = rc_get(channel, bytes, sizeof bytes, kRolePatience, &done);
    for (size_t i = 0; i < done; ++i) WANT(bytes[i] == static_cast<uint8_t>((all + i) % 253));
    all += done;
    if (code == RC_OK) continue;
    fprintf(role.out, "%s got %zu bytes, then %s\n", who, all, rc_code_name(code));
    return true;
  }
}

bool b5_fill_and_close(Role& role, rc_channel channel) {
  std::vector<uint8_t> bytes(12345);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i % 253);
  WANT_RC(RC_OK, rc_put(channel, bytes.data(), bytes.size(), kRolePatience, nullptr));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

// `argument` 0: the server closes; 1: the client does.
bool b5_server(Role& role) {
  rc_listener listener;
  rc_channel channel;
  WANT(accept_ring(role, kRing, &listener, &channel));
  bool good = role.argument == 0 ? b5_fill_and_close(role, channel) : b5_drain(role, channel, "server");
  if (role.argument != 0) WANT_RC(RC_OK, rc_channel_close(channel));
  return rc_listener_close(listener) == RC_OK && good;
}

bool b5_client(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  if (role.argument != 0) return b5_fill_and_close(role, channel);
  WANT(b5_drain(role, channel, "client"));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

}  // namespace

std::vector<std::pair<std::string, Play>> communicator_roles() {
  return {{"b1_server", b1_server},
          {"b1_client", b1_client},
          {"b2_server", b2_server},
          {"b2_client", b2_client},
          {"b2_mortal", b2_mortal},
          {"b3_writer", b3_writer},
          {"b3_reader", b3_reader},
          {"b3_small_writer", b3_small_writer},
          {"b3_small_reader", b3_small_reader},
          {"b4_writer", b4_writer},
          {"b4_reader", b4_reader},
          {"b5_server", b5_server},
          {"b5_client", b5_client}};
}

}  // namespace conformance
