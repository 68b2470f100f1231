#include "harness/kill/ends.h"

#include <dirent.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/deadline.h"

namespace killing {
namespace {

void copy_text(char* to, size_t room, const std::string& text) {
  strncpy(to, text.c_str(), room - 1);
  to[room - 1] = '\0';
}

rc_config small_config(const Setup& setup) {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = 2;
  config.listeners_max = setup.uri.find('+') != std::string::npos ? 3 : 1;  // a list has one for each and its own
  config.rings_max = 2;
  config.ring_bytes = kRingBytes;
  if (setup.script != Script::kOperations) return config;
  config.mrs_max = 2;  // its own, and one that the other end asks for
  config.mr_bytes = kRegionBytes + kPage;
  config.op_ring_bytes = kPage;
  config.requests_max = 256;  // what timed out while the peer stood still is under way until it answers
  config.peer_mr_bytes = kPage;
  return config;
}

rc_channel_config channel_config(const Setup& setup, const char* identity) {
  rc_channel_config config = {};
  config.size = sizeof config;
  config.wait = script_wait(setup.script);
  config.identity = identity;
  return config;
}

int count_descriptors() {
  DIR* d = opendir("/proc/self/fd");
  int n = 0;
  while (d != nullptr && readdir(d) != nullptr) ++n;
  closedir(d);
  return n - 3;  // ".", ".." and d's own
}

int count_ring_mappings() {
  FILE* f = fopen("/proc/self/maps", "re");
  char line[512];
  int n = 0;
  while (fgets(line, sizeof line, f) != nullptr) n += strstr(line, "memfd:ringchan") != nullptr;
  fclose(f);
  return n;
}

// ------------------------------------------------------------------------------------------------------------- victim

[[noreturn]] void leave_with_problem(Victim* self, const char* at, int32_t code, const std::string& wrong) {
  copy_text(self->problem, sizeof self->problem,
            fmt::format("the victim: {}: {}: {}", at, code > 0 ? "wrong content" : rc_code_name(code),
                        code > 0 ? wrong : rc_reason()));
  _exit(1);
}

// -------------------------------------------------------------------------------------------------------------
// survivor

class Survivor {
 public:
  Survivor(const Setup& setup, Board* board, int messages) : setup_(setup), board_(board), messages_(messages) {}

  [[noreturn]] void serve() {
    int at_first = count_descriptors();
    rc_config config = small_config(setup_);
    rc_channel_config channel = channel_config(setup_, "survivor");
    must("rc_open", rc_open(&config, &ctx_));
    if (!setup_.victim_serves) must("rc_listen", rc_listen(ctx_, setup_.uri.c_str(), &channel, &listener_));
    idle_descriptors_ = count_descriptors();
    while (!one_victim(channel)) {
    }
    look_for_leftovers(true);
    if (!setup_.victim_serves) must("rc_listener_close", rc_listener_close(listener_));
    must("rc_close", rc_close(ctx_));
    if (count_descriptors() != at_first)
      trouble(fmt::format("{} descriptors at first, {} in the end", at_first, count_descriptors()));
    Message m = {};
    m.kind = Message::kFinished;
    say(m);
    _exit(0);
  }

 private:
  void say(const Message& m) {
    if (write(messages_, &m, sizeof m) != static_cast<ssize_t>(sizeof m)) _exit(2);
  }

  [[noreturn]] void trouble(const std::string& text) {
    Message m = {};
    m.kind = Message::kTrouble;
    copy_text(m.text, sizeof m.text, "the survivor: " + text);
    say(m);
    _exit(1);
  }

  void must(const char* what, int32_t code) {
    if (code != RC_OK) trouble(fmt::format("{}: {}: {}", what, rc_code_name(code), rc_reason()));
  }

