// The real program, in short: that it runs, agrees with itself, and says what it leaves out. No figure is judged.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/bench/program.h"

namespace rcbench {
namespace {

using nlohmann::json;

class Bench : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(folder_), nullptr); }
  void TearDown() override {
    unlink(file("out.json").c_str());
    unlink(file("out.png").c_str());
    rmdir(folder_);
  }
  std::string file(const std::string& name) const { return fmt::format("{}/{}", folder_, name); }

  // Runs it with these arguments; what it printed is in output_.
  bool run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "harness/bench/bench");
    Program program(arguments);
    bool ok = program.finish(120);
    output_ = program.output() + program.why();
    return ok;
  }
  json figures() const {
    std::ifstream in(file("out.json"));
    return json::parse(in, nullptr, false);
  }

  char folder_[32] = "/tmp/rc-bench-XXXXXX";
  std::string output_;
};

std::set<std::string> metrics_of(const json& figures, const std::string& case_name, const char* backend = "shm") {
  std::set<std::string> metrics;
  for (const json& row : figures["cases"]) {
    if (row["case"] == case_name && row["backend"] == backend) metrics.insert(row["metric"]);
  }
  return metrics;
}

TEST_F(Bench, GivesTheFiguresOfEachKindOfCase) {
  ASSERT_TRUE(run({"--quick", "--rounds", "1", "--json", file("out.json"), "--case", "pingpong:8", "--case",
                   "stream:64", "--case", "stream:65536", "--case", "wake"}))
      << output_;
  json all = figures();
  ASSERT_TRUE(all.is_object()) << output_;
  EXPECT_EQ(metrics_of(all, "pingpong"), (std::set<std::string>{"p50_ns", "p99_ns", "p999_ns"}));
  EXPECT_EQ(metrics_of(all, "stream"), (std::set<std::string>{"gb_per_s", "msgs_per_s"}));
  EXPECT_EQ(metrics_of(all, "wake"), (std::set<std::string>{"p50_ns", "p99_ns"}));
  for (const json& row : all["cases"]) {
    ASSERT_TRUE(row["value"].is_number()) << row.dump();
    EXPECT_GT(row["value"].get<double>(), 0) << row.dump();
    EXPECT_GT(row["limit"].get<double>(), 0) << row.dump();
    EXPECT_GT(row["ratio"].get<double>(), 0) << row.dump();
  }
  EXPECT_NE(output_.find("processor"), std::string::npos) << "it says where the two processes ran\n" << output_;
}

TEST_F(Bench, GivesTheSameKindsOfFiguresOverTcp) {
  ASSERT_TRUE(run({"--backend", "tcp", "--quick", "--rounds", "1", "--json", file("out.json"), "--case", "pingpong:64",
                   "--case", "stream:64", "--case", "stream:65536", "--case", "wake"}))
      << output_;
  json all = figures();
  ASSERT_TRUE(all.is_object()) << output_;
  EXPECT_EQ(metrics_of(all, "pingpong", "tcp"), (std::set<std::string>{"p50_ns", "p99_ns", "p999_ns"}));
  EXPECT_EQ(metrics_of(all, "stream", "tcp"), (std::set<std::string>{"gb_per_s", "msgs_per_s"}));
  EXPECT_EQ(metrics_of(all, "wake", "tcp"), (std::set<std::string>{"p50_ns", "p99_ns"}));
  for (const json& row : all["cases"]) {
    EXPECT_EQ(row["limit_name"], "bare TCP") << row.dump();
    EXPECT_GT(row["ratio"].get<double>(), 0) << row.dump();
  }
  EXPECT_NE(output_.find("stream 64 KiB over tcp, of bare TCP"), std::string::npos) << output_;
}

TEST_F(Bench, MeasuresOperationsOverTcp) {
  ASSERT_TRUE(run({"--backend", "tcp", "--quick", "--rounds", "1", "--json", file("out.json"), "--case", "op write",
                   "--case", "op read", "--case", "op add", "--case", "op stream"}))
      << output_;
  json all = figures();
  ASSERT_TRUE(all.is_object()) << output_;
  for (const char* name : {"op write", "op read", "op add"})
    EXPECT_EQ(metrics_of(all, name, "tcp"), (std::set<std::string>{"p50_ns", "p99_ns", "p999_ns"})) << name;
  EXPECT_EQ(metrics_of(all, "op stream", "tcp"), std::set<std::string>{"gb_per_s"});
  for (const char* demand :
       {"write 64 B over tcp", "read 64 B over tcp", "addition over tcp", "writes of 1 MiB over tcp"})
    EXPECT_NE(output_.find(demand), std::string::npos) << demand << "\n" << output_;
}

TEST_F(Bench, MeasuresEveryPeerThatIsHereAndNamesTheOthers) {
  ASSERT_TRUE(run({"--quick", "--rounds", "1", "--peers", "--json", file("out.json"), "--case", "stream:1024"}))
      << output_;
  std::set<std::string> named;
  json all = figures();
  for (const json& row : all["cases"]) {
    named.insert(row["backend"].get<std::string>());
    if (row["value"].is_null()) {
      EXPECT_EQ(row["metric"], "skipped") << row.dump();
      EXPECT_NE(row["why"], "") << row.dump();
      std::cout << "skipped: " << row["backend"] << ": " << row["why"] << "\n";
    }
  }
  for (const char* name : {"boost::spsc_queue", "DPDK rte_ring", "UCX posix shm (content untouched)", "ZeroMQ ipc",
                           "pipe", "unix socket", "TCP loopback, spinning", "TCP loopback, blocking"}) {
    EXPECT_EQ(named.count(name), 1u) << name << "\n" << output_;
  }
}

TEST_F(Bench, DrawsAPicture) {
  if (access("/usr/bin/gnuplot", X_OK) != 0) GTEST_SKIP() << "gnuplot is not installed (Debian: gnuplot-nox)";
  ASSERT_TRUE(run({"--quick", "--rounds", "1", "--case", "pingpong:8", "--plot", file("out.png")})) << output_;
  std::ifstream in(file("out.png"), std::ios::binary);
  std::string head(8, '\0');
  in.read(head.data(), 8);
  EXPECT_EQ(head, std::string("\x89PNG\r\n\x1a\n", 8));
}

TEST_F(Bench, RefusesWhatItDoesNotKnow) {
  EXPECT_FALSE(run({"--case", "pingping"}));
  EXPECT_FALSE(run({"--wait", "never"}));
  EXPECT_FALSE(run({"--backend", "smoke"}));
  EXPECT_FALSE(run({"--json", "/nonexistent/folder/out.json", "--case", "pingpong:8", "--rounds", "1", "--quick"}));
}

}  // namespace
}  // namespace rcbench
