// ZeroMQ: a pair of PAIR sockets over ipc. Each process also has ZeroMQ's own I/O thread, on the same processor.
#include "harness/bench/peers.h"

#if __has_include(<zmq.h>)
#include <dlfcn.h>
#include <errno.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <zmq.h>

#include <stdexcept>

namespace rcbench {
namespace {

struct Library {
  decltype(&zmq_ctx_new) ctx_new = nullptr;
  decltype(&zmq_ctx_term) ctx_term = nullptr;
  decltype(&zmq_socket) socket = nullptr;
  decltype(&zmq_close) close = nullptr;
  decltype(&zmq_bind) bind = nullptr;
  decltype(&zmq_connect) connect = nullptr;
  decltype(&zmq_send) send = nullptr;
  decltype(&zmq_recv) recv = nullptr;
  bool found = false;

  Library() {
    void* library = dlopen("libzmq.so.5", RTLD_NOW);
    if (library == nullptr) return;
    found = true;
    auto take = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      found = found && function != nullptr;
    };
    take(ctx_new, "zmq_ctx_new");
    take(ctx_term, "zmq_ctx_term");
    take(socket, "zmq_socket");
    take(close, "zmq_close");
    take(bind, "zmq_bind");
    take(connect, "zmq_connect");
    take(send, "zmq_send");
    take(recv, "zmq_recv");
  }
};

class ZeromqPort {
 public:
  ZeromqPort(const Library& library, int index, const std::string& address)
      : library_(library), context_(library.ctx_new()), socket_(library.socket(context_, ZMQ_PAIR)) {
    int code = index == 0 ? library_.bind(socket_, address.c_str()) : library_.connect(socket_, address.c_str());
    if (code != 0) fail(index == 0 ? "zmq_bind" : "zmq_connect");
  }
  ~ZeromqPort() {
    library_.close(socket_);
    library_.ctx_term(context_);
  }
  ZeromqPort(const ZeromqPort&) = delete;
  ZeromqPort& operator=(const ZeromqPort&) = delete;

  void send(const void* data, size_t n) {
    if (library_.send(socket_, data, n, 0) != static_cast<int>(n)) fail("zmq_send");
  }
  const void* recv(void* data, size_t n) {
    if (library_.recv(socket_, data, n, 0) != static_cast<int>(n)) fail("zmq_recv");
    return data;
  }
  void flush() {}

 private:
  [[noreturn]] static void fail(const char* what) {
    throw std::runtime_error(fmt::format("{}: {}", what, strerror(errno)));
  }
  const Library& library_;
  void* context_;
  void* socket_;
};

Sample run(const Placement& placement, const std::string& case_name, const Job& job) {
  uint64_t random[2] = {};
  if (getrandom(random, sizeof(random), 0) != sizeof(random)) return Sample::failure("getrandom failed");
  std::string address = fmt::format("ipc://@ringchan-bench-{:016x}{:016x}", random[0], random[1]);
  Library library;
  auto body = [&](int index) {
    return [&, index](Side& side) {
      if (index == 1) side.meet();  // bound
      ZeromqPort port(library, index, address);
      if (index == 0) side.meet();
      run_side_of(test_of(case_name), index, side, port, job);
    };
  };
  return run_pair(placement, 0, body(0), body(1));
}

}  // namespace

std::vector<Peer> zeromq_peers() {
  std::string missing = Library().found ? "" : "libzmq.so.5 is not installed (Debian: libzmq5)";
  return {{"ZeroMQ ipc", missing, {"pingpong", "stream", "wake"}, SIZE_MAX, run}};
}

}  // namespace rcbench

#else

namespace rcbench {
std::vector<Peer> zeromq_peers() { return {{"ZeroMQ ipc", "built without zmq.h (Debian: libzmq3-dev)", {}, 0, {}}}; }
}  // namespace rcbench

#endif
