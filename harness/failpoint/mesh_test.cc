// A member of a mesh whose system calls fail, each once: what rc_mesh_* says is documented, the member loses nothing
// that it does not tell of, and the mesh is whole again by itself.
#include <errno.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/deadline.h"
#include "harness/failpoint/fault.h"
#include "harness/failpoint/manual.h"
#include "harness/failpoint/problems.h"
#include "harness/failpoint/scene.h"
#include "harness/mesh/lists.h"

namespace failpoint {
namespace {

constexpr int64_t kMs = 1000 * 1000;
constexpr int64_t kPatienceNs = 10'000 * kMs;
constexpr uint32_t kEchoes = 5;

struct Play {
  const char* scheme;
  uint32_t near;
  bool finds_id;
};

void PrintTo(const Play& p, std::ostream* out) { *out << p.scheme << p.near; }

// One end of a mesh of two.
class Member {
 public:
  Member(const meshes::Lists& lists, uint32_t id, bool finds_id) : hosts_(lists.text()), id_(id), finds_id_(finds_id) {}

  bool open() {
    rc_config config = {};
    config.size = sizeof config;
    config.channels_max = 4;
    config.rings_max = 8;
    config.ring_bytes = 16384;
    config.mr_bytes = 4096;
    rc_mesh_config mesh = {};
    mesh.size = sizeof mesh;
    mesh.flags = RC_MESH_PARTIAL | (finds_id_ ? 0 : RC_MESH_ID);
    mesh.id = finds_id_ ? 0 : id_;
    mesh.hosts = hosts_.c_str();
    if (ctx_.id == 0 && !account.note("rc_open", rc_open(&config, &ctx_))) return false;
    return account.note("rc_mesh_open", rc_mesh_open(ctx_, &mesh, 0, &mesh_));
  }
  void close() {
    if (mesh_.id != 0) account.note("rc_mesh_close", rc_mesh_close(mesh_));
    if (ctx_.id != 0) account.note("rc_close", rc_close(ctx_));
  }
  // Takes one event; what is no event is an error that is told, and the mesh goes on.
  void take_event(int64_t timeout_ns) {
    rc_member_event event = {};
    event.size = sizeof event;
    int32_t code = rc_mesh_event(mesh_, &event, timeout_ns);
    if (code == RC_E_WOULD_BLOCK || code == RC_E_TIMEOUT) return;
    if (!account.note("rc_mesh_event", code)) return;
    bool lost = event.kind == RC_MEMBER_LOST;
    if (lost ? channel_.id != event.channel.id : channel_.id != 0)
      account.complain(fmt::format("an event out of turn: kind {} while the channel is {}", event.kind, channel_.id));
    channel_ = lost ? rc_channel{} : event.channel;
  }
  rc_ctx ctx() const { return ctx_; }
  rc_channel channel() const { return channel_; }
  rc_mesh mesh() const { return mesh_; }

  Account account;

