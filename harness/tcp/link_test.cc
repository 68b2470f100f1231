// A tcp channel under strain: full sockets, both ways at once, sync, and peers that are killed.
#include <errno.h>
#include <linux/filter.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <vector>

#include "backends/tcp/send_queue.h"
#include "harness/tcp/raw_tcp.h"

namespace raw_tcp {
namespace {

class Links : public Honest {
 protected:
  void meet_honest(uint64_t ring_bytes, uint32_t wait = RC_WAIT_ADAPTIVE) {
    rc_channel_config config = {};
    config.size = sizeof config;
    config.ring_bytes = ring_bytes;
    config.wait = wait;
    auto connecting =
        std::async(std::launch::async, [&] { return rc_connect(ctx_, uri_.c_str(), &config, kPatience, &client_); });
    ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &server_));
    ASSERT_EQ(RC_OK, connecting.get());
  }
  rc_channel client_ = {0}, server_ = {0};
};

// No two pieces are alike, so that one that was sent in another's place is seen.
uint8_t byte_at(size_t i, uint8_t seed) { return static_cast<uint8_t>(i * 7 + i / 65536 * 13 + seed); }

int32_t put_all(rc_channel channel, size_t bytes, size_t piece, uint8_t seed) {
  std::vector<uint8_t> data(piece);
  int32_t code = RC_OK;
  for (size_t at = 0; at < bytes && code == RC_OK; at += piece) {
    for (size_t i = 0; i < piece; ++i) data[i] = byte_at(at + i, seed);
    code = rc_put(channel, data.data(), piece, kPatience, nullptr);
  }
  return code;
}

int32_t get_all(rc_channel channel, size_t bytes, size_t piece, uint8_t seed) {
  std::vector<uint8_t> data(piece);
  for (size_t at = 0; at < bytes; at += piece) {
    int32_t code = rc_get(channel, data.data(), piece, kPatience, nullptr);
    if (code != RC_OK) return code;
    for (size_t i = 0; i < piece; ++i) {
      if (data[i] != byte_at(at + i, seed)) return RC_E_CORRUPT;
    }
  }
  return RC_OK;
}

int64_t resends(rc_channel channel) {
  int64_t value = -1;
  EXPECT_RC(RC_OK, rc_channel_figure(channel, "resends", &value));
  return value;
}

// The peer's socket drops what arrives, as a bad wire would, until something has been sent again.
TEST_F(Links, WhatIsSentAgainIsCounted) {
  rc_channel channel{0};
  Socket peer = meet(&channel);
  EXPECT_EQ(0, resends(channel));
  sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
  sock_fprog drop = {1, &none};
  if (setsockopt(peer.fd(), SOL_SOCKET, SO_ATTACH_FILTER, &drop, sizeof drop) != 0)
    GTEST_SKIP() << "no socket filters here, as in some sandboxes: " << strerror(errno);
  ASSERT_RC(RC_OK, rc_put(channel, "x", 1, 0, nullptr));
  for (int i = 0; i < 2000 && resends(channel) == 0; ++i) usleep(10000);
  EXPECT_GE(resends(channel), 1);
  ASSERT_EQ(0, setsockopt(peer.fd(), SOL_SOCKET, SO_DETACH_FILTER, &drop, sizeof drop));
  rc::Frame frame = {};
  EXPECT_TRUE(peer.receive(&frame, sizeof frame));
  EXPECT_RC(RC_OK, rc_channel_close(channel));
}

