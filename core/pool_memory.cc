#include "core/pool_memory.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif

namespace rc {

namespace {
constexpr int kProtection = PROT_READ | PROT_WRITE, kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
}  // namespace

Code map_pools(uint64_t bytes, bool huge, void** at, uint64_t* mapped) noexcept {
  *mapped = huge ? (bytes + kHugePage - 1) / kHugePage * kHugePage : bytes;
  // Huge pages are reserved here, so that no later touch can find that there are none: no MAP_NORESERVE.
  *at = mmap(nullptr, *mapped, kProtection, kFlags | (huge ? MAP_HUGETLB | MAP_HUGE_2MB : MAP_NORESERVE), -1, 0);
  if (*at != MAP_FAILED) return kOk;
  int error = errno;
  *at = nullptr;
  if (!huge) return fail_errno(kNoMemory, "mapping the pools at rc_open", error);
  if (error != ENOMEM) return fail_errno(kUnsupported, "mapping the pools in huge pages of 2 MiB at rc_open", error);
  return fail(kNoMemory,
              "the pools need %llu huge pages of 2 MiB, and so many are not free (HugePages_Free in /proc/meminfo): "
              "sysctl -w vm.nr_hugepages=N as root, or no RC_HUGE_PAGES",
              static_cast<unsigned long long>(*mapped / kHugePage));
}

// The kernel makes neighbours one that could have been mapped so; pages that were moved there could not. If it is out
// of mappings it refuses before it changes anything, and the pages stay as they were.
void renew_pages(void* at, uint64_t bytes) noexcept {
  static_cast<void>(mmap(at, bytes, kProtection, kFlags | MAP_NORESERVE | MAP_FIXED, -1, 0));
}

}  // namespace rc
