// The one-sided operations of one end of a channel: what it has asked of the peer, what it owes the peer, which of its
// regions the peer may touch, and the op ring that all of it travels through (PROTOCOL.md "The op ring").
#ifndef CORE_OPS_H_
#define CORE_OPS_H_

#include <stddef.h>
#include <stdint.h>

#include <atomic>

#include "core/arena.h"
#include "core/atomics.h"
#include "core/backend.h"
#include "core/doorbell.h"
#include "core/gather.h"
#include "core/op_wire.h"
#include "core/region.h"
#include "core/ring.h"
#include "core/spin_lock.h"

namespace rc {

struct Limits;

inline constexpr int64_t kLeaseDefaultNs = int64_t{60} * 1000 * 1000 * 1000;
inline constexpr int64_t kLeaseMaxNs = int64_t{24} * 3600 * 1000 * 1000 * 1000;

// The lease of a direct grant that lasts until it is revoked, and when that expires.
inline constexpr int64_t kLeaseNone = -1;
inline constexpr int64_t kNeverNs = INT64_MAX;
// A peer whose NIC may be at work in memory that is to be taken away is waited for no longer.
inline constexpr int64_t kNicWaitNs = int64_t{500} * 1000 * 1000;
inline constexpr uint64_t kDirectMax = uint64_t{1} << 40;

// What a call asks of the peer.
struct Operation {
  OpType type;
  uint64_t remote;  // handle
  uint64_t remote_offset;
  uint64_t region;  // handle of the local bytes of a read or write
  uint64_t region_offset;
  uint64_t bytes;
  uint64_t value;    // the new word or the addend
  uint64_t compare;  // the expected word
  uint32_t imm;
  const Slice* pieces = nullptr;  // the local bytes, if they are a list; `bytes` is its sum
  uint32_t pieces_count = 0;

  bool atomic() const noexcept { return is_atomic(type); }
  // What the owner must have granted.
  uint32_t right() const noexcept { return atomic() ? kAtomic : type == kOpRead ? kRead : kWrite; }
  // What the local bytes must allow.
  uint32_t access() const noexcept { return type == kOpRead ? kWrite : kRead; }
  Code hold(Regions* regions, Gather* local, Hold why = Hold::kRequest) const noexcept {
    const Slice one = {region, region_offset, bytes};
    bool list = pieces_count != 0;
    return local->hold(regions, list ? pieces : &one, list ? pieces_count : 1, access(), why);
  }
};

// A granted piece of memory as both ends describe it.
struct Lease {
  RemoteKey key;
  uint64_t bytes;
  uint32_t rights;
  int64_t expires_ns;  // on this end's clock; the owner's counts
  bool over(int64_t now) const noexcept { return now >= expires_ns; }
  bool covers(uint64_t offset, uint64_t n) const noexcept { return n != 0 && n <= bytes && offset <= bytes - n; }
};

// How a request ended, as the completion queue tells it.
struct Completion {
  uint64_t request;
  uint64_t tag;
  uint64_t value;
  Code code;
  uint32_t reserved;
  const char* reason;
};

class Ops {
 public:
  void carve(Arena& arena, uint32_t requests_max) noexcept;
  void open(Context* context, Link* link, uint32_t channel_slot, bool full_fence) noexcept;
  // Every handle of it is an error from now on.
  // Else than kOk: memory that was granted directly could not be taken back; Regions::free tries again.
  Code close() noexcept;
  // After the link has closed.
  void closed() noexcept;

  // --- any thread that is inside the channel ---
  // Nothing has arrived and nothing waits for room.
  bool idle() const noexcept { return !arrived() && !pending_.load(std::memory_order_relaxed); }
  // Executes what has arrived and sends what there is room for. kCorrupt: wrong() says what; else why the link failed.
  Code serve() noexcept;
  const char* wrong() const noexcept { return wrong_; }
  // How much of what the peer has published is done.
  uint64_t applied() const noexcept { return applied_.load(std::memory_order_relaxed); }
  // Something that was posted before is not in the peer's hands yet: nothing may be published behind it (O3).
  bool behind() const noexcept { return behind_.load(std::memory_order_acquire); }
  // An immediate, a grant, a returned region or a completion waits to be taken.
  bool news() noexcept;
  // The channel is over: everything under way ends with that code, and the peer loses its grants.
  void abort(Code why) noexcept;
  // Lets go of regions whose lease is over.
  void reap() noexcept;
  // When end_leases has something to do; kNeverNs: no direct grant has a lease that has not ended. (ops_leases.cc)
  int64_t due_ns() const noexcept { return due_ns_.load(std::memory_order_relaxed); }
  // Takes away what was granted directly and whose lease is over, in whatever thread this is.
  void end_leases() noexcept {
    if (due_ns() != kNeverNs) end_leases_due();
  }
  // A timerfd that is kept at due_ns; -1: none. The caller's.
  void set_timer(int fd) noexcept;
  int timer() const noexcept { return timer_fd_; }

