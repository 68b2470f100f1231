#include "harness/demo/processes.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "harness/bench/ringchan_cases.h"
#include "harness/conformance/tcp_uri.h"

namespace demo {

std::string random_uri(const std::string& backend, const char* what) {
  if (backend == "tcp") return conformance::unique_tcp_uri("127.0.0.1");
  if (backend == "rdma") return rcbench::fresh_uri(backend);
  std::random_device random;
  char text[100];
  snprintf(text, sizeof text, "shm:demo-%s-%08x%08x", what, random(), random());
  return text;
}

pid_t in_child(const char* who, const std::function<void()>& body) {
  fflush(stdout);
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0) throw std::runtime_error(std::string("fork: ") + strerror(errno));
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive the demo
  if (getppid() != parent) _exit(1);
  int status = 0;
  try {
    body();
  } catch (const std::exception& error) {
    fprintf(stderr, "   %s: %s\n", who, error.what());
    status = 1;
  }
  fflush(stdout);
  _exit(status);
}

bool ended_well(const char* who, pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  if (WIFSIGNALED(status)) {
    fprintf(stderr, "   the %s was killed by signal %d\n", who, WTERMSIG(status));
  } else {
    fprintf(stderr, "   the %s failed\n", who);
  }
  return false;
}

void serve_one(const std::string& uri, const Body& server) {
  rc_ctx ctx;
  rc_listener listener;
  rc_channel channel;
  must(rc_open(nullptr, &ctx), "rc_open");
  must(rc_listen(ctx, uri.c_str(), nullptr, &listener), "rc_listen");
  must(rc_accept(listener, kPatience, &channel), "rc_accept");
  server(channel);
  must(rc_close(ctx), "rc_close");
}

bool run_both(const std::string& uri, const Body& server, const Body& client) {
  pid_t serving = in_child("server", [&] { serve_one(uri, server); });
  pid_t asking = in_child("client", [&] {
    rc_ctx ctx;
    rc_channel channel;
    must(rc_open(nullptr, &ctx), "rc_open");
    must(rc_connect(ctx, uri.c_str(), nullptr, kPatience, &channel), "rc_connect");
    client(channel);
    must(rc_close(ctx), "rc_close");
  });
  bool client_good = ended_well("client", asking);
  return ended_well("server", serving) && client_good;
}

}  // namespace demo
