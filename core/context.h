// A context: the memory everything else is carved from, and the tables that handles lead to.
#ifndef CORE_CONTEXT_H_
#define CORE_CONTEXT_H_

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <atomic>

#include "core/arena.h"
#include "core/attach.h"
#include "core/backend.h"
#include "core/channel.h"
#include "core/ops.h"
#include "core/region.h"

namespace rc {

// Checked; see rc_config in rc.h.
struct Limits {
  uint32_t channels_max;
  uint32_t listeners_max;
  uint32_t rings_max;
  uint64_t ring_bytes;
  uint32_t meshes_max;
  uint32_t mesh_members_max;
  // Regions and operations; see core/region.h and core/ops.h.
  uint32_t mrs_max;
  uint64_t mr_bytes;
  uint32_t op_ring_bytes;  // 0: no channel has operations
  uint32_t requests_max;
  uint32_t peer_rights;    // of regions that a peer asks for
  uint64_t peer_mr_bytes;  // the largest of them; 0: it gets none
  uint64_t peer_mr_total;  // all of them, per channel
  bool progress_thread;    // core/drive.cc
  bool huge_pages;         // core/pool_memory.h
};

inline constexpr uint32_t kContextsMax = 64;
inline constexpr uint32_t kChannelsMax = 65536;
inline constexpr uint32_t kRingsMax = 2 * kChannelsMax;
inline constexpr uint32_t kListenersMax = 1024;
inline constexpr uint32_t kMeshesMax = 64;
inline constexpr uint32_t kMeshMembersMax = 4096;
inline constexpr uint64_t kRingBytesMax = uint64_t{1} << 30;
inline constexpr uint64_t kRingBytesDefault = uint64_t{4} << 20;

// A handle's id: which context, which slot, and a number that is never given twice in a process. A channel's kind is 0,
// so that kind and slot together are the slot, and one comparison checks both.
struct Id {
  enum Kind : uint64_t { kChannel = 0, kListener = 1, kContext = 2, kMesh = 3, kMemory = 4, kRaw = 5 };
  // Of kind kMemory: a region's slot is its own; the others have their channel's slot, an index in its tables, and how
  // often that entry was used, which begins again after 2^27 times.
  enum Part : uint64_t { kRegion = 0, kGrant = 1, kRemote = 2, kRequest = 3 };
  static constexpr uint64_t make(Kind kind, uint32_t context, uint32_t slot, uint64_t serial) noexcept {
    return (serial << 25) | (uint64_t{context} << 19) | (uint64_t{kind} << 16) | slot;
  }
  static constexpr uint64_t make_region(uint32_t context, uint32_t slot, uint64_t serial) noexcept {
    return (serial << 27) | (uint64_t{context} << 19) | (uint64_t{kMemory} << 16) | slot;
  }
  static constexpr uint64_t make_part(Part part, uint32_t context, uint32_t slot, uint32_t index,
                                      uint64_t uses) noexcept {
    return (uses << 37) | (uint64_t{index} << 27) | (uint64_t{part} << 25) | (uint64_t{context} << 19) |
           (uint64_t{kMemory} << 16) | slot;
  }
  static constexpr bool is(uint64_t id, Part part) noexcept { return kind(id) == kMemory && ((id >> 25) & 3) == part; }
  static constexpr uint32_t index(uint64_t id) noexcept { return static_cast<uint32_t>((id >> 27) & 1023); }
  static constexpr uint64_t serial(uint64_t id) noexcept {
    return kind(id) != kMemory ? id >> 25 : is(id, kRegion) ? id >> 27 : UINT64_MAX;
  }
  static constexpr uint32_t slot(uint64_t id) noexcept { return static_cast<uint32_t>(id & 0xffff); }
  static constexpr Kind kind(uint64_t id) noexcept { return static_cast<Kind>((id >> 16) & 7); }
  static constexpr uint32_t context(uint64_t id) noexcept { return static_cast<uint32_t>((id >> 19) & 63); }
};

struct Listener {
  std::atomic<uint64_t> id{0};
  std::atomic<uint32_t> inside{0};  // threads in accept; of a raw endpoint, in any call
  ListenPoint* point;
  uint64_t adopted_id = 0;  // under the context's ready lock
};

class Mesh;
struct MeshParams;

class Context {
 public:
  static uint64_t footprint(const Limits& limits) noexcept;
  // memory null: one mapping of our own.
  static Code open(const Limits& limits, void* memory, uint64_t bytes, uint64_t* id) noexcept;
  // The caller has made sure that nobody is about to use it.
  Code close() noexcept;