// Two threads at each end, a small ring, more than socket and ring hold together: nobody waits for ever.
TEST_F(Links, BothWaysAtOnceByTwoThreadsEach) {
  for (uint32_t wait : {RC_WAIT_ADAPTIVE, RC_WAIT_SLEEP}) {
    for (uint64_t ring : {1000, 65536}) {
      SCOPED_TRACE(ring);
      meet_honest(ring, wait);
      size_t bytes = ring < 2000 ? 600 * 1000 : size_t{64} << 20, piece = ring < 2000 ? 600 : 32768;
      auto a = std::async(std::launch::async, [&] { return put_all(client_, bytes, piece, 1); });
      auto b = std::async(std::launch::async, [&] { return put_all(server_, bytes, piece, 2); });
      auto c = std::async(std::launch::async, [&] { return get_all(server_, bytes, piece, 1); });
      auto d = std::async(std::launch::async, [&] { return get_all(client_, bytes, piece, 2); });
      EXPECT_EQ(RC_OK, a.get());
      EXPECT_EQ(RC_OK, b.get());
      EXPECT_EQ(RC_OK, c.get());
      EXPECT_EQ(RC_OK, d.get());
      EXPECT_RC(RC_OK, rc_channel_close(client_));
      EXPECT_RC(RC_OK, rc_channel_close(server_));
    }
  }
}

// The put side's calls take the frame from the socket that the get side sleeps for, and wake it (PROTOCOL.md I8).
TEST_F(Links, NobodySleepsThroughWhatAnotherThreadReceived) {
  meet_honest(4096, RC_WAIT_SLEEP);
  std::atomic<bool> done{false};
  auto looking = std::async(std::launch::async, [&] {
    size_t writable;
    while (!done) rc_ready(client_, nullptr, &writable);
  });
  for (int i = 0; i < 2000; ++i) {
    char byte = 0;
    auto getting = std::async(std::launch::async, [&] { return rc_get(client_, &byte, 1, 2000 * kMs, nullptr); });
    if (i % 2 != 0) usleep(100);  // likely asleep, or on the way
    EXPECT_RC(RC_OK, rc_put(server_, "!", 1, kPatience, nullptr));
    int32_t code = getting.get();
    EXPECT_EQ(RC_OK, code) << "message " << i;
    if (code != RC_OK) break;
  }
  done = true;
  looking.get();
}

// More than the sockets hold is under way when the channel is closed, and the memory it was put from is gone: the peer
// gets all of it, then the close.
TEST_F(Links, CloseLeavesNothingBehind) {
  // More than the sockets take at once, and not more than a slow reader gets in the time that a close waits for it.
  constexpr size_t kBytes = size_t{12} << 20;
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 2;
  config.rings_max = 4;
  config.ring_bytes = uint64_t{32} << 20;
  rc_ctx ctx = {0};
  rc_listener listener = {0};
  char uri[160];
  ASSERT_RC(RC_OK, rc_open(&config, &ctx));
  ASSERT_RC(RC_OK, rc_listen(ctx, "tcp://127.0.0.1:0", nullptr, &listener));
  ASSERT_RC(RC_OK, rc_listener_uri(listener, uri, sizeof uri));
  rc_channel client = {0}, server = {0};
  auto connecting = std::async(std::launch::async, [&] { return rc_connect(ctx, uri, nullptr, kPatience, &client); });
  ASSERT_RC(RC_OK, rc_accept(listener, kPatience, &server));
  ASSERT_EQ(RC_OK, connecting.get());
  ASSERT_EQ(RC_OK, put_all(client, kBytes, kBytes / 4, 9));
  auto getting = std::async(std::launch::async, [&] {
    int32_t code = get_all(server, kBytes, 65536, 9);
    char byte;
    return code != RC_OK ? code : rc_get(server, &byte, 1, kPatience, nullptr);
  });
  EXPECT_RC(RC_OK, rc_channel_close(client));
  EXPECT_STREQ("RC_E_CLOSED", rc_code_name(getting.get()));
  EXPECT_RC(RC_OK, rc_close(ctx));
}

