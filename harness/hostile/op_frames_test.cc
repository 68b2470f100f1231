// What a peer may put into the op ring, and what comes of it: RC_E_CORRUPT or a refusal, and memory that nobody
// touched. The attacker is an honest end of a loop channel up to the moment in which the test writes into its outbox.
#include <gtest/gtest.h>
#include <string.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "capi/rc.h"
#include "core/context.h"
#include "core/op_wire.h"
#include "harness/conformance/about.h"

namespace {

using conformance::bytes_of;

constexpr int64_t kPatience = INT64_C(20) * 1000 * 1000 * 1000;
constexpr uint64_t kBytes = 4096;
constexpr uint32_t kOpRing = 8192;

class OpFrames : public testing::Test {
 public:
  void SetUp() override {
    rc_config config = {};
    config.size = sizeof config;
    config.ring_bytes = 4096;
    config.mr_bytes = 1 << 20;
    config.op_ring_bytes = kOpRing;
    config.requests_max = 8;
    config.peer_mr_bytes = kBytes;
    ASSERT_EQ(RC_OK, rc_open(&config, &ctx_)) << rc_reason();
    rc_listener listener{0};
    ASSERT_EQ(RC_OK, rc_listen(ctx_, "loop:ops", nullptr, &listener));
    std::thread connecting([this] { rc_connect(ctx_, "loop:ops", nullptr, kPatience, &peer_); });
    EXPECT_EQ(RC_OK, rc_accept(listener, kPatience, &honest_));
    connecting.join();
    EXPECT_EQ(RC_OK, rc_listener_close(listener));
    link_ = rc::Handles::channel(peer_.id)->link();
    ASSERT_EQ(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &mine_));
    ASSERT_EQ(RC_OK, rc_mr_alloc(ctx_, kBytes, 0, &theirs_));
    memset(bytes_of(mine_), kUntouched, kBytes);
    // One grant each way, so that there is something to attack and something to be answered.
    ASSERT_EQ(RC_OK, rc_mr_grant(honest_, mine_, 64, 1024, RC_MR_READ | RC_MR_WRITE, 0, &grant_));
    uint8_t token[RC_TOKEN_BYTES];
    ASSERT_EQ(RC_OK, rc_grant_token(grant_, token));
    memcpy(&key_, token + 8, sizeof key_);
    rc_grant theirs{0};
    ASSERT_EQ(RC_OK, rc_mr_grant(peer_, theirs_, 0, kBytes, RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC, 0, &theirs));
    ASSERT_EQ(RC_OK, rc_remote_get(honest_, 0, &remote_));
    written_ = link_->outbox->op_line.tail.load();
  }
  void TearDown() override { EXPECT_EQ(RC_OK, rc_close(ctx_)); }

