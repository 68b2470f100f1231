#include "harness/mesh/talk.h"

#include <stdio.h>
#include <string.h>

#include <stdexcept>
#include <vector>

#include "core/deadline.h"

namespace meshes {
namespace {

constexpr size_t kLetters = 9;
constexpr size_t kSlotBytes = 64;
constexpr int64_t kMs = 1000 * 1000;
// Channels are looked at so often while nothing happens in the mesh.
constexpr int64_t kLookNs = 5 * kMs;

void must(int32_t code, const char* what) {
  if (code != RC_OK) throw std::runtime_error(std::string(what) + ": " + rc_code_name(code) + ": " + rc_reason());
}

void say(const std::string& line) {
  printf("%s\n", line.c_str());
  fflush(stdout);  // whoever reads a pipe wants to see it now
}

struct Peer {
  rc_channel channel = {};
  bool there = false;
  uint32_t sent = 0, received = 0;
};

class Member {
 public:
  Member(const Members& members, const Talk& what) : what_(what), in_mr_(what.slots * kSlotBytes) {
    rc_config config = {};
    config.size = sizeof config;
    uint32_t most = members.total != 0 ? members.total : 64;
    config.channels_max = 2 * most;
    config.rings_max = 4 * most;
    config.mesh_members_max = most;
    config.ring_bytes = what.ring_bytes;
    must(rc_open(&config, &ctx_), "rc_open");
    rc_mesh_config mesh = {};
    mesh.size = sizeof mesh;
    mesh.flags = RC_MESH_PARTIAL | (members.id ? RC_MESH_ID : 0);
    mesh.id = members.id.value_or(0);
    mesh.members = members.total;
    mesh.name = what.name.c_str();
    rc_channel_config channel = {};
    channel.size = sizeof channel;
    channel.token = what.token.empty() ? nullptr : what.token.c_str();
    mesh.channel = &channel;
    if (members.hosts_path.empty()) {
      mesh.hosts = members.hosts.c_str();
    } else {
      mesh.hosts_path = members.hosts_path.c_str();
    }
    must(rc_mesh_open(ctx_, &mesh, 0, &mesh_), "rc_mesh_open");
    state_.size = sizeof state_;
    must(rc_mesh_info(mesh_, &state_), "rc_mesh_info");
    peers_.resize(state_.members);
    random_.seed(what.seed != 0 ? what.seed : std::random_device()());
    say("Host " + std::to_string(state_.id) + ": listening at " + state_.uri);
    must(rc_mesh_channel(mesh_, state_.id, &peers_[state_.id].channel), "rc_mesh_channel");
    peers_[state_.id].there = true;
  }
  ~Member() { rc_close(ctx_); }

  void assemble() {
    rc::Deadline deadline = rc::Deadline::after(what_.timeout_ms * kMs);
    while (present() < peers_.size()) {
      if (deadline.left(rc::now_ns()) == 0) throw std::runtime_error("the mesh is not complete: " + absent());
      take_event(100 * kMs);
    }
    say("Host " + std::to_string(state_.id) + ": mesh of " + std::to_string(peers_.size()) + " is complete");
  }

  // True: everything that was to be sent and received was.
  bool exchange() {
    int64_t next_ns = rc::now_ns();
    rc::Deadline last = rc::Deadline::never_passes();
    for (uint32_t round = 0; !done() && last.left(rc::now_ns()) != 0;) {
      if (round < what_.count && rc::now_ns() >= next_ns) {
        send_to_all();
        next_ns += what_.interval_ms * kMs;
        if (++round == what_.count) last = rc::Deadline::after(what_.timeout_ms * kMs);
      }
      take_event(receive_from_all() ? 0 : kLookNs);
    }
    return done();
  }

  std::string summary() const {
    uint64_t sent = 0, received = 0;
    for (const Peer& p : peers_) sent += p.sent, received += p.received;
    return "Host " + std::to_string(state_.id) + ": sent " + std::to_string(sent) + ", received " +
           std::to_string(received) + ", lost " + std::to_string(lost_);
  }

