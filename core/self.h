// A channel from an end to itself: what is put comes out of its own get.
#ifndef CORE_SELF_H_
#define CORE_SELF_H_

#include "core/backend.h"

namespace rc {

// Takes one ring of the context.
Code self_link(Context& context, Link* link) noexcept;

}  // namespace rc

#endif  // CORE_SELF_H_