  // --- asking (ops_requests.cc) ---
  Code post(const Operation& operation, bool detached, uint64_t* request) noexcept;
  // Posts it if it is a direct one of one piece and nothing stands in its way; request null: detached. False: nothing
  // happened.
  bool run_at_once(const Operation& operation, uint64_t* request) noexcept;
  Code post_alloc(uint64_t bytes, uint32_t rights, int64_t lease_ns, uint64_t* request) noexcept;
  Code post_return(uint64_t remote, uint64_t* request) noexcept;
  Code release(uint64_t remote) noexcept;
  // kWouldBlock: it is under way. Else its result, and the handle is gone. `remote`: what kOpAlloc got.
  Code collect(uint64_t request, uint64_t* value, uint64_t* remote) noexcept;
  // Its result is told by next_completions, and not by collect.
  Code queue(uint64_t request, uint64_t tag) noexcept;
  // kWouldBlock: there is none.
  Code next_completions(Completion* completions, uint32_t capacity, uint32_t* count) noexcept;
  // Operations of this end that have begun, and of the peer that this end has executed. Any thread.
  struct Counts {
    uint64_t posted, served;
  };
  Counts counts() noexcept;
  Code cancel(uint64_t request) noexcept;
  // Nobody will ask for its result.
  void detach(uint64_t request) noexcept;

  Code open_token(const Lease& lease, uint64_t* remote) noexcept;
  Code remote_lease(uint64_t remote, Lease* lease) noexcept;
  void forget_remote(uint64_t remote) noexcept;
  // kWouldBlock: none has come.
  Code next_remote(uint64_t* remote) noexcept;

  // --- being asked (ops_target.cc) ---
  Code grant(uint64_t region, uint64_t offset, uint64_t bytes, uint32_t rights, int64_t lease_ns, bool announced,
             uint64_t* grant) noexcept;
  // kWouldBlock, if patient: a NIC of the peer's may still be at work, and the peer has been asked (ops_nic.cc).
  Code revoke(uint64_t grant, bool patient) noexcept;
  // left_ns: until the peer does not reach the memory any more; kLeaseNone: until it is revoked.
  Code grant_lease(uint64_t grant, Lease* lease, int64_t* left_ns) noexcept;
  Code next_imm(uint32_t* imm) noexcept;
  Code next_returned(uint64_t* region) noexcept;

  // Payload on its way, for a link that takes it from a socket (ops_incoming.h).
  class Incoming;

  // --- direct grants (direct.cc) ---
  // The channel is over: takes that region back. Any thread.
  Code end_direct(uint64_t region) noexcept;
  // The region is to be freed. Any thread.
  void forget_local(uint64_t region) noexcept;
  // It has been, or its pages are about to be others.
  void forget_region(uint64_t region) noexcept;

