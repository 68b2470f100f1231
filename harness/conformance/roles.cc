#include "harness/conformance/roles.h"

namespace conformance {

bool complain(Role& role, int line, const char* what, int32_t code, int32_t wanted) {
  fprintf(role.out, "line %d: %s", line, what);
  if (code != wanted)
    fprintf(role.out, " returned %s, wanted %s: %s", rc_code_name(code), rc_code_name(wanted), rc_reason());
  fprintf(role.out, "\n");
  return false;
}

rc_channel connect_ring(Role& role, uint64_t ring_bytes) {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.ring_bytes = ring_bytes;
  rc_channel channel{0};
  int32_t code = rc_connect(role.ctx, role.uri.c_str(), &config, kRolePatience, &channel);
  if (code != RC_OK) complain(role, __LINE__, "rc_connect", code, RC_OK);
  return channel;  // zero is an error wherever it is used
}

bool accept_ring(Role& role, uint64_t ring_bytes, rc_listener* listener, rc_channel* channel) {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.ring_bytes = ring_bytes;
  WANT_RC(RC_OK, rc_listen(role.ctx, role.uri.c_str(), &config, listener));
  WANT_RC(RC_OK, rc_accept(*listener, kRolePatience, channel));
  return true;
}

bool give_step(rc_channel step) { return rc_put(step, "", 1, kRolePatience, nullptr) == RC_OK; }

bool wait_step(rc_channel step) {
  uint8_t byte;
  return rc_get(step, &byte, 1, kRolePatience, nullptr) == RC_OK;
}

rc_config config_of(const std::string& name) {
  for (auto& roles : {memory_roles(), flight_roles(), bounds_roles()}) {
    for (auto& [known, play] : roles) {
      if (known == name) return memory_config();
    }
  }
  rc_config config = {};
  config.size = sizeof config;
  return config;
}

bool play(const std::string& name, Role& role) {
  for (auto& roles :
       {ring_roles(), remote_roles(), communicator_roles(), memory_roles(), flight_roles(), bounds_roles()}) {
    for (auto& [known, play] : roles) {
      if (known == name) return play(role);
    }
  }
  fprintf(role.out, "there is no role %s\n", name.c_str());
  return false;
}

}  // namespace conformance
