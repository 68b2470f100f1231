#include "harness/kill/script.h"

#include <fmt/format.h>
#include <poll.h>
#include <string.h>

#include "core/deadline.h"
#include "harness/kill/plan.h"
#include "harness/soak/stamp.h"

namespace killing {
namespace {

constexpr int64_t kPatienceNs = INT64_C(20) * 1000 * 1000 * 1000;

// Around the line, the page, half the ring, the ring, and beyond it.
constexpr size_t kSizes[] = {8, 100, 4096, 1, 9000, 48, 16384, 40000, 64};
constexpr size_t kSmallSizes[] = {8, 48, 100, 3000};
constexpr size_t kMessageSizes[] = {0, 5, 100, 3000, 30000};
constexpr size_t kMostBytes = 40000;
// Several frames, and behind them a word that counts and one that comes with the value.
constexpr size_t kWrittenBytes = 3000, kCountAt = 3008, kNoteAt = 3016;

template <size_t N>
size_t pick(const size_t (&sizes)[N], uint32_t round) {
  return sizes[round % N];
}

uint8_t g_buffer[kMostBytes];  // one thread, one end in each process

}  // namespace

const std::vector<Script>& all_scripts() {
  static const std::vector<Script> all = {Script::kPuts,     Script::kGets,       Script::kPingPongAsleep,
                                          Script::kInPlace,  Script::kBatches,    Script::kPingPongSpinning,
                                          Script::kMessages, Script::kDescriptor, Script::kOperations};
  return all;
}

const char* script_name(Script script) {
  switch (script) {
    case Script::kPuts:
      return "puts";
    case Script::kGets:
      return "gets";
    case Script::kPingPongAsleep:
      return "ping-pong asleep";
    case Script::kPingPongSpinning:
      return "ping-pong spinning";
    case Script::kInPlace:
      return "in place";
    case Script::kBatches:
      return "batches";
    case Script::kMessages:
      return "messages";
    case Script::kDescriptor:
      return "descriptor";
    case Script::kOperations:
      return "operations";
  }
  return "";
}

uint32_t script_wait(Script script) {
  switch (script) {
    case Script::kPingPongSpinning:
      return RC_WAIT_SPIN;
    case Script::kPingPongAsleep:
    case Script::kBatches:
    case Script::kMessages:
    case Script::kOperations:
      return RC_WAIT_SLEEP;
    default:
      return RC_WAIT_ADAPTIVE;
  }
}

End::End(rc_channel channel, uint64_t run, bool victim, Progress* progress, int64_t slice_ns)
    : channel_(channel),
      victim_(victim),
      progress_(progress),
      out_seed_(2 * run + (victim ? 0 : 1)),
      in_seed_(2 * run + (victim ? 1 : 0)),
      slice_ns_(slice_ns) {}

// f(deadline) is one call; it is repeated while it only ends by its deadline.
template <class F>
int32_t End::call(const char* name, F f) {
  int64_t begun = rc::now_ns();
  for (;;) {
    call_ns_ = rc::now_ns();
    int32_t code;
    {
      Traced traced(name);
      code = f();
    }
    return_ns_ = rc::now_ns();
    if (code != RC_E_TIMEOUT) return code;
    progress_->timeouts.fetch_add(1);
    if (return_ns_ - begun > kPatienceNs) return code;
  }
}

int32_t End::check(const void* data, size_t n, uint64_t seed, uint64_t position) {
  size_t right = soak::stamp_check(data, n, seed, position);
  if (right == n) return RC_OK;
  wrong_ = fmt::format("byte {} is wrong, in a piece of {} that begins at {}", position + right, n, position);
  return kWrong;
}

int32_t End::put(size_t n) {
  uint64_t position = progress_->put_done.load();
  soak::stamp_fill(g_buffer, n, out_seed_, position);
  progress_->put_tried.store(position + n);
  size_t at = 0;
  return call("rc_put", [&] {
    size_t done = 0;
    int32_t code = rc_put(channel_, g_buffer + at, n - at, slice_ns_, &done);
    at += done;
    progress_->put_done.store(position + at);
    return code;
  });
}

int32_t End::get(size_t n) {
  size_t left = n;
  return call("rc_get", [&] {
    size_t done = 0;
    int32_t code = rc_get(channel_, g_buffer, left, slice_ns_, &done);
    left -= done;
    uint64_t got = progress_->got.load();
    if (check(g_buffer, done, in_seed_, got) != RC_OK) return kWrong;
    progress_->got.store(got + done);
    return code;
  });
}

int32_t End::get_some() {
  size_t done = 0;
  int32_t code = call("rc_get_some", [&] { return rc_get_some(channel_, g_buffer, 4096, slice_ns_, &done); });
  if (code != RC_OK) return code;
  uint64_t got = progress_->got.load();
  if (check(g_buffer, done, in_seed_, got) != RC_OK) return kWrong;
  progress_->got.store(got + done);
  return RC_OK;
}

int32_t End::put_in_place(size_t n) {
  rc_span spans[2];
  int32_t code = call("rc_reserve", [&] { return rc_reserve(channel_, n, slice_ns_, spans); });
  if (code != RC_OK) return code;
  uint64_t position = progress_->put_done.load();
  progress_->put_tried.store(position + n);
  size_t first = spans[0].bytes < n ? spans[0].bytes : n;
  soak::stamp_fill(spans[0].data, first, out_seed_, position);
  soak::stamp_fill(spans[1].data, n - first, out_seed_, position + first);
  code = call("rc_commit", [&] { return rc_commit(channel_, n); });
  if (code == RC_OK) progress_->put_done.store(position + n);
  return code;
}

int32_t End::get_in_place(size_t n) {
  rc_const_span spans[2];
  int32_t code = call("rc_peek", [&] { return rc_peek(channel_, n, slice_ns_, spans); });
  if (code != RC_OK) return code;
  uint64_t got = progress_->got.load();
  size_t first = spans[0].bytes < n ? spans[0].bytes : n;
  if (check(spans[0].data, first, in_seed_, got) != RC_OK) return kWrong;
  if (check(spans[1].data, n - first, in_seed_, got + first) != RC_OK) return kWrong;
  code = call("rc_release", [&] { return rc_release(channel_, n); });
  if (code == RC_OK) progress_->got.store(got + n);
  return code;
}

// Three pieces that need not be seen yet, then every other time a flush. The rest is left for the next batch, or the
// close.
int32_t End::batch(uint32_t round) {
  constexpr size_t kPieceBytes = 100;
  for (int i = 0; i < 3; ++i) {
    uint64_t position = progress_->put_tried.load();
    soak::stamp_fill(g_buffer, kPieceBytes, out_seed_, position);
    progress_->put_tried.store(position + kPieceBytes);
    int32_t code =
        call("rc_put_more", [&] { return rc_put_more(channel_, g_buffer, kPieceBytes, slice_ns_, nullptr); });
    if (code != RC_OK) return code;
  }
  if (round % 2 == 0) return RC_OK;
  int32_t code = call("rc_flush", [&] { return rc_flush(channel_); });
  if (code == RC_OK) progress_->put_done.store(progress_->put_tried.load());
  return code;
}

int32_t End::send(size_t n, uint32_t round) {
  uint64_t count = progress_->put_done.load();
  soak::stamp_fill(g_buffer, n, out_seed_, count << 32);
  progress_->put_tried.store(count + 1);
  const uint32_t* imm = round % 2 == 0 ? &round : nullptr;
  int32_t code = call("rc_send", [&] { return rc_send(channel_, g_buffer, n, imm, slice_ns_, nullptr); });
  if (code == RC_OK) progress_->put_done.store(count + 1);
  return code;
}

int32_t End::recv(uint32_t round) {
  size_t n = 0;
  uint32_t imm = 0, has_imm = 0;
  int32_t code =
      call("rc_recv", [&] { return rc_recv(channel_, g_buffer, sizeof g_buffer, &n, &imm, &has_imm, slice_ns_); });
  if (code != RC_OK) return code;
  uint64_t count = progress_->got.load();
  if (n != pick(kMessageSizes, round) || has_imm != (round % 2 == 0) || (has_imm != 0 && imm != round)) {
    wrong_ = fmt::format("message {} has {} bytes and immediate {} {}", count, n, has_imm, imm);
    return kWrong;
  }
  if (check(g_buffer, n, in_seed_, count << 32) != RC_OK) return kWrong;
  progress_->got.store(count + 1);
  return RC_OK;
}

int32_t End::wait_descriptor() {
  int32_t fd = -1;
  int32_t code = rc_channel_fd(channel_, &fd);
  if (code != RC_OK) return code;
  pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, static_cast<int>(slice_ns_ / 1000000)) > 0 ? RC_OK : RC_E_TIMEOUT;
}

