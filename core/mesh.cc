#include "core/mesh.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <new>

#include "core/context.h"
#include "core/descriptors.h"
#include "core/local_addresses.h"
#include "core/mutex_lock.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr int64_t kMs = 1000 * 1000;
// A member's end wakes who waits; this is for what does not.
constexpr int64_t kLookMostNs = 250 * kMs;
constexpr int64_t kLookSoonNs = 1 * kMs;

}  // namespace

// ---------------------------------------------------------------------------------------------------------------- life

void Mesh::carve(Arena& arena, uint32_t members_max) noexcept {
  list_.hosts = static_cast<Host*>(arena.carve(members_max * sizeof(Host), alignof(Host)));
  list_.room = members_max;
  members_ = static_cast<Member*>(arena.carve(members_max * sizeof(Member), alignof(Member)));
  pursuit_stride_ = Context::pursuit_stride();
  pursuits_ = static_cast<uint8_t*>(arena.carve(members_max * pursuit_stride_, kPair));
}

Code Mesh::read_list(const MeshParams& params) noexcept {
  Code code = params.hosts != nullptr ? list_.read_text(params.hosts) : list_.read_file(params.hosts_path);
  if (code != kOk) return code;
  if (params.members != 0 && params.members != list_.count)
    return fail(kHosts, "%s: it has %u members, wanted are %u", list_.source, list_.count, params.members);
  // A channel for each other member, one for oneself, and one that takes the place of another.
  uint32_t needed = list_.count + 1;
  if (context_->limits().channels_max < needed) {
    return fail(kPool, "a mesh of %u members takes %u channels; raise rc_config.channels_max, which is %u", list_.count,
                needed, context_->limits().channels_max);
  }
  if (!params.id_given || params.id < list_.count) return kOk;
  return fail(kHosts, "%s: the own id, %u, does not stand in it: it has the ids 0 to %u", list_.source, params.id,
              list_.count - 1);
}

Code Mesh::listen_as(uint32_t id) noexcept {
  self_.id = id;
  Code code = take_name();
  if (code != kOk) return code;
  self_.write(params_.identity);
  ChannelParams params = params_;
  params.judge = {judge, this};
  return context_->listen(list_.hosts[id].uri, params, &listener_);
}

// Several members of one machine: each takes the first place whose address is still free (M2).
Code Mesh::find_place() noexcept {
  LocalAddresses local;
  Code code = local.read();
  if (code != kOk) return code;
  uint32_t taken = 0;
  for (uint32_t i = 0; i < list_.count; ++i) {
    if (!local.has(list_.hosts[i])) continue;
    code = listen_as(i);
    if (code != kNameInUse) return code;
    ++taken;
  }
  if (taken != 0) {
    return fail(kNameInUse, "%s: somebody listens already at each of the %u addresses of this machine", list_.source,
                taken);
  }
  return fail(kHosts, "%s: the own id is not in it: no line has an address of this machine; correct it or give the id",
              list_.source);
}

Code Mesh::take_place(const MeshParams& params) noexcept {
  Code code = params.id_given ? listen_as(params.id) : find_place();
  if (code != kOk) return code;
  uint64_t to_self;
  code = context_->connect_self(params_.wait, &to_self);
  if (code == kOk) code = context_->adopt_channel(&to_self);
  if (code != kOk) return code;
  Member& self = members_[self_.id];
  self.channel.store(to_self, std::memory_order_release);
  self.told = true;
  int listener_fd = Handles::listener(listener_)->point->fd;
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  timer_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  epoll_event event = {};
  event.events = EPOLLIN;
  const int fds[] = {listener_fd, timer_fd_};
  for (int fd : fds) {
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0) continue;
    return fail_errno(kSystem, "making the descriptor of a mesh", errno);
  }
  return kOk;
}

Code Mesh::open(Context* context, const MeshParams& params, int64_t timeout_ns) noexcept {
  Deadline deadline = Deadline::after(timeout_ns);
  context_ = context;
  params_ = params.channel;
  listener_ = 0;
  list_.count = 0;
  epoll_fd_ = timer_fd_ = -1;
  descriptor_given_ = crowded_ = unread_ = false;
  turn_ = connect_turn_ = 0;
  accepted_ns_ = 0;
  closing_.store(false, std::memory_order_relaxed);
  for (uint32_t i = 0; i < list_.room; ++i) {
    new (&members_[i]) Member;
    memset(static_cast<void*>(pursuit_at(i)), 0, pursuit_stride_);
    pursuit_at(i)->fd = -1;
  }
  memcpy(self_.name, params.name, sizeof self_.name);
  Code code = read_list(params);
  self_.members = list_.count;
  if (code == kOk) code = take_place(params);
  if (code == kOk) code = assemble(deadline, params.partial);
  if (code != kOk) close();
  return code;
}

void Mesh::evict() noexcept {
  closing_.store(true, std::memory_order_seq_cst);
  while (inside_.load(std::memory_order_seq_cst) != 0) {
    set_timer(1);
    nap(-1, -1, kNapMinNs);
  }
}

