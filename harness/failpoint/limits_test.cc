// Fault 10 of the proof, the limits: no descriptors, no address space, no locked memory, no space. Each is its own
// error, and everything works again once the limit is gone.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness/failpoint/other_end.h"
#include "harness/failpoint/scene.h"
#include "harness/failpoint/wrap.h"

namespace failpoint {
namespace {

constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kPatienceNs = 20000 * kMs;

void set_limit(int resource, rlim_t now) {
  rlimit l;
  getrlimit(static_cast<__rlimit_resource>(resource), &l);
  l.rlim_cur = now < l.rlim_max ? now : l.rlim_max;
  if (setrlimit(static_cast<__rlimit_resource>(resource), &l) != 0) abort();
}

struct Near {
  std::string uri;
  bool listens;
  uint64_t ring_bytes = 65536;
  int64_t accept_ns = 400 * kMs;  // the far end tries every 100 ms
};

// Open, meet, exchange, close. Returns the codes of what failed; nothing is left.
std::set<int32_t> whole_life(const Near& near) {
  std::set<int32_t> failures;
  auto ok = [&](int32_t code) {
    if (code != RC_OK) failures.insert(code);
    return code == RC_OK;
  };
  rc_config config = {};
  config.size = sizeof config;
  config.ring_bytes = near.ring_bytes;
  rc_channel_config channel_config = {};
  channel_config.size = sizeof channel_config;
  channel_config.ring_bytes = near.ring_bytes;
  rc_ctx ctx;
  if (!ok(rc_open(&config, &ctx))) return failures;
  rc_listener listener;
  rc_channel channel;
  const char* uri = near.uri.c_str();
  bool met = near.listens ? ok(rc_listen(ctx, uri, &channel_config, &listener)) &&
                                ok(rc_accept(listener, near.accept_ns, &channel))
                          : ok(rc_connect(ctx, uri, &channel_config, kPatienceNs, &channel));
  int32_t fd;
  if (met && ok(ask_echo(channel))) ok(rc_channel_fd(channel, &fd));
  rc_close(ctx);
  return failures;
}

std::string names(const std::set<int32_t>& codes) {
  std::string text;
  for (int32_t c : codes) text += fmt::format(" {}", rc_code_name(c));
  return text;
}

// The limit is one of numbers: takes all those below the highest that is open. Returns how many are open then.
int close_gaps() {
  int highest = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) highest = fd;
  }
  int fd;
  while ((fd = dup(0)) < highest) {
  }
  close(fd);
  return highest + 1;
}

// With ever more descriptors, from none to enough.
std::string run_out_of_descriptors(const Near& near) {
  std::string problems;
  int used = close_gaps();
  rlim_t room = 0;
  for (bool enough = false; !enough && room < 40; ++room) {
    set_limit(RLIMIT_NOFILE, static_cast<rlim_t>(used) + room);
    std::set<int32_t> failures = whole_life(near);
    set_limit(RLIMIT_NOFILE, 1024);
    enough = failures.empty();
    // A listener that could not take a client's descriptors has sent it away, and waits for the next one.
    std::set<int32_t> allowed = {RC_E_NO_DESCRIPTORS};
    if (near.listens) allowed.insert(RC_E_TIMEOUT);
    for (int32_t code : failures) {
      if (allowed.count(code) == 0) problems += fmt::format("with {} descriptors: {}\n", room, rc_code_name(code));
    }
    if (count_descriptors() - 3 != used) return problems + fmt::format("with {} descriptors: some were leaked\n", room);
    failures = whole_life(near);
    if (!failures.empty()) problems += fmt::format("after {} descriptors:{}\n", room, names(failures));
  }
  if (room < 5 || room == 40) problems += fmt::format("{} descriptors were enough\n", room);
  return problems;
}

TEST(Descriptors, RunOutOnTheClient) {
  Near near = {fresh_uri("limits"), false};
  Child child([&] { return run_out_of_descriptors(near); });
  std::set<int32_t> codes = echo_while(child, near.uri, true);
  EXPECT_EQ("", child.problems());
  for (int32_t code : codes) EXPECT_TRUE(code == RC_OK || code == RC_E_TIMEOUT) << rc_code_name(code);
}