TEST_F(Links, SyncWaitsForTheTarget) {
  meet_honest(4096);
  EXPECT_RC(RC_OK, rc_sync(client_, 0));
  EXPECT_RC(RC_OK, rc_put(client_, "x", 1, kPatience, nullptr));
  EXPECT_RC(RC_E_TIMEOUT, rc_sync(client_, kShort));  // nobody calls in
  auto syncing = std::async(std::launch::async, [&] { return rc_sync(client_, kPatience); });
  while (syncing.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready)
    EXPECT_RC(RC_OK, rc_progress(server_));
  EXPECT_EQ(RC_OK, syncing.get());
  char byte;
  EXPECT_RC(RC_OK, rc_try_get(server_, &byte, 1));
  EXPECT_RC(RC_OK, rc_sync(client_, 0));
}

// The peer takes nothing: try forms refuse instead of waiting, and nothing is lost when it takes again.
TEST_F(Links, FullSocketRefusesAndLosesNothing) {
  rc_channel ch = {0};
  Socket raw = meet(&ch);
  // The honest end may have a whole ring under way, again and again; credit is told, but the socket is not read.
  uint64_t put = 0;
  std::vector<char> bytes(kRing, 'b');
  for (int i = 0; i < 20000 && rc_try_put(ch, bytes.data(), bytes.size()) == RC_OK; ++i) {
    put += kRing;
    ASSERT_TRUE(raw.write_word(kCredit, put));
  }
  ASSERT_LT(put, uint64_t{20000} * kRing) << "the socket never filled";
  EXPECT_RC(RC_E_TIMEOUT, rc_put(ch, bytes.data(), bytes.size(), kShort, nullptr));
  // Now it is read: every byte of what was put is there.
  std::atomic<bool> done{false};
  auto moving = std::async(std::launch::async, [&] {
    size_t writable;
    while (!done) rc_ready(ch, nullptr, &writable);
  });
  uint64_t seen = 0, tail = 0;
  while (tail < put) {
    rc::Frame f;
    ASSERT_TRUE(raw.receive(&f, sizeof f));
    std::vector<char> data(f.bytes);
    ASSERT_TRUE(raw.receive(data.data(), f.bytes));
    if (f.offset >= rc::kRingOffset) seen += f.bytes;
    if (f.offset == kTail) memcpy(&tail, data.data(), 8);
    EXPECT_LE(tail, seen);
  }
  done = true;
  moving.get();
  EXPECT_EQ(put, seen);
  EXPECT_RC(RC_OK, rc_channel_close(ch));
}

// Two ends with regions, and rings that hold more than their sockets.
class FullLinks : public testing::Test {
 protected:
  static constexpr uint64_t kBytes = 8192;  // sent from where they lie, if the link takes them
  void SetUp() override {
    rc_config config = {};
    config.size = sizeof config;
    config.channels_max = 2;
    config.ring_bytes = uint64_t{32} << 20;
    config.mr_bytes = 2 * kBytes;
    ASSERT_RC(RC_OK, rc_open(&config, &ctx_));
    rc_listener listener = {0};
    char uri[160];
    ASSERT_RC(RC_OK, rc_listen(ctx_, "tcp://127.0.0.1:0", nullptr, &listener));
    ASSERT_RC(RC_OK, rc_listener_uri(listener, uri, sizeof uri));
    auto connecting =
        std::async(std::launch::async, [&] { return rc_connect(ctx_, uri, nullptr, kPatience, &asker_); });
    ASSERT_RC(RC_OK, rc_accept(listener, kPatience, &owner_));
    ASSERT_EQ(RC_OK, connecting.get());
    ours_at_ = region(&ours_, 1);
    theirs_at_ = region(&theirs_, 100);
    rc_grant grant = {0};
    ASSERT_RC(RC_OK, rc_mr_grant(owner_, theirs_, 0, kBytes, RC_MR_READ | RC_MR_WRITE, 0, &grant));
    ASSERT_RC(RC_OK, rc_remote_get(asker_, kPatience, &remote_));
  }
  void TearDown() override { EXPECT_RC(RC_OK, rc_close(ctx_)); }

