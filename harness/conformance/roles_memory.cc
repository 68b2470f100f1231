// Scenarios C1 to C5 and C11: what two programs do with messages, and with each other's memory.
#include <stddef.h>
#include <string.h>

#include <algorithm>

#include "harness/conformance/roles.h"

namespace conformance {

rc_config memory_config() {
  rc_config config = {};
  config.size = sizeof config;
  config.mr_bytes = uint64_t{1} << 20;
  config.peer_mr_bytes = kPeerAsks;
  config.peer_mr_total = 2 * kPeerAsks;
  config.peer_rights = RC_MR_READ | RC_MR_WRITE;
  return config;
}

bool say(Role& role, rc_channel channel) {
  WANT_RC(RC_OK, rc_send(channel, "", 0, nullptr, kRolePatience, nullptr));
  return true;
}

bool hear(Role& role, rc_channel channel) {
  char none;
  size_t n = 99;
  WANT_RC(RC_OK, rc_recv(channel, &none, sizeof none, &n, nullptr, nullptr, kRolePatience));
  WANT(n == 0);
  return true;
}

bool hear_close(Role& role, rc_channel channel) {
  char none;
  size_t n = 0;
  WANT_RC(RC_E_CLOSED, rc_recv(channel, &none, sizeof none, &n, nullptr, nullptr, kRolePatience));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

bool about(Role& role, rc_mr mr, rc_region* region) {
  *region = {};
  region->size = sizeof *region;
  WANT_RC(RC_OK, rc_mr_info(mr, region));
  return true;
}

bool make_region(Role& role, uint64_t bytes, uint8_t value, rc_mr* mr, uint8_t** data) {
  rc_region region;
  WANT_RC(RC_OK, rc_mr_alloc(role.ctx, bytes, 0, mr));
  WANT(about(role, *mr, &region));
  WANT(region.bytes == bytes);
  *data = static_cast<uint8_t*>(region.address);
  WANT(all_are(*data, bytes, 0));
  memset(*data, value, bytes);
  return true;
}

bool lend(Role& role, rc_channel channel, rc_mr mr, uint64_t offset, uint64_t bytes, uint32_t rights) {
  rc_grant grant;
  WANT_RC(RC_OK, rc_mr_grant(channel, mr, offset, bytes, rights, 0, &grant));
  return true;
}

bool lend_formed(Role& role, rc_channel channel, rc_mr mr, uint64_t bytes, uint32_t rights) {
  rc_grant none{99};
  rc_region region;
  if (role.argument == kDirect) return lend(role, channel, mr, 0, bytes, rights | RC_MR_DIRECT);
  if (role.argument == kRefused) {
    WANT_RC(RC_E_UNSUPPORTED, rc_mr_grant(channel, mr, 0, bytes, rights | RC_MR_DIRECT, 0, &none));
    WANT(none.id == 0);
    WANT(about(role, mr, &region));
    WANT(region.grants == 0);
  }
  return lend(role, channel, mr, 0, bytes, rights);
}

bool finish(Role& role, int32_t wanted, rc_request request, uint64_t* value) {
  WANT_RC(wanted, rc_request_wait(request, kRolePatience, value));
  return true;
}

bool all_are(const uint8_t* bytes, uint64_t n, uint8_t value) {
  return std::count(bytes, bytes + n, value) == static_cast<std::ptrdiff_t>(n);
}

void print_bytes(Role& role, const uint8_t* bytes, size_t n) {
  for (size_t i = 0; i < n; ++i) fprintf(role.out, "%s%d", i == 0 ? "[" : ", ", bytes[i]);
  fprintf(role.out, "]\n");
}

namespace {

constexpr uint64_t kRing = 64 * 1024;
constexpr size_t kBytes = 8;

// ------------------------------------------------------------------------------------------------ C1, C2

bool send_ones(Role& role, rc_channel channel, const uint32_t* imm) {
  uint8_t ones[kBytes];
  memset(ones, 1, sizeof ones);
  WANT_RC(RC_OK, rc_send(channel, ones, sizeof ones, imm, kRolePatience, nullptr));
  return true;
}

bool c1_client(Role& role, rc_channel channel) { return send_ones(role, channel, nullptr); }

bool c1_server(Role& role, rc_channel channel) {
  uint8_t bytes[2 * kBytes];
  size_t n = 0;
  uint32_t imm = 99, has_imm = 99;
  WANT_RC(RC_OK, rc_recv(channel, bytes, sizeof bytes, &n, &imm, &has_imm, kRolePatience));
  WANT(n == kBytes && has_imm == 0);
  print_bytes(role, bytes, n);
  return true;
}

bool c2_client(Role& role, rc_channel channel) {
  uint32_t imm = 1;
  return send_ones(role, channel, &imm);
}

bool c2_server(Role& role, rc_channel channel) {
  uint8_t bytes[2 * kBytes];
  size_t n = 0;
  uint32_t imm = 99, has_imm = 99;
  WANT_RC(RC_OK, rc_recv(channel, bytes, sizeof bytes, &n, &imm, &has_imm, kRolePatience));
  WANT(n == kBytes && has_imm == 1 && imm == 1);
  WANT(all_are(bytes, n, static_cast<uint8_t>(imm)));
  print_bytes(role, bytes, n);
  return true;
}

// ------------------------------------------------------------------------------------------------ C3

bool c3_client(Role& role, rc_channel channel) {
  rc_mr mine, back;
  uint8_t* data;
  WANT(make_region(role, kBytes, 0, &mine, &data));
  print_bytes(role, data, kBytes);
  memset(data, 1, kBytes);
  print_bytes(role, data, kBytes);
  memset(data + kBytes / 2, 2, kBytes / 2);
  print_bytes(role, data, kBytes);
  WANT(lend(role, channel, mine, 0, kBytes, RC_MR_READ));
  WANT_RC(RC_OK, rc_mr_take_back(channel, kRolePatience, &back));  // the server reads meanwhile
  WANT(back.id == mine.id);
  WANT_RC(RC_OK, rc_mr_free(mine));
  return hear(role, channel);
}

bool c3_server(Role& role, rc_channel channel) {
  rc_mr mine;
  rc_remote remote;
  rc_request request;
  uint8_t* data;
  WANT(make_region(role, kBytes, 0, &mine, &data));
  WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &remote));
  WANT_RC(RC_OK, rc_read(mine, 0, remote, 0, kBytes, &request));
  WANT(finish(role, RC_OK, request, nullptr));
  print_bytes(role, data, kBytes);
  WANT_RC(RC_OK, rc_remote_give_back(remote, kRolePatience));
  WANT_RC(RC_OK, rc_mr_free(mine));
  return say(role, channel);
}

// ------------------------------------------------------------------------------------------------ C4, C5

// Fills the second half of what it asked the server for, and hands all of it to the server.
bool write_half(Role& role, rc_channel channel, const uint32_t* imm) {
  constexpr uint64_t kHalf = kBytes / 2;
  rc_mr mine;
  rc_remote remote;
  rc_request request;
  uint8_t* data;
  WANT_RC(RC_OK, rc_remote_alloc(channel, kBytes, RC_MR_READ | RC_MR_WRITE, 0, kRolePatience, &remote));
  WANT(make_region(role, kBytes, 1, &mine, &data));
  int32_t code = imm != nullptr ? rc_write_imm(mine, kHalf, remote, kHalf, kHalf, *imm, &request)
                                : rc_write(mine, kHalf, remote, kHalf, kHalf, &request);
  WANT_RC(RC_OK, code);
  WANT_RC(RC_OK, rc_remote_give_back(remote, kRolePatience));
  WANT(finish(role, RC_OK, request, nullptr));
  WANT_RC(RC_OK, rc_mr_free(mine));
  return say(role, channel);
}

bool c4_client(Role& role, rc_channel channel) { return write_half(role, channel, nullptr); }

bool c5_client(Role& role, rc_channel channel) {
  uint32_t imm = 4;
  return write_half(role, channel, &imm);
}

bool c4_server(Role& role, rc_channel channel) {
  rc_mr back;
  rc_region region;
  WANT_RC(RC_OK, rc_mr_take_back(channel, kRolePatience, &back));
  WANT(about(role, back, &region));
  WANT(region.bytes == kBytes);
  print_bytes(role, static_cast<uint8_t*>(region.address), kBytes);
  WANT_RC(RC_OK, rc_mr_free(back));
  return hear(role, channel);
}

bool c5_server(Role& role, rc_channel channel) {
  uint32_t imm = 0;
  WANT_RC(RC_OK, rc_imm_get(channel, kRolePatience, &imm));
  WANT(imm == 4);
  return c4_server(role, channel);
}

// ------------------------------------------------------------------------------------------------ the console

using Part = bool (*)(Role& role, rc_channel channel);
constexpr Part kServerParts[] = {c1_server, c2_server, c3_server, c4_server, c5_server};
constexpr Part kClientParts[] = {c1_client, c2_client, c3_client, c4_client, c5_client};

// `digits` names the scenarios in their order: 12345 is all of them.
bool play_parts(Role& role, rc_channel channel, const Part* parts, uint64_t digits) {
  if (digits >= 10) WANT(play_parts(role, channel, parts, digits / 10));
  return parts[digits % 10 - 1](role, channel);
}

// argument: how many connections, times 100,000, and the digits.
bool c_server(Role& role) {
  rc_listener listener;
  rc_channel_config config = {};
  config.size = sizeof config;
  config.ring_bytes = kRing;
  fprintf(role.out, "server start\n");
  WANT_RC(RC_OK, rc_listen(role.ctx, role.uri.c_str(), &config, &listener));
  for (uint64_t i = 0; i < role.argument / 100000; ++i) {
    rc_channel channel;
    WANT_RC(RC_OK, rc_accept(listener, kRolePatience, &channel));
    fprintf(role.out, "accepted\n");
    WANT(play_parts(role, channel, kServerParts, role.argument % 100000));
    WANT(hear_close(role, channel));
  }
  fprintf(role.out, "server done\n");
  return rc_listener_close(listener) == RC_OK;
}

// argument: the digits.
bool c_client(Role& role) {
  fprintf(role.out, "client start\n");
  rc_channel channel = connect_ring(role, kRing);
  WANT(channel.id != 0);
  fprintf(role.out, "connected\n");
  WANT(play_parts(role, channel, kClientParts, role.argument));
  WANT_RC(RC_OK, rc_channel_close(channel));
  fprintf(role.out, "client done\n");
  return true;
}

// ------------------------------------------------------------------------------------------------ C11

// What the two agree on: where a call's arguments are, and its result.
struct Add {
  int64_t a, b, sum;
};

bool c11_server(Role& role) {
  rc_listener listener;
  rc_channel channel;
  WANT(accept_ring(role, kRing, &listener, &channel));
  Add add = {};
  size_t n = 0;
  WANT_RC(RC_OK, rc_recv(channel, &add, sizeof add, &n, nullptr, nullptr, kRolePatience));
  WANT(n == offsetof(Add, sum));
  add.sum = add.a + add.b;
  WANT_RC(RC_OK, rc_send(channel, &add.sum, sizeof add.sum, nullptr, kRolePatience, nullptr));

  rc_mr mine;
  uint8_t* data;
  WANT(make_region(role, sizeof add, 0, &mine, &data));
  WANT(lend(role, channel, mine, 0, sizeof add, RC_MR_READ | RC_MR_WRITE));
  WANT(hear(role, channel));  // the arguments are there when the message is
  memcpy(&add, data, sizeof add);
  add.sum = add.a + add.b;
  memcpy(data, &add, sizeof add);
  WANT(say(role, channel));
  WANT(hear_close(role, channel));
  WANT_RC(RC_OK, rc_mr_free(mine));
  return rc_listener_close(listener) == RC_OK;
}

bool c11_client(Role& role) {
  rc_channel channel = connect_ring(role, kRing);
  const int64_t arguments[] = {1, 1};
  int64_t sum = 0;
  size_t n = 0;
  WANT_RC(RC_OK, rc_send(channel, arguments, sizeof arguments, nullptr, kRolePatience, nullptr));
  WANT_RC(RC_OK, rc_recv(channel, &sum, sizeof sum, &n, nullptr, nullptr, kRolePatience));
  WANT(n == sizeof sum);
  fprintf(role.out, "Add(1,1) = %lld\n", static_cast<long long>(sum));

  rc_mr mine;
  rc_remote remote;
  rc_request request;
  uint8_t* data;
  WANT(make_region(role, sizeof(Add), 0, &mine, &data));
  Add add = {2, 2, 0};
  memcpy(data, &add, sizeof add);
  WANT_RC(RC_OK, rc_remote_get(channel, kRolePatience, &remote));
  WANT_RC(RC_OK, rc_write(mine, 0, remote, 0, offsetof(Add, sum), nullptr));
  WANT(say(role, channel));
  WANT(hear(role, channel));
  WANT_RC(RC_OK, rc_read(mine, offsetof(Add, sum), remote, offsetof(Add, sum), sizeof sum, &request));
  WANT(finish(role, RC_OK, request, nullptr));
  memcpy(&add, data, sizeof add);
  fprintf(role.out, "Add(2,2) = %lld\n", static_cast<long long>(add.sum));
  WANT_RC(RC_OK, rc_mr_free(mine));
  WANT_RC(RC_OK, rc_channel_close(channel));
  return true;
}

}  // namespace

std::vector<std::pair<std::string, Play>> memory_roles() {
  return {{"c_server", c_server}, {"c_client", c_client}, {"c11_server", c11_server}, {"c11_client", c11_client}};
}

}  // namespace conformance
