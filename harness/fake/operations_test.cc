// Operations over NICs that answer in another order and make requests fail: who keeps count of what each of them was
// told knows what the memory holds.
#include <gtest/gtest.h>
#include <string.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "capi/rc.h"
#include "harness/fake/fake.h"
#include "harness/fake/random.h"

namespace {

constexpr int64_t kPatience = INT64_C(30) * 1000 * 1000 * 1000;
constexpr uint64_t kWords = 64;
constexpr uint32_t kInFlight = 64;
constexpr uint64_t kAll = 400;       // operations of a run
constexpr int kTurns = 1000 * 1000;  // calls that all of them may take

struct Posted {
  enum Kind { kAdd, kSwap, kWrite, kRead } kind;
  uint64_t word, words;  // from here on, so many
  uint64_t value;
  rc_completion end;
};

struct Outcome {
  std::string wrong;  // empty: all is well
  uint64_t overtaken = 0, refused = 0;
  std::vector<uint64_t> order;  // tags, as told
};

// Both ends in one thread; which calls are made follows from the seed.
class Load {
 public:
  Load(uint64_t seed, const std::string& moods) : random_(seed), uri_("fake:operations?seed=" + std::to_string(seed)) {
    rc::fake::reset();
    rc_config config = {};
    config.size = sizeof config;
    config.ring_bytes = 4096;
    config.mr_bytes = 1 << 20;
    EXPECT_EQ(RC_OK, rc_open(&config, &ctx_)) << rc_reason();
    connect(uri_ + moods);
    local_at_ = region(kInFlight * sizeof(uint64_t) * kWords, &local_);
    theirs_at_ = region(kWords * sizeof(uint64_t), &theirs_);
    rc_grant grant{0};
    EXPECT_EQ(RC_OK, rc_mr_grant(owner_, theirs_, 0, kWords * sizeof(uint64_t), RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC,
                                 0, &grant));
    until([&] { return rc_remote_get(asker_, 0, &remote_) == RC_OK; });
  }
  ~Load() { EXPECT_EQ(RC_OK, rc_close(ctx_)); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  Outcome go() {
    int turns = 0;
    while (told_ < kAll && outcome_.wrong.empty()) {
      if (++turns > kTurns) return {"the operations do not end", 0, 0, {}};
      uint64_t what = random_.below(8);
      if (what < 5 && posted_.size() < kAll && posted_.size() - told_ < kInFlight) post();
      if (what == 5 || what == 6) rc_progress(owner_);
      if (what == 7) collect();
    }
    replay();
    return outcome_;
  }

 private:
  void connect(const std::string& uri) {
    rc_listener l{0};
    EXPECT_EQ(RC_OK, rc_listen(ctx_, uri.c_str(), nullptr, &l)) << rc_reason();
    std::thread connecting([&] { rc_connect(ctx_, uri.c_str(), nullptr, kPatience, &asker_); });
    EXPECT_EQ(RC_OK, rc_accept(l, kPatience, &owner_)) << rc_reason();
    connecting.join();
  }
  uint64_t* region(uint64_t bytes, rc_mr* mr) const {
    rc_region info = {};
    info.size = sizeof info;
    EXPECT_EQ(RC_OK, rc_mr_alloc(ctx_, bytes, 0, mr)) << rc_reason();
    EXPECT_EQ(RC_OK, rc_mr_info(*mr, &info));
    return static_cast<uint64_t*>(info.address);
  }
  template <class F>
  void until(F done) {
    for (int i = 0; i < kTurns; ++i) {
      if (done()) return;
      rc_progress(owner_);
    }
    FAIL() << "it does not come to that: " << rc_reason();
  }

  // Each in flight has local words of its own.

  void post() {
    uint64_t tag = posted_.size(), place = 0;
    while (busy_[place]) ++place;
    Posted p = {static_cast<Posted::Kind>(random_.below(4)), random_.below(kWords), 1, random_.next(), {}};
    if (p.kind == Posted::kWrite || p.kind == Posted::kRead) p.words = 1 + random_.below(kWords - p.word);
    uint64_t at = p.word * sizeof(uint64_t), bytes = p.words * sizeof(uint64_t), from = place * kWords;
    for (uint64_t i = 0; p.kind == Posted::kWrite && i < p.words; ++i) local_at_[from + i] = p.value + i;
    rc_request request{0};
    int32_t code = p.kind == Posted::kAdd     ? rc_fetch_add(remote_, at, p.value, &request)
                   : p.kind == Posted::kSwap  ? rc_compare_swap(remote_, at, 0, p.value, &request)
                   : p.kind == Posted::kWrite ? rc_write(local_, from * sizeof(uint64_t), remote_, at, bytes, &request)
                                              : rc_read(local_, from * sizeof(uint64_t), remote_, at, bytes, &request);
    if (code == RC_OK) code = rc_request_queue(request, tag);
    if (code != RC_OK) outcome_.wrong = std::string("posting: ") + rc_reason();
    busy_[place] = true;
    places_[tag] = place;
    posted_.push_back(p);
  }

  void collect() {
    rc_completion completions[8];
    uint32_t count = 0;
    int32_t code = rc_completions_get(asker_, completions, 8, 0, &count);
    if (code != RC_OK && code != RC_E_WOULD_BLOCK) outcome_.wrong = std::string("collecting: ") + rc_reason();
    for (uint32_t i = 0; i < count; ++i) {
      const rc_completion& c = completions[i];
      posted_[c.tag].end = c;
      busy_[places_[c.tag]] = false;
      outcome_.overtaken += c.tag < newest_;
      newest_ = c.tag > newest_ ? c.tag : newest_;
      outcome_.order.push_back(c.tag);
      bool named = c.code == RC_E_REVOKED || c.code == RC_E_RANGE ||
                   (c.code == RC_E_ALIGNMENT && posted_[c.tag].kind <= Posted::kSwap);
      outcome_.refused += named;
      if (c.code != RC_OK && !named) outcome_.wrong = std::string("ended with ") + rc_code_name(c.code);
      if (named && c.reason[0] == 0) outcome_.wrong = "a failure without a reason";
    }
    told_ += count;
  }

  // As the owner has executed them: in order, and of those that were refused nothing.
  void replay() {
    uint64_t words[kWords] = {};
    for (uint64_t tag = 0; tag < posted_.size() && outcome_.wrong.empty(); ++tag) {
      const Posted& p = posted_[tag];
      if (p.end.code != RC_OK) continue;
      if (p.kind <= Posted::kSwap && p.end.value != words[p.word])
        outcome_.wrong = "operation " + std::to_string(tag) + " was told another value";
      if (p.kind == Posted::kAdd) words[p.word] += p.value;
      if (p.kind == Posted::kSwap && words[p.word] == 0) words[p.word] = p.value;
      for (uint64_t i = 0; p.kind == Posted::kWrite && i < p.words; ++i) words[p.word + i] = p.value + i;
    }
    if (outcome_.wrong.empty() && memcmp(words, theirs_at_, sizeof words) != 0)
      outcome_.wrong = "the memory is not what the operations have made of it";
  }

  rc::fake::Random random_;
  std::string uri_;
  rc_ctx ctx_{0};
  rc_channel owner_{0}, asker_{0};
  rc_mr local_{0}, theirs_{0};
  rc_remote remote_{0};
  uint64_t *local_at_ = nullptr, *theirs_at_ = nullptr;
  std::vector<Posted> posted_;
  std::map<uint64_t, uint64_t> places_;
  bool busy_[kInFlight + 1] = {};
  uint64_t told_ = 0, newest_ = 0;
  Outcome outcome_;
};

constexpr uint64_t kSeeds = 60;

TEST(FakeOperations, WhatEachWasToldIsTrueInWhateverOrder) {
  uint64_t overtaken = 0, refused = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Outcome outcome = Load(seed, "&shuffle=800&deny=100").go();
    ASSERT_EQ("", outcome.wrong) << "seed " << seed;
    overtaken += outcome.overtaken;
    refused += outcome.refused;
  }
  EXPECT_GT(overtaken, kSeeds * kAll / 20);
  EXPECT_GT(refused, kSeeds * kAll / 20);
  EXPECT_LT(refused, kSeeds * kAll / 5);
}

TEST(FakeOperations, WithoutThatNoneIsRefusedAndAnswersKeepTheirOrder) {
  for (uint64_t seed = 1; seed <= kSeeds / 6; ++seed) {
    Outcome outcome = Load(seed, "&shuffle=0").go();
    ASSERT_EQ("", outcome.wrong) << "seed " << seed;
    EXPECT_EQ(0u, outcome.refused);
    EXPECT_EQ(0u, outcome.overtaken);
  }
}

TEST(FakeOperations, TheSameSeedIsTheSameOrder) {
  std::vector<uint64_t> orders[2];
  rc::fake::Trace traces[2];
  for (int i = 0; i < 2; ++i) {
    orders[i] = Load(7, "&shuffle=800&deny=100").go().order;
    traces[i] = rc::fake::trace();
  }
  EXPECT_EQ(orders[0], orders[1]);
  EXPECT_EQ(traces[0].shuffled, traces[1].shuffled);
  EXPECT_EQ(traces[0].denied, traces[1].denied);
  EXPECT_GT(traces[0].shuffled, 0u);
  EXPECT_GT(traces[0].denied, 0u);
}

}  // namespace
