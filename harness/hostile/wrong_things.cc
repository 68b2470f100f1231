#include "harness/hostile/wrong_things.h"

#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <utility>

namespace hostile {
namespace {

void (*g_hook)(int) = nullptr;
int g_hook_fd = -1;

}  // namespace

void before_the_next_seal_check(void (*hook)(int fd), int fd) {
  g_hook = hook;
  g_hook_fd = fd;
}

std::vector<Thing> wrong_things() {
  std::vector<Thing> things;
  auto add = [&things](const char* name, int fd) {
    if (fd >= 0) things.push_back({name, Fd(fd)});
  };
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) == 0) {
    add("a pipe's reading end", pipes[0]);
    add("a pipe's writing end", pipes[1]);
  }
  add("a regular file", open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  add("a file of proc", open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  add("a directory", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  add("a path", open("/", O_PATH | O_CLOEXEC));
  add("/dev/zero", open("/dev/zero", O_RDWR | O_CLOEXEC));
  add("/dev/null", open("/dev/null", O_RDWR | O_CLOEXEC));
  add("a temporary file", open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  add("an epoll set", epoll_create1(EPOLL_CLOEXEC));
  add("an eventfd", eventfd(0, EFD_CLOEXEC));
  add("a timer", timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  add("an inotify", inotify_init1(IN_CLOEXEC));
  sigset_t none;
  sigemptyset(&none);
  add("a signalfd", signalfd(-1, &none, SFD_CLOEXEC));
  add("a pidfd", static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  add("a stream socket", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  add("a datagram socket", socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  add("a TCP socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  add("a netlink socket", socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
  // Sequenced packets too, but of another family, whose close may wait for its peer (SO_LINGER).
  add("a vsock socket", socket(AF_VSOCK, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  return things;
}

std::vector<Thing> odd_bells(const std::string& listener_name) {
  std::vector<Thing> things;
  auto add = [&things](const char* name, Fd fd) {
    if (fd.ok()) things.push_back({name, std::move(fd)});
  };
  add("a socket that is not connected", Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)));
  add("a listening socket", listen_as(unique_name()));
  add("another connection to the same listener", dial(listener_name));
  auto gone = socket_pair();
  gone.first.reset();
  add("a socket whose other end is closed", std::move(gone.second));
  auto shut = socket_pair();
  shutdown(shut.second.get(), SHUT_RDWR);
  add("a socket that is shut down", std::move(shut.second));
  auto full = socket_pair();
  while (send(full.second.get(), "!", 1, MSG_DONTWAIT) == 1) continue;
  add("a socket that is full", std::move(full.second));
  auto owed = socket_pair();
  while (send(owed.first.get(), "!", 1, MSG_DONTWAIT) == 1) continue;
  add("a socket with a full queue", std::move(owed.second));
  auto itself = socket_pair();
  send_packet(itself.first.get(), "!", 1, {itself.second.get()});
  add("a socket in its own queue", std::move(itself.second));
  return things;
}

std::vector<BadFile> bad_files(uint64_t ring_bytes) {
  const uint64_t right = file_bytes(ring_bytes);
  std::vector<BadFile> files = {
      {"empty", {0}},
      {"one byte", {1}},
      {"a page short", {right - 4096}},
      {"a byte short", {right - 1}},
      {"a byte too long", {right + 1}},
      {"a page too long", {right + 4096}},
      {"of a terabyte", {uint64_t{1} << 40, kAllSeals, 0, false}},
      {"without memory behind it", {right, kAllSeals, 0, false}},
  };
  for (int seals = 0; seals < 32; ++seals) {
    // The writable mapping forbids F_SEAL_WRITE (8), and every one of the others is needed.
    int now = seals & ~F_SEAL_WRITE;
    if (now != seals || now == kAllSeals) continue;
    files.push_back({"with seals " + std::to_string(seals), {right, now}});
  }
  return files;
}

}  // namespace hostile

// The library's fcntl is this one: the linker takes the program's before libc's.
extern "C" int fcntl(int fd, int command, ...) {
  va_list args;
  va_start(args, command);
  long argument = va_arg(args, long);
  va_end(args);
  if (command == F_GET_SEALS && hostile::g_hook != nullptr) std::exchange(hostile::g_hook, nullptr)(hostile::g_hook_fd);
  return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}
