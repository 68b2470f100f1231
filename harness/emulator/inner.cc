#include "harness/emulator/inner.h"

#include <string.h>

#include <new>

namespace rc {
namespace {

Code check_room(const Backend& inner) noexcept {
  if (inner.link_bytes <= kInnerLinkBytes && inner.listen_bytes <= kInnerPointBytes) return kOk;
  return fail(kUnsupported, "the objects of %s are larger than a wrapper has room for", inner.scheme);
}

// The same place in the inner backend's words: no query, and the text as the user gave it, for messages.
void inner_uri(const Backend& inner, const Uri& outer, Uri* uri) noexcept {
  *uri = outer;
  strcpy(uri->scheme, inner.scheme);
  uri->query[0] = '\0';
}

void start_link(const Link* outer, const Backend& inner, Link* link) noexcept {
  if (link != outer) *link = *outer;  // what follows in the inner backend's own struct is zero already
  link->ops = &inner;
}

// The inner point follows its wrapper in the context's list, so that an inner backend that searches the list finds it.
void join_list(Context& context, WrappingPoint* point) noexcept {
  context.lock();
  point->inner()->next = point->next;
  point->next = point->inner();
  context.unlock();
}

void leave_list(Context& context, WrappingPoint* point) noexcept {
  context.lock();
  point->next = point->inner()->next;
  context.unlock();
}

}  // namespace

Code listen_inside(Context& context, const Backend& inner, WrappingPoint* point) noexcept {
  Code code = check_room(inner);
  if (code != kOk) return code;
  ListenPoint* in = point->inner();
  in->ops = &inner;
  in->fd = -1;
  in->params = point->params;
  inner_uri(inner, point->uri, &in->uri);
  join_list(context, point);
  code = inner.listen(context, in);
  if (code != kOk) leave_list(context, point);
  point->fd = in->fd;
  return code;
}

void interrupt_accept_inside(WrappingPoint* point) noexcept {
  point->inner()->closing.store(true, std::memory_order_release);  // pairs with the acquire in the inner accept
  point->inner()->ops->interrupt_accept(point->inner());
}

void unlisten_inside(Context& context, WrappingPoint* point) noexcept {
  point->inner()->ops->unlisten(context, point->inner());
  leave_list(context, point);
}

Code accept_inside(Context& context, WrappingPoint* point, Deadline deadline, const Link* outer, Link* link) noexcept {
  start_link(outer, *point->inner()->ops, link);
  return link->ops->accept(context, point->inner(), deadline, link);
}

Code connect_inside(Context& context, const Backend& inner, const Uri& uri, const ChannelParams& params,
                    Deadline deadline, const Link* outer, Link* link) noexcept {
  Code code = check_room(inner);
  if (code != kOk) return code;
  Uri place;
  inner_uri(inner, uri, &place);
  start_link(outer, inner, link);
  return inner.connect(context, place, params, deadline, link);
}

void abandon(Context& context, Link* inner) noexcept {
  inner->outbox->getter.store(kClosedBit, std::memory_order_release);  // pairs with the acquire in Channel::ended
  inner->ops->ring(inner, kGetSide);
  inner->ops->ring(inner, kPutSide);
  inner->ops->close(context, inner);
}

void take_over(const Link& inner, Inbox* outbox, Link* link) noexcept {
  const Backend* ops = link->ops;
  *link = inner;
  link->ops = ops;
  link->outbox = outbox;
  link->direct = false;
  link->fd[kGetSide] = link->fd[kPutSide] = -1;  // each side naps: somebody must call for anything to land
}

}  // namespace rc
