// Host lists, good and bad: each error names its line.
#include "core/hosts.h"

#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "core/local_addresses.h"
#include "harness/mesh/members.h"

namespace rc {
namespace {

struct List {
  Host hosts[8];
  HostList list = {hosts, 8, 0, ""};
};

TEST(HostList, TakesIdsInAnyOrder) {
  List l;
  ASSERT_EQ(kOk, l.list.read_text("# the members\n"
                                  "2 shm:third   # over shared memory\n"
                                  "\n"
                                  "\t0 10.0.0.1:7000\r\n"
                                  "  \t \n"
                                  "1 [fd00::1]:7001"))
      << reason();
  EXPECT_EQ(3u, l.list.count);
  EXPECT_STREQ("tcp://10.0.0.1:7000", l.hosts[0].uri);
  EXPECT_STREQ("tcp://[fd00::1]:7001", l.hosts[1].uri);
  EXPECT_STREQ("shm:third", l.hosts[2].uri);
  EXPECT_EQ(4u, l.hosts[0].line);
}

TEST(HostList, KeepsUrisAsTheyAre) {
  List l;
  ASSERT_EQ(kOk, l.list.read_text("0 tcp://node:7000?timeout_ms=2000\n1 shm:/run/a.sock\n2 node:7000\n")) << reason();
  EXPECT_STREQ("tcp://node:7000?timeout_ms=2000", l.hosts[0].uri);
  EXPECT_STREQ("shm:/run/a.sock", l.hosts[1].uri);
  EXPECT_STREQ("tcp://node:7000", l.hosts[2].uri);
}

struct Bad {
  const char* name;
  std::string text;
  const char* says;  // what the reason has in it
};

class BadHostList : public testing::TestWithParam<Bad> {};

TEST_P(BadHostList, NamesItsLine) {
  List l;
  EXPECT_EQ(kHosts, l.list.read_text(GetParam().text.c_str()));
  EXPECT_NE(nullptr, strstr(reason(), GetParam().says)) << reason();
}

INSTANTIATE_TEST_SUITE_P(
    All, BadHostList,
    testing::Values(Bad{"NoAddress", "0 a:1\n1\n", "line 2: id 1 has no address"},
                    Bad{"NoId", "a:1\n", "line 1: \"a:1\" is no id"},
                    Bad{"NegativeId", "-1 a:1\n", "line 1: \"-1\" is no id"},
                    Bad{"TooMuch", "0 a:1 b:2\n", "line 1: what is \"b:2\""},
                    Bad{"NoPort", "0 a:1\n\n1 b\n", "line 3: \"b\" is no HOST:PORT"},
                    Bad{"NoHost", "0 :7000\n", "line 1: \":7000\" is no HOST:PORT"},
                    Bad{"PortZero", "0 a:0\n", "line 1: \"a:0\" is no HOST:PORT"},
                    Bad{"PortTooLarge", "0 a:65536\n", "line 1: \"a:65536\" is no HOST:PORT"},
                    Bad{"PortOfLetters", "0 a:http\n", "line 1: \"a:http\" is no HOST:PORT"},
                    Bad{"BadUri", "0 a:1\n1 shm:\n", "line 2: URI \"shm:\""},
                    Bad{"ControlCharacter", "0 a\001b:1\n", "line 1: URI"},
                    Bad{"IdTwice", "0 a:1\n1 b:1\n# gap\n0 c:1\n", "line 4: id 0 stands in line 1 already"},
                    Bad{"AddressTwice", "0 a:1\n1 b:1\n2 a:1\n", "line 3: id 2 has the address of id 0 in line 1"},
                    Bad{"Gap", "0 a:1\n2 b:1\n", "line 2: id 2, but the list has 2 members"},
                    Bad{"TooManyMembers", "8 a:1\n", "line 1: id 8 is not below rc_config.mesh_members_max"},
                    Bad{"LongLine", "0 a:1\n1 " + std::string(300, 'x') + ":1\n", "line 2: longer than 255 bytes"},
                    Bad{"Empty", "# nobody\n\n", "no member stands in it"}),
    [](const auto& each) { return each.param.name; });

TEST(HostList, IsReadFromAFileThatErrorsName) {
  char path[] = "/tmp/rc-hosts-XXXXXX";
  int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  std::string good = "0 a:1\n", comment = "#" + std::string(200, '-') + "\n";
  for (int i = 0; i < 50; ++i) good += comment;  // more than one read
  good += "1 b:1\n";
  ASSERT_EQ(static_cast<ssize_t>(good.size()), write(fd, good.data(), good.size()));
  List l;
  EXPECT_EQ(kOk, l.list.read_file(path)) << reason();
  EXPECT_EQ(2u, l.list.count);
  EXPECT_EQ(52u, l.hosts[1].line);
  ASSERT_EQ(6, write(fd, "0 c:1\n", 6));
  EXPECT_EQ(kHosts, l.list.read_file(path));
  EXPECT_EQ(std::string(path) + ", line 53: id 0 stands in line 1 already", reason());
  close(fd);
  unlink(path);
  EXPECT_EQ(kHosts, l.list.read_file(path));
  EXPECT_NE(nullptr, strstr(reason(), "No such file")) << reason();
  EXPECT_NE(nullptr, strstr(reason(), path)) << reason();
}

TEST(LocalAddresses, AreThoseOfTheInterfaces) {
  LocalAddresses local;
  ASSERT_EQ(kOk, local.read()) << reason();
  auto has = [&](const char* uri) {
    Host host = {};
    snprintf(host.uri, sizeof host.uri, "%s", uri);
    return local.has(host);
  };
  EXPECT_TRUE(has("tcp://127.0.0.1:7000"));
  EXPECT_TRUE(has("tcp://127.9.8.7:7000"));
  EXPECT_TRUE(has("tcp://localhost:7000"));
  EXPECT_TRUE(has("shm:name"));
  EXPECT_FALSE(has("tcp://203.0.113.1:7000"));  // TEST-NET-3: nobody's
  EXPECT_FALSE(has("tcp://[2001:db8::1]:7000"));
  EXPECT_FALSE(has("tcp://no.such.host.invalid:7000"));
}

}  // namespace
}  // namespace rc

