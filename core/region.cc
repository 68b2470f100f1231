#include "core/region.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "core/context.h"
#include "core/pool_memory.h"

namespace rc {
namespace {

using Unsigned = unsigned long long;

uint64_t whole_pages(uint64_t bytes) noexcept { return (bytes + kRegionPage - 1) / kRegionPage * kRegionPage; }

// Populating a mapping for writing changes no byte and fails where a store would (madvise(2), Linux 5.14).
constexpr int kPopulateRead = 22, kPopulateWrite = 23;

bool kernel_can_populate() noexcept {
  alignas(kRegionPage) static uint8_t page[kRegionPage];
  return madvise(page, sizeof page, kPopulateRead) == 0;
}

// Whether the memory is there, and writable if that is wanted.
Code probe(void* address, uint64_t bytes, uint32_t access) noexcept {
  auto first = reinterpret_cast<uintptr_t>(address) / kRegionPage * kRegionPage;
  size_t length = reinterpret_cast<uintptr_t>(address) + bytes - first;
  bool write = (access & (kWrite | kAtomic)) != 0;
  auto* at = reinterpret_cast<void*>(first);
  if (madvise(at, length, write ? kPopulateWrite : kPopulateRead) == 0) return kOk;
  int error = errno;
  if (error == ENOMEM || error == EFAULT) {
    return fail(kFault, "register: of the %llu bytes at %p some are not mapped", static_cast<Unsigned>(bytes), address);
  }
  if (error == EINVAL && kernel_can_populate()) {
    return fail(kFault, "register: the %llu bytes at %p are not all %s; ask for less access or map them so",
                static_cast<Unsigned>(bytes), address, write ? "writable" : "readable");
  }
  if (error != EINVAL) return fail_errno(kFault, "register: probing the memory", error);
  // An older kernel: one page after the other can only tell that it is mapped.
  unsigned char resident;
  for (size_t done = 0; done < length; done += kRegionPage) {
    if (mincore(reinterpret_cast<void*>(first + done), 1, &resident) != 0)
      return fail(kFault, "register: of the %llu bytes at %p some are not mapped", static_cast<Unsigned>(bytes),
                  address);
  }
  return kOk;
}

}  // namespace

void Regions::carve(Arena& arena, uint32_t regions_max, uint64_t pool_bytes) noexcept {
  slots_.carve(arena, regions_max);
  regions_ = static_cast<Region*>(arena.carve(regions_max * sizeof(Region), alignof(Region)));
  pool_bytes_ = whole_pages(pool_bytes);
  pool_ = static_cast<uint8_t*>(arena.carve(pool_bytes_, kRegionPage));
}

void Regions::open(uint32_t context, bool own_pages) noexcept {
  context_ = context;
  own_pages_ = own_pages;
  slots_.fill();
  memset(static_cast<void*>(regions_), 0, slots_.size() * sizeof(Region));
}

Code Regions::find(uint64_t id, Region** region) noexcept {
  if (Id::is(id, Id::kRegion) && Id::slot(id) < slots_.size() && regions_[Id::slot(id)].id == id) {
    *region = &regions_[Id::slot(id)];
    return kOk;
  }
  Code code = Handles::refuse(id, "region");
  bool elsewhere = code == kHandle && Id::is(id, Id::kRegion) && Id::context(id) != context_;
  return elsewhere ? fail_plain(code, "the region is of another context than the channel") : code;
}

Code Regions::enter(uint64_t serial, uint8_t* base, uint64_t bytes, uint32_t access, bool registered,
                    uint64_t* id) noexcept {
  uint32_t slot = slots_.take();
  if (slot == SlotPool::kNone)
    return fail(kPool, "the region pool is full: all %u are in use; free some or raise rc_config.mrs_max",
                slots_.size());
  *id = Id::make_region(context_, slot, serial);
  regions_[slot] = {*id, base, bytes, access, 0, 0, 0, kNone, registered, false, false, {}};
  return kOk;
}

uint32_t* Regions::count_of(Hold why, Region* region) noexcept {
  if (why == Hold::kRequest || why == Hold::kPinned) return &region->requests;
  return why == Hold::kKept ? &region->kept : &region->grants;
}

uint32_t* Regions::find_gap(uint64_t bytes, uint8_t** at) noexcept {
  uint8_t* from = pool_;
  for (uint32_t* link = &first_;; link = &regions_[*link].next) {
    uint8_t* to = *link == kNone ? pool_ + pool_bytes_ : regions_[*link].base;
    if (static_cast<uint64_t>(to - from) >= bytes) {
      *at = from;
      return link;
    }
    if (*link == kNone) return nullptr;
    from = regions_[*link].base + whole_pages(regions_[*link].bytes);
  }
}

Code Regions::alloc(uint64_t bytes, bool zeroed, uint64_t serial, uint64_t* id) noexcept {
  if (bytes == 0 || bytes > pool_bytes_) {
    return fail(kSize, "a region of %llu bytes: 1 to rc_config.mr_bytes = %llu are possible",
                static_cast<Unsigned>(bytes), static_cast<Unsigned>(pool_bytes_));
  }
  uint8_t* at = nullptr;
  {
    SpinLocked locked(&lock_);
    uint32_t* link = find_gap(whole_pages(bytes), &at);
    if (link == nullptr) {
      return fail(kPool, "no %llu bytes in a row are free in the region pool of %llu; free some or raise mr_bytes",
                  static_cast<Unsigned>(bytes), static_cast<Unsigned>(pool_bytes_));
    }
    Code code = enter(serial, at, bytes, kAllRights, false, id);
    if (code != kOk) return code;
    regions_[Id::slot(*id)].next = *link;
    *link = Id::slot(*id);
  }
  if (zeroed) memset(at, 0, bytes);
  return kOk;
}

Code Regions::enroll(void* address, uint64_t bytes, uint32_t access, uint64_t serial, uint64_t* id) noexcept {
  if (address == nullptr) return fail_plain(kInvalid, "register: the address is NULL");
  uint64_t end;
  if (bytes == 0 || __builtin_add_overflow(reinterpret_cast<uintptr_t>(address), bytes, &end)) {
    return fail(kSize, "register: %llu bytes at %p are none, or reach beyond the address space",
                static_cast<Unsigned>(bytes), address);
  }
  Code code = probe(address, bytes, access);
  if (code != kOk) return code;
  SpinLocked locked(&lock_);
  return enter(serial, static_cast<uint8_t*>(address), bytes, access, true, id);
}

Code Regions::free(uint64_t id) noexcept {
  SpinLocked locked(&lock_);
  Region* region = nullptr;
  Code code = find(id, &region);
  if (code != kOk || region == nullptr) return code;
  if (region->requests != 0 || region->grants != 0 || region->kept != 0) {
    return fail(kInUse, "the region is in use: %u requests in flight, %u grants; wait for those, revoke these",
                region->requests, region->grants);
  }
  code = unshare(Id::slot(id));  // when its channel closed that failed
  if (code != kOk) return code;
  if (region->moved) renew_pages(region->base, whole_pages(region->bytes));
  if (!region->registered) {
    uint32_t* link = &first_;
    while (*link != Id::slot(id)) link = &regions_[*link].next;
    *link = region->next;
  }
  region->id = 0;
  slots_.give(Id::slot(id));
  return kOk;
}

Code Regions::info(uint64_t id, Info* info) noexcept {
  SpinLocked locked(&lock_);
  Region* r = nullptr;
  Code code = find(id, &r);
  if (code == kOk && r != nullptr) *info = {r->base, r->bytes, r->access, r->registered, r->requests, r->grants};
  return code;
}

Code Regions::hold(Hold why, uint64_t id, uint64_t offset, uint64_t bytes, uint32_t access, Piece* piece) noexcept {
  SpinLocked locked(&lock_);
  Region* r = nullptr;
  Code code = find(id, &r);
  if (code != kOk || r == nullptr) return code;
  if (bytes == 0 || bytes > r->bytes || offset > r->bytes - bytes) {
    return fail(kRange, "%llu bytes at offset %llu are not within the region's %llu, or none",
                static_cast<Unsigned>(bytes), static_cast<Unsigned>(offset), static_cast<Unsigned>(r->bytes));
  }
  if ((access & ~r->access) != 0)
    return fail(kRights, "the region was registered with access %u, this needs %u", r->access, access);
  if (why == Hold::kGrant && r->requests != 0) {
    return fail(kInUse, "%u requests in flight move bytes of the region: wait for them, then grant it", r->requests);
  }
  if (why == Hold::kShare) {
    code = check_direct(*r, offset, bytes);
    if (code != kOk) return code;
    r->direct = r->moved = true;
  } else if ((why == Hold::kGrant || why == Hold::kPinned) && (r->direct || r->share.by != nullptr)) {
    return fail_plain(kInUse, "the region is granted directly, and to one peer only: revoke that first");
  }
  *count_of(why, r) += 1;
  *piece = {Id::slot(id), r->base + offset, id};
  return kOk;
}

void Regions::let_go(Hold why, uint32_t slot) noexcept {
  SpinLocked locked(&lock_);
  *count_of(why, &regions_[slot]) -= 1;
  if (why == Hold::kShare) regions_[slot].direct = false;
}

Code Regions::check_direct(const Region& r, uint64_t offset, uint64_t bytes) const noexcept {
  if (r.registered || !own_pages_)
    return fail_plain(kUnsupported,
                      "only memory of the library's own pool can be granted directly: not registered memory, and no "
                      "pool in rc_config.memory or in huge pages");
  if (offset % kRegionPage != 0 || (bytes % kRegionPage != 0 && offset + bytes != r.bytes))
    return fail(kAlignment, "%llu bytes at offset %llu are not whole pages of %llu: a peer reaches whole pages",
                static_cast<Unsigned>(bytes), static_cast<Unsigned>(offset), static_cast<Unsigned>(kRegionPage));
  if (r.requests != 0 || r.grants != 0 || r.share.by != nullptr)
    return fail(kInUse, "%u requests in flight and %u grants use the region: a direct grant must be alone", r.requests,
                r.grants);
  return kOk;
}

Code Regions::unshare(uint32_t slot) noexcept {
  Share* share = &regions_[slot].share;
  return share->by != nullptr ? share->by->unshare(share) : kOk;
}

// Those that could not be taken back when their channel closed.
void Regions::close() noexcept {
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (regions_[i].id != 0) unshare(i);
  }
}

}  // namespace rc
