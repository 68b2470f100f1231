// mesh ID TOTAL [--hosts FILE]: one member of a full mesh.
#include <stdio.h>

#include <CLI/CLI.hpp>
#include <exception>

#include "harness/mesh/talk.h"

namespace {

using namespace meshes;  // NOLINT: this file is that namespace's program

struct Options {
  int64_t id = -1;
  uint32_t total = 0;
  std::string hosts;
  uint16_t port = 7000;
  Talk talk;
};

// A list that is given counts more than a launcher; without either, all members are of this machine.
Members find_members(const Options& options) {
  Members m;
  if (options.hosts.empty() && options.id < 0) {
    if (auto found = from_pmix()) return *found;
    if (auto found = from_slurm(options.port)) return *found;
  }
  if (options.id >= 0) m.id = static_cast<uint32_t>(options.id);
  m.total = options.total;
  m.hosts_path = options.hosts;
  m.from = "the command line";
  if (!options.hosts.empty()) return m;
  if (options.total == 0) throw std::runtime_error("how many members are there? See mesh --help");
  for (uint32_t i = 0; i < options.total; ++i)
    m.hosts += std::to_string(i) + " 127.0.0.1:" + std::to_string(options.port + i) + "\n";
  return m;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "One member of a full mesh: connects to all others, sends each of them a random string per second and shows what "
      "comes. Under mpirun, prun or srun it finds the others by itself. Without --hosts the members are at 127.0.0.1, "
      "from --port on.");
  app.add_option("id", options.id, "of this member, from 0; -1 (default): found from the local interfaces");
  app.add_option("total", options.total, "number of members; default: as many as the list has");
  app.add_option("--hosts", options.hosts, "host list: one \"ID HOST:PORT\" or \"ID URI\" per line")
      ->check(CLI::ExistingFile);
  app.add_option("--port", options.port, "first port, without a list")->capture_default_str();
  app.add_option("--token", options.talk.token, "that every member must know");
  app.add_option("--name", options.talk.name, "of the mesh")->capture_default_str();
  app.add_option("--count", options.talk.count, "strings to each member, then end; default: without end");
  app.add_option("--interval", options.talk.interval_ms, "between two strings, in ms")->capture_default_str();
  app.add_flag("--self", options.talk.to_self, "send strings to oneself, too");
  app.add_option("--seed", options.talk.seed, "of the strings; default: a random one");
  app.add_option("--slots", options.talk.slots, "of in_mr")->check(CLI::Range(1, 65536))->capture_default_str();
  app.add_option("--timeout", options.talk.timeout_ms, "for all members to come, in ms")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    Members members = find_members(options);
    int status = talk(members, options.talk);
    leave_pmix();
    return status;
  } catch (const std::exception& error) {
    fprintf(stderr, "mesh: %s\n", error.what());
    return 1;
  }
}
