/*
 * ringchan: move bytes between two programs with one call.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * This header is the manual. It compiles as C99 and as C++17; nothing in it is inline and no macro is needed to call
 * it, so that any language can bind it.
 *
 * THE IDEA. Each end of a channel owns an inbox: memory that only the peer writes and only the owner reads. A put
 * copies bytes to the peer's inbox, a get takes them out of one's own. A URI says who moves the bytes:
 *
 *     loop:NAME            both ends in one context of one process
 *     shm:NAME             two processes of one host (abstract unix socket; one network namespace)
 *     shm:/path/to.sock    the same, the meeting point is a path and file permissions rule
 *     tcp://HOST:PORT      two processes anywhere of the same byte order; HOST is a name, an IPv4 address or an IPv6
 *                          address in brackets; PORT 0 lets the system choose for a listener (rc_listener_uri tells);
 *                          parameters, each end's own: ?timeout_ms=N (so long may the peer's machine be silent; 1,000
 *                          to 86,400,000, default 10,000) and &busy_poll_us=N (SO_BUSY_POLL; default none)
 *     rdma://host:port     two processes anywhere, over an RDMA device (InfiniBand, RoCE, soft-RoCE; iWARP without
 *                          mode=event, path=send and direct grants); parameters behind "?", joined by "&": dev=NAME,
 *                          port=N, mode=poll|event (event: this end can sleep and has a descriptor), timeout_ms=N
 *                          (2000: so long may the peer's NIC be silent), retry_count=N, ack_timeout=N,
 *                          rnr_retry=N, min_rnr_timer=N, mtu=N, gid=N, pkey=N, sl=N, tclass=N,
 *                          hop_limit=N, flow_label=N, static_rate=N, path_bits=N, sq_depth=N, rq_depth=N, cq_depth=N,
 *                          cq_poll=N, sge=N, inline=N, signal=N, rd_atomic=N, dest_rd_atomic=N, psn=N (endpoints only),
 *                          access=write[+read][+atomic] (default: all), pd=shared|own (a protection domain of its own,
 *                          for a peer that those of the context's other channels must be safe from), cq=own|shared
 *                          (shared: this context's connections with cq=shared use two completion queues and one
 *                          completion channel of a device together, and so do its endpoints; the first one's cq_depth
 *                          is for all, default 16384, and one that could fill more than is left gets RC_E_POOL),
 *                          path=write|send (send: messages by SEND and RECV, and no memory that the peer's device could
 *                          reach; the target makes progress by its calls, as over tcp; both ends must say the same, and
 *                          each takes four rings of the pool; rq_depth is at most 256). What the device cannot do is
 *                          refused; rc_channel_figure tells what was chosen. rc_channel_config.rdma_knobs is another
 *                          place for parameters
 *     rdma+shm+tcp://HOST:PORT   the first of these that will do; any two or more of rdma, shm and tcp in any order. A
 *                          listener listens at all of them that its machine can do, a client tries them in this order.
 *                          shm is shm:HOST:PORT with HOST as a number, and only for a HOST of the same machine. A
 *                          parameter says whose it is: ?tcp.timeout_ms=2000&rdma.mode=event. Nothing is passed over
 *                          silently: rc_channel_info tells what was taken, rc_channel_choice and rc_listener_choice
 *                          why others were not
 *
 * A SERVER                                            A CLIENT
 *     rc_ctx ctx; rc_listener l; rc_channel ch;           rc_ctx ctx; rc_channel ch;
 *     rc_open(NULL, &ctx);                                rc_open(NULL, &ctx);
 *     rc_listen(ctx, "shm:demo", NULL, &l);               rc_connect(ctx, "shm:demo", NULL, RC_FOREVER, &ch);
 *     rc_accept(l, RC_FOREVER, &ch);                      rc_put(ch, "hello", 5, RC_FOREVER, NULL);
 *     rc_get(ch, buf, 5, RC_FOREVER, NULL);
 *     rc_close(ctx);                                      rc_close(ctx);
 *
 * RESULTS. Every function that can fail returns a signed 32-bit code: RC_OK (0) or a negative code whose hundreds say
 * what is damaged (see "Result codes"). Counts come back through pointers. rc_reason() tells, per thread, what was
 * tried, what the system answered and what can be done. On failure nothing is lost: unless a function says otherwise,
 * what it did not report as done has not happened.
 *
 * HANDLES are one-field structs with a 64-bit id that is never used twice in a process. A closed, forged or zero handle
 * is an ordinary error: RC_E_HANDLE. In a child after fork() every handle of the parent is RC_E_FORKED.
 *
 * TIME. timeout_ns is relative: 0 tries once without waiting, RC_FOREVER (any negative value) has no deadline. Every
 * wait also ends when the peer dies or closes, when the channel is closed by another thread and when rc_stop is called.
 *
 * THREADS. One thread at a time may put on a channel and one may get; the two may be different threads, unless the
 * channel has a descriptor (rc_channel_fd, rc_fd, rc_poll): then one thread at a time may do either. A second one gets
 * RC_E_BUSY where it is noticed. Different channels are independent. "put side" below means: counts as the one putter;
 * "get side": counts as the one getter; "any": no restriction.
 *
 * PROGRESS is manual: nothing happens behind the caller's back, no thread is started, no signal handler is installed,
 * nothing is written to stdout or stderr, every descriptor is close-on-exec. Over loop and shm a put lands without the
 * peer's help. Over tcp, and over rdma with path=send, it lands while the peer is in a call on that channel (any of
 * them, rc_progress if it has nothing else to do), and what the socket, or the slots of the peer, had no room for goes
 * out while this side is in one. rc_progress_all does it for all channels. Only a context whose
 * rc_config.progress_thread is 1 has a thread for that, which blocks all signals.
 *
 * MEMORY. All objects come from one area that is carved at rc_open, out of the caller's memory if he gives it. The
 * rings of shm channels are memory files made at connect, direct grants when they are given. No call after that
 * allocates, except that libc does when it looks up a host's name (a look-up that knows no deadline) or, for a list of
 * transports and for a mesh without RC_MESH_ID, this machine's addresses; and rdma-core when an rdma connection is
 * made.
 *
 * TRUST. Over shm the peer need not be trusted: it can send garbage, or nothing, or die; it cannot make this side
 * crash, hang past a deadline or read or write anything but its own two memory files, and slices it was granted
 * directly while it is. It can keep the old pages of direct grants, as long as it lives and of as many as it was given:
 * also of grants that were revoked before it took them, until 128 wait for its rc_remote_get and rc_mr_grant is
 * RC_E_POOL. Who grants directly counts those as the peer's memory. Over tcp the same holds of what the peer sends; but
 * bytes travel in the clear, whoever can reach the port may connect unless a token is set, and the token travels in the
 * clear, too. Over rdma the same holds, and keys of memory can be guessed: who may send packets to this device may
 * forge them, and a connected peer that guesses the key of another channel's inbox or direct grant of this context may
 * use it, unless its own channel has pd=own or path=send here. A name shm:NAME, also that of a list, belongs to the
 * process that takes it first, whoever its user is: a client that needs to know tells it by rc_channel_info (the peer's
 * user) before it trusts it.
 */
#ifndef RC_H_
#define RC_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------ Result codes */

#define RC_OK 0

/* -1..-99 later: nothing is wrong, the call may be repeated. */
#define RC_E_WOULD_BLOCK (-1) /* timeout 0 or a try call, and it would have to wait */
#define RC_E_TIMEOUT (-2)     /* the deadline passed */
#define RC_E_NO_LISTENER (-3) /* the deadline passed and nobody listened at that URI */
#define RC_E_STOPPED (-4)     /* rc_stop was called on the context */

/* -100..-199 your call: an argument or the moment is wrong; nothing was changed. */
#define RC_E_INVALID (-100)     /* an argument is out of its range */
#define RC_E_HANDLE (-101)      /* the handle is closed, forged, zero or of another kind */
#define RC_E_FORKED (-102)      /* the handle belongs to the parent process */
#define RC_E_BUSY (-103)        /* another thread is in the same direction of this channel (see THREADS) */
#define RC_E_URI (-104)         /* the URI is malformed; the reason names the part */
#define RC_E_SCHEME (-105)      /* no such backend in this build */
#define RC_E_SIZE (-106)        /* a size is zero, too large, or not what the peer has */
#define RC_E_POOL (-107)        /* a pool of the context is full; the reason names it and its size */
#define RC_E_CONFIG (-108)      /* a config struct has a size this library does not know, or unknown fields set */
#define RC_E_TRUNCATED (-109)   /* the message is larger than the buffer; it is still there */
#define RC_E_STATE (-110)       /* not now: e.g. commit without reserve, another message begun */
#define RC_E_UNSUPPORTED (-111) /* this backend or this channel cannot do that */
#define RC_E_NAME_IN_USE (-112) /* somebody listens at that URI already */
#define RC_E_HOSTS (-113)       /* the host list of a mesh is wrong; the reason names the line */
#define RC_E_RIGHTS (-114)      /* the region or the grant does not allow that kind of access */
#define RC_E_RANGE (-115)       /* not within the region or the grant, or no bytes at all */
#define RC_E_ALIGNMENT (-116)   /* an atomic's word is not at a multiple of 8; a direct grant is not of whole pages */
#define RC_E_EXPIRED (-117)     /* the grant's lease is over */
#define RC_E_REVOKED (-118)     /* the grant was revoked, or never given */
#define RC_E_IN_USE (-119)      /* operations in flight or grants keep the region */
#define RC_E_FAULT (-120)       /* memory to be registered is not mapped, or not for such access */
#define RC_E_LIMIT (-121)       /* above a limit of this library or of the peer's config */

/* -200..-299 channel gone: this channel is over; close it. Bytes that had arrived can still be got. */
#define RC_E_CLOSED (-200)    /* the peer closed, in good order */
#define RC_E_PEER_DEAD (-201) /* the peer's process died or dropped the connection without closing */
#define RC_E_CORRUPT (-202)   /* the peer broke the protocol */
#define RC_E_CLOSING (-203)   /* this side is being closed by another thread */

/* -300..-399 place unfit: this machine, process or peer cannot do it as things are. */
#define RC_E_NO_MEMORY (-300)      /* the system refused memory */
#define RC_E_NO_SPACE (-301)       /* the ring does not fit what is free on this machine */
#define RC_E_NO_DESCRIPTORS (-302) /* the process or the system is out of descriptors */
#define RC_E_NO_PERMISSION (-303)  /* the system, the peer's policy or the token forbids it */
#define RC_E_VERSION (-304)        /* the peer speaks another protocol version */
#define RC_E_LAYOUT (-305)         /* the peer was built with another memory layout */
#define RC_E_NOT_RINGCHAN (-306)   /* whoever answered is not a ringchan peer */
#define RC_E_REFUSED (-307)        /* the peer refused the connection; the reason says why */
#define RC_E_HANDSHAKE (-308)      /* the peer did not complete the handshake in time */
#define RC_E_SYSTEM (-309)         /* a system call failed in a way that has no code of its own */
#define RC_E_NO_HOST (-310)        /* the host's name cannot be looked up */
#define RC_E_UNREACHABLE (-311)    /* there is no way to that address, or it is none of this machine's to listen at */
#define RC_E_NO_DEVICE (-312)      /* no RDMA device, library or port that would do; the reason says what to do */
#define RC_E_IDENTITY (-313)       /* whoever is at the other end is not who should be; the reason names who it is */
#define RC_E_DUPLICATE (-314)      /* two processes are the same member of a mesh; the reason names both */

#define RC_FOREVER INT64_C(-1)

/* ------------------------------------------------------------------------------------------------- Handles */

typedef struct rc_ctx {
  uint64_t id;
} rc_ctx;
typedef struct rc_listener {
  uint64_t id;
} rc_listener;
typedef struct rc_channel {
  uint64_t id;
} rc_channel;
typedef struct rc_mesh {
  uint64_t id;
} rc_mesh;
typedef struct rc_mr {
  uint64_t id;
} rc_mr;
typedef struct rc_grant {
  uint64_t id;
} rc_grant;
typedef struct rc_remote {
  uint64_t id;
} rc_remote;
typedef struct rc_request {
  uint64_t id;
} rc_request;
typedef struct rc_raw {
  uint64_t id;
} rc_raw;

