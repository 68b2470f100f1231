// How members meet: who connects, who counts as come, who counts as gone.
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "core/context.h"
#include "core/mesh.h"
#include "core/wait.h"

namespace rc {
namespace {

constexpr int64_t kMs = 1000 * 1000;
// An attempt to connect is given up when it has not come on for so long.
constexpr int64_t kAttemptNs = 5000 * kMs;
// Where attempts do not go on over several calls, one lasts so long, which doubles while they are in vain.
constexpr int64_t kPatienceMinNs = 10 * kMs;
constexpr int64_t kPatienceMaxNs = 100 * kMs;
// So long a round may keep the caller with attempts.
constexpr int64_t kRoundNs = 10 * kMs;
// The pause between two attempts doubles, too.
constexpr int64_t kPauseMinNs = 5 * kMs;
constexpr int64_t kPauseMaxNs = 200 * kMs;
// A client that falls silent makes no event when its time is up: the listener is asked so often without one.
constexpr int64_t kAcceptNs = 250 * kMs;

int64_t twice(int64_t ns, int64_t least, int64_t most) noexcept {
  int64_t doubled = ns == 0 ? least : ns * 2;
  return doubled < most ? doubled : most;
}

// What passes by itself: the member is not there yet, or not any more.
bool may_pass(Code code) noexcept {
  constexpr Code kMay[] = {kNoListener, kTimeout, kPeerDead,   kClosed,        kHandshake, kUnreachable,
                           kNoHost,     kStopped, kWouldBlock, kNoDescriptors, kNoMemory};
  for (Code c : kMay) {
    if (c == code) return true;
  }
  return false;
}

// POLLHUP and POLLERR are told unasked.
bool polls(int fd, int wanted) noexcept {
  pollfd p = {fd, static_cast<short>(wanted & (POLLIN | POLLOUT)), 0};
  return fd >= 0 && ::poll(&p, 1, 0) > 0 && (p.revents & wanted) != 0;
}

}  // namespace

// Called by the listener's handshake, so that a stranger never gets as far as a channel.
Code Mesh::judge(const void* by, const char* identity) noexcept {
  const auto* mesh = static_cast<const Mesh*>(by);
  const MeshIdentity& self = mesh->self_;
  MeshIdentity who = {};
  if (!who.read(identity) || !who.same_mesh(self) || who.id >= self.members || who.id == self.id) {
    return fail(kIdentity, "here is member %u of %u of mesh \"%s\"; \"%s\" is none of the others", self.id,
                self.members, self.name, Printable(identity).text);
  }
  if (who.id > self.id)
    return fail(kIdentity, "here is member %u: member %u waits until it is connected to", self.id, who.id);
  if (!mesh->is_second(who)) return kOk;
  Member& m = mesh->members_[who.id];
  mesh->note_twice(m, who.process);
  return fail(kDuplicate, "another process is member %u: %s", who.id, m.last.where);
}

Code Mesh::drop(uint64_t channel) noexcept {
  Channel* c = channel != 0 ? Handles::channel(channel) : nullptr;
  Code code = c != nullptr ? context_->close_channel(c, channel) : kOk;
  return code != kHandle ? code : kOk;  // another thread closes it
}

// What tells of a member's end becomes part of the mesh's descriptor. Edges only: bytes that the caller does not get do
// not keep us awake.
void Mesh::watch(uint64_t channel) noexcept {
  const Link* link = Handles::channel(channel)->link();
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLET;
  if (link->common_fd >= 0) epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, link->common_fd, &event);
  event.events = EPOLLRDHUP | EPOLLET;
  if (link->direct && link->fd[kGetSide] >= 0) epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, link->fd[kGetSide], &event);
}

void Mesh::replace_next(Member& m, uint64_t channel) noexcept {
  drop(m.next);
  m.next = channel;
  m.next_confirmed = false;
}

void Mesh::install_next(Member& m) noexcept {
  drop(m.channel.load(std::memory_order_relaxed));
  m.accepted = m.next_accepted;
  m.told = m.loss_told = false;
  m.given.store(false, std::memory_order_relaxed);
  Code joined = context_->adopt_channel(&m.next);
  m.ended.store(joined, std::memory_order_release);
  m.channel.store(m.next, std::memory_order_release);  // pairs with the load in channel_of
  m.told_retries = m.retries;
  m.next = 0;
  m.next_confirmed = false;
  m.retries = 0;
  m.pause_ns = m.patience_ns = m.due_ns = 0;
  if (joined == kOk) return;
  m.trouble = joined;
  m.trouble_told = false;
  m.due_ns = now_ns() + kPauseMaxNs;
}

