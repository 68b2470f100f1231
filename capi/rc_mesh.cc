// The C ABI of the mesh.
#pragma GCC visibility push(default)
#include "capi/rc.h"
#pragma GCC visibility pop

#include <string.h>

#include "capi/config.h"
#include "core/context.h"
#include "core/mesh.h"

namespace rc {
namespace {

static_assert(kHosts == RC_E_HOSTS && kIdentity == RC_E_IDENTITY && kDuplicate == RC_E_DUPLICATE);
static_assert(sizeof(rc_mesh_state::name) >= kMeshNameBytes && sizeof(rc_mesh_state::uri) >= kUriBytes);
static_assert(MemberEvent::kConnected == RC_MEMBER_CONNECTED && MemberEvent::kAccepted == RC_MEMBER_ACCEPTED &&
              MemberEvent::kLost == RC_MEMBER_LOST);

Code null_argument(const char* what) noexcept { return fail(kInvalid, "%s is NULL", what); }

// As the one thread inside.
template <class F>
Code inside(uint64_t id, F f) noexcept {
  Mesh* m = Handles::mesh(id);
  if (m == nullptr) return Handles::refuse(id, "mesh");
  if (!m->enter()) return fail_plain(kBusy, "another thread is in rc_mesh_event on this mesh");
  // Pairs with close_mesh: either it sees us inside, or we see the id gone.
  Code code = m->handle.load(std::memory_order_seq_cst) == id ? f(*m) : Handles::refuse(id, "mesh");
  m->leave();
  return code;
}

}  // namespace
}  // namespace rc

using namespace rc;  // NOLINT: this file is the C ABI of that namespace

extern "C" {

int32_t rc_mesh_open(rc_ctx ctx, const rc_mesh_config* config, int64_t timeout_ns, rc_mesh* mesh) {
  if (mesh == nullptr) return null_argument("mesh");
  mesh->id = 0;
  Context* c = Handles::context(ctx.id);
  if (c == nullptr) return Handles::refuse(ctx.id, "context");
  MeshParams params;
  Code code = read_mesh_params(config, c->limits(), &params);
  return code == kOk ? c->open_mesh(params, timeout_ns, &mesh->id) : code;
}

int32_t rc_mesh_channel(rc_mesh mesh, uint32_t id, rc_channel* channel) {
  if (channel == nullptr) return null_argument("channel");
  channel->id = 0;
  Mesh* m = Handles::mesh(mesh.id);
  return m != nullptr ? m->channel_of(id, &channel->id) : Handles::refuse(mesh.id, "mesh");
}

int32_t rc_mesh_event(rc_mesh mesh, rc_member_event* event, int64_t timeout_ns) {
  if (event == nullptr) return null_argument("event");
  return inside(mesh.id, [&](Mesh& m) noexcept {
    MemberEvent e = {};
    rc_member_event full = {};
    Code code = write_answer(event, event->size, &full, sizeof full, "rc_member_event");
    if (code != kOk) return code;
    code = m.next_event(timeout_ns, &e);
    full = {0, e.kind, e.member, e.code, e.retries, 0, {e.channel}};
    write_answer(event, event->size, &full, sizeof full, "rc_member_event");
    return code;
  });
}

int32_t rc_mesh_fd(rc_mesh mesh, int32_t* fd) {
  if (fd == nullptr) return null_argument("fd");
  *fd = -1;
  return inside(mesh.id, [&](Mesh& m) noexcept { return m.descriptor(fd); });
}

int32_t rc_mesh_info(rc_mesh mesh, rc_mesh_state* state) {
  if (state == nullptr) return null_argument("state");
  Mesh* m = Handles::mesh(mesh.id);
  if (m == nullptr) return Handles::refuse(mesh.id, "mesh");
  rc_mesh_state full = {};
  full.id = m->own_id();
  full.members = m->members();
  full.present = m->present();
  strcpy(full.name, m->name());
  strcpy(full.uri, m->uri());
  return write_answer(state, state->size, &full, sizeof full, "rc_mesh_state");
}

int32_t rc_mesh_close(rc_mesh mesh) {
  Mesh* m = Handles::mesh(mesh.id);
  if (m == nullptr) return Handles::refuse(mesh.id, "mesh");
  return Handles::owner(mesh.id)->close_mesh(m, mesh.id);
}

}  // extern "C"
