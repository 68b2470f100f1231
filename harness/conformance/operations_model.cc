// Operations of every kind in random order, at most 64 in flight, against a model. RC_LONG=1: a million of them.
#include <stdlib.h>

#include <random>

#include "harness/conformance/memory_pair.h"

namespace conformance {

namespace {

uint64_t how_many(uint64_t in_short) {
  const char* value = getenv("RC_LONG");
  return value != nullptr && *value == '1' ? 1000000 : in_short;
}

}  // namespace

class Model : public MemoryPair {
 protected:
  static constexpr uint64_t kCells = 256, kFlights = 64, kCell = 16;
  enum Kind { kWrite, kRead, kSwap, kAdd, kWriteList, kReadList, kKinds };
  struct Cell {
    uint64_t words[2] = {0, 0};
    int reading = 0;  // a read is of the moment of its answer: nobody writes until then
  };
  struct Flight {
    rc_request request{0};
    uint64_t cell = 0, slot = 0;
    uint64_t expected[2] = {0, 0};
    Kind kind = kWrite;
    bool reads() const { return kind == kRead || kind == kReadList; }
  };

  // With this end's NIC, so far; 0: it has none, or nothing is direct.
  int64_t registrations() const {
    int64_t n = 0;
    return rc_channel_figure(ch_, "registrations", &n) == RC_OK ? n : 0;
  }
  uint8_t* slot(uint64_t i) { return mine_ + i * kCell; }
  void land(size_t which);
  void take_off();
  void fly(uint32_t rights, int64_t lease_ns);

  uint8_t* mine_ = nullptr;
  std::mt19937 random_{7};
  std::vector<Cell> cells_{kCells};
  std::vector<Flight> flights_;
  std::vector<uint64_t> slots_;
};

void Model::land(size_t which) {
  Flight f = flights_[which];
  flights_.erase(flights_.begin() + static_cast<ptrdiff_t>(which));
  uint64_t got[2] = {0, 0};
  ASSERT_RC(RC_OK, rc_request_wait(f.request, kPatience, &got[0]));
  if (f.reads()) {
    memcpy(got, slot(f.slot), sizeof got);
    --cells_[f.cell].reading;
    ASSERT_EQ(f.expected[1], got[1]) << "operation of kind " << f.kind;
  }
  if (f.kind != kWrite && f.kind != kWriteList) {
    ASSERT_EQ(f.expected[0], got[0]) << "operation of kind " << f.kind;
  }
  slots_.push_back(f.slot);
}

void Model::take_off() {
  Flight f;
  f.cell = random_() % kCells;
  Cell& cell = cells_[f.cell];
  f.kind = static_cast<Kind>(random_() % kKinds);
  if (!f.reads() && cell.reading != 0) f.kind = kRead;
  f.slot = slots_.back();
  slots_.pop_back();
  memcpy(f.expected, cell.words, sizeof f.expected);
  const uint64_t at = f.cell * kCell, from = f.slot * kCell, words[2] = {random_(), random_()};
  const uint64_t cut = 1 + random_() % (kCell - 1);
  const rc_slice list[2] = {{local_, from, cut}, {local_, from + cut, kCell - cut}};
  int32_t code = RC_E_INVALID;
  switch (f.kind) {
    case kWrite:
    case kWriteList:
      memcpy(slot(f.slot), words, sizeof words);
      memcpy(cell.words, words, sizeof words);
      code = f.kind == kWrite ? rc_write(local_, from, remote_, at, kCell, &f.request)
                              : rc_writev(list, 2, remote_, at, nullptr, &f.request);
      break;
    case kRead:
    case kReadList:
      ++cell.reading;
      code = f.kind == kRead ? rc_read(local_, from, remote_, at, kCell, &f.request)
                             : rc_readv(list, 2, remote_, at, &f.request);
      break;
    case kSwap: {
      bool matches = random_() % 2 == 0;
      code = rc_compare_swap(remote_, at, cell.words[0] + (matches ? 0 : 1), words[0], &f.request);
      if (matches) cell.words[0] = words[0];
      break;
    }
    default:
      code = rc_fetch_add(remote_, at, words[0], &f.request);
      cell.words[0] += words[0];
  }
  ASSERT_EQ(RC_OK, code) << rc_reason();
  flights_.push_back(f);
}

void Model::fly(uint32_t rights, int64_t lease_ns) {
  const uint64_t times = how_many(rounds(20000));
  lend(kCells * kCell, rights, lease_ns);
  far().call(on(Op::kMrFill, kCells * kCell, 0, 0));
  mine_ = local();
  const int64_t registered = registrations();
  for (uint64_t i = 0; i < kFlights; ++i) slots_.push_back(i);
  far().start(Far::bytes(Op::kGet, 1, 60 * kPatience));  // it serves
  for (uint64_t i = 0; i < times && !HasFatalFailure(); ++i) {
    while (slots_.empty() || (!flights_.empty() && random_() % 4 == 0)) {
      land(random_() % flights_.size());
      if (HasFatalFailure()) break;
    }
    if (!HasFatalFailure()) take_off();
  }
  while (!flights_.empty() && !HasFatalFailure()) land(random_() % flights_.size());
  put(1);
  EXPECT_FAR(RC_OK, 1u, far().finish());
  EXPECT_EQ(0u, about(local_).requests);
  // Of the region that all of them were made with.
  EXPECT_EQ(registered != 0 ? registered + 1 : 0, registrations());
  for (uint64_t cell = 0; cell < kCells; ++cell)
    for (uint64_t word = 0; word < 2; ++word)
      ASSERT_EQ(cells_[cell].words[word], far().call(on(Op::kMrCount, 8, cell * kCell + 8 * word)).value) << cell;
}

TEST_P(Model, ManyInFlightInRandomOrder) { fly(kAll, RC_LEASE_MAX); }

TEST_P(Model, ManyInFlightOnADirectGrant) {
  if (!backend().direct) GTEST_SKIP() << "there are none";
  fly(kAll | RC_MR_DIRECT, RC_LEASE_NONE);
}

RC_CONFORMANCE_OF_MEMORY(Model);

}  // namespace conformance
