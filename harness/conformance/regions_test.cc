// Regions without a channel: the pool, registered memory, handles.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "harness/conformance/about.h"
#include "harness/conformance/own_context.h"

namespace conformance {

std::vector<Backend> backends() { return {}; }

class RegionsOfAContext : public testing::Test {
 protected:
  static constexpr uint64_t kPool = 64 * 4096;
  static constexpr uint32_t kMost = 16;

  void SetUp() override { open(kPool, kMost); }
  void TearDown() override { EXPECT_RC(RC_OK, rc_close(ctx_)); }
  void open(uint64_t pool, uint32_t most) {
    rc_config config = small_config();
    config.mr_bytes = pool;
    config.mrs_max = most;
    ASSERT_RC(RC_OK, rc_open(&config, &ctx_));
  }
  rc_mr alloc(uint64_t bytes, uint32_t flags = 0) {
    rc_mr mr{0};
    EXPECT_RC(RC_OK, rc_mr_alloc(ctx_, bytes, flags, &mr));
    return mr;
  }
  rc_ctx ctx_{0};
  std::vector<uint8_t> memory_;
};

TEST_F(RegionsOfAContext, ARegionIsWhatWasAskedFor) {
  rc_mr mr = alloc(100);
  rc_region region = about(mr);
  EXPECT_EQ(100u, region.bytes);
  EXPECT_EQ(uint32_t{RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC}, region.access);
  EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(region.address) % 4096);
  EXPECT_EQ(0u, region.registered + region.requests + region.grants);
  memset(region.address, 1, 100);
  EXPECT_RC(RC_OK, rc_mr_free(mr));
  EXPECT_RC(RC_E_HANDLE, rc_mr_free(mr));
  EXPECT_RC(RC_E_HANDLE, rc_mr_info(mr, &region));
}

TEST_F(RegionsOfAContext, ZeroedUnlessNotAskedFor) {
  rc_mr first = alloc(kPool);
  auto* at = static_cast<uint8_t*>(about(first).address);
  memset(at, 7, kPool);
  EXPECT_RC(RC_OK, rc_mr_free(first));
  rc_mr as_it_is = alloc(kPool / 2, RC_MR_UNINITIALISED);
  EXPECT_EQ(at, about(as_it_is).address);
  EXPECT_EQ(7, at[0]);
  rc_mr zeroed = alloc(kPool / 2);
  for (uint64_t i = 0; i < kPool / 2; ++i) ASSERT_EQ(0, at[kPool / 2 + i]);
  EXPECT_EQ(at + kPool / 2, about(zeroed).address);
}

TEST_F(RegionsOfAContext, SizesThatCannotBe) {
  rc_mr mr{99};
  EXPECT_RC(RC_E_SIZE, rc_mr_alloc(ctx_, 0, 0, &mr));
  EXPECT_RC_NAMES(RC_E_SIZE, "mr_bytes", rc_mr_alloc(ctx_, kPool + 1, 0, &mr));
  EXPECT_RC(RC_E_SIZE, rc_mr_alloc(ctx_, UINT64_MAX, 0, &mr));
  EXPECT_RC(RC_E_INVALID, rc_mr_alloc(ctx_, 8, 1, &mr));
  EXPECT_RC(RC_E_INVALID, rc_mr_alloc(ctx_, 8, 0, nullptr));
  EXPECT_EQ(0u, mr.id);
  EXPECT_RC(RC_E_HANDLE, rc_mr_alloc(rc_ctx{5}, 8, 0, &mr));
}

TEST_F(RegionsOfAContext, AFullPoolIsNamedAndRecovers) {
  rc_mr all = alloc(kPool), mr{99};
  EXPECT_RC_NAMES(RC_E_POOL, "region pool", rc_mr_alloc(ctx_, 1, 0, &mr));
  EXPECT_RC(RC_OK, rc_mr_free(all));
  std::vector<rc_mr> many;
  for (uint32_t i = 0; i < kMost; ++i) many.push_back(alloc(1));
  EXPECT_RC_NAMES(RC_E_POOL, "mrs_max", rc_mr_alloc(ctx_, 1, 0, &mr));
  for (rc_mr one : many) EXPECT_RC(RC_OK, rc_mr_free(one));
  EXPECT_RC(RC_OK, rc_mr_free(alloc(kPool)));
}