/* ------------------------------------------------------------------------------------------------- Structs */

/* Every config struct begins with its size (sizeof the struct as the caller was compiled) so that old programs run
 * with new libraries and the reverse; all other fields 0 mean the default. NULL instead of a struct: all defaults. */

typedef struct rc_config {
  uint32_t size;          /* sizeof(rc_config) */
  uint32_t channels_max;  /* channels open at once; default 16, at most 65,536 */
  uint32_t listeners_max; /* listeners open at once; default 4, at most 1,024. A list of transports takes one for each
                             of them and one for itself */
  uint32_t rings_max; /* rings in the pool; default 2 * channels_max. Per channel end: loop 1, tcp and rdma 2 (path=send
                         4), shm 0 */
  uint64_t ring_bytes;   /* size of a ring, the default of channels and the most a peer may ask for; default 4 MiB */
  void* memory;          /* the caller's memory for all pools, any alignment, or NULL: one mapping made at open */
  uint64_t memory_bytes; /* its size in bytes; rc_footprint tells what is needed */
  uint32_t meshes_max;   /* meshes open at once; default 1, at most 64 */
  uint32_t mesh_members_max; /* members of a mesh; default 64, at most 4,096 */
  /* Memory regions and one-sided operations; a context without regions has none, and its channels cost nothing more. */
  uint64_t mr_bytes;      /* the region pool that rc_mr_alloc takes from; default none, at most 2^40 */
  uint32_t mrs_max;       /* regions at once, of both kinds; default 64 if mr_bytes is set, else none; at most 65,535 */
  uint32_t op_ring_bytes; /* ring of a channel's operations, each way; default 64 KiB if mrs_max, else none; 4 KiB..1
                             GiB. A channel has the smaller one of both ends, and no operations if either has none */
  uint32_t requests_max; /* operations in flight per channel; default 64, at most 1,024; the smaller one of both ends */
  uint32_t peer_rights;  /* what a peer may do with regions it asks for (rc_remote_alloc): RC_MR_*; default all */
  uint64_t peer_mr_bytes;   /* the largest region a peer may ask for; default 0: none */
  uint64_t peer_mr_total;   /* all of them together, per channel; default mr_bytes */
  uint32_t progress_thread; /* 1: a thread does what rc_progress_all does, until rc_close; default 0: none */
  uint32_t flags;           /* RC_HUGE_PAGES or 0 */
} rc_config;

/* rc_config.flags */
#define RC_HUGE_PAGES 1u /* the pools, regions among them, lie in huge pages of 2 MiB, or rc_open fails */

/* How a side waits. */
#define RC_WAIT_ADAPTIVE 0 /* spin a little, yield a little, then sleep; how little is learnt */
#define RC_WAIT_SPIN 1     /* never sleep: lowest latency, one processor busy */
#define RC_WAIT_SLEEP 2    /* sleep at once: no processor time while waiting */

/* rc_channel_config.flags */
#define RC_ANY_USER 1u /* shm:NAME listeners: accept processes of other users (default: same user and root) */

typedef struct rc_channel_config {
  uint32_t size;        /* sizeof(rc_channel_config) */
  uint32_t flags;       /* RC_ANY_USER or 0 */
  uint64_t ring_bytes;  /* bytes in flight per direction, all usable; 0: what the peer asks for, or the context's */
  uint32_t wait;        /* RC_WAIT_* */
  uint32_t reserved;    /* 0 */
  const char* identity; /* told to the peer, at most 63 bytes; NULL: none */
  const char* token; /* shared secret, at most 63 bytes, compared in constant time; NULL: none. Both ends must agree */
  /* rdma's parameters, "mtu=1024&retry_count=3" as behind the ? of a URI, at most 511 bytes, for those that the URI
   * does not name; the other backends do not look at it. NULL: none */
  const char* rdma_knobs;
} rc_channel_config;

typedef struct rc_attach_config {
  uint32_t size;   /* sizeof(rc_attach_config) */
  uint32_t wait;   /* RC_WAIT_* */
  void* tx;        /* memory this end writes: the peer's inbox; 128-byte aligned */
  const void* rx;  /* memory the peer writes: this end's inbox; 128-byte aligned */
  uint64_t bytes;  /* size of each of the two; the ring gets bytes - rc_attach_overhead() */
  int32_t peer_fd; /* becomes readable or hangs up when the peer is gone (a pidfd, a socket); 0 or -1: none. Borrowed */
  uint32_t reserved; /* 0 */
} rc_attach_config;

/* A piece of memory, and the same for reading. */
typedef struct rc_span {
  void* data;
  size_t bytes;
} rc_span;
typedef struct rc_const_span {
  const void* data;
  size_t bytes;
} rc_const_span;

/* rc_event.kind */
#define RC_EVENT_CHANNEL 1u  /* `channel`: what makes the descriptor of rc_channel_fd readable */
#define RC_EVENT_LISTENER 2u /* `listener`: rc_accept has something to do */
#define RC_EVENT_MESH 3u     /* `mesh`: rc_mesh_event has something to do */

/* What may have something to do; the handles that kind does not name are zero. */
typedef struct rc_event {
  uint32_t kind; /* RC_EVENT_* */
  uint32_t reserved;
  rc_channel channel;
  rc_listener listener;
  rc_mesh mesh;
} rc_event;

/* What is known of a channel and of the peer. */
typedef struct rc_info {
  uint32_t size;       /* in: sizeof(rc_info) */
  int32_t state;       /* RC_OK while it works, else the code that ended it */
  uint64_t ring_bytes; /* capacity of each direction */
  int64_t peer_pid;    /* as the kernel tells; 0: unknown or in another namespace */
  int64_t peer_uid;    /* as the kernel tells; -1: unknown */
  char backend[16];    /* "loop", "shm", "tcp", "attach" ... */
  char uri[160];       /* as given to rc_connect, or the listener's; of a list of transports that of the one taken */
  char identity[64];   /* what the peer called itself; "" if nothing */
} rc_info;

/* Counters of one channel since it was opened. */
typedef struct rc_counters {
  uint32_t size; /* in: sizeof(rc_counters) */
  uint32_t reserved;
  uint64_t put_bytes; /* published to the peer */
  uint64_t got_bytes; /* consumed from the peer */
  uint64_t sent_messages;
  uint64_t received_messages;
  uint64_t put_waits; /* times a put had to wait for credit */
  uint64_t get_waits; /* times a get had to wait for bytes */
  uint64_t sleeps;    /* times a wait went to sleep in the kernel */
  uint64_t rings;     /* doorbells sent to a sleeping peer */
} rc_counters;

/* A port of an RDMA device. */
typedef struct rc_device {
  uint32_t size;       /* in: sizeof(rc_device) */
  uint32_t port;       /* from 1 */
  char name[64];       /* of the device, for dev=NAME */
  uint64_t guid;       /* of the device, in this machine's byte order */
  uint32_t active;     /* 1: the port is up */
  uint32_t infiniband; /* 1: InfiniBand, 0: Ethernet (RoCE) */
  uint32_t mtu;        /* of a packet, in bytes, as the port is now */
  uint32_t mtu_max;    /* what it could do */
  uint32_t gids;       /* GIDs in use */
  uint32_t gid_index;  /* the one that is chosen if none is named; 4,294,967,295: there is none */
  uint8_t gid[16];
} rc_device;

/* What the far end of a raw endpoint must know to send to it. */
typedef struct rc_raw_address {
  uint32_t size;   /* sizeof(rc_raw_address) */
  uint32_t qp_num; /* of the queue pair, 24 bits */
  uint32_t psn;    /* its first packet number, 24 bits */
  uint32_t lid;    /* of its port, 16 bits; 0 on Ethernet */
  uint32_t mtu;    /* of a packet, in bytes: 256, 512, 1024, 2048, 4096; of a peer also 0: the same as here */
  uint32_t reserved;
  uint8_t gid[16]; /* in network byte order; of a peer all zero: it has none (InfiniBand only) */
} rc_raw_address;

/* rc_raw_completion.kind */
#define RC_RAW_SENT 1u
#define RC_RAW_RECEIVED 2u

/* How a request of a raw endpoint ended. */
typedef struct rc_raw_completion {
  uint64_t tag;     /* as posted */
  int32_t code;     /* RC_OK, or why it failed */
  uint32_t kind;    /* RC_RAW_SENT or RC_RAW_RECEIVED */
  uint32_t bytes;   /* received */
  uint32_t has_imm; /* 1: the message came with a value */
  uint32_t imm;     /* the value */
  uint32_t reserved;
  const char* reason; /* a static text: what happened; "" if nothing did */
} rc_raw_completion;

/* rc_mesh_config.flags */
#define RC_MESH_ID 1u /* `id` is this member's; without: found from the local interfaces */
#define RC_MESH_PARTIAL                                                                        \
  2u /* rc_mesh_open succeeds although members are missing; rc_mesh_event tells when they come \
      */

/* The host list has one member per line, ID HOST:PORT (over tcp) or ID URI; "#" begins a comment; ids run from 0
 * without a gap. All members have the same list. */
typedef struct rc_mesh_config {
  uint32_t size;                    /* sizeof(rc_mesh_config) */
  uint32_t flags;                   /* RC_MESH_* or 0 */
  const char* hosts;                /* the host list as a text, or NULL ... */
  const char* hosts_path;           /* ... and the path of a file that holds it */
  uint32_t id;                      /* of this member, with RC_MESH_ID */
  uint32_t members;                 /* so many the list must have; 0: any number */
  const char* name;                 /* of the mesh, at most 40 bytes; NULL: "mesh". Members of others are refused */
  const rc_channel_config* channel; /* for all its channels, with identity NULL; or NULL */
} rc_mesh_config;

/* rc_member_event.kind */
#define RC_MEMBER_CONNECTED 1u /* a channel to the member is there, which this end connected */
#define RC_MEMBER_ACCEPTED 2u  /* the same, connected by the member */
#define RC_MEMBER_LOST 3u      /* the member closed, died or cannot be reached: its channel has ended */

typedef struct rc_member_event {
  uint32_t size;      /* in: sizeof(rc_member_event) */
  uint32_t kind;      /* RC_MEMBER_* */
  uint32_t member;    /* its id */
  int32_t code;       /* LOST: RC_E_CLOSED, RC_E_PEER_DEAD or RC_E_CORRUPT */
  uint32_t retries;   /* CONNECTED: attempts that had failed before */
  uint32_t reserved;  /* 0 */
  rc_channel channel; /* the member's; LOST: the one that has ended */
} rc_member_event;

typedef struct rc_mesh_state {
  uint32_t size;    /* in: sizeof(rc_mesh_state) */
  uint32_t id;      /* of this member */
  uint32_t members; /* in the list */
  uint32_t present; /* of them, those that have a channel now, this one included */
  char name[64];    /* of the mesh */
  char uri[160];    /* where this member listens */
} rc_mesh_state;
/* What may be done with memory: access of a region, rights of a grant. */
#define RC_MR_READ 1u
#define RC_MR_WRITE 2u
#define RC_MR_ATOMIC 4u
/* Flags of rc_mr_alloc and rc_mr_grant. */
#define RC_MR_UNINITIALISED 8u /* rc_mr_alloc: do not zero it */
#define RC_MR_BY_TOKEN 16u     /* rc_mr_grant: do not announce it, the peer gets a token */
#define RC_MR_DIRECT 32u       /* rc_mr_grant: the peer's processor or NIC reaches the memory; see "DIRECT" */

#define RC_TOKEN_BYTES 64
#define RC_LEASE_DEFAULT INT64_C(60000000000) /* 60 s */
#define RC_LEASE_MAX INT64_C(86400000000000)  /* 24 h */
#define RC_LEASE_NONE INT64_C(-1)             /* of a direct grant only: until it is revoked */

/* What is known of a region. */
typedef struct rc_region {
  uint32_t size;   /* in: sizeof(rc_region) */
  uint32_t access; /* RC_MR_* */
  void* address;   /* its first byte */
  uint64_t bytes;
  uint32_t registered; /* 1: the caller's memory, 0: of the pool */
  uint32_t requests;   /* operations in flight that move its bytes */
  uint32_t grants;     /* grants that have not ended */
  uint32_t page_bytes; /* of the pool: 4,096, or 2,097,152 with RC_HUGE_PAGES; 0: registered memory, not known */
} rc_region;

