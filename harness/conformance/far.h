// The far end of a test's channel: it does what it is told, by a call of this process, or in a process of its own.
#ifndef HARNESS_CONFORMANCE_FAR_H_
#define HARNESS_CONFORMANCE_FAR_H_

#include <gtest/gtest.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <memory>
#include <string>

#include "capi/rc.h"
#include "harness/conformance/expect.h"
#include "harness/conformance/pattern.h"

namespace conformance {

enum class Op : uint32_t {
  kOpen,    // a context: n channels, ring_bytes
  kClose,   // the context
  kStop,    // the context
  kListen,  // at text
  kCloseListener,
  kAccept,        // into slot
  kConnect,       // to text, into slot
  kAttach,        // to the memory file at path text, see attach_memory
  kCloseChannel,  // slot
  kPut,           // the next n bytes of the pattern
  kPutMore,
  kFlush,
  kSync,
  kGet,  // n bytes, and compares them with the pattern
  kGetSome,
  kTryGet,
  kPutPieces,  // n bytes in pieces of 1..piece
  kGetPieces,
  kEcho,   // gets pieces of exactly `piece` bytes and puts them back, n bytes in all
  kSend,   // one message of the next n bytes of the pattern
  kRecv,   // one message into a buffer of n bytes
  kReady,  // done: readable, value: writable
  kProgress,
  kInfo,  // text: the peer's identity, value: its process
  kExit,  // ends the process, closing nothing
  // Memory; each end has some regions, grants and pieces of remote memory, named by `item`.
  kMrAlloc,  // n bytes, all `value`
  kMrFree,
  kMrFill,   // n bytes from offset on become `value`
  kMrCount,  // done: how many of the n bytes from offset on are `value`, up to the first that is not; value: the word
             // there
  kGrant,    // n bytes from offset on, rights, lease_ns; text of the reply: its token
  kRevoke,
  kTakeBack,
  kRemoteGet,
  kImmGet,
  kOperate,     // `operation` on n bytes of remote memory from offset on, and waits; value: the old word
  kAddOwn,      // adds 1 to the word at offset of its own region, n times, and looks at the channel in between
  kNotices,     // n times: gets one byte, then all of region `item` must be that byte
  kImmNotices,  // n times: takes an immediate, then all of region `item` must be that byte
};

enum class Operation : uint32_t { kWrite, kRead, kSwap, kAdd };

struct Call {
  Op op;
  uint32_t slot = 0;
  uint64_t n = 0;
  uint64_t piece = 0;
  int64_t timeout_ns = kPatience;
  uint64_t ring_bytes = 0;
  uint32_t seed = 0;
  uint32_t wait = RC_WAIT_ADAPTIVE;
  uint32_t has_imm = 0;
  uint32_t imm = 0;
  char text[200] = "";
  char identity[100] = "";
  char token[100] = "";
  uint32_t item = 0;
  uint32_t rights = RC_MR_READ | RC_MR_WRITE | RC_MR_ATOMIC;
  Operation operation = Operation::kWrite;
  uint64_t offset = 0;
  uint64_t value = 0;
  uint64_t compare = 0;
  int64_t lease_ns = 0;
};

struct Reply {
  int32_t code = RC_OK;
  uint64_t done = 0;
  uint64_t wrong = 0;  // the place of the first wrong byte of what was got, `done` if all are right
  uint64_t value = 0;
  uint32_t imm = 0;
  uint32_t has_imm = 0;
  char text[100] = "";
  char reason[400] = "";
};

class Far {
 public:
  virtual ~Far() = default;
  virtual Reply call(const Call& call) = 0;
  // A call that may block until this end does something: started here, waited for there. One at a time.
  virtual void start(const Call& call) = 0;
  virtual Reply finish() = 0;
  virtual bool pending() const = 0;
  virtual bool lives() const { return true; }
  virtual pid_t pid() const = 0;  // of the process it lives in
  // Lets it use a context of this process as its own; it will not close it.
  virtual void share(rc_ctx ctx) = 0;
  // Kills its process and waits until it is gone.
  virtual void kill() = 0;

  Reply put(size_t n, int64_t timeout_ns = kPatience) { return call(bytes(Op::kPut, n, timeout_ns)); }
  Reply get(size_t n, int64_t timeout_ns = kPatience) { return call(bytes(Op::kGet, n, timeout_ns)); }
  Reply get_some(size_t n, int64_t timeout_ns = kPatience) { return call(bytes(Op::kGetSome, n, timeout_ns)); }
  Reply try_get(size_t n) { return call(bytes(Op::kTryGet, n, 0)); }
  Reply send(size_t n) { return call(bytes(Op::kSend, n, kPatience)); }
  Reply recv(size_t capacity) { return call(bytes(Op::kRecv, capacity, kPatience)); }
  Reply close_channel() { return call(Call{Op::kCloseChannel}); }
  Reply progress() { return call(Call{Op::kProgress}); }

  static Call bytes(Op op, size_t n, int64_t timeout_ns = kPatience) {
    Call c{op};
    c.n = n;
    c.timeout_ns = timeout_ns;
    return c;
  }
  static Call pieces(Op op, size_t n, size_t piece, uint32_t seed = 1) {
    Call c{op};
    c.n = n;
    c.piece = piece;
    c.seed = seed;
    return c;
  }
};

// In a process of its own, which is used again by later tests, or in this one.
std::unique_ptr<Far> make_far(bool other_process);

// If this process was started as a far end: serves until its test program is gone, and exits.
void serve_if_far_end(int argc, char** argv);

// Compares a reply: this code, so many bytes, all of them right.
testing::AssertionResult replied(const char* code_text, const char* done_text, const char* reply_text, int32_t code,
                                 uint64_t done, const Reply& reply);

// The memory of an attached channel: a file of this process, mapped in two halves.
struct Attached {
  void* tx = nullptr;
  const void* rx = nullptr;  // mapped read-only
  uint64_t bytes = 0;        // of each, ring and overhead
  uint64_t mapped = 0;
};
// Maps the file at `path`; the second end gets tx and rx exchanged.
Attached map_attached(const char* path, uint64_t ring_bytes, bool second);
void unmap_attached(const Attached& memory);

}  // namespace conformance

#define EXPECT_FAR(code, done, reply) EXPECT_PRED_FORMAT3(::conformance::replied, code, done, reply)
#define ASSERT_FAR(code, done, reply) ASSERT_PRED_FORMAT3(::conformance::replied, code, done, reply)

#endif  // HARNESS_CONFORMANCE_FAR_H_
