// Everything a peer may write into the words that the other side loads, over all small states: it is believed exactly
// when it may be true (I3), and leaves no trace when it is not.
#include <gtest/gtest.h>

#include <vector>

#include "harness/model/ring_model.h"

namespace rc_model {
namespace {

// Every state of a small ring and every claim near it, honest or not: accepted exactly when it may be true (I3).
TEST(PeerClaims, CreditIsAcceptedOnlyBetweenTheLastOneAndWhatIsPublished) {
  size_t accepted = 0, refused = 0;
  for (size_t capacity = 1; capacity <= 5; ++capacity) {
    for (uint64_t start : kStarts) {
      for (size_t read = 0; read <= capacity; ++read) {
        for (size_t published = read; published <= read + capacity; ++published) {
          for (size_t written = published; written <= read + capacity; ++written) {
            for (int64_t claim = -int64_t(2 * capacity); claim <= int64_t(4 * capacity); ++claim) {
              std::vector<uint8_t> memory(capacity), bytes(2 * capacity);
              TailLine line;
              rc::StdAtomics::Word credit{start + read};
              rc::TxRing<rc::StdAtomics> tx;
              tx.init(memory.data(), capacity, start);
              tx.write(bytes.data(), read);
              tx.publish(line);
              ASSERT_TRUE(tx.take_credit(credit));
              tx.write(bytes.data(), published - read);
              tx.publish(line);
              tx.write(bytes.data(), written - published);
              credit.store(start + uint64_t(claim));
              bool may_be_true = claim >= int64_t(read) && claim <= int64_t(published);
              ASSERT_EQ(tx.take_credit(credit), may_be_true)
                  << "capacity " << capacity << " start " << start << " read " << read << " published " << published
                  << " written " << written << " claim " << claim;
              ASSERT_EQ(tx.credit(), start + (may_be_true ? uint64_t(claim) : read)) << "a refused claim left a trace";
              ASSERT_LE(tx.space(), capacity);
              ++(may_be_true ? accepted : refused);
            }
          }
        }
      }
    }
  }
  EXPECT_GT(accepted, 500u);
  EXPECT_GT(refused, 500u);
}

TEST(PeerClaims, TailIsAcceptedOnlyBetweenTheLastOneAndAFullRing) {
  size_t accepted = 0, refused = 0;
  for (size_t capacity = 1; capacity <= 5; ++capacity) {
    for (uint64_t start : kStarts) {
      for (size_t read = 0; read <= capacity; ++read) {
        for (size_t seen = read; seen <= read + capacity; ++seen) {
          for (int64_t claim = -int64_t(2 * capacity); claim <= int64_t(4 * capacity); ++claim) {
            std::vector<uint8_t> memory(capacity);
            TailLine line;
            rc::RxRing<rc::StdAtomics> rx;
            rx.init(memory.data(), capacity, start);
            line.tail.store(start + read);
            ASSERT_TRUE(rx.look(line));
            rx.consume(read);
            line.tail.store(start + seen);
            ASSERT_TRUE(rx.look(line));
            line.tail.store(start + uint64_t(claim));
            bool may_be_true = claim >= int64_t(seen) && claim <= int64_t(read + capacity);
            ASSERT_EQ(rx.look(line), may_be_true) << "capacity " << capacity << " start " << start << " read " << read
                                                  << " seen " << seen << " claim " << claim;
            ASSERT_EQ(rx.available(), (may_be_true ? uint64_t(claim) : seen) - read) << "a refused claim left a trace";
            ++(may_be_true ? accepted : refused);
          }
        }
      }
    }
  }
  EXPECT_GT(accepted, 500u);
  EXPECT_GT(refused, 500u);
}

TEST(PeerClaims, FarAwayIndicesAreRefused) {
  for (uint64_t start : kStarts) {
    for (unsigned bit = 4; bit < 64; ++bit) {
      std::vector<uint8_t> memory(8), bytes(8);
      TailLine line;
      rc::StdAtomics::Word credit;
      rc::TxRing<rc::StdAtomics> tx;
      rc::RxRing<rc::StdAtomics> rx;
      tx.init(memory.data(), 8, start);
      rx.init(memory.data(), 8, start);
      tx.write(bytes.data(), 8);
      tx.publish(line);
      ASSERT_TRUE(rx.look(line));
      uint64_t far = uint64_t{1} << bit;
      for (uint64_t claim : {start + far, start - far, start + 8 + far, start ^ (far | far << 1)}) {
        credit.store(claim);
        line.tail.store(claim);
        ASSERT_FALSE(tx.take_credit(credit)) << claim;
        ASSERT_FALSE(rx.look(line)) << claim;
      }
    }
  }
}

}  // namespace
}  // namespace rc_model