int32_t End::put_by_descriptor(size_t n) {
  uint64_t position = progress_->put_done.load();
  soak::stamp_fill(g_buffer, n, out_seed_, position);
  progress_->put_tried.store(position + n);
  int32_t code;
  while ((code = call("rc_try_put", [&] { return rc_try_put(channel_, g_buffer, n); })) == RC_E_WOULD_BLOCK) {
    code = call("poll", [&] { return wait_descriptor(); });
    if (code != RC_OK) return code;
  }
  if (code == RC_OK) progress_->put_done.store(position + n);
  return code;
}

int32_t End::get_by_descriptor(size_t n) {
  int32_t code;
  while ((code = call("rc_try_get", [&] { return rc_try_get(channel_, g_buffer, n); })) == RC_E_WOULD_BLOCK) {
    code = call("poll", [&] { return wait_descriptor(); });
    if (code != RC_OK) return code;
  }
  if (code != RC_OK) return code;
  uint64_t got = progress_->got.load();
  if (check(g_buffer, n, in_seed_, got) != RC_OK) return kWrong;
  progress_->got.store(got + n);
  return RC_OK;
}

// ---------------------------------------------------------------------------------------------------------- operations

void End::lend(rc_mr mr, bool direct) {
  rc_region region = {};
  region.size = sizeof region;
  if (rc_mr_info(mr, &region) != RC_OK) abort();
  mr_ = mr;
  region_ = static_cast<uint8_t*>(region.address);
  direct_ = direct;
}