 private:
  class Locked;
  struct Request {
    // kMoving: the NIC is at it.
    enum State : uint8_t { kFree, kQueued, kSent, kMoving, kDone, kCancelled };
    uint64_t id;
    uint32_t uses;
    State state;
    bool queued;    // its number is in to_send_
    bool detached;  // freed as soon as it is over
    bool listed;    // its end goes to completions_
    uint64_t tag;
    uint64_t done;  // bytes sent or received
    Code result;
    uint64_t value;
    uint64_t remote;
    bool by_nic;  // posted to the NIC, or to be
    uint32_t far_key;
    uint64_t far_address;
    int64_t far_expires_ns;
    uint64_t ticket;  // 0: the NIC has no part in it
    OpFrame frame;    // of one that was over when it was posted: unused
    Gather local;     // held; of a free request nothing
  };
  // What is owed for one of the peer's requests.
  struct Answer {
    enum State : uint8_t { kNone, kWriting, kTaking, kReading, kReady };
    State state;
    OpFrame frame;  // the request; when ready, the answer
    uint64_t done;  // bytes written or sent
    Code result;
  };
  struct Grant {
    enum State : uint8_t { kFree, kLive, kReturned, kOver, kLapsed };
    uint64_t id;  // 0: nobody here has a handle
    uint64_t uses;
    State state;
    bool for_peer;   // its region was allocated because the peer asked
    bool shared;     // the peer reaches the memory by itself, whatever the state; the region stays held until unshare
    bool ending;     // somebody is taking it back, without the lock
    bool by_nic;     // the peer's NIC reaches it: the memory is exposed, not its pages shared
    bool asked;      // the peer has been told to stop using it; by a NIC it is to answer
    bool told;       // and that is written into the ring
    bool answered;   // and it has stopped
    int64_t due_ns;  // if shared: when its lease is over, or what comes then is to be tried again
    Share exposed;   // to NICs
    Lease lease;
    Regions::Piece piece;
    // What its region is held for.
    Hold hold() const noexcept { return (lease.rights & kDirect) != 0 && !by_nic ? Hold::kShare : Hold::kGrant; }
  };
  struct Remote {
    enum State : uint8_t { kFree, kUnread, kLive, kGone };
    uint64_t id;
    uint32_t uses;
    State state;
    Lease lease;
    uint8_t* at;  // null: not within reach
    bool by_nic;  // within reach of the NIC, there:
    uint32_t key;
    uint64_t address;
  };
  // The region that direct operations had their bytes in last: looked up once, not for each of them.
  struct Local {
    uint64_t id;  // 0: none
    uint8_t* at;
    uint64_t bytes;
    uint32_t access;
    uint32_t slot;
    bool holds(const Operation& op) const noexcept {
      return op.region == id && op.bytes <= bytes && op.region_offset <= bytes - op.bytes &&
             (op.access() & ~access) == 0;
    }
  };
  // What to_send_ holds: a kind and a slot.
  enum Item : uint32_t { kRequestItem = 0 << 16, kGrantItem = 1 << 16, kRevokeItem = 2 << 16, kRevokedItem = 3 << 16 };
  static constexpr int64_t kGoneNs = 0;                    // when a lease is over whose owner said so
  static constexpr uint32_t kPublishMost = 4;              // a frame that wraps somewhere, credit, and the tail
  static constexpr uint32_t kRemotesMax = 2 * kGrantsMax;  // by the owner's slot, and behind those by token

  bool arrived() const noexcept {
    // Pairs with the release of the peer's publish, and of serve.
    return inbox_->op_line.tail.load(std::memory_order_acquire) != applied_.load(std::memory_order_acquire);
  }
  Code broken(const char* what) noexcept;
  // What a request's result means to who asked.
  static const char* meaning(Code result) noexcept;
  static const char* exceeded(uint64_t what) noexcept;
  static Code tell(Code result) noexcept;
  Code serve_locked() noexcept;
  Code drain() noexcept;
  // Moves frames into the op ring while there is room, and publishes them.
  Code pump() noexcept;
  bool has_room(size_t bytes) noexcept;
  // write(): writes the payload, frame.bytes of it.
  template <class Write>
  void write_frame(const OpFrame& frame, Write write) noexcept;
  void write_frame(const OpFrame& frame) noexcept;
  // How many of left bytes there is room for behind a header; 0: there is no room.
  uint32_t room_for(uint64_t left) noexcept;
  bool send_item(uint32_t item) noexcept;
  bool send_request(uint32_t slot) noexcept;
  // Bytes of that memory are on their way to here: it is not given back before (O3).
  bool reads_from(const RemoteKey& key) const noexcept;
  bool send_answer(uint32_t slot) noexcept;
  Code publish() noexcept;
  uint32_t place(const Spans& s, const uint8_t* from, WorkRequest* wr) noexcept;
  static WorkRequest tail_at(const uint64_t* tail) noexcept;
  static WorkRequest credit_at(const uint64_t* credit) noexcept;
  Code post_written(WorkRequest* wr, uint32_t n) noexcept;
  bool lend(const OpFrame& frame, const uint8_t* payload) noexcept;
  Code tell_credit() noexcept;
  void ring_peer() noexcept;

