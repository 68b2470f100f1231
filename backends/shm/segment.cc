#include "backends/shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <new>

#include "core/step.h"

namespace rc {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

// Calls f, which sets errno, until no signal interrupts it.
template <class F>
bool uninterrupted(F f) noexcept {
  int result;
  do {
    result = f();
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

// In pieces: an interrupted call gives back all it has reserved, and a timer's signals may come faster than a large one
// ends.
int reserve_pages(int file, size_t bytes) noexcept {
  constexpr size_t kPieceBytes = size_t{1} << 20;
  for (size_t at = 0; at < bytes; at += kPieceBytes) {
    size_t piece = bytes - at < kPieceBytes ? bytes - at : kPieceBytes;
    bool ok = uninterrupted(
        [&]() noexcept { return errno = posix_fallocate(file, static_cast<off_t>(at), static_cast<off_t>(piece)); });
    if (!ok) return errno;
  }
  return 0;
}

}  // namespace

uint64_t read_number(const char* path, const char* key) noexcept {
  char text[2048];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return UINT64_MAX;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return UINT64_MAX;
  text[n] = '\0';
  const char* at = strstr(text, key);
  if (at == nullptr) return UINT64_MAX;
  char* end = nullptr;
  uint64_t number = strtoull(at + strlen(key), &end, 10);
  return end == at + strlen(key) ? UINT64_MAX : number;  // "max" is no limit
}

uint64_t room_bytes() noexcept {
  uint64_t kib = read_number("/proc/meminfo", "MemAvailable:");
  uint64_t room = kib == UINT64_MAX ? UINT64_MAX : kib * 1024;
  uint64_t limit = read_number("/sys/fs/cgroup/memory.max", "");
  uint64_t used = read_number("/sys/fs/cgroup/memory.current", "");
  if (limit == UINT64_MAX || used == UINT64_MAX) return room;
  // What is there of files, and not in use, the kernel gives up before it refuses.
  uint64_t files = read_number("/sys/fs/cgroup/memory.stat", "\ninactive_file ");
  if (files != UINT64_MAX) used -= files < used ? files : used;
  uint64_t left = limit > used ? limit - used : 0;
  return left < room ? left : room;
}

size_t segment_bytes(uint64_t rings) noexcept {
  return (kRingOffset + rings + kPageBytes - 1) / kPageBytes * kPageBytes;
}

Code make_file(const FileWish& wish, int* fd) noexcept {
  uint64_t room = room_bytes();
  if (wish.file_bytes > room) {
    return fail(kNoSpace, "%s of %llu bytes is wanted, %llu bytes are available on this machine; %s", wish.what,
                static_cast<unsigned long long>(wish.bytes), static_cast<unsigned long long>(room), wish.advice);
  }
  rlimit largest;  // growing a file beyond it is a deadly signal, not an error
  if (getrlimit(RLIMIT_FSIZE, &largest) == 0 && largest.rlim_cur != RLIM_INFINITY &&
      wish.file_bytes > largest.rlim_cur) {
    return fail(kNoSpace, "%s of %llu bytes is wanted, files of %llu bytes are allowed (ulimit -f); raise it or %s",
                wish.what, static_cast<unsigned long long>(wish.bytes),
                static_cast<unsigned long long>(largest.rlim_cur), wish.advice);
  }
  int file = memfd_create("ringchan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return fail_errno(kSystem, "memfd_create", errno);
  // fallocate reserves the pages: a store into the mapping can then not run into a full file system.
  const char* tried = "ftruncate of a memory file";
  bool ok = uninterrupted([&]() noexcept { return ftruncate(file, static_cast<off_t>(wish.file_bytes)); });
  if (ok) {
    tried = "reserving a memory file's pages";
    int error = reserve_pages(file, wish.file_bytes);
    ok = error == 0;
    errno = error;
  }
  if (ok) {
    *fd = file;
    return kOk;
  }
  int error = errno;
  close(file);
  return fail_errno(kSystem, tried, error);
}

Code seal_file(int fd, int seals) noexcept {
  if (fcntl(fd, F_ADD_SEALS, seals) == 0) return kOk;
  return fail_errno(kSystem, "sealing a memory file (Linux 5.1 or newer is needed)", errno);
}

Code check_file(int fd, int wanted_seals, size_t bytes) noexcept {
  // The mapper trusts nothing (D5). The seals first: only a memory file answers that, nobody else's code is asked, and
  // from then on its size stands.
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0) return fail_plain(kCorrupt, "the peer sent a descriptor that is no memory file");
  if ((seals & wanted_seals) != wanted_seals)
    return fail(kCorrupt, "the peer's memory file is not sealed: seals %#x, wanted %#x", seals, wanted_seals);
  struct stat st;
  struct statfs fs;
  if (fstat(fd, &st) != 0 || !uninterrupted([&]() noexcept { return fstatfs(fd, &fs); }))
    return fail_errno(kSystem, "fstat of the peer's memory file", errno);
  // Huge pages come from a pool that may be empty when we look.
  if (fs.f_type != TMPFS_MAGIC) return fail_plain(kCorrupt, "the peer's memory file is not of ordinary pages");
  if (st.st_size < 0 || static_cast<uint64_t>(st.st_size) != bytes) {
    return fail(kCorrupt, "the peer's memory file has %lld bytes, agreed were %zu", static_cast<long long>(st.st_size),
                bytes);
  }
  // Pages that do not exist yet would be made, and paid for, by us.
  if (static_cast<uint64_t>(st.st_blocks) * 512 < bytes) {
    return fail_plain(kCorrupt, "the peer's memory file has no memory behind it");
  }
  return kOk;
}

Code make_segment(uint64_t rings, int* fd, Inbox** outbox) noexcept {
  size_t bytes = segment_bytes(rings);
  int file = -1;
  Code code = make_file({"a ring", rings, bytes, "lower ring_bytes"}, &file);
  if (code != kOk) return code;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
  code = at == MAP_FAILED ? fail_errno(kSystem, "mapping a ring", errno) : seal_file(file, kSeals);
  if (code != kOk) {
    if (at != MAP_FAILED) munmap(at, bytes);
    close(file);
    return code;
  }
  RC_STEP("segment: made");
  *outbox = new (at) Inbox{};
  *fd = file;
  return kOk;
}

Code map_segment(int fd, uint64_t rings, const Inbox** inbox) noexcept {
  size_t bytes = segment_bytes(rings);
  Code code = check_file(fd, kSeals, bytes);
  if (code != kOk) return code;
  void* at = mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (at == MAP_FAILED) return fail_errno(kSystem, "mapping the peer's ring", errno);
  *inbox = static_cast<const Inbox*>(at);
  return kOk;
}

void unmap_segment(const Inbox* inbox, uint64_t rings) noexcept {
  munmap(const_cast<Inbox*>(inbox), segment_bytes(rings));
}

}  // namespace rc
