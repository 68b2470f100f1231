#include "harness/mesh/crew.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <random>

#include "capi/rc.h"
#include "core/deadline.h"

namespace meshes {
namespace {

constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kNoticeNs = 5000 * kMs;
constexpr int64_t kPatienceNs = 120'000 * kMs;  // an emulated machine with RDMA is slow
constexpr uint64_t kMessagesMore = 20;

void nap(int64_t ns) {
  timespec t = {ns / 1000000000, ns % 1000000000};
  nanosleep(&t, nullptr);
}

// One member, in its process.
class Worker {
 public:
  Worker(const Lists& lists, uint32_t id, Board* board) : lists_(lists), id_(id), board_(board) {}

  int run() {
    rc_ctx ctx;
    rc_config config = {};
    config.size = sizeof config;
    config.channels_max = 2 * lists_.members();
    config.rings_max = 4 * lists_.members();
    config.ring_bytes = 65536;
    if (rc_open(&config, &ctx) != RC_OK) return complain("rc_open");
    if (open_mesh(ctx, lists_.text(), id_, RC_MESH_PARTIAL, 0, &mesh_) != RC_OK) return complain("rc_mesh_open");
    while (!board_->stop && board_->problems == 0) {
      if (!take_events() || !exchange()) return 1;
    }
    return rc_close(ctx) == RC_OK ? 0 : complain("rc_close");
  }

 private:
  struct Peer {
    rc_channel channel = {};
    bool there = false;
    uint64_t next_out = 0, next_in = 0;
  };

  int complain(const char* what, uint32_t about = 0) {
    if (board_->problems.fetch_add(1) == 0) {
      snprintf(board_->problem, sizeof board_->problem, "member %u: %s (%u): %s", id_, what, about, rc_reason());
    }
    return 1;
  }

  bool take_events() {
    for (int64_t timeout_ns = kMs;; timeout_ns = 0) {
      rc_member_event event = {};
      event.size = sizeof event;
      int32_t code = rc_mesh_event(mesh_, &event, timeout_ns);
      if (code == RC_E_WOULD_BLOCK || code == RC_E_TIMEOUT) return true;
      if (code != RC_OK) return complain("rc_mesh_event", event.member) == 0;
      Peer& peer = peers_[event.member];
      if (event.kind == RC_MEMBER_LOST) {
        if (!peer.there || event.channel.id != peer.channel.id)
          return complain("lost, but not there", event.member) == 0;
        peer.there = false;
        board_->lost_code[id_][event.member] = event.code;
        ++board_->lost[id_][event.member];
      } else {
        if (peer.there) return complain("came twice", event.member) == 0;
        peer = {event.channel, true, 0, 0};
        ++board_->up[id_][event.member];
      }
    }
  }

  bool exchange() {
    for (uint32_t i = 0; i < lists_.members(); ++i) {
      Peer& peer = peers_[i];
      if (!peer.there) continue;
      if (rc_send(peer.channel, &peer.next_out, sizeof peer.next_out, nullptr, 0, nullptr) == RC_OK) ++peer.next_out;
      uint64_t number = 0;
      size_t n = 0;
      while (rc_recv(peer.channel, &number, sizeof number, &n, nullptr, nullptr, 0) == RC_OK) {
        if (n != sizeof number || number != peer.next_in) return complain("a message out of order from", i) == 0;
        ++peer.next_in;
        ++board_->received[id_][i];
      }
    }
    return true;
  }