/* A piece of a region. What makes one checks it; what takes one checks it again. A cursor is the slice that is left. */
typedef struct rc_slice {
  rc_mr mr;
  uint64_t offset; /* of its first byte in the region */
  uint64_t bytes;
} rc_slice;

#define RC_SLICES_MAX 16 /* of one rc_writev or rc_readv */

/* How a request of the completion queue ended. */
typedef struct rc_completion {
  rc_request request; /* which one; its handle is an error from now on */
  uint64_t tag;       /* as given to rc_request_queue */
  uint64_t value;     /* what an atomic's word held before */
  int32_t code;       /* as of rc_request_wait */
  uint32_t reserved;
  const char* reason; /* a static text: what the code means here; "" if it is RC_OK */
} rc_completion;

/* What is known of granted memory, at either end. */
typedef struct rc_lease {
  uint32_t size;   /* in: sizeof(rc_lease) */
  uint32_t rights; /* RC_MR_*, with RC_MR_DIRECT of a direct grant */
  uint64_t bytes;
  int64_t left_ns; /* until it expires, on this end's clock; 0: it has expired, at the owner: and no remote access can
                    * touch the memory; RC_LEASE_NONE: it does not expire */
} rc_lease;

/* ------------------------------------------------------------------------------------------------- Library */

/* Gives the library's version.
 * Parameters: none.
 * Returns: major * 10000 + minor * 100 + patch.
 * Blocks: no. Threads: any. Order: none. Since: 0.1. */
uint32_t rc_version(void);

/* Gives the name of a result code, e.g. "RC_E_TIMEOUT".
 * Parameters: code - any value.
 * Returns: a static string; "RC_E_UNKNOWN" for a value that is no code.
 * Blocks: no. Threads: any. Order: none. Since: 0.1. */
const char* rc_code_name(int32_t code);

/* Tells why the calling thread's last failing call failed: what was tried, what the system answered, what to do.
 * Parameters: none.
 * Returns: a string of the calling thread, valid until its next failing call; "" if none failed yet.
 * Blocks: no. Threads: any; each thread has its own. Order: none. Since: 0.1. */
const char* rc_reason(void);

/* ------------------------------------------------------------------------------------------------- Context */

/* Computes how much memory a context with this config takes.
 * Parameters: config - or NULL for defaults; bytes - out, for rc_config.memory_bytes.
 * Returns: RC_OK; RC_E_CONFIG, RC_E_INVALID or RC_E_SIZE if a field is unknown or out of range.
 * Blocks: no. Threads: any. Order: none. Since: 0.1. */
int32_t rc_footprint(const rc_config* config, uint64_t* bytes);

/* Opens a context: carves every pool, out of config->memory or one mapping of its own.
 * Parameters: config - or NULL for defaults, read during the call only; its memory stays the context's until rc_close;
 *   ctx - out.
 * Returns: RC_OK; RC_E_CONFIG, RC_E_INVALID, RC_E_SIZE (also: memory_bytes below the footprint); RC_E_POOL (64 contexts
 *   are open in this process); RC_E_NO_MEMORY (also: not so many huge pages are free; the reason says how to get them);
 *   RC_E_UNSUPPORTED (RC_HUGE_PAGES on a system that has none of 2 MiB); RC_E_NO_DESCRIPTORS; RC_E_SYSTEM (no progress
 * thread could be started). Blocks: no. Threads: any. Order: before everything else. Since: 0.1. */
int32_t rc_open(const rc_config* config, rc_ctx* ctx);

/* Closes a context with all its channels and listeners, and gives its memory back.
 * Parameters: ctx - the handle is an error from now on.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED.
 * Blocks: until calls of other threads on its channels have been woken and have left, and while direct grants are
 * taken back (rc_grant_revoke).
 * Threads: any; no other thread may start a call on the context or its objects meanwhile. Order: last. Since: 0.1. */
int32_t rc_close(rc_ctx ctx);

/* Ends every wait in the context, now and from now on: they return RC_E_STOPPED. What needs no waiting still works.
 * Parameters: ctx.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED.
 * Blocks: no. Threads: any; safe in a signal handler. Order: any time before rc_close. Since: 0.1. */
int32_t rc_stop(rc_ctx ctx);

/* Gives one level-triggered descriptor for a whole context, for epoll, asio, tokio, io_uring: readable while any of its
 * channels, listeners or meshes may have something to do; rc_poll tells which. The first call makes it, with the
 * descriptor that rc_channel_fd gives for each channel; what is opened later joins by itself, what is closed leaves.
 * Channels without a descriptor (attached memory, rdma that polls) are not in it. Parameters: ctx; fd - out, owned by
 * the context: wait on it, nothing else. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY (the first call, while
 * another thread is in a call on a channel or a mesh of the context, which may be told the same); RC_E_NO_DESCRIPTORS
 * (two per channel are taken); RC_E_NO_MEMORY; RC_E_NO_SPACE (epoll watches); RC_E_SYSTEM. From then on rc_connect,
 * rc_accept, rc_listen and rc_mesh_open may return these, too. Blocks: no. Threads: any; from then on use each channel
 * with one thread for both sides. It is an epoll of epolls, and the kernel nests these five deep at most
 * (epoll_ctl: ELOOP): add it to an epoll of your own that is in no other. Order: none. Since: 0.2. */
int32_t rc_fd(rc_ctx ctx, int32_t* fd);

/* Tells which channels, listeners and meshes of a context may have something to do, without looking at the others; or
 * waits until one has. Each is told of again until it has been cleared as rc_channel_fd says; those that have waited
 * longest come first. Parameters: ctx; events - out, room for `capacity`; capacity - at least 1, at most 64 are told at
 * once; timeout_ns - nanoseconds; count - out, how many. Returns: RC_OK: there is at least one; RC_E_WOULD_BLOCK;
 * RC_E_TIMEOUT; RC_E_STOPPED; RC_E_INVALID (NULL, capacity 0); else as rc_fd. Blocks: until something is ready.
 * Threads: any, as rc_fd, whose descriptor it makes. Order: none. Since: 0.2. */
int32_t rc_poll(rc_ctx ctx, rc_event* events, uint32_t capacity, int64_t timeout_ns, uint32_t* count);

/* Moves what can be moved without waiting, for all channels of a context: bytes that tcp has brought, and operations
 * of the peers (over rdma that polls only a call on the channel does these). It looks only at channels that have
 * something, at most 64 per call, those first that have waited longest, and at a bounded amount of each. The first call
 * watches all channels for that; channels that need no such help cost nothing. Parameters: ctx. Returns: RC_OK (also if
 * another thread is at it); RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY (the first call, while another thread is in a call on a
 * channel of the context, which may be told the same); RC_E_NO_DESCRIPTORS; RC_E_NO_MEMORY; RC_E_NO_SPACE; RC_E_SYSTEM.
 * Why a channel is over, its own calls tell. Blocks: no. Threads: any; it counts neither as a getter nor as a putter.
 * Order: none. Since: 0.2. */
int32_t rc_progress_all(rc_ctx ctx);

/* ------------------------------------------------------------------------------------------------- Connection */

/* Starts to listen at a URI.
 * Parameters: ctx; uri - see the top, at most 159 bytes; config - for the channels to be accepted, or NULL, read during
 * the call only; listener - out. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_URI (rdma: also what the device with
 * that address cannot do); RC_E_SCHEME; RC_E_CONFIG; RC_E_INVALID; RC_E_SIZE (ring_bytes above the context's);
 * RC_E_POOL; RC_E_NAME_IN_USE; RC_E_NO_MEMORY; RC_E_NO_SPACE; RC_E_NO_PERMISSION; RC_E_NO_DESCRIPTORS; RC_E_NO_HOST;
 * RC_E_UNREACHABLE (an address that this machine does not have); RC_E_NO_DEVICE (rdma: no device, library or port that
 * would do, or that this process may open); RC_E_UNSUPPORTED; RC_E_SYSTEM. Blocks: no, but for the look-up of a host's
 * name. Threads: any. Order: after rc_open. Since: 0.1. */
int32_t rc_listen(rc_ctx ctx, const char* uri, const rc_channel_config* config, rc_listener* listener);

/* Accepts one client: a new channel each time; many clients may connect at once and in turn.
 * Parameters: listener; timeout_ns - nanoseconds; channel - out.
 * Returns: RC_OK; RC_E_WOULD_BLOCK; RC_E_TIMEOUT; RC_E_STOPPED; RC_E_HANDLE; RC_E_FORKED; RC_E_INVALID (NULL);
 *   RC_E_BUSY (another thread accepts); RC_E_POOL; RC_E_NO_MEMORY; RC_E_NO_SPACE; RC_E_NO_DESCRIPTORS;
 *   RC_E_NO_PERMISSION; RC_E_URI, RC_E_NO_DEVICE (rdma: the device by which a client came cannot do what the
 *   listener's URI asks for); RC_E_NO_DEVICE also if the device with the listener's address was removed, told by
 *   each call (once where a list of transports has others left); RC_E_SYSTEM; RC_E_CLOSING (another thread closes the
 * listener); RC_E_STATE (it is an endpoint: rc_endpoint_connect). A client that misbehaves in the handshake is dropped
 * and told why; that is no error here. Blocks: until a client has completed the handshake, or the deadline. Threads:
 * one at a time per listener. Order: clients in the order in which they complete. Since: 0.1. */
int32_t rc_accept(rc_listener listener, int64_t timeout_ns, rc_channel* channel);

/* Gives a descriptor that is readable while rc_accept has something to do, for epoll and friends. A device that was
 * removed (RC_E_NO_DEVICE) makes it readable once.
 * Parameters: listener; fd - out, owned by the listener: wait on it, nothing else.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_INVALID (NULL); RC_E_UNSUPPORTED.
 * Blocks: no. Threads: any. Order: none. Since: 0.1. */
int32_t rc_listener_fd(rc_listener listener, int32_t* fd);

/* Tells the URI of a listener: as given to rc_listen, but with the port it got if tcp port 0 was asked for.
 * Parameters: listener; uri - out, capacity writable bytes; capacity - 160 is always enough.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_INVALID (NULL); RC_E_SIZE (capacity too small; nothing is written).
 * Blocks: no. Threads: any. Order: none. Since: 0.1. */
int32_t rc_listener_uri(rc_listener listener, char* uri, size_t capacity);

/* Tells, of a listener at a list of transports, where it listens and why not at the others.
 * Parameters: listener; text - out, capacity writable bytes; capacity - 640 is always enough.
 * Returns: RC_OK (also if it is no list: the text is ""); RC_E_HANDLE; RC_E_FORKED; RC_E_INVALID (NULL); RC_E_SIZE
 * (capacity too small; nothing is written). Blocks: no. Threads: any. Order: none. Since: 0.2. */
int32_t rc_listener_choice(rc_listener listener, char* text, size_t capacity);

/* Stops to listen; accepted channels live on, clients in the backlog are refused, the URI is free at once.
 * Parameters: listener - the handle is an error from now on.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED.
 * Blocks: until an rc_accept of another thread has been woken and has left (it returns RC_E_CLOSING). Threads: any.
 * Order: none. Since: 0.1. */
int32_t rc_listener_close(rc_listener listener);

/* Connects to a listener; keeps trying until the deadline while nobody listens, at each address of a name.
 * Parameters: ctx; uri; config - or NULL, read during the call only; timeout_ns - nanoseconds; channel - out.
 * Returns: RC_OK; RC_E_NO_LISTENER (the deadline passed and nobody listened; over rdma also if the listener came
 * after the first try and did not accept); RC_E_TIMEOUT (somebody listens but did not accept); RC_E_STOPPED;
 * RC_E_HANDLE; RC_E_FORKED; RC_E_URI; RC_E_SCHEME; RC_E_CONFIG; RC_E_INVALID; RC_E_SIZE (also: the listener has
 * another ring size);
 * RC_E_POOL; RC_E_NO_MEMORY; RC_E_NO_SPACE; RC_E_NO_DESCRIPTORS; RC_E_NO_PERMISSION (also: other user, wrong token);
 * RC_E_VERSION; RC_E_LAYOUT; RC_E_NOT_RINGCHAN; RC_E_REFUSED; RC_E_PEER_DEAD (it died in the handshake); RC_E_CORRUPT
 * (it broke the protocol); RC_E_NO_HOST; RC_E_UNREACHABLE (until the deadline); RC_E_NO_DEVICE (rdma: no device,
 * library or port that would do, or that this process may open); RC_E_IDENTITY (a mesh listens there, and this end is
 * none of its members) or RC_E_DUPLICATE (says it is one, and another is); RC_E_SYSTEM. Blocks: until the listener's
 * rc_accept has taken the connection, or the deadline; a look-up of a host's name knows no deadline. Threads: any.
 * Order: after rc_open. Since: 0.1. */
