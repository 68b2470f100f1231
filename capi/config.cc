#include "capi/config.h"

#include <string.h>

namespace rc {
namespace {

constexpr uint32_t kSizeMax = 4096;  // no version will ever have a larger struct
constexpr uint32_t kSizeMin = 8;
constexpr uint32_t kRegionsDefault = 64;
constexpr uint32_t kOpRingDefault = 65536;
constexpr uint32_t kRequestsDefault = 64;

// Older callers' structs are shorter (the rest is default), newer ones longer (the rest must be default).
Code read_struct(const void* from, uint32_t from_bytes, void* to, uint32_t to_bytes, const char* name) noexcept {
  if (from_bytes < kSizeMin || from_bytes > kSizeMax) {
    return fail(kConfig, "%s.size is %u; set it to sizeof(%s), here %u", name, from_bytes, name, to_bytes);
  }
  memcpy(to, from, from_bytes < to_bytes ? from_bytes : to_bytes);
  const auto* bytes = static_cast<const uint8_t*>(from);
  for (uint32_t i = to_bytes; i < from_bytes; ++i) {
    if (bytes[i] != 0) {
      return fail(kConfig,
                  "%s has a field at byte %u that this library (version %u) does not know; leave it 0 or update", name,
                  i, rc_version());
    }
  }
  return kOk;
}

uint64_t value_or(uint64_t value, uint64_t otherwise) noexcept { return value != 0 ? value : otherwise; }

Code check_range(const char* field, uint64_t value, uint64_t most) noexcept {
  if (value <= most) return kOk;
  return fail(kInvalid, "%s is %llu, at most %llu are possible", field, static_cast<unsigned long long>(value),
              static_cast<unsigned long long>(most));
}

Code check_ring_bytes(const char* field, uint64_t value, uint64_t most, const char* whose) noexcept {
  if (value <= most) return kOk;
  return fail(kSize, "%s is %llu, %s %llu", field, static_cast<unsigned long long>(value), whose,
              static_cast<unsigned long long>(most));
}

Code check_wait(const char* field, uint32_t wait) noexcept {
  return wait <= RC_WAIT_SLEEP ? kOk : fail(kInvalid, "%s is %u, not one of RC_WAIT_*", field, wait);
}

Code copy_text(const char* field, const char* from, char* to, size_t room) noexcept {
  if (from == nullptr) return kOk;
  size_t bytes = strnlen(from, room);
  if (bytes == room) return fail(kInvalid, "%s is longer than %zu bytes", field, room - 1);
  memcpy(to, from, bytes + 1);
  return kOk;
}

}  // namespace

Code read_limits(const rc_config* config, Limits* limits, void** memory, uint64_t* memory_bytes) noexcept {
  rc_config c = {};
  Code code = config != nullptr ? read_struct(config, config->size, &c, sizeof c, "rc_config") : kOk;
  if (code == kOk) code = check_range("rc_config.channels_max", c.channels_max, kChannelsMax);
  if (code == kOk) code = check_range("rc_config.listeners_max", c.listeners_max, kListenersMax);
  if (code == kOk) code = check_range("rc_config.rings_max", c.rings_max, kRingsMax);
  if (code == kOk) code = check_ring_bytes("rc_config.ring_bytes", c.ring_bytes, kRingBytesMax, "at most possible are");
  if (code == kOk) code = check_range("rc_config.meshes_max", c.meshes_max, kMeshesMax);
  if (code == kOk) code = check_range("rc_config.mesh_members_max", c.mesh_members_max, kMeshMembersMax);
  if (code == kOk) code = check_range("rc_config.mr_bytes", c.mr_bytes, uint64_t{1} << 40);
  if (code == kOk) code = check_range("rc_config.mrs_max", c.mrs_max, kRegionsMax);
  if (code == kOk) code = check_range("rc_config.op_ring_bytes", c.op_ring_bytes, kOpRingMax);
  if (code == kOk) code = check_range("rc_config.requests_max", c.requests_max, kRequestsMax);
  if (code == kOk) code = check_range("rc_config.peer_rights", c.peer_rights, kAllRights);
  if (code == kOk) code = check_range("rc_config.progress_thread", c.progress_thread, 1);
  if (code == kOk && (c.flags & ~RC_HUGE_PAGES) != 0)
    code = fail(kConfig, "rc_config.flags %#x are unknown to this library", c.flags);
  if (code == kOk && c.flags != 0 && c.memory != nullptr)
    code =
        fail_plain(kInvalid, "RC_HUGE_PAGES is about the library's own mapping, and rc_config.memory is the caller's");
  if (code == kOk && c.op_ring_bytes != 0 && c.op_ring_bytes < kOpRingMin)
    code = fail(kInvalid, "rc_config.op_ring_bytes is %u, at least %u are needed", c.op_ring_bytes, kOpRingMin);
  if (code != kOk) return code;
  limits->mr_bytes = c.mr_bytes;
  limits->mrs_max = c.mrs_max != 0 ? c.mrs_max : c.mr_bytes != 0 ? kRegionsDefault : 0;
  limits->op_ring_bytes = limits->mrs_max == 0 ? 0 : c.op_ring_bytes != 0 ? c.op_ring_bytes : kOpRingDefault;
  limits->requests_max = c.requests_max != 0 ? c.requests_max : kRequestsDefault;
  limits->peer_rights = c.peer_rights != 0 ? c.peer_rights : kAllRights;
  limits->peer_mr_bytes = c.peer_mr_bytes;
  limits->peer_mr_total = value_or(c.peer_mr_total, c.mr_bytes);
  limits->channels_max = c.channels_max != 0 ? c.channels_max : 16;
  limits->listeners_max = c.listeners_max != 0 ? c.listeners_max : 4;
  limits->rings_max = c.rings_max != 0 ? c.rings_max : 2 * limits->channels_max;
  limits->meshes_max = c.meshes_max != 0 ? c.meshes_max : 1;
  limits->mesh_members_max = c.mesh_members_max != 0 ? c.mesh_members_max : 64;
  limits->ring_bytes = value_or(c.ring_bytes, kRingBytesDefault);
  limits->progress_thread = c.progress_thread != 0;
  limits->huge_pages = (c.flags & RC_HUGE_PAGES) != 0;
  *memory = c.memory;
  *memory_bytes = c.memory_bytes;
  return kOk;
}

Code read_channel_params(const rc_channel_config* config, const Limits& limits, ChannelParams* params) noexcept {
  rc_channel_config c = {};
  memset(params, 0, sizeof *params);
  Code code = config != nullptr ? read_struct(config, config->size, &c, sizeof c, "rc_channel_config") : kOk;
  if (code == kOk && ((c.flags & ~RC_ANY_USER) != 0 || c.reserved != 0)) {
    code =
        fail(kConfig, "rc_channel_config: flags %#x or reserved %u are unknown to this library", c.flags, c.reserved);
  }
  if (code == kOk) code = check_wait("rc_channel_config.wait", c.wait);
  if (code == kOk) {
    code = check_ring_bytes("rc_channel_config.ring_bytes", c.ring_bytes, limits.ring_bytes,
                            "the context was opened with rc_config.ring_bytes");
  }
  if (code == kOk)
    code = copy_text("rc_channel_config.identity", c.identity, params->identity, sizeof params->identity);
  if (code == kOk) code = copy_text("rc_channel_config.token", c.token, params->token, sizeof params->token);
  if (code == kOk)
    code = copy_text("rc_channel_config.rdma_knobs", c.rdma_knobs, params->rdma_knobs, sizeof params->rdma_knobs);
  params->ring_bytes = c.ring_bytes;
  params->ring_bytes_max = limits.ring_bytes;
  params->op_ring_bytes = limits.op_ring_bytes;
  params->requests = limits.requests_max;
  params->wait = c.wait;
  params->any_user = (c.flags & RC_ANY_USER) != 0;
  return code;
}

Code read_mesh_params(const rc_mesh_config* config, const Limits& limits, MeshParams* params) noexcept {
  if (config == nullptr)
    return fail_plain(kInvalid, "rc_mesh_open: the config is NULL, and a host list has no default");
  rc_mesh_config c = {};
  memset(static_cast<void*>(params), 0, sizeof *params);
  Code code = read_struct(config, config->size, &c, sizeof c, "rc_mesh_config");
  if (code == kOk && (c.flags & ~(RC_MESH_ID | RC_MESH_PARTIAL)) != 0)
    code = fail(kConfig, "rc_mesh_config.flags %#x are unknown to this library", c.flags);
  if (code == kOk && (c.flags & RC_MESH_ID) == 0 && c.id != 0)
    code = fail(kInvalid, "rc_mesh_config.id is %u, but flags lack RC_MESH_ID", c.id);
  if (code == kOk && (c.hosts == nullptr) == (c.hosts_path == nullptr))
    code = fail_plain(kInvalid, "rc_mesh_config: give the list as hosts or as hosts_path, one of the two");
  if (code == kOk)
    code = copy_text("rc_mesh_config.name", c.name != nullptr ? c.name : "mesh", params->name, sizeof params->name);
  for (const char* n = params->name; code == kOk && *n != '\0'; ++n) {
    if (*n <= ' ' || *n > '~') code = fail_plain(kInvalid, "rc_mesh_config.name has a byte that is no ASCII letter");
  }
  if (code == kOk) code = read_channel_params(c.channel, limits, &params->channel);
  if (code == kOk && params->channel.identity[0] != '\0')
    code = fail_plain(kInvalid, "rc_mesh_config.channel->identity is the mesh's: leave it NULL and give a name");
  params->hosts = c.hosts;
  params->hosts_path = c.hosts_path;
  params->members = c.members;
  params->id_given = (c.flags & RC_MESH_ID) != 0;
  params->id = c.id;
  params->partial = (c.flags & RC_MESH_PARTIAL) != 0;
  return code;
}

Code read_attach_params(const rc_attach_config* config, AttachParams* params) noexcept {
  if (config == nullptr) return fail_plain(kInvalid, "rc_attach: the config is NULL, and memory has no default");
  rc_attach_config c = {};
  Code code = read_struct(config, config->size, &c, sizeof c, "rc_attach_config");
  if (code != kOk) return code;
  if (c.reserved != 0) return fail_plain(kConfig, "rc_attach_config.reserved is not 0");
  code = check_wait("rc_attach_config.wait", c.wait);
  if (code != kOk) return code;
  auto unfit = [](const void* p) noexcept { return p == nullptr || reinterpret_cast<uintptr_t>(p) % kPair != 0; };
  if (unfit(c.tx) || unfit(c.rx))
    return fail(kInvalid, "rc_attach_config.tx and rx must be %zu-byte aligned and not NULL", kPair);
  if (c.tx == c.rx) return fail_plain(kInvalid, "rc_attach_config.tx and rx are the same memory");
  if (c.bytes < kAttachBytesMin || c.bytes > kRingOffset + kRingBytesMax) {
    return fail(kSize, "rc_attach_config.bytes is %llu; %zu to %llu are possible",
                static_cast<unsigned long long>(c.bytes), kAttachBytesMin,
                static_cast<unsigned long long>(kRingOffset + kRingBytesMax));
  }
  *params = {c.tx, c.rx, c.bytes, c.wait, c.peer_fd > 0 ? c.peer_fd : -1};
  return kOk;
}

Code read_raw_address(const rc_raw_address* address, RawAddress* to) noexcept {
  rc_raw_address a = {};
  Code code = read_struct(address, address->size, &a, sizeof a, "rc_raw_address");
  if (code != kOk) return code;
  *to = {a.qp_num, a.psn, a.lid, a.mtu, {}};
  memcpy(to->gid, a.gid, sizeof to->gid);
  return a.reserved == 0 ? kOk : fail_plain(kConfig, "rc_raw_address.reserved is not 0");
}

Code write_answer(void* answer, uint32_t answer_bytes, const void* full, uint32_t full_bytes,
                  const char* name) noexcept {
  if (answer_bytes < kSizeMin || answer_bytes > kSizeMax) {
    return fail(kConfig, "%s.size is %u; set it to sizeof(%s), here %u", name, answer_bytes, name, full_bytes);
  }
  memset(static_cast<uint8_t*>(answer) + sizeof(uint32_t), 0, answer_bytes - sizeof(uint32_t));
  uint32_t bytes = answer_bytes < full_bytes ? answer_bytes : full_bytes;
  memcpy(static_cast<uint8_t*>(answer) + sizeof(uint32_t), static_cast<const uint8_t*>(full) + sizeof(uint32_t),
         bytes - sizeof(uint32_t));
  return kOk;
}

}  // namespace rc