  // --- control path ---
  Code listen(const char* uri, const ChannelParams& params, uint64_t* id) noexcept;
  Code accept(Listener* listener, uint64_t listener_id, int64_t timeout_ns, uint64_t* id) noexcept;
  Code close_listener(Listener* listener, uint64_t id) noexcept;
  Code connect(const char* uri, const ChannelParams& params, int64_t timeout_ns, uint64_t* id) noexcept;
  // An endpoint is a listener whose one client is named by the caller.
  Code open_endpoint(const char* uri, const ChannelParams& params, void* blob, size_t* bytes, uint64_t* id) noexcept;
  Code connect_endpoint(Listener* listener, uint64_t listener_id, const void* blob, size_t bytes, int64_t timeout_ns,
                        uint64_t* id) noexcept;
  // A raw endpoint lives in a listener's place, too.
  Code open_raw(const char* uri, const ChannelParams& params, RawAddress* own, uint64_t* id) noexcept;
  // Runs f on a raw endpoint, which stays until then.
  template <class F>
  Code at_raw(Listener* listener, uint64_t id, F f) noexcept;
  Code attach(const AttachParams& params, uint64_t* id) noexcept;
  Code connect_self(uint32_t wait, uint64_t* id) noexcept;
  // Begins to connect, or goes on with it: see Backend::pursue. kOk: *id is the channel's.
  Code pursue(const char* uri, const ChannelParams& params, int64_t timeout_ns, Pursuit* pursuit,
              uint64_t* id) noexcept;
  void abandon(Pursuit* pursuit) noexcept {
    if (pursuit->fd >= 0) pursuit->ops->abandon(pursuit);
  }
  static size_t pursuit_stride() noexcept;
  Code close_channel(Channel* channel, uint64_t id) noexcept;
  // The same, for a channel that a mesh may be looking after.
  Code close_given_channel(Channel* channel, uint64_t id) noexcept;
  Code open_mesh(const MeshParams& params, int64_t timeout_ns, uint64_t* id) noexcept;
  Code close_mesh(Mesh* mesh, uint64_t id) noexcept;

  // --- for all of it at once (ready.cc, drive.cc) ---
  // What a caller is about to get the handle of takes part. On failure it is closed, and *id is 0.
  Code adopt_channel(uint64_t* id) noexcept;
  Code adopt_listener(uint64_t* id) noexcept;
  Code adopt_mesh(uint64_t* id) noexcept;
  Code descriptor(int* fd) noexcept;
  // The ids of what may have something to do, at most so many at once.
  static constexpr uint32_t kReadyMost = 64;
  Code ready(uint64_t* ids, uint32_t capacity, uint32_t* count, int64_t timeout_ns) noexcept;
  void forget_ready(int fd) noexcept;
  Code progress() noexcept;
  // A descriptor of the channel's: when it is readable somebody is to drive it.
  bool drive_at(int fd, uint64_t id) noexcept;
  void stop_driving(int fd) noexcept;

  // --- memory ---
  Regions& regions() noexcept { return regions_; }
  Code alloc_region(uint64_t bytes, bool zeroed, uint64_t* id) noexcept;
  Code enroll_region(void* address, uint64_t bytes, uint32_t access, uint64_t* id) noexcept;
  // Leases that are over and channels that have ended hold it no longer.
  Code free_region(uint64_t id) noexcept;
  // Raw endpoints have nothing registered of it any more.
  void forget_region(uint64_t id) noexcept;
  Ops* ops_of(const Channel* channel) noexcept { return ops_ == nullptr ? nullptr : &ops_[channel - channels_]; }