  bool execute(const OpFrame& frame) noexcept;
  bool take_write(const OpFrame& frame) noexcept;
  bool take_request(const OpFrame& frame) noexcept;
  bool take_grant(const OpFrame& frame) noexcept;
  bool take_revoke(const OpFrame& frame) noexcept;
  bool take_revoked(const OpFrame& frame) noexcept;
  bool take_data(const OpFrame& frame) noexcept;
  // Whether it brings what is to come next of its request: of a write of the peer's, of a read of ours.
  bool fits_write(const OpFrame& frame) const noexcept;
  bool fits_read(const OpFrame& frame) const noexcept;
  // Bytes [from, from + n) of the next frame's payload, but for those that are in their place.
  void copy_payload(uint8_t* to, size_t from, size_t n) noexcept;
  // Where the next frame's payload from `from` on belongs, at most *n bytes; null: not now.
  uint8_t* place_of(const OpFrame& frame, size_t from, size_t* n) noexcept;
  bool take_done(const OpFrame& frame) noexcept;
  Code do_atomic(const OpFrame& frame, uint64_t* old) noexcept;
  Code do_alloc(const OpFrame& frame, OpFrame* answer) noexcept;
  void owe(uint32_t slot, const OpFrame& answer) noexcept;

  Code post_locked(const Operation& op, bool detached, uint64_t* request) noexcept;
  Code find_request(uint64_t id, Request** request) noexcept;
  Code start(const OpFrame& frame, bool detached, Request** request) noexcept;
  // There is a free one.
  Request& begin(const OpFrame& frame, bool detached) noexcept;
  // It takes its turn among the frames.
  void enqueue(Request& request) noexcept;
  // One with nothing but a frame.
  Code ask(const OpFrame& frame, uint64_t* request) noexcept;
  // There is a free one.
  Request& new_request(bool detached) noexcept;
  void done_already(Code result, uint64_t value, bool detached, uint64_t* request) noexcept;
  void finish(Request& request, Code result, uint64_t value) noexcept;
  void free_request(Request& request) noexcept;
  Code find_remote(uint64_t id, Remote** remote) noexcept;
  Remote* hold_remote(uint32_t slot, const Lease& lease, Remote::State state) noexcept;
  void drop_remote(Remote& remote) noexcept;
  void forget_key(uint64_t key_id, bool expired) noexcept;
  // Why what is gone is gone.
  static Code gone(const Remote& remote) noexcept { return remote.lease.expires_ns == kGoneNs ? kExpired : kRevoked; }

  // direct.cc.
  // Else it is carried, behind what is in flight (D4).
  bool goes_direct(const Remote& remote) const noexcept { return remote.at != nullptr && in_flight_ == 0; }
  // Where the local bytes of an operation are.
  Code find_local(const Operation& op, uint8_t** at) noexcept;
  void drop_local() noexcept;
  // Done at once, with the lock given up between pieces of large ones. local: held if it is large.
  Code run_direct(const Operation& op, const Remote& remote, uint8_t* local, uint64_t* value) noexcept;
  Code run_held(Operation op, const Remote& remote, Code* result) noexcept;
  Code post_direct(const Operation& op, const Remote& remote, bool detached, uint64_t* request) noexcept;
  Code tell_imm(const Operation& op, const RemoteKey& key, bool detached, uint64_t* request) noexcept;
  Code share(Grant& grant) noexcept;
  // Of the next unread one, which is direct; the lock is given up meanwhile. kRevoked: it is no more.
  Code reach(Remote& remote) noexcept;
  // Nothing waits to be taken: nor need what the backend has of direct grants that were revoked before. The lock is
  // given up meanwhile.
  void pass_revoked() noexcept;
  void leave(Remote& remote) noexcept;
  // The caller holds the lock, which is given up meanwhile, and has made sure that no carried operation may go on.
  Code unshare(Grant& grant) noexcept;
  // Nobody else is taking it back: the lock is given up until then.
  void settle(const Grant& grant) noexcept;

