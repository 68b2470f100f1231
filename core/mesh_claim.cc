// Two processes that are the same member: how they are told apart, and what is told of them. PROTOCOL.md M8.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/context.h"
#include "core/mesh.h"

namespace rc {
namespace {

constexpr uint64_t kConfirmation = 0x0031'6873'656d'6372;  // "rcmesh1"

// The first that goes over a channel, before anybody else has its handle. A member that does not say which process it
// is sends the word only, and so does everybody if the ring is too small for more: both ends know its size.
struct Confirmation {
  uint64_t word;
  char where[Claimant::kBytes];
};
static_assert(sizeof(Confirmation) == 224);

size_t confirmation_bytes(const Link* link) noexcept {
  return link->ring_bytes >= sizeof(Confirmation) ? sizeof(Confirmation) : sizeof Confirmation::word;
}

}  // namespace

Code Mesh::take_name() noexcept {
  uint32_t number = 0;
  if (getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number))
    return fail_errno(kSystem, "getrandom for a member's name", errno);
  number >>= 32 - kProcessBits;
  self_.process = own_.process = number != 0 ? number : 1;
  char host[32] = "";
  gethostname(host, sizeof host - 1);
  snprintf(own_.where, sizeof own_.where, "%s (process %d of %s)", uri(), static_cast<int>(getpid()), host);
  return kOk;
}

Code Mesh::confirm(Channel* c, uint64_t id) noexcept {
  Confirmation ours = {kConfirmation, ""};
  memcpy(ours.where, own_.where, sizeof ours.where);
  ConstSpan span = {&ours, confirmation_bytes(c->link())};
  size_t done = 0;
  Code code = c->enter(kPutSide, id);
  if (code != kOk) return code;
  code = c->put(&span, span.bytes, Channel::Amount::kAll, true, kConfirmNs, &done);
  c->leave(kPutSide);
  return code;
}

// kWouldBlock: it has not come yet.
Code Mesh::take_confirmation(uint32_t member, Channel* c, uint64_t id) noexcept {
  MeshIdentity who = {};
  who.read(c->link()->identity);
  Confirmation theirs = {};
  Span span = {&theirs, who.process != 0 ? confirmation_bytes(c->link()) : sizeof theirs.word};
  size_t done = 0;
  Code code = c->enter(kGetSide, id);
  if (code != kOk) return code;
  code = c->get(&span, span.bytes, Channel::Amount::kTry, 0, &done);
  c->leave(kGetSide);
  if (code != kOk) return code;
  if (theirs.word != kConfirmation) return kCorrupt;
  theirs.where[sizeof theirs.where - 1] = '\0';
  if (theirs.where[0] == '\0') snprintf(theirs.where, sizeof theirs.where, "process #%07x", who.process);
  // Whoever comes back where the one between has gone is alone there: nobody is told.
  claim(members_[member], who.process, theirs.where);
  return kOk;
}

// Whether the member has a channel that works, or is about to.
bool Mesh::stands(const Member& m) const noexcept {
  return m.next_confirmed ||
         (m.channel.load(std::memory_order_relaxed) != 0 && m.ended.load(std::memory_order_relaxed) == kOk);
}

// Whether another process has taken this one's place, and holds it.
bool Mesh::is_second(const MeshIdentity& who) const noexcept {
  const Member& m = members_[who.id];
  return who.process != 0 && who.process == m.before.process && stands(m);
}

// A process is the member now. True: it has been before, so that the one between was a second one.
bool Mesh::claim(Member& m, uint32_t process, const char* where) noexcept {
  if (process == 0) return false;
  bool again = process == m.before.process;
  if (process != m.last.process) m.before = m.last;
  m.last.process = process;
  for (size_t i = 0; i < sizeof m.last.where; ++i) {  // it ends up on terminals
    bool odd = where[i] != '\0' && (where[i] < ' ' || where[i] > '~');
    m.last.where[i] = odd ? '?' : where[i];
    if (where[i] == '\0') break;
  }
  return again;
}

// Each process of the two once, however often they take turns.
void Mesh::note_twice(Member& m, uint32_t process) const noexcept {
  if (process == m.twice_told[0] || process == m.twice_told[1]) return;
  m.twice = true;
  m.twice_told[1] = m.twice_told[0];
  m.twice_told[0] = process;
}

Code Mesh::tell_twice(uint32_t id, MemberEvent* event) noexcept {
  Member& m = members_[id];
  m.twice = false;
  if (event != nullptr) *event = {MemberEvent::Kind{}, id, kDuplicate, 0, 0};
  const char* cure = "give each process an id and an address of its own";
  if (connects_to(id)) {
    return fail(kDuplicate, "member %u: at %s answer two processes in turn, %07x and %07x; %s", id, list_.hosts[id].uri,
                m.last.process, m.before.process, cure);
  }
  return fail(kDuplicate, "member %u is there twice: %s has its place, %s wants it back; %s", id, m.last.where,
              m.before.where, cure);
}

}  // namespace rc