// ----------------------------------------------------------------------------------------------------------- accepting

bool Mesh::somebody_comes() const noexcept {
  for (uint32_t i = 0; i < list_.count; ++i) {
    if (members_[i].next != 0) return true;
  }
  return false;
}

// Of several connections of one member the newest counts: it has given up the others (M3).
Code Mesh::accept_waiting() noexcept {
  crowded_ = false;
  Listener* listener = Handles::listener(listener_);
  bool pending = somebody_comes();
  int64_t now = now_ns();
  for (uint32_t i = 0; i < list_.count; ++i) {
    bool due = now - accepted_ns_ >= kAcceptNs;
    if (!due && listener->point->fd >= 0 && !polls(listener->point->fd, POLLIN)) return kOk;
    accepted_ns_ = now;
    uint64_t id = 0;
    bool told = listener->point->gone;  // once is enough: the members that are here go on
    Code code = context_->accept(listener, listener_, 0, &id);
    if (code == kWouldBlock || (told && code == kNoDevice)) return kOk;
    if (code == kPool && pending) {
      crowded_ = true;
      return kOk;
    }
    if (code == kPool && due) return kOk;  // perhaps nobody is there
    if (code != kOk) return code;
    MeshIdentity who;
    bool known = who.read(Handles::channel(id)->link()->identity) && who.id < self_.id;
    if (!known) {  // a backend that does not ask the judge
      drop(id);
      continue;
    }
    Member& m = members_[who.id];
    replace_next(m, id);
    m.next_accepted = true;
    m.next_until_ns = now_ns() + kConfirmNs;
    pending = true;
  }
  return kOk;
}

void Mesh::take_confirmations(int64_t now) noexcept {
  for (uint32_t i = 0; i < list_.count; ++i) {
    Member& m = members_[i];
    if (m.next == 0 || m.next_confirmed) continue;
    Code code = take_confirmation(i, Handles::channel(m.next), m.next);
    if (code == kOk) {
      m.next_confirmed = true;
      watch(m.next);
    } else if (code != kWouldBlock || now >= m.next_until_ns) {
      replace_next(m, 0);
    }
  }
}

// --------------------------------------------------------------------------------------------------------- looking
// after

// Enters neither side, which belong to the caller's threads, and eats no doorbell: the sleeper would miss it (M6).
Code Mesh::look_at(uint64_t id) noexcept {
  Channel* c = Handles::channel(id);
  if (c == nullptr || c->id() != id) return kClosed;  // the caller has closed it
  Code code = c->over();
  Link* link = c->link();
  if (code == kOk && !link->direct) {
    code = link->ops->progress(link, kNoSide);
    // Still something: a timer of the link, or more. Who asks for the first may eat a doorbell, and therefore rings
    // again.
    if (code == kOk && polls(link->common_fd, POLLIN)) {
      code = link->ops->alive(link, kPutSide);
      link->ops->interrupt(link);
      unread_ |= polls(link->common_fd, POLLIN);  // of which the set, which tells edges, does not tell again
    }
  }
  if (code == kOk && link->direct) {
    bool gone = polls(link->common_fd, POLLIN) || polls(link->fd[kGetSide], POLLHUP | POLLERR);
    if (gone) code = kPeerDead;
  }
  // Pairs with the release in Channel::close. A peer that says so closes in good order.
  bool closed = (link->inbox->getter.load(std::memory_order_acquire) & kClosedBit) != 0;
  return closed && (code == kOk || code == kPeerDead) ? kClosed : code;
}

void Mesh::look_after_members() noexcept {
  unread_ = false;
  for (uint32_t i = 0; i < list_.count; ++i) {
    Member& m = members_[i];
    uint64_t channel = m.channel.load(std::memory_order_relaxed);
    if (i == self_.id || channel == 0 || m.ended.load(std::memory_order_relaxed) != kOk) continue;
    Code code = look_at(channel);
    if (code == kOk) continue;
    m.ended.store(code, std::memory_order_release);
    m.due_ns = 0;
  }
}

