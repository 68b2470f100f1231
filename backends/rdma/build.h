// Whether this build has rdma-core's headers. Without them the backend is only its name and a reason. A test says 0.
#ifndef BACKENDS_RDMA_BUILD_H_
#define BACKENDS_RDMA_BUILD_H_

#ifndef RC_HAVE_VERBS
#if __has_include(<infiniband/verbs.h>) && __has_include(<rdma/rdma_cma.h>)
#define RC_HAVE_VERBS 1
#else
#define RC_HAVE_VERBS 0
#endif
#endif

#endif  // BACKENDS_RDMA_BUILD_H_