int32_t rc_connect(rc_ctx ctx, const char* uri, const rc_channel_config* config, int64_t timeout_ns,
                   rc_channel* channel);

/* Makes a channel over memory that somebody else provides: a static region, a mapping, a device's shared window. Both
 * ends attach with tx and rx exchanged; the memory must be zero before the first one does. The peer is trusted.
 * Parameters: ctx; config - read during the call only, its memory stays in use until rc_channel_close; channel - out.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_CONFIG; RC_E_INVALID (alignment, NULL); RC_E_SIZE (bytes too small);
 * RC_E_POOL.
 * Blocks: no. Waits on such a channel nap (50 microseconds to 1 millisecond) instead of sleeping until a doorbell.
 * Threads: any. Order: none between the two ends. Since: 0.1. */
int32_t rc_attach(rc_ctx ctx, const rc_attach_config* config, rc_channel* channel);

/* Gives how many bytes of attached memory are not ring.
 * Parameters: none.
 * Returns: bytes.
 * Blocks: no. Threads: any. Order: none. Since: 0.1. */
uint64_t rc_attach_overhead(void);

/* Closes a channel: published bytes can still be got by the peer, which then gets RC_E_CLOSED. Staged bytes
 * (rc_put_more) are published first. Over tcp and rdma it waits up to a second until the peer's machine has them; a
 * peer that does not read for so long may lose the rest, and is then told RC_E_PEER_DEAD. Parameters: channel - the
 * handle is an error from now on. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_NO_SPACE, RC_E_NO_MEMORY (it is
 * closed, but a direct grant could not be taken back: rc_mr_free of that region tries again). Blocks: until calls of
 * other threads on this channel have been woken and have left (they return RC_E_CLOSING), and while the slices of
 * direct grants are copied. Threads: any. Order: none. Since: 0.1. */
int32_t rc_channel_close(rc_channel channel);

/* ------------------------------------------------------------------------------------------------- Endpoints */

/* An endpoint is one end of a connection that describes itself in a few hundred bytes. The caller carries these to the
 * peer by whatever way there is, and both ends connect. Over rdma it needs no rdma_cm; no other backend has it.
 *     both: rc_endpoint_open -> bytes        exchange the bytes        both: rc_endpoint_connect -> channel */

/* Opens an endpoint and describes it.
 * Parameters: ctx; uri - rdma://ADDRESS:PORT, where ADDRESS is this end's own (its GID is used; 0.0.0.0: the best one
 * of the first port that is up) and PORT means nothing; config - for the channel, or NULL, read during the call only;
 * blob
 * - out; bytes - in: the room there, 512 is always enough, out: what is used; endpoint - out, a listener that
 * rc_endpoint_connect takes. Returns: RC_OK; RC_E_SIZE (no room: *bytes says how much is needed; also: ring_bytes above
 * the context's); RC_E_UNSUPPORTED (not over this backend); RC_E_NO_DEVICE (no port that is up and that this
 * process may open has that GID);
 * RC_E_POOL; RC_E_NO_MEMORY; RC_E_HANDLE; RC_E_FORKED; RC_E_URI; RC_E_SCHEME; RC_E_CONFIG; RC_E_INVALID;
 * RC_E_NO_DESCRIPTORS; RC_E_SYSTEM. Blocks: no, but for the look-up of a host's name. Threads: any. Order: after
 * rc_open; close it with rc_listener_close, also after it was connected. Since: 0.2. */
int32_t rc_endpoint_open(rc_ctx ctx, const char* uri, const rc_channel_config* config, void* blob, size_t* bytes,
                         rc_listener* endpoint);

/* Connects an endpoint to the peer's.
 * Parameters: endpoint; blob, bytes - what the peer's rc_endpoint_open gave; timeout_ns - nanoseconds; channel - out.
 * Returns: RC_OK; RC_E_NOT_RINGCHAN, RC_E_VERSION, RC_E_LAYOUT, RC_E_NO_PERMISSION (another token), RC_E_SIZE (the ring
 * sizes do not fit), RC_E_URI (the peer's path= is another one) or RC_E_INVALID (NULL, or the endpoint's own blob): of
 * the blob, and the endpoint can still be connected; after all others it cannot: RC_E_TIMEOUT (the peer did not
 * connect); RC_E_STOPPED; RC_E_CLOSING; RC_E_PEER_DEAD, RC_E_CORRUPT (its NIC refused the first word, or sent another);
 * RC_E_POOL, RC_E_NO_MEMORY (path=send takes its rings here); RC_E_SYSTEM. RC_E_STATE: it was connected, or is a
 * listener; RC_E_UNSUPPORTED; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY.
 * Blocks: until the peer connects too, or the deadline; a peer that dies later is noticed by time-out only, and with
 * path=send the later, the longer it had not been in a call (up to twice that long). Threads: one at a time per
 * endpoint. Order: after rc_endpoint_open, once. Since: 0.2. */
int32_t rc_endpoint_connect(rc_listener endpoint, const void* blob, size_t bytes, int64_t timeout_ns,
                            rc_channel* channel);

/* ------------------------------------------------------------------------------------------------- Raw endpoints */

/* A raw endpoint is a queue pair for a program that knows nothing of ringchan: messages go and come as they are,
 * without any protocol of this library. Only rdma has it. The caller tells the peer where it is (rc_raw_address) and is
 * told the same, by whatever way the peer knows: rc_raw_open, then the exchange, rc_raw_connect, rc_raw_post_send,
 * rc_raw_poll. Receives may be posted from the beginning on, so before whatever step makes the peer send.
 * The device knows a region from its first use on, until it is freed, the endpoint is closed or its place is wanted for
 * another (64 have one); it knows it for requests of this endpoint only: a peer reads and writes nothing by itself.
 * The first request that fails ends the endpoint, and whatever else is under way comes back. Nobody tells that a peer
 * has died but a send that gets no answer for timeout_ms. */

/* Opens a raw endpoint.
 * Parameters: ctx; uri - as of rc_endpoint_open, with any of rdma's parameters; sq_depth and rq_depth (default and
 * most: 256) say how many sends and receives may be under way, mode=event that rc_raw_poll sleeps; address - in: its
 * size; out: this end's; raw - out. Returns: RC_OK; RC_E_UNSUPPORTED (not over this backend); RC_E_NO_DEVICE; RC_E_POOL
 * (it takes a listener's place); RC_E_CONFIG; RC_E_INVALID (NULL); RC_E_HANDLE; RC_E_FORKED; RC_E_URI; RC_E_SCHEME;
 * RC_E_NO_HOST; RC_E_NO_MEMORY; RC_E_NO_DESCRIPTORS; RC_E_SYSTEM. Blocks: no, but for the look-up of a host's name.
 * Threads: any. Order: after rc_open. Since: 0.2. */
int32_t rc_raw_open(rc_ctx ctx, const char* uri, rc_raw_address* address, rc_raw* raw);

/* Connects a raw endpoint to the peer's queue pair; it is not asked, so it need not be ready before the first send.
 * Parameters: raw; peer - its address, read during the call only. Returns: RC_OK; RC_E_INVALID (NULL, or an address
 * that cannot be; it may still be connected); RC_E_CONFIG (the same); RC_E_STATE (it was connected, or has tried);
 * RC_E_SYSTEM (the device refused; open another one); RC_E_HANDLE; RC_E_FORKED. Blocks: no. Threads: any. Order: once,
 * before the first send. Since: 0.2. */
int32_t rc_raw_connect(rc_raw raw, const rc_raw_address* peer);

/* Posts a receive: the next message that has none lands there.
 * Parameters: raw; mr, offset, bytes - a slice, access RC_MR_WRITE; with 0 bytes mr is not looked at, and the message
 * may only be a value; tag - comes back with the completion. Returns: RC_OK; RC_E_RANGE; RC_E_RIGHTS; RC_E_SIZE (above
 * the device's messages); RC_E_IN_USE (the region is granted directly);
 * RC_E_POOL (rq_depth are posted, or requests are under way in 64 other regions);
 * RC_E_NO_MEMORY (of what the process may lock); RC_E_HANDLE (raw, or mr); RC_E_FORKED; RC_E_SYSTEM; once a request has
 * failed, its code. Blocks: no. Threads: any. Order: messages take receives as posted; before rc_raw_connect, too.
 * Since: 0.2. */
int32_t rc_raw_post_recv(rc_raw raw, rc_mr mr, uint64_t offset, uint64_t bytes, uint64_t tag);

/* Posts a message.
 * Parameters: raw; mr, offset, bytes - a slice, access RC_MR_READ; with 0 bytes mr is not looked at; imm - a value to
 * go with it, or NULL; tag - comes back with the completion. Returns: as rc_raw_post_recv, with sq_depth; RC_E_STATE
 * (not connected). Blocks: no. Threads: any. Order: as posted. The peer's receive must be there, or come within some
 * milliseconds (rnr_retry and the peer's min_rnr_timer). Since: 0.2. */
int32_t rc_raw_post_send(rc_raw raw, rc_mr mr, uint64_t offset, uint64_t bytes, const uint32_t* imm, uint64_t tag);

/* Takes completions, or waits for the first. Parameters: raw; completions - out, room for `capacity`; capacity - at
 * least 1, at most 64 come at once; timeout_ns - nanoseconds; count - out, how many. Returns: RC_OK: there is at least
 * one, and its own code says how that request ended: RC_OK; RC_E_SIZE (a message larger than its receive, at both
 * ends); RC_E_PEER_DEAD (no answer within timeout_ms, no receive there for too long, or another request failed before);
 * RC_E_CORRUPT, RC_E_SYSTEM (the device's reasons). Or RC_E_WOULD_BLOCK; RC_E_TIMEOUT; RC_E_STOPPED; RC_E_CLOSING;
 * RC_E_BUSY (another thread is in it); RC_E_INVALID; RC_E_HANDLE; RC_E_FORKED; once a request has failed and nothing is
 * under way any more, that request's code. Blocks: until one completes. Threads: one at a time; others may post
 * meanwhile. Order: of sends as posted and of receives as posted, none between the two. Since: 0.2. */
int32_t rc_raw_poll(rc_raw raw, rc_raw_completion* completions, uint32_t capacity, int64_t timeout_ns, uint32_t* count);

/* Closes a raw endpoint: what is under way ends here, without a completion, and holds no region any more.
 * Parameters: raw - the handle is an error from now on. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED. Blocks: until calls
 * of other threads on it have been woken and have left. Threads: any. Order: none; the peer is not told. Since: 0.2. */
int32_t rc_raw_close(rc_raw raw);

/* ------------------------------------------------------------------------------------------------- Mesh */

/* A mesh has a channel between any two members of a host list. The member with the lower id connects, the other one
 * accepts; nothing of it happens outside of rc_mesh_* calls. A member that is lost may come back: it is taken in again
 * by a few calls of rc_mesh_event at both ends, at whatever moments they are made, if there are less than five seconds
 * between two of them (over loop: while both ends are in one), and has a new channel then. */

/* Opens a mesh: listens at this member's address, connects, and waits until every member is there, in any start order.
 * Parameters: ctx; config - read during the call only; timeout_ns - nanoseconds; mesh - out. The context needs
 * channels_max of the members and one more, and rings: one, over tcp and rdma two for each of those channels, over loop
 * one. Without RC_MESH_ID this member is the first of the list that has an address of this machine where nobody
 * listens. Returns: RC_OK; RC_E_HOSTS (the reason names the line: not ID HOST:PORT, an id or address twice, a gap in
 * the ids, own id missing); RC_E_TIMEOUT (the reason names who is missing; not with RC_MESH_PARTIAL); RC_E_IDENTITY (at
 * a member's address answers somebody else; the reason names both; with RC_MESH_PARTIAL rc_mesh_event tells it, and
 * whatever else keeps a member away); RC_E_DUPLICATE (as rc_mesh_event, also only without RC_MESH_PARTIAL);
 * RC_E_NAME_IN_USE (somebody listens at the own address); RC_E_POOL (meshes, channels, listeners or rings); else as
 * rc_listen, rc_accept and rc_connect. On failure there is no mesh. Blocks: until the mesh is complete, or the
 * deadline. Threads: any. Order: after rc_open. Since: 0.2. */
