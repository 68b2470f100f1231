#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/rdma/endpoint.h"
#include "backends/rdma/shared_queues.h"
#include "core/descriptors.h"
#include "core/mutex_lock.h"

namespace rc {
namespace {

constexpr int kSortedAtOnce = 32;

// ----------------------------------------------------------------------------------------------------------------
// making

void destroy_queues(SharedQueues* shared) noexcept {
  for (ibv_cq*& queue : shared->queues) {
    if (queue != nullptr) g_verbs.destroy_cq(queue);
    queue = nullptr;
  }
  if (shared->channel != nullptr) g_verbs.destroy_comp_channel(shared->channel);
  shared->channel = nullptr;
}

Code make_queues(SharedQueues* shared, ibv_context* verbs, uint32_t entries) noexcept {
  shared->channel = g_verbs.create_comp_channel(verbs);
  if (shared->channel == nullptr) return fail_errno(kSystem, "making a completion channel", errno);
  if (!nonblocking(shared->channel->fd)) return fail_errno(kSystem, "fcntl of a completion channel", errno);
  for (ibv_cq*& queue : shared->queues) {
    Code code = make_queue(verbs, entries, shared->channel, &queue);
    if (code != kOk) return code;
  }
  shared->entries = entries;
  return kOk;
}

Code check_room(const SharedQueues* shared, uint32_t sends, uint32_t receives) noexcept {
  uint32_t sends_left = shared->entries - shared->claimed[kSends];
  uint32_t receives_left = shared->entries - shared->claimed[kReceives];
  if (sends <= sends_left && receives <= receives_left) return kOk;
  return fail(kPool,
              "cq=shared: of %u entries %u are left for sends and %u for receives, this connection can fill %u and %u; "
              "give the first one a larger cq_depth, this one smaller depths, or cq=own",
              shared->entries, sends_left, receives_left, sends, receives);
}

void end_seat(Seat* seat) noexcept {
  if (seat->set >= 0) close(seat->set);
  if (seat->fd >= 0) close(seat->fd);
  munmap(seat, seat->bytes);
}

Code make_seat(const SharedQueues* shared, uint32_t sends, uint32_t receives, Seat** to) noexcept {
  size_t bytes = sizeof(Seat) + (size_t{sends} + receives) * sizeof(ibv_wc);
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return fail_errno(kNoMemory, "memory for completions", errno);
  auto* seat = static_cast<Seat*>(at);
  auto* first = reinterpret_cast<ibv_wc*>(seat + 1);
  seat->bytes = bytes;
  seat->piles[kSends] = {first, sends, 0, 0};
  seat->piles[kReceives] = {first + sends, receives, 0, 0};
  seat->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  seat->set = epoll_create1(EPOLL_CLOEXEC);
  if (seat->fd < 0 || seat->set < 0 || !watch(seat->set, seat->fd) || !watch(seat->set, shared->channel->fd)) {
    Code code = fail_errno(kSystem, "descriptors for completions", errno);
    end_seat(seat);
    return code;
  }
  *to = seat;
  return kOk;
}

// ----------------------------------------------------------------------------------------------------------------
// sorting

Seat** list_of(SharedQueues* shared, uint32_t number) noexcept {
  return &shared->seated[number % SharedQueues::kLists];
}

void ring(Seat* seat) noexcept {
  uint64_t one = 1;
  if (!seat->rung) seat->rung = write(seat->fd, &one, sizeof one) == sizeof one;
}

void drop_ring(Seat* seat) noexcept {
  uint64_t count;
  if (seat->rung) seat->rung = read(seat->fd, &count, sizeof count) < 0;
}

// The owner's descriptor becomes readable also if it is the owner who takes it: the event that would have woken another
// of its threads may be dropped by anybody.
void give(SharedQueues* shared, Which which, const ibv_wc& wc) noexcept {
  Seat* seat = *list_of(shared, wc.qp_num);
  while (seat != nullptr && seat->number != wc.qp_num) seat = seat->next;
  if (seat == nullptr) return;
  Pile* pile = &seat->piles[which];
  if (pile->waiting() == pile->capacity) return;  // a device that completes what was not posted
  pile->of[pile->come++ % pile->capacity] = wc;
  ring(seat);
}

// Empties the queue of what it holds by now, or until that pile has enough; < 0: polling has failed.
int sort(SharedQueues* shared, Which which, const Pile* pile = nullptr, uint32_t enough = 0) noexcept {
  uint32_t sorted = 0;
  for (int n = kSortedAtOnce; n == kSortedAtOnce && sorted < shared->entries;) {
    if (pile != nullptr && pile->waiting() >= enough) return 0;
    ibv_wc wc[kSortedAtOnce];
    n = ibv_poll_cq(shared->queues[which], kSortedAtOnce, wc);
    if (n < 0) return n;
    for (int i = 0; i < n; ++i) give(shared, which, wc[i]);
    sorted += static_cast<uint32_t>(n);
  }
  return 0;
}

}  // namespace

Code take_seat(SharedQueues* shared, ibv_context* verbs, uint32_t entries, uint32_t sends, uint32_t receives,
               Seat** seat) noexcept {
  MutexLock lock(&shared->mutex);
  Code code = shared->seats == 0 ? make_queues(shared, verbs, entries) : kOk;
  if (code == kOk) code = check_room(shared, sends, receives);
  if (code == kOk) code = make_seat(shared, sends, receives, seat);
  if (code != kOk) {
    if (shared->seats == 0) destroy_queues(shared);
    return code;
  }
  shared->claimed[kSends] += sends;
  shared->claimed[kReceives] += receives;
  ++shared->seats;
  return kOk;
}

void sit_down(SharedQueues* shared, Seat* seat, const ibv_qp* qp) noexcept {
  MutexLock lock(&shared->mutex);
  Seat** list = list_of(shared, qp->qp_num);
  seat->number = qp->qp_num;
  seat->next = *list;
  *list = seat;
}

int take_shared(SharedQueues* shared, Seat* seat, Which which, int most, ibv_wc* to) noexcept {
  MutexLock lock(&shared->mutex);
  Pile* pile = &seat->piles[which];
  int error = sort(shared, which, pile, static_cast<uint32_t>(most));
  int n = 0;
  for (; n < most && pile->waiting() != 0; ++n) to[n] = pile->of[pile->taken++ % pile->capacity];
  return n != 0 ? n : error;
}

// From the first time on each queue is armed, or has an event in the channel: nobody drops one without arming both
// again and sorting what had come before (R7).
void arm_shared(SharedQueues* shared, Seat* seat) noexcept {
  MutexLock lock(&shared->mutex);
  ibv_cq* queue = nullptr;
  void* unused = nullptr;
  while (g_verbs.get_cq_event(shared->channel, &queue, &unused) == 0) g_verbs.ack_cq_events(queue, 1);
  for (Which which : kBothQueues) {
    ibv_req_notify_cq(shared->queues[which], 0);
    sort(shared, which);
  }
  drop_ring(seat);
}

void leave_seat(SharedQueues* shared, Seat* seat, ibv_qp* qp) noexcept {
  MutexLock lock(&shared->mutex);
  if (qp != nullptr) g_verbs.destroy_qp(qp);
  for (Which which : kBothQueues) {
    sort(shared, which);
    shared->claimed[which] -= seat->piles[which].capacity;
  }
  Seat** at = list_of(shared, seat->number);
  while (*at != nullptr && *at != seat) at = &(*at)->next;
  if (*at != nullptr) *at = seat->next;
  end_seat(seat);
  if (--shared->seats == 0) destroy_queues(shared);
}

}  // namespace rc
#endif
