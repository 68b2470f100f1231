#include "harness/failpoint/other_end.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

namespace failpoint {
namespace {

constexpr int kChildSeconds = 60;
constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kPatienceNs = 20000 * kMs;
constexpr size_t kSizes[] = {1, 8, 4096, 100000};
uint8_t g_buffer[100000];

}  // namespace

std::string fresh_uri(const std::string& prefix) {
  std::random_device device;
  return fmt::format("shm:{}-{:08x}{:08x}", prefix, device(), device());
}

Child::Child(const std::function<std::string()>& f) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) abort();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(kChildSeconds);
    std::string said = f();
    ssize_t ignored = write(ends[1], said.data(), said.size());
    static_cast<void>(ignored);
    _exit(0);
  }
  close(ends[1]);
  from_ = ends[0];
}

Child::~Child() {
  if (!reaped_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &status_, 0);
  }
  close(from_);
}

bool Child::ended() {
  if (!reaped_) reaped_ = waitpid(pid_, &status_, WNOHANG) == pid_;
  return reaped_;
}

std::string Child::problems() {
  std::string said;
  char buffer[4096];
  for (ssize_t n; (n = read(from_, buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<size_t>(n));
  if (!reaped_) reaped_ = waitpid(pid_, &status_, 0) == pid_;
  if (WIFSIGNALED(status_))
    said += fmt::format("the process was ended by signal {} ({})\n", WTERMSIG(status_), strsignal(WTERMSIG(status_)));
  return said;
}

std::set<int32_t> echo_while(Child& child, const std::string& uri, bool listens) {
  std::set<int32_t> codes;
  rc_ctx ctx;
  rc_listener listener = {};
  if (rc_open(nullptr, &ctx) != RC_OK) abort();
  if (listens && rc_listen(ctx, uri.c_str(), nullptr, &listener) != RC_OK) abort();
  while (!child.ended()) {
    rc_channel channel;
    int32_t code =
        listens ? rc_accept(listener, 100 * kMs, &channel) : rc_connect(ctx, uri.c_str(), nullptr, 100 * kMs, &channel);
    codes.insert(code);
    if (code != RC_OK) continue;
    while (code == RC_OK || code == RC_E_TIMEOUT) {
      size_t n = 0;
      code = rc_get_some(channel, g_buffer, sizeof g_buffer, kPatienceNs, &n);
      if (code == RC_OK) code = rc_put(channel, g_buffer, n, kPatienceNs, nullptr);
    }
    rc_channel_close(channel);
  }
  rc_close(ctx);
  return codes;
}

int32_t ask_echo(rc_channel channel) {
  static uint8_t answer[sizeof g_buffer];
  for (size_t n : kSizes) {
    for (size_t i = 0; i < n; ++i) g_buffer[i] = static_cast<uint8_t>(i * 7 + n);
    int32_t code = rc_put(channel, g_buffer, n, kPatienceNs, nullptr);
    if (code == RC_OK) code = rc_get(channel, answer, n, kPatienceNs, nullptr);
    if (code != RC_OK) return code;
    if (memcmp(answer, g_buffer, n) != 0) return RC_E_CORRUPT;
  }
  return RC_OK;
}

std::string expect_code(const char* call, int32_t code, const std::set<int32_t>& wanted) {
  if (wanted.count(code) != 0 && (code == RC_OK || rc_reason()[0] != '\0')) return "";
  return fmt::format("{} returned {}: {}\n", call, rc_code_name(code), code == RC_OK ? "" : rc_reason());
}

}  // namespace failpoint