int32_t rc_mesh_open(rc_ctx ctx, const rc_mesh_config* config, int64_t timeout_ns, rc_mesh* mesh);

/* Gives the channel to a member; the own id's leads to oneself: what is put is got.
 * Parameters: mesh; id - of the member; channel - out. The channel stays the mesh's: it is closed by rc_mesh_close, and
 * when rc_mesh_event tells that the member has come again. rc_channel_close drops the connection; the members meet
 * again. Returns: RC_OK; RC_E_WOULD_BLOCK (the member is not there now); RC_E_INVALID (no such id); RC_E_HANDLE;
 * RC_E_FORKED. Blocks: no. Threads: any. Order: after rc_mesh_open. Since: 0.2. */
int32_t rc_mesh_channel(rc_mesh mesh, uint32_t id, rc_channel* channel);

/* Tells of the next thing that happened to a member: connected, accepted, lost, each once, also those of rc_mesh_open.
 * Meanwhile members are accepted, and one that is missing is tried again from time to time.
 * Parameters: mesh; event - in: its size; out: the rest; timeout_ns - nanoseconds.
 * Returns: RC_OK; RC_E_WOULD_BLOCK; RC_E_TIMEOUT; RC_E_STOPPED; RC_E_CLOSING; RC_E_HANDLE; RC_E_FORKED; RC_E_CONFIG;
 * RC_E_BUSY (another thread is in it); RC_E_POOL and what else rc_accept fails with: who wants to come in has to wait;
 * RC_E_IDENTITY, else as rc_connect and rc_accept, with event->member: that member cannot be connected to, told once
 * while it stays so; RC_E_DUPLICATE: two processes are event->member, told to who meets both, or, to the one that came
 * first, another process is this member and event->member has it in its place. The newest has the place; the other is
 * refused while that one is there, and comes back when it has gone. The reason says where both are (with rings below
 * 224 bytes: which numbers they gave themselves), or their common address. The mesh goes on after each of them. Blocks:
 * until something happened, or the deadline; with a member missing that this end connects to, 10 milliseconds longer
 * over loop, 200 over rdma; for the look-up of a missing member's name, which knows no deadline. Threads: one at a
 * time; puts and gets on the channels, and rc_channel_close, go on in others. Order: a loss comes before the return.
 * Since: 0.2. */
int32_t rc_mesh_event(rc_mesh mesh, rc_member_event* event, int64_t timeout_ns);

/* Gives a descriptor that is readable when rc_mesh_event has something to do, for epoll and friends. Call rc_mesh_event
 * with timeout 0 until RC_E_WOULD_BLOCK each time; more than the mesh's own may make it readable.
 * Parameters: mesh; fd - out, owned by the mesh: wait on it, nothing else.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY.
 * Blocks: no. Threads: as rc_mesh_event. Order: none. Since: 0.2. */
int32_t rc_mesh_fd(rc_mesh mesh, int32_t* fd);

/* Tells which member of how many this is, where it listens and how many are there.
 * Parameters: mesh; state - in: its size; out: the rest, as much as fits.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_CONFIG (size is 0 or unknown).
 * Blocks: no. Threads: any. Order: none. Since: 0.2. */
int32_t rc_mesh_info(rc_mesh mesh, rc_mesh_state* state);

/* Leaves a mesh: closes all its channels, so that the others are told RC_MEMBER_LOST with RC_E_CLOSED.
 * Parameters: mesh - the handle is an error from now on, and so are those of its channels.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_NO_SPACE, RC_E_NO_MEMORY (as rc_channel_close; all are closed, and the
 * reason is of the first channel of which it is so). Blocks: until calls of other threads on the mesh and its channels
 * have been woken and have left (they return RC_E_CLOSING), and while the slices of direct grants are copied, as
 * rc_mesh_event does where a member's next channel takes the place of its old one; of a grant that could not be taken
 * back then rc_mr_free alone tells. Threads: any. Order: rc_close does it too. Since: 0.2. */
int32_t rc_mesh_close(rc_mesh mesh);

/* ------------------------------------------------------------------------------------------------- Bytes */

/* Puts n bytes into the stream to the peer; n may be larger than the ring.
 * Parameters: channel; data - n readable bytes, the caller's again on return; n - any; timeout_ns - nanoseconds; done -
 * out, bytes put, or NULL. Returns: RC_OK with *done == n; RC_E_WOULD_BLOCK, RC_E_TIMEOUT or RC_E_STOPPED with *done ==
 * 0 if n is at most half the ring (all or nothing), else with the bytes put so far; RC_E_CLOSED; RC_E_PEER_DEAD;
 * RC_E_CORRUPT; RC_E_CLOSING; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY; RC_E_STATE (between reserve and commit, or a message
 * is half sent); RC_E_INVALID (NULL data). Blocks: while the ring is full. Threads: put side. Order: bytes arrive in
 * the order of the puts. Since: 0.1. */
int32_t rc_put(rc_channel channel, const void* data, size_t n, int64_t timeout_ns, size_t* done);

/* Puts n bytes like rc_put, but the peer may see them only after the next rc_put, rc_flush or rc_channel_close: a
 * batch. Parameters: as rc_put. Returns: as rc_put. Blocks: while the ring is full (what is staged is published before
 * it waits). Threads: put side. Order: as rc_put. Since: 0.1. */
int32_t rc_put_more(rc_channel channel, const void* data, size_t n, int64_t timeout_ns, size_t* done);

/* Publishes what rc_put_more has staged.
 * Parameters: channel.
 * Returns: RC_OK, also when nothing is staged; RC_E_CLOSED; RC_E_PEER_DEAD; RC_E_CORRUPT; RC_E_CLOSING; RC_E_HANDLE;
 *   RC_E_FORKED; RC_E_BUSY; RC_E_WOULD_BLOCK (the device's queue is full; not over loop and shm).
 * Blocks: no. Threads: put side. Order: after all earlier puts. Since: 0.1. */
int32_t rc_flush(rc_channel channel);

/* Waits until all earlier puts are in the peer's memory (not: until it has got them).
 * Parameters: channel; timeout_ns - nanoseconds.
 * Returns: RC_OK, at once when nothing is under way; RC_E_WOULD_BLOCK; RC_E_TIMEOUT; RC_E_STOPPED; RC_E_CLOSED;
 * RC_E_PEER_DEAD (over loop and shm within a millisecond of the death; puts notice it when the ring is full);
 * RC_E_CORRUPT; RC_E_CLOSING; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY. Blocks: until delivered; never over loop and shm.
 * Threads: put side. Order: after all earlier puts. Since: 0.1. */
int32_t rc_sync(rc_channel channel, int64_t timeout_ns);

/* Gets exactly n bytes; n may be larger than the ring.
 * Parameters: channel; data - n writable bytes; n - any; timeout_ns - nanoseconds; done - out, bytes consumed from the
 * stream, or NULL. Returns: RC_OK with *done == n; RC_E_WOULD_BLOCK, RC_E_TIMEOUT or RC_E_STOPPED with *done == 0 if n
 * is at most half the ring (nothing consumed, though data may have been written to), else with the bytes consumed so
 * far; RC_E_CLOSED and RC_E_PEER_DEAD after what had arrived has been copied and consumed, *done < n; RC_E_CORRUPT;
 * RC_E_CLOSING; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY; RC_E_STATE (between peek and release with bytes, or a message is
 * half received); RC_E_INVALID (NULL data). Blocks: until n bytes have arrived. Threads: get side. Order: bytes come in
 * the order of the puts. Since: 0.1. */
int32_t rc_get(rc_channel channel, void* data, size_t n, int64_t timeout_ns, size_t* done);

/* Puts n bytes now or none: rc_put with timeout 0 for n up to the capacity.
 * Parameters: channel; data; n - more than the ring's capacity is RC_E_SIZE.
 * Returns: RC_OK; RC_E_WOULD_BLOCK; RC_E_SIZE; else as rc_put. Repeated tries succeed in the end for n up to half the
 * capacity if the peer gets what is there. Blocks: no. Threads: put side. Order: as rc_put. Since: 0.1. */
int32_t rc_try_put(rc_channel channel, const void* data, size_t n);

/* Gets n bytes now or none.
 * Parameters: channel; data; n - more than the ring's capacity is RC_E_SIZE.
 * Returns: RC_OK; RC_E_WOULD_BLOCK (fewer than n bytes are there; they stay); RC_E_SIZE; else as rc_get, except that
 * the end of the channel consumes nothing: rc_get_some takes what is left. Blocks: no. Threads: get side. Order: as
 * rc_get. Since: 0.1. */
int32_t rc_try_get(rc_channel channel, void* data, size_t n);

/* Puts as much of n bytes as fits now.
 * Parameters: channel; data; n; done - out, bytes put.
 * Returns: RC_OK with *done > 0 (or n == 0); RC_E_WOULD_BLOCK with *done == 0; else as rc_put.
 * Blocks: no. Threads: put side. Order: as rc_put. Since: 0.1. */
int32_t rc_put_some(rc_channel channel, const void* data, size_t n, size_t* done);

/* Gets what has arrived, at least one and at most n bytes.
 * Parameters: channel; data; n; timeout_ns - nanoseconds, to wait for the first byte; done - out, bytes got.
 * Returns: RC_OK with *done > 0 (or n == 0); RC_E_WOULD_BLOCK, RC_E_TIMEOUT, RC_E_STOPPED with *done == 0; RC_E_CLOSED
 * or RC_E_PEER_DEAD only when nothing is left; else as rc_get. Blocks: until the first byte. Threads: get side. Order:
 * as rc_get. Since: 0.1. */
int32_t rc_get_some(rc_channel channel, void* data, size_t n, int64_t timeout_ns, size_t* done);

/* Puts several pieces as one: they are published together as if they were one rc_put of the sum.
 * Parameters: channel; spans - count pieces, empty ones allowed; count - at most 1,024; timeout_ns; done - out or NULL,
 * bytes put. Returns: as rc_put for the sum of the sizes; RC_E_INVALID if count is above 1,024 or the sum overflows.
 * Blocks: while the ring is full. Threads: put side. Order: as rc_put, pieces in order. Since: 0.1. */
int32_t rc_putv(rc_channel channel, const rc_const_span* spans, uint32_t count, int64_t timeout_ns, size_t* done);

/* Gets exactly the sum of several pieces, filling them in order.
 * Parameters: channel; spans - count pieces, empty ones allowed; count - at most 1,024; timeout_ns; done - out or NULL,
 * bytes consumed. Returns: as rc_get for the sum of the sizes; RC_E_INVALID if count is above 1,024 or the sum
 * overflows. Blocks: until all have arrived. Threads: get side. Order: as rc_get. Since: 0.1. */
int32_t rc_getv(rc_channel channel, const rc_span* spans, uint32_t count, int64_t timeout_ns, size_t* done);

/* Tells how many bytes rc_try_get could take and rc_try_put could put now.
 * Parameters: channel; readable, writable - out or NULL.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY; RC_E_CORRUPT; RC_E_CLOSING.
 * Blocks: no. Threads: get side if readable is asked for, put side if writable is. Order: none. Since: 0.1. */
int32_t rc_ready(rc_channel channel, size_t* readable, size_t* writable);

/* ------------------------------------------------------------------------------------------------- Bytes without a
 * copy */

/* Gives free ring memory to be filled in place: one or two pieces, at least min bytes together.
 * Parameters: channel; min - 1..capacity; timeout_ns - nanoseconds; spans - out, two pieces, the second may be empty;
 * both are all that is free now. Returns: RC_OK; RC_E_SIZE (min is 0 or above the capacity); RC_E_WOULD_BLOCK;
 * RC_E_TIMEOUT; RC_E_STOPPED; RC_E_STATE (reserved already); else as rc_put. Blocks: until min bytes are free. Threads:
 * put side. Order: rc_commit comes next on the put side. Since: 0.1. */
