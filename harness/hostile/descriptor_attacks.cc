// A client that sends descriptors which are not what they should be. All of them must be given back.
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "harness/hostile/honest.h"
#include "harness/hostile/wrong_things.h"

namespace hostile {
namespace {

using rc::Hello;

class HostileDescriptors : public Attack {
 protected:
  void refused_bells(const std::vector<int>& fds, const std::string& word = "doorbell") {
    RawClient client(kRing);
    Hello ask = say(Hello::kAsk, kRing);
    ASSERT_TRUE(client.dial(name_) && send_packet(client.end.main.get(), &ask, sizeof ask, fds));
    expect_refused(client, RC_E_NOT_RINGCHAN, word);
  }
  void refused_files(const std::vector<int>& fds, int32_t code, uint64_t ring_bytes = kRing,
                     const std::string& word = "memory file") {
    RawClient client(ring_bytes);
    Hello accept = say(Hello::kAccept, ring_bytes);
    ASSERT_TRUE(begin(client) && send_packet(client.end.main.get(), &accept, sizeof accept, fds));
    expect_refused(client, code, word);
  }
};

TEST_F(HostileDescriptors, NoDoorbell) { refused_bells({}); }

TEST_F(HostileDescriptors, TooManyDoorbells) {
  auto pair = socket_pair();
  for (size_t n : {2, 3, 15, 16, 17, 100, 253}) {
    SCOPED_TRACE(std::to_string(n) + " of them");
    refused_bells(std::vector<int>(n, pair.second.get()), "descriptor");
  }
}

TEST_F(HostileDescriptors, DoorbellOfAnotherKind) {
  std::vector<Thing> things = wrong_things();
  things.push_back({"a good memory file", make_file({file_bytes(kRing)})});
  for (const Thing& thing : things) {
    SCOPED_TRACE(thing.name);
    refused_bells({thing.fd.get()});
  }
}

// Refused or not, such a doorbell harms nobody but the client.
TEST_F(HostileDescriptors, DoorbellInAnOddState) {
  for (Thing& thing : odd_bells(name_)) {
    SCOPED_TRACE(thing.name);
    RawClient client(kRing);
    Hello ask = say(Hello::kAsk, kRing);
    ASSERT_TRUE(client.dial(name_) && send_packet(client.end.main.get(), &ask, sizeof ask, {thing.fd.get()}));
    EXPECT_RC(RC_E_WOULD_BLOCK, serve().code);
    if (!client.take_offer()) continue;
    ASSERT_TRUE(client.accept());
    Outcome o = serve();
    if (o.code != RC_OK) continue;
    char bytes[kRing] = {};
    EXPECT_RC(RC_OK, IN_TIME(rc_put(o.channel, bytes, sizeof bytes, kShort, nullptr)));
    int32_t code = IN_TIME(rc_put(o.channel, bytes, 1, kShort, nullptr));
    EXPECT_TRUE(code == RC_E_TIMEOUT || code == RC_E_PEER_DEAD || code == RC_E_CORRUPT) << rc_code_name(code);
    code = IN_TIME(rc_get(o.channel, bytes, 1, kShort, nullptr));
    EXPECT_TRUE(code == RC_E_TIMEOUT || code == RC_E_PEER_DEAD || code == RC_E_CORRUPT) << rc_code_name(code);
    int32_t fd = -1;
    EXPECT_RC(RC_OK, rc_channel_fd(o.channel, &fd));
  }
}

// The client's own end of the connection as its doorbell: the listener would ring itself.
TEST_F(HostileDescriptors, DoorbellIsTheConnectionItself) {
  RawClient client(kRing);
  Hello ask = say(Hello::kAsk, kRing);
  ASSERT_TRUE(client.dial(name_) && send_packet(client.end.main.get(), &ask, sizeof ask, {client.end.main.get()}));
  EXPECT_RC(RC_E_WOULD_BLOCK, serve().code);
  if (!client.take_offer()) return;
  ASSERT_TRUE(client.accept());
  Outcome o = serve();
  ASSERT_RC(RC_OK, o.code);
  ASSERT_TRUE(client.take_go());
  client.end.outbox->putter.store(77);
  char bytes[kRing] = {};
  for (int i = 0; i < 20; ++i) {
    client.end.outbox->getter.store(static_cast<uint64_t>(i) + 100);
    EXPECT_RC(RC_OK, IN_TIME(rc_put(o.channel, bytes, 1, kShort, nullptr)));
    EXPECT_RC(RC_E_TIMEOUT, IN_TIME(rc_get(o.channel, bytes, 1, kShort, nullptr)));
  }
}

TEST_F(HostileDescriptors, NoMemoryFile) { refused_files({}, RC_E_NOT_RINGCHAN); }

TEST_F(HostileDescriptors, TooManyMemoryFiles) {
  Fd file = make_file({file_bytes(kRing)});
  for (size_t n : {2, 3, 15, 16, 17, 100, 253}) {
    SCOPED_TRACE(std::to_string(n) + " of them");
    refused_files(std::vector<int>(n, file.get()), RC_E_NOT_RINGCHAN, kRing, "descriptor");
  }
}

TEST_F(HostileDescriptors, MemoryFileOfAnotherKind) {
  std::vector<Thing> things = wrong_things();
  for (Thing& thing : odd_bells(name_)) things.push_back(std::move(thing));
  for (const Thing& thing : things) {
    SCOPED_TRACE(thing.name);
    refused_files({thing.fd.get()}, RC_E_CORRUPT);
  }
}

TEST_F(HostileDescriptors, MemoryFileThatIsTheConnection) {
  RawClient client(kRing);
  Hello accept = say(Hello::kAccept, kRing);
  ASSERT_TRUE(begin(client) && send_packet(client.end.main.get(), &accept, sizeof accept, {client.end.main.get()}));
  expect_refused(client, RC_E_CORRUPT, "memory file");
}

TEST_F(HostileDescriptors, MemoryFileWithSomethingWrong) {
  for (const BadFile& bad : bad_files(kRing)) {
    SCOPED_TRACE("a memory file " + bad.name);
    Fd file = make_file(bad.kind);
    ASSERT_TRUE(file.ok());
    refused_files({file.get()}, RC_E_CORRUPT);
  }
}

// Seals and size may be right, but the pages of such a file are taken from a pool that may be empty at the first look.
TEST_F(HostileDescriptors, MemoryFileOfHugePages) {
  constexpr uint64_t kHugePage = uint64_t{2} << 20;
  close_honest();
  open_honest(nullptr, kHugePage);
  Fd file = make_file({kHugePage, kAllSeals, MFD_HUGETLB | MFD_HUGE_2MB, false});
  if (!file.ok()) GTEST_SKIP() << "this kernel makes no memory files of huge pages";
  refused_files({file.get()}, RC_E_CORRUPT, kHugePage - rc::kRingOffset);
}

// The client shrinks its file after its size was seen to be right and before its seals are: a mapping of nothing, and
// SIGBUS at the first look, if the checks come in the wrong order.
TEST_F(HostileDescriptors, MemoryFileShrinksBetweenTwoChecks) {
  RawClient client(kRing);
  Fd file = make_file({file_bytes(kRing), 0});
  Hello accept = say(Hello::kAccept, kRing);
  ASSERT_TRUE(begin(client) && send_packet(client.end.main.get(), &accept, sizeof accept, {file.get()}));
  before_the_next_seal_check(
      [](int fd) {
        if (ftruncate(fd, 0) != 0 || fcntl(fd, F_ADD_SEALS, kAllSeals) != 0)
          ADD_FAILURE() << "the attack itself failed";
      },
      file.get());
  expect_refused(client, RC_E_CORRUPT, "memory file");
}

// The listener gets its own memory back as the client's: good seals, right size. It then talks to itself; no more.
TEST_F(HostileDescriptors, MemoryFileIsTheListenersOwn) {
  RawClient client(kRing);
  Hello accept = say(Hello::kAccept, kRing);
  ASSERT_TRUE(begin(client));
  ASSERT_TRUE(send_packet(client.end.main.get(), &accept, sizeof accept, {client.end.file.get()}));
  Outcome o = serve();
  if (o.code != RC_OK) return;
  for (int i = 0; i < 100; ++i) {
    char bytes[100];
    size_t done = 0;
    IN_TIME(rc_put(o.channel, bytes, sizeof bytes, kShort / 10, &done));
    EXPECT_LE(done, sizeof bytes);
    IN_TIME(rc_get(o.channel, bytes, sizeof bytes / 3, kShort / 10, &done));
    EXPECT_LE(done, sizeof bytes / 3);
  }
}

}  // namespace
}  // namespace hostile