namespace meshes {
namespace {

TEST(Slurm, NodeLists) {
  using Names = std::vector<std::string>;
  EXPECT_EQ((Names{"a", "b"}), expand_nodes("a,b"));
  EXPECT_EQ((Names{"n1", "n2", "n3", "n7", "x"}), expand_nodes("n[1-3,7],x"));
  EXPECT_EQ((Names{"n08", "n09", "n10"}), expand_nodes("n[08-10]"));
  for (const char* bad : {"", "a,,b", "n[1-", "n[a-b]", "n[1]x"})
    EXPECT_THROW(expand_nodes(bad), std::runtime_error) << bad;
  EXPECT_EQ((std::vector<uint32_t>{2, 2, 2, 1}), expand_counts("2(x3),1"));
  for (const char* bad : {"", "x", "2(x", "2y"}) EXPECT_THROW(expand_counts(bad), std::runtime_error) << bad;
}

TEST(Slurm, EnvironmentMakesTheList) {
  EXPECT_FALSE(from_slurm(7000).has_value());
  setenv("SLURM_PROCID", "3", 1);
  setenv("SLURM_NTASKS", "5", 1);
  setenv("SLURM_JOB_NODELIST", "wrong", 1);
  setenv("SLURM_STEP_NODELIST", "n[1-3]", 1);
  setenv("SLURM_STEP_TASKS_PER_NODE", "2(x2),1", 1);
  auto m = from_slurm(7000);
  ASSERT_TRUE(m.has_value());
  EXPECT_EQ(3u, m->id.value());
  EXPECT_EQ(5u, m->total);
  EXPECT_EQ("0 n1:7000\n1 n1:7001\n2 n2:7000\n3 n2:7001\n4 n3:7000\n", m->hosts);
  setenv("SLURM_NTASKS", "6", 1);
  EXPECT_THROW(from_slurm(7000), std::runtime_error);
  for (const char* name : {"PROCID", "NTASKS", "JOB_NODELIST", "STEP_NODELIST", "STEP_TASKS_PER_NODE"})
    unsetenv((std::string("SLURM_") + name).c_str());
}

}  // namespace
}  // namespace meshes