// The client is told the truth: it is the listener that has none left.
TEST(Descriptors, RunOutOnTheListener) {
  Near near = {fresh_uri("limits"), true};
  Child child([&] { return run_out_of_descriptors(near); });
  std::set<int32_t> codes = echo_while(child, near.uri, false);
  EXPECT_EQ("", child.problems());
  std::set<int32_t> allowed = {RC_OK, RC_E_TIMEOUT, RC_E_NO_LISTENER, RC_E_PEER_DEAD, RC_E_NO_DESCRIPTORS};
  for (int32_t code : codes) EXPECT_EQ(1u, allowed.count(code)) << rc_code_name(code);
}

// The moment between the peer's sending a descriptor and its arrival: the kernel then drops it and says so in a flag
// only.
int before_receiving(const char* call) {
  if (strcmp(call, "recvmsg") != 0) return 0;
  int lowest_free = dup(0);
  close(lowest_free);
  set_limit(RLIMIT_NOFILE, static_cast<rlim_t>(lowest_free));
  return 0;
}
void after_receiving(const char* call) {
  if (strcmp(call, "recvmsg") == 0) set_limit(RLIMIT_NOFILE, 1024);
}
constexpr Hooks kNoneForArrivals = {before_receiving, after_receiving};

TEST(Descriptors, RunOutWhileOneIsReceived) {
  for (bool listens : {false, true}) {
    Near near = {fresh_uri("limits"), listens};
    Child child([&] {
      watch_this_thread(&kNoneForArrivals);
      std::set<int32_t> failures = whole_life(near);
      watch_this_thread(nullptr);
      failures.erase(RC_E_NO_DESCRIPTORS);
      if (listens) failures.erase(RC_E_TIMEOUT);
      std::string problems = failures.empty() ? "" : "near end:" + names(failures) + "\n";
      failures = whole_life(near);
      return failures.empty() ? problems : problems + "afterwards:" + names(failures) + "\n";
    });
    std::set<int32_t> codes = echo_while(child, near.uri, !listens);
    EXPECT_EQ("", child.problems());
    if (!listens) continue;
    EXPECT_EQ(1u, codes.count(RC_E_NO_DESCRIPTORS)) << "the client is not told why:" << names(codes);
    EXPECT_EQ(0u, codes.count(RC_E_NOT_RINGCHAN)) << "the client is blamed for it";
  }
}

uint64_t address_space() {
  FILE* f = fopen("/proc/self/statm", "re");
  unsigned long pages = 0;
  if (fscanf(f, "%lu", &pages) != 1) abort();
  fclose(f);
  return uint64_t{pages} * 4096;
}

TEST(AddressSpace, RunsOut) {
#ifdef RC_SANITIZED
  GTEST_SKIP() << "the sanitizer itself reserves terabytes of address space";
#endif
  for (bool listens : {false, true}) {
    Near near = {fresh_uri("limits"), listens, uint64_t{4} << 20};
    Child child([&] {
      std::string problems;
      for (uint64_t room :
           {uint64_t{0}, uint64_t{1} << 16, uint64_t{66} << 20, uint64_t{70} << 20, uint64_t{74} << 20}) {
        set_limit(RLIMIT_AS, address_space() + room);
        std::set<int32_t> failures = whole_life(near);
        set_limit(RLIMIT_AS, RLIM_INFINITY);
        for (int32_t code : failures) {
          bool right = code == RC_E_NO_MEMORY || (listens && code == RC_E_TIMEOUT);
          if (!right) problems += fmt::format("with room for {} bytes: {}\n", room, rc_code_name(code));
        }
        if (failures.empty() && room < uint64_t{66} << 20) problems += fmt::format("{} bytes were enough\n", room);
        if (count_ring_mappings() != 0) problems += "a ring is still mapped\n";
      }
      std::set<int32_t> failures = whole_life(near);
      return failures.empty() ? problems : problems + "afterwards:" + names(failures) + "\n";
    });
    std::set<int32_t> codes = echo_while(child, near.uri, !listens);
    EXPECT_EQ("", child.problems()) << (listens ? "listener" : "client");
  }
}

