// loop:NAME - both ends in one context of one process. No kernel object but the doorbells.
#ifndef BACKENDS_LOOP_LOOP_H_
#define BACKENDS_LOOP_LOOP_H_

#include "core/backend.h"

namespace rc {

extern const Backend kLoopBackend;

}  // namespace rc

#endif  // BACKENDS_LOOP_LOOP_H_
