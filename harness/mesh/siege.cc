#include "harness/mesh/siege.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "core/deadline.h"
#include "core/hello.h"
#include "core/wire.h"
#include "harness/mesh/lists.h"
#include "harness/mesh/runner.h"

namespace meshes {
namespace {

constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kPatienceNs = 10'000 * kMs;
constexpr size_t kHeldMost = 60;
constexpr int64_t kGrowthMostKb = 4096;
constexpr char kToken[] = "siege";

// ------------------------------------------------------------------------------------------------------------
// strangers

class Strangers {
 public:
  Strangers(const Lists& lists, uint32_t seed) : lists_(lists), random_(seed) {}

  [[noreturn]] void attack(std::atomic<uint64_t>* count) {
    for (;;) {
      auto target = static_cast<uint32_t>(random_() % lists_.members());
      int fd = dial(target);
      if (fd < 0) continue;
      throw_something(fd, target);
      ++*count;
      held_.push_back(fd);
      if (held_.size() <= random_() % kHeldMost) continue;
      drop(random_() % held_.size());
      if (random_() % 16 == 0) {
        while (!held_.empty()) drop(0);
      }
    }
  }

 private:
  int dial(uint32_t target) const {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(atoi(strrchr(lists_.uri(target).c_str(), ':') + 1)));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
    close(fd);
    return -1;
  }