// Grants a page of zeros; when the value is there, so is what was written before.
int32_t End::own(uint32_t round) {
  memset(region_, 0, kPage);
  bool direct = direct_ && round % 2 != 0;
  constexpr uint32_t kAll = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;
  rc_grant grant = {};
  int32_t code = call("rc_mr_grant", [&] {
    return rc_mr_grant(channel_, mr_, 0, kPage, direct ? kAll | RC_MR_DIRECT : kAll, direct ? RC_LEASE_NONE : 0,
                       &grant);
  });
  uint32_t imm = 0;
  if (code == RC_OK) code = call("rc_imm_get", [&] { return rc_imm_get(channel_, slice_ns_, &imm); });
  if (code != RC_OK) return code;
  uint64_t count = progress_->got.load();
  uint64_t words[2];
  memcpy(words, region_ + kCountAt, sizeof words);
  if (imm != count || words[0] != 1 || words[1] != count + 1) {
    wrong_ = fmt::format("value {} is {}, beside it are {} and {}", count, imm, words[0], words[1]);
    return kWrong;
  }
  if (check(region_, kWrittenBytes, in_seed_, count << 32) != RC_OK) return kWrong;
  progress_->got.store(count + 1);
  return call("rc_grant_revoke", [&] { return rc_grant_revoke(grant); });
}

int32_t End::finish(rc_request request, uint64_t expected) {
  uint64_t value = 0;
  int32_t code = call("rc_request_wait", [&] { return rc_request_wait(request, slice_ns_, &value); });
  if (code != RC_OK || value == expected) return code;
  wrong_ = fmt::format("a word held {}, not {}", value, expected);
  return kWrong;
}