  // --- what backends use ---
  void lock() noexcept { pthread_mutex_lock(&mutex_); }
  void unlock() noexcept { pthread_mutex_unlock(&mutex_); }
  ListenPoint* listen_points() noexcept { return points_; }  // under the lock
  const Limits& limits() const noexcept { return limits_; }
  // One inbox with a ring of limits().ring_bytes, zeroed; null if the pool is empty.
  Inbox* take_ring() noexcept;
  void give_ring(Inbox* inbox) noexcept;
  // A place for one more listener, in the list but without a handle; null if the pool is empty.
  ListenPoint* take_point(const Backend* backend, const Uri& uri, const ChannelParams& params) noexcept;
  void drop_point(ListenPoint* point) noexcept;
  // The backend's context_bytes; it takes lock() to change them.
  void* shared_by(const Backend* backend) noexcept;
  // Makes a link one that holds nothing, for another try.
  static void blank(Link* link, size_t bytes) noexcept;
  int stop_fd() const noexcept { return stop_fd_; }
  bool stopped() const noexcept { return stopped_.load(std::memory_order_relaxed); }
  void stop() noexcept;

  Channel* channels() noexcept { return channels_; }
  Listener* listeners() noexcept { return listeners_; }
  Mesh* mesh(uint32_t slot) noexcept;
  uint64_t id() const noexcept { return id_; }

 private:
  // link_bytes: of the backend; of a page that it does not need nothing is touched. fill: makes the link; its result is
  // the call's.
  template <class Fill>
  Code open_channel(size_t link_bytes, uint32_t wait, Fill fill, uint64_t* id) noexcept;
  // Does f on both sides of every adopted channel, until one fails. Under the ready lock.
  template <class F>
  Code each_channel(F f) noexcept;
  static void close_set(std::atomic<int>* set) noexcept;
  Code watch_ready(int fd, uint64_t id) noexcept;
  Code watch_channel(Channel* channel, uint64_t id) noexcept;
  Code watch_mesh(Mesh* mesh, uint64_t id) noexcept;
  Code watch_meshes() noexcept;
  Code watch_listeners() noexcept;
  Code start_driving(Channel* channel, uint64_t id) noexcept;
  Code open_drive_set() noexcept;
  // One turn, under drive_mutex_. Not 0: there was nothing but channels whose own threads are at it.
  uint32_t drive_some() noexcept;
  Code start_driver() noexcept;
  void stop_driver() noexcept;
  static void* run_driver(void* context) noexcept;
  void drive_until_close() noexcept;
  Code release_region(uint64_t id) noexcept;
  uint32_t slot_of(const ListenPoint* point) const noexcept;
  // start: makes the point.
  template <class Start>
  Code open_point(const char* uri, const ChannelParams& params, Start start, uint64_t* id,
                  Id::Kind kind = Id::kListener) noexcept;
  // fill: gets a client of the point and fills the link.
  template <class Fill>
  Code open_at_point(Listener* listener, uint64_t listener_id, Fill fill, uint64_t* id) noexcept;
  static Context* carve(Arena& arena, const Limits& limits) noexcept;
  static uint64_t next_serial() noexcept;
  static size_t link_stride() noexcept;
  static size_t point_stride() noexcept;
  static Code pool_full(const char* pool, uint32_t size, const char* field) noexcept;
  Link* link_of(uint32_t slot) noexcept;

