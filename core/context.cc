#include "core/context.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "core/descriptors.h"
#include "core/fallback.h"
#include "core/mesh.h"
#include "core/pool_memory.h"

namespace rc {
namespace {

std::atomic<uint64_t> g_serial{1};
std::atomic<pid_t> g_owner{0};            // the process that opened the first context
std::atomic<pid_t> g_parent{0};           // in a child that has opened its own: whose handles it inherited ...
std::atomic<uint64_t> g_first_serial{0};  // ... which have serials below this one
pthread_mutex_t g_open_mutex = PTHREAD_MUTEX_INITIALIZER;

size_t round_up(size_t n, size_t to) noexcept { return (n + to - 1) / to * to; }

size_t inbox_stride(const Limits& limits) noexcept {
  return round_up(kRingOffset + rings_bytes(limits.ring_bytes, limits.op_ring_bytes), Handles::kPage);
}

// Where a backend's part of what is shared begins, or, of null, where the parts end.
size_t shared_at(const Backend* backend) noexcept {
  size_t at = 0;
  for (const Backend* const* b = g_backends; *b != backend && *b != nullptr; ++b)
    at += round_up((*b)->context_bytes, kPair);
  return at;
}

}  // namespace

uint64_t Context::next_serial() noexcept { return g_serial.fetch_add(1, std::memory_order_relaxed); }

size_t Context::link_stride() noexcept {
  size_t most = sizeof(AttachedLink);
  for (const Backend* const* b = g_backends; *b != nullptr; ++b)
    most = (*b)->link_bytes > most ? (*b)->link_bytes : most;
  return round_up(most, kPair);
}

size_t Context::point_stride() noexcept {
  size_t most = sizeof(FallbackPoint);
  for (const Backend* const* b = g_backends; *b != nullptr; ++b)
    most = (*b)->listen_bytes > most ? (*b)->listen_bytes : most;
  return round_up(most, kPair);
}

size_t Context::pursuit_stride() noexcept {
  size_t most = sizeof(Pursuit);
  for (const Backend* const* b = g_backends; *b != nullptr; ++b)
    most = (*b)->pursuit_bytes > most ? (*b)->pursuit_bytes : most;
  return round_up(sizeof(FallbackPursuit) + most, kPair);
}

Code Context::pool_full(const char* pool, uint32_t size, const char* field) noexcept {
  return fail(kPool, "the %s pool is full: all %u are in use; close some or raise rc_config.%s", pool, size, field);
}

alignas(Handles::kPage) Handles::Table Handles::table;

// ----------------------------------------------------------------------------------------------------------------
// handles

Context* Handles::context(uint64_t id) noexcept {
  Context* c = Id::kind(id) == Id::kContext ? owner(id) : nullptr;
  return c != nullptr && c->id() == id ? c : nullptr;
}

Listener* Handles::listener(uint64_t id, Id::Kind kind) noexcept {
  Context* c = Id::kind(id) == kind ? owner(id) : nullptr;
  if (c == nullptr || Id::slot(id) >= c->limits().listeners_max) return nullptr;
  Listener* l = &c->listeners()[Id::slot(id)];
  return l->id.load(std::memory_order_acquire) == id ? l : nullptr;
}

Mesh* Handles::mesh(uint64_t id) noexcept {
  Context* c = Id::kind(id) == Id::kMesh ? owner(id) : nullptr;
  if (c == nullptr || Id::slot(id) >= c->limits().meshes_max) return nullptr;
  Mesh* m = c->mesh(Id::slot(id));
  return m->handle.load(std::memory_order_acquire) == id ? m : nullptr;
}

Code Handles::refuse(uint64_t id, const char* kind) noexcept {
  pid_t owner_pid = g_owner.load(std::memory_order_relaxed);
  if (owner_pid == getpid() && Id::serial(id) < g_first_serial.load(std::memory_order_relaxed)) {
    owner_pid = g_parent.load(std::memory_order_relaxed);
  }
  if (id != 0 && owner_pid != 0 && owner_pid != getpid()) {
    return fail(kForked, "this %s belongs to the parent process %d; a child opens its own context", kind,
                int{owner_pid});
  }
  return fail(kHandle, id == 0 ? "this %s handle is zero" : "this %s handle is closed or was never given out", kind);
}

// ---------------------------------------------------------------------------------------------------------------- open

Context* Context::carve(Arena& arena, const Limits& limits) noexcept {
  void* at = arena.carve(sizeof(Context), kPair);
  Context* c = at != nullptr ? new (at) Context : nullptr;
  Context adding_up;  // carving into it is harmless when there is no memory
  Context& to = c != nullptr ? *c : adding_up;
  to.limits_ = limits;
  to.channels_ = static_cast<Channel*>(arena.carve(limits.channels_max * sizeof(Channel), kPair));
  to.links_ = static_cast<uint8_t*>(arena.carve(limits.channels_max * link_stride(), kPair));
  to.listeners_ = static_cast<Listener*>(arena.carve(limits.listeners_max * sizeof(Listener), kPair));
  to.point_memory_ = static_cast<uint8_t*>(arena.carve(limits.listeners_max * point_stride(), kPair));
  to.shared_memory_ = static_cast<uint8_t*>(arena.carve(shared_at(nullptr), kPair));
  to.channel_pool_.carve(arena, limits.channels_max);
  to.listener_pool_.carve(arena, limits.listeners_max);
  to.ring_pool_.carve(arena, limits.rings_max);
  to.mesh_pool_.carve(arena, limits.meshes_max);
  to.meshes_ = static_cast<Mesh*>(arena.carve(limits.meshes_max * sizeof(Mesh), kPair));
  for (uint32_t i = 0; i < limits.meshes_max; ++i) {
    Mesh none;
    Mesh* mesh = c != nullptr ? new (&c->meshes_[i]) Mesh : &none;
    mesh->carve(arena, limits.mesh_members_max);
  }
  if (limits.op_ring_bytes != 0) to.ops_ = static_cast<Ops*>(arena.carve(limits.channels_max * sizeof(Ops), kPair));
  for (uint32_t i = 0; limits.op_ring_bytes != 0 && i < limits.channels_max; ++i) {
    Ops unplaced;
    (to.ops_ != nullptr ? new (&to.ops_[i]) Ops : &unplaced)->carve(arena, limits.requests_max);
  }
  to.regions_.carve(arena, limits.mrs_max, limits.mr_bytes);
  to.rings_ = static_cast<uint8_t*>(arena.carve(limits.rings_max * inbox_stride(limits), Handles::kPage));
  return c;
}

uint64_t Context::footprint(const Limits& limits) noexcept {
  Arena arena(nullptr, 0);
  carve(arena, limits);
  return arena.used() + Handles::kPage - 1;  // the caller's memory may begin anywhere
}

Code Context::open(const Limits& limits, void* memory, uint64_t bytes, uint64_t* id) noexcept {
  uint64_t needed = footprint(limits);
  if (memory != nullptr && bytes < needed) {
    return fail(kSize, "memory_bytes is %llu, the pools need %llu: ask rc_footprint",
                static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(needed));
  }
  int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_fd < 0) return fail_errno(kSystem, "eventfd at rc_open", errno);
  void* mapping = nullptr;
  uint64_t mapped = 0;
  if (memory == nullptr) {
    Code code = map_pools(needed, limits.huge_pages, &mapping, &mapped);
    if (code != kOk) {
      ::close(stop_fd);
      return code;
    }
    memory = mapping;
  }
  register_heavy_fence();
  uintptr_t begin = round_up(reinterpret_cast<uintptr_t>(memory), Handles::kPage);
  Arena arena(reinterpret_cast<void*>(begin), needed - (Handles::kPage - 1));
  Context* c = carve(arena, limits);
  c->mapping_ = mapping;
  c->mapping_bytes_ = mapped;
  c->stop_fd_ = stop_fd;
  memset(c->shared_memory_, 0, shared_at(nullptr));
  for (uint32_t i = 0; i < limits.channels_max; ++i) new (&c->channels_[i]) Channel;
  for (uint32_t i = 0; i < limits.listeners_max; ++i) new (&c->listeners_[i]) Listener;
  c->channel_pool_.fill();
  c->listener_pool_.fill();
  c->ring_pool_.fill();
  c->mesh_pool_.fill();

