// What is fuzzed: each target takes any bytes, and aborts if the library breaks a promise for them.
#ifndef HARNESS_FUZZ_TARGETS_H_
#define HARNESS_FUZZ_TARGETS_H_

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

namespace fuzz {

using Input = std::vector<uint8_t>;

void hello(const uint8_t* data, size_t bytes);          // a hello, judged by either end
void uri(const uint8_t* data, size_t bytes);            // a URI as a caller might give it
void lists(const uint8_t* data, size_t bytes);          // a URI, as a list of transports
void ring(const uint8_t* data, size_t bytes);           // both ends of a ring against any words of the peer
void channel(const uint8_t* data, size_t bytes);        // the whole library, attached to memory that a peer writes
void tcp_frames(const uint8_t* data, size_t bytes);     // what an end of tcp receives
void tcp_hello(const uint8_t* data, size_t bytes);      // a hello that comes in pieces
void hosts(const uint8_t* data, size_t bytes);          // the host list of a mesh
void op_frames(const uint8_t* data, size_t bytes);      // the op ring, and calls between its frames
void mesh_identity(const uint8_t* data, size_t bytes);  // what a peer of a mesh calls itself

struct Target {
  const char* name;
  void (*run)(const uint8_t* data, size_t bytes);
  std::vector<Input> seeds;
};
const std::vector<Target>& targets();

std::vector<Input> hello_seeds();
std::vector<Input> uri_seeds();
std::vector<Input> lists_seeds();
std::vector<Input> ring_seeds();
std::vector<Input> channel_seeds();
std::vector<Input> tcp_frames_seeds();
std::vector<Input> tcp_hello_seeds();
std::vector<Input> hosts_seeds();
std::vector<Input> mesh_identity_seeds();
std::vector<Input> op_frames_seeds();

// A promise. Not assert: it must hold in every build.
#define PROMISE(condition)                                                            \
  do {                                                                                \
    if (!(condition)) {                                                               \
      fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                        \
    }                                                                                 \
  } while (0)

// Takes numbers off the front of an input; zeroes when it has come to its end.
class Script {
 public:
  Script(const uint8_t* data, size_t bytes) : data_(data), left_(bytes) {}
  bool more() const { return left_ != 0; }
  template <class T>
  T take() {
    T value = 0;
    for (size_t i = 0; i < sizeof(T) && left_ != 0; ++i, --left_)
      value = static_cast<T>(value | static_cast<T>(T{*data_++} << (8 * i)));
    return value;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

// Writes what a Script takes.
class Recipe {
 public:
  template <class T>
  Recipe& add(T value) {
    for (size_t i = 0; i < sizeof(T); ++i)
      input_.push_back(static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i)));
    return *this;
  }
  const Input& input() const { return input_; }

 private:
  Input input_;
};

// The reason text of a failure: there, and fit for a terminal.
void check_reason(const char* reason);

}  // namespace fuzz

#endif  // HARNESS_FUZZ_TARGETS_H_