  uint64_t id_ = 0;
  Limits limits_;
  void* mapping_ = nullptr;  // ours, to be unmapped; null: the caller's
  uint64_t mapping_bytes_ = 0;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  int stop_fd_ = -1;
  std::atomic<bool> stopped_{false};
  Channel* channels_ = nullptr;
  Listener* listeners_ = nullptr;
  Ops* ops_ = nullptr;  // one per channel; null: no channel has operations
  Regions regions_;
  uint8_t* links_ = nullptr;
  uint8_t* rings_ = nullptr;
  ListenPoint* points_ = nullptr;
  uint8_t* point_memory_ = nullptr;
  uint8_t* shared_memory_ = nullptr;  // one part per backend, in the order of g_backends
  Mesh* meshes_ = nullptr;
  SlotPool channel_pool_, listener_pool_, ring_pool_, mesh_pool_;
  // Epoll sets, made when they are asked for; -1: nobody has.
  std::atomic<int> ready_fd_{-1};
  std::atomic<int> drive_fd_{-1};
  pthread_mutex_t ready_mutex_ = PTHREAD_MUTEX_INITIALIZER;  // held while what is adopted joins a set, or the reverse
  pthread_mutex_t drive_mutex_ = PTHREAD_MUTEX_INITIALIZER;  // who has it drives
  int driver_stop_fd_ = -1;
  pthread_t driver_;
  bool has_driver_ = false;
};

template <class F>
Code Context::each_channel(F f) noexcept {
  for (uint32_t i = 0; i < limits_.channels_max; ++i) {
    Channel* c = &channels_[i];
    uint64_t id = c->id();
    if (id == Channel::kNobody || c->adopted_id != id) continue;
    Code code = c->shut(id);
    if (code == kHandle) continue;
    if (code == kBusy)
      return fail_plain(kBusy, "another thread is in a call on a channel of this context; ask for this before");
    code = f(c, id);
    c->reopen(id);
    if (code != kOk) return code;
  }
  return kOk;
}

// The way from a 64-bit id to an object. The table is wiped in a forked child, where every id is unknown.
struct Handles {
  struct alignas(32) Entry {
    std::atomic<Context*> context{nullptr};
    Channel* channels = nullptr;
    std::atomic<uint32_t> channels_max{0};  // 0: no context here
  };
  static constexpr size_t kPage = 4096;
  union Table {
    constexpr Table() noexcept : entries{} {}
    Entry entries[kContextsMax];
    uint8_t page[kPage];
  };
  alignas(kPage) static Table table;

  // Written as a question so that the caller has one branch, not two.
  static bool find(uint64_t id, Channel** channel) noexcept {
    Entry& e = table.entries[Id::context(id)];
    uint64_t slot = id & 0x7ffff;
    // Pairs with the release in Context::open: `channels` is set before.
    if (slot >= e.channels_max.load(std::memory_order_acquire)) return false;
    *channel = &e.channels[slot];
    return true;
  }
  static Channel* channel(uint64_t id) noexcept {
    Channel* c;
    return find(id, &c) ? c : nullptr;
  }
  static Context* context(uint64_t id) noexcept;
  // The context an object's id belongs to.
  static Context* owner(uint64_t id) noexcept {
    return table.entries[Id::context(id)].context.load(std::memory_order_acquire);
  }
  static Listener* listener(uint64_t id, Id::Kind kind = Id::kListener) noexcept;
  static Listener* raw(uint64_t id) noexcept { return listener(id, Id::kRaw); }
  static Mesh* mesh(uint64_t id) noexcept;
  // The context of a region's id, and the channel of a grant's, a remote's or a request's, as far as they exist.
  static Context* home(uint64_t id) noexcept { return Id::kind(id) == Id::kMemory ? owner(id) : nullptr; }
  static Channel* part_of(uint64_t id) noexcept {
    if (Id::kind(id) != Id::kMemory || Id::is(id, Id::kRegion)) return nullptr;
    Entry& e = table.entries[Id::context(id)];
    return Id::slot(id) < e.channels_max.load(std::memory_order_acquire) ? &e.channels[Id::slot(id)] : nullptr;
  }
  // Why an id leads nowhere.
  static Code refuse(uint64_t id, const char* kind) noexcept;
};

template <class F>
Code Context::at_raw(Listener* l, uint64_t id, F f) noexcept {
  l->inside.fetch_add(1, std::memory_order_seq_cst);
  // Pairs with close_listener: both change what the other one looks at, then look.
  bool open = l->id.load(std::memory_order_seq_cst) == id;
  Code code = open ? f(*l->point->ops->extras->raw, l->point) : Handles::refuse(id, "raw endpoint");
  l->inside.fetch_sub(1, std::memory_order_release);  // pairs with close_listener, which then takes the point away
  return code;
}

}  // namespace rc

#endif  // CORE_CONTEXT_H_
