// mesh_kill: kills random members of a mesh many times; the long form of the test.
#include <stdio.h>

#include <CLI/CLI.hpp>

#include "harness/mesh/crew.h"

int main(int argc, char** argv) {
  uint32_t times = 100, members = 4;
  uint64_t seed = 1;
  std::string scheme = "tcp";
  CLI::App app("Kills random members of a mesh, and looks whether the others name exactly them and take them back.");
  app.add_option("times", times, "kills")->capture_default_str();
  app.add_option("--members", members)->check(CLI::Range(2u, meshes::kCrewMost))->capture_default_str();
  app.add_option("--scheme", scheme)->check(CLI::IsMember({"tcp", "shm", "shm+tcp", "tcp+shm"}))->capture_default_str();
  app.add_option("--seed", seed, "of victims and moments")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  std::string wrong = meshes::kill_at_random(scheme, members, times, seed, true);
  printf("\n%s\n", wrong.empty() ? "All went well." : wrong.c_str());
  return wrong.empty() ? 0 : 1;
}