  // True: that was the last one.
  bool one_victim(const rc_channel_config& config) {
    rc_channel channel;
    int32_t code = setup_.victim_serves ? rc_connect(ctx_, setup_.uri.c_str(), &config, kPatienceNs, &channel)
                                        : rc_accept(listener_, kPatienceNs, &channel);
    // Many in a row may have died in the handshake. Whether this takes too long is the supervisor's business.
    if (code == RC_E_TIMEOUT || code == RC_E_NO_LISTENER) return false;
    Message m = {};
    if (setup_.victim_serves && code == RC_E_PEER_DEAD) {
      m.kind = Message::kNotOpened;
      m.code = code;
      say(m);
      return false;
    }
    must(setup_.victim_serves ? "rc_connect" : "rc_accept", code);
    rc_info info = {};
    info.size = sizeof info;
    must("rc_channel_info", rc_channel_info(channel, &info));
    m.run = strtoull(info.identity, nullptr, 10);
    m.kind = Message::kOpened;
    Progress* progress = &board_->survivor;
    progress->put_tried = progress->put_done = progress->got = 0;
    say(m);

    End end(channel, m.run, false, progress, setup_.slice_ns);
    rc_mr mr = {};
    if (setup_.script == Script::kOperations) {
      must("rc_mr_alloc", rc_mr_alloc(ctx_, kRegionBytes, 0, &mr));
      end.lend(mr, !setup_.tcp());
    }
    m.kind = Message::kEnded;
    m.code = end.run(setup_.script, 0);
    copy_text(m.text, sizeof m.text, m.code == kWrong ? end.wrong() : m.code <= -200 ? "" : rc_reason());
    m.put_tried = progress->put_tried;
    m.got = progress->got;
    m.call_ns = end.call_ns();
    m.return_ns = end.return_ns();
    must("rc_channel_close", rc_channel_close(channel));
    if (mr.id != 0) must("rc_mr_free", rc_mr_free(mr));
    look_for_leftovers(false);
    bool last = m.run == board_->last_run;
    say(m);
    return last;
  }

  // While it serves, clients that died in the handshake may be held until the next rc_accept.
  void look_for_leftovers(bool last) {
    int more = 0, mapped = 0;
    if (!setup_.victim_serves) {
      rc_channel none;
      int32_t code = last ? rc_accept(listener_, 0, &none) : RC_E_WOULD_BLOCK;
      if (code != RC_E_WOULD_BLOCK) trouble("rc_accept after the last victim: " + std::string(rc_code_name(code)));
      if (!last) more = 3 * kHandshakes, mapped = kHandshakes;
    }
    int descriptors = count_descriptors();
    if (descriptors < idle_descriptors_ || descriptors > idle_descriptors_ + more) {
      trouble(fmt::format("{} descriptors before, {} after the channel was closed", idle_descriptors_, descriptors));
    }
    int mappings = count_ring_mappings();
    if (mappings > mapped) trouble(fmt::format("{} rings are mapped after the channel was closed", mappings));
  }

  static constexpr int kHandshakes = 2;
  const Setup& setup_;
  Board* board_;
  int messages_;
  int idle_descriptors_ = 0;
  rc_ctx ctx_ = {};
  rc_listener listener_ = {};
};

}  // namespace

void be_victim(const Setup& setup, const Plan& plan, uint64_t run, uint32_t rounds, Victim* self) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  die_by(plan, &self->steps, &self->kill_ns, &self->told, setup.tcp());
  auto must = [self](const char* what, int32_t code) {
    if (code != RC_OK) leave_with_problem(self, what, code, "");
  };
  std::string identity = fmt::format("{} {}", run, script_name(setup.script));
  rc_config config = small_config(setup);
  rc_channel_config channel_config_ = channel_config(setup, identity.c_str());
  rc_ctx ctx;
  rc_listener listener = {};
  rc_channel channel;
  must("rc_open", rc_open(&config, &ctx));
  if (setup.victim_serves) {
    must("rc_listen", rc_listen(ctx, setup.uri.c_str(), &channel_config_, &listener));
    self->stage = Victim::kListening;
    Traced traced("rc_accept");
    must("rc_accept", rc_accept(listener, kPatienceNs, &channel));
  } else {
    Traced traced("rc_connect");
    must("rc_connect", rc_connect(ctx, setup.uri.c_str(), &channel_config_, kPatienceNs, &channel));
  }
  self->stage = Victim::kConnected;
  End end(channel, run, true, &self->progress, setup.slice_ns);
  rc_mr mr = {};
  if (setup.script == Script::kOperations) {
    must("rc_mr_alloc", rc_mr_alloc(ctx, kRegionBytes, 0, &mr));
    end.lend(mr, !setup.tcp());
  }
  int32_t code = end.run(setup.script, rounds);
  if (code != RC_OK) leave_with_problem(self, script_name(setup.script), code, end.wrong());
  self->stage = Victim::kClosing;
  {
    Traced traced("rc_channel_close");
    must("rc_channel_close", rc_channel_close(channel));
  }
  self->progress.put_done = self->progress.put_tried.load();
  if (mr.id != 0) must("rc_mr_free", rc_mr_free(mr));
  if (setup.victim_serves) must("rc_listener_close", rc_listener_close(listener));
  must("rc_close", rc_close(ctx));
  self->stage = Victim::kGone;
  _exit(0);
}

void be_survivor(const Setup& setup, Board* board, int messages) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Survivor(setup, board, messages).serve();
}

}  // namespace killing
