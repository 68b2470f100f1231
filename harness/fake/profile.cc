#include "harness/fake/profile.h"

#include "harness/fake/random.h"

namespace rc::fake {
namespace {

// Each seed has moods of its own, so that a thousand seeds are a thousand kinds of NIC and not one kind a thousand
// times. None is so slow that a test that moves some tens of KiB through it, with sleeps between its looks, would take
// seconds.
Profile moods(uint64_t seed, Random& random) noexcept {
  Profile p = {};
  p.seed = seed;
  p.burst = p.piece = UINT32_MAX;
  p.depth = kDepthMost;
  if (seed == 0) return p;
  auto sometimes = [&](uint32_t most) noexcept {
    return random.chance(500) ? static_cast<uint32_t>(random.below(most)) : 0;
  };
  p.late = sometimes(600);
  p.stall = sometimes(20);
  p.stall_most = static_cast<uint32_t>(random.magnitude(50));
  p.refuse = sometimes(500);
  p.again = sometimes(300);
  p.burst = static_cast<uint32_t>(256 + random.magnitude(64 * 1024));
  p.piece = static_cast<uint32_t>(random.magnitude(64 * 1024));
  p.depth = static_cast<uint32_t>(random.between(3, kDepthMost));
  p.gone = random.chance(500);
  p.shuffle = sometimes(1000);
  return p;
}

}  // namespace

Code read_profile(const Uri& uri, uint64_t stream, Profile* profile) noexcept {
  constexpr const char* kKnown[] = {"seed",  "late", "stall", "stall_most", "refuse", "again",   "burst", "piece",
                                    "depth", "gone", "drop",  "corrupt",    "fail",   "shuffle", "deny",  nullptr};
  Code code = uri.only(kKnown);
  uint64_t seed = 0;
  if (code == kOk) code = uri.number("seed", 0, &seed);
  Random random(mix(seed) + stream);
  Profile p = moods(seed, random);
  struct Field {
    const char* key;
    uint32_t* value;
    uint32_t least, most;
  };
  const Field kFields[] = {
      {"late", &p.late, 0, 1000},        {"stall", &p.stall, 0, 1000},       {"stall_most", &p.stall_most, 1, 1u << 30},
      {"refuse", &p.refuse, 0, 1000},    {"again", &p.again, 0, 1000},       {"shuffle", &p.shuffle, 0, 1000},
      {"deny", &p.deny, 0, 1000},        {"burst", &p.burst, 1, UINT32_MAX}, {"piece", &p.piece, 1, UINT32_MAX},
      {"depth", &p.depth, 3, kDepthMost}};
  for (const Field& field : kFields) {
    uint64_t value = 0;
    if (code == kOk) code = uri.number(field.key, *field.value, &value);
    if (code == kOk && value != *field.value && (value < field.least || value > field.most)) {
      code = rc::fail(kUri, "URI \"%s\": %s is not in %u..%u", uri.text, field.key, field.least, field.most);
    }
    *field.value = static_cast<uint32_t>(value);
  }
  uint64_t gone = p.gone ? 1 : 0;
  if (code == kOk) code = uri.number("gone", gone, &gone);
  p.gone = gone != 0;
  // A fault strikes at a random one of the first so many calls.
  const struct {
    const char* key;
    uint64_t* at;
  } kFaults[] = {{"drop", &p.drop}, {"corrupt", &p.corrupt}, {"fail", &p.fail}};
  for (const auto& fault : kFaults) {
    uint64_t within = 0;
    if (code == kOk) code = uri.number(fault.key, 0, &within);
    *fault.at = within == 0 ? 0 : random.between(1, within);
  }
  *profile = p;
  return code;
}

}  // namespace rc::fake
