// What a device, its port and its tables can do, and which of the knobs they refuse.
#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <string.h>

#include "backends/rdma/endpoint.h"

namespace rc {
namespace {

constexpr uint32_t kSendDepth = 256;  // 64 puts of three requests, and the reserve
constexpr uint32_t kReceiveDepth = 1024;
constexpr uint32_t kSharedDepth = 16384;  // fifteen connections of event mode, or 64 that poll
constexpr uint32_t kReadsUnderWay = 16;   // and atomics

const char* name_of(const Endpoint* e) noexcept { return g_verbs.get_device_name(e->verbs->device); }

Code refuse(const Uri& uri, const Endpoint* e, const char* key, uint32_t asked, const char* what,
            uint64_t most) noexcept {
  return fail(kUri, "%s: %s=%u, but %s %s %llu", uri.text, key, asked, name_of(e), what,
              static_cast<unsigned long long>(most));
}

Code check_port(const Uri& uri, const Knobs& knobs, ibv_port_attr* port, Endpoint* e) noexcept {
  if (knobs.device[0] != '\0' && strcmp(knobs.device, name_of(e)) != 0) {
    return fail(kNoDevice, "%s: the address belongs to device %s, not to %s", uri.text, name_of(e), knobs.device);
  }
  if (knobs.port != 0 && knobs.port != e->port_num) {
    return fail(kNoDevice, "%s: the address belongs to port %u of %s, not to port %u", uri.text, unsigned{e->port_num},
                name_of(e), knobs.port);
  }
  int error = g_verbs.query_port(e->verbs, e->port_num, port);
  if (error != 0) return fail_errno(kSystem, "asking for the state of an RDMA port", error);
  if (port->state != IBV_PORT_ACTIVE) {
    return fail(kNoDevice, "%s: port %u of %s is not active (state %d); is its network interface up?", uri.text,
                unsigned{e->port_num}, name_of(e), static_cast<int>(port->state));
  }
  e->message_most = port->max_msg_sz;
  return kOk;
}

Code check_path(const Uri& uri, const Knobs& knobs, const ibv_port_attr& port, Endpoint* e) noexcept {
  uint32_t most = mtu_bytes(port.active_mtu);
  if (knobs.mtu > most) {
    return fail(kUri, "%s: mtu=%u, but port %u of %s can do %u; raise the MTU of its network interface", uri.text,
                knobs.mtu, unsigned{e->port_num}, name_of(e), most);
  }
  e->mtu = knobs.mtu != 0 ? knobs.mtu : most;
  if (knobs.gid != kNotGiven && knobs.gid >= static_cast<uint32_t>(port.gid_tbl_len))
    return refuse(uri, e, "gid", knobs.gid, "has so many GIDs:", static_cast<uint64_t>(port.gid_tbl_len));
  if (knobs.pkey != kNotGiven) {
    __be16 pkey = 0;
    if (knobs.pkey >= port.pkey_tbl_len)
      return refuse(uri, e, "pkey", knobs.pkey, "has so many partition keys:", port.pkey_tbl_len);
    if (g_verbs.query_pkey(e->verbs, e->port_num, static_cast<int>(knobs.pkey), &pkey) != 0 || pkey == 0)
      return fail(kUri, "%s: pkey=%u: that place of the port's table is empty", uri.text, knobs.pkey);
  }
  if (knobs.path_bits != kNotGiven && knobs.path_bits >> port.lmc != 0)
    return refuse(uri, e, "path_bits", knobs.path_bits, "has LIDs with so many path bits:", port.lmc);
  return kOk;
}

// What was asked for must fit the device; what was not is made to fit.
Code choose_depth(const Uri& uri, const Endpoint* e, const char* key, uint32_t asked, uint32_t otherwise, int most,
                  uint32_t extra, uint32_t* chosen) noexcept {
  uint32_t limit = most > 0 && static_cast<uint32_t>(most) > extra ? static_cast<uint32_t>(most) - extra : 0;
  if (asked > limit) return refuse(uri, e, key, asked, "can do", limit);
  *chosen = asked != 0 ? asked : otherwise < limit ? otherwise : limit;
  return kOk;
}

Code check_limits(const Uri& uri, const Knobs& knobs, Endpoint* e) noexcept {
  ibv_device_attr device = {};
  int error = g_verbs.query_device(e->verbs, &device);
  if (error != 0) return fail_errno(kSystem, "asking an RDMA device for its limits", error);
  int most = device.max_qp_wr < device.max_cqe ? device.max_qp_wr : device.max_cqe;
  Code code = choose_depth(uri, e, "sq_depth", knobs.send_depth, kSendDepth, most, 0, &e->send_depth);
  e->event = knobs.event;
  e->two_sided = knobs.path == kPathSend;
  uint32_t receives = e->two_sided ? kCellsMost : kReceiveDepth;
  if (code == kOk && (knobs.event || e->two_sided))
    code = choose_depth(uri, e, "rq_depth", knobs.receive_depth, receives, most, kHelloReceives, &e->receive_depth);
  if (code == kOk && e->two_sided && device.max_sge < static_cast<int>(kMessagePieces))
    code = refuse(uri, e, "path=send needs sge", kMessagePieces, "can do", static_cast<uint64_t>(device.max_sge));
  uint32_t entries = knobs.shared_cq ? kSharedDepth : e->send_depth;
  if (code == kOk) code = choose_depth(uri, e, "cq_depth", knobs.cq_depth, entries, device.max_cqe, 0, &e->cq_depth);
  if (code == kOk && e->cq_depth < e->send_depth)
    code = fail(kUri, "%s: cq_depth=%u is less than the send queue's depth, %u: completions would be lost", uri.text,
                e->cq_depth, e->send_depth);
  uint32_t sge = 1;
  if (code == kOk) code = choose_depth(uri, e, "sge", knobs.sge, 1, device.max_sge, 0, &sge);
  if (code == kOk)
    code = choose_depth(uri, e, "rd_atomic", knobs.rd_atomic, kReadsUnderWay, device.max_qp_init_rd_atom, 0,
                        &e->rd_atomic);
  if (code == kOk)
    code = choose_depth(uri, e, "dest_rd_atomic", knobs.dest_rd_atomic, kReadsUnderWay, device.max_qp_rd_atom, 0,
                        &e->dest_rd_atomic);
  if (code == kOk && (knobs.access & kAtomic) != 0 && device.atomic_cap == IBV_ATOMIC_NONE)
    code = fail(kUri, "%s: access=...atomic, but %s has no atomic operations", uri.text, name_of(e));
  bool carried = knobs.path == kPathSend || e->iwarp;
  e->access = carried ? 0 : knobs.access != 0 ? knobs.access : kAllRights;
  if (device.atomic_cap == IBV_ATOMIC_NONE) e->access &= ~kAtomic;
  return code;
}

// TCP is its way, and makes its packets.
Code check_iwarp(const Uri& uri, const Knobs& knobs, const Endpoint* e) noexcept {
  if (e->id == nullptr)
    return fail(
        kNoDevice,
        "%s: %s is an iWARP device, where only rdma_cm connects queue pairs: use rc_listen and rc_connect, or a "
        "device of InfiniBand or RoCE",
        uri.text, name_of(e));
  if (knobs.event)
    return fail(kUri, "%s: mode=event: %s is an iWARP device, which has no WRITE with immediate", uri.text, name_of(e));
  if (knobs.path == kPathSend)
    return fail(kUri, "%s: path=send: %s is an iWARP device, where nothing shows that a SEND has arrived", uri.text,
                name_of(e));
  if ((knobs.access & ~kWrite) != 0)
    return fail(kUri, "%s: access=...: %s is an iWARP device, over which no grant is direct", uri.text, name_of(e));
  struct {
    const char* key;
    uint32_t value, none;
  } const given[] = {{"mtu", knobs.mtu, 0},
                     {"gid", knobs.gid, kNotGiven},
                     {"pkey", knobs.pkey, kNotGiven},
                     {"sl", knobs.sl, kNotGiven},
                     {"hop_limit", knobs.hop_limit, kNotGiven},
                     {"flow_label", knobs.flow_label, kNotGiven},
                     {"static_rate", knobs.static_rate, kNotGiven},
                     {"path_bits", knobs.path_bits, kNotGiven},
                     {"min_rnr_timer", knobs.min_rnr_timer, kNotGiven}};
  for (const auto& g : given) {
    if (g.value != g.none)
      return fail(kUri, "%s: %s=%u: %s is an iWARP device, whose way is TCP: it has no such attribute", uri.text, g.key,
                  g.value, name_of(e));
  }
  return kOk;
}

}  // namespace

Code check_device_name(const Uri& uri, const Knobs& knobs) noexcept {
  if (knobs.device[0] == '\0') return kOk;
  int n = 0;
  ibv_device** list = g_verbs.get_device_list(&n);
  if (list == nullptr) return fail_errno(kSystem, "listing the RDMA devices", errno);
  ibv_device* found = nullptr;
  char names[160] = "";
  for (int i = 0; i < n; ++i) {
    const char* name = g_verbs.get_device_name(list[i]);
    if (strcmp(name, knobs.device) == 0) found = list[i];
    strncat(names, " ", sizeof names - strlen(names) - 1);
    strncat(names, name, sizeof names - strlen(names) - 1);
  }
  ibv_context* verbs = nullptr;
  Code code = found != nullptr
                  ? open_device(found, &verbs)
                  : fail(kNoDevice, "%s: there is no RDMA device %s; there are:%s", uri.text, knobs.device, names);
  if (verbs != nullptr) g_verbs.close_device(verbs);
  g_verbs.free_device_list(list);
  return code;
}

Code check_device(const Uri& uri, const Knobs& knobs, Endpoint* e) noexcept {
  ibv_port_attr port = {};
  e->iwarp = e->verbs->device->transport_type == IBV_TRANSPORT_IWARP;
  Code code = e->iwarp ? check_iwarp(uri, knobs, e) : kOk;
  if (code == kOk) code = check_port(uri, knobs, &port, e);
  if (code == kOk) code = check_path(uri, knobs, port, e);
  if (code == kOk) code = check_limits(uri, knobs, e);
  return code;
}

}  // namespace rc
#endif
