// mesh_siege: strangers throw everything at a mesh's ports; the long form of the test.
#include <stdio.h>

#include <CLI/CLI.hpp>
#include <random>

#include "harness/mesh/siege.h"

int main(int argc, char** argv) {
  double seconds = 60;
  uint32_t members = 3, seed = std::random_device{}();
  CLI::App app("Strangers throw garbage, false hellos and half-open connections at a mesh's ports while it works.");
  app.add_option("--seconds", seconds, "how long")->capture_default_str();
  app.add_option("--members", members)->check(CLI::Range(2u, 8u))->capture_default_str();
  app.add_option("--seed", seed, "(default: a random one)");
  CLI11_PARSE(app, argc, argv);
  printf("seed %u, %.0f s\n", seed, seconds);
  meshes::Siege siege = meshes::besiege(members, seconds, seed);
  printf("%llu connections of strangers, %llu numbers exchanged, memory grown by %lld KB\n%s\n",
         static_cast<unsigned long long>(siege.attacks), static_cast<unsigned long long>(siege.exchanges),
         static_cast<long long>(siege.grown_kb), siege.wrong.empty() ? "endured" : siege.wrong.c_str());
  return siege.wrong.empty() ? 0 : 1;
}
