#include "harness/net/wire.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <stdexcept>

#include "core/deadline.h"

namespace net {
namespace {

constexpr size_t kPacketMost = 65536;
constexpr int kPacketsMost = 64;       // of one host before the others have their turn
constexpr size_t kDestinationAt = 16;  // in the header of IPv4

void write_file(const char* path, const std::string& text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t ignored = write(fd, text.data(), text.size());
  static_cast<void>(ignored);
  close(fd);
}

[[noreturn]] void fail(const char* what) { throw std::runtime_error(std::string(what) + ": " + strerror(errno)); }

int own_space() { return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC); }

sockaddr ipv4(const std::string& text) {
  sockaddr_in in = {};
  in.sin_family = AF_INET;
  inet_pton(AF_INET, text.c_str(), &in.sin_addr);
  sockaddr out;
  memcpy(&out, &in, sizeof out);
  return out;
}

// Of the calling thread's host.
void bring_up(const char* name, const std::string& address) {
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request = {};
  strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
  bool good = s >= 0;
  if (!address.empty()) {
    request.ifr_addr = ipv4(address);
    good = good && ioctl(s, SIOCSIFADDR, &request) == 0;
    request.ifr_addr = ipv4("255.255.255.0");
    good = good && ioctl(s, SIOCSIFNETMASK, &request) == 0;
  }
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  good = good && ioctl(s, SIOCSIFFLAGS, &request) == 0;
  int error = errno;
  close(s);
  errno = error;
  if (!good) fail("setting up an interface");
}

int make_tap() {
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  ifreq request = {};
  strcpy(request.ifr_name, "eth0");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0) return fd;
  int error = errno;
  if (fd >= 0) close(fd);
  errno = error;
  return -1;
}

}  // namespace

std::string why_no_hosts() {
  static const std::string why = [] {
    if (geteuid() != 0) {  // who is not root becomes it in a user namespace
      std::string uid = std::to_string(geteuid()), gid = std::to_string(getegid());
      if (unshare(CLONE_NEWUSER) != 0) return std::string("not root, and no user namespaces: ") + strerror(errno);
      write_file("/proc/self/setgroups", "deny");
      write_file("/proc/self/uid_map", "0 " + uid + " 1");
      write_file("/proc/self/gid_map", "0 " + gid + " 1");
    }
    try {
      Wire wire(2);
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
    return std::string();
  }();
  return why;
}

std::string Wire::address(int host) { return "10.77.0." + std::to_string(host + 1); }

Wire::Wire(int hosts, uint64_t seed) : random_(seed) {
  int home = own_space();
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  try {
    for (int i = 0; i < hosts; ++i) make_host();
  } catch (const std::exception&) {
    setns(home, CLONE_NEWNET);
    close(home);
    for (int fd : spaces_) close(fd);
    for (int fd : taps_) close(fd);
    close(stop_fd_);
    throw;
  }
  setns(home, CLONE_NEWNET);
  close(home);
  ways_.resize(static_cast<size_t>(hosts) * static_cast<size_t>(hosts));
  for (int i = 0; i < hosts; ++i) owner_.push_back(i);
  thread_ = std::thread([this] { carry(); });
}

void Wire::make_host() {
  if (unshare(CLONE_NEWNET) != 0) fail("making a network namespace");
  int space = own_space();
  if (space < 0) fail("opening a network namespace");
  spaces_.push_back(space);
  int tap = make_tap();
  if (tap < 0) fail("making an interface with /dev/net/tun");
  taps_.push_back(tap);
  bring_up("lo", "");
  bring_up("eth0", address(hosts() - 1));
}

Wire::~Wire() {
  uint64_t one = 1;
  ssize_t ignored = write(stop_fd_, &one, sizeof one);
  static_cast<void>(ignored);
  thread_.join();
  for (int fd : spaces_) close(fd);
  for (int fd : taps_) close(fd);
  close(stop_fd_);
}

void Wire::enter(int host) const {
  if (setns(spaces_[static_cast<size_t>(host)], CLONE_NEWNET) != 0) fail("entering a network namespace");
}

void Wire::take_address(int host, int of) {
  std::exception_ptr error;
  std::thread([&] {
    try {
      enter(host);
      bring_up("eth0:1", address(of));
    } catch (const std::exception&) {
      error = std::current_exception();
    }
  }).join();
  if (error) std::rethrow_exception(error);
  std::lock_guard<std::mutex> lock(mutex_);
  owner_[static_cast<size_t>(of)] = host;
}

void Wire::set(int from, int to, const Way& w) {
  std::lock_guard<std::mutex> lock(mutex_);
  way(from, to) = w;
}

void Wire::set_all(const Way& w) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (Way& each : ways_) each = w;
}

void Wire::cut(int host, bool to, bool from) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (int other = 0; other < hosts(); ++other) {
    if (to) way(other, host).cut = true;
    if (from) way(host, other).cut = true;
  }
}

void Wire::take(int from, const char* bytes, size_t n, int64_t now) {
  if (n < 20 || (bytes[0] >> 4) != 4) return;
  size_t host = static_cast<unsigned char>(bytes[kDestinationAt + 3]);
  std::lock_guard<std::mutex> lock(mutex_);
  if (host == 0 || host > owner_.size()) return;
  int to = owner_[host - 1];
  const Way& w = way(from, to);
  std::uniform_real_distribution<double> chance(0, 1);
  if (w.cut || chance(random_) < w.loss) {
    ++lost_;
    return;
  }
  for (int copies = chance(random_) < w.twice ? 2 : 1; copies > 0; --copies) {
    int64_t more = w.spread_ns == 0 ? 0 : static_cast<int64_t>(random_() % static_cast<uint64_t>(w.spread_ns));
    under_way_.push({now + w.delay_ns + more, ++packets_, to, std::string(bytes, n)});
  }
}

void Wire::carry() {
  std::vector<pollfd> fds;
  for (int tap : taps_) fds.push_back({tap, POLLIN, 0});
  fds.push_back({stop_fd_, POLLIN, 0});
  std::vector<char> bytes(kPacketMost);
  for (;;) {
    int64_t now = rc::now_ns();
    while (!under_way_.empty() && under_way_.top().due_ns <= now) {
      const Packet& p = under_way_.top();
      // A host whose queue is full loses it, as hosts do.
      ssize_t ignored = write(taps_[static_cast<size_t>(p.to)], p.bytes.data(), p.bytes.size());
      static_cast<void>(ignored);
      under_way_.pop();
    }
    int64_t left = under_way_.empty() ? -1 : under_way_.top().due_ns - now;
    timespec wait = {left / 1000000000, left % 1000000000};
    ppoll(fds.data(), fds.size(), left < 0 ? nullptr : &wait, nullptr);
    if (fds.back().revents != 0) return;
    now = rc::now_ns();
    for (int i = 0; i < hosts(); ++i) {
      for (int k = 0; k < kPacketsMost; ++k) {
        ssize_t n = read(taps_[static_cast<size_t>(i)], bytes.data(), bytes.size());
        if (n <= 0) break;
        take(i, bytes.data(), static_cast<size_t>(n), now);
      }
    }
  }
}

}  // namespace net
