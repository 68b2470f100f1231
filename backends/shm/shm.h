// shm:NAME, shm:/path - two processes of one host: a unix socket, and one sealed memory file per direction.
#ifndef BACKENDS_SHM_SHM_H_
#define BACKENDS_SHM_SHM_H_

#include "core/backend.h"

namespace rc {

extern const Backend kShmBackend;

}  // namespace rc

#endif  // BACKENDS_SHM_SHM_H_
