// rc_open, rc_close and rc_footprint: pools, memory, and config structs of other sizes.
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "harness/conformance/own_context.h"
#include "harness/conformance/pair.h"

namespace conformance {
namespace {

// The configs that are wrong, and what the reason must name.
struct Wrong {
  const char* names;
  int32_t code;
  std::function<void(rc_config*)> spoil;
};
std::vector<Wrong> wrong_configs() {
  return {
      {"size", RC_E_CONFIG, [](rc_config* c) { c->size = 0; }},
      {"size", RC_E_CONFIG, [](rc_config* c) { c->size = 3; }},
      {"channels_max", RC_E_INVALID, [](rc_config* c) { c->channels_max = 65537; }},
      {"channels_max", RC_E_INVALID, [](rc_config* c) { c->channels_max = UINT32_MAX; }},
      {"listeners_max", RC_E_INVALID, [](rc_config* c) { c->listeners_max = 1025; }},
      {"ring_bytes", RC_E_SIZE, [](rc_config* c) { c->ring_bytes = UINT64_MAX; }},
  };
}

}  // namespace

TEST(Context, DefaultsOpenAndClose) {
  rc_ctx ctx{0};
  ASSERT_RC(RC_OK, rc_open(nullptr, &ctx));
  EXPECT_NE(0u, ctx.id);
  EXPECT_RC(RC_OK, rc_close(ctx));
  EXPECT_RC(RC_E_HANDLE, rc_close(ctx));
}

TEST(Context, ExchangesInItsOwnMapping) {
  rc_config config = small_config();
  rc_ctx ctx{0};
  ASSERT_RC(RC_OK, rc_open(&config, &ctx));
  exchange(ctx);
  EXPECT_RC(RC_OK, rc_close(ctx));
}

TEST(Context, LivesInTheCallersMemoryExactly) {
  rc_config config = small_config();
  uint64_t need = 0;
  ASSERT_RC(RC_OK, rc_footprint(&config, &need));
  ASSERT_GT(need, 2 * config.ring_bytes);
  constexpr size_t kFence = 256;
  for (size_t misalign : {size_t{0}, size_t{1}, size_t{63}}) {
    SCOPED_TRACE(misalign);
    // Not zeroed: what the memory held before must not matter.
    std::vector<uint8_t> memory(kFence + misalign + need + kFence, 0xa5);
    config.memory = memory.data() + kFence + misalign;
    config.memory_bytes = need;
    rc_ctx ctx{0};
    ASSERT_RC(RC_OK, rc_open(&config, &ctx));
    exchange(ctx);
    EXPECT_RC(RC_OK, rc_close(ctx));
    for (size_t i = 0; i < kFence + misalign; ++i) ASSERT_EQ(0xa5, memory[i]) << "written before its memory";
    for (size_t i = 0; i < kFence; ++i) ASSERT_EQ(0xa5, memory[memory.size() - 1 - i]) << "written behind its memory";
  }
}

TEST(Context, OneByteLessThanTheFootprintIsRefused) {
  rc_config config = small_config();
  uint64_t need = 0;
  ASSERT_RC(RC_OK, rc_footprint(&config, &need));
  std::vector<uint8_t> memory(need);
  config.memory = memory.data();
  config.memory_bytes = need - 1;
  rc_ctx ctx{0};
  EXPECT_RC_NAMES(RC_E_SIZE, std::to_string(need), rc_open(&config, &ctx));
  EXPECT_TRUE(reason_names(std::to_string(need - 1)));
  config.memory_bytes = 0;
  EXPECT_RC(RC_E_SIZE, rc_open(&config, &ctx));
}

TEST(Context, FootprintIsTheSameWhateverTheMemory) {
  rc_config config = small_config();
  uint64_t without = 0, with = 0;
  EXPECT_RC(RC_OK, rc_footprint(&config, &without));
  config.memory = &config;
  config.memory_bytes = 1;
  EXPECT_RC(RC_OK, rc_footprint(&config, &with));
  EXPECT_EQ(without, with);
}

TEST(Context, FootprintGrowsWithThePools) {
  rc_config config = small_config();
  uint64_t small = 0, large = 0;
  EXPECT_RC(RC_OK, rc_footprint(&config, &small));
  config.rings_max = 30;
  EXPECT_RC(RC_OK, rc_footprint(&config, &large));
  EXPECT_GE(large, small + 27 * config.ring_bytes);
  EXPECT_RC(RC_OK, rc_footprint(nullptr, &large));
  EXPECT_GE(large, 16u * 4 * 1024 * 1024);  // the defaults of rc.h
  EXPECT_RC(RC_E_INVALID, rc_footprint(&config, nullptr));
}

TEST(Context, WrongConfigsAreNamed) {
  for (const Wrong& wrong : wrong_configs()) {
    SCOPED_TRACE(wrong.names);
    rc_config config = small_config();
    wrong.spoil(&config);
    rc_ctx ctx{0};
    uint64_t bytes = 0;
    EXPECT_RC_NAMES(wrong.code, wrong.names, rc_open(&config, &ctx));
    EXPECT_RC_NAMES(wrong.code, wrong.names, rc_footprint(&config, &bytes));
  }
  EXPECT_RC(RC_E_INVALID, rc_open(nullptr, nullptr));
}

TEST(Context, LargestPoolsAreAccepted) {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 65536;
  config.listeners_max = 1024;
  config.rings_max = 1;
  config.ring_bytes = 64;
  rc_ctx ctx{0};
  EXPECT_RC(RC_OK, rc_open(&config, &ctx));
  EXPECT_RC(RC_OK, rc_close(ctx));
}

TEST(Context, SmallestPoolsAreAccepted) {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 1;
  config.listeners_max = 1;
  config.rings_max = 1;
  config.ring_bytes = 1;
  rc_ctx ctx{0};
  EXPECT_RC(RC_OK, rc_open(&config, &ctx));
  EXPECT_RC(RC_OK, rc_close(ctx));
}

// A program built with a newer header: what it does not set is zero, and that is fine.
TEST(Context, LargerConfigWithAZeroTailIsAccepted) {
  struct {
    rc_config known;
    uint64_t newer[4];
  } config = {small_config(), {}};
  config.known.size = sizeof config;
  rc_ctx ctx{0};
  ASSERT_RC(RC_OK, rc_open(&config.known, &ctx));
  exchange(ctx);
  struct {
    rc_channel_config known;
    uint64_t newer[4];
  } channel = {};
  channel.known.size = sizeof channel;
  rc_listener listener{0};
  EXPECT_RC(RC_OK, rc_listen(ctx, unique_name("loop:").c_str(), &channel.known, &listener));
  EXPECT_RC(RC_OK, rc_close(ctx));
}

// What it does set and this library does not know is an error, not ignored.
TEST(Context, LargerConfigWithSomethingUnknownSetIsRefused) {
  struct {
    rc_config known;
    uint64_t newer[4];
  } config = {small_config(), {}};
  config.known.size = sizeof config;
  config.newer[3] = uint64_t{1} << 63;  // the very last byte
  rc_ctx ctx{0};
  EXPECT_RC_NAMES(RC_E_CONFIG, "rc_config", rc_open(&config.known, &ctx));
  rc_config plain = small_config();
  ASSERT_RC(RC_OK, rc_open(&plain, &ctx));
  struct {
    rc_channel_config known;
    uint8_t newer[8];
  } channel = {};
  channel.known.size = sizeof channel;
  channel.newer[0] = 1;
  rc_listener listener{0};
  EXPECT_RC_NAMES(RC_E_CONFIG, "rc_channel_config", rc_listen(ctx, "loop:x", &channel.known, &listener));
  EXPECT_RC(RC_OK, rc_close(ctx));
}

// A program built with an older header: fields behind its end have their defaults, and are not read.
TEST(Context, SmallerConfigIsReadAsFarAsItGoes) {
  size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  auto* pages =
      static_cast<uint8_t*>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(MAP_FAILED, pages);
  ASSERT_EQ(0, mprotect(pages + page, page, PROT_NONE));
  // As large as up to and with ring_bytes, right before memory that must not be touched.
  constexpr size_t kOlder = offsetof(rc_config, memory);
  rc_config whole = small_config();
  whole.size = kOlder;
  memcpy(pages + page - kOlder, &whole, kOlder);
  auto* config = reinterpret_cast<rc_config*>(pages + page - kOlder);
  rc_ctx ctx{0};
  uint64_t older = 0, newer = 0;
  EXPECT_RC(RC_OK, rc_footprint(config, &older));
  ASSERT_RC(RC_OK, rc_open(config, &ctx));
  exchange(ctx);
  EXPECT_RC(RC_OK, rc_close(ctx));
  whole.size = sizeof whole;
  EXPECT_RC(RC_OK, rc_footprint(&whole, &newer));
  EXPECT_EQ(newer, older);
  munmap(pages, 2 * page);
}

TEST(Context, SizesThatAreGarbageAreNotFollowed) {
  size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  auto* pages =
      static_cast<uint8_t*>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(MAP_FAILED, pages);
  ASSERT_EQ(0, mprotect(pages + page, page, PROT_NONE));
  auto* config = reinterpret_cast<rc_config*>(pages);
  *config = small_config();
  rc_ctx ctx{0};
  for (uint32_t size : {uint32_t{UINT32_MAX}, uint32_t{1} << 30, uint32_t{1} << 20}) {
    config->size = size;
    EXPECT_RC_NAMES(RC_E_CONFIG, std::to_string(size), rc_open(config, &ctx));
  }
  munmap(pages, 2 * page);
}

TEST(Context, SixtyFourMayBeOpen) {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 1;
  config.listeners_max = 1;
  config.ring_bytes = 64;
  std::vector<rc_ctx> open(64);
  std::set<uint64_t> ids;
  for (rc_ctx& ctx : open) {
    ASSERT_RC(RC_OK, rc_open(&config, &ctx));
    ids.insert(ctx.id);
  }
  EXPECT_EQ(64u, ids.size());
  rc_ctx one_more{0};
  EXPECT_RC_NAMES(RC_E_POOL, "64", rc_open(&config, &one_more));
  EXPECT_RC(RC_OK, rc_close(open[7]));
  uint64_t gone = open[7].id;
  EXPECT_RC(RC_OK, rc_open(&config, &open[7]));
  EXPECT_NE(gone, open[7].id);
  EXPECT_RC(RC_E_HANDLE, rc_stop(rc_ctx{gone}));
  for (rc_ctx ctx : open) EXPECT_RC(RC_OK, rc_close(ctx));
}

TEST(Context, OpenAndCloseLeaveNothingBehind) {
  rc_config config = small_config();
  rc_ctx ctx{0};
  ASSERT_RC(RC_OK, rc_open(&config, &ctx));
  exchange(ctx);
  EXPECT_RC(RC_OK, rc_close(ctx));
  Holdings before = holdings();
  for (int i = 0; i < 20; ++i) {
    ASSERT_RC(RC_OK, rc_open(&config, &ctx));
    exchange(ctx);
    EXPECT_RC(RC_OK, rc_close(ctx));
  }
  Holdings after = holdings();
  EXPECT_EQ(before.descriptors, after.descriptors);
  EXPECT_EQ(before.memory_files, after.memory_files);
}

TEST(Context, CloseTakesOpenChannelsAlong) {
  Holdings before = holdings();
  rc_config config = small_config();
  rc_ctx ctx{0};
  ASSERT_RC(RC_OK, rc_open(&config, &ctx));
  for (const char* scheme : {"loop:", "shm:"}) {
    std::string uri = unique_name(scheme);
    rc_listener listener;
    rc_channel one{0}, other{0};
    ASSERT_RC(RC_OK, rc_listen(ctx, uri.c_str(), nullptr, &listener));
    if (scheme[0] == 's') break;  // a listener without a client, too
    Doing connecting([&] { return rc_connect(ctx, uri.c_str(), nullptr, kPatience, &other); });
    ASSERT_RC(RC_OK, rc_accept(listener, kPatience, &one));
    EXPECT_DONE(RC_OK, connecting);
    EXPECT_RC(RC_OK, rc_put(one, "x", 1, kPatience, nullptr));
  }
  EXPECT_RC(RC_OK, rc_close(ctx));
  EXPECT_EQ(before.descriptors, holdings().descriptors);
  EXPECT_EQ(before.memory_files, holdings().memory_files);
}

TEST(Context, ContextsDoNotShareLoopNames) {
  rc_config config = small_config();
  rc_ctx one{0}, other{0};
  ASSERT_RC(RC_OK, rc_open(&config, &one));
  ASSERT_RC(RC_OK, rc_open(&config, &other));
  rc_listener listener;
  rc_channel channel;
  EXPECT_RC(RC_OK, rc_listen(one, "loop:same", nullptr, &listener));
  EXPECT_RC(RC_OK, rc_listen(other, "loop:same", nullptr, &listener));
  EXPECT_RC(RC_OK, rc_close(one));
  EXPECT_RC(RC_OK, rc_listener_close(listener));
  EXPECT_RC(RC_E_NO_LISTENER, rc_connect(other, "loop:same", nullptr, 0, &channel));
  EXPECT_RC(RC_OK, rc_close(other));
}

}  // namespace conformance
