// Hosts on a network that fails as it is told to. Each host is a network namespace with one interface; the wires
// between them are a thread of this process, so that nothing of the kernel's traffic control is needed and a seed
// repeats.
#ifndef HARNESS_NET_WIRE_H_
#define HARNESS_NET_WIRE_H_

#include <stdint.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <queue>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace net {

// What a wire does to what goes from one host to another.
struct Way {
  bool cut = false;
  double loss = 0;        // of so many of 1
  double twice = 0;       // of so many of 1 a second one arrives
  int64_t delay_ns = 0;   // each
  int64_t spread_ns = 0;  // at most so much more, so that some overtake others
};

// To be asked before there are threads. Empty: hosts can be made here; else why not.
std::string why_no_hosts();

class Wire {
 public:
  // Host i has the address 10.77.0.(i + 1).
  explicit Wire(int hosts, uint64_t seed = 1);
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  int hosts() const { return static_cast<int>(taps_.size()); }
  static std::string address(int host);
  // The calling thread is of that host from now on.
  void enter(int host) const;
  // Host gets the address of another one, too, and what goes there from now on.
  void take_address(int host, int of);
  // The network believes the host again whose address it was.
  void give_back_address(int of) {
    std::lock_guard<std::mutex> lock(mutex_);
    owner_[static_cast<size_t>(of)] = of;
  }

  void set(int from, int to, const Way& way);
  void set_all(const Way& way);
  // Nothing goes between the host and the others any more: to it, from it.
  void cut(int host, bool to, bool from);
  void heal() { set_all(Way{}); }
  // Packets that a way has lost on purpose; a test of loss that has none has tested nothing.
  uint64_t lost() const { return lost_; }

 private:
  struct Packet {
    int64_t due_ns;
    uint64_t number;
    int to;
    std::string bytes;
    bool operator>(const Packet& other) const {
      return due_ns != other.due_ns ? due_ns > other.due_ns : number > other.number;
    }
  };
  void make_host();
  void carry();
  void take(int from, const char* bytes, size_t n, int64_t now);
  Way& way(int from, int to) { return ways_[static_cast<size_t>(from) * taps_.size() + static_cast<size_t>(to)]; }

  std::vector<int> spaces_, taps_;
  std::mutex mutex_;
  std::vector<Way> ways_;
  std::vector<int> owner_;  // of each address
  std::mt19937_64 random_;
  std::priority_queue<Packet, std::vector<Packet>, std::greater<>> under_way_;
  uint64_t packets_ = 0;
  std::atomic<uint64_t> lost_{0};
  int stop_fd_ = -1;
  std::thread thread_;
};

}  // namespace net

#endif  // HARNESS_NET_WIRE_H_
