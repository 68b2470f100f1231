// The conformance suite on the fake with many seeds, in one process: conformance_test [--seed=FIRST] [--seeds=COUNT].
#include <string>
#include <vector>

#include "harness/conformance/pair.h"
#include "harness/fake/seeds.h"

namespace {

uint64_t g_seed = 0;

// What moves bytes, with every seed. What mostly waits for deadlines or for listeners, with every so many.
constexpr char kEverySeed[] = "On/Bytes.*:On/Batch.*:On/InPlace.*:On/Messages.*:On/Ending.*";
constexpr char kNotEverySeed[] =
    "*EverySmallSize*:*SmallRings*:*TimesOut*:*AllOrNothing*:*TellsWhat*:*NoneIsNothing*:*TakesWhatIsThere*:*"
    "ArePutAsOne*:*"
    "FilledInOrder*:"
    "*HalfOneLeft*:*Stop*:*NoView*:*ReservesNothing*:*Kill*:*Death*:*ExitWithout*:*PeersContext*";
constexpr uint64_t kAllEvery = 20;
// Operations have a simulation of their own, with every seed (simulation_test); here the suites that take longest.
constexpr char kNotEveryFull[] = "-On/Operations.*:On/Lists.*:On/Requests.*";
constexpr uint64_t kOperationsEvery = 100;

std::string filter_of(uint64_t i) {
  if (i % kOperationsEvery == 0) return "*";
  return i % kAllEvery == 0 ? kNotEveryFull : std::string(kEverySeed) + "-" + kNotEverySeed;
}

// Says how to repeat what failed.
class Failures : public testing::EmptyTestEventListener {
 public:
  void OnTestEnd(const testing::TestInfo& test) override {
    if (test.result()->Passed() || test.result()->Skipped()) return;
    printf("seed %llu failed; again: --seed=%llu --seeds=1 --gtest_filter=%s.%s\n",
           static_cast<unsigned long long>(g_seed), static_cast<unsigned long long>(g_seed), test.test_suite_name(),
           test.name());
  }
};

}  // namespace

namespace conformance {

std::vector<Backend> backends() {
  Backend fake;
  fake.name = "Fake";
  fake.scheme = "fake";
  fake.make_uri = [] { return unique_name("fake:test-") + "?seed=" + std::to_string(g_seed); };
  fake.one_context = true;
  fake.lands_alone = false;
  fake.has_descriptor = false;
  fake.rings_per_end = 2;
  return {fake};
}

}  // namespace conformance

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  fake_seeds::Seeds seeds = fake_seeds::read_seeds(argc, argv, 1000);
  testing::UnitTest::GetInstance()->listeners().Append(new Failures);
  std::string filter = GTEST_FLAG_GET(filter);
  bool brief = seeds.count > 1;
  GTEST_FLAG_SET(brief, brief);
  int failed = 0;
  for (uint64_t i = 0; i < seeds.count && failed < 5; ++i) {
    g_seed = seeds.first + i;
    if (filter == "*") GTEST_FLAG_SET(filter, filter_of(i));
    failed += RUN_ALL_TESTS() != 0;
  }
  printf("%llu seeds from %llu on, %d failed\n", static_cast<unsigned long long>(g_seed - seeds.first + 1),
         static_cast<unsigned long long>(seeds.first), failed);
  return failed == 0 ? 0 : 1;
}
