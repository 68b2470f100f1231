#include "harness/conformance/pair.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "harness/conformance/memory_actor.h"

namespace conformance {

Holdings holdings() {
  Holdings held;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++held.descriptors;
  closedir(folder);
  FILE* maps = fopen("/proc/self/maps", "re");
  char line[512];
  while (fgets(line, sizeof line, maps) != nullptr) held.memory_files += strstr(line, "memfd:") != nullptr;
  fclose(maps);
  return held;
}

void Pair::SetUp() {
  fars_.push_back(hire());
  before_ = holdings();
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 2 * kChannels;
  config.ring_bytes = kRingMax;
  if (has_regions()) add_regions(&config);
  ASSERT_RC(RC_OK, rc_open(&config, &ctx_));
  open(far(), ctx_);
  if (!backend().attached) uri_ = backend().make_uri();
}

void Pair::look_rarely() {
  if (uri_.rfind(std::string(backend().scheme) + "://", 0) == 0)
    uri_ += std::string(uri_.find('?') != std::string::npos ? "&" : "?") + "timeout_ms=600000";
}

void Pair::TearDown() {
  // A test that gave up has not heard what its far end has to say.
  for (auto& far : fars_) {
    if (!far->pending()) continue;
    Reply reply = far->finish();
    ADD_FAILURE() << "the far end returned " << rc_code_name(reply.code) << " after " << reply.done
                  << " bytes, of which byte " << reply.wrong << " is the first wrong one; " << reply.reason;
  }
  // Here, the far ends go too before the counting; in another process it is theirs what they hold. A shared context
  // must see its far channels closed before it goes.
  if (!backend().other_process) {
    for (auto& far : fars_) far->call(Call{Op::kClose});
  }
  if (ctx_.id != 0) {
    EXPECT_RC(RC_OK, rc_close(ctx_));
  }
  unmap_attached(attached_);
  if (peer_fd_ >= 0) close(peer_fd_);
  Holdings after = holdings();
  EXPECT_EQ(before_.descriptors, after.descriptors) << "descriptors are left open";
  EXPECT_EQ(before_.memory_files, after.memory_files) << "memory files are left mapped";
}

std::unique_ptr<Far> Pair::hire() {
  Holdings without = holdings();
  auto far = make_far(backend().other_process);
  // Its control descriptor stays.
  before_.descriptors += holdings().descriptors - without.descriptors;
  return far;
}

void Pair::open(Far& far, rc_ctx shared) {
  if (backend().one_context) return far.share(shared);
  Call open{Op::kOpen};
  open.n = kChannels;
  open.ring_bytes = kRingMax;
  open.has_imm = has_regions() ? 1 : 0;
  ASSERT_FAR(RC_OK, 0u, far.call(open));
}

Far& Pair::far(size_t i) {
  while (fars_.size() <= i) {
    fars_.push_back(hire());
    open(*fars_.back(), ctx_);
  }
  return *fars_[i];
}

rc_channel_config Pair::near_config(uint64_t ring_bytes) {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.ring_bytes = ring_bytes;
  config.wait = backend().wait;
  return config;
}

void Pair::connect(uint64_t ring_bytes) {
  out_.restart();
  in_.restart();
  if (backend().attached) {
    attach(ring_bytes);
  } else {
    ch_ = meet(0, 0, ring_bytes);
  }
}

void Pair::disconnect() {
  EXPECT_RC(RC_OK, rc_channel_close(ch_));
  EXPECT_FAR(RC_OK, 0u, far().close_channel());
}

rc_channel Pair::connect_another(size_t which_far, uint32_t slot, uint64_t ring_bytes) {
  return meet(which_far, slot, ring_bytes);
}

Reply Pair::refused_client(rc_listener listener, const Call& connect) {
  rc_channel none{0};
  Doing accepting([&] { return rc_accept(listener, kPatience, &none); });
  Reply reply = far().call(connect);
  accepting.wait_until_inside();
  EXPECT_RC(RC_OK, rc_listener_close(listener));
  EXPECT_DONE(RC_E_CLOSING, accepting);
  return reply;
}

void Pair::listen_or_tell_far() {
  // The listener takes what its clients ask for.
  if (backend().near_listens) {
    if (listener_.id != 0) return;
    rc_channel_config config = near_config();
    ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), &config, &listener_));
  } else if (!far_listens_) {
    Call listen{Op::kListen};
    snprintf(listen.text, sizeof listen.text, "%s", uri_.c_str());
    ASSERT_FAR(RC_OK, 0u, far().call(listen));
    far_listens_ = true;
  }
}

rc_channel Pair::meet(size_t which_far, uint32_t slot, uint64_t ring_bytes) {
  listen_or_tell_far();
  rc_channel channel{0};
  Call call{backend().near_listens ? Op::kConnect : Op::kAccept};
  call.slot = slot;
  call.ring_bytes = ring_bytes;
  snprintf(call.text, sizeof call.text, "%s", uri_.c_str());
  far(which_far).start(call);
  if (backend().near_listens) {
    EXPECT_RC(RC_OK, rc_accept(listener_, kPatience, &channel));
  } else {
    rc_channel_config config = near_config(ring_bytes);
    EXPECT_RC(RC_OK, rc_connect(ctx_, uri_.c_str(), &config, kPatience, &channel));
  }
  EXPECT_FAR(RC_OK, 0u, far(which_far).finish());
  return channel;
}

