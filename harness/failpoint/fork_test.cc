// Fault 11 of the proof: fork with open channels. The child uses them, opens its own, exits, executes another program;
// the parent and its peer notice nothing.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <thread>

#include "harness/failpoint/other_end.h"

namespace failpoint {
namespace {

constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kPatienceNs = 20000 * kMs;

// A process with a context, a listener and a channel to the test, which echoes.
struct Parent {
  rc_ctx ctx = {};
  rc_listener listener = {};
  rc_channel channel = {};

  // "" or what went wrong.
  std::string start(const std::string& uri) {
    std::string problems = expect_code("rc_open", rc_open(nullptr, &ctx), {RC_OK});
    problems += expect_code("rc_listen", rc_listen(ctx, fresh_uri("fork-own").c_str(), nullptr, &listener), {RC_OK});
    problems += expect_code("rc_connect", rc_connect(ctx, uri.c_str(), nullptr, kPatienceNs, &channel), {RC_OK});
    return problems + works();
  }
  std::string works() { return expect_code("the parent's exchange", ask_echo(channel), {RC_OK}); }

  // Every function that takes a handle, in a child.
  std::string all_refused() {
    const std::set<int32_t> forked = {RC_E_FORKED};
    std::string p;
    char b[8] = {};
    size_t n, m;
    int32_t fd;
    uint32_t imm;
    rc_span spans[2];
    rc_const_span views[2];
    rc_info info = {};
    info.size = sizeof info;
    rc_counters counters = {};
    counters.size = sizeof counters;
    rc_listener l;
    rc_channel c;
    rc_span in = {b, 8};
    rc_const_span out = {b, 8};
    alignas(128) static char tx[4096], rx[4096];
    rc_attach_config attach = {};
    attach.size = sizeof attach;
    attach.tx = tx;
    attach.rx = rx;
    attach.bytes = sizeof tx;
    p += expect_code("rc_put", rc_put(channel, b, 8, 0, &n), forked);
    p += expect_code("rc_put_more", rc_put_more(channel, b, 8, 0, &n), forked);
    p += expect_code("rc_flush", rc_flush(channel), forked);
    p += expect_code("rc_sync", rc_sync(channel, 0), forked);
    p += expect_code("rc_get", rc_get(channel, b, 8, 0, &n), forked);
    p += expect_code("rc_try_put", rc_try_put(channel, b, 8), forked);
    p += expect_code("rc_try_get", rc_try_get(channel, b, 8), forked);
    p += expect_code("rc_put_some", rc_put_some(channel, b, 8, &n), forked);
    p += expect_code("rc_get_some", rc_get_some(channel, b, 8, 0, &n), forked);
    p += expect_code("rc_putv", rc_putv(channel, &out, 1, 0, &n), forked);
    p += expect_code("rc_getv", rc_getv(channel, &in, 1, 0, &n), forked);
    p += expect_code("rc_ready", rc_ready(channel, &n, &m), forked);
    p += expect_code("rc_reserve", rc_reserve(channel, 1, 0, spans), forked);
    p += expect_code("rc_commit", rc_commit(channel, 0), forked);
    p += expect_code("rc_peek", rc_peek(channel, 1, 0, views), forked);
    p += expect_code("rc_release", rc_release(channel, 0), forked);
    p += expect_code("rc_send", rc_send(channel, b, 8, nullptr, 0, &n), forked);
    p += expect_code("rc_recv", rc_recv(channel, b, 8, &n, &imm, &imm, 0), forked);
    p += expect_code("rc_channel_fd", rc_channel_fd(channel, &fd), forked);
    p += expect_code("rc_progress", rc_progress(channel), forked);
    p += expect_code("rc_channel_info", rc_channel_info(channel, &info), forked);
    p += expect_code("rc_channel_counters", rc_channel_counters(channel, &counters), forked);
    p += expect_code("rc_channel_close", rc_channel_close(channel), forked);
    p += expect_code("rc_accept", rc_accept(listener, 0, &c), forked);
    p += expect_code("rc_listener_fd", rc_listener_fd(listener, &fd), forked);
    p += expect_code("rc_listener_close", rc_listener_close(listener), forked);
    p += expect_code("rc_listen", rc_listen(ctx, "shm:x", nullptr, &l), forked);
    p += expect_code("rc_connect", rc_connect(ctx, "shm:x", nullptr, 0, &c), forked);
    p += expect_code("rc_attach", rc_attach(ctx, &attach, &c), forked);
    rc_event event;
    uint32_t events = 0;
    p += expect_code("rc_fd", rc_fd(ctx, &fd), forked);
    p += expect_code("rc_poll", rc_poll(ctx, &event, 1, 0, &events), forked);
    p += expect_code("rc_progress_all", rc_progress_all(ctx), forked);
    p += expect_code("rc_stop", rc_stop(ctx), forked);
    p += expect_code("rc_close", rc_close(ctx), forked);
    return p;
  }
};

// Runs `in_child` in a child of a process that has a channel open, then looks whether that one's channel still works.
void with_forked_child(const std::function<std::string(Parent&, const std::string& uri)>& in_child) {
  std::string uri = fresh_uri("fork");
  Child parent_process([&] {
    Parent parent;
    std::string problems = parent.start(uri);
    Child child([&] { return in_child(parent, uri); });
    problems += parent.works();  // while the child runs
    problems += child.problems();
    problems += parent.works();
    problems += expect_code("rc_close", rc_close(parent.ctx), {RC_OK});
    return problems;
  });
  std::set<int32_t> codes = echo_while(parent_process, uri, true);
  EXPECT_EQ("", parent_process.problems());
  for (int32_t code : codes) EXPECT_TRUE(code == RC_OK || code == RC_E_TIMEOUT) << rc_code_name(code);
}

TEST(ForkedChild, GetsItsOwnErrorFromEveryFunction) {
  with_forked_child([](Parent& parent, const std::string&) { return parent.all_refused(); });
}

TEST(ForkedChild, OpensItsOwnContext) {
  with_forked_child([](Parent& parent, const std::string&) {
    rc_ctx ctx;
    rc_listener listener;
    std::string problems = expect_code("rc_open", rc_open(nullptr, &ctx), {RC_OK});
    problems += expect_code("rc_listen", rc_listen(ctx, fresh_uri("fork-child").c_str(), nullptr, &listener), {RC_OK});
    problems += parent.all_refused();  // still
    problems += expect_code("rc_close", rc_close(ctx), {RC_OK});
    return problems + parent.all_refused();
  });
}

// The test echoes one channel at a time, so the child talks to a process of its own.
TEST(ForkedChild, HasChannelsOfItsOwn) {
  with_forked_child([](Parent&, const std::string&) {
    std::string uri = fresh_uri("fork-child");
    Child client([&] {
      rc_ctx ctx;
      rc_channel channel;
      std::string problems = expect_code("rc_open", rc_open(nullptr, &ctx), {RC_OK});
      problems += expect_code("rc_connect", rc_connect(ctx, uri.c_str(), nullptr, kPatienceNs, &channel), {RC_OK});
      problems += expect_code("the child's exchange", ask_echo(channel), {RC_OK});
      return problems + expect_code("rc_close", rc_close(ctx), {RC_OK});
    });
    echo_while(client, uri, true);
    return client.problems();
  });
}

TEST(ForkedChild, ExitsWithAllItsDestructors) {
  with_forked_child([](Parent&, const std::string&) -> std::string {
    fflush(nullptr);
    pid_t pid = fork();
    if (pid == 0) exit(0);
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : fmt::format("exit ended with status {:#x}\n", status);
  });
}

// What a program that is executed finds open: nothing of the library's.
TEST(ForkedChild, ExecutesAnotherProgram) {
  with_forked_child([](Parent&, const std::string&) -> std::string {
    FILE* f = popen("ls -l /proc/$$/fd", "re");
    std::string problems;
    char line[512];
    int lines = 0;
    while (fgets(line, sizeof line, f) != nullptr) {
      ++lines;
      if (strstr(line, "memfd:") != nullptr || strstr(line, "socket:") != nullptr ||
          strstr(line, "eventfd") != nullptr) {
        problems += line;
      }
    }
    pclose(f);
    return lines >= 3 ? problems : "ls did not run\n";
  });
}

TEST(Fork, WhileAnotherThreadSleepsInAGet) {
  std::string uri = fresh_uri("fork");
  Child parent_process([&] {
    Parent parent;
    std::string problems = parent.start(uri);
    std::atomic<int32_t> got{1};
    std::thread sleeper([&] {
      char b[3];
      got = rc_get(parent.channel, b, sizeof b, kPatienceNs, nullptr);
    });
    for (int i = 0; i < 20; ++i) {
      Child child([&] { return parent.all_refused(); });
      problems += child.problems();
    }
    if (got != 1) problems += "the get ended by itself\n";
    problems += expect_code("rc_put", rc_put(parent.channel, "abc", 3, kPatienceNs, nullptr), {RC_OK});
    sleeper.join();
    problems += expect_code("rc_get", got, {RC_OK});
    return problems + expect_code("rc_close", rc_close(parent.ctx), {RC_OK});
  });
  echo_while(parent_process, uri, true);
  EXPECT_EQ("", parent_process.problems());
}

// The parent is killed while a child of it, which knows nothing of channels, lives on with copies of its descriptors.
TEST(Fork, DeathIsNoticedWhileAChildHoldsTheSockets) {
  std::string uri = fresh_uri("fork");
  void* at = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* grandchild = new (at) std::atomic<pid_t>(0);
  rc_ctx ctx;
  rc_listener listener;
  rc_channel channel;
  ASSERT_EQ(RC_OK, rc_open(nullptr, &ctx));
  ASSERT_EQ(RC_OK, rc_listen(ctx, uri.c_str(), nullptr, &listener));
  {
    Child parent_process([&] {
      rc_ctx own;
      rc_channel to_test;
      std::string problems = expect_code("rc_open", rc_open(nullptr, &own), {RC_OK});
      problems += expect_code("rc_connect", rc_connect(own, uri.c_str(), nullptr, kPatienceNs, &to_test), {RC_OK});
      pid_t pid = fork();
      if (pid == 0) {
        alarm(30);
        for (;;) pause();
      }
      *grandchild = pid;
      for (;;) pause();
      return problems;
    });
    ASSERT_EQ(RC_OK, rc_accept(listener, kPatienceNs, &channel)) << rc_reason();
    while (*grandchild == 0 && !parent_process.ended()) std::this_thread::yield();
  }  // kills it
  char b;
  EXPECT_STREQ("RC_E_PEER_DEAD", rc_code_name(rc_get(channel, &b, 1, 2000 * kMs, nullptr)));
  int32_t fd = -1;
  EXPECT_EQ(RC_OK, rc_channel_fd(channel, &fd));
  pollfd p = {fd, POLLIN, 0};
  EXPECT_EQ(1, poll(&p, 1, 2000)) << "the channel's descriptor does not tell";
  kill(*grandchild, SIGKILL);
  EXPECT_EQ(RC_OK, rc_close(ctx));
  munmap(at, 4096);
}

}  // namespace
}  // namespace failpoint
