// tcp://HOST:PORT - two processes anywhere: a socket carries the WRITEs, the receiver applies them to its own inbox.
#ifndef BACKENDS_TCP_TCP_H_
#define BACKENDS_TCP_TCP_H_

#include "core/backend.h"

namespace rc {

extern const Backend kTcpBackend;

}  // namespace rc

#endif  // BACKENDS_TCP_TCP_H_
