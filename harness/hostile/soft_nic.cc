#include "harness/hostile/soft_nic.h"

namespace hostile {

std::unique_ptr<SoftNic> g_nic;  // NOLINT: a test makes it

namespace {

const rc::Backend* g_real;  // what the links had before

rc::Code share(rc::Link*, uint64_t, uint32_t, rc::Share* s) noexcept;
rc::Code unshare(rc::Share* s) noexcept {
  SoftNic& nic = *g_nic;
  std::unique_lock<std::mutex> lock(nic.mutex);
  nic.deregistering = true;
  nic.changed.notify_all();
  if (nic.waits_for_close) {  // an end that does not wait for this closes its link now
    nic.changed.wait_for(lock, std::chrono::milliseconds(300), [&] { return nic.closed; });
    nic.closed_meanwhile = nic.closed;
  }
  ++nic.deregistered;
  nic.changed.notify_all();
  *s = rc::Share{};
  return rc::kOk;
}
rc::Code reach(rc::Link*, uint64_t, uint64_t, uint32_t, uint8_t**) noexcept {
  return g_nic->registers ? rc::kOk : rc::fail_plain(rc::kNoMemory, "no memory may be locked");
}
rc::NicRegion* find(rc::Link*, uint64_t) noexcept { return g_nic->knows ? &g_nic->region : nullptr; }
rc::Code enter(rc::Link*, rc::Regions*, uint64_t, rc::NicRegion** known) noexcept {
  ++g_nic->entered;
  g_nic->knows = g_nic->enters == rc::kOk;
  *known = &g_nic->region;
  return g_nic->enters == rc::kOk ? rc::kOk : rc::fail_plain(g_nic->enters, "no memory may be locked");
}
void forget(rc::Link*, uint64_t) noexcept {}
bool news(const rc::Link* link) noexcept { return !link->direct; }
rc::Code operate(rc::Link* link, const rc::NicWork& work, uint64_t* posted, uint64_t* ticket) noexcept {
  SoftNic& nic = *g_nic;
  if (nic.room == 0) return rc::kWouldBlock;
  if (nic.refusals > 0) {
    --nic.refusals;
    return rc::kWouldBlock;
  }
  if (nic.room != kAnyRoom) --nic.room;
  *posted = work.bytes;
  *ticket = ++nic.posted;
  if (nic.completes) nic.completed = nic.posted;
  auto* there = reinterpret_cast<uint8_t*>(work.address);
  if (work.type == rc::kOpAdd) {
    ++nic.atomics;
    link->landings[work.request] = __atomic_fetch_add(reinterpret_cast<uint64_t*>(there), work.value, __ATOMIC_SEQ_CST);
  } else if (work.type == rc::kOpWrite) {
    memcpy(there, work.at, work.bytes);
  }  // else it does not come to that
  return rc::kOk;
}
bool done(rc::Link*, uint64_t ticket) noexcept { return g_nic->completed >= ticket; }
void halt(rc::Link*) noexcept { ++g_nic->halts; }
rc::Code alive(rc::Link* link, rc::Side side) noexcept {
  rc::Code code = g_nic->broken;
  if (code == rc::kOk) return g_real->alive(link, side);
  link->why.set("the device is gone");
  return code;
}
bool delivered(rc::Link*) noexcept { return g_nic->delivers; }
void close_link(rc::Context& context, rc::Link* link) noexcept {
  {
    std::lock_guard<std::mutex> lock(g_nic->mutex);
    g_nic->closed = true;
    g_nic->changed.notify_all();
  }
  link->ops = g_real;
  g_real->close(context, link);
}

const rc::NicTable kNic = {true, find, enter, forget, news, operate, done, halt};
const rc::Extras kExtras = {rc::no_figures, rc::no_device, rc::no_endpoint, rc::no_connection, share,
                            unshare,        reach,         rc::no_unreach,  &rc::kNoRaw,       &kNic};

rc::Code share(rc::Link*, uint64_t, uint32_t, rc::Share* s) noexcept {
  if (!g_nic->shares) return rc::fail_plain(rc::kNoMemory, "no memory may be locked");
  s->address = reinterpret_cast<uintptr_t>(s->at);
  s->key = 7;
  s->by = &kExtras;
  return rc::kOk;
}

}  // namespace

std::unique_ptr<rc::Backend> with_nic(const rc::Backend* real) {
  g_real = real;
  return std::make_unique<rc::Backend>(rc::Backend{real->scheme, real->link_bytes, real->listen_bytes, real->listen,
                                                   real->interrupt_accept, real->unlisten, real->accept, real->connect,
                                                   close_link, real->post, real->progress, delivered, alive, real->ring,
                                                   real->interrupt, real->reach, &kExtras});
}

}  // namespace hostile