int32_t rc_reserve(rc_channel channel, size_t min, int64_t timeout_ns, rc_span spans[2]);

/* Publishes the first n bytes of what was reserved and ends the reservation.
 * Parameters: channel; n - 0..reserved; 0 only gives up the reservation.
 * Returns: RC_OK; RC_E_STATE (nothing reserved); RC_E_SIZE (more than reserved; the reservation stays); else as rc_put.
 * Blocks: while operations posted before hold back what a put publishes (see "ORDER" below), and over other backends
 * than loop and shm while the device's queue is full. Threads: put side. Order: as rc_put. Since: 0.1. */
int32_t rc_commit(rc_channel channel, size_t n);

/* Gives what has arrived, in place: one or two pieces, at least min bytes together. A peer that is not trusted may
 * change the bytes while they are looked at: copy before checking. Parameters: channel; min - 1..capacity; timeout_ns -
 * nanoseconds; spans - out, two pieces, valid until rc_release. Returns: RC_OK; RC_E_SIZE (min is 0 or above the
 * capacity); RC_E_WOULD_BLOCK; RC_E_TIMEOUT; RC_E_STOPPED; RC_E_CLOSED or RC_E_PEER_DEAD (fewer than min are left; a
 * smaller min gives them); else as rc_get. Blocks: until min bytes have arrived. Threads: get side. Order: may be
 * repeated; gets between peek and release are RC_E_STATE. Since: 0.1. */
int32_t rc_peek(rc_channel channel, size_t min, int64_t timeout_ns, rc_const_span spans[2]);

/* Consumes the first n bytes of what rc_peek gave and ends the view.
 * Parameters: channel; n - 0..peeked.
 * Returns: RC_OK; RC_E_STATE (nothing peeked); RC_E_SIZE (more than peeked; the view stays); else as rc_get.
 * Blocks: no. Threads: get side. Order: as rc_get. Since: 0.1. */
int32_t rc_release(rc_channel channel, size_t n);

/* ------------------------------------------------------------------------------------------------- Messages */

/* A channel carries bytes or messages; a raw put between messages shows up at the receiver as RC_E_CORRUPT. */

/* Sends one message of n bytes, n from 0 to 2^63 - 1, larger than the ring too.
 * Parameters: channel; data; n; imm - NULL, or a 32-bit value told beside the bytes; timeout_ns; done - out or NULL,
 * bytes of this message put so far. Returns: RC_OK; RC_E_WOULD_BLOCK, RC_E_TIMEOUT, RC_E_STOPPED: if n + 16 is at most
 * half the ring nothing was sent, else repeat the call with the same data, n and imm to go on with this message
 * (anything else on the put side is RC_E_STATE until then); else as rc_put. Blocks: while the ring is full. Threads:
 * put side. Order: messages arrive in order. Since: 0.1. */
int32_t rc_send(rc_channel channel, const void* data, size_t n, const uint32_t* imm, int64_t timeout_ns, size_t* done);

/* Receives one message.
 * Parameters: channel; data - capacity writable bytes; capacity; n - out, the message's size; imm - out or NULL;
 * has_imm - out or NULL, 1 if the sender gave an immediate; timeout_ns. Returns: RC_OK; RC_E_TRUNCATED (larger than
 * capacity: *n tells the size, the message stays); RC_E_WOULD_BLOCK, RC_E_TIMEOUT, RC_E_STOPPED: repeat the call with
 * the same buffer (a message larger than half the ring may be partly in it; anything else on the get side is RC_E_STATE
 * until then); RC_E_CLOSED and RC_E_PEER_DEAD (no whole message is left); else as rc_get. Blocks: until a whole message
 * has arrived. Threads: get side. Order: as sent. Since: 0.1. */
int32_t rc_recv(rc_channel channel, void* data, size_t capacity, size_t* n, uint32_t* imm, uint32_t* has_imm,
                int64_t timeout_ns);

/* Gives the next whole message in place, without a copy. A peer that is not trusted may change the bytes while they are
 * looked at: copy before checking. Parameters: channel; spans - out, the message in one or two pieces, valid until
 * rc_message_release; n - out, the message's size; imm, has_imm - as rc_recv; timeout_ns. Returns: RC_OK;
 * RC_E_TRUNCATED (larger than the ring but 16 bytes: *n tells the size, the message stays, rc_recv takes it);
 * RC_E_WOULD_BLOCK, RC_E_TIMEOUT, RC_E_STOPPED (nothing was consumed); RC_E_INVALID (NULL); RC_E_UNSUPPORTED (a ring of
 * less than 32 bytes); RC_E_CLOSED and RC_E_PEER_DEAD (no whole message is left); else as rc_get. Blocks: until a whole
 * message has arrived. Threads: get side. Order: as sent; may be repeated; gets until rc_message_release are
 * RC_E_STATE. Since: 0.2. */
int32_t rc_message_view(rc_channel channel, rc_const_span spans[2], size_t* n, uint32_t* imm, uint32_t* has_imm,
                        int64_t timeout_ns);

/* Consumes the message that rc_message_view gave.
 * Parameters: channel. Returns: RC_OK; RC_E_STATE (none is in view); else as rc_get. Blocks: no. Threads: get side.
 * Order: as rc_recv. Since: 0.2. */
int32_t rc_message_release(rc_channel channel);

/* ------------------------------------------------------------------------------------------------- Memory */

/* Regions are memory that operations move: pieces of the context's pool, or the caller's own memory, registered. A
 * region or a slice of it may be granted to the peer of a channel, with rights and a lease; the peer then writes and
 * reads it without a call on this side that names the bytes.
 *
 * CARRIED. An operation travels through the channel and is done by the owner's library when the owner calls it: by any
 * call that waits or looks on that channel (rc_get, rc_try_get that finds nothing new, rc_put that waits,
 * rc_request_wait, rc_request_test, rc_ready ...), by rc_progress, and, but for rdma that polls, by rc_progress_all and
 * the progress thread. Two ends that both only wait serve each other.
 *
 * ORDER. Operations of one channel are done in the order in which they were posted. What was posted before a put,
 * commit or send is done before the peer gets those bytes: write, then put, and the notice never overtakes the bytes. A
 * put therefore waits, or is RC_E_WOULD_BLOCK, while operations posted before it wait for room, or, to give memory back
 * or up, for reads of it.
 *
 * END. After rc_grant_revoke, the end of the lease, or the end of the channel, no remote access can touch the memory:
 * the owner checks every one of them against its own table, by a capability of 128 random bits. A direct grant whose
 * lease is over is ended by the owner's next call, see "LEASES".
 *
 * DIRECT. A grant with RC_MR_DIRECT, over shm, lets the peer's processor reach the memory by itself: its rc_write,
 * rc_read, rc_compare_swap and rc_fetch_add are loads and stores, done when the call returns, without a system call and
 * without the owner; rc_request_test of such a request never waits. It goes carried, in order, while another request of
 * the channel is in flight; the value of rc_write_imm always does. For that the pages of the slice become shared ones
 * while the grant lasts, so the slice is whole pages (or goes up to the region's end), the region is one of rc_mr_alloc
 * in a context with its own memory (no rc_config.memory), and nothing else uses it: no request, no other grant. Rights
 * are RC_MR_READ, or all three. It ends with its lease, and by rc_grant_revoke, rc_mr_take_back, rc_channel_close and
 * rc_close, and, if the channel is over, rc_mr_free. There the pages become copies of this process's own, under the
 * same address, and no store of the owner's is lost. What the peer still maps are the old ones, which is why an
 * operation of the peer in that moment may end with RC_OK and not be seen. They stay, beside the copies, until the
 * region is freed or granted directly again; till then madvise(MADV_DONTNEED) on the slice would bring them back, with
 * what the peer stores there. The copies are not locked in memory: mlock them again if they are to be. While
 * rc_mr_grant runs, no thread of the owner may store into the slice: such a store may be lost, and so may the bytes of
 * a rc_read or rc_readv of the owner's own that arrive in it. When the peer dies or gives the grant up, it ends only
 * so. A child made by fork meanwhile shares the pages.
 *
 * DIRECT OVER RDMA. There it is the peer's NIC that reaches the memory: the slice is registered with the owner's NIC by
 * itself, with these rights, and the peer's operations are RDMA WRITEs, READs and atomics of the channel, done without
 * the owner's processor. They are under way after the call as carried ones are: rc_request_wait tells the end, and they
 * go carried, in order, behind carried ones in flight. Any slice of any region will do, with any rights and beside
 * other grants; no page moves, and no store of the owner's is lost. It ends the same way, or
 * with the channel. rc_grant_revoke tells the peer first and waits until it answers that nothing of its is under way,
 * at most half a second, which is how long it takes if the peer is in no call meanwhile, or has more than that posted
 * to its NIC; rc_stop ends the wait at once. After that the NIC refuses the key, and a refused operation ends the
 * channel. Atomics are so among operations that come through that NIC, not with those of a processor, as carried ones
 * are. The asker's regions are registered as a whole at their first use with a channel, not per call, 64 of them at
 * once for each channel; one that is itself granted directly over shm is RC_E_IN_USE. They and the grants count towards
 * the memory that the process may lock (ulimit -l).
 *
 * LEASES. An honest peer of a direct grant is told RC_E_EXPIRED by its own clock. Whoever is not honest loses the
 * access in the first call that the owner makes on that channel after the end of the lease (not rc_channel_info,
 * rc_channel_choice or rc_channel_counters, nor a call that is refused for its arguments or with RC_E_BUSY), before
 * that call does anything else, which over shm takes as long as to copy the slice; or earlier, in a call that waits on
 * the channel meanwhile (but for one that was asleep before the grant was given), by rc_progress_all or the progress
 * thread, or by rc_mr_free of that region. rc_channel_fd and rc_fd become readable at the end of the lease. Over rdma
 * the peer is asked first whether something of its is under way, but no call waits for that: the access is gone in the
 * first such call after the answer, or half a second or more after the end of the lease; what the NIC refuses then ends
 * the channel. What cannot be done for lack of memory or mappings is tried again by later calls, and rc_grant_info says
 * why. An owner that makes none of these calls leaves the access open. The handle stays until rc_grant_revoke. A
 * channel that has given a direct grant with a lease has slower puts and gets: while the lease lasts each of them looks
 * at the clock. */

/* Makes a region in the pool of rc_config.mr_bytes.
 * Parameters: ctx; bytes - 1..mr_bytes, rounded up to whole pages of 4,096 inside; flags - 0 or RC_MR_UNINITIALISED; mr
 * - out, with all access. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_INVALID (flags); RC_E_SIZE (0, or more than
 * the pool); RC_E_POOL (no such piece is free, or mrs_max regions are in use). Blocks: no. Threads: any. Order: none.
 * Since: 0.2. */
int32_t rc_mr_alloc(rc_ctx ctx, uint64_t bytes, uint32_t flags, rc_mr* mr);

/* Makes a region of the caller's own memory; all its pages are brought in.
 * Parameters: ctx; address - of the caller's, must stay mapped until rc_mr_free (else the process faults, or a tcp
 * channel that has bytes for it ends with RC_E_SYSTEM); bytes; access - RC_MR_*: what operations, the caller's and the
 * peer's, may do with it; mr - out. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_INVALID (address is NULL, access is
 * 0 or unknown); RC_E_SIZE (0, or beyond the address space); RC_E_FAULT (not all mapped, or not writable and access
 * wants that; before Linux 5.14 only the first is noticed); RC_E_POOL; RC_E_NO_MEMORY; RC_E_NO_PERMISSION (the system
 * does not let the pages be looked at: seccomp ...). Blocks: while pages are brought in. Threads: any. Order: none.
 * Since: 0.2. */
int32_t rc_mr_reg(rc_ctx ctx, void* address, uint64_t bytes, uint32_t access, rc_mr* mr);

/* Frees a region, or ends a registration.
 * Parameters: mr. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_IN_USE (operations in flight or grants keep it;
 * nothing was changed); RC_E_NO_SPACE, RC_E_NO_MEMORY, RC_E_SYSTEM (a direct grant of a channel that is over, as
 * rc_grant_revoke). Grants whose lease is over (direct ones: that have been taken away, see "LEASES"), and whatever
 * belonged to a channel that has ended, do not count; what the peer has given back does, until rc_mr_take_back or the
 * channel's close.
 * Blocks: no; while a slice is copied if such a grant is to be taken back. Threads: any. Order: after its last use.
 * Since: 0.2. */
