// What a backend has whose attempts to connect do not go on over several calls.
#include "core/backend.h"

namespace rc {

Code connect_at_once(Context& context, const Uri& uri, const ChannelParams& params, Deadline deadline, Pursuit* pursuit,
                     Link* link) noexcept {
  return pursuit->ops->connect(context, uri, params, deadline, link);
}

void abandon_nothing(Pursuit*) noexcept {}

}  // namespace rc