// Rings are not locked: the limit that many machines set to 64 KiB is none for shm.
TEST(LockedMemory, IsNotNeeded) {
  for (bool listens : {false, true}) {
    Near near = {fresh_uri("limits"), listens, uint64_t{4} << 20, kPatienceNs};
    Child child([&] {
      set_limit(RLIMIT_MEMLOCK, 0);
      return names(whole_life(near));
    });
    echo_while(child, near.uri, !listens);
    EXPECT_EQ("", child.problems());
  }
}

// "ulimit -f": growing a file beyond it is a deadly signal, which a library must not draw upon its user.
TEST(FileSize, IsLimited) {
  for (bool listens : {false, true}) {
    Near near = {fresh_uri("limits"), listens, uint64_t{4} << 20};
    Child child([&] {
      std::string problems;
      set_limit(RLIMIT_FSIZE, 65536);
      std::set<int32_t> failures = whole_life(near);
      set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
      std::set<int32_t> wanted = {listens ? RC_E_TIMEOUT : RC_E_NO_SPACE};
      if (failures != wanted && failures != std::set<int32_t>{RC_E_NO_SPACE})
        problems += "with the limit:" + names(failures) + "\n";
      failures = whole_life(near);
      if (!failures.empty()) problems += "afterwards:" + names(failures) + "\n";
      return problems;
    });
    echo_while(child, near.uri, !listens);
    EXPECT_EQ("", child.problems()) << (listens ? "listener" : "client");
  }
}

// ----------------------------------------------------------------------------------------------------------------
// space

// Nothing is really filled: the library reads another /proc/meminfo, and cgroup files, than the machine's.
std::string g_meminfo, g_max, g_current;
int g_files_made = 0;

const char* opens(const char* path) {
  if (strcmp(path, "/proc/meminfo") == 0) return g_meminfo.c_str();
  if (strcmp(path, "/sys/fs/cgroup/memory.max") == 0) return g_max.c_str();
  if (strcmp(path, "/sys/fs/cgroup/memory.current") == 0) return g_current.c_str();
  return path;
}
int before(const char* call) {
  g_files_made += strcmp(call, "memfd_create") == 0;
  return 0;
}
void after(const char*) {}
constexpr Hooks kHooks = {before, after, opens};

std::string write_file(const char* text) {
  char path[] = "/tmp/limitsXXXXXX";
  int fd = mkostemp(path, O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) != static_cast<ssize_t>(strlen(text))) abort();
  close(fd);
  return path;
}

struct Room {
  const char *meminfo, *max, *current;
  bool enough;
};
constexpr Room kRooms[] = {
    {"MemTotal: 9000000 kB\nMemAvailable:    1000 kB\n", "max\n", "0\n", false},
    {"MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n", "5000000\n", "1000000\n", false},
    {"MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n", "5000000\n", "6000000\n", false},
    {"MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n", "max\n", "6000000\n", true},
    {"MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n", "90000000\n", "6000000\n", true},
    {"a kernel that says nothing of it\n", "", "", true},
};

TEST(Space, IsLookedForBeforeItIsTaken) {
  for (bool listens : {false, true}) {
    for (const Room& room : kRooms) {
      g_meminfo = write_file(room.meminfo);
      g_max = write_file(room.max);
      g_current = write_file(room.current);
      Near near = {fresh_uri("limits"), listens, uint64_t{4} << 20, room.enough ? kPatienceNs : 400 * kMs};
      Child child([&] {
        watch_this_thread(&kHooks);
        std::set<int32_t> failures = whole_life(near);
        if (room.enough) return names(failures);
        std::string problems;
        std::set<int32_t> wanted = {listens ? RC_E_TIMEOUT : RC_E_NO_SPACE};
        if (failures != wanted) problems += fmt::format("without room:{}\n", names(failures));
        if (g_files_made != 0) problems += "memory was taken before it was known to be there\n";
        return problems;
      });
      std::set<int32_t> codes = echo_while(child, near.uri, !listens);
      EXPECT_EQ("", child.problems()) << (listens ? "listener, " : "client, ") << room.meminfo << room.max
                                      << room.current;
      if (listens && !room.enough) {
        EXPECT_EQ(1u, codes.count(RC_E_NO_SPACE)) << "the client is not told why";
      }
      for (const std::string& path : {g_meminfo, g_max, g_current}) unlink(path.c_str());
    }
  }
}

}  // namespace
}  // namespace failpoint
