#include "harness/bench/placement.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>

#include <fstream>
#include <vector>

namespace rcbench {
namespace {

// "package/core" of a processor; its own number where the system does not tell.
std::string core_of(int cpu) {
  std::string folder = fmt::format("/sys/devices/system/cpu/cpu{}/topology/", cpu);
  std::string package, core;
  std::ifstream(folder + "physical_package_id") >> package;
  std::ifstream(folder + "core_id") >> core;
  return core.empty() ? fmt::format("cpu{}", cpu) : package + "/" + core;
}

}  // namespace

Placement choose_placement() {
  Placement placement;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof(allowed), &allowed);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  }
  if (cpus.size() < 2) {
    placement.one_core = true;
    placement.cpu[0] = placement.cpu[1] = cpus.empty() ? 0 : cpus[0];
    placement.note = fmt::format(
        "only one processor ({}) may be used: the two processes take turns on it, so every hop waits for the "
        "scheduler and the figures of spinning cases are time slices, not the channel",
        placement.cpu[0]);
    return placement;
  }
  placement.cpu[0] = cpus[0];
  for (size_t i = 1; i < cpus.size(); ++i) {
    if (core_of(cpus[i]) == core_of(cpus[0])) continue;
    placement.cpu[1] = cpus[i];
    placement.note = fmt::format("two processes, pinned to processors {} and {} (two cores)", cpus[0], cpus[i]);
    return placement;
  }
  placement.cpu[1] = cpus[1];
  placement.note = fmt::format(
      "two processes, pinned to processors {} and {}, which are two threads of one core: they share its caches and "
      "its execution units",
      cpus[0], cpus[1]);
  return placement;
}

bool pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof(set), &set) == 0;
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    size_t colon = line.find(": ");
    if (colon != std::string::npos && line.compare(0, 10, "model name") == 0) return line.substr(colon + 2);
  }
  return "unknown processor";
}

std::string kernel_release() {
  utsname name;
  return uname(&name) == 0 ? fmt::format("{} {} {}", name.sysname, name.release, name.machine) : "unknown";
}

}  // namespace rcbench
