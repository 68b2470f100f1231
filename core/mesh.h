// A mesh: one channel between any two of its members, kept up while members come and go. PROTOCOL.md "Mesh" argues it.
//   mesh.cc           its life, what it tells, how it waits
//   mesh_meeting.cc   connecting, accepting, noticing who is gone
//   mesh_claim.cc     two processes that are the same member
#ifndef CORE_MESH_H_
#define CORE_MESH_H_

#include <pthread.h>
#include <stdint.h>

#include <atomic>

#include "core/arena.h"
#include "core/backend.h"
#include "core/deadline.h"
#include "core/hosts.h"
#include "core/mesh_identity.h"

namespace rc {

class Channel;
class Context;

// What a mesh is made with; checked, except for the list.
struct MeshParams {
  const char* hosts;  // one of the two
  const char* hosts_path;
  uint32_t members;  // so many the list must have; 0: any number
  bool id_given;
  uint32_t id;
  bool partial;  // opening does not fail because members are missing
  char name[kMeshNameBytes];
  ChannelParams channel;
};

struct MemberEvent {
  enum Kind : uint32_t { kConnected = 1, kAccepted = 2, kLost = 3 };
  Kind kind;
  uint32_t member;
  Code code;
  uint32_t retries;
  uint64_t channel;
};

// A process that is, or says that it is, a member.
struct Claimant {
  static constexpr size_t kBytes = 216;  // with the NUL
  uint32_t process = 0;                  // MeshIdentity::process
  char where[kBytes] = "";               // for people: its URI, its pid, its host; "": it has not said so
};

class Mesh {
 public:
  void carve(Arena& arena, uint32_t members_max) noexcept;

  // --- life; under no lock ---
  Code open(Context* context, const MeshParams& params, int64_t timeout_ns) noexcept;
  // Closed it is, whatever it returns: what the first channel said that could not end a direct grant.
  Code close() noexcept;
  // Wakes who waits inside, again and again until nobody is.
  void evict() noexcept;
  bool enter() noexcept { return inside_.exchange(1, std::memory_order_seq_cst) == 0; }
  void leave() noexcept { inside_.store(0, std::memory_order_release); }

  // --- the one thread inside ---
  Code next_event(int64_t timeout_ns, MemberEvent* event) noexcept;
  Code descriptor(int* fd) noexcept;

  // --- any thread ---
  Code channel_of(uint32_t member, uint64_t* channel) noexcept;
  bool keeps(uint64_t channel) const noexcept;
  // For a caller who has been given it: not while the thread inside looks at it.
  Code close_channel(Channel* channel, uint64_t id) noexcept;
  uint32_t own_id() const noexcept { return self_.id; }
  uint32_t members() const noexcept { return list_.count; }
  uint32_t present() const noexcept;  // members that can be sent to, this one included
  const char* name() const noexcept { return self_.name; }
  const char* uri() const noexcept { return list_.hosts[self_.id].uri; }

  std::atomic<uint64_t> handle{0};

 private:
  // A connection that is not confirmed within that time is dropped.
  static constexpr int64_t kConfirmNs = int64_t{5} * 1000 * 1000 * 1000;

  struct Member {
    // The channel in use, also after its end: until the member's return has been told.
    std::atomic<uint64_t> channel{0};
    std::atomic<int32_t> ended{kOk};
    std::atomic<bool> given{false};  // the caller has its handle without having been told
    bool accepted = false;           // the member connected to us
    bool told = false;               // its coming
    bool loss_told = false;
    // One that will take its place. A connection counts once the connecting member has confirmed it (M4).
    uint64_t next = 0;
    bool next_accepted = false;
    bool next_confirmed = false;
    int64_t next_until_ns = 0;
    // Of the connecting one of the two; see pursuit_at.
    int64_t until_ns = 0;
    uint32_t retries = 0;
    uint32_t told_retries = 0;
    int64_t due_ns = 0;
    int64_t pause_ns = 0;
    int64_t patience_ns = 0;
    Code trouble = kOk;  // why the last attempt failed
    bool trouble_told = false;
    char answered[kIdentityBytes] = "";  // who was there instead, if trouble is kIdentity
    // Who was the member last, and who before that: the latter comes again only if there are two of them (M8).
    Claimant last, before;
    bool twice = false;               // it has come again, which is to be told
    uint32_t twice_told[2] = {0, 0};  // the processes that it was noted of
  };