  // ops_nic.cc.
  const NicTable& nic() const noexcept;
  // Taken, and all that the NIC needs for it is registered (reach).
  static bool reaches(const Remote& r) noexcept { return r.by_nic && r.state == Remote::kLive; }
  // Before the NIC is given something. Without the lock.
  void look_around() noexcept;
  // Holds the local bytes of an operation, in regions that the NIC knows. Under the lock it may not enter them, which
  // takes its time: kWouldBlock then.
  Code keep_local(const Operation& op, Gather* local, bool may_enter) noexcept;
  bool move(Request& request) noexcept;
  // The same if its turn is now. False: it is to be enqueued.
  bool move_at_once(Request& request) noexcept;
  // What the NIC has done.
  void land() noexcept;
  void stop_using(const RemoteKey& key, Code why, bool answer) noexcept;
  bool send_revoked(uint32_t slot) noexcept;
  Code revoke_by_nic(Grant& grant, bool patient) noexcept;

  Code find_grant(uint64_t id, Grant** grant) noexcept;
  // Whether the key opens it for that; no reason is set.
  Code check(const RemoteKey& key, uint32_t right, uint64_t offset, uint64_t bytes, Grant** grant) noexcept;
  Code make_grant(const Regions::Piece& piece, uint64_t bytes, uint32_t rights, int64_t lease_ns, bool for_peer,
                  Grant** grant) noexcept;
  void end_grant(Grant& grant, Grant::State state) noexcept;
  void free_grant(Grant& grant) noexcept;
  void expire(int64_t now) noexcept;
  Code end_lease(Grant& grant, int64_t now) noexcept;
  void end_leases_due() noexcept;
  void set_due() noexcept;

  SpinLock lock_;
  std::atomic<uint64_t> applied_{0};  // op tail up to which everything has been executed
  std::atomic<bool> pending_{false};  // something waits for room
  std::atomic<bool> behind_{false};
  std::atomic<int64_t> due_ns_{kNeverNs};  // the first of the grants' that are shared
  const Inbox* inbox_ = nullptr;
  // The rest is under the lock.
  Inbox* outbox_ = nullptr;
  Link* link_ = nullptr;
  Context* context_ = nullptr;
  Regions* regions_ = nullptr;
  const char* wrong_ = nullptr;  // set: the peer broke the protocol
  bool over_ = true;
  Code why_ = kOk;      // it is over
  bool clean_ = false;  // the tables have been zeroed
  bool full_fence_ = true;
  uint32_t channel_slot_ = 0;
  uint32_t requests_count_ = 0;  // agreed
  bool open_ = false;            // there is a link
  bool full_ = false;            // it had no room for what was posted last
  int timer_fd_ = -1;
  uint32_t in_flight_ = 0;       // requests that the peer has to do, or is to be told of
  uint32_t by_nic_count_ = 0;    // of these, those that the NIC does
  uint64_t last_ticket_ = 0;     // of the NIC
  Counts counts_ = {};           // since the channel is open
  uint64_t for_peer_bytes_ = 0;  // of regions allocated for the peer
  TxRing<StdAtomics> tx_;
  RxRing<StdAtomics> rx_;
  size_t placed_from_ = 0,
         placed_to_ = 0;  // of the next frame's payload these bytes are in their place, not in the ring
  Ringer<StdAtomics> getter_bell_, putter_bell_, server_bell_;
  Request* requests_ = nullptr;
  Answer* answers_ = nullptr;
  uint64_t* landings_ = nullptr;
  Grant* grants_ = nullptr;
  Remote* remotes_ = nullptr;
  Local local_ = {};
  Lease newest_direct_ = {};  // that the peer has announced; key.id 0: it was reached, or passed
  SlotQueue free_requests_, free_grants_, free_tokens_;
  SlotQueue to_send_;                    // items
  SlotQueue moving_;                     // requests that the NIC is at, in the order of their tickets
  uint64_t to_answer_[kGrantsMax] = {};  // revoked keys, by slot: one each in to_send_
  SlotQueue due_;                        // answers ready to be sent
  SlotQueue imms_;                       // requests whose immediate waits to be taken
  SlotQueue announced_;                  // the unread remotes
  SlotQueue returned_;                   // grants
  SlotQueue completions_;                // requests that are over and listed: never more than there are requests
};

// O1.
class Ops::Locked : SpinLocked {
 public:
  explicit Locked(Ops* ops) noexcept : SpinLocked(&ops->lock_) {}
};

}  // namespace rc

#endif  // CORE_OPS_H_