  rc::OpFrame frame(uint32_t type, uint32_t request = 0) {
    rc::OpFrame f = {};
    f.type = type;
    f.request = request;
    f.key = key_;
    return f;
  }
  rc::OpFrame write(uint32_t request, uint64_t offset, uint64_t total, uint64_t before, uint32_t bytes) {
    rc::OpFrame f = frame(rc::kOpWrite, request);
    f.offset = offset;
    f.value = total;
    f.compare = before;
    f.bytes = bytes;
    return f;
  }
  void put(const void* data, size_t n) {
    for (size_t i = 0; i < n; ++i)
      link_->outbox_op_ring()[(written_ + i) % kOpRing] = data != nullptr ? static_cast<const uint8_t*>(data)[i] : 0x66;
    written_ += n;
  }
  void publish() { link_->outbox->op_line.tail.store(written_); }
  // With as much payload as it says, or so much.
  void send(const rc::OpFrame& f, size_t payload = SIZE_MAX) {
    put(&f, sizeof f);
    put(nullptr, payload == SIZE_MAX ? rc::padded(f.bytes) : payload);
    publish();
  }
  // The newest answer of the honest end.
  rc::OpFrame answer() {
    EXPECT_EQ(RC_OK, rc_progress(honest_)) << rc_reason();
    uint64_t at = link_->inbox->op_line.tail.load() - sizeof(rc::OpFrame);
    rc::OpFrame f;
    for (size_t i = 0; i < sizeof f; ++i)
      reinterpret_cast<uint8_t*>(&f)[i] = link_->inbox_op_ring()[(at + i) % kOpRing];
    return f;
  }
  void expect_untouched() {
    const uint8_t* at = bytes_of(mine_);
    for (uint64_t i = 0; i < kBytes; ++i) ASSERT_EQ(kUntouched, at[i]) << i;
  }
  void expect_corrupt() {
    EXPECT_EQ(RC_E_CORRUPT, rc_progress(honest_));
    EXPECT_STRNE("", rc_reason());
    char byte;
    EXPECT_EQ(RC_E_CORRUPT, rc_get(honest_, &byte, 1, 0, nullptr));
    EXPECT_EQ(RC_E_CORRUPT, rc_put(honest_, &byte, 1, 0, nullptr));
    rc_request request{0};
    EXPECT_EQ(RC_E_CORRUPT, rc_read(mine_, 0, remote_, 0, 8, &request));
    expect_untouched();
    EXPECT_EQ(RC_OK, rc_mr_free(mine_)) << rc_reason();
    EXPECT_EQ(RC_OK, rc_channel_close(honest_));
  }

  static constexpr uint8_t kUntouched = 0xee;
  rc_ctx ctx_{0};
  rc_channel honest_{0}, peer_{0};
  rc_mr mine_{0}, theirs_{0};
  rc_grant grant_{0};
  rc_remote remote_{0};
  rc::RemoteKey key_ = {};
  rc::Link* link_ = nullptr;
  uint64_t written_ = 0;
};

TEST_F(OpFrames, AnHonestOneIsServed) {
  send(write(0, 8, 16, 0, 16));
  rc::OpFrame done = answer();
  EXPECT_EQ(rc::kOpDone, done.type);
  EXPECT_EQ(RC_OK, static_cast<int32_t>(done.word));
  EXPECT_EQ(0x66, bytes_of(mine_)[64 + 8]);
  EXPECT_EQ(kUntouched, bytes_of(mine_)[64 + 24]);
}