  std::vector<uint8_t> pattern(uint8_t seed) const {
    std::vector<uint8_t> bytes(kBytes);
    for (size_t i = 0; i < kBytes; ++i) bytes[i] = byte_at(i, seed);
    return bytes;
  }
  uint8_t* region(rc_mr* mr, uint8_t seed) const {
    rc_region info = {};
    info.size = sizeof info;
    EXPECT_RC(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, mr));
    EXPECT_RC(RC_OK, rc_mr_info(*mr, &info));
    memcpy(info.address, pattern(seed).data(), kBytes);
    return static_cast<uint8_t*>(info.address);
  }
  // Puts until the link takes no more.
  static void fill(rc_channel channel) {
    std::vector<uint8_t> bytes(65536);
    size_t put = 0;
    while (rc_try_put(channel, bytes.data(), bytes.size()) == RC_OK) put += bytes.size();
    ASSERT_LT(put, size_t{32} << 20) << "the socket never filled";
  }
  // How it ends while both sides take what is there.
  int32_t finish(rc_request request, rc_channel full, rc_channel reader) const {
    std::vector<uint8_t> bytes(65536);
    int64_t deadline = now_ms() + kPatience / kMs;
    int32_t code = RC_E_WOULD_BLOCK;
    while (code == RC_E_WOULD_BLOCK && now_ms() < deadline) {
      int32_t got = rc_try_get(reader, bytes.data(), bytes.size());
      if (got != RC_OK && got != RC_E_WOULD_BLOCK) return got;
      rc_progress(full);
      code = rc_request_test(request, nullptr);
    }
    return code;
  }
  static int64_t now_ms() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
  }

  rc_ctx ctx_ = {0};
  rc_channel asker_ = {0}, owner_ = {0};
  rc_mr ours_ = {0}, theirs_ = {0};
  rc_remote remote_ = {0};
  uint8_t *ours_at_ = nullptr, *theirs_at_ = nullptr;
};

// What was to go from where it lies goes by way of the outbox, once.
TEST_F(FullLinks, TakeTheBytesOfAWriteLater) {
  fill(asker_);
  rc_request request = {0};
  ASSERT_RC(RC_OK, rc_write(ours_, 0, remote_, 0, kBytes, &request));
  EXPECT_RC(RC_OK, finish(request, asker_, owner_));
  EXPECT_EQ(0, memcmp(theirs_at_, pattern(1).data(), kBytes));
}

TEST_F(FullLinks, TakeTheAnswerToAReadLater) {
  rc_request request = {0};
  ASSERT_RC(RC_OK, rc_read(ours_, 0, remote_, 0, kBytes, &request));
  fill(owner_);
  ASSERT_RC(RC_OK, rc_progress(owner_));
  EXPECT_RC(RC_OK, finish(request, owner_, asker_));
  EXPECT_EQ(0, memcmp(ours_at_, pattern(100).data(), kBytes));
}

// The owner makes no call meanwhile.
TEST_F(FullLinks, APutBehindMemoryGivenUpSaysWhatItWaitsFor) {
  rc_request request = {0};
  ASSERT_RC(RC_OK, rc_read(ours_, 0, remote_, 0, kBytes, &request));
  ASSERT_RC(RC_OK, rc_remote_release(remote_));
  EXPECT_RC(RC_E_TIMEOUT, rc_put(asker_, "x", 1, kShort, nullptr));
  EXPECT_NE(nullptr, strstr(rc_reason(), "for reads of it")) << rc_reason();
  EXPECT_RC(RC_OK, finish(request, asker_, owner_));
  EXPECT_RC(RC_OK, rc_put(asker_, "x", 1, kPatience, nullptr));
  char byte = 0;
  EXPECT_RC(RC_OK, rc_get(owner_, &byte, 1, kPatience, nullptr));
  EXPECT_EQ('x', byte);
}

