#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "harness/demo/parts.h"
#include "harness/demo/processes.h"

namespace demo {
namespace {

constexpr const char* kFiles[] = {"harness/demo/hello.c", "capi/rc.h", "capi/libringchan.a"};

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Where Bazel has put the files this program needs.
std::string files_of(const std::string& program) {
  char real[PATH_MAX];
  std::string candidates[] = {program, realpath(program.c_str(), real) != nullptr ? real : program};
  for (const std::string& candidate : candidates) {
    glob_t found;
    if (glob((candidate + ".runfiles/*/" + kFiles[0]).c_str(), 0, nullptr, &found) == 0) {
      std::string path = found.gl_pathv[0];
      globfree(&found);
      return path.substr(0, path.size() - strlen(kFiles[0]));
    }
  }
  throw std::runtime_error("the C source is not beside " + program + "; build with bazel build //harness/demo:demo");
}

// A folder of its own with the three files a C programmer needs.
class Folder {
 public:
  explicit Folder(const std::string& from) {
    char path[] = "/tmp/ringchan-demo-XXXXXX";
    if (mkdtemp(path) == nullptr) throw std::runtime_error(std::string("mkdtemp: ") + strerror(errno));
    path_ = path;
    for (const char* file : kFiles) {
      std::ifstream in(from + file, std::ios::binary);
      std::ofstream out(path_ + "/" + base_name(file), std::ios::binary);
      out << in.rdbuf();
      if (!in || !out) throw std::runtime_error(std::string("cannot copy ") + from + file);
    }
  }
  ~Folder() {
    for (const char* file : kFiles) unlink((path_ + "/" + base_name(file)).c_str());
    unlink((path_ + "/hello").c_str());
    rmdir(path_.c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Shows a command line and runs it there.
bool run(const Folder& folder, const std::string& command) {
  printf("   $ %s\n", command.c_str());
  fflush(stdout);
  int status = system(("cd " + folder.path() + " && " + command).c_str());
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

bool plain_c(const std::string& backend, const std::string& program) {
  printf("4. A client in plain C, a server in C++\n");
  Folder folder(files_of(program));
  printf("   in %s:\n", folder.path().c_str());
  if (!run(folder, "cc -std=c99 -pedantic -Wall hello.c libringchan.a -pthread -o hello")) return false;
  std::string uri = random_uri(backend, "c");
  pid_t server = in_child("server", [&] {
    serve_one(uri, [](rc_channel channel) {
      char text[100];
      size_t n = 0;
      must(rc_recv(channel, text, sizeof text - 1, &n, nullptr, nullptr, kPatience), "rc_recv");
      text[n] = '\0';
      printf("   C++ server: got \"%s\"\n", text);
      fflush(stdout);
      if (strcmp(text, "hello from C") != 0) throw std::runtime_error("that is not what the client sends");
      must(rc_send(channel, "hello from C++", 14, nullptr, kPatience, nullptr), "rc_send");
      char end;
      if (rc_get(channel, &end, 1, kPatience, nullptr) != RC_E_CLOSED) must(RC_E_STATE, "the client's close");
    });
  });
  bool client_good = run(folder, "./hello " + uri);
  return ended_well("server", server) && client_good;
}

}  // namespace demo