 private:
  std::string hosts_;
  uint32_t id_;
  bool finds_id_;
  rc_ctx ctx_ = {};
  rc_mesh mesh_ = {};
  rc_channel channel_ = {};
};

// Sends back what comes, until told to stop.
void echo(Member* far, const std::atomic<bool>* stop) {
  while (!*stop) {
    far->take_event(kMs);
    uint32_t number;
    if (far->channel().id != 0 && rc_try_get(far->channel(), &number, sizeof number) == RC_OK)
      rc_try_put(far->channel(), &number, sizeof number);
  }
}

// So many numbers there and back, over one channel; after a loss, over the next.
bool exchange(Member* near) {
  rc::Deadline deadline = rc::Deadline::after(kPatienceNs);
  uint64_t over = 0;
  for (uint32_t k = 0; k < kEchoes && deadline.left(rc::now_ns()) != 0;) {
    near->take_event(near->channel().id == 0 ? 100 * kMs : 0);
    rc_channel channel = near->channel();
    uint32_t back = UINT32_MAX;
    if (channel.id != over) k = 0;
    over = channel.id;
    if (channel.id == 0 || rc_put(channel, &k, sizeof k, kPatienceNs, nullptr) != RC_OK) continue;
    int32_t code = RC_E_TIMEOUT;
    while (code == RC_E_TIMEOUT && near->channel().id == channel.id && deadline.left(rc::now_ns()) != 0) {
      code = rc_get(channel, &back, sizeof back, 10 * kMs, nullptr);
      if (code != RC_OK) near->take_event(0);
    }
    if (code != RC_OK) continue;
    if (back != k) near->account.complain("wrong content");
    if (++k == kEchoes) return true;
  }
  return false;
}

Verdict play(const Play& p, const Fault& fault) {
  Verdict v;
  int descriptors = count_descriptors(), mappings = count_ring_mappings();
  {
    meshes::Lists lists(p.scheme, 2);
    Member near(lists, p.near, p.finds_id), far(lists, 1 - p.near, false);
    std::atomic<bool> stop{false};
    if (!far.open()) v.problems.push_back("far end: " + far.account.failure());
    std::thread thread(echo, &far, &stop);
    {
      Faulty faults(fault);
      bool open = near.open() || near.open();  // the fault happens once
      if (!open) v.problems.push_back("afterwards: " + near.account.failure());
      if (open && !exchange(&near)) v.problems.push_back("the mesh was not whole in time: " + near.account.failure());
      int32_t fd;
      if (open) near.account.note("rc_mesh_fd", rc_mesh_fd(near.mesh(), &fd));
      near.close();
      v.happened = faults.happened();
      v.calls = faults.calls();
    }
    stop = true;
    thread.join();
    far.close();
    if (fault.error == EINTR && near.account.failed()) v.problems.push_back("must succeed: " + near.account.failure());
    for (const std::string& c : near.account.complaints()) v.problems.push_back("near end: " + c);
    for (const std::string& c : far.account.complaints()) v.problems.push_back("far end: " + c);
  }
  if (count_descriptors() != descriptors)
    v.problems.push_back(fmt::format("{} descriptors before, {} after", descriptors, count_descriptors()));
  if (count_ring_mappings() != mappings) v.problems.push_back("rings are still mapped");
  return v;
}

class AMember : public testing::TestWithParam<Play> {};

INSTANTIATE_TEST_SUITE_P(, AMember,
                         testing::Values(Play{"tcp", 0, false}, Play{"tcp", 1, false}, Play{"tcp", 0, true},
                                         Play{"shm", 0, false}, Play{"shm", 1, false}, Play{"shm+tcp", 0, false},
                                         Play{"shm+tcp", 1, false}, Play{"tcp+shm", 0, false}),
                         [](const auto& each) {
                           std::string name = each.param.scheme;
                           if (size_t plus = name.find('+'); plus != std::string::npos) name.replace(plus, 1, "Then");
                           return name + (each.param.near == 0 ? "Connects" : "Accepts") +
                                  (each.param.finds_id ? "FindsItsId" : "");
                         });

TEST_P(AMember, WhoseCallsFailIsWholeAgain) {
  bool tcp = std::string(GetParam().scheme).rfind("tcp", 0) == 0;  // what is taken
  // How often the mesh looks is timing, and the later looks are all alike.
  fail_every_call_once(tcp, 24, [](const Fault& fault) { return play(GetParam(), fault); });
}

// Both ends in this process; the near one has granted a region directly.
TEST(AMesh, TellsAtItsCloseOfADirectGrantThatDoesNotEnd) {
  meshes::Lists lists("shm", 2);
  Member near(lists, 0, false), far(lists, 1, false);
  ASSERT_TRUE(near.open() && far.open()) << near.account.failure() << far.account.failure();
  std::atomic<bool> stop{false};
  std::thread thread(echo, &far, &stop);
  EXPECT_TRUE(exchange(&near)) << near.account.failure();
  rc_mr mr{0};
  rc_grant grant{0};
  EXPECT_EQ(RC_OK, rc_mr_alloc(near.ctx(), 4096, 0, &mr)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_mr_grant(near.channel(), mr, 0, 4096, RC_MR_READ | RC_MR_DIRECT, RC_LEASE_NONE, &grant))
      << rc_reason();
  {
    Faulty faults({"mremap", 1, ENOMEM, true});
    EXPECT_EQ(RC_E_NO_MEMORY, rc_mesh_close(near.mesh()));
    EXPECT_NE(nullptr, strstr(rc_reason(), "member 1: moving a region")) << rc_reason();
    EXPECT_EQ("", Manual::shipped().complaint("rc_mesh_close", RC_E_NO_MEMORY));
    EXPECT_EQ(RC_E_HANDLE, rc_mesh_close(near.mesh())) << "it is closed";
    EXPECT_EQ(RC_E_NO_MEMORY, rc_mr_free(mr));
  }
  EXPECT_EQ(RC_OK, rc_mr_free(mr)) << rc_reason();
  EXPECT_EQ(RC_OK, rc_close(near.ctx()));
  stop = true;
  thread.join();
  far.close();
}

}  // namespace
}  // namespace failpoint