  const Lists& lists_;
  uint32_t id_;
  Board* board_;
  rc_mesh mesh_ = {};
  Peer peers_[kCrewMost];
};

uint64_t sum(const Board::Table& table) {
  uint64_t all = 0;
  for (auto& row : table) {
    for (auto& cell : row) all += cell;
  }
  return all;
}

// One kill and the return; empty: as it should be.
std::string kill_one(Crew& crew, uint32_t victim) {
  Board& board = crew.board();
  uint32_t members = crew.members();
  auto others = [&](const std::function<bool(uint32_t)>& so) {
    for (uint32_t i = 0; i < members; ++i) {
      if (i != victim && !so(i)) return false;
    }
    return true;
  };
  auto trouble = [&](const char* what) {
    return std::string(what) + (board.problems != 0 ? std::string(": ") + board.problem : "");
  };
  uint64_t lost[kCrewMost], up[kCrewMost], in[kCrewMost], out[kCrewMost], all_lost = sum(board.lost);
  for (uint32_t i = 0; i < members; ++i) lost[i] = board.lost[i][victim], up[i] = board.up[i][victim];
  crew.kill(victim);
  if (!crew.until([&] { return others([&](uint32_t i) { return board.lost[i][victim] == lost[i] + 1; }); }, kNoticeNs))
    return trouble("the others did not name the dead member in time");
  for (uint32_t i = 0; i < members; ++i) {
    int32_t code = board.lost_code[i][victim];
    if (i != victim && code != RC_E_PEER_DEAD)
      return std::string("a killed member was not called dead but ") + rc_code_name(code);
  }
  uint64_t before = sum(board.received);
  uint64_t pairs = (members - 1) * (members - 2);
  if (!crew.until([&] { return sum(board.received) >= before + pairs * kMessagesMore; }, kPatienceNs))
    return trouble("the others do not go on");
  for (uint32_t i = 0; i < members; ++i) in[i] = board.received[victim][i], out[i] = board.received[i][victim];
  crew.start(victim);
  bool back = crew.until(
      [&] {
        return others([&](uint32_t i) {
          return board.up[i][victim] == up[i] + 1 && board.received[i][victim] > out[i] + kMessagesMore &&
                 board.received[victim][i] > in[i] + kMessagesMore;
        });
      },
      kPatienceNs);
  if (!back) {
    std::string seen = "the member was not taken back";
    for (uint32_t i = 0; i < members; ++i) {
      if (i == victim) continue;
      seen += "; with " + std::to_string(i) + ": met " + std::to_string(board.up[i][victim].load() - up[i]) +
              " times, " + std::to_string(board.received[victim][i].load() - in[i]) + " messages came and " +
              std::to_string(board.received[i][victim].load() - out[i]) + " went";
    }
    return trouble(seen.c_str());
  }
  if (sum(board.lost) != all_lost + members - 1) return "somebody else than the dead member was called lost";
  return "";
}

}  // namespace

Crew::Crew(const std::string& scheme, uint32_t members) : lists_(scheme, members), pids_(members, -1) {
  void* at = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) abort();
  board_ = new (at) Board{};
}

Crew::~Crew() {
  for (uint32_t i = 0; i < members(); ++i) kill(i);
  munmap(board_, sizeof(Board));
}

void Crew::start(uint32_t id) {
  pid_t parent = getpid();
  fflush(stdout);
  pids_[id] = fork();
  if (pids_[id] != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  _exit(Worker(lists_, id, board_).run());
}

void Crew::kill(uint32_t id) {
  if (pids_[id] <= 0) return;
  ::kill(pids_[id], SIGKILL);
  waitpid(pids_[id], nullptr, 0);
  pids_[id] = -1;
}

bool Crew::stop() {
  board_->stop = true;
  bool good = true;
  for (pid_t& pid : pids_) {
    int status = 0;
    if (pid > 0) good &= waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    pid = -1;
  }
  return good && board_->problems == 0;
}

bool Crew::until(const std::function<bool()>& so, int64_t timeout_ns) const {
  rc::Deadline deadline = rc::Deadline::after(timeout_ns);
  while (!so()) {
    if (board_->problems != 0 || deadline.left(rc::now_ns()) == 0) return false;
    nap(kMs);
  }
  return true;
}

std::string kill_at_random(const std::string& scheme, uint32_t members, uint32_t times, uint64_t seed, bool verbose) {
  std::mt19937_64 random(seed);
  Crew crew(scheme, members);
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < members; ++i) order.push_back(i);
  std::shuffle(order.begin(), order.end(), random);
  for (uint32_t i : order) crew.start(i);
  if (!crew.until([&] { return sum(crew.board().up) == members * (members - 1); }, kPatienceNs))
    return std::string("the mesh was not complete in time: ") + crew.board().problem;
  for (uint32_t i = 0; i < times; ++i) {
    nap(static_cast<int64_t>(random() % 20) * kMs);  // a random moment
    auto victim = static_cast<uint32_t>(random() % members);
    std::string wrong = kill_one(crew, victim);
    if (!wrong.empty()) return "kill " + std::to_string(i) + ", of member " + std::to_string(victim) + ": " + wrong;
    if (verbose) printf("\r%u of %u members killed and taken back ", i + 1, times), fflush(stdout);
  }
  return crew.stop() ? "" : std::string("a member did not leave in good order: ") + crew.board().problem;
}

}  // namespace meshes
