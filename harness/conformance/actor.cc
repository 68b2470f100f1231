#include "harness/conformance/actor.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <random>

namespace conformance {
namespace {

rc_channel_config channel_config(const Call& call) {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.ring_bytes = call.ring_bytes;
  config.wait = call.wait;
  if (call.identity[0] != '\0') config.identity = call.identity;
  if (call.token[0] != '\0') config.token = call.token;
  return config;
}

// Follows a received piece with the pattern.
void check(Pattern* in, const Buffer& bytes, size_t done, Reply* reply) {
  size_t wrong = in->wrong(bytes.data(), done);
  if (reply->wrong == reply->done) reply->wrong += wrong;
  reply->done += done;
  in->move(done);
}

}  // namespace

Attached map_attached(const char* path, uint64_t ring_bytes, bool second) {
  Attached memory;
  memory.bytes = rc_attach_overhead() + ring_bytes;
  memory.mapped = (memory.bytes + 4095) / 4096 * 4096;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(2 * memory.mapped)) != 0) abort();
  off_t tx_at = second ? static_cast<off_t>(memory.mapped) : 0;
  off_t rx_at = second ? 0 : static_cast<off_t>(memory.mapped);
  memory.tx = mmap(nullptr, memory.mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, tx_at);
  memory.rx = mmap(nullptr, memory.mapped, PROT_READ, MAP_SHARED, fd, rx_at);
  if (memory.tx == MAP_FAILED || memory.rx == MAP_FAILED) abort();
  close(fd);
  return memory;
}

void unmap_attached(const Attached& memory) {
  if (memory.tx == nullptr) return;
  munmap(memory.tx, memory.mapped);
  munmap(const_cast<void*>(memory.rx), memory.mapped);
}

Actor::~Actor() { close(); }

void Actor::share(rc_ctx ctx) {
  ctx_ = ctx;
  shared_ = true;
}

int32_t Actor::open(const Call& call) {
  if (shared_) return RC_OK;
  close();
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = static_cast<uint32_t>(call.n);
  config.ring_bytes = call.ring_bytes;
  if (call.has_imm != 0) add_regions(&config);
  return rc_open(&config, &ctx_);
}

int32_t Actor::close() {
  int32_t code = RC_OK;
  if (shared_) {
    // The context lives on: close what was made in it.
    for (Slot& slot : slots_) {
      if (slot.channel.id != 0) rc_channel_close(slot.channel);
    }
    if (listener_.id != 0) rc_listener_close(listener_);
  } else if (ctx_.id != 0) {
    code = rc_close(ctx_);
    ctx_ = rc_ctx{0};
  }
  for (Slot& slot : slots_) slot = Slot{};
  listener_ = rc_listener{0};
  unmap_attached(attached_);
  attached_ = Attached{};
  if (peer_fd_ >= 0) ::close(peer_fd_);
  peer_fd_ = -1;
  return code;
}

int32_t Actor::attach(const Call& call, Slot& slot) {
  unmap_attached(attached_);  // of a channel before
  attached_ = map_attached(call.text, call.ring_bytes, true);
  rc_attach_config config = {};
  config.size = sizeof config;
  config.wait = call.wait;
  config.tx = attached_.tx;
  config.rx = attached_.rx;
  config.bytes = attached_.bytes;
  if (call.n != 0) {  // the process to watch
    if (peer_fd_ >= 0) ::close(peer_fd_);
    peer_fd_ = static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(call.n), 0));
    if (peer_fd_ < 0) abort();
    fcntl(peer_fd_, F_SETFD, FD_CLOEXEC);
    config.peer_fd = peer_fd_;
  }
  return rc_attach(ctx_, &config, &slot.channel);
}

int32_t Actor::make_channel(const Call& call, Slot& slot) {
  slot.out.restart();
  slot.in.restart();
  rc_channel_config config = channel_config(call);
  switch (call.op) {
    case Op::kAccept:
      return rc_accept(listener_, call.timeout_ns, &slot.channel);
    case Op::kConnect:
      return rc_connect(ctx_, call.text, &config, call.timeout_ns, &slot.channel);
    default:
      return attach(call, slot);
  }
}

int32_t Actor::put(const Call& call, Slot& slot, Reply* reply) {
  Buffer bytes = slot.out.next(call.n);
  size_t done = 0;
  int32_t code = call.op == Op::kPut ? rc_put(slot.channel, bytes.data(), call.n, call.timeout_ns, &done)
                                     : rc_put_more(slot.channel, bytes.data(), call.n, call.timeout_ns, &done);
  slot.out.move(done);
  reply->done = reply->wrong = done;
  return code;
}

int32_t Actor::get(const Call& call, Slot& slot, Reply* reply) {
  Buffer bytes(call.n);
  size_t done = 0;
  int32_t code;
  if (call.op == Op::kGet) {
    code = rc_get(slot.channel, bytes.data(), call.n, call.timeout_ns, &done);
  } else if (call.op == Op::kGetSome) {
    code = rc_get_some(slot.channel, bytes.data(), call.n, call.timeout_ns, &done);
  } else {
    code = rc_try_get(slot.channel, bytes.data(), call.n);
    done = code == RC_OK ? call.n : 0;
  }
  check(&slot.in, bytes, done, reply);
  return code;
}