int32_t rc_mr_free(rc_mr mr);

/* Tells what is known of a region.
 * Parameters: mr; region - in: its size; out: the rest. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_CONFIG (size is
 * 0 or unknown). Blocks: no. Threads: any. Order: none. Since: 0.2. */
int32_t rc_mr_info(rc_mr mr, rc_region* region);

/* Makes a slice of a region: the bytes [begin, end).
 * Parameters: mr; begin, end - offsets in the region; slice - out. Returns: RC_OK; RC_E_RANGE (empty, reversed, or not
 * within the region); RC_E_INVALID (NULL); RC_E_HANDLE; RC_E_FORKED. Blocks: no. Threads: any. Order: a slice does not
 * keep its region; once that is freed, uses of the slice are RC_E_HANDLE. Since: 0.2. */
int32_t rc_mr_slice(rc_mr mr, uint64_t begin, uint64_t end, rc_slice* slice);

/* Makes a slice of a slice.
 * Parameters: whole; begin, end - offsets in `whole`; part - out, may be `whole` itself. Returns: as rc_mr_slice;
 * RC_E_RANGE also if it is not within `whole`. Blocks: no. Threads: any. Order: none. Since: 0.2. */
int32_t rc_slice_part(const rc_slice* whole, uint64_t begin, uint64_t end, rc_slice* part);

/* Takes the next bytes from the front of a slice: a cursor through a region.
 * Parameters: rest - in: what is left, out: less by `bytes`; bytes - 1..rest->bytes; next - out, not `rest`. Returns:
 * as rc_slice_part; on failure *rest is as before. Blocks: no. Threads: any; one at a time per `rest`. Order: none.
 * Since: 0.2. */
int32_t rc_slice_next(rc_slice* rest, uint64_t bytes, rc_slice* next);

/* Grants the peer of a channel access to a slice of a region and announces it: the peer gets it by rc_remote_get.
 * Parameters: channel; mr - of the channel's context; offset, bytes - the slice; rights - RC_MR_*, at most the region's
 * access; with RC_MR_BY_TOKEN nothing is announced, with RC_MR_DIRECT see above, not both; lease_ns - nanoseconds, 0:
 * RC_LEASE_DEFAULT, at most RC_LEASE_MAX; of a direct grant also RC_LEASE_NONE; grant - out. Returns: RC_OK;
 * RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY; RC_E_INVALID (rights, lease); RC_E_RANGE; RC_E_RIGHTS (also: a direct one cannot
 * have just these); RC_E_LIMIT (lease); RC_E_POOL (64 grants are given on this channel, or the peer has not taken the
 * direct ones before); RC_E_IN_USE (requests in flight, on any channel, move bytes of the region: wait for them first;
 * or: a direct grant over shm is alone in its region); RC_E_ALIGNMENT (direct, shm: not whole pages); RC_E_UNSUPPORTED
 * (the channel has no operations; direct: not over this backend; over shm not this memory, or not for writing where
 * vm.overcommit_memory is 2; over rdma not these rights: access= in the URI, or the device); RC_E_SYSTEM (no random
 * bits; direct: a call of the system failed, the reason says which); RC_E_NO_SPACE, RC_E_NO_MEMORY,
 * RC_E_NO_DESCRIPTORS, RC_E_NO_PERMISSION (direct: what the system answered); RC_E_CLOSED; RC_E_PEER_DEAD;
 * RC_E_CORRUPT; RC_E_CLOSING. Blocks: no; direct: while the slice is copied. Threads: put side. Order: the peer gets
 * grants in order. Since: 0.2. */
int32_t rc_mr_grant(rc_channel channel, rc_mr mr, uint64_t offset, uint64_t bytes, uint32_t rights, int64_t lease_ns,
                    rc_grant* grant);

/* Ends a grant: when it returns, the peer cannot touch the memory any more.
 * Parameters: grant - the handle is an error from now on. Returns: RC_OK (also if the lease is over or the channel has
 * ended); RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY; RC_E_STATE (the peer has given it back: rc_mr_take_back);
 * RC_E_NO_SPACE, RC_E_NO_MEMORY (direct: there is no memory to move to, the grant stays); RC_E_SYSTEM (direct: a call
 * of the system failed, the grant stays). Blocks: no; direct: while the slice is copied, over rdma until the peer has
 * answered, at most half a second, and rc_stop ends that at once. Threads: put side. Order: operations of the peer that
 * have not been done yet fail with RC_E_REVOKED; those that its NIC has still under way end the channel. Since: 0.2. */
int32_t rc_grant_revoke(rc_grant grant);

/* Tells what a grant is worth still.
 * Parameters: grant; lease - in: its size; out: the rest; over rdma left_ns counts half a second more from the end of a
 * direct grant's lease on, until the access is gone. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY; RC_E_CONFIG;
 * RC_E_NO_SPACE, RC_E_NO_MEMORY, RC_E_SYSTEM (the lease of a direct grant is over, and it cannot be taken away now, as
 * rc_grant_revoke). Blocks: no; while a slice is copied whose lease is over. Threads: put side. Order: none. Since:
 * 0.2. */
int32_t rc_grant_info(rc_grant grant, rc_lease* lease);

/* Writes a grant down as bytes that may go to the peer by any way; whoever has them on the peer's end of this channel
 * has the access, nobody else has. By a token operations are carried, of a direct grant, too. Parameters: grant; token
 * - out, RC_TOKEN_BYTES bytes. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY. Blocks: no. Threads: put side.
 * Order: none. Since: 0.2. */
int32_t rc_grant_token(rc_grant grant, uint8_t token[RC_TOKEN_BYTES]);

/* Takes the next region that the peer has given back: one that it was granted, or had asked for, which is this end's
 * from now on and to be freed. Parameters: channel; timeout_ns; mr - out. Returns: RC_OK; RC_E_WOULD_BLOCK;
 * RC_E_TIMEOUT; RC_E_STOPPED; RC_E_UNSUPPORTED; RC_E_CLOSED, RC_E_PEER_DEAD (none is left); RC_E_NO_SPACE,
 * RC_E_NO_MEMORY (as rc_grant_revoke; it is still there to be taken); else as rc_get. Blocks: until one comes, and
 * while the slice of a direct grant is copied. Threads: get side. Order: as given back; what the peer wrote before is
 * in it. Since: 0.2. */
int32_t rc_mr_take_back(rc_channel channel, int64_t timeout_ns, rc_mr* mr);

/* Takes the next piece of memory that the peer has granted.
 * Parameters: channel; timeout_ns; remote - out. Returns: as rc_mr_take_back; RC_E_NO_DESCRIPTORS, RC_E_NO_MEMORY,
 * RC_E_NO_PERMISSION, RC_E_SYSTEM (a direct grant cannot be mapped now, and remote is its handle: repeat the call, or
 * refuse it by rc_remote_release and go on to those behind it); RC_E_CORRUPT (also: the peer's direct grant is not what
 * it says). Blocks: until one comes. Threads: get side. Order: as granted; one that is
 * revoked before it is taken is skipped. Since: 0.2. */
int32_t rc_remote_get(rc_channel channel, int64_t timeout_ns, rc_remote* remote);

/* Takes a piece of memory by its token. A forged token is noticed by the owner, when it is used.
 * Parameters: channel - the one whose other end gave the grant; token - RC_TOKEN_BYTES bytes; remote - out. Returns:
 * RC_OK; RC_E_INVALID (no token); RC_E_POOL (64 are open); else as rc_mr_grant. Blocks: no. Threads: put side. Order:
 * none. Since: 0.2. */
int32_t rc_remote_open(rc_channel channel, const uint8_t token[RC_TOKEN_BYTES], rc_remote* remote);

/* Asks the peer to make a zeroed region and to grant it, not directly; the peer's rc_config.peer_* rule, and its
 * program is not asked. Parameters: channel; bytes; rights; lease_ns - as rc_mr_grant; timeout_ns; remote - out.
 * Returns: RC_OK; RC_E_LIMIT (the peer's policy forbids it, the reason says which part of it; or the lease is too
 * long); RC_E_POOL (the peer's region pool or the grants are used up, or all requests are in flight); RC_E_SIZE (0
 * bytes); RC_E_INVALID; RC_E_WOULD_BLOCK, RC_E_TIMEOUT, RC_E_STOPPED: what comes too late is released; else as
 * rc_mr_grant. After the lease the peer frees the region when it needs the room, and a use of it is RC_E_EXPIRED before
 * that and afterwards. Blocks: until the peer has answered. Threads: put side. Order: as posted. Since: 0.2. */
int32_t rc_remote_alloc(rc_channel channel, uint64_t bytes, uint32_t rights, int64_t lease_ns, int64_t timeout_ns,
                        rc_remote* remote);

/* Tells what a piece of remote memory is, and how long it is still granted as far as this end knows.
 * Parameters: remote; lease - in: its size; out: the rest. Returns: RC_OK; RC_E_REVOKED; RC_E_HANDLE; RC_E_FORKED;
 * RC_E_BUSY; RC_E_CONFIG. Blocks: no. Threads: put side. Order: none. Since: 0.2. */
int32_t rc_remote_info(rc_remote remote, rc_lease* lease);

/* Gives a piece of remote memory back to its owner, who takes it with rc_mr_take_back.
 * Parameters: remote - the handle is an error after RC_OK; timeout_ns. Returns: RC_OK; RC_E_EXPIRED or RC_E_REVOKED
 * (the owner has it back already); RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY; RC_E_POOL (all requests are in flight);
 * RC_E_WOULD_BLOCK, RC_E_TIMEOUT, RC_E_STOPPED: it may have been given back or not, a later use tells; RC_E_CLOSED,
 * RC_E_PEER_DEAD, RC_E_CORRUPT, RC_E_CLOSING. Blocks: until the owner has answered. Threads: put side. Order: after all
 * operations posted before. Since: 0.2. */
int32_t rc_remote_give_back(rc_remote remote, int64_t timeout_ns);

/* Gives a piece of remote memory up: the grant ends, and a region made by rc_remote_alloc is freed.
 * Parameters: remote - the handle is an error from now on. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY;
 * RC_E_POOL (all requests are in flight; nothing was changed). Blocks: no. Threads: put side. Order: after all
 * operations posted before. Since: 0.2. */
int32_t rc_remote_release(rc_remote remote);

/* ------------------------------------------------------------------------------------------------- Operations */

/* Each operation is a request; how it ends is told once, to whoever waits for its handle with rc_request_wait, or by
 * the channel's completion queue if rc_request_queue has put it there. With request NULL nobody is told. The local
 * region cannot be freed before the request is over, and its bytes must not be changed before. Until its end has been
 * told a request counts as one in flight, so the completion queue has room for all of them and cannot overflow.
 *
 * A deadline of an operation is that of the wait: when it has passed, rc_request_cancel takes the request back, or says
 * that it is on its way (RC_E_STATE). Then nobody can call it back; it is over when the peer has answered, or when the
 * channel is, and the caller may wait again, put it into the completion queue, or close the channel. */

/* Writes bytes of a region into the peer's memory.
 * Parameters: mr, offset, bytes - the local slice, access RC_MR_READ; remote, remote_offset - where to; request - out
 * or NULL. Returns: RC_OK: it is posted; RC_E_RANGE; RC_E_RIGHTS (of the region, or of the grant); RC_E_REVOKED;
 * RC_E_EXPIRED (of a direct grant, or told by the owner before; else rc_request_wait says it);
 * RC_E_POOL (requests_max are in flight; direct over rdma: in 64 regions); direct over rdma, where the region cannot be
 * registered: RC_E_NO_MEMORY (ulimit -l), RC_E_IN_USE (it is granted directly over shm), RC_E_SYSTEM; RC_E_HANDLE;
 * RC_E_FORKED; RC_E_BUSY; RC_E_CLOSED; RC_E_PEER_DEAD; RC_E_CORRUPT; RC_E_NO_DEVICE, RC_E_SYSTEM (this end's device or
 * system ended the channel); RC_E_CLOSING. Blocks: no. Threads: put side. Order: as posted. Since: 0.2. */
