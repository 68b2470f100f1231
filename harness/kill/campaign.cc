#include "harness/kill/campaign.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "harness/conformance/tcp_uri.h"
#include "harness/soak/stamp.h"

namespace killing {
namespace {

// Enough for every kind of piece that a script has, and a ring that was filled more than once.
constexpr uint32_t kRounds = 10;
constexpr uint64_t kSeries = 500;  // victims that one survivor meets
constexpr int64_t kMostDelayNs = 4 * 1000 * 1000;
// A machine that others use too may hold up any process for long. An outcome that is late counts as such only if the
// same death is noticed late every time out of so many more.
constexpr int kRepeats = 2;

std::string random_text() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

std::string distribution(std::vector<int64_t>& ns) {
  if (ns.empty()) return "none";
  std::sort(ns.begin(), ns.end());
  auto at = [&](double share) {
    return static_cast<double>(ns[static_cast<size_t>(share * static_cast<double>(ns.size() - 1))]) / 1000;
  };
  return fmt::format("p50 {:.0f} us, p99 {:.0f} us, p99.9 {:.0f} us, max {:.0f} us", at(0.5), at(0.99), at(0.999),
                     at(1));
}

}  // namespace

std::string fresh_name() { return "shm:kill-" + random_text(); }
std::string fresh_path() { return "shm:/tmp/kill-" + random_text() + ".sock"; }

std::string fresh_port() { return conformance::unique_tcp_uri("127.0.0.1"); }

std::string Tally::summary() {
  std::string text = fmt::format(
      "{} victims, {} died as planned ({} of them in the handshake, at {} crash points), {} lived on, {} stops\n",
      victims, died, in_handshake, died_at.size(), lived, stops);
  for (auto& [code, n] : codes) text += fmt::format("survivors got {} {} times\n", rc_code_name(code), n);
  text += fmt::format("from the kill to the code:                   {}\n", distribution(from_kill_ns));
  text += fmt::format("from the kernel's death notice to the code:  {}\n", distribution(from_death_ns));
  if (late_once != 0) text += fmt::format("{} were late once, not when repeated\n", late_once);
  text += fmt::format("{} problems\n", problems.size());
  return text;
}

void Campaign::take(std::vector<Outcome> outcomes) {
  for (const Outcome& o : outcomes) {
    ++tally_.victims;
    if (!o.problem.empty()) {
      tally_.problems.push_back(o.text());
      continue;
    }
    (o.died ? tally_.died : tally_.lived) += 1;
    if (o.died && !o.connected) ++tally_.in_handshake;
    if (o.died && o.plan.how == Plan::kAtStep) ++tally_.died_at[o.plan.where];
    if (!o.connected) continue;
    ++tally_.codes[o.code];
    if (!o.died) continue;
    tally_.from_kill_ns.push_back(o.from_kill_ns);
    tally_.from_death_ns.push_back(o.from_death_ns);
    if (o.late) repeat_late(o);
  }
  if (progress_) progress_(tally_);
}

void Campaign::repeat_late(const Outcome& first) {
  for (int i = 0; i < kRepeats; ++i) {
    Killer killer(first.setup, kRounds);
    killer.run(first.plan);
    std::vector<Outcome> again = killer.finish();
    bool late = false;
    for (const Outcome& o : again) {
      late |= o.late;
      if (!o.problem.empty()) tally_.problems.push_back(o.text());
    }
    if (late) continue;
    ++tally_.late_once;
    return;
  }
  Outcome o = first;
  o.problem = fmt::format("noticed after {} us, and late again in {} repetitions", o.from_death_ns / 1000, kRepeats);
  tally_.problems.push_back(o.text());
}

void Campaign::every_step(const Setup& setup, uint32_t occurrences, bool calls) {
  if (enough()) return;
  Killer killer(setup, kRounds);
  killer.run(Plan{});
  for (const auto& [name, count] : killer.steps()) {
    if (!calls && (name.rfind("before ", 0) == 0 || name.rfind("after ", 0) == 0)) continue;
    tally_.died_at[name] += 0;
    Plan plan;
    plan.how = Plan::kAtStep;
    plan.where = name;
    for (plan.occurrence = 1; plan.occurrence <= std::min(occurrences, count); ++plan.occurrence) killer.run(plan);
    plan.occurrence = count;
    if (count > occurrences) killer.run(plan);
  }
  take(killer.finish());
}

void Campaign::at_random(const Setup& setup, uint64_t count, uint64_t seed) {
  soak::Choices choices(seed);
  for (uint64_t i = 0; i < count && !enough();) {
    Killer killer(setup, kRounds);
    for (uint64_t j = 0; j < kSeries && i < count; ++i, ++j) {
      Plan plan;
      plan.how = choices.below(4) == 0 ? Plan::kFromStart : Plan::kFromConnected;
      plan.delay_ns = static_cast<int64_t>(choices.skewed(kMostDelayNs));
      killer.run(plan);
    }
    take(killer.finish());
  }
}

bool Campaign::every_instruction(const Setup& setup, const std::string& function, uint32_t occurrence, uint64_t most) {
  if (enough()) return true;
  Killer killer(setup, kRounds);
  Plan plan;
  plan.how = Plan::kAtInstruction;
  plan.where = function;
  plan.occurrence = occurrence;
  plan.instruction = UINT64_MAX;
  killer.run(plan);
  uint64_t all = killer.stepped();
  bool traceable = killer.traceable();
  uint64_t stride = std::max<uint64_t>(1, all / most);
  for (plan.instruction = 0; traceable && plan.instruction < all; plan.instruction += stride) killer.run(plan);
  if (traceable && all == 0) tally_.problems.push_back(function + ": no instruction was stepped through");
  take(killer.finish());
  return traceable;
}

void Campaign::stops(const Setup& setup, uint32_t count, uint64_t seed) {
  if (enough()) return;
  Setup sliced = setup;
  sliced.slice_ns = 5 * 1000 * 1000;
  Killer killer(sliced, kRounds);
  killer.run_stopped(count, seed);
  tally_.stops += count;
  take(killer.finish());
}

}  // namespace killing