int32_t Actor::put_pieces(const Call& call, Slot& slot, Reply* reply) {
  std::mt19937 random(call.seed);
  while (reply->done < call.n) {
    size_t piece = std::min<uint64_t>(1 + random() % call.piece, call.n - reply->done);
    Buffer bytes = slot.out.next(piece);
    size_t done = 0;
    int32_t code = rc_put(slot.channel, bytes.data(), piece, call.timeout_ns, &done);
    slot.out.move(done);
    reply->done += done;
    reply->wrong = reply->done;
    if (code != RC_OK) return code;
  }
  return RC_OK;
}

int32_t Actor::get_pieces(const Call& call, Slot& slot, Reply* reply) {
  std::mt19937 random(call.seed);
  while (reply->done < call.n) {
    size_t piece = std::min<uint64_t>(1 + random() % call.piece, call.n - reply->done);
    Buffer bytes(piece);
    size_t done = 0;
    int32_t code = rc_get(slot.channel, bytes.data(), piece, call.timeout_ns, &done);
    check(&slot.in, bytes, done, reply);
    if (code != RC_OK) return code;
  }
  return RC_OK;
}

int32_t Actor::echo(const Call& call, Slot& slot, Reply* reply) {
  Buffer bytes(call.piece);
  while (reply->done < call.n) {
    size_t piece = std::min<uint64_t>(call.piece, call.n - reply->done);
    int32_t code = rc_get(slot.channel, bytes.data(), piece, call.timeout_ns, nullptr);
    if (code != RC_OK) return code;
    check(&slot.in, bytes, piece, reply);
    code = rc_put(slot.channel, bytes.data(), piece, call.timeout_ns, nullptr);
    if (code != RC_OK) return code;
  }
  return RC_OK;
}

int32_t Actor::send(const Call& call, Slot& slot, Reply* reply) {
  Buffer bytes = slot.out.next(call.n);
  size_t done = 0;
  int32_t code =
      rc_send(slot.channel, bytes.data(), call.n, call.has_imm != 0 ? &call.imm : nullptr, call.timeout_ns, &done);
  reply->done = reply->wrong = done;
  if (code == RC_OK) slot.out.move(call.n);
  return code;
}

int32_t Actor::recv(const Call& call, Slot& slot, Reply* reply) {
  Buffer bytes(call.n);
  size_t n = 0;
  int32_t code = rc_recv(slot.channel, bytes.data(), call.n, &n, &reply->imm, &reply->has_imm, call.timeout_ns);
  if (code == RC_OK) {
    check(&slot.in, bytes, n, reply);
  } else {
    reply->value = n;
  }
  return code;
}

int32_t Actor::look(const Call& call, Slot& slot, Reply* reply) {
  if (call.op == Op::kReady) {
    size_t readable = 0, writable = 0;
    int32_t code = rc_ready(slot.channel, &readable, &writable);
    reply->done = reply->wrong = readable;
    reply->value = writable;
    return code;
  }
  rc_info info = {};
  info.size = sizeof info;
  int32_t code = rc_channel_info(slot.channel, &info);
  snprintf(reply->text, sizeof reply->text, "%s", info.identity);
  reply->value = static_cast<uint64_t>(info.peer_pid);
  return code;
}

int32_t Actor::act_on(const Call& call, Slot& slot, Reply* reply) {
  switch (call.op) {
    case Op::kOpen:
      return open(call);
    case Op::kClose:
      return close();
    case Op::kStop:
      return rc_stop(ctx_);
    case Op::kListen: {
      rc_channel_config config = channel_config(call);
      return rc_listen(ctx_, call.text, &config, &listener_);
    }
    case Op::kCloseListener:
      return rc_listener_close(listener_);
    case Op::kAccept:
    case Op::kConnect:
    case Op::kAttach:
      return make_channel(call, slot);
    case Op::kCloseChannel:
      return rc_channel_close(slot.channel);
    case Op::kPut:
    case Op::kPutMore:
      return put(call, slot, reply);
    case Op::kFlush:
      return rc_flush(slot.channel);
    case Op::kSync:
      return rc_sync(slot.channel, call.timeout_ns);
    case Op::kGet:
    case Op::kGetSome:
    case Op::kTryGet:
      return get(call, slot, reply);
    case Op::kPutPieces:
      return put_pieces(call, slot, reply);
    case Op::kGetPieces:
      return get_pieces(call, slot, reply);
    case Op::kEcho:
      return echo(call, slot, reply);
    case Op::kSend:
      return send(call, slot, reply);
    case Op::kRecv:
      return recv(call, slot, reply);
    case Op::kReady:
    case Op::kInfo:
      return look(call, slot, reply);
    case Op::kProgress:
      return rc_progress(slot.channel);
    case Op::kExit:
      _exit(0);
    default:
      return slot.memory.act(ctx_, slot.channel, call, reply);
  }
  return RC_E_INVALID;
}

Reply Actor::act(const Call& call) {
  Reply reply;
  reply.code = act_on(call, slots_[call.slot % kSlots], &reply);
  if (reply.code != RC_OK) snprintf(reply.reason, sizeof reply.reason, "%s", rc_reason());
  return reply;
}

}  // namespace conformance
