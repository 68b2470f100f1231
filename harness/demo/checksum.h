// CRC-32C (Castagnoli), as in iSCSI, ext4 and Btrfs.
#ifndef HARNESS_DEMO_CHECKSUM_H_
#define HARNESS_DEMO_CHECKSUM_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <array>

namespace demo {

class Crc32c {
 public:
  void add(const void* data, size_t n) {
    auto* bytes = static_cast<const uint8_t*>(data);
#if defined(__x86_64__)
    static const bool by_instruction = __builtin_cpu_supports("sse4.2") != 0;
    if (by_instruction) {
      crc_ = by_instructions(crc_, bytes, n);
      return;
    }
#endif
    crc_ = by_table(crc_, bytes, n);
  }
  uint32_t value() const { return ~crc_; }

  static uint32_t by_table(uint32_t crc, const uint8_t* bytes, size_t n) {
    static const std::array<uint32_t, 256> table = make_table();
    for (size_t i = 0; i < n; ++i) crc = table[(crc ^ bytes[i]) & 0xff] ^ (crc >> 8);
    return crc;
  }

#if defined(__x86_64__)
  __attribute__((target("sse4.2"))) static uint32_t by_instructions(uint32_t start, const uint8_t* bytes, size_t n) {
    uint64_t crc = start;
    for (; n >= 8; n -= 8, bytes += 8) {
      uint64_t word;
      memcpy(&word, bytes, 8);
      crc = __builtin_ia32_crc32di(crc, word);
    }
    auto rest = static_cast<uint32_t>(crc);
    for (; n > 0; --n, ++bytes) rest = __builtin_ia32_crc32qi(rest, *bytes);
    return rest;
  }
#endif

 private:
  static std::array<uint32_t, 256> make_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
      table[i] = crc;
    }
    return table;
  }

  uint32_t crc_ = 0xffffffff;
};

}  // namespace demo

#endif  // HARNESS_DEMO_CHECKSUM_H_
