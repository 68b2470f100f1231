// The memory of a context's pools, where the caller does not give it.
#ifndef CORE_POOL_MEMORY_H_
#define CORE_POOL_MEMORY_H_

#include <stddef.h>
#include <stdint.h>

#include "core/result.h"

namespace rc {

inline constexpr uint64_t kHugePage = uint64_t{2} << 20;

// Maps at least so many bytes, in huge pages if asked for and never in others then. *mapped: what to unmap.
Code map_pools(uint64_t bytes, bool huge, void** at, uint64_t* mapped) noexcept;

// Of pools in ordinary pages: makes pages that were exchanged one with the rest of the mapping again, as at first. What
// they hold is gone. Without success they stay as they are.
void renew_pages(void* at, uint64_t bytes) noexcept;

}  // namespace rc

#endif  // CORE_POOL_MEMORY_H_
