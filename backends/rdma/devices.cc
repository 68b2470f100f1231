// Which devices there are, and which of a port's GIDs to use.
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/rdma/devices.h"

namespace rc {
namespace {

constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// verbs tells the kind of a GID in newer releases only, the kernel in all of them.
bool is_roce_v2(const char* device, uint32_t port, uint32_t i) noexcept {
  char path[160], text[32];
  snprintf(path, sizeof path, "/sys/class/infiniband/%s/ports/%u/gid_attrs/types/%u", device, port, i);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
  if (fd >= 0) close(fd);
  if (n < 0) n = 0;
  text[n] = '\0';
  return strstr(text, "v2") != nullptr;
}

// The best first: RoCE v2 before v1, IPv4 before IPv6, a link-local address last.
int rank(const ibv_gid& gid, bool v2) noexcept {
  bool ipv4 = memcmp(gid.raw, kMapped, sizeof kMapped) == 0;
  bool link_local = gid.raw[0] == 0xfe && (gid.raw[1] & 0xc0) == 0x80;
  return (v2 ? 4 : 0) + (ipv4 ? 2 : 0) + (link_local ? 0 : 1);
}

// Of an open device the port that will do.
bool find_port(const Knobs& knobs, const ibv_gid* address, ibv_context* verbs, Place* place) noexcept {
  ibv_device_attr device = {};
  if (g_verbs.query_device(verbs, &device) != 0) return false;
  for (uint32_t n = 1; n <= device.phys_port_cnt; ++n) {
    ibv_port_attr port = {};
    auto number = static_cast<uint8_t>(n);
    if ((knobs.port != 0 && knobs.port != n) || !is_active(verbs, number, &port)) continue;
    Gids gids = look_at_gids(verbs, number, port, address);
    if (knobs.gid != kNotGiven) {
      gids.best = knobs.gid;
      if (g_verbs.query_gid(verbs, number, static_cast<int>(knobs.gid), &gids.gid) != 0 || is_empty(gids.gid)) continue;
    } else if (gids.best == kNotGiven) {
      continue;
    }
    *place = {verbs, number, gids.best, gids.gid, port.lid, port.link_layer == IBV_LINK_LAYER_INFINIBAND};
    return true;
  }
  return false;
}

void describe(ibv_context* verbs, uint32_t n, Device* to) noexcept {
  ibv_port_attr port = {};
  auto number = static_cast<uint8_t>(n);
  to->port = n;
  to->active = is_active(verbs, number, &port);
  to->infiniband = port.link_layer == IBV_LINK_LAYER_INFINIBAND;
  to->mtu = mtu_bytes(port.active_mtu);
  to->mtu_max = mtu_bytes(port.max_mtu);
  Gids gids = look_at_gids(verbs, number, port, nullptr);
  to->gids = gids.used;
  to->gid = gids.best;
  memcpy(to->gid_bytes, gids.gid.raw, sizeof to->gid_bytes);
}

}  // namespace

bool is_active(ibv_context* verbs, uint8_t port_num, ibv_port_attr* port) noexcept {
  return g_verbs.query_port(verbs, port_num, port) == 0 && port->state == IBV_PORT_ACTIVE;
}

bool is_empty(const ibv_gid& gid) noexcept {
  for (size_t i = 8; i < sizeof gid.raw; ++i) {  // an empty one may still have its subnet's prefix
    if (gid.raw[i] != 0) return false;
  }
  return true;
}

Gids look_at_gids(ibv_context* verbs, uint8_t port_num, const ibv_port_attr& port, const ibv_gid* address) noexcept {
  Gids found = {0, kNotGiven, {}};
  const char* device = g_verbs.get_device_name(verbs->device);
  int best = -1;
  for (int i = 0; i < port.gid_tbl_len; ++i) {
    ibv_gid gid = {};
    if (g_verbs.query_gid(verbs, port_num, i, &gid) != 0 || is_empty(gid)) continue;
    ++found.used;
    if (static_cast<uint32_t>(i) > kGidMost) continue;
    if (address != nullptr && memcmp(address, &gid, sizeof gid) != 0) continue;
    int r = rank(gid, is_roce_v2(device, port_num, static_cast<uint32_t>(i)));
    if (r <= best) continue;
    best = r;
    found.best = static_cast<uint32_t>(i);
    found.gid = gid;
  }
  return found;
}

bool gid_of(const sockaddr_storage& address, ibv_gid* gid) noexcept {
  *gid = {};
  if (address.ss_family == AF_INET) {
    const in_addr& a = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
    memcpy(gid->raw, kMapped, sizeof kMapped);
    memcpy(gid->raw + sizeof kMapped, &a, sizeof a);
    return a.s_addr != INADDR_ANY;
  }
  memcpy(gid->raw, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, sizeof gid->raw);
  return !is_empty(*gid);
}

Code find_place(const Uri& uri, const Knobs& knobs, const sockaddr_storage& address, Place* place) noexcept {
  ibv_gid wanted;
  const ibv_gid* of_address = gid_of(address, &wanted) ? &wanted : nullptr;
  int n = 0;
  ibv_device** list = g_verbs.get_device_list(&n);
  if (list == nullptr) return fail_errno(kSystem, "listing the RDMA devices", errno);
  bool found = false;
  Code closed = kOk;  // of one that cannot be opened
  for (int i = 0; i < n && !found; ++i) {
    if (knobs.device[0] != '\0' && strcmp(knobs.device, g_verbs.get_device_name(list[i])) != 0) continue;
    ibv_context* verbs = nullptr;
    Code code = open_device(list[i], &verbs);
    if (code != kOk) closed = code;
    found = code == kOk && find_port(knobs, of_address, verbs, place);
    if (code == kOk && !found) g_verbs.close_device(verbs);
  }
  g_verbs.free_device_list(list);
  if (found) return kOk;
  if (closed != kOk) return closed;
  return fail(kNoDevice,
              "%s: no active RDMA port has a GID that would do%s; rdma link show, and "
              "/sys/class/infiniband/*/ports/*/gids, tell what there is",
              uri.text,
              knobs.gid != kNotGiven  ? " at that index"
              : of_address != nullptr ? " with that address"
                                      : "");
}

Code rdma_device(uint32_t wanted, Device* to) noexcept {
  Code code = open_verbs();
  if (code != kOk) return code;
  int n = 0;
  ibv_device** list = g_verbs.get_device_list(&n);
  if (list == nullptr) return fail_errno(kSystem, "listing the RDMA devices", errno);
  uint32_t left = wanted;
  code = kRange;
  for (int i = 0; i < n && code == kRange; ++i) {
    ibv_context* verbs = nullptr;
    ibv_device_attr attr = {};
    Code opened = open_device(list[i], &verbs);
    if (opened != kOk) {
      code = opened;
    } else if (g_verbs.query_device(verbs, &attr) != 0) {
      code = fail_errno(kSystem, "asking an RDMA device what it is", errno);
    } else if (left >= attr.phys_port_cnt) {
      left -= attr.phys_port_cnt;
    } else {
      *to = {};
      strncpy(to->name, g_verbs.get_device_name(list[i]), sizeof to->name - 1);
      to->guid = be64toh(g_verbs.get_device_guid(list[i]));
      describe(verbs, left + 1, to);
      code = kOk;
    }
    if (verbs != nullptr) g_verbs.close_device(verbs);
  }
  g_verbs.free_device_list(list);
  return code == kRange ? fail(kRange, "there is no port %u: fewer RDMA ports are here", wanted) : code;
}

}  // namespace rc
#endif