Code Mesh::close() noexcept {
  Code code = kOk;
  char why[300] = "";
  if (Listener* l = listener_ != 0 ? Handles::listener(listener_) : nullptr) context_->close_listener(l, listener_);
  for (uint32_t i = 0; i < list_.count; ++i) {
    context_->abandon(pursuit_at(i));
    drop(members_[i].next);
    Code closed = drop(members_[i].channel.exchange(0, std::memory_order_acq_rel));
    if (code != kOk || closed == kOk) continue;
    code = closed;
    snprintf(why, sizeof why, "member %u: %s", i, reason());
  }
  context_->forget_ready(epoll_fd_);
  int* fds[] = {&timer_fd_, &epoll_fd_};
  for (int* fd : fds) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
  return code == kOk ? kOk : fail(code, "%s", why);
}

// Until everybody is there.
Code Mesh::assemble(Deadline deadline, bool partial) noexcept {
  for (;;) {
    Code code = meet(deadline);
    if (partial) {
      forget_trouble();
    } else if (code == kOk) {
      code = tell_trouble(nullptr);
    }
    if (code != kOk) return code;
    for (uint32_t i = 0; i < list_.count; ++i) {
      Member& m = members_[i];
      if (m.next_confirmed && !m.told && !m.given.load(std::memory_order_relaxed)) install_next(m);
    }
    if (present() == list_.count) return kOk;
    if (deadline.left(now_ns()) == 0) return partial ? kOk : missing();
    code = wait(deadline);
    if (code != kOk && code != kTimeout) return code;
  }
}

Code Mesh::missing() noexcept {
  char who[280] = "";
  uint32_t count = 0;
  for (uint32_t i = 0; i < list_.count; ++i) {
    const Member& m = members_[i];
    if (m.channel.load(std::memory_order_relaxed) != 0 && m.ended.load(std::memory_order_relaxed) == kOk) continue;
    ++count;
    size_t used = strlen(who);
    if (!connects_to(i)) {
      snprintf(who + used, sizeof who - used, "%s %u (did not connect)", count == 1 ? "" : ",", i);
    } else {
      snprintf(who + used, sizeof who - used, "%s %u (%.80s: %s)", count == 1 ? "" : ",", i, list_.hosts[i].uri,
               code_name(m.trouble != kOk ? m.trouble : kTimeout));
    }
  }
  return fail(kTimeout, "%u of %u members are missing at the deadline:%s", count, list_.count, who);
}

// --------------------------------------------------------------------------------------------------------------
// telling

// M5: what the caller knows and what is so are compared, so that nothing needs a queue: a member that came and went
// unseen is not told of, and one that was lost and came back is told of twice, in that order.
bool Mesh::tell_of(uint32_t id, Member& m, MemberEvent* event) noexcept {
  uint64_t channel = m.channel.load(std::memory_order_relaxed);
  bool known = channel != 0 && (m.told || m.given.load(std::memory_order_relaxed));
  if (m.next_confirmed) {
    int32_t works = kOk;
    if (known && !m.loss_told) {  // the member has come again, so that the channel is of no use to it
      m.ended.compare_exchange_strong(works, kPeerDead, std::memory_order_acq_rel);
    } else {
      install_next(m);
      channel = m.channel.load(std::memory_order_relaxed);
      known = false;
    }
  }
  auto ended = static_cast<Code>(m.ended.load(std::memory_order_relaxed));
  if (channel == 0) return false;
  if (ended != kOk && !known) {
    drop(m.channel.exchange(0, std::memory_order_acq_rel));
    return false;
  }
  *event = {m.accepted ? MemberEvent::kAccepted : MemberEvent::kConnected, id, kOk, m.told_retries, channel};
  if (!m.told) {
    m.told = true;
    return true;
  }
  if (ended == kOk || m.loss_told) return false;
  m.loss_told = true;
  *event = {MemberEvent::kLost, id, ended, 0, channel};
  return true;
}

// The next attempt finds it again, in rc_mesh_event, which tells it with its reason.
void Mesh::forget_trouble() noexcept {
  for (uint32_t i = 0; i < list_.count; ++i) {
    if (!members_[i].trouble_told) members_[i].trouble = kOk;
  }
}

bool Mesh::tell(MemberEvent* event) noexcept {
  for (uint32_t i = 0; i < list_.count; ++i) {
    uint32_t id = (turn_ + i) % list_.count;
    if (id == self_.id || !tell_of(id, members_[id], event)) continue;
    turn_ = event->kind == MemberEvent::kLost ? id : id + 1;  // a loss and the return behind it belong together
    return true;
  }
  return false;
}