  pthread_mutex_lock(&g_open_mutex);
  if (g_owner.load(std::memory_order_relaxed) != getpid()) {
    g_parent.store(g_owner.load(std::memory_order_relaxed), std::memory_order_relaxed);
    if (g_parent.load(std::memory_order_relaxed) != 0)
      g_first_serial.store(g_serial.load(std::memory_order_relaxed), std::memory_order_relaxed);
    g_owner.store(getpid(), std::memory_order_relaxed);
    // In a child the handles of the parent must be unknown. An old kernel without it only loses that check.
    madvise(&Handles::table, sizeof Handles::table, MADV_WIPEONFORK);
  }
  uint32_t slot = 0;
  while (slot < kContextsMax && Handles::table.entries[slot].context.load(std::memory_order_relaxed) != nullptr) ++slot;
  if (slot < kContextsMax) {
    Handles::Entry& e = Handles::table.entries[slot];
    *id = c->id_ = Id::make(Id::kContext, slot, 0, next_serial());
    c->regions_.open(slot, mapping != nullptr && !limits.huge_pages);
    e.channels = c->channels_;
    e.channels_max.store(limits.channels_max, std::memory_order_release);
    e.context.store(c, std::memory_order_release);  // pairs with the acquire in Handles
  }
  pthread_mutex_unlock(&g_open_mutex);
  if (slot < kContextsMax) {
    Code code = limits.progress_thread ? c->start_driver() : kOk;
    if (code == kOk) return kOk;
    c->close();
    *id = 0;
    return code;
  }
  ::close(stop_fd);
  if (mapping != nullptr) munmap(mapping, mapped);
  return fail(kPool, "%u contexts are open in this process, more cannot be", kContextsMax);
}