 private:
  size_t present() const {
    size_t n = 0;
    for (const Peer& p : peers_) n += p.there ? 1 : 0;
    return n;
  }

  std::string absent() const {
    std::string ids;
    for (size_t i = 0; i < peers_.size(); ++i) ids += peers_[i].there ? "" : " " + std::to_string(i);
    return "absent are" + ids;
  }

  // With a count, members may leave when they have all their strings.
  bool done() const {
    for (const Peer& p : peers_) {
      if (what_.count == kForever || !done_with(p)) return false;
    }
    return true;
  }

  void take_event(int64_t timeout_ns) {
    rc_member_event event = {};
    event.size = sizeof event;
    int32_t code = rc_mesh_event(mesh_, &event, timeout_ns);
    if (code == RC_E_WOULD_BLOCK || code == RC_E_TIMEOUT) return;
    must(code, "rc_mesh_event");
    std::string me = "Host " + std::to_string(state_.id), other = std::to_string(event.member);
    Peer& peer = peers_[event.member];
    if (event.kind == RC_MEMBER_LOST) {
      peer.there = false;
      while (receive_from_all()) {  // what it had sent is still there
      }
      if (done_with(peer)) return;
      ++lost_;
      return say(me + ": lost host " + other + " (" + rc_code_name(event.code) + ")");
    }
    peer = {event.channel, true, 0, 0};
    if (event.kind == RC_MEMBER_CONNECTED) {
      say("After retried " + std::to_string(event.retries) + " connect, " + me + ": Connected to host " + other);
      say("Connection setup with host " + other);
    } else {
      say(me + ": connect request from host " + other);
      say(me + ": accepted host " + other);
      say(me + ": established with host " + other);
    }
  }

  bool takes_part(const Peer& p) const { return what_.to_self || &p != &peers_[state_.id]; }

  bool done_with(const Peer& p) const { return !takes_part(p) || (p.sent >= what_.count && p.received >= what_.count); }

  void send_to_all() {
    for (Peer& p : peers_) {
      if (!p.there || !takes_part(p) || p.sent >= what_.count) continue;
      std::string letters = random_letters(random_);
      // A member that has gone is told by the mesh; one that does not read must not hold up the others.
      if (rc_send(p.channel, letters.data(), letters.size(), nullptr, 0, nullptr) == RC_OK) ++p.sent;
    }
  }

  bool receive_from_all() {
    bool any = false;
    for (Peer& p : peers_) {
      if (p.channel.id == 0) continue;
      char* slot = &in_mr_[next_slot_ * kSlotBytes];
      size_t n = 0;
      if (rc_recv(p.channel, slot, kSlotBytes - 1, &n, nullptr, nullptr, 0) != RC_OK) continue;
      slot[n] = '\0';
      ++p.received;
      any = true;
      char line[160];
      snprintf(line, sizeof line, "Received data at in_mr[%u] address %p: %s", next_slot_, static_cast<void*>(slot),
               slot);
      say(line);
      next_slot_ = (next_slot_ + 1) % what_.slots;
    }
    return any;
  }

  const Talk what_;
  std::vector<char> in_mr_;
  uint32_t next_slot_ = 0;
  rc_ctx ctx_ = {};
  rc_mesh mesh_ = {};
  rc_mesh_state state_ = {};
  std::vector<Peer> peers_;
  std::mt19937 random_;
  uint32_t lost_ = 0;
};

}  // namespace

std::string random_letters(std::mt19937& random) {
  std::string letters(kLetters, ' ');
  for (char& c : letters) c = static_cast<char>('a' + random() % 26);
  return letters;
}

int talk(const Members& members, const Talk& what) {
  Member member(members, what);
  member.assemble();
  bool complete = member.exchange();
  say(member.summary());
  return complete ? 0 : 1;
}

}  // namespace meshes
