#include "harness/demo/checksum.h"

#include <gtest/gtest.h>

#include <vector>

namespace demo {
namespace {

uint32_t sum_of(const void* data, size_t n) {
  Crc32c sum;
  sum.add(data, n);
  return sum.value();
}

// Vectors of RFC 3720, B.4.
TEST(Crc32c, KnownValues) {
  EXPECT_EQ(0xe3069283u, sum_of("123456789", 9));
  std::vector<uint8_t> bytes(32, 0);
  EXPECT_EQ(0x8a9136aau, sum_of(bytes.data(), bytes.size()));
  bytes.assign(32, 0xff);
  EXPECT_EQ(0x62a8ab43u, sum_of(bytes.data(), bytes.size()));
  for (size_t i = 0; i < 32; ++i) bytes[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(0x46dd794eu, sum_of(bytes.data(), bytes.size()));
  EXPECT_EQ(0u, sum_of("", 0));
}

TEST(Crc32c, PiecesMakeNoDifferenceNorDoesTheWayItIsComputed) {
  std::vector<uint8_t> bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7 + i / 250);
  uint32_t whole = sum_of(bytes.data(), bytes.size());
  EXPECT_EQ(whole, ~Crc32c::by_table(0xffffffff, bytes.data(), bytes.size()));
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    Crc32c sum;
    sum.add(bytes.data(), cut);
    sum.add(bytes.data() + cut, bytes.size() - cut);
    ASSERT_EQ(whole, sum.value()) << "cut at " << cut;
  }
}

}  // namespace
}  // namespace demo