Code Context::close() noexcept {
  stop_driver();
  for (uint32_t i = 0; i < limits_.meshes_max; ++i) {
    uint64_t id = meshes_[i].handle.load(std::memory_order_relaxed);
    if (id != 0) close_mesh(&meshes_[i], id);
  }
  for (uint32_t i = 0; i < limits_.listeners_max; ++i) {
    uint64_t id = listeners_[i].id.load(std::memory_order_relaxed);
    if (id != 0) close_listener(&listeners_[i], id);
  }
  for (uint32_t i = 0; i < limits_.channels_max; ++i) {
    uint64_t id = channels_[i].id();
    if (id != Channel::kNobody) close_channel(&channels_[i], id);
  }
  regions_.close();
  Handles::Entry& e = Handles::table.entries[Id::context(id_)];
  e.channels_max.store(0, std::memory_order_release);
  e.context.store(nullptr, std::memory_order_release);
  close_set(&ready_fd_);
  close_set(&drive_fd_);
  ::close(stop_fd_);
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
  return kOk;
}

void Context::stop() noexcept {
  stopped_.store(true, std::memory_order_relaxed);
  signal_fd(stop_fd_);
}

// ----------------------------------------------------------------------------------------------------------------
// rings

Inbox* Context::take_ring() noexcept {
  lock();
  uint32_t slot = ring_pool_.take();
  unlock();
  if (slot == SlotPool::kNone) {
    pool_full("ring", ring_pool_.size(), "rings_max");
    return nullptr;
  }
  // Only the head needs it: ring bytes are written before they are read.
  return new (rings_ + slot * inbox_stride(limits_)) Inbox{};
}

