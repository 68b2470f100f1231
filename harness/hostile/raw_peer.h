// An end that speaks the protocol of shm by hand, step by step, so that a test can do it wrong at any point. It uses
// the layout of core/wire.h and core/hello.h and none of the library's code.
#ifndef HARNESS_HOSTILE_RAW_PEER_H_
#define HARNESS_HOSTILE_RAW_PEER_H_

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "core/hello.h"
#include "core/wire.h"

namespace hostile {

// How long the raw side waits for the honest one before the test is called failed.
inline constexpr int kPatienceMs = 20 * 1000;

// Owns one descriptor.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_;
};

// ------------------------------------------------------------------------------------------------------------ sockets

// A name that no other test has, in whatever sandbox it runs.
std::string unique_name();
// Connects to the listener of "shm:NAME". Not ok: errno says why.
Fd dial(const std::string& name);
// Listens where "shm:NAME" would; a NAME with a slash before it is a path.
Fd listen_as(const std::string& name, int type = SOCK_SEQPACKET);
std::pair<Fd, Fd> socket_pair(int type = SOCK_SEQPACKET);

bool send_packet(int socket, const void* data, size_t bytes, const std::vector<int>& fds = {});

// What came in one packet.
struct Packet {
  ssize_t bytes = -1;  // 0: the other end hung up; -1: nothing came
  rc::Hello hello = {};
  std::vector<Fd> fds;
  bool is_hello() const { return bytes == sizeof hello && hello.magic == rc::kHelloMagic; }
};
Packet receive_packet(int socket, int patience_ms = kPatienceMs);

// ------------------------------------------------------------------------------------------------------------- hellos

// A hello without a fault. `fences`: says that this process takes part in heavy fences; the honest end's straight path
// needs it.
rc::Hello say(rc::Hello::Kind kind, uint64_t ring_bytes = 0, bool fences = true);

// ------------------------------------------------------------------------------------------------------------- memory

inline constexpr int kAllSeals = F_SEAL_SHRINK | F_SEAL_GROW | 0x0010 /* F_SEAL_FUTURE_WRITE */ | F_SEAL_SEAL;

// A memory file, as good or bad as it is asked for.
struct FileKind {
  uint64_t bytes;
  int seals = kAllSeals;
  unsigned flags = 0;    // beside MFD_CLOEXEC | MFD_ALLOW_SEALING
  bool reserved = true;  // its pages exist
};
// `inbox`, if not null: mapped there for writing before it is sealed.
Fd make_file(const FileKind& kind, rc::Inbox** inbox = nullptr);
// The size that goes with a ring.
uint64_t file_bytes(uint64_t ring_bytes);

// The raw end of an established connection. Nothing is checked here: that is what the honest end is for.
class RawEnd {
 public:
  RawEnd() = default;
  RawEnd(RawEnd&& other) noexcept { *this = std::move(other); }
  RawEnd& operator=(RawEnd&& other) noexcept;
  ~RawEnd() { unmap(); }

  Fd main, bell;  // the connection; the second socket (doorbells of the client's put side)
  Fd file;        // the honest end's memory file
  uint64_t ring_bytes = 0;
  rc::Inbox* outbox = nullptr;       // what the honest end reads
  const rc::Inbox* inbox = nullptr;  // what the honest end writes

  // As an honest end would do it.
  void put(const void* data, size_t n);
  bool get(void* data, size_t n);  // waits; takes n bytes and gives credit
  void close();

  uint8_t* ring() { return reinterpret_cast<uint8_t*>(outbox) + rc::kRingOffset; }
  uint64_t written = 0, read = 0;

  bool map(const Fd& honest_file);
  void unmap();
};

// A client, step by step. Each step tells whether it worked.
class RawClient {
 public:
  explicit RawClient(uint64_t ring_bytes = 4096, bool fences = true) : ring_bytes_(ring_bytes), fences_(fences) {}

  bool dial(const std::string& name);
  bool ask() { return ask(say(rc::Hello::kAsk, ring_bytes_, fences_)); }
  bool ask(const rc::Hello& hello);
  bool ask(const void* data, size_t bytes);  // with the second socket's far end beside it
  bool take_offer();                         // maps the listener's memory
  bool accept() { return accept(say(rc::Hello::kAccept, end.ring_bytes)); }
  bool accept(const rc::Hello& hello) { return accept(&hello, sizeof hello); }
  bool accept(const void* data, size_t bytes);
  bool take_go();

  Packet reply;  // the last one that came
  RawEnd end;

 private:
  uint64_t ring_bytes_;
  bool fences_;
};

// A listener, step by step.
class RawListener {
 public:
  bool listen(const std::string& name) { return (socket_ = listen_as(name)).ok(); }
  int socket() const { return socket_.get(); }
  bool take_client(int patience_ms = kPatienceMs);
  bool take_ask();
  bool offer(uint64_t ring_bytes);
  bool offer(const rc::Hello& hello) { return offer(&hello, sizeof hello, hello.ring_bytes); }
  bool offer(const void* data, size_t bytes, uint64_t ring_bytes);
  bool take_accept();
  bool go() { return go(say(rc::Hello::kGo, end.ring_bytes)); }
  bool go(const rc::Hello& hello) { return send_packet(end.main.get(), &hello, sizeof hello); }
  void hang_up() { end = RawEnd(); }

  Packet reply;
  RawEnd end;

 private:
  Fd socket_;
};

}  // namespace hostile

#endif  // HARNESS_HOSTILE_RAW_PEER_H_