int32_t End::write_and_read(rc_remote remote) {
  uint64_t count = progress_->put_done.load();
  soak::stamp_fill(region_ + kPage, kWrittenBytes, out_seed_, count << 32);
  rc_request write = {}, add = {}, read = {};
  int32_t code = call("rc_write", [&] { return rc_write(mr_, kPage, remote, 0, kWrittenBytes, &write); });
  if (code == RC_OK) code = call("rc_fetch_add", [&] { return rc_fetch_add(remote, kCountAt, 1, &add); });
  if (code == RC_OK) code = finish(add, 0);
  if (code == RC_OK) code = finish(write, 0);
  memset(region_ + kPage, 0, kWrittenBytes);
  if (code == RC_OK) code = call("rc_read", [&] { return rc_read(mr_, kPage, remote, 0, kWrittenBytes, &read); });
  if (code == RC_OK) code = finish(read, 0);
  return code == RC_OK ? check(region_ + kPage, kWrittenBytes, out_seed_, count << 32) : code;
}

// The other end has memory for one such region: if one were left behind, the next one would be refused. What came too
// late for its deadline is still on its way back.
int32_t End::borrow() {
  rc_remote remote = {};
  uint64_t timeouts = progress_->timeouts.load();
  int32_t code =
      call("rc_remote_alloc", [&] { return rc_remote_alloc(channel_, kPage, RC_MR_WRITE, 0, slice_ns_, &remote); });
  if (code == RC_E_POOL && progress_->timeouts.load() != timeouts) return RC_OK;
  if (code == RC_OK) code = call("rc_write", [&] { return rc_write(mr_, kPage, remote, 0, 8, nullptr); });
  return code == RC_OK ? call("rc_remote_release", [&] { return rc_remote_release(remote); }) : code;
}

int32_t End::use(uint32_t round) {
  rc_remote remote = {};
  int32_t code = call("rc_remote_get", [&] { return rc_remote_get(channel_, slice_ns_, &remote); });
  if (code == RC_OK) code = write_and_read(remote);
  if (code == RC_OK && round % 3 == 0) code = borrow();
  if (code != RC_OK) return code;
  uint64_t count = progress_->put_done.load(), note = count + 1;
  memcpy(region_ + kPage, &note, sizeof note);
  progress_->put_tried.store(count + 1);
  rc_request request = {};
  code = call("rc_write_imm", [&] {
    return rc_write_imm(mr_, kPage, remote, kNoteAt, sizeof note, static_cast<uint32_t>(count), &request);
  });
  if (code == RC_OK) code = finish(request, 0);
  if (code == RC_OK) progress_->put_done.store(count + 1);
  return code;
}

// The victim puts first.
template <class Put, class Get>
int32_t End::there_and_back(Put put_one, Get get_one) {
  int32_t code = victim_ ? put_one() : get_one();
  if (code == RC_OK) code = victim_ ? get_one() : put_one();
  return code;
}

int32_t End::run(Script script, uint32_t rounds) {
  int32_t code = RC_OK;
  for (uint32_t r = 0; code == RC_OK && (!victim_ || r < rounds); ++r) {
    size_t small = pick(kSmallSizes, r);
    switch (script) {
      case Script::kPuts:
        code = victim_ ? put(pick(kSizes, r)) : get_some();
        break;
      case Script::kGets:
        code = victim_ ? get(pick(kSizes, r)) : put(pick(kSizes, r + 2));
        break;
      case Script::kPingPongAsleep:
      case Script::kPingPongSpinning:
        code = there_and_back([&] { return put(small); }, [&] { return get(small); });
        break;
      case Script::kInPlace:
        code = there_and_back([&] { return put_in_place(small); }, [&] { return get_in_place(small); });
        break;
      case Script::kBatches:
        code = victim_ ? batch(r) : get_some();
        break;
      case Script::kMessages:
        code = there_and_back([&] { return send(pick(kMessageSizes, r), r); }, [&] { return recv(r); });
        break;
      case Script::kDescriptor:
        code = there_and_back([&] { return put_by_descriptor(8); }, [&] { return get_by_descriptor(8); });
        break;
      case Script::kOperations:
        code = there_and_back([&] { return use(r); }, [&] { return own(r); });
        break;
    }
  }
  return code;
}

}  // namespace killing