void Pair::attach(uint64_t ring_bytes) {
  unmap_attached(attached_);
  int file = memfd_create("attached", MFD_CLOEXEC);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", getpid(), file);
  attached_ = map_attached(path, ring_bytes, false);
  rc_attach_config config = {};
  config.size = sizeof config;
  config.wait = backend().wait;
  config.tx = attached_.tx;
  config.rx = attached_.rx;
  config.bytes = attached_.bytes;
  Call call{Op::kAttach};
  snprintf(call.text, sizeof call.text, "%s", path);
  call.ring_bytes = ring_bytes;
  if (backend().other_process) {
    call.n = static_cast<uint64_t>(getpid());
    if (peer_fd_ < 0) peer_fd_ = static_cast<int>(syscall(SYS_pidfd_open, far().pid(), 0));
    config.peer_fd = peer_fd_;
  }
  ASSERT_RC(RC_OK, rc_attach(ctx_, &config, &ch_));
  ASSERT_FAR(RC_OK, 0u, far().call(call));
  close(file);
}

bool Pair::eventually(const std::function<bool()>& condition) {
  auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kPatience);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    if (backend().lands_alone) {
      sched_yield();
    } else {
      rc_progress(ch_);
      if (far(other_end_).lives()) far(other_end_).progress();
    }
  }
  return true;
}

int32_t Pair::soon(const std::function<int32_t()>& call) {
  int32_t code = call();
  if (!backend().lands_alone)
    eventually([&] { return code != RC_E_WOULD_BLOCK || (code = call()) != RC_E_WOULD_BLOCK; });
  return code;
}

int32_t Pair::sync() {
  return backend().target_helps ? soon([this] { return rc_sync(ch_, 0); }) : rc_sync(ch_, kPatience);
}

void Pair::settle() {
  if (backend().lands_alone) return;
  EXPECT_TRUE(eventually([this] {
    Call sync{Op::kSync};
    sync.timeout_ns = 0;
    if (rc_sync(ch_, 0) != RC_OK) return false;
    return !far(other_end_).lives() || far(other_end_).call(sync).code == RC_OK;
  })) << "what was put is never delivered";
}

void Pair::put(size_t n) {
  Buffer bytes = out_.next(n);
  size_t done = 0;
  EXPECT_RC(RC_OK, rc_put(ch_, bytes.data(), n, kPatience, &done));
  EXPECT_EQ(n, done);
  out_.move(done);
  settle();
}

void Pair::get(size_t n) {
  Buffer bytes(n);
  size_t done = 0;
  EXPECT_RC(RC_OK, rc_get(ch_, bytes.data(), n, kPatience, &done));
  EXPECT_EQ(n, done);
  EXPECT_TRUE(right(bytes, done));
}

void Pair::expect_echo(size_t all, const std::function<bool()>& wait) {
  far().start(Far::pieces(Op::kEcho, all, 250));
  Pattern echoed{kNearToFar};
  Buffer bytes(kCapacity);
  bool waited = true;
  while (echoed.at() < all && waited) {
    size_t done = 0;
    int32_t out = RC_E_WOULD_BLOCK;
    if (out_.at() < all) {
      size_t n = std::min<size_t>(200, all - out_.at());
      out = rc_try_put(ch_, out_.next(n).data(), n);
      if (out == RC_OK) out_.move(n);
      ASSERT_TRUE(out == RC_OK || out == RC_E_WOULD_BLOCK) << rc_reason();
    }
    int32_t in = rc_get_some(ch_, bytes.data(), kCapacity, 0, &done);
    ASSERT_TRUE(in == RC_OK || in == RC_E_WOULD_BLOCK) << rc_reason();
    ASSERT_EQ(done, echoed.wrong(bytes.data(), done));
    echoed.move(done);
    if (out != RC_OK && in != RC_OK && echoed.at() < all) waited = wait();
  }
  EXPECT_TRUE(waited) << "no event, although " << all - echoed.at() << " bytes are missing";
  EXPECT_FAR(RC_OK, all, far().finish());
}

testing::AssertionResult Pair::right(const Buffer& bytes, size_t n) {
  size_t wrong = in_.wrong(bytes.data(), n);
  in_.move(n);
  if (wrong == n) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "byte " << wrong << " of " << n << " is wrong";
}

void Pair::expect_drained() {
  // A get that comes up short gives all credit back.
  EXPECT_FAR(RC_E_WOULD_BLOCK, 0u, far().get_some(1, 0));
  rc_info info = {};
  info.size = sizeof info;
  EXPECT_RC(RC_OK, rc_channel_info(ch_, &info));
  EXPECT_TRUE(eventually([&] { return writable() == info.ring_bytes; }))
      << writable() << " of " << info.ring_bytes << " bytes are free";
}

void Pair::fill(size_t free) { put(writable() - free); }

size_t Pair::readable() {
  size_t n = SIZE_MAX;
  EXPECT_RC(RC_OK, rc_ready(ch_, &n, nullptr));
  return n;
}

size_t Pair::writable() {
  size_t n = SIZE_MAX;
  EXPECT_RC(RC_OK, rc_ready(ch_, nullptr, &n));
  return n;
}

}  // namespace conformance