void Context::give_ring(Inbox* inbox) noexcept {
  lock();
  ring_pool_.give(
      static_cast<uint32_t>(static_cast<size_t>(reinterpret_cast<uint8_t*>(inbox) - rings_) / inbox_stride(limits_)));
  unlock();
}

void* Context::shared_by(const Backend* backend) noexcept { return shared_memory_ + shared_at(backend); }

// ----------------------------------------------------------------------------------------------------------------
// memory

Code Context::alloc_region(uint64_t bytes, bool zeroed, uint64_t* id) noexcept {
  return regions_.alloc(bytes, zeroed, next_serial(), id);
}

Code Context::enroll_region(void* address, uint64_t bytes, uint32_t access, uint64_t* id) noexcept {
  return regions_.enroll(address, bytes, access, next_serial(), id);
}

Code Context::free_region(uint64_t id) noexcept {
  Code code = release_region(id);
  if (code == kOk) forget_region(id);
  return code;
}

void Context::forget_region(uint64_t id) noexcept {
  for (uint32_t i = 0; ops_ != nullptr && i < limits_.channels_max; ++i) ops_[i].forget_region(id);
  for (uint32_t i = 0; i < limits_.listeners_max; ++i) {
    uint64_t raw = listeners_[i].id.load(std::memory_order_acquire);
    if (Id::kind(raw) != Id::kRaw) continue;
    at_raw(&listeners_[i], raw, [id](const RawTable& table, ListenPoint* point) noexcept {
      table.forget(point, id);
      return kOk;
    });
  }
}

Code Context::release_region(uint64_t id) noexcept {
  Code code = regions_.free(id);
  if (code != kInUse || ops_ == nullptr) return code;
  for (uint32_t i = 0; i < limits_.channels_max; ++i) {
    ops_[i].forget_local(id);
    if (channels_[i].id() == Channel::kNobody) continue;
    Code over = channels_[i].over();
    if (over == kOk) {
      ops_[i].reap();
    } else {
      ops_[i].abort(over);
      code = ops_[i].end_direct(id);
      if (code != kOk) return code;
    }
  }
  return regions_.free(id);
}

// ----------------------------------------------------------------------------------------------------------------
// meshes

Code Context::close_given_channel(Channel* channel, uint64_t id) noexcept {
  for (uint32_t i = 0; i < limits_.meshes_max; ++i) {
    if (meshes_[i].handle.load(std::memory_order_acquire) != 0 && meshes_[i].keeps(id))
      return meshes_[i].close_channel(channel, id);
  }
  return close_channel(channel, id);
}

Mesh* Context::mesh(uint32_t slot) noexcept { return &meshes_[slot]; }

Code Context::open_mesh(const MeshParams& params, int64_t timeout_ns, uint64_t* id) noexcept {
  lock();
  uint32_t slot = mesh_pool_.take();
  unlock();
  if (slot == SlotPool::kNone) return pool_full("mesh", mesh_pool_.size(), "meshes_max");
  Code code = meshes_[slot].open(this, params, timeout_ns);
  if (code != kOk) {
    lock();
    mesh_pool_.give(slot);
    unlock();
    return code;
  }
  *id = Id::make(Id::kMesh, Id::context(id_), slot, next_serial());
  meshes_[slot].handle.store(*id, std::memory_order_release);  // pairs with the acquire in Handles::mesh
  return adopt_mesh(id);
}

Code Context::close_mesh(Mesh* mesh, uint64_t id) noexcept {
  if (!mesh->handle.compare_exchange_strong(id, 0, std::memory_order_seq_cst)) return Handles::refuse(id, "mesh");
  mesh->evict();
  Code code = mesh->close();
  lock();
  mesh_pool_.give(static_cast<uint32_t>(mesh - meshes_));
  unlock();
  return code;
}

}  // namespace rc
