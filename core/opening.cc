// How listeners and channels of a context come to be, and how they end.
#include <string.h>

#include "core/context.h"
#include "core/mutex_lock.h"
#include "core/self.h"
#include "core/transports.h"

namespace rc {

// ----------------------------------------------------------------------------------------------------------------
// listeners

uint32_t Context::slot_of(const ListenPoint* point) const noexcept {
  auto at = static_cast<size_t>(reinterpret_cast<const uint8_t*>(point) - point_memory_);
  return static_cast<uint32_t>(at / point_stride());
}

ListenPoint* Context::take_point(const Backend* backend, const Uri& uri, const ChannelParams& params) noexcept {
  lock();
  uint32_t slot = listener_pool_.take();
  unlock();
  if (slot == SlotPool::kNone) {
    pool_full("listener", listener_pool_.size(), "listeners_max");
    return nullptr;
  }
  auto* point = reinterpret_cast<ListenPoint*>(point_memory_ + slot * point_stride());
  memset(static_cast<void*>(point), 0, point_stride());
  point->ops = backend;
  point->fd = -1;
  point->params = params;
  point->uri = uri;
  lock();
  point->next = points_;
  points_ = point;
  unlock();
  return point;
}

void Context::drop_point(ListenPoint* point) noexcept {
  lock();
  ListenPoint** p = &points_;
  while (*p != point) p = &(*p)->next;
  *p = point->next;
  listener_pool_.give(slot_of(point));
  unlock();
}

template <class Start>
Code Context::open_point(const char* text, const ChannelParams& params, Start start, uint64_t* id,
                         Id::Kind kind) noexcept {
  Uri uri;
  const Backend* backend = nullptr;
  Code code = parse_for_backend(text, &uri, &backend);
  if (code != kOk) return code;
  ListenPoint* point = take_point(backend, uri, params);
  if (point == nullptr) return kPool;
  code = start(point);
  if (code != kOk) {
    drop_point(point);
    return code;
  }
  uint32_t slot = slot_of(point);
  listeners_[slot].point = point;
  *id = Id::make(kind, Id::context(id_), slot, next_serial());
  listeners_[slot].id.store(*id, std::memory_order_release);
  return kOk;
}

Code Context::listen(const char* text, const ChannelParams& params, uint64_t* id) noexcept {
  return open_point(
      text, params, [this](ListenPoint* point) noexcept { return point->ops->listen(*this, point); }, id);
}

Code Context::open_endpoint(const char* text, const ChannelParams& params, void* blob, size_t* bytes,
                            uint64_t* id) noexcept {
  return open_point(
      text, params,
      [&](ListenPoint* point) noexcept { return point->ops->extras->open_endpoint(*this, point, blob, bytes); }, id);
}

Code Context::open_raw(const char* text, const ChannelParams& params, RawAddress* own, uint64_t* id) noexcept {
  return open_point(
      text, params, [&](ListenPoint* point) noexcept { return point->ops->extras->raw->open(*this, point, own); }, id,
      Id::kRaw);
}

template <class Fill>
Code Context::open_at_point(Listener* l, uint64_t listener_id, Fill fill, uint64_t* id) noexcept {
  if (l->inside.fetch_add(1, std::memory_order_seq_cst) != 0) {
    l->inside.fetch_sub(1, std::memory_order_release);
    return fail_plain(kBusy, "another thread is in a call that takes a client of this listener");
  }
  Code code = kClosing;
  if (l->id.load(std::memory_order_seq_cst) == listener_id) {  // pairs with close_listener: both exchange, then look
    ListenPoint* point = l->point;
    code = open_channel(
        point->ops->link_bytes, point->params.wait,
        [&](Link* link) noexcept {
          Code c = fill(point, link);
          if (c == kOk && link->uri[0] == '\0') memcpy(link->uri, point->uri.text, sizeof link->uri);
          return c;
        },
        id);
  }
  bool closing = l->id.load(std::memory_order_seq_cst) != listener_id;
  l->inside.fetch_sub(1, std::memory_order_release);
  if (code != kOk && closing) return fail_plain(kClosing, "the listener is being closed by another thread");
  return code;
}

Code Context::accept(Listener* l, uint64_t listener_id, int64_t timeout_ns, uint64_t* id) noexcept {
  return open_at_point(
      l, listener_id,
      [&](ListenPoint* point, Link* link) noexcept {
        Code c = point->ops->accept(*this, point, Deadline::after(timeout_ns), link);
        return c == kTimeout && timeout_ns == 0 ? fail_plain(kWouldBlock, "no client is waiting") : c;
      },
      id);
}

Code Context::connect_endpoint(Listener* l, uint64_t listener_id, const void* blob, size_t bytes, int64_t timeout_ns,
                               uint64_t* id) noexcept {
  return open_at_point(
      l, listener_id,
      [&](ListenPoint* point, Link* link) noexcept {
        link->ops = point->ops;
        return point->ops->extras->connect_endpoint(*this, point, blob, bytes, Deadline::after(timeout_ns), link);
      },
      id);
}

Code Context::close_listener(Listener* l, uint64_t id) noexcept {
  if (!l->id.compare_exchange_strong(id, 0, std::memory_order_seq_cst)) return Handles::refuse(id, "listener");
  ListenPoint* point = l->point;
  point->closing.store(true, std::memory_order_seq_cst);
  while (l->inside.load(std::memory_order_seq_cst) != 0) {
    point->ops->interrupt_accept(point);
    nap(-1, -1, kNapMinNs);
  }
  {
    // Who makes the context's descriptor either has seen the id gone, or is done with the fd.
    MutexLock lock(&ready_mutex_);
    forget_ready(point->fd);
  }
  point->ops->unlisten(*this, point);
  drop_point(point);
  return kOk;
}

// ----------------------------------------------------------------------------------------------------------------
// channels

Link* Context::link_of(uint32_t slot) noexcept { return reinterpret_cast<Link*>(links_ + slot * link_stride()); }

void Context::blank(Link* link, size_t bytes) noexcept {
  memset(static_cast<void*>(link), 0, bytes);
  link->fd[kGetSide] = link->fd[kPutSide] = link->common_fd = -1;
  link->peer_uid = -1;
}

template <class Fill>
Code Context::open_channel(size_t link_bytes, uint32_t wait, Fill fill, uint64_t* id) noexcept {
  lock();
  uint32_t slot = channel_pool_.take();
  unlock();
  if (slot == SlotPool::kNone) return pool_full("channel", channel_pool_.size(), "channels_max");
  Link* link = link_of(slot);
  blank(link, link_bytes);
  Code code = fill(link);
  if (code != kOk) {
    lock();
    channel_pool_.give(slot);
    unlock();
    return code;
  }
  *id = Id::make(Id::kChannel, Id::context(id_), slot, next_serial());
  channels_[slot].open(this, *id, link, wait);
  return kOk;
}

Code Context::connect(const char* text, const ChannelParams& params, int64_t timeout_ns, uint64_t* id) noexcept {
  Uri uri;
  const Backend* backend = nullptr;
  Code code = parse_for_backend(text, &uri, &backend);
  if (code != kOk) return code;
  return open_channel(
      backend->link_bytes, params.wait,
      [&](Link* link) noexcept {
        link->ops = backend;
        memcpy(link->uri, uri.text, sizeof link->uri);
        return backend->connect(*this, uri, params, Deadline::after(timeout_ns), link);
      },
      id);
}

Code Context::pursue(const char* text, const ChannelParams& params, int64_t timeout_ns, Pursuit* pursuit,
                     uint64_t* id) noexcept {
  Uri uri;
  Code code = parse_for_backend(text, &uri, &pursuit->ops);
  if (code != kOk) return code;
  return open_channel(
      pursuit->ops->link_bytes, params.wait,
      [&](Link* link) noexcept {
        link->ops = pursuit->ops;
        memcpy(link->uri, uri.text, sizeof link->uri);
        return pursuit->ops->pursue(*this, uri, params, Deadline::after(timeout_ns), pursuit, link);
      },
      id);
}

Code Context::attach(const AttachParams& params, uint64_t* id) noexcept {
  return open_channel(
      sizeof(AttachedLink), params.wait, [&](Link* link) noexcept { return attach_link(params, link); }, id);
}

Code Context::connect_self(uint32_t wait, uint64_t* id) noexcept {
  return open_channel(
      sizeof(Link), wait, [&](Link* link) noexcept { return self_link(*this, link); }, id);
}

Code Context::close_channel(Channel* channel, uint64_t id) noexcept {
  if (!channel->claim(id)) return Handles::refuse(id, "channel");
  Code code = channel->close();
  lock();
  channel_pool_.give(static_cast<uint32_t>(channel - channels_));
  unlock();
  return code;
}

}  // namespace rc
