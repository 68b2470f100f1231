// What the two ends of an RDMA connection tell each other before there is a channel (PROTOCOL.md "RDMA"): a card in the
// private data of rdma_cm, then hellos by SEND. Everything in them is peer input.
#ifndef BACKENDS_RDMA_PARLEY_H_
#define BACKENDS_RDMA_PARLEY_H_

#include <stddef.h>
#include <stdint.h>

#include "core/hello.h"
#include "core/result.h"

namespace rc {

// In the private data of connect, accept and reject, of which the smallest has room for 56 bytes.
struct Card {
  uint64_t magic;
  uint32_t version;  // kWireVersion
  int32_t code;      // of a reject
  uint64_t layout;
  uint32_t mtu;   // the most the speaker can do, in bytes; the answer's is agreed
  uint32_t path;  // the speaker's; both ends must have the same
};
static_assert(sizeof(Card) <= 56);

inline constexpr uint32_t kMtuLeast = 256;
inline constexpr uint32_t kMtuMost = 4096;

Card make_card(Code code, uint32_t path, uint32_t mtu = kMtuMost) noexcept;
// Magic, version, layout, MTU and whether there is such a path. bytes: of private data, which may be padded.
Code check_card(const void* data, size_t bytes, Card* card) noexcept;

constexpr bool is_mtu(uint64_t bytes) noexcept {
  return bytes >= kMtuLeast && bytes <= kMtuMost && (bytes & (bytes - 1)) == 0;
}

struct RdmaHello {
  Hello hello;
  // kOffer and kAccept: the speaker's inbox, and how many receives it has posted; 0: it polls. path=send: no inbox, and
  // how many slots it has at most.
  uint64_t inbox;
  uint32_t rkey;
  uint32_t receives;
};
static_assert(sizeof(RdmaHello) == 352);

// What an endpoint without rdma_cm says of itself (exchange.cc).
struct EndpointBlob {
  RdmaHello hello;  // kAsk
  uint64_t ring_bytes_max;
  uint32_t qp_num;
  uint32_t psn;
  uint32_t mtu;
  uint32_t lid;
  uint8_t gid[16];
  uint32_t dest_rd_atomic;  // READs and atomics of the peer's that it answers at a time
  uint32_t path;            // both ends must have the same
  uint64_t seal;            // of all before it
};
static_assert(sizeof(EndpointBlob) == 408);

Code check_rdma_hello(const RdmaHello& hello, size_t bytes, Hello::Kind kind) noexcept;
// Of a kOffer or kAccept that passed check_rdma_hello: whether rings of so many bytes can lie there.
Code check_inbox(const RdmaHello& hello, uint64_t rings_bytes) noexcept;
// With path=send: whether it has posted enough.
Code check_slots(const RdmaHello& hello) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_PARLEY_H_