TEST(SendQueue, CreditsMergeAndAlwaysFindRoom) {
  rc::SendQueue queue = {};
  uint64_t word = 0;
  char bytes[16] = "";
  rc::WorkRequest credit = {&word, kCredit, 8, true}, data = {bytes, rc::kRingOffset, sizeof bytes, false};
  while (queue.room_for(1)) queue.write(data);
  uint32_t full = queue.count();
  for (word = 1; word < 1000; ++word) queue.write(credit);
  EXPECT_EQ(full + 1, queue.count());
  iovec pieces[rc::SendQueue::kPiecesMost];
  size_t all = 0;
  queue.gather(pieces, &all);
  queue.sent(all - 10);  // the credit has begun to go out: the next one is one of its own
  queue.write(credit);
  EXPECT_EQ(2u, queue.count());
  int n = queue.gather(pieces, &all);
  EXPECT_EQ(2, n);
  EXPECT_EQ(10u + 24, all);
  queue.sent(all);
  EXPECT_EQ(0u, queue.count());
}

TEST(SendQueue, GathersFromAnyByteOn) {
  for (size_t gone = 0; gone <= 2 * 16 + 5 + 8; ++gone) {
    rc::SendQueue queue = {};
    uint64_t word = 0x1122334455667788;
    rc::WorkRequest data = {"hello", rc::kRingOffset, 5, false}, tail = {&word, kTail, 8, true};
    queue.write(data);
    queue.write(tail);
    auto flat = [&] {
      iovec pieces[rc::SendQueue::kPiecesMost];
      size_t all = 0;
      int n = queue.gather(pieces, &all);
      std::string text;
      for (int i = 0; i < n; ++i) text.append(static_cast<char*>(pieces[i].iov_base), pieces[i].iov_len);
      EXPECT_EQ(all, text.size());
      return text;
    };
    std::string whole = flat();
    ASSERT_EQ(size_t{2 * 16 + 5 + 8}, whole.size());
    queue.sent(gone);
    EXPECT_EQ(whole.substr(gone), flat()) << gone;
  }
}

enum Doing { kIdle, kReading, kWriting };

// A client of its own process that does that until it is killed; its survivor says so within a second.
class Killed : public Honest, public testing::WithParamInterface<Doing> {};

TEST_P(Killed, IsDeadWithinASecond) {
  pid_t child = fork();
  if (child == 0) {
    rc_ctx ctx;
    rc_channel ch;
    char bytes[4096] = "";
    if (rc_open(nullptr, &ctx) != RC_OK || rc_connect(ctx, uri_.c_str(), nullptr, kPatience, &ch) != RC_OK) _exit(1);
    if (rc_put(ch, "!", 1, kPatience, nullptr) != RC_OK) _exit(2);
    while (GetParam() == kReading) rc_get(ch, bytes, sizeof bytes, kPatience, nullptr);
    while (GetParam() == kWriting) rc_put(ch, bytes, sizeof bytes, kPatience, nullptr);
    pause();
    _exit(3);
  }
  rc_channel ch = {0};
  char bytes[4096] = "";
  ASSERT_RC(RC_OK, rc_accept(listener_, kPatience, &ch));
  EXPECT_RC(RC_OK, rc_get(ch, bytes, 1, kPatience, nullptr));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  int32_t code = RC_OK;
  while (code == RC_OK) {
    code = GetParam() == kReading ? rc_put(ch, bytes, sizeof bytes, kPatience, nullptr)
                                  : rc_get(ch, bytes, sizeof bytes, kPatience, nullptr);
  }
  clock_gettime(CLOCK_MONOTONIC, &after);
  EXPECT_RC(RC_E_PEER_DEAD, code);
  EXPECT_LE(after.tv_sec - before.tv_sec, 1);
  EXPECT_RC(RC_OK, rc_channel_close(ch));
}

INSTANTIATE_TEST_SUITE_P(All, Killed, testing::Values(kIdle, kReading, kWriting));

}  // namespace
}  // namespace raw_tcp