int32_t rc_write(rc_mr mr, uint64_t offset, rc_remote remote, uint64_t remote_offset, uint64_t bytes,
                 rc_request* request);

/* Writes as rc_write does, then tells the peer a 32-bit value, which it takes with rc_imm_get.
 * Parameters: as rc_write; imm - the value. Returns: as rc_write; the request is over when the peer has taken the
 * value. Blocks: no. Threads: put side. Order: as posted; the bytes are there when the value is. Since: 0.2. */
int32_t rc_write_imm(rc_mr mr, uint64_t offset, rc_remote remote, uint64_t remote_offset, uint64_t bytes, uint32_t imm,
                     rc_request* request);

/* Reads bytes of the peer's memory into a region.
 * Parameters: mr, offset, bytes - the local slice, access RC_MR_WRITE; remote, remote_offset - where from; request -
 * out or NULL. Returns: as rc_write. Blocks: no. Threads: put side. Order: as posted, except that the bytes are those
 * of the moment in which the answer leaves. Since: 0.2. */
int32_t rc_read(rc_mr mr, uint64_t offset, rc_remote remote, uint64_t remote_offset, uint64_t bytes,
                rc_request* request);

/* Writes several slices, one behind the other, into the peer's memory: a gather list, one request.
 * Parameters: slices - read during the call only, none of them empty; count - 1..RC_SLICES_MAX; remote, remote_offset -
 * where the first byte goes; imm - NULL, or a value told as rc_write_imm does; request - out or NULL. Returns: as
 * rc_write, about all slices before any is held; RC_E_INVALID (slices NULL, count). Blocks: no. Threads: put side.
 * Order: as one rc_write or rc_write_imm of all bytes. Since: 0.2. */
int32_t rc_writev(const rc_slice* slices, uint32_t count, rc_remote remote, uint64_t remote_offset, const uint32_t* imm,
                  rc_request* request);

/* Reads bytes of the peer's memory into several slices, filling them in order: a scatter list, one request.
 * Parameters: slices - read during the call only, none of them empty; count - 1..RC_SLICES_MAX; remote, remote_offset -
 * where the first byte comes from; request - out or NULL. Returns: as rc_read; RC_E_INVALID (slices NULL, count).
 * Blocks: no. Threads: put side. Order: as one rc_read of all bytes. Since: 0.2. */
int32_t rc_readv(const rc_slice* slices, uint32_t count, rc_remote remote, uint64_t remote_offset, rc_request* request);

/* Puts desired in the place of a 64-bit word of the peer's memory if it holds expected; the request's value is what it
 * held. Atomic against other operations of this kind and against the owner's own 64-bit atomics. Parameters: remote,
 * remote_offset - the word, at a multiple of 8 of the owner's addresses; expected; desired; request - out or NULL.
 * Returns: as rc_write; the request may end with RC_E_ALIGNMENT. Blocks: no. Threads: put side. Order: as posted.
 * Since: 0.2. */
int32_t rc_compare_swap(rc_remote remote, uint64_t remote_offset, uint64_t expected, uint64_t desired,
                        rc_request* request);

/* Adds to a 64-bit word of the peer's memory; the request's value is what it held before.
 * Parameters: remote, remote_offset, request - as rc_compare_swap; addend - modulo 2^64. Returns: as rc_compare_swap.
 * Blocks: no. Threads: put side. Order: as posted. Since: 0.2. */
int32_t rc_fetch_add(rc_remote remote, uint64_t remote_offset, uint64_t addend, rc_request* request);

/* Takes the next value that the peer has told with rc_write_imm.
 * Parameters: channel; timeout_ns; imm - out. Returns: as rc_mr_take_back. Blocks: until one comes. Threads: get side.
 * Order: as posted. Since: 0.2. */
int32_t rc_imm_get(rc_channel channel, int64_t timeout_ns, uint32_t* imm);

/* Waits until a request is over and tells how it ended.
 * Parameters: request - the handle is an error once its end has been told; timeout_ns; value - out or NULL, what an
 * atomic's word held before. Returns: RC_OK; RC_E_EXPIRED, RC_E_REVOKED, RC_E_RIGHTS, RC_E_RANGE, RC_E_ALIGNMENT: the
 * owner refused and has changed nothing, except that a lease may end, or a revoke come, in the middle of a large write
 * or read; RC_E_CLOSED, RC_E_PEER_DEAD, RC_E_CORRUPT, RC_E_NO_DEVICE, RC_E_SYSTEM: the channel is over, and what has
 * been done of it is not known; RC_E_WOULD_BLOCK, RC_E_TIMEOUT, RC_E_STOPPED, RC_E_BUSY, RC_E_CLOSING: it is not over;
 * RC_E_STATE (it is in the completion queue); RC_E_HANDLE; RC_E_FORKED. Blocks: until it is over. Threads: put side.
 * Order: any request may be waited for first. Since: 0.2. */
int32_t rc_request_wait(rc_request request, int64_t timeout_ns, uint64_t* value);

/* Tells how a request ended, if it is over: rc_request_wait without waiting.
 * Parameters: request; value - out or NULL. Returns: as rc_request_wait. Blocks: no. Threads: put side. Order: any.
 * Since: 0.2. */
int32_t rc_request_test(rc_request request, uint64_t* value);

/* Waits until one of several requests of a channel is over and tells how it ended.
 * Parameters: requests, count - 1..1,024, all of one channel; timeout_ns; index - out, which one; value - out or NULL.
 * Returns: as rc_request_wait for that one; RC_E_INVALID (count, or another channel's request); RC_E_HANDLE (*index
 * tells the first that is none). Blocks: until one is over. Threads: put side. Order: the first one in the list that is
 * over. Since: 0.2. */
int32_t rc_request_wait_any(const rc_request* requests, uint32_t count, int64_t timeout_ns, uint32_t* index,
                            uint64_t* value);

/* Puts a request into the channel's completion queue: rc_completions_get tells how it ends, and nothing else does.
 * Parameters: request - may be over already; tag - comes back with the completion. Returns: RC_OK; RC_E_STATE (it is
 * there already); RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY. Blocks: no. Threads: put side. Order: none. Since: 0.2. */
int32_t rc_request_queue(rc_request request, uint64_t tag);

/* Takes completions from the channel's completion queue, or waits for the first. While one is there the descriptor of
 * rc_channel_fd is readable, and rc_poll names the channel. Parameters: channel; completions - out, room for
 * `capacity`; capacity - at least 1; timeout_ns; count - out, how many. Returns: RC_OK: there is at least one, and its
 * own code says how that request ended; RC_E_WOULD_BLOCK, RC_E_TIMEOUT (also if no request is in the queue);
 * RC_E_STOPPED; RC_E_INVALID; RC_E_UNSUPPORTED; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY; RC_E_CLOSING; RC_E_CLOSED,
 * RC_E_PEER_DEAD, RC_E_CORRUPT, RC_E_NO_DEVICE, RC_E_SYSTEM (the channel is over, and none is left). Blocks: until one
 * is there. Threads: put side. Order: as the requests ended; one that was over before rc_request_queue comes as queued.
 * Since: 0.2. */
int32_t rc_completions_get(rc_channel channel, rc_completion* completions, uint32_t capacity, int64_t timeout_ns,
                           uint32_t* count);

/* Takes a request back of which nothing has left yet; the completion queue does not tell it, either.
 * Parameters: request - the handle is an error after RC_OK. Returns: RC_OK: nothing of it will be done; RC_E_STATE (it
 * is on its way or over: wait for it); RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY. Blocks: no. Threads: put side. Order: none.
 * Since: 0.2. */
int32_t rc_request_cancel(rc_request request);

/* ------------------------------------------------------------------------------------------------- Looking at a
 * channel */

/* Gives a level-triggered descriptor for epoll, asio, tokio, io_uring: readable while a get, or a put that last came up
 * short, can make progress, while anything else waits to be taken (an immediate, a grant, a region given back, a
 * completion), and when the channel is over; over tcp and rdma also when it is time to find out whether a
 * silent peer is there (at most eight times per timeout_ms, never soon after a call). The first call makes it; from
 * then on gets and puts keep it up to date at some cost. Clear it by calling rc_try_get / rc_get_some / rc_try_put
 * until RC_E_WOULD_BLOCK, or by consuming all that is there. Parameters: channel; fd - out, owned by the channel: wait
 * on it, nothing else. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_NO_DESCRIPTORS; RC_E_NO_MEMORY; RC_E_NO_SPACE
 * (epoll watches); RC_E_SYSTEM; RC_E_UNSUPPORTED (attached memory, rdma that polls); RC_E_BUSY. Blocks: no. Threads:
 * while no other thread is in a call on the channel; from then on use it with one thread for both sides. Order: none.
 * Since: 0.1. */
int32_t rc_channel_fd(rc_channel channel, int32_t* fd);

/* Moves what can be moved without waiting. That is what operations of the peer ask for; over other backends than loop
 * and shm bytes too. Puts and gets do it by themselves, so this is for a program that does neither for a while.
 * Parameters: channel. Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY; RC_E_PEER_DEAD; RC_E_CLOSED;
 * RC_E_CORRUPT; RC_E_CLOSING. Blocks: no. Threads: get side. Order: none. Since: 0.1. */
int32_t rc_progress(rc_channel channel);

/* Tells what is known of the channel and of the peer.
 * Parameters: channel; info - in: its size; out: the rest, as much as fits.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_CONFIG (size is 0 or unknown).
 * Blocks: no. Threads: any. Order: none. Since: 0.1. */
int32_t rc_channel_info(rc_channel channel, rc_info* info);

/* Tells, of a channel over a list of transports, which one was taken and why those before it in the list were not.
 * Parameters: channel; text - out, capacity writable bytes; capacity - 640 is always enough.
 * Returns: RC_OK (also if it is no list: the text is ""); RC_E_HANDLE; RC_E_FORKED; RC_E_INVALID (NULL); RC_E_SIZE
 * (capacity too small; nothing is written). Blocks: no. Threads: any. Order: none. Since: 0.2. */
int32_t rc_channel_choice(rc_channel channel, char* text, size_t capacity);

/* Reads the channel's counters.
 * Parameters: channel; counters - in: its size; out: the rest.
 * Returns: RC_OK; RC_E_HANDLE; RC_E_FORKED; RC_E_CONFIG (size is 0 or unknown).
 * Blocks: no. Threads: any; the values of a running direction are approximate. Order: none. Since: 0.1. */
int32_t rc_channel_counters(rc_channel channel, rc_counters* counters);

/* Tells one figure of a channel by its name: ring_bytes, op_ring_bytes and op_requests (of both ends' wishes),
 * op_posted (writes, reads and atomics that this end has begun) and op_served (the peer's that this end has executed;
 * not direct ones, which its processor or NIC executes unseen); over tcp resends (segments that the system has sent
 * again); and over rdma, where verbs tell no resends of a queue pair, device_guid (as rc_device.guid), what was chosen
 * for each number of the URI, as the queue pair has it (access: 2 write, 4 read, 8 atomic), and what is counted:
 * requests (posted), doorbells, completions, receives, registrations (with the NIC, for direct grants and operations on
 * them), port_downs, port_ups, gid_changes; event is 1 for mode=event, path is 1 for path=send. Parameters: channel;
 * name - as in a URI; value - out. Returns: RC_OK; RC_E_INVALID (NULL, or there is no such figure: the reason lists
 * those that there are); RC_E_HANDLE; RC_E_FORKED; RC_E_BUSY. Blocks: no. Threads: get side. Order: none. Since: 0.2.
 */
int32_t rc_channel_figure(rc_channel channel, const char* name, int64_t* value);

/* ------------------------------------------------------------------------------------------------- Devices */

/* Describes one port of the machine's RDMA devices.
 * Parameters: index - from 0; device - in: its size; out: the rest, as much as fits.
 * Returns: RC_OK; RC_E_RANGE (there are not so many); RC_E_NO_DEVICE (no device, none that this process may open,
 * or no rdma-core; the reason says what to do); RC_E_CONFIG (size is 0 or unknown); RC_E_INVALID (NULL); RC_E_SYSTEM.
 * Blocks: no. Threads: any. Order: none. Since: 0.2. */
int32_t rc_device_info(uint32_t index, rc_device* device);

#ifdef __cplusplus
}
#endif

#endif /* RC_H_ */
