// Two threads and one ring: messages of random sizes stream through, every byte is checked. Indices begin near 2^64, so
// that they wrap. The short form moves about 64 MiB per ring; --messages=1000000000 is the long one.
#include <gtest/gtest.h>
#include <stdint.h>
#include <string.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "core/doorbell.h"
#include "core/ring.h"
#include "core/wire.h"

namespace {

uint64_t g_messages = 600000;
bool g_progress = false;

constexpr size_t kLargestMessage = 224;
constexpr auto kStuckAfter = std::chrono::seconds(60);

// Small, fast, the same on both sides for the same seed.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  size_t below(size_t n) { return static_cast<size_t>(next() % n); }

 private:
  uint64_t state_;
};

// Random bytes with a period that no ring size divides or is divided by, so that bytes of an earlier lap are noticed.
class Content {
 public:
  Content() : bytes_(kPeriod + kLargestMessage) {
    Random random(1);
    for (size_t i = 0; i < kPeriod; ++i) bytes_[i] = static_cast<uint8_t>(random.next());
    memcpy(bytes_.data() + kPeriod, bytes_.data(), kLargestMessage);
  }
  const uint8_t* at(uint64_t position) const { return bytes_.data() + position % kPeriod; }

 private:
  static constexpr size_t kPeriod = 65521;
  std::vector<uint8_t> bytes_;
};

// What the two threads share, laid out as in the product.
struct Shared {
  rc::Inbox inbox;   // the getter's: the tail line
  rc::Inbox outbox;  // the putter's: the credit flows back here
  alignas(rc::kPair) std::atomic<bool> stop{false};
};

// Looks until it is there; nobody moving for a minute means stuck.
template <class Look>
bool wait_until(Shared* shared, Look look) {
  std::chrono::steady_clock::time_point end;
  for (uint32_t i = 1;; ++i) {
    if (look()) return true;
    if (i % 64 != 0) {
      rc::cpu_pause();
      continue;
    }
    if (shared->stop.load(std::memory_order_relaxed)) return false;
    std::this_thread::yield();
    if (i % 65536 == 0) {
      auto now = std::chrono::steady_clock::now();
      if (i == 65536) end = now + kStuckAfter;
      if (now > end) return false;
    }
  }
}

const char* put_all(Shared* shared, rc::TxRing<rc::StdAtomics>& tx, const Content& content, uint64_t messages) {
  Random sizes(2), how(3);
  uint64_t position = 0;
  for (uint64_t i = 0; i < messages; ++i) {
    size_t n = sizes.below(kLargestMessage + 1);
    bool honest = true;
    if (tx.space() < n &&
        !wait_until(shared, [&] { return !(honest = tx.take_credit(shared->outbox.credit)) || tx.space() >= n; })) {
      return "the putter waited in vain";
    }
    if (!honest) return "take_credit refused";
    position += n;
    unsigned way = how.below(4);
    if (n <= tx.runway()) {
      if (n <= rc::kSmallBytes) {
        tx.put_here<true>(content.at(position - n), n, shared->inbox.line);
      } else {
        tx.put_here<false>(content.at(position - n), n, shared->inbox.line);
      }
      continue;
    }
    tx.write(content.at(position - n), n);
    if (way == 0 && i + 1 != messages) {
      // Staged: a later one publishes it, unless it would fill the ring.
      if (tx.space() < kLargestMessage) tx.publish(shared->inbox.line);
      continue;
    }
    if (way != 1 && n <= rc::kTailBytes) {
      tx.publish_with_copy(shared->inbox.line, content.at(position - n), n);
    } else {
      tx.publish(shared->inbox.line);
    }
    if (way == 3) tx.extend_runway(512, 256);
  }
  tx.publish(shared->inbox.line);
  return nullptr;
}

struct Got {
  const char* error = nullptr;
  uint64_t bytes = 0;
  uint64_t from_tail_line = 0;
};

Got get_all(Shared* shared, rc::RxRing<rc::StdAtomics>& rx, const Content& content, uint64_t messages) {
  Random sizes(2);
  Got got;
  uint8_t bytes[kLargestMessage];
  for (uint64_t i = 0; i < messages; ++i) {
    size_t n = sizes.below(kLargestMessage + 1);
    bool honest = true;
    auto look = [&] {
      if (!(honest = rx.look(shared->inbox.line)) || rx.available() >= n) return true;
      if (rx.untold() != 0) rx.tell_credit(shared->outbox.credit);
      return false;
    };
    if (rx.available() < n && !wait_until(shared, look)) {
      got.error = "the getter waited in vain";
      return got;
    }
    if (!honest) {
      got.error = "look refused";
      return got;
    }
    memset(bytes, 0, n);
    if (n <= rx.runway()) {
      if (i % 2 == 0) rx.want_ahead(512);
      n <= rc::kSmallBytes ? rx.get_here<true>(bytes, n) : rx.get_here<false>(bytes, n);
    } else if (rx.available() == n && rx.copy_newest(shared->inbox.line, bytes, n)) {
      ++got.from_tail_line;
      rx.consume(n);
    } else {
      rx.copy_out(bytes, n);
      rx.consume(n);
      rx.extend_runway();
    }
    if (memcmp(bytes, content.at(got.bytes), n) != 0) {
      got.error = "bytes differ";
      return got;
    }
    if (rx.credit_due()) rx.tell_credit(shared->outbox.credit);
    got.bytes += n;
    if (g_progress && (i + 1) % 10000000 == 0) {
      std::cout << "    " << (i + 1) / 1000000 << " million messages, " << got.bytes / 1000000 << " MB\n" << std::flush;
    }
  }
  return got;
}

void stream(size_t capacity, uint64_t start) {
  auto shared = std::make_unique<Shared>();
  std::vector<uint8_t> ring(capacity);
  Content content;
  rc::TxRing<rc::StdAtomics> tx;
  rc::RxRing<rc::StdAtomics> rx;
  tx.init(ring.data(), capacity, start);
  rx.init(ring.data(), capacity, start);
  shared->inbox.line.begin.store(0);
  shared->inbox.line.tail.store(start);
  for (auto& word : shared->inbox.line.words) word.store(0);
  shared->outbox.credit.store(start);

  const char* putter_error = nullptr;
  std::thread putter([&] {
    putter_error = put_all(shared.get(), tx, content, g_messages);
    if (putter_error != nullptr) shared->stop.store(true);
  });
  Got got = get_all(shared.get(), rx, content, g_messages);
  if (got.error != nullptr) shared->stop.store(true);
  putter.join();
  EXPECT_STREQ(got.error, nullptr) << "after " << got.bytes << " bytes";
  EXPECT_STREQ(putter_error, nullptr);
  EXPECT_EQ(shared->inbox.line.tail.load() - start, got.bytes);
  std::cout << "    " << g_messages << " messages, " << got.bytes << " bytes, " << got.from_tail_line
            << " out of the tail line\n";
}

TEST(RingStream, SmallRing) { stream(2 * kLargestMessage, uint64_t{0} - 1000); }
TEST(RingStream, RingOfAPage) { stream(4096, (uint64_t{1} << 32) - 1000); }
TEST(RingStream, LargeRingOfOddSize) { stream((size_t{1} << 20) + 1, 0); }

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  CLI::App app("Streams random messages through one ring between two threads.");
  app.add_option("--messages", g_messages, "messages per ring")->capture_default_str();
  app.add_flag("--progress", g_progress, "say how far it is, each 10 million messages");
  CLI11_PARSE(app, argc, argv);
  return RUN_ALL_TESTS();
}
