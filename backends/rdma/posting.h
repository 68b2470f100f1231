// What one post is made of: WRITEs of ring bytes, sealed words, notes.
#ifndef BACKENDS_RDMA_POSTING_H_
#define BACKENDS_RDMA_POSTING_H_

#include "backends/rdma/link.h"

namespace rc {

// Places in the send queue for words that must find room.
inline constexpr uint32_t kSendReserve = 8;
// Receives of the peer that puts leave for credits, and both for the word that tells of receives.
inline constexpr uint64_t kPutReserve = 16;
inline constexpr uint64_t kCreditReserve = 8;

inline uint64_t room(const RdmaLink* link) noexcept { return link->e.send_depth - (link->posted - link->completed); }
// Receives of the peer that no WRITE of ours has been posted for. What it says is peer input.
uint64_t peer_receives(RdmaLink* link) noexcept;

// The chain of one post.
struct Chain {
  ibv_send_wr wr[kWritesMost];
  ibv_sge from[kWritesMost];
  uint32_t n;
  Sealed tail[2];  // and what was taken
};

// One WRITE more, to that place in the peer's inbox.
ibv_send_wr* add(RdmaLink* link, Chain* chain, uint64_t offset) noexcept;
// So many WRITEs a request is.
uint64_t writes_of(const RdmaLink* link, const WorkRequest& r) noexcept;
// Ring bytes, in as many WRITEs as the device wants.
void add_span(RdmaLink* link, Chain* chain, const WorkRequest& r) noexcept;
// A word, sealed: inline, or from its place in the staging memory. That is the place of the request in the queue, so
// there must be room for the request first. Wakes the peer if it sleeps.
void add_word(RdmaLink* link, Chain* chain, const void* word, uint64_t letter) noexcept;
// The queue was full. Whoever asked may sleep next, without another look: then the next completion must make an event.
void ask_for_completions(RdmaLink* link) noexcept;
// Takes send completions, about `most`; true: there were some.
bool reap_sends(RdmaLink* link, uint32_t most) noexcept;
// Whether no READ or atomic is under way any more, well done or failed.
bool fetches_are_back(RdmaLink* link) noexcept;
// One doorbell for n requests that hang together.
Code post_chain(RdmaLink* link, ibv_send_wr* first, uint32_t n, bool signal) noexcept;
Code ring_doorbell(RdmaLink* link, Chain* chain, bool signal) noexcept;

// Notes (R2).
// True: this credit need not go before the next put. `holds` ends when it has gone with one, or in rdma_alive.
bool hold(RdmaLink* link, const WorkRequest& r) noexcept;
// A small put to a peer that has taken all before it, so the last note too: there is one place for them.
bool is_note(const RdmaLink* link, const WorkRequest* requests, uint32_t n) noexcept;
void post_note(RdmaLink* link, const WorkRequest* requests) noexcept;
// Behind a put that is no note.
void add_held_credit(RdmaLink* link, Chain* chain) noexcept;
// A letter and a note that both came since the last look do not tell which was later: the farther one was.
void take_credit(RdmaLink* link, uint64_t credit) noexcept;
// What it says lands where the WRITEs of a put would have put it.
void take_note(RdmaLink* link) noexcept;

// path=send (R8): all of it, and no other of these.
void begin_two_sided(RdmaLink* link) noexcept;
// Of core's: they are owed from now on. There is always room: the bytes stay where they are, in the outbox.
void add_requests(RdmaLink* link, const WorkRequest* requests, uint32_t n) noexcept;
// Sends what is owed, as far as there is room and the peer has slots.
void send_messages(RdmaLink* link) noexcept;
// One has come: stores it into the inbox and posts its slot again.
void take_message(RdmaLink* link, const ibv_wc& wc) noexcept;
// Says nothing, but completes, as soon as a slot is left for it.
void send_probe(RdmaLink* link) noexcept;

// Words for which there was no room.
Owed owed_for(uint64_t offset) noexcept;
// Writes what is owed, as far as there is room.
void pay(RdmaLink* link) noexcept;

}  // namespace rc

#endif  // BACKENDS_RDMA_POSTING_H_