  void drop(size_t i) {
    if (random_() % 2 == 0) {  // with a reset
      linger now = {1, 0};
      setsockopt(held_[i], SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(held_[i]);
    held_.erase(held_.begin() + static_cast<ptrdiff_t>(i));
  }

  // What a member would say, but for the token.
  rc::Hello ask(uint32_t target) {
    rc::Hello h = {};
    h.magic = rc::kHelloMagic;
    h.version = rc::kWireVersion;
    h.kind = rc::Hello::kAsk;
    h.layout = rc::kLayoutHash;
    h.ring_bytes = 65536;
    snprintf(h.identity, sizeof h.identity, "mesh:mesh:%u/%u", target == 0 ? 1 : target - 1, lists_.members());
    return h;
  }

  void throw_something(int fd, uint32_t target) {
    const char* identities[] = {"", "mesh:", "mesh:other:0/3", "mesh:mesh:99999/3", "mesh:mesh:0/99999", "\x1b[2Jx"};
    rc::Hello h = ask(target);
    std::string bytes(reinterpret_cast<char*>(&h), sizeof h);
    switch (random_() % 9) {
      case 0:
        return;  // a half-open one
      case 1:
        bytes = "GET / HTTP/1.1\r\nHost: mesh\r\n\r\n";
        break;
      case 2:
        bytes.resize(1 + random_() % 3000);
        for (char& c : bytes) c = static_cast<char>(random_());
        break;
      case 3:
        for (auto flips = 1 + random_() % 20; flips > 0; --flips)
          bytes[random_() % bytes.size()] ^= static_cast<char>(1 << (random_() % 8));
        break;
      case 4:
        strcpy(h.identity, identities[random_() % (sizeof identities / sizeof *identities)]);
        bytes.assign(reinterpret_cast<char*>(&h), sizeof h);
        break;
      case 5:
        h.version += static_cast<uint32_t>(random_() % 3 - 1);
        h.layout += h.version == rc::kWireVersion ? 1 : 0;
        bytes.assign(reinterpret_cast<char*>(&h), sizeof h);
        break;
      case 6:
        bytes.resize(random_() % bytes.size());
        break;
      case 7:  // everything right but the token, and more behind it
        bytes += std::string(random_() % 5000, 'x');
        break;
      default:
        memset(h.identity, 'm', sizeof h.identity);  // without an end
        bytes.assign(reinterpret_cast<char*>(&h), sizeof h);
    }
    ssize_t ignored = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    static_cast<void>(ignored);
    if (random_() % 4 == 0) shutdown(fd, SHUT_WR);
  }

  const Lists& lists_;
  std::mt19937 random_;
  std::deque<int> held_;
};

// --------------------------------------------------------------------------------------------------------------
// members

int count_descriptors() {
  DIR* d = opendir("/proc/self/fd");
  int n = 0;
  while (readdir(d) != nullptr) ++n;
  closedir(d);
  return n;
}

int64_t resident_kb() {
  FILE* f = fopen("/proc/self/statm", "re");
  long total = 0, resident = 0;
  if (fscanf(f, "%ld %ld", &total, &resident) != 2) resident = 0;
  fclose(f);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

// A number from each to each. Empty: it came.
std::string exchange(const std::vector<std::unique_ptr<Runner>>& members, uint32_t number) {
  for (uint32_t from = 0; from < members.size(); ++from) {
    for (uint32_t to = 0; to < members.size(); ++to) {
      rc_channel out, in;
      uint32_t got = ~number;
      if (from == to) continue;
      std::string who = std::to_string(from) + " to " + std::to_string(to) + ": ";
      if (rc_mesh_channel(members[from]->mesh(), to, &out) != RC_OK ||
          rc_mesh_channel(members[to]->mesh(), from, &in) != RC_OK ||
          rc_put(out, &number, sizeof number, kPatienceNs, nullptr) != RC_OK ||
          rc_get(in, &got, sizeof got, kPatienceNs, nullptr) != RC_OK)
        return who + rc_reason();
      if (got != number) return who + "wrong content";
    }
  }
  return "";
}

bool all_there(const std::vector<std::unique_ptr<Runner>>& members) {
  for (uint32_t at = 0; at < members.size(); ++at) {
    for (uint32_t of = 0; of < members.size(); ++of) {
      if (of != at && !members[at]->wait_for(at < of ? RC_MEMBER_CONNECTED : RC_MEMBER_ACCEPTED, of)) return false;
    }
  }
  return true;
}

std::string undisturbed(const std::vector<std::unique_ptr<Runner>>& members) {
  for (const auto& m : members) {
    for (const Runner::Event& e : m->events()) {
      if (e.code != RC_OK) return "rc_mesh_event: " + e.reason;
      if (e.what.kind == RC_MEMBER_LOST) return "member " + std::to_string(e.what.member) + " was called lost";
    }
  }
  return "";
}

void work(const std::vector<std::unique_ptr<Runner>>& members, double seconds, Siege* siege) {
  rc::Deadline end = rc::Deadline::after(static_cast<int64_t>(seconds * 1e9));
  for (uint32_t number = 0; siege->wrong.empty() && end.left(rc::now_ns()) != 0; ++number) {
    siege->wrong = exchange(members, number);
    siege->exchanges += members.size() * (members.size() - 1);
  }
}

using Members = std::vector<std::unique_ptr<Runner>>;

Members start(const Lists& lists) {
  Members members;
  Place p;
  p.hosts = lists.text();
  p.token = kToken;
  for (p.id = 0; p.id < lists.members(); ++p.id) members.push_back(std::make_unique<Runner>(p));
  return members;
}

// What a mesh has in peace.
int descriptors_in_peace(const Lists& lists) {
  Members members = start(lists);
  return all_there(members) ? count_descriptors() : 0;
}

}  // namespace

Siege besiege(uint32_t count, double seconds, uint32_t seed) {
  Siege siege;
  Lists lists("tcp", count);
  int peace = descriptors_in_peace(lists);
  void* at = mmap(nullptr, sizeof(std::atomic<uint64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) abort();
  auto* attacks = new (at) std::atomic<uint64_t>{0};
  fflush(stdout);
  pid_t strangers = fork();
  if (strangers == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Strangers(lists, seed).attack(attacks);
  }
  Members members = start(lists);
  if (!all_there(members)) siege.wrong = "the members did not meet";
  work(members, seconds / 10, &siege);  // what is touched for the first time is no growth
  int64_t before_kb = resident_kb();
  work(members, seconds * 9 / 10, &siege);
  siege.grown_kb = resident_kb() - before_kb;
  kill(strangers, SIGKILL);
  waitpid(strangers, nullptr, 0);
  siege.attacks = *attacks;
  rc::Deadline deadline = rc::Deadline::after(kPatienceNs);
  while (count_descriptors() != peace && deadline.left(rc::now_ns()) != 0) usleep(10'000);
  if (siege.wrong.empty() && count_descriptors() != peace)
    siege.wrong = std::to_string(count_descriptors()) + " descriptors, in peace " + std::to_string(peace);
  if (siege.wrong.empty()) siege.wrong = exchange(members, 1);
  if (siege.wrong.empty()) siege.wrong = undisturbed(members);
  if (siege.wrong.empty() && siege.grown_kb > kGrowthMostKb)
    siege.wrong = "memory has grown by " + std::to_string(siege.grown_kb) + " KB";
  munmap(at, sizeof(std::atomic<uint64_t>));
  return siege;
}

}  // namespace meshes