// -----------------------------------------------------------------------------------------------------------
// connecting

// Looks who has answered, and confirms.
Code Mesh::greet(uint32_t id, uint64_t channel) noexcept {
  Channel* c = Handles::channel(channel);
  Member& m = members_[id];
  MeshIdentity who = {};
  const char* answered = c->link()->identity;
  Code code = kIdentity;
  if (who.read(answered) && who.same_mesh(self_) && who.id == id) {
    code = confirm(c, channel);
    if (code == kOk && claim(m, who.process, "")) note_twice(m, who.process);
  } else {
    snprintf(m.answered, sizeof m.answered, "%s", answered[0] != '\0' ? answered : "(no name)");
  }
  if (code != kOk) drop(channel);
  return code;
}

bool Mesh::may_go_on(uint32_t id, int64_t now) const noexcept {
  const Member& m = members_[id];
  const Pursuit* a = pursuit_at(id);
  if (a->fd < 0) return m.due_ns <= now;
  return m.until_ns <= now || polls(a->fd, a->events | POLLERR | POLLHUP);
}

// Begins an attempt, goes on with the one under way, or gives it up. Its descriptor is the mesh's only in between: then
// it becomes the channel's, or is closed.
Code Mesh::pursue(uint32_t id, Deadline deadline) noexcept {
  Member& m = members_[id];
  Pursuit* a = pursuit_at(id);
  Code code = kTimeout;
  uint64_t channel = 0;
  if (a->fd >= 0) epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, a->fd, nullptr);
  if (a->fd >= 0 && !polls(a->fd, a->events | POLLERR | POLLHUP)) {
    context_->abandon(a);
  } else {
    if (m.patience_ns == 0) m.patience_ns = kPatienceMinNs;
    int64_t left = deadline.left(now_ns());
    int64_t timeout_ns = left < kPatienceMinNs ? kPatienceMinNs : left < m.patience_ns ? left : m.patience_ns;
    m.answered[0] = '\0';
    code = context_->pursue(list_.hosts[id].uri, params_, timeout_ns, a, &channel);
  }
  if (code == kStopped) return code;
  if (a->fd >= 0) {
    epoll_event event = {};
    event.events = a->events == POLLOUT ? EPOLLOUT : EPOLLIN;
    epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, a->fd, &event);
    m.until_ns = now_ns() + kAttemptNs;
  }
  if (code == kPool && (a->fd >= 0 || somebody_comes())) {  // who comes will leave a channel
    crowded_ = true;
    if (a->fd < 0) m.due_ns = now_ns() + kPauseMinNs;
    return kOk;
  }
  if (a->fd >= 0) return kOk;
  if (code == kOk) code = greet(id, channel);
  if (code == kOk) {
    replace_next(m, channel);
    m.next_accepted = false;
    m.next_confirmed = true;
    watch(channel);
    m.trouble = kOk;
    return kOk;
  }
  ++m.retries;
  if (code == kTimeout) m.patience_ns = twice(m.patience_ns, kPatienceMinNs, kPatienceMaxNs);
  m.pause_ns = twice(m.pause_ns, kPauseMinNs, kPauseMaxNs);
  m.due_ns = now_ns() + m.pause_ns;
  if (code != m.trouble) m.trouble_told = may_pass(code);
  m.trouble = code;
  return kOk;
}

// Everybody whose attempt is due or can go on, in turn. Ends early when there is trouble to tell: its reason is the
// last one.
Code Mesh::connect_due(Deadline deadline) noexcept {
  int64_t begun = now_ns();
  uint32_t first = connect_turn_;
  for (uint32_t i = 0; i < list_.count; ++i) {
    uint32_t id = (first + i) % list_.count;
    const Member& m = members_[id];
    if (!connects_to(id) || !waits_for(m) || !may_go_on(id, begun)) continue;
    connect_turn_ = id + 1;
    Code code = pursue(id, deadline);
    if (code != kOk) return code;
    if ((m.trouble != kOk && !m.trouble_told) || now_ns() - begun >= kRoundNs) break;
  }
  return kOk;
}

Code Mesh::meet(Deadline deadline) noexcept {
  take_readiness();
  look_after_members();  // first: the channels of the dead make room
  Code code = accept_waiting();
  if (code != kOk) return code;
  take_confirmations(now_ns());
  return connect_due(deadline);
}

}  // namespace rc