// Somebody who can never become a member's channel is at its address. Told once, until something else is the matter.
// First, because its reason is still there; what is told of two processes waits.
Code Mesh::tell_trouble(MemberEvent* event) noexcept {
  for (uint32_t i = 0; i < list_.count; ++i) {
    Member& m = members_[i];
    if (m.trouble_told || m.trouble == kOk) continue;
    m.trouble_told = true;
    if (event != nullptr) *event = {MemberEvent::Kind{}, i, m.trouble, m.retries, 0};
    if (m.answered[0] != '\0') {
      return fail(kIdentity, "at %s answers \"%s\", wanted is member %u of %u of mesh \"%s\"; correct the host list",
                  list_.hosts[i].uri, Printable(m.answered).text, i, list_.count, self_.name);
    }
    char why[300];
    snprintf(why, sizeof why, "%s", reason());  // of the attempt right before
    if (m.trouble == kDuplicate) return fail(kDuplicate, "member %u: %s; and here is %s", i, why, own_.where);
    return fail(m.trouble, "member %u at %.90s: %s", i, list_.hosts[i].uri, why);
  }
  for (uint32_t i = 0; i < list_.count; ++i) {
    if (members_[i].twice) return tell_twice(i, event);
  }
  return kOk;
}

Code Mesh::next_event(int64_t timeout_ns, MemberEvent* event) noexcept {
  Deadline deadline = Deadline::after(timeout_ns);
  Code code = kOk;
  pthread_mutex_lock(&looking_);
  for (;;) {
    if (closing_.load(std::memory_order_seq_cst)) {
      code = fail_plain(kClosing, "the mesh is being closed by another thread");
      break;
    }
    if (tell(event)) break;
    code = meet(deadline);
    if (code == kOk) code = tell_trouble(event);
    if (code != kOk || tell(event)) break;
    if (timeout_ns == 0) {
      code = fail_plain(kWouldBlock, "nothing has happened in the mesh");
      break;
    }
    pthread_mutex_unlock(&looking_);
    code = wait(deadline);
    pthread_mutex_lock(&looking_);
    if (code != kOk) break;
  }
  pthread_mutex_unlock(&looking_);
  if (descriptor_given_) set_timer(next_due_ns());
  return code;
}

Code Mesh::channel_of(uint32_t member, uint64_t* channel) noexcept {
  if (member >= list_.count) return fail(kInvalid, "member %u: the mesh has the ids 0 to %u", member, list_.count - 1);
  Member& m = members_[member];
  uint64_t id = m.channel.load(std::memory_order_acquire);
  if (id != 0) m.given.store(true, std::memory_order_release);
  if (id == 0 || m.ended.load(std::memory_order_acquire) != kOk)
    return fail(kWouldBlock, "member %u is not connected now; rc_mesh_event tells when it is", member);
  *channel = id;
  return kOk;
}

bool Mesh::keeps(uint64_t channel) const noexcept {
  for (uint32_t i = 0; i < list_.count; ++i) {
    if (members_[i].channel.load(std::memory_order_relaxed) == channel) return true;
  }
  return false;
}

// Not while somebody looks at it (M7).
Code Mesh::close_channel(Channel* channel, uint64_t id) noexcept {
  Code code = kOk;
  {
    MutexLock lock(&looking_);
    code = context_->close_channel(channel, id);
  }
  set_timer(1);  // who waits inside is to look
  return code;
}

uint32_t Mesh::present() const noexcept {
  uint32_t count = 0;
  for (uint32_t i = 0; i < list_.count; ++i) {
    const Member& m = members_[i];
    bool works = m.channel.load(std::memory_order_relaxed) != 0 && m.ended.load(std::memory_order_relaxed) == kOk;
    count += works ? 1 : 0;
  }
  return count;
}

// --------------------------------------------------------------------------------------------------------------
// waiting

int64_t Mesh::next_due_ns() const noexcept {
  int64_t due = now_ns() + (unread_ ? kLookSoonNs : kLookMostNs);
  for (uint32_t i = 0; i < list_.count; ++i) {
    const Member& m = members_[i];
    if (i == self_.id) continue;
    if (m.next != 0) return now_ns() + kLookSoonNs;  // its confirmation comes next
    if (!connects_to(i) || !waits_for(m)) continue;
    int64_t at = pursuit_at(i)->fd >= 0 ? m.until_ns : m.due_ns;
    if (at < due) due = at;
  }
  return due;
}

void Mesh::set_timer(int64_t at_ns) noexcept {
  itimerspec when = {};
  when.it_value = {at_ns / 1000000000, at_ns % 1000000000};
  timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &when, nullptr);
}

// Before meet() looks at all, whoever it was: or the descriptor would stay readable.
void Mesh::take_readiness() noexcept {
  epoll_event events[16];
  epoll_wait(epoll_fd_, events, 16, 0);
  drain_fd(timer_fd_);
}

Code Mesh::wait(Deadline deadline) noexcept {
  int64_t now = now_ns();
  int64_t due = next_due_ns() - now;
  Deadline soonest = deadline.sooner(due > 0 ? due : 0);
  // Who waits at the listener would wake us at once, and there is no channel for him yet.
  Code code = wait_readable(crowded_ ? -1 : epoll_fd_, context_->stop_fd(), soonest);
  return code == kTimeout && deadline.left(now_ns()) != 0 ? kOk : code;
}

Code Mesh::descriptor(int* fd) noexcept {
  descriptor_given_ = true;
  set_timer(next_due_ns());
  *fd = epoll_fd_;
  return kOk;
}

}  // namespace rc
