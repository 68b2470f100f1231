// Direct grants over shm: a granted slice becomes a memory file that both ends map (PROTOCOL.md "Direct grants").
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/shm/link.h"
#include "backends/shm/segment.h"
#include "core/op_wire.h"
#include "core/step.h"

namespace rc {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
// So many direct grants may wait for the peer to take them, with their memory: those that there can be, and as many
// that were revoked before.
constexpr int kUntakenMost = 2 * kGrantsMax;
// More than a peer leaves in the socket.
constexpr int kHandedMost = 4096;

// An exchange of pages splits mappings and is refused where a process has as many as it may (vm.max_map_count). So each
// grant keeps as many as its end needs, of one page each, behind the mapping that its end moves.
constexpr size_t kMappingsKept = 8, kKeptBytes = kMappingsKept * kPageBytes;

size_t whole_pages(uint64_t bytes) noexcept { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

// Who may write the file may punch holes into it. The page is then made anew by whoever touches it next, and where
// memory is counted strictly (2) the kernel may refuse it, which is a deadly signal. Who cannot tell expects that.
Code pages_are_not_refused() noexcept {
  errno = 0;
  uint64_t mode = read_number("/proc/sys/vm/overcommit_memory", "");
  if (mode == 0 || mode == 1) return kOk;
  if (errno == EMFILE || errno == ENFILE) return fail_errno(kNoDescriptors, "looking up vm.overcommit_memory", errno);
  return fail_plain(kUnsupported,
                    "with vm.overcommit_memory = 2, or no /proc to look it up, a peer that may write could make this "
                    "process fault: grant without RC_MR_DIRECT, or RC_MR_READ alone");
}

int seals_for(uint32_t rights) noexcept {
  return (rights & kWrite) != 0 ? kSizeSeals : kSizeSeals | F_SEAL_FUTURE_WRITE;
}

Code check_rights(uint32_t rights) noexcept {
  bool all = (rights & kAllRights) == kAllRights;
  if (!pages_allow(rights & kAllRights))
    return fail_plain(kRights,
                      "a direct grant over shm is RC_MR_READ, or all three rights: pages have no others to refuse");
  return all ? pages_are_not_refused() : kOk;
}

// What the peer has not taken yet, as the kernel measures it: as much for each.
int untaken(int socket) noexcept {
  int bytes = 0;
  return ioctl(socket, SIOCOUTQ, &bytes) == 0 ? bytes : 0;  // else the socket's buffer is the limit
}

Code hand_over(ShmLink* link, uint64_t key_id, int file) noexcept {
  const int before = untaken(link->hand_fd);
  if (link->hand_measure != 0 && before / link->hand_measure >= kUntakenMost) {
    return fail(kPool, "the peer has not taken the last %d direct grants: it calls rc_remote_get, if only to wait",
                kUntakenMost);
  }
  ssize_t n = send_with(link->hand_fd, &key_id, sizeof key_id, file);
  if (n == static_cast<ssize_t>(sizeof key_id)) {
    const int more = untaken(link->hand_fd) - before;
    if (more > 0) link->hand_measure = more;  // else the peer is taking some
    return kOk;
  }
  if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
    return fail_plain(kPeerDead, "the peer died or dropped the connection without closing; reconnect");
  if (n >= 0 || errno == EAGAIN || errno == EWOULDBLOCK)
    return fail_plain(kPool, "the peer has not taken the direct grants before this one: it calls rc_remote_get");
  if (errno == ETOOMANYREFS)
    return fail_plain(kNoDescriptors, "too many descriptors of this user are on their way to other processes");
  return fail_errno(kSystem, "sending the descriptor of a direct grant", errno);
}

Code no_mapping(const char* what, int error) noexcept {
  if (error != ENOMEM) return fail_errno(kNoMemory, what, error);
  return fail(kNoMemory, "%s: no addresses, or as many mappings as vm.max_map_count allows; free regions, or raise it",
              what);
}

// The same bytes, mapped so that what this process stores is its own: for unshare. Memory they take only then.
void* reserve_spare(int file, size_t bytes) noexcept {
  constexpr int kFlags = MAP_PRIVATE | MAP_NORESERVE;
  auto* spare =
      static_cast<uint8_t*>(mmap(nullptr, bytes + kKeptBytes, PROT_READ | PROT_WRITE, kFlags | MAP_ANONYMOUS, -1, 0));
  if (spare == MAP_FAILED) return MAP_FAILED;
  bool ok = mmap(spare, bytes, PROT_READ | PROT_WRITE, kFlags | MAP_FIXED, file, 0) != MAP_FAILED;
  for (size_t i = 0; ok && i < kMappingsKept; i += 2)
    ok = mprotect(spare + bytes + i * kPageBytes, kPageBytes, PROT_NONE) == 0;
  if (ok) return spare;
  munmap(spare, bytes + kKeptBytes);
  errno = ENOMEM;
  return MAP_FAILED;
}

// A store to a page of a private mapping gives this process a copy. The exchange of a byte for itself is one, takes
// place whatever other threads store meanwhile, and is nothing that a compiler leaves out.
void own_pages(void* at, size_t bytes) noexcept {
  for (size_t i = 0; i < bytes; i += kPageBytes) {
    uint8_t* byte = static_cast<uint8_t*>(at) + i;
    uint8_t value = __atomic_load_n(byte, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(byte, &value, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
  }
}

// D1: everything that can fail comes before mremap, which exchanges the pages under the address at once.
Code shm_share(Link* l, uint64_t key_id, uint32_t rights, Share* share) noexcept {
  auto* link = static_cast<ShmLink*>(l);
  Code code = check_rights(rights);
  if (code != kOk) return code;
  size_t bytes = whole_pages(share->bytes);
  int file = -1;
  code = make_file({"a direct grant", share->bytes, bytes, "grant less, or without RC_MR_DIRECT"}, &file);
  if (code != kOk) return code;
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
  void* spare = pages == MAP_FAILED ? MAP_FAILED : reserve_spare(file, bytes);
  if (spare == MAP_FAILED) code = no_mapping("mapping a direct grant", errno);
  if (code == kOk) code = seal_file(file, seals_for(rights));
  if (code == kOk) memcpy(pages, share->at, share->bytes);
  RC_STEP("share: copied");
  if (code == kOk) code = hand_over(link, key_id, file);
  RC_STEP("share: handed over");
  // If this fails the peer has a file that nobody tells it the key of.
  if (code == kOk && mremap(pages, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, share->at) == MAP_FAILED)
    code = no_mapping("moving a region to the pages of its direct grant", errno);
  close(file);
  if (code != kOk) {
    if (pages != MAP_FAILED) munmap(pages, bytes);
    if (spare != MAP_FAILED) munmap(spare, bytes + kKeptBytes);
    return code;
  }
  RC_STEP("share: done");
  share->spare = spare;
  share->kept = kKeptBytes;
  share->by = &kShmExtras;
  return kOk;
}

// D2: what the peer maps are the file's pages, and stays so. First this process's stores become its own, then, page by
// page, all it sees. D3: nothing of that is a moment in which a store of its threads could be lost.
Code shm_unshare(Share* share) noexcept {
  size_t bytes = whole_pages(share->bytes);
  uint64_t room = room_bytes();
  if (bytes > room) {
    return fail(kNoSpace, "to take a direct grant back needs %llu bytes once more, %llu are available on this machine",
                static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(room));
  }
  if (share->kept != 0 && munmap(static_cast<uint8_t*>(share->spare) + bytes, kKeptBytes) == 0) share->kept = 0;
  // Of a program that locks its memory (mlockall) these pages are copies already, and old ones. Locked ones do not go.
  munlock(share->spare, bytes);
  if (madvise(share->spare, bytes, MADV_DONTNEED) != 0) {
    return fail(kNoMemory,
                "emptying the pages that the region of a direct grant moves to: error %d: if this program locks its "
                "memory, call munlockall and try again",
                errno);
  }
  if (mremap(share->spare, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, share->at) == MAP_FAILED)
    return no_mapping("moving a region away from the pages of its direct grant", errno);
  RC_STEP("unshare: moved");
  own_pages(share->at, bytes);
  RC_STEP("unshare: done");
  *share = Share{};
  return kOk;
}

// In the order of the grants, so those before the one that is wanted were revoked before anybody took them.
Code shm_reach(Link* l, uint64_t key_id, uint64_t granted, uint32_t rights, uint8_t** at) noexcept {
  int socket = static_cast<ShmLink*>(l)->hand_fd, fd = -1;
  bool write = (rights & kWrite) != 0;
  Code code = write ? pages_are_not_refused() : kOk;
  if (code != kOk) return code;
  for (int i = 0; i < kHandedMost; ++i) {
    uint64_t found = 0;
    code = look_at_handed(socket, &found, &fd);
    if (code == kWouldBlock) return fail_plain(kCorrupt, "the peer granted directly and sent no descriptor");
    if (code != kOk) return code;
    if (found == key_id) break;
    drop_received(fd);
    fd = -1;
    take_handed(socket);
  }
  if (fd < 0) return fail_plain(kCorrupt, "the peer sent other descriptors than that of its direct grant");
  size_t bytes = whole_pages(granted);
  code = check_file(fd, seals_for(rights), bytes);
  void* pages = MAP_FAILED;
  if (code == kOk) {
    pages = mmap(nullptr, bytes, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED && (errno == EPERM || errno == EACCES)) {
      code = fail_plain(kCorrupt, "the peer's memory file does not allow what it granted");
    } else if (pages == MAP_FAILED) {
      code = fail_errno(kNoMemory, "mapping a direct grant of the peer", errno);
    }
  }
  drop_received(fd);
  if (code != kOk) return code;
  take_handed(socket);
  RC_STEP("reach: mapped");
  *at = static_cast<uint8_t*>(pages);
  return kOk;
}

void shm_unreach(uint8_t* at, uint64_t bytes) noexcept { munmap(at, whole_pages(bytes)); }

}  // namespace

const Extras kShmExtras = {no_figures, no_device,   no_endpoint, no_connection,
                           shm_share,  shm_unshare, shm_reach,   shm_unreach};

}  // namespace rc