TEST_F(RegionsOfAContext, RegionsNeverOverlap) {
  std::mt19937 random(3);
  struct One {
    rc_mr mr;
    uint8_t value;
  };
  std::vector<One> live;
  uint64_t full = 0;
  for (int i = 0; i < 3000; ++i) {
    if (!live.empty() && random() % 5 < 2) {
      size_t which = random() % live.size();
      rc_region region = about(live[which].mr);
      auto* at = static_cast<uint8_t*>(region.address);
      for (uint64_t b = 0; b < region.bytes; b += 97) ASSERT_EQ(live[which].value, at[b]);
      ASSERT_RC(RC_OK, rc_mr_free(live[which].mr));
      live.erase(live.begin() + static_cast<ptrdiff_t>(which));
      continue;
    }
    One one = {{0}, static_cast<uint8_t>(random())};
    int32_t code = rc_mr_alloc(ctx_, 1 + random() % (kPool / 8), 0, &one.mr);
    full += code == RC_E_POOL;
    if (code != RC_OK) continue;
    memset(about(one.mr).address, one.value, about(one.mr).bytes);
    live.push_back(one);
  }
  EXPECT_GT(full, 0u);
}

TEST_F(RegionsOfAContext, ThreadsShareThePool) {
  constexpr uint64_t kThreads = 4, kTurns = 50000;
  std::atomic<uint64_t> there{0};
  auto take_and_free = [&](uint64_t mark) {
    ++there;
    while (there < kThreads) std::this_thread::yield();
    for (uint64_t i = 0; i < kTurns; ++i) {
      rc_mr mr = alloc(sizeof mark);
      auto* word = static_cast<volatile uint64_t*>(about(mr).address);
      if (word == nullptr) return;  // the failure has been told
      *word = mark + i;
      EXPECT_EQ(mark + i, *word);
      EXPECT_RC(RC_OK, rc_mr_free(mr));
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) threads.emplace_back(take_and_free, t << 32);
  for (std::thread& thread : threads) thread.join();
  for (uint32_t i = 0; i < kMost; ++i) alloc(kPool / kMost);  // all of it is there again
}

TEST_F(RegionsOfAContext, HandlesAreNeverUsedTwice) {
  rc_mr first = alloc(1);
  EXPECT_RC(RC_OK, rc_mr_free(first));
  rc_mr second = alloc(1);
  EXPECT_NE(first.id, second.id);
  for (uint64_t id : {uint64_t{0}, ~uint64_t{0}, first.id, ctx_.id, second.id ^ 1, second.id ^ (uint64_t{1} << 27)})
    EXPECT_RC(RC_E_HANDLE, rc_mr_free(rc_mr{id}));
  rc_ctx other{0};
  rc_config config = small_config();
  config.mr_bytes = 4096;
  EXPECT_RC(RC_OK, rc_open(&config, &other));
  EXPECT_RC(RC_E_HANDLE, rc_mr_free(rc_mr{second.id ^ (uint64_t{1} << 19)})) << "another context";
  EXPECT_RC(RC_OK, rc_close(other));
  EXPECT_RC(RC_OK, rc_mr_free(second));
}

TEST_F(RegionsOfAContext, MemoryOfTheCallers) {
  uint8_t mine[100] = {};
  rc_mr mr{0};
  ASSERT_RC(RC_OK, rc_mr_reg(ctx_, mine + 3, 50, RC_MR_READ | RC_MR_WRITE, &mr));
  rc_region region = about(mr);
  EXPECT_EQ(mine + 3, region.address);
  EXPECT_EQ(50u, region.bytes);
  EXPECT_EQ(1u, region.registered);
  EXPECT_EQ(uint32_t{RC_MR_READ | RC_MR_WRITE}, region.access);
  EXPECT_RC(RC_OK, rc_mr_free(mr));
  EXPECT_EQ(0, mine[3]);
}

TEST_F(RegionsOfAContext, MemoryThatIsNotThereIsRefused) {
  rc_mr mr{99};
  auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  auto* three =
      static_cast<uint8_t*>(mmap(nullptr, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(MAP_FAILED, static_cast<void*>(three));
  EXPECT_RC(RC_OK, rc_mr_reg(ctx_, three, 3 * page, RC_MR_WRITE, &mr));
  EXPECT_RC(RC_OK, rc_mr_free(mr));
  mprotect(three + page, page, PROT_READ);
  EXPECT_RC_NAMES(RC_E_FAULT, "writable", rc_mr_reg(ctx_, three + page - 1, 2, RC_MR_WRITE, &mr));
  EXPECT_RC(RC_E_FAULT, rc_mr_reg(ctx_, three + page, 1, RC_MR_ATOMIC, &mr));
  EXPECT_RC(RC_OK, rc_mr_reg(ctx_, three + page - 1, 2, RC_MR_READ, &mr));
  EXPECT_RC(RC_OK, rc_mr_free(mr));
  mprotect(three + page, page, PROT_NONE);
  EXPECT_RC_NAMES(RC_E_FAULT, "readable", rc_mr_reg(ctx_, three, 3 * page, RC_MR_READ, &mr));
  munmap(three + page, page);
  EXPECT_RC_NAMES(RC_E_FAULT, "mapped", rc_mr_reg(ctx_, three, page + 1, RC_MR_READ, &mr));
  EXPECT_RC_NAMES(RC_E_FAULT, "mapped", rc_mr_reg(ctx_, three, page + 1, RC_MR_WRITE, &mr));
  EXPECT_RC(RC_E_FAULT, rc_mr_reg(ctx_, reinterpret_cast<void*>(8), 8, RC_MR_READ, &mr));
  EXPECT_RC(RC_E_INVALID, rc_mr_reg(ctx_, nullptr, 8, RC_MR_READ, &mr));
  EXPECT_RC(RC_E_SIZE, rc_mr_reg(ctx_, three, 0, RC_MR_READ, &mr));
  EXPECT_RC(RC_E_SIZE, rc_mr_reg(ctx_, three, UINT64_MAX, RC_MR_READ, &mr));
  EXPECT_RC(RC_E_INVALID, rc_mr_reg(ctx_, three, 8, 0, &mr));
  EXPECT_RC(RC_E_INVALID, rc_mr_reg(ctx_, three, 8, 16, &mr));
  EXPECT_EQ(0u, mr.id);
  munmap(three, page);
  munmap(three + 2 * page, page);
}

// Scenario C7, and the cursor.
TEST_F(RegionsOfAContext, SlicesAreCheckedWhenTheyAreMade) {
  rc_mr mr = alloc(4096);
  rc_slice slice = {};
  const uint64_t good[][2] = {{0, 4096}, {2048, 4096}, {1000, 4000}, {1234, 1235}};
  for (const auto& g : good) {
    EXPECT_RC(RC_OK, rc_mr_slice(mr, g[0], g[1], &slice));
    EXPECT_EQ(mr.id, slice.mr.id);
    EXPECT_EQ(g[0], slice.offset);
    EXPECT_EQ(g[1] - g[0], slice.bytes);
  }
  struct {
    uint64_t begin, end;
    const char* why;
  } bad[] = {{5, 5, "empty"},       {20, 10, "reversed"},        {0, 4097, "within"},      {4096, 4097, "within"},
             {4096, 4096, "empty"}, {UINT64_MAX, 2, "reversed"}, {1, UINT64_MAX, "within"}};
  for (const auto& b : bad) {
    EXPECT_RC_NAMES(RC_E_RANGE, b.why, rc_mr_slice(mr, b.begin, b.end, &slice));
    EXPECT_EQ(0u, slice.mr.id + slice.bytes);
  }
  EXPECT_RC(RC_E_INVALID, rc_mr_slice(mr, 0, 1, nullptr));
  EXPECT_RC(RC_E_HANDLE, rc_mr_slice(rc_mr{7}, 0, 1, &slice));
  ASSERT_RC(RC_OK, rc_mr_slice(mr, 1000, 2000, &slice));
  rc_slice part = {};
  EXPECT_RC(RC_OK, rc_slice_part(&slice, 10, 30, &part));
  EXPECT_EQ(1010u, part.offset);
  EXPECT_EQ(20u, part.bytes);
  EXPECT_RC(RC_OK, rc_slice_part(&part, 0, 20, &part));
  EXPECT_EQ(1010u, part.offset);
  EXPECT_RC_NAMES(RC_E_RANGE, "within", rc_slice_part(&slice, 0, 1001, &part));  // of the slice
  rc_slice forged = {mr, UINT64_MAX - 5, 100};
  EXPECT_RC(RC_E_RANGE, rc_slice_part(&forged, 0, 50, &part));
  forged = {mr, 4000, 200};
  EXPECT_RC(RC_E_RANGE, rc_slice_part(&forged, 90, 100, &part));
  EXPECT_RC(RC_E_INVALID, rc_slice_part(nullptr, 0, 1, &part));
  EXPECT_RC(RC_OK, rc_mr_free(mr));
  EXPECT_RC(RC_E_HANDLE, rc_slice_part(&slice, 0, 1, &part)) << "the region is gone";
}

TEST_F(RegionsOfAContext, ACursorGoesThroughASlice) {
  rc_mr mr = alloc(4096);
  rc_slice rest = {}, next = {};
  ASSERT_RC(RC_OK, rc_mr_slice(mr, 100, 200, &rest));
  EXPECT_RC(RC_OK, rc_slice_next(&rest, 30, &next));
  EXPECT_EQ(100u, next.offset);
  EXPECT_EQ(30u, next.bytes);
  EXPECT_RC(RC_E_RANGE, rc_slice_next(&rest, 71, &next)) << "only 70 are left";
  EXPECT_RC(RC_E_RANGE, rc_slice_next(&rest, 0, &next));
  EXPECT_RC(RC_E_RANGE, rc_slice_next(&rest, UINT64_MAX, &next));
  EXPECT_RC(RC_E_INVALID, rc_slice_next(&rest, 1, &rest));
  EXPECT_RC(RC_E_INVALID, rc_slice_next(&rest, 1, nullptr));
  EXPECT_RC(RC_E_INVALID, rc_slice_next(nullptr, 1, &next));
  EXPECT_EQ(130u, rest.offset);
  EXPECT_EQ(70u, rest.bytes);
  EXPECT_RC(RC_OK, rc_slice_next(&rest, 70, &next));
  EXPECT_EQ(130u, next.offset);
  EXPECT_EQ(0u, rest.bytes);
  EXPECT_RC(RC_E_RANGE, rc_slice_next(&rest, 1, &next)) << "it is at its end";
  EXPECT_RC(RC_OK, rc_mr_free(mr));
}

TEST_F(RegionsOfAContext, TheCallersMemoryMayHoldThePools) {
  EXPECT_RC(RC_OK, rc_close(ctx_));
  rc_config config = small_config();
  config.mr_bytes = kPool;
  uint64_t bytes = 0;
  ASSERT_RC(RC_OK, rc_footprint(&config, &bytes));
  EXPECT_GT(bytes, kPool);
  memory_.assign(bytes, 0x5a);
  config.memory = memory_.data();
  config.memory_bytes = bytes;
  ASSERT_RC(RC_OK, rc_open(&config, &ctx_));
  rc_mr mr = alloc(kPool);
  auto* at = static_cast<uint8_t*>(about(mr).address);
  EXPECT_GE(at, memory_.data());
  EXPECT_LE(at + kPool, memory_.data() + bytes);
  for (uint64_t i = 0; i < kPool; ++i) ASSERT_EQ(0, at[i]);
  exchange(ctx_);
}

// One line of /proc/meminfo, or of the piece of /proc/self/smaps about an address; 0: there is none.
uint64_t system_figure(const char* path, const char* name, const void* address) {
  FILE* file = fopen(path, "re");
  char line[512], format[64];
  snprintf(format, sizeof format, "%s: %%llu", name);
  unsigned long long from, to, value = 0;
  bool here = address == nullptr;
  while (file != nullptr && fgets(line, sizeof line, file) != nullptr) {
    auto at = reinterpret_cast<uintptr_t>(address);
    if (address != nullptr && sscanf(line, "%llx-%llx ", &from, &to) == 2) here = from <= at && at < to;
    if (here && sscanf(line, format, &value) == 1) break;
  }
  if (file != nullptr) fclose(file);
  return value;
}

// Where pages can be had the pool lies in them; where not, rc_open says how to get them, and never does without.
TEST_F(RegionsOfAContext, HugePagesOnRequest) {
  constexpr uint64_t kHuge = 2 << 20;
  rc_mr mr = alloc(4096);
  EXPECT_EQ(4096u, about(mr).page_bytes);
  rc_config config = small_config();
  config.mr_bytes = kPool;
  config.flags = RC_HUGE_PAGES;
  uint64_t bytes = 0;
  ASSERT_RC(RC_OK, rc_footprint(&config, &bytes));
  rc_ctx ctx{0};
  uint64_t free_pages = system_figure("/proc/meminfo", "HugePages_Free", nullptr);
  int32_t code = rc_open(&config, &ctx);
  if (code == RC_OK) {
    EXPECT_GE(free_pages, bytes / kHuge);
    ASSERT_RC(RC_OK, rc_mr_alloc(ctx, kPool, 0, &mr));
    EXPECT_EQ(kHuge, about(mr).page_bytes);
    memset(about(mr).address, 1, kPool);
    EXPECT_EQ(kHuge / 1024, system_figure("/proc/self/smaps", "KernelPageSize", about(mr).address));
    exchange(ctx);
    EXPECT_RC(RC_OK, rc_close(ctx));
    EXPECT_GE(system_figure("/proc/meminfo", "HugePages_Free", nullptr), free_pages) << "they are given back";
  } else if (code != RC_E_UNSUPPORTED) {  // else this kernel knows none of 2 MiB
    EXPECT_RC_NAMES(RC_E_NO_MEMORY, "vm.nr_hugepages", rc_open(&config, &ctx));
    EXPECT_EQ(0u, ctx.id);
  }
  memory_.resize(bytes);
  config.memory = memory_.data();
  config.memory_bytes = bytes;
  EXPECT_RC_NAMES(RC_E_INVALID, "RC_HUGE_PAGES", rc_open(&config, &ctx));
  config.flags = 2;
  EXPECT_RC_NAMES(RC_E_CONFIG, "flags", rc_open(&config, &ctx));
}

TEST_F(RegionsOfAContext, AContextWithoutRegionsHasNone) {
  EXPECT_RC(RC_OK, rc_close(ctx_));
  open(0, 0);
  rc_mr mr{99};
  uint8_t mine[8] = {};
  EXPECT_RC(RC_E_SIZE, rc_mr_alloc(ctx_, 1, 0, &mr));
  EXPECT_RC(RC_E_POOL, rc_mr_reg(ctx_, mine, 8, RC_MR_READ, &mr));
  rc_listener listener{0};
  rc_channel one{0}, other{0};
  std::string uri = unique_name("loop:");
  ASSERT_RC(RC_OK, rc_listen(ctx_, uri.c_str(), nullptr, &listener));
  Doing connecting([&] { return rc_connect(ctx_, uri.c_str(), nullptr, kPatience, &other); });
  ASSERT_RC(RC_OK, rc_accept(listener, kPatience, &one));
  EXPECT_DONE(RC_OK, connecting);
  rc_remote remote{0};
  rc_grant grant{0};
  uint32_t imm = 0;
  EXPECT_RC(RC_E_UNSUPPORTED, rc_remote_get(one, 0, &remote));
  EXPECT_RC(RC_E_UNSUPPORTED, rc_remote_alloc(one, 8, RC_MR_READ, 0, 0, &remote));
  EXPECT_RC(RC_E_UNSUPPORTED, rc_mr_grant(one, rc_mr{0}, 0, 8, RC_MR_READ, 0, &grant));
  EXPECT_RC(RC_E_UNSUPPORTED, rc_mr_take_back(one, 0, &mr));
  EXPECT_RC(RC_E_UNSUPPORTED, rc_imm_get(one, 0, &imm));
}

TEST_F(RegionsOfAContext, ConfigsThatMakeNoSenseAreRefused) {
  struct {
    const char* field;
    int32_t code;
    void (*spoil)(rc_config*);
  } cases[] = {
      {"mr_bytes", RC_E_INVALID, [](rc_config* c) { c->mr_bytes = UINT64_MAX; }},
      {"mrs_max", RC_E_INVALID, [](rc_config* c) { c->mrs_max = 65536; }},
      {"op_ring_bytes", RC_E_INVALID, [](rc_config* c) { c->op_ring_bytes = 4095; }},
      {"op_ring_bytes", RC_E_INVALID, [](rc_config* c) { c->op_ring_bytes = (1u << 30) + 1; }},
      {"requests_max", RC_E_INVALID, [](rc_config* c) { c->requests_max = 1025; }},
      {"peer_rights", RC_E_INVALID, [](rc_config* c) { c->peer_rights = 8; }},
  };
  for (const auto& c : cases) {
    rc_config config = small_config();
    c.spoil(&config);
    rc_ctx ctx{0};
    EXPECT_RC_NAMES(c.code, c.field, rc_open(&config, &ctx));
  }
}

}  // namespace conformance