  // --- mesh.cc ---
  Code read_list(const MeshParams& params) noexcept;
  Code take_place(const MeshParams& params) noexcept;
  Code find_place() noexcept;
  Code listen_as(uint32_t id) noexcept;
  Code assemble(Deadline deadline, bool partial) noexcept;
  Code missing() noexcept;
  bool tell(MemberEvent* event) noexcept;
  bool tell_of(uint32_t id, Member& member, MemberEvent* event) noexcept;
  Code tell_trouble(MemberEvent* event) noexcept;
  void forget_trouble() noexcept;
  void take_readiness() noexcept;
  Code wait(Deadline deadline) noexcept;
  int64_t next_due_ns() const noexcept;
  void set_timer(int64_t at_ns) noexcept;

  // --- mesh_claim.cc ---
  Code take_name() noexcept;
  Code confirm(Channel* channel, uint64_t id) noexcept;
  Code take_confirmation(uint32_t member, Channel* channel, uint64_t id) noexcept;
  bool stands(const Member& member) const noexcept;
  bool is_second(const MeshIdentity& who) const noexcept;
  bool claim(Member& member, uint32_t process, const char* where) noexcept;
  void note_twice(Member& member, uint32_t process) const noexcept;
  Code tell_twice(uint32_t id, MemberEvent* event) noexcept;

  // --- mesh_meeting.cc ---
  // The member with the lower id connects (M1).
  bool connects_to(uint32_t other) const noexcept { return self_.id < other; }
  static Code judge(const void* mesh, const char* identity) noexcept;
  // One round: takes in who has come, notices who has gone, goes on with what connects.
  Code meet(Deadline deadline) noexcept;
  Code accept_waiting() noexcept;
  void take_confirmations(int64_t now) noexcept;
  void look_after_members() noexcept;
  Code look_at(uint64_t channel) noexcept;
  Pursuit* pursuit_at(uint32_t id) const noexcept {
    return reinterpret_cast<Pursuit*>(pursuits_ + id * pursuit_stride_);
  }
  Code connect_due(Deadline deadline) noexcept;
  bool may_go_on(uint32_t id, int64_t now) const noexcept;
  Code pursue(uint32_t id, Deadline deadline) noexcept;
  Code greet(uint32_t id, uint64_t channel) noexcept;
  bool somebody_comes() const noexcept;
  void replace_next(Member& member, uint64_t channel) noexcept;
  void install_next(Member& member) noexcept;
  void watch(uint64_t channel) noexcept;
  Code drop(uint64_t channel) noexcept;
  bool waits_for(const Member& member) const noexcept {
    return member.next == 0 &&
           (member.channel.load(std::memory_order_relaxed) == 0 || member.ended.load(std::memory_order_relaxed) != kOk);
  }

  Context* context_ = nullptr;
  HostList list_ = {};
  Member* members_ = nullptr;
  uint8_t* pursuits_ = nullptr;  // one for each member
  size_t pursuit_stride_ = 0;
  MeshIdentity self_ = {};
  Claimant own_;  // what the others are told of us
  ChannelParams params_ = {};
  uint64_t listener_ = 0;
  std::atomic<uint32_t> inside_{0};
  std::atomic<bool> closing_{false};
  int epoll_fd_ = -1;  // the listener, what tells of a member's end, and timer_fd_
  int timer_fd_ = -1;  // the next moment when something is due, for those who wait outside
  bool descriptor_given_ = false;
  bool crowded_ = false;       // somebody wants to come for whom there is no channel yet
  bool unread_ = false;        // of a member has come more than one look takes
  uint32_t turn_ = 0;          // who is looked at first
  uint32_t connect_turn_ = 0;  // who is connected to first
  int64_t accepted_ns_ = 0;    // when the listener was asked
  // Held by the thread inside except while it waits, and by who closes a member's channel.
  pthread_mutex_t looking_ = PTHREAD_MUTEX_INITIALIZER;
};

}  // namespace rc

#endif  // CORE_MESH_H_