TEST_F(OpFrames, OnesThatMakeNoSenseEndTheChannel) {
  using Spoil = std::function<void(OpFrames*)>;
  struct Case {
    const char* what;
    Spoil spoil;
  };
  auto one = [](rc::OpFrame f) {
    return [f](OpFrames* t) {
      rc::OpFrame with_key = f;
      with_key.key = f.key.id == 0 ? t->key_ : f.key;
      t->send(with_key);
    };
  };
  auto make = [](uint32_t type, uint32_t request, uint32_t bytes, uint32_t word, uint64_t value, uint64_t compare,
                 uint64_t key = 0) {
    rc::OpFrame f = {};
    f.type = type;
    f.request = request;
    f.bytes = bytes;
    f.word = word;
    f.value = value;
    f.compare = compare;
    f.key.id = key;
    return f;
  };
  constexpr uint64_t kLease = 1000000000;
  const Case cases[] = {
      {"no type", one(make(0, 0, 0, 0, 0, 0))},
      {"an unknown type", one(make(99, 0, 0, 0, 8, 0))},
      {"the highest type", one(make(UINT32_MAX, 0, 0, 0, 8, 0))},
      {"a request beyond those agreed", one(make(rc::kOpRead, 8, 0, 0, 8, 0))},
      {"the highest request", one(make(rc::kOpWrite, UINT32_MAX, 8, 0, 8, 0))},
      {"a read with a payload", one(make(rc::kOpRead, 0, 8, 0, 8, 0))},
      {"an atomic with a payload", one(make(rc::kOpAdd, 0, 8, 0, 8, 0))},
      {"an immediate with a payload", one(make(rc::kOpImm, 0, 8, 0, 8, 0))},
      {"an immediate of a request beyond", one(make(rc::kOpImm, 8, 0, 0, 8, 0))},
      {"a write without bytes", one(make(rc::kOpWrite, 0, 0, 0, 8, 0))},
      {"a write of nothing", one(make(rc::kOpWrite, 0, 0, 0, 0, 0))},
      {"a write of more than it says", one(make(rc::kOpWrite, 0, 16, 0, 8, 0))},
      {"a second piece without a first", one(make(rc::kOpWrite, 0, 8, 0, 16, 8))},
      {"a payload above the limit", one(make(rc::kOpWrite, 0, kOpRing / 4, 0, kOpRing / 4, 0))},
      {"the largest payload", [](OpFrames* t) { t->send(t->write(0, 0, 8, 0, UINT32_MAX), 0); }},
      {"a payload that was not published", [](OpFrames* t) { t->send(t->write(0, 0, 64, 0, 64), 32); }},
      {"half a header", [](OpFrames* t) {
         t->put(nullptr, 32);
         t->publish();
       }},
      {"pieces with a gap", [](OpFrames* t) {
         t->send(t->write(0, 0, 64, 0, 8));
         t->send(t->write(0, 0, 64, 16, 8));
       }},
      {"a piece twice", [](OpFrames* t) {
         t->send(t->write(0, 0, 64, 0, 8));
         t->send(t->write(0, 0, 64, 0, 8));
       }},
      {"a size that changes", [](OpFrames* t) {
         t->send(t->write(0, 0, 64, 0, 8));
         t->send(t->write(0, 0, 128, 8, 8));
       }},
      {"a kind that changes", [](OpFrames* t) {
         t->send(t->write(0, 0, 64, 0, 8));
         rc::OpFrame f = t->write(0, 0, 64, 8, 8);
         f.type = rc::kOpWriteImm;
         t->send(f);
       }},
      {"a request whose number is taken", [](OpFrames* t) {
         t->send(t->write(0, 0, 64, 0, 8));
         rc::OpFrame f = t->frame(rc::kOpRead, 0);
         f.value = 8;
         t->send(f);
       }},
      {"a grant of a slot that there is not", one(make(rc::kOpGrant, 0, 0, 1, 8, kLease, 64))},
      {"a grant of nothing", one(make(rc::kOpGrant, 0, 0, 1, 0, kLease, 2))},
      {"a grant without rights", one(make(rc::kOpGrant, 0, 0, 0, 8, kLease, 2))},
      {"a grant of rights that there are not", one(make(rc::kOpGrant, 0, 0, 8, 8, kLease, 2))},
      {"a grant for ever", one(make(rc::kOpGrant, 0, 0, 1, 8, UINT64_MAX, 2))},
      {"a grant with a payload", one(make(rc::kOpGrant, 0, 8, 1, 8, kLease, 2))},
      {"a grant in a slot that is taken", one(make(rc::kOpGrant, 0, 0, 1, 8, kLease, 1 << 16))},
      {"a revoke with a payload", one(make(rc::kOpRevoke, 0, 8, 0, 0, 0))},
      {"a revoke to be answered, of a slot that there is not", one(make(rc::kOpRevoke, 0, 0, 1, 0, 0, 64))},
      {"a revoke to be answered, of no grant, as often as the op ring takes", [](OpFrames* t) {
         rc::OpFrame f = t->frame(rc::kOpRevoke);
         f.word = 1;
         f.key = {};
         for (uint64_t room = kOpRing - 1024; room >= sizeof f; room -= sizeof f) t->send(f);
       }},
      {"a revoke's answer with a payload", one(make(rc::kOpRevoked, 0, 8, 0, 0, 0))},
      {"a revoke's answer of a slot that there is not", one(make(rc::kOpRevoked, 0, 0, 0, 0, 0, 64))},
      {"an end of nothing", one(make(rc::kOpDone, 0, 0, 0, 0, 0))},
      {"an end of a request beyond", one(make(rc::kOpDone, 8, 0, 0, 0, 0))},
      {"data for nothing", one(make(rc::kOpData, 0, 8, 0, 0, 0))},
      {"data for a request beyond", one(make(rc::kOpData, 1000, 8, 0, 0, 0))},
      {"a tail beyond the ring", [](OpFrames* t) { t->link_->outbox->op_line.tail.store(t->written_ + kOpRing + 1); }},
      {"a tail backwards", [](OpFrames* t) { t->link_->outbox->op_line.tail.store(t->written_ - 1); }},
      {"the highest tail", [](OpFrames* t) { t->link_->outbox->op_line.tail.store(UINT64_MAX); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    c.spoil(this);
    // A write that was begun in good order may have landed; only the pieces of it.
    if (std::string(c.what).find("piece") != std::string::npos ||
        std::string(c.what).find("change") != std::string::npos ||
        std::string(c.what).find("taken") != std::string::npos) {
      EXPECT_EQ(RC_E_CORRUPT, rc_progress(honest_));
      for (uint64_t i = 64 + 8; i < kBytes; ++i) ASSERT_EQ(kUntouched, bytes_of(mine_)[i]) << i;
    } else {
      expect_corrupt();
    }
    if (HasFailure()) return;
    TearDown();
    SetUp();
  }
}

TEST_F(OpFrames, AnswersToARealRequestThatMakeNoSense) {
  struct Case {
    const char* what;
    std::function<rc::OpFrame(OpFrames*)> make;
  };
  const Case cases[] = {
      {"data from the middle",
       [](OpFrames* t) {
         rc::OpFrame f = t->frame(rc::kOpData);
         f.compare = 8;
         f.bytes = 8;
         return f;
       }},
      {"more data than asked for",
       [](OpFrames* t) {
         rc::OpFrame f = t->frame(rc::kOpData);
         f.bytes = 72;
         return f;
       }},
      {"no data", [](OpFrames* t) { return t->frame(rc::kOpData); }},
      {"an end without data", [](OpFrames* t) { return t->frame(rc::kOpDone); }},
      {"a code that no owner gives",
       [](OpFrames* t) {
         rc::OpFrame f = t->frame(rc::kOpDone);
         f.word = static_cast<uint32_t>(RC_E_HANDLE);
         return f;
       }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    rc_request request{0};
    ASSERT_EQ(RC_OK, rc_read(mine_, 0, remote_, 0, 64, &request)) << rc_reason();
    rc::OpFrame asked;
    uint64_t at = link_->inbox->op_line.tail.load() - sizeof asked;
    for (size_t i = 0; i < sizeof asked; ++i)
      reinterpret_cast<uint8_t*>(&asked)[i] = link_->inbox_op_ring()[(at + i) % kOpRing];
    rc::OpFrame f = c.make(this);
    f.request = asked.request;
    send(f);
    EXPECT_EQ(RC_E_CORRUPT, rc_request_wait(request, kPatience, nullptr));
    EXPECT_EQ(RC_E_HANDLE, rc_request_test(request, nullptr));
    expect_corrupt();
    if (HasFailure()) return;
    TearDown();
    SetUp();
  }
}

// It means nothing to an owner who has not asked.
TEST_F(OpFrames, AnAnswerToNoRevokeChangesNothing) {
  send(frame(rc::kOpRevoked));
  rc::OpFrame other = frame(rc::kOpRevoked);
  other.key.id += 1;
  send(other);
  EXPECT_EQ(RC_OK, rc_progress(honest_)) << rc_reason();
  send(write(0, 8, 16, 0, 16));
  EXPECT_EQ(RC_OK, static_cast<int32_t>(answer().word));
  EXPECT_EQ(RC_E_IN_USE, rc_mr_free(mine_));
  // And who is asked about a grant that it does not know answers.
  rc::OpFrame revoke = frame(rc::kOpRevoke);
  revoke.word = 1;
  revoke.key.id = 40;
  send(revoke);
  rc::OpFrame revoked = answer();
  EXPECT_EQ(rc::kOpRevoked, revoked.type);
  EXPECT_EQ(40u, revoked.key.id);
}

TEST_F(OpFrames, ACreditThatWasNotSent) {
  link_->outbox->op_credit.store(UINT64_MAX / 2);
  rc_request requests[8];
  int32_t code = RC_OK;
  for (rc_request& r : requests) {
    if (code == RC_OK) code = rc_write(mine_, 0, remote_, 0, 4096, &r);
  }
  EXPECT_EQ(RC_OK, code);  // the ring is full after two of them, and the credit is looked at
  EXPECT_EQ(RC_E_CORRUPT, rc_request_wait(requests[0], kPatience, nullptr));
  expect_untouched();
}

// Whole frames that ask for what was not granted: refused, and the channel goes on.
TEST_F(OpFrames, WhatIsNotGrantedIsRefused) {
  struct Case {
    const char* what;
    int32_t code;
    std::function<void(rc::OpFrame*)> change;
  };
  const Case cases[] = {
      {"beyond the end", RC_E_RANGE, [](rc::OpFrame* f) { f->offset = 1017; }},
      {"far beyond the end", RC_E_RANGE, [](rc::OpFrame* f) { f->offset = UINT64_MAX; }},
      {"before the beginning", RC_E_RANGE, [](rc::OpFrame* f) { f->offset = UINT64_MAX - 63; }},
      {"more than there is", RC_E_RANGE, [](rc::OpFrame* f) { f->value = 1025; }},
      {"all there can be", RC_E_RANGE, [](rc::OpFrame* f) { f->value = UINT64_MAX; }},
      {"another secret", RC_E_REVOKED, [](rc::OpFrame* f) { f->key.secret[1] ^= 1; }},
      {"another use", RC_E_REVOKED, [](rc::OpFrame* f) { f->key.id += uint64_t{1} << 16; }},
      {"an empty slot", RC_E_REVOKED, [](rc::OpFrame* f) { f->key.id += 1; }},
      {"no slot", RC_E_REVOKED, [](rc::OpFrame* f) { f->key.id = UINT64_MAX; }},
      {"nothing at all", RC_E_REVOKED, [](rc::OpFrame* f) { f->key = {}; }},
  };
  uint32_t request = 0;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    rc::OpFrame read = frame(rc::kOpRead, request);
    read.value = 8;
    c.change(&read);
    send(read);
    EXPECT_EQ(c.code, static_cast<int32_t>(answer().word));
    rc::OpFrame imm = frame(rc::kOpImm, request);
    imm.value = 8;
    c.change(&imm);
    send(imm);
    EXPECT_EQ(c.code, static_cast<int32_t>(answer().word));
    uint32_t taken = 0;
    EXPECT_EQ(RC_E_WOULD_BLOCK, rc_imm_get(honest_, 0, &taken));
    rc::OpFrame add = frame(rc::kOpAdd, request);
    add.value = 1;
    send(add);
    EXPECT_EQ(RC_E_RIGHTS, static_cast<int32_t>(answer().word));  // not granted
    rc::OpFrame one = write(request, 0, 8, 0, 8);
    c.change(&one);
    if (one.value != 8) {  // the rest of it never comes
      one.value = 1032;
      one.bytes = 1032;
    }
    send(one);
    EXPECT_EQ(c.code, static_cast<int32_t>(answer().word));
    expect_untouched();
  }
  rc::OpFrame alloc = frame(rc::kOpAlloc);
  alloc.value = kBytes + 1;
  alloc.word = 1;
  alloc.compare = 1000;
  send(alloc);
  EXPECT_EQ(RC_E_LIMIT, static_cast<int32_t>(answer().word));
  EXPECT_EQ(RC_OK, rc_progress(honest_));
}

}  // namespace
